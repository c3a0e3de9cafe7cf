"""FeatureGroupEncoder: any sentence-transformers model with a feature-group head."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from typing_extensions import Self

from fg_search.errors import EncoderNotFoundError, NotFittedError
from fg_search.model import saved_encoder
from fg_search.model.batching import encode_by_tokens
from fg_search.model.cache import EmbeddingCache
from fg_search.model.codebook import Codebook, Supervision
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.fingerprint import base_fingerprint, encoder_fingerprint
from fg_search.model.fit import HIDDEN, calibrate_temperature, fit_head, trained_sizes
from fg_search.model.head import FeatureGroupHead
from fg_search.model.pretrained import DEFAULT_MODEL, load_sentence_transformer
from fg_search.model.saved_encoder import SavedEncoder, check_target
from fg_search.model.temperature import Temperature
from fg_search.model.training_set import TrainingSet, training_set
from fg_search.validation import check_labels, check_texts, check_vectors

if TYPE_CHECKING:
    from fg_search.model.description import Description

__all__ = ["DEFAULT_MODEL", "FeatureGroupEncoder", "check_target"]

_CACHED_ROWS = 1024  # texts encoded between two writes to the cache


class FeatureGroupEncoder:
    """Encodes texts into base embeddings and feature-group distributions, in one pass.

    Args:
        model: A folder saved by :meth:`save`; or what ``SentenceTransformer`` takes: a name, a folder, or a
            ready ``SentenceTransformer`` (if its last module is a feature-group head, see
            :meth:`from_sentence_transformer`). With the extra ``demo`` installed, all-MiniLM-L6-v2 is read
            from its wheel, without a model hub.
        device: Where the model runs (``"cpu"``, ``"cuda"`` …); by default sentence-transformers chooses.
        cache_folder: Keep base embeddings here, by a hash of text and model, so that a second fit on the same
            texts costs seconds; by default they are not kept.

    Raises:
        EncoderNotFoundError: If there is no such model or folder.
        TypeError: If the model ends in a feature-group head already.
        ValueError: If it truncates its embeddings.

    Example:
        >>> encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> encoder.fit(texts, labels=labels).save("support-encoder")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SentenceTransformer,
        *,
        device: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.head: FeatureGroupHead | None = None
        self.codebook: Codebook | None = None
        self.folder: Path | None = None
        self.cache_folder = cache_folder
        if isinstance(model, SentenceTransformer):
            self.model = model
            self.model_name = model.model_card_data.base_model or "a SentenceTransformer"
        elif saved_encoder.is_saved_encoder(model):
            saved = saved_encoder.read(model, device)
            self.model, self.model_name = saved.model, saved.model_name
            self.head, self.codebook = saved.head, saved.codebook
            self.folder = Path(model).resolve()
        else:
            self.model = load_sentence_transformer(os.fspath(model), device)
            self.model_name = os.fspath(model)
        _check_base(self.model)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Load a folder written by :meth:`save`.

        Unlike ``SentenceTransformer(folder, trust_remote_code=True)`` it runs no code that the folder
        names, beyond the modules of sentence-transformers and this library.

        Raises:
            EncoderNotFoundError: If the folder is not there or holds no saved encoder.
            FormatVersionError: If a newer release wrote it.
        """
        if not saved_encoder.is_saved_encoder(folder):
            state = "is not a saved encoder" if Path(folder).is_dir() else "does not exist"
            raise EncoderNotFoundError(
                f"the folder {os.fspath(folder)!r} {state}; save one with encoder.save(folder) or "
                "`fg-search fit`, or, if it was moved, pass its new folder"
            )
        return cls(folder, device=device, cache_folder=cache_folder)

    @classmethod
    def from_sentence_transformer(
        cls, model: SentenceTransformer, codebook: Codebook, *, name: str = "a SentenceTransformer"
    ) -> Self:
        """Take over a ``SentenceTransformer`` whose last module is a trained head, such as after end-to-end training.

        Args:
            model: The whole pipeline.
            codebook: What the head learned.
            name: Of the base model, to be shown.

        Raises:
            TypeError: If the last module is no feature-group head.
            ValueError: If head and codebook have other sizes.
        """
        *modules, head = model
        if not isinstance(head, FeatureGroupHead):
            raise TypeError(f"the model's last module must be a FeatureGroupHead, it is {type(head).__name__}")
        if (head.groups, head.codes_per_group) != (codebook.groups, codebook.codes_per_group):
            raise ValueError(
                f"the head has {head.groups}x{head.codes_per_group} features, "
                f"the codebook {codebook.groups}x{codebook.codes_per_group}"
            )
        base = SentenceTransformer(
            modules=modules,
            device=str(model.device),
            prompts={key: prompt for key, prompt in model.prompts.items() if prompt is not None},
            default_prompt_name=model.default_prompt_name,
        )
        encoder = cls(base)
        encoder.model_name = name
        encoder.head, encoder.codebook = copy.deepcopy(head).to("cpu").float().eval(), codebook
        return encoder

    def to_sentence_transformer(self) -> SentenceTransformer:
        """Base model and head as one ``SentenceTransformer``: it shares the base model, the head is a copy.

        Raises:
            NotFittedError: If there is no trained head.
        """
        head, _ = self._fitted()
        return saved_encoder.with_head(self.model, head)

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
        """What the head was trained on: ``"labels"``, ``"attributes"``, ``"pairs"`` or ``"clusters"``."""
        return self._fitted()[1].supervision

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell this encoder from any other.

        A hash of the head's and codebook's whole content and of a sample of every weight tensor of the
        base model: the same weights give the same fingerprint wherever they are stored.

        Raises:
            NotFittedError: If there is no trained head.
        """
        return encoder_fingerprint(self.model, self.model_name, *self._fitted())

    @cached_property
    def base_fingerprint(self) -> str:
        """16 hexadecimal digits that tell this base model, without the head, from any other."""
        return base_fingerprint(self.model, self.model_name)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that groups of their own learned."""
        return tuple(self._fitted()[1].attributes)

    def fit(
        self,
        texts: Sequence[str] = (),
        *,
        labels: Sequence[str | None] | None = None,
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        pairs: Sequence[tuple[str, str]] | None = None,
        validation: tuple[Sequence[str], Sequence[str | None]] | None = None,
        groups: int | None = None,
        codes: int | None = None,
        embeddings: npt.ArrayLike | None = None,
        hidden: int | None = HIDDEN,
        trunks: int | None = None,
        steps: int | None = None,
        closed_form: bool | None = None,
        seed: int = 0,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> Self:
        """Train the head on ``texts``; the base model stays as it is.

        The kind of supervision is what is given: labels, attributes (alone or with labels), pairs, or nothing.

        Args:
            texts: Examples of what will be searched.
            labels: One label an example (``None`` where unknown).
            attributes: By name one value an example (``None`` where unknown); each gets a group of its own.
            pairs: Queries, each with a document that answers it (or with its duplicate). ``texts`` may hold
                more documents.
            validation: Other texts with their labels, to stop early and to calibrate on; by default some of
                the texts serve for it, see :func:`fg_search.fit_head`.
            groups: Number G of groups; by default 16 with labels or attributes, 32 without.
            codes: Number K of codes a group; by default as many as there are labels, up to 64 (more if an attribute
                has more values); 128 without labels and attributes.
            embeddings: ``(n, d)`` base embeddings of the texts, if they are already there.
            hidden: Width of the hidden layer of each trunk; ``None`` for a linear head.
            trunks: Independent trunks in the head; by default as many as :func:`fg_search.fit_head` chooses.
            steps: Optimisation steps; by default by the number of texts.
            closed_form: Whether the output layer is solved, see :func:`fg_search.fit_head`; ``False`` before training
                end to end.
            seed: Seed of everything random.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw progress bars; by default when stderr is a terminal.

        Returns:
            The encoder itself; ``encoder.head.history`` tells how the training went.

        Raises:
            ValueError: If a text is empty, there are fewer than two labels, or sizes do not fit.
        """
        # everything that can be checked is checked before the expensive part, which is encoding
        data = training_set(
            texts, labels=labels, attributes=attributes, pairs=pairs, groups=groups, codes=codes, seed=seed
        )
        held_out = None if validation is None else _check_validation(data, validation, labels)
        known = None
        if embeddings is not None:
            known = check_vectors(embeddings, name="embeddings", dimension=self.dimension)
            if len(known) != data.given:
                raise ValueError(f"embeddings has {len(known)} items, texts has {data.given}; give one for each text")
        embed = partial(self._embed, batch_size=batch_size, show_progress=show_progress)
        if known is None:
            known = embed(data.texts[: data.given], name="texts")
        vectors = np.concatenate([known, embed(data.texts[data.given :], name="texts of pairs")])
        codebook = data.codebook(vectors)
        self.head = fit_head(
            vectors,
            codebook,
            hidden=hidden,
            trunks=trunks,
            validation=None
            if held_out is None
            else (embed(held_out[0], name="validation texts"), codebook.targets_of_labels(held_out[1])),
            steps=steps,
            closed_form=closed_form,
            seed=seed,
            device=str(self.model.device),
            show_progress=show_progress,
        )
        self.codebook = codebook
        self._changed()
        return self

    def refitted(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None],
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        *,
        embeddings: npt.ArrayLike | None = None,
        seed: int = 0,
        batch_size: int = 64,
    ) -> FeatureGroupEncoder:
        """Another encoder on the same base model, with a new head of the same kind and sizes.

        Groups, codes, trunks and hidden units are as many as before; codes are more only where an attribute has more
        values by now.

        Args:
            texts: All examples there are by now.
            labels: One for each, ``None`` where unknown.
            attributes: Values of the attributes that this head learned, by name.
            embeddings: ``(n, d)`` base embeddings of the texts, if they are already there.
            seed: Seed of everything random.
            batch_size: Texts the base model encodes at once.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the head learned from labels and none is left, or as :meth:`fit`.
        """
        head, codebook = self._fitted()
        has_labels = any(label is not None for label in labels)
        if codebook.supervision == "labels" and not has_labels:
            raise ValueError("there is no label left to learn from; give labels, or fit an encoder without them")
        values = [len(set(column) - {None}) for column in (attributes or {}).values()]
        hidden, trunks = trained_sizes(head)
        other = type(self)(self.model, cache_folder=self.cache_folder)
        other.model_name = self.model_name
        return other.fit(
            texts,
            labels=labels if has_labels else None,
            attributes=attributes or None,
            groups=head.groups,
            codes=max([head.codes_per_group, *values]),
            hidden=hidden,
            trunks=trunks,
            embeddings=embeddings,
            seed=seed,
            batch_size=batch_size,
        )

    def calibrate_temperature(self, texts: Sequence[str], labels: Sequence[str | None]) -> Temperature:
        """Fit the head's temperature on held-out labelled texts; needed after end-to-end training.

        ``fit`` does it by itself.

        Returns:
            The temperature with the calibration error before and after.

        Raises:
            ValueError: If the head was not trained on labels, or none of these labels is known to it.
        """
        head, codebook = self._fitted()
        found = calibrate_temperature(head, self.embed(texts), codebook.targets_of_labels(labels))
        self._changed()
        return found

    def embed(
        self, texts: Sequence[str], *, batch_size: int = 64, show_progress: bool | None = None
    ) -> npt.NDArray[np.float32]:
        """Base embeddings alone, ``(n, d)`` float32; needs no head.

        Raises:
            TypeError, ValueError: If a text is missing or empty, or the model yields NaN; the message
                names its position.
        """
        return self._embed(check_texts(texts), name="texts", batch_size=batch_size, show_progress=show_progress)

    def _embed(
        self, texts: list[str], *, name: str, batch_size: int, show_progress: bool | None
    ) -> npt.NDArray[np.float32]:
        """As :meth:`embed`; ``name`` is what the caller calls the texts, for errors."""
        run = partial(
            self._run_model,
            batch_size=batch_size,
            show_progress=sys.stderr.isatty() if show_progress is None else show_progress,
        )
        if self.cache_folder is None:
            vectors = run(texts)
            _check_finite(vectors, texts, np.arange(len(texts)), name)
            return vectors
        cache = EmbeddingCache(self.cache_folder, self.base_fingerprint, self.dimension)
        vectors, found = cache.get(texts)
        missing = np.flatnonzero(~found)
        # long texts first, as sentence-transformers does within one call: less padding
        missing = missing[np.argsort([-len(texts[row]) for row in missing], kind="stable")]
        for start in range(0, len(missing), _CACHED_ROWS):
            rows = missing[start : start + _CACHED_ROWS]
            new = [texts[row] for row in rows]
            vectors[rows] = run(new)
            _check_finite(vectors[rows], new, rows, name)
            cache.put(new, vectors[rows])
        return vectors

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
        return FeatureEmbeddings(base, head.distributions(base), self.fingerprint)

    def describe(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None] | None = None,
        *,
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
    ) -> Description:
        """What the groups learned and what their codes mean, as shown by these texts.

        Args:
            texts: A sample of the corpus.
            labels: One label a text (``None`` where unknown).
            attributes: By name one value a text.
            embeddings: What this encoder made of the texts, if it is already there.
            batch_size: Texts the base model encodes at once.

        Returns:
            See :func:`fg_search.model.description.describe`; it prints well and gives a dict.
        """
        from fg_search.model.description import describe

        _, codebook = self._fitted()
        found = self.encode(texts, batch_size=batch_size) if embeddings is None else embeddings
        return describe(found, texts, labels, attributes=attributes, group_names=tuple(codebook.attributes))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save model, head and codebook; the folder appears complete or not at all.

        It is a sentence-transformers model: ``SentenceTransformer(folder, trust_remote_code=True)`` encodes
        texts to the ``G·K`` numbers of the FG embedding (the flag lets sentence-transformers import the
        head's class from this library; nothing is downloaded).

        Raises:
            NotFittedError: If there is no trained head.
            FileExistsError: If the folder holds something other than a saved encoder.
        """
        saved = SavedEncoder(self.model, self.model_name, *self._fitted())
        self.folder = saved_encoder.write(folder, saved, self.fingerprint)

    def _run_model(self, texts: list[str], *, batch_size: int, show_progress: bool) -> npt.NDArray[np.float32]:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return encode_by_tokens(self.model, texts, batch_size=batch_size, show_progress=show_progress)

    def _fitted(self) -> tuple[FeatureGroupHead, Codebook]:
        if self.head is None or self.codebook is None:
            raise NotFittedError(
                "this encoder has no trained head yet; call encoder.fit(texts, labels=…) or load a saved one"
            )
        return self.head, self.codebook

    def _changed(self) -> None:
        """What was saved, and the fingerprint, are of another head."""
        self.folder = None
        self.__dict__.pop("fingerprint", None)


def _check_base(model: SentenceTransformer) -> None:
    if model.truncate_dim is not None:
        raise ValueError(
            f"the model truncates its embeddings to {model.truncate_dim} numbers, which a saved encoder cannot repeat; "
            "load it without truncate_dim"
        )
    *_, last = model
    if isinstance(last, FeatureGroupHead):
        raise TypeError(
            "the model ends in a feature-group head already; use FeatureGroupEncoder.from_sentence_transformer(model, "
            "codebook), or, for a saved encoder, FeatureGroupEncoder.load(folder)"
        )


def _check_finite(
    vectors: npt.NDArray[np.float32], texts: list[str], positions: npt.NDArray[np.int64], name: str
) -> None:
    """Make sure that the model gave numbers; row i is of ``texts[i]``, which the caller has at ``positions[i]``."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        first = broken[positions[broken].argmin()]
        raise ValueError(
            f"the model gives NaN or infinite numbers for {name}[{positions[first]}], {texts[first][:60]!r} "
            f"({len(broken)} such text(s)); drop the text, or run the model in float32"
        )


def _check_validation(
    data: TrainingSet, validation: tuple[Sequence[str], Sequence[str | None]], learned: Sequence[str | None] | None
) -> tuple[list[str], Sequence[str | None]]:
    texts, labels = check_texts(validation[0], name="validation texts"), validation[1]
    if len(texts) != len(labels):
        raise ValueError(f"validation has {len(texts)} texts and {len(labels)} labels")
    if not data.learns_labels or learned is None:
        raise ValueError("validation holds labels, but the head does not learn from labels; leave it out")
    check_labels(labels, name="validation labels")
    if not set(labels) & set(learned) - {None}:
        raise ValueError("no validation example has a label that the head learns")
    return texts, labels
