"""The feature-group head: a dense vector in, G softmax groups of K codes out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers.base.modules import Module
from torch import Tensor, nn
from typing_extensions import Self

from fg_search._deprecation import renamed_parameters
from fg_search.confidence.familiarity import FamiliarityScale
from fg_search.model.familiarity import Familiarity
from fg_search.model.history import FitHistory

_ROWS = 8192  # rows per forward pass; bounds the memory of the hidden layer
# Saved settings have the attributes' names. The attribute ``hidden`` is the hidden layer itself, and ``codes`` means
# assigned codes everywhere else.
# in the saved settings: sizes of what belongs to them
_FAMILIARITY = "familiarity"
_QUERY_FAMILIARITY = "query_familiarity"
_PARAMETERS = {"codes_per_group": "codes", "hidden_features": "hidden"}


class FeatureGroupHead(Module):
    """Maps a sentence embedding to G independent softmax groups of K codes each.

    ::

        (n, d) ── unit length ──┬─ trunk 1: Linear ─ · √d ─ ReLU ─ Linear ─┐
                                ├─ …                                       ├─ (n, G, K) ─ softmax(· / T) ─ (n, G·K)
                                └─ trunk t                                 ┘

    A trunk is a small independent network that computes G / trunks of the groups; several trunks form an ensemble
    inside one head. Without ``hidden`` the head is one linear layer. There is no LayerNorm: it would scale up the small
    activations of an unfamiliar input, and with them the confidence (measured: docs/benchmarks.md).

    Append the head to any ``SentenceTransformer``. It reads ``sentence_embedding``, keeps it as ``base_embedding``, and
    replaces it with the feature-group (FG) embedding: the G distributions, concatenated.

    Args:
        in_features: Dimension d of the sentence embedding.
        groups: Number G of softmax groups.
        codes: Number K of codes per group, at least 2.
        hidden: Width of each trunk's hidden layer; ``None`` for a linear head.
        trunks: Number of independent trunks; must divide ``groups``. More than one needs a hidden layer.
        temperature: Temperature T > 0 in softmax(z / T), shared by all groups.
        dropout: Dropout probability in [0, 1), applied during training after the hidden layer (in a linear head,
            to the input).
        normalize: Whether to scale rows to unit length first, so that only their direction matters.
        rank: Rank of the output layer, which needs a hidden layer and a single trunk; ``None`` for full rank.

    Attributes:
        prototypes: Buffer of :attr:`familiarity`, as is ``familiarity_knots``.
        query_prototypes: Buffer of :attr:`query_familiarity`, as is ``query_familiarity_knots``.
        history: Training history if :func:`fg_search.fit_head` trained the head, otherwise ``None``; not saved.

    Raises:
        ValueError: If an argument is out of range.
    """

    config_keys = [  # noqa: RUF012  # the base class declares it as a plain attribute
        "in_features",
        "groups",
        "codes_per_group",
        "hidden_features",
        "trunks",
        "temperature",
        "dropout",
        "normalize",
        "rank",
    ]

    @renamed_parameters(codes_per_group="codes", hidden_features="hidden")
    def __init__(
        self,
        in_features: int,
        groups: int,
        codes: int,
        hidden: int | None = None,
        trunks: int = 1,
        temperature: float = 1.0,
        dropout: float = 0.0,
        normalize: bool = True,
        rank: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped upstream
        self.prototypes: Tensor | None
        self.familiarity_knots: Tensor | None
        self.query_prototypes: Tensor | None
        self.query_familiarity_knots: Tensor | None
        _check_sizes(in_features, groups, codes, hidden, trunks, rank)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be greater than 0 and finite, got {temperature}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        self.in_features = in_features
        self.groups = groups
        self.codes_per_group = codes
        self.hidden_features = hidden
        self.trunks = trunks
        self.temperature = float(temperature)
        self.dropout = dropout
        self.normalize = normalize
        self.rank = rank
        self.history: FitHistory | None = None
        # buffers, so that they are saved, hashed and copied with the weights; a head that knows none has no such entry
        for name in ("prototypes", "familiarity_knots", "query_prototypes", "query_familiarity_knots"):
            self.register_buffer(name, None)
        self.drop = _Dropout(dropout)
        if hidden is None:
            self.output: nn.Module = nn.Linear(in_features, groups * codes)
        else:
            self.hidden = nn.Linear(in_features, trunks * hidden)
            self.output = (
                _TrunkLinear(trunks, hidden, groups * codes // trunks)
                if rank is None
                else _LowRankLinear(hidden, rank, groups * codes)
            )

    @property
    def familiarity(self) -> Familiarity | None:
        """What the head was trained on, in short; ``None`` if that is not known, as of heads of release 0.1."""
        return _familiarity_of(self.prototypes, self.familiarity_knots)

    @familiarity.setter
    def familiarity(self, found: Familiarity | None) -> None:
        self.prototypes = None if found is None else found.prototypes
        self.familiarity_knots = None if found is None else torch.from_numpy(found.scale.knots)

    @property
    def query_familiarity(self) -> Familiarity | None:
        """The same of queries, where these are embedded in another way than documents; ``None`` if they are not."""
        return _familiarity_of(self.query_prototypes, self.query_familiarity_knots)

    @query_familiarity.setter
    def query_familiarity(self, found: Familiarity | None) -> None:
        self.query_prototypes = None if found is None else found.prototypes
        self.query_familiarity_knots = None if found is None else torch.from_numpy(found.scale.knots)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Unnormalised log-probabilities z / T.

        Args:
            embeddings: ``(n, d)`` float tensor.

        Returns:
            ``(n, G, K)`` float tensor.
        """
        rows = nn.functional.normalize(embeddings, dim=-1) if self.normalize else embeddings
        return self.logits_of_rows(rows)

    def logits_of_rows(self, rows: Tensor) -> Tensor:
        """Logits ``(n, G, K)`` of rows ``(n, d)`` without normalising them (training adds noise to unit vectors)."""
        if self.hidden_features is None:
            flat = self.output(self.drop(rows))
        else:
            flat = self.output(self.drop(self.hidden_units(rows)))
        logits: Tensor = flat.view(-1, self.groups, self.codes_per_group)
        return logits if self.temperature == 1 else logits / self.temperature

    def hidden_units(self, rows: Tensor) -> Tensor:
        """Activations ``(n, t·h)`` of the hidden layer for rows ``(n, d)``, without normalising them."""
        # √d brings products with a unit vector to order one and spreads the biases equally wide, so that the units
        # bend at many different places (without it, AUROC falls by .01)
        scale = self.in_features**0.5
        return nn.functional.linear(rows * scale, self.hidden.weight, self.hidden.bias * scale).relu()

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """The G distributions over K codes: ``(n, d)`` to ``(n, G, K)``; each group sums to one."""
        return self.logits(embeddings).softmax(dim=-1)

    def distributions(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Distributions ``(n, G, K)`` float32 for an array ``(n, d)``, without gradients, on the CPU."""
        found = np.empty((len(rows), self.groups, self.codes_per_group), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(rows), _ROWS):
                some = slice(start, start + _ROWS)
                found[some] = self.probabilities(torch.from_numpy(rows[some])).numpy()
        return found

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Replace ``sentence_embedding`` ``(n, d)`` with the FG embedding ``(n, G·K)``.

        Raises:
            ValueError: If d is not ``in_features``.
        """
        base = features["sentence_embedding"]
        if base.shape[-1] != self.in_features:
            raise ValueError(
                f"the head reads embeddings of dimension {self.in_features}, this model gives {base.shape[-1]}"
            )
        return _Features(
            features,
            base_embedding=base,
            sentence_embedding=self.probabilities(base).flatten(start_dim=-2),
        )

    def get_embedding_dimension(self) -> int:
        """Length G·K of the FG embedding."""
        return self.groups * self.codes_per_group

    def get_config_dict(self) -> dict[str, Any]:
        """The constructor's arguments; and the sizes of the prototypes and of their scales, if there are any."""
        config: dict[str, Any] = super().get_config_dict()
        if self.prototypes is not None and self.familiarity_knots is not None:
            config[_FAMILIARITY] = [len(self.prototypes), len(self.familiarity_knots)]
        if self.query_prototypes is not None and self.query_familiarity_knots is not None:
            config[_QUERY_FAMILIARITY] = [len(self.query_prototypes), len(self.query_familiarity_knots)]
        return config

    def save(self, output_path: str, *_: Any, safe_serialization: bool = True, **__: Any) -> None:
        """Write ``config.json`` and ``model.safetensors`` into the folder ``output_path``.

        Raises:
            ValueError: If ``safe_serialization`` is false: loading a pickle can run any code.
        """
        if not safe_serialization:
            raise ValueError("a feature-group head is saved as safetensors only; leave safe_serialization=False out")
        Path(output_path).mkdir(parents=True, exist_ok=True)
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=True)

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
        """Load a saved head from a folder or a model repository.

        Args:
            model_name_or_path: Folder or name of the model.
            subfolder: Subfolder of the head, for example ``"3_FeatureGroupHead"``.
            token: Access token for a private repository.
            cache_folder: Folder for downloads.
            revision: Revision of the repository.
            local_files_only: Whether to forbid downloads.
            init_defaults: Constructor arguments for settings missing from the saved config.
        """
        where: dict[str, Any] = {
            "subfolder": subfolder,
            "token": token,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }
        settings = {**(init_defaults or {}), **cls.load_config(model_name_or_path, **where)}
        sizes, query_sizes = settings.pop(_FAMILIARITY, None), settings.pop(_QUERY_FAMILIARITY, None)
        head = cls(**{_PARAMETERS.get(name, name): value for name, value in settings.items()})
        if sizes is not None:
            head.prototypes, head.familiarity_knots = torch.zeros(sizes[0], head.in_features), torch.zeros(sizes[1])
        if query_sizes is not None:
            head.query_prototypes = torch.zeros(query_sizes[0], head.in_features)
            head.query_familiarity_knots = torch.zeros(query_sizes[1])
        cls.load_torch_weights(model_name_or_path, model=head, **where)
        return head

    @classmethod
    def from_quaterion(cls, folder: str) -> Self:
        """Load a ``SoftmaxEmbeddingsHead`` saved by quaterion-models.

        It becomes a linear head that does not scale embeddings to unit length.

        Args:
            folder: Folder with ``config.json`` (``input_embedding_size``, ``output_groups``,
                ``output_size_per_group``, ``dropout``) and ``weights.bin`` (``projection_layer.weight`` and an optional
                bias). Weights are read with ``weights_only=True``: no code in the file is run.

        Returns:
            The head in evaluation mode, with the same outputs as the original.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the files do not describe such a head.
        """
        path = Path(folder)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        sizes = ("input_embedding_size", "output_groups", "output_size_per_group")
        missing = [name for name in sizes if name not in config]
        if missing:
            raise ValueError(f"{path / 'config.json'} is not of a SoftmaxEmbeddingsHead: it lacks {', '.join(missing)}")
        d, groups, codes = (config[name] for name in sizes)
        head = cls(d, groups, codes, dropout=config.get("dropout") or 0.0, normalize=False)
        saved = torch.load(path / "weights.bin", map_location="cpu", weights_only=True)
        weight, bias = saved.get("projection_layer.weight"), saved.get("projection_layer.bias")
        expected = (head.get_embedding_dimension(), head.in_features)
        if weight is None or tuple(weight.shape) != expected:
            found = "no such weight" if weight is None else f"shape {tuple(weight.shape)}"
            raise ValueError(f"projection_layer.weight in {path / 'weights.bin'} must have shape {expected}: {found}")
        zeros = torch.zeros(head.get_embedding_dimension())
        head.output.load_state_dict({"weight": weight, "bias": zeros if bias is None else bias})
        return head.eval()


def _familiarity_of(prototypes: Tensor | None, knots: Tensor | None) -> Familiarity | None:
    if prototypes is None or knots is None:
        return None
    return Familiarity(prototypes.cpu(), FamiliarityScale(knots.cpu().numpy()))


class _TrunkLinear(nn.Module):
    """One linear layer per trunk, computed as one batched product: ``(n, t·h)`` to ``(n, t·o)``."""

    def __init__(self, trunks: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.trunks = trunks
        bound = in_features**-0.5
        self.weight = nn.Parameter(torch.empty(trunks, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(trunks, 1, out_features))

    def forward(self, rows: Tensor) -> Tensor:
        by_trunk = rows.view(len(rows), self.trunks, -1).transpose(0, 1)
        return torch.baddbmm(self.bias, by_trunk, self.weight).transpose(0, 1).flatten(1)


class _LowRankLinear(nn.Module):
    """A low-rank linear layer: ``(n, h)`` to ``(n, r)`` to ``(n, o)``."""

    def __init__(self, in_features: int, rank: int, out_features: int) -> None:
        super().__init__()
        self.scores = nn.Linear(in_features, rank, bias=False)
        self.expand = nn.Linear(rank, out_features)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.expand(self.scores(rows))
        return found


class _Dropout(nn.Module):
    """Dropout with cheap masks: one random byte per number, so the probability is a multiple of 1/256.

    On a CPU, drawing the masks of ``nn.Dropout`` takes longer than the hidden layer: a third of the training time.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.dropped = min(round(256 * probability), 255)

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return rows
        words = torch.empty(-(-rows.numel() // 8), dtype=torch.int64, device=rows.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: rows.numel()].view(rows.shape) >= self.dropped
        return rows * kept.to(rows.dtype).mul_(256 / (256 - self.dropped))


class _Features(dict[str, Any]):
    """Output of the head that refuses to have its FG embedding truncated (``truncate_dim``).

    sentence-transformers truncates by assigning to the dict that the last module returns. Truncated groups are not
    distributions: every confidence and similarity computed from them would be wrong.
    """

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "sentence_embedding" and value.shape[-1] != self[name].shape[-1]:
            raise ValueError(
                f"a feature-group embedding cannot be truncated: its {self[name].shape[-1]} numbers are whole groups; "
                "leave truncate_dim out, or train a head with fewer groups or codes"
            )
        super().__setitem__(name, value)


def _check_sizes(
    in_features: int,
    groups: int,
    codes: int,
    hidden: int | None,
    trunks: int,
    rank: int | None,
) -> None:
    if in_features < 1:
        raise ValueError(f"in_features must be at least 1, got {in_features}")
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    if codes < 2:
        raise ValueError(f"codes must be at least 2, got {codes}: one code carries no information")
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden must be at least 1 or None, got {hidden}")
    if trunks < 1 or groups % trunks:
        raise ValueError(f"trunks must divide groups, got trunks={trunks} and groups={groups}")
    if trunks > 1 and hidden is None:
        raise ValueError(f"trunks={trunks} needs hidden: linear trunks are one linear layer")
    if rank is not None and (rank < 1 or hidden is None or trunks != 1):
        raise ValueError(
            f"rank must be at least 1 and needs a hidden layer of one trunk, got rank={rank}, "
            f"hidden={hidden}, trunks={trunks}"
        )
