"""The feature-group head: a dense vector in, G softmax groups of K codes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules import Module
from torch import Tensor, nn
from typing_extensions import Self


class FeatureGroupHead(Module):
    """Maps a sentence embedding to G independent softmax groups of K codes each.

    ::

        (n, d) ── unit length ──┬─ trunk 1: Linear ─ GELU ─ LayerNorm ─ Linear ─┐
                                ├─ …                                            ├─ (n, G, K) ─ softmax(· / T) ─ (n, G·K)
                                └─ trunk t                                      ┘

    A trunk is a small network of its own that yields G / trunks of the groups; several trunks are an
    ensemble inside one head. Without ``hidden_features`` the head is one linear layer.

    Append it to any ``SentenceTransformer``: it reads ``sentence_embedding``, keeps it as
    ``base_embedding``, and replaces it by the feature-group (FG) embedding, the concatenation of the G
    distributions.

    Args:
        in_features: Dimension d of the sentence embedding.
        groups: Number G of softmax groups.
        codes_per_group: Number K of codes of each group, at least 2.
        hidden_features: Width of each trunk's hidden layer; ``None`` for a linear head.
        trunks: Number of independent trunks; must divide ``groups``, more than one needs a hidden layer.
        temperature: T > 0 in softmax(z / T); it sharpens or flattens all groups alike.
        dropout: Dropout probability after the hidden layer, in training only.

    Raises:
        ValueError: If an argument is out of its range.
    """

    config_keys = [  # noqa: RUF012  # the base class declares it as a plain attribute
        "in_features",
        "groups",
        "codes_per_group",
        "hidden_features",
        "trunks",
        "temperature",
        "dropout",
    ]

    def __init__(
        self,
        in_features: int,
        groups: int,
        codes_per_group: int,
        hidden_features: int | None = None,
        trunks: int = 1,
        temperature: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped upstream
        _check_sizes(in_features, groups, codes_per_group, hidden_features, trunks)
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0, got {temperature}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        self.in_features = in_features
        self.groups = groups
        self.codes_per_group = codes_per_group
        self.hidden_features = hidden_features
        self.trunks = trunks
        self.temperature = temperature
        self.dropout = dropout
        out_features = groups * codes_per_group // trunks
        if hidden_features is None:
            self.networks = nn.ModuleList([nn.Linear(in_features, out_features)])
        else:
            self.networks = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(in_features, hidden_features),
                    nn.GELU(),
                    nn.LayerNorm(hidden_features),
                    nn.Dropout(dropout),
                    nn.Linear(hidden_features, out_features),
                )
                for _ in range(trunks)
            )

    def logits(self, embeddings: Tensor) -> Tensor:
        """Unnormalised log-probabilities z / T.

        Args:
            embeddings: ``(n, d)`` float tensor of any scale: the direction alone counts.

        Returns:
            ``(n, G, K)`` float tensor.
        """
        unit = nn.functional.normalize(embeddings, dim=-1)
        return self.logits_of_unit(unit)

    def logits_of_unit(self, unit: Tensor) -> Tensor:
        """As :meth:`logits`, for rows used as they are (training adds noise to unit vectors)."""
        flat = torch.cat([network(unit) for network in self.networks], dim=-1)
        return flat.view(*flat.shape[:-1], self.groups, self.codes_per_group) / self.temperature

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """The G distributions over K codes: ``(n, d)`` to ``(n, G, K)``, each group summing to one."""
        return self.logits(embeddings).softmax(dim=-1)

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Put the FG embedding ``(n, G·K)`` in the place of ``sentence_embedding`` ``(n, d)``."""
        base = features["sentence_embedding"]
        features["base_embedding"] = base
        features["sentence_embedding"] = self.probabilities(base).flatten(start_dim=-2)
        return features

    def get_embedding_dimension(self) -> int:
        """Length G·K of the FG embedding."""
        return self.groups * self.codes_per_group

    def save(self, output_path: str, *_: Any, safe_serialization: bool = True, **__: Any) -> None:
        """Write ``config.json`` and ``model.safetensors`` into the folder ``output_path``."""
        Path(output_path).mkdir(parents=True, exist_ok=True)
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **_: Any,
    ) -> Self:
        """Load a saved head from a folder or a model repository, as every sentence-transformers module.

        Args:
            model_name_or_path: Folder of the model, or its name.
            subfolder: Where in it the head lies, for example ``"3_FeatureGroupHead"``.
            token: For a private repository.
            cache_folder: Where downloads are kept.
            revision: Of the repository.
            local_files_only: Whether to keep from downloading.
            init_defaults: Constructor arguments for settings that the saved ones lack.
        """
        where: dict[str, Any] = {
            "subfolder": subfolder,
            "token": token,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }
        head = cls(**{**(init_defaults or {}), **cls.load_config(model_name_or_path, **where)})
        cls.load_torch_weights(model_name_or_path, model=head, **where)
        return head


def _check_sizes(in_features: int, groups: int, codes_per_group: int, hidden_features: int | None, trunks: int) -> None:
    if in_features < 1:
        raise ValueError(f"in_features must be at least 1, got {in_features}")
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    if codes_per_group < 2:
        raise ValueError(f"codes_per_group must be at least 2, got {codes_per_group}: one code carries no information")
    if hidden_features is not None and hidden_features < 1:
        raise ValueError(f"hidden_features must be at least 1 or None, got {hidden_features}")
    if trunks < 1 or groups % trunks:
        raise ValueError(f"trunks must divide groups, got trunks={trunks} and groups={groups}")
    if trunks > 1 and hidden_features is None:
        raise ValueError(f"trunks={trunks} needs hidden_features: linear trunks are one linear layer")
