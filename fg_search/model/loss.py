"""Training head and encoder together, end to end, under sentence-transformers' own trainer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from fg_search.model.codebook import UNSUPERVISED
from fg_search.model.head import FeatureGroupHead


class FeatureGroupLoss(nn.Module):
    """Mean over the groups of the cross-entropy of the code, at temperature 1; the gradient reaches the encoder.

    For ``SentenceTransformerTrainer``: one text column, and a column ``label`` that holds the G codes of each example,
    a row of ``Codebook.targets`` (-1 where a group learns nothing from it).

    Args:
        model: A ``SentenceTransformer`` whose last module is a :class:`FeatureGroupHead`; best one that ``fit_head``
            trained on the frozen encoder with ``closed_form=False``.
        label_smoothing: In [0, 1).

    Raises:
        TypeError: If the last module is no feature-group head.

    Example:
        >>> loss = FeatureGroupLoss(model)  # doctest: +SKIP
        >>> data = Dataset.from_dict({"text": texts, "label": codebook.targets.tolist()})  # doctest: +SKIP
        >>> SentenceTransformerTrainer(model=model, train_dataset=data, loss=loss).train()  # doctest: +SKIP
    """

    def __init__(self, model: SentenceTransformer, label_smoothing: float = 0.1) -> None:
        super().__init__()
        *_, head = model
        if not isinstance(head, FeatureGroupHead):
            raise TypeError(
                f"the model's last module must be a FeatureGroupHead, it is {type(head).__name__}; "
                "append one: SentenceTransformer(modules=[*model, head])"
            )
        self.model = model
        self.head = head
        self.label_smoothing = label_smoothing

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            sentence_features: The tokenised texts: one dict.
            labels: ``(n, G)`` integer codes.
        """
        columns = list(sentence_features)
        if len(columns) != 1:
            raise ValueError(f"FeatureGroupLoss reads one text column, got {len(columns)}")
        head = self.head
        if labels.ndim != 2 or labels.shape[1] != head.groups:
            raise ValueError(
                f"the label column must hold {head.groups} codes for each text (codebook.targets), "
                f"got shape {tuple(labels.shape)}"
            )
        logits = head.logits(self.model(columns[0])["base_embedding"]) * head.temperature  # trained at T = 1
        return code_cross_entropy(logits, labels, self.label_smoothing)


def code_cross_entropy(logits: Tensor, codes: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of logits ``(n, G, K)`` over the codes ``(n, G)`` that are known; 0 where none is."""
    total = nn.functional.cross_entropy(
        logits.flatten(0, 1),
        codes.flatten(),
        ignore_index=UNSUPERVISED,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (codes != UNSUPERVISED).sum().clamp(min=1)
