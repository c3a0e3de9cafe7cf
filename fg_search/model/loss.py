"""End-to-end training of base model and head with the trainer of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from fg_search.model.codebook import UNSUPERVISED
from fg_search.model.head import FeatureGroupHead


class FeatureGroupLoss(nn.Module):
    """Cross-entropy of the codes at temperature 1, averaged over the groups, for ``SentenceTransformerTrainer``.

    The dataset needs one text column and a column ``label`` with the G codes of each example: its row of
    ``Codebook.targets``, -1 where a group ignores the example. Gradients flow through the head into the base model.
    The head forgets its prototypes, which would be those of another base model; after training,
    :meth:`FeatureGroupEncoder.learn_familiarity` finds new ones.

    Args:
        model: A ``SentenceTransformer`` whose last module is a :class:`FeatureGroupHead`, preferably one that
            ``fit_head`` trained on the frozen base model with ``closed_form=False``.
        label_smoothing: Label smoothing in [0, 1).

    Raises:
        TypeError: If the last module is not a feature-group head.

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
        head.familiarity = None
        self.label_smoothing = label_smoothing

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor) -> Tensor:
        """Loss of a batch, a scalar tensor.

        Args:
            sentence_features: Tokenised texts, one dict per text column; there must be one column.
            labels: ``(n, G)`` integer codes, -1 where a group ignores an example.

        Raises:
            ValueError: If there is not exactly one text column, or the labels have another shape.
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
        logits = head.logits(self.model(columns[0])["base_embedding"]) * head.temperature  # at T = 1
        return code_cross_entropy(logits, labels, self.label_smoothing)


def code_cross_entropy(logits: Tensor, codes: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross-entropy of logits ``(n, G, K)`` over the known codes among ``(n, G)``; 0 if no code is known."""
    total = nn.functional.cross_entropy(
        logits.flatten(0, 1),
        codes.flatten(),
        ignore_index=UNSUPERVISED,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (codes != UNSUPERVISED).sum().clamp(min=1)
