"""FeatureGroupEncoder: any sentence-transformers model with a feature-group head."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from typing_extensions import Self

from fg_search.errors import EncoderNotFoundError, NotFittedError, StorageError
from fg_search.model import saved_encoder
from fg_search.model.base_embeddings import embed_texts
from fg_search.model.batching import BatchSize
from fg_search.model.cache import EmbeddingCache
from fg_search.model.codebook import Codebook, Supervision
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.familiarity import Familiarity
from fg_search.model.fingerprint import Fingerprints, combined
from fg_search.model.fit import HIDDEN, calibrate_temperature, fit_head, trained_sizes
from fg_search.model.head import FeatureGroupHead
from fg_search.model.learned_texts import LearnedTexts
from fg_search.model.pipeline import as_base, with_head, without_head
from fg_search.model.pretrained import DEFAULT_MODEL, load_sentence_transformer
from fg_search.model.reading import MOSTLY, Reading, warn_about
from fg_search.model.saved_encoder import SavedEncoder, check_target
from fg_search.model.sources import source_of
from fg_search.model.temperature import Temperature
from fg_search.model.text_tokenizer import KnownTokenizer
from fg_search.model.training_set import check_validation, training_set
from fg_search.validation import check_texts, check_vectors

if TYPE_CHECKING:
    from fg_search.model.description import Description

logger = logging.getLogger(__name__)

__all__ = ["DEFAULT_MODEL", "FeatureGroupEncoder", "check_target"]


class FeatureGroupEncoder:
    """Encodes texts into base embeddings and feature-group distributions, in one pass.

    Args:
        model: A folder written by :meth:`save`, or anything ``SentenceTransformer`` accepts: a model name, a folder, or
            a ready ``SentenceTransformer`` (if its last module is a feature-group head, use
            :meth:`from_sentence_transformer`). If the extra ``demo`` is installed, all-MiniLM-L6-v2 is read from its
            wheel instead of a model hub.
        device: Device that the model runs on (``"cpu"``, ``"cuda"`` …); by default sentence-transformers chooses.
        cache_folder: Folder of a cache of base embeddings, keyed by model and text, so that a second fit on the same
            texts takes seconds; by default nothing is cached. If it cannot be used, a warning is logged.
        trust_remote_code: Whether to run code that comes with the model, with all your rights. A saved encoder
            remembers that it needs such code, not that somebody trusted it.
        truncate_dim: Number of numbers kept of each base embedding, for models whose embeddings may be cut off
            (Matryoshka models); a saved encoder remembers it.
        tf32: Whether a CUDA device that has TF32 may use it for products of matrices, which makes long texts up to
            twice as fast. The embeddings change by less than what half precision changes (cosine of at least
            0.9999996 with all-MiniLM-L6-v2); nothing remembers the option.

    Raises:
        EncoderNotFoundError: If there is no such model or folder, or the folder is damaged.
        UntrustedCodeError: If the model needs code of its own, which is not trusted.
        TypeError: If the model already ends in a feature-group head.
        ValueError: If ``truncate_dim`` is given for a ready model or a saved encoder.

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
        trust_remote_code: bool = False,
        truncate_dim: int | None = None,
        tf32: bool = False,
    ) -> None:
        self.head: FeatureGroupHead | None = None
        self.codebook: Codebook | None = None
        self.learned: LearnedTexts | None = None
        self.cache_folder = cache_folder
        self.tf32 = tf32
        self._fingerprints = Fingerprints()
        self._tokenizer = KnownTokenizer()
        self._saved: tuple[Path, str] | None = None  # the folder, and the fingerprint of what is in it
        self._unusable_cache: str | os.PathLike[str] | None = None
        if truncate_dim is not None and (
            isinstance(model, SentenceTransformer) or saved_encoder.is_saved_encoder(model)
        ):
            raise ValueError(
                "truncate_dim is for a model that is given by its name; a saved encoder has its dimension, and a "
                "SentenceTransformer is made with it: SentenceTransformer(name, truncate_dim=…)"
            )
        if isinstance(model, SentenceTransformer):
            self.model = model
            self.model_name = model.model_card_data.base_model or "a SentenceTransformer"
        elif saved_encoder.is_saved_encoder(model):
            saved = saved_encoder.read(model, device, trust_remote_code=trust_remote_code)
            self.model, self.model_name = saved.model, saved.model_name
            self.head, self.codebook, self._fingerprints = saved.head, saved.codebook, saved.fingerprints
            self.learned = saved.learned
            self._saved = (Path(model).resolve(), self.fingerprint)
            if self.head.familiarity is None:
                logger.warning(
                    "the encoder in %r does not know which texts are familiar: an earlier release saved it, or it "
                    "was trained end to end. Call encoder.learn_familiarity(texts) with the texts it was trained on, "
                    "and save it, or fit it again",
                    os.fspath(model),
                )
        else:
            self.model = load_sentence_transformer(
                os.fspath(model), device, trust_remote_code=trust_remote_code, truncate_dim=truncate_dim
            )
            self.model_name = os.fspath(model)
        self.model = as_base(self.model)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        tf32: bool = False,
    ) -> Self:
        """Load a folder written by :meth:`save`; what is loaded is what was saved, or an error.

        Unlike ``SentenceTransformer(folder, trust_remote_code=True)``, this runs no code named in the folder except
        the modules of sentence-transformers and of this library, unless you trust it.

        Args:
            folder: Folder of a saved encoder.
            device: Device that the model runs on; by default sentence-transformers chooses.
            cache_folder: Folder of a cache of base embeddings; by default nothing is cached.
            trust_remote_code: Whether to run code that comes with the base model, with all your rights.
            tf32: Whether a CUDA device may use TF32.

        Raises:
            EncoderNotFoundError: If the folder does not exist, is not a saved encoder, is damaged or incomplete, or
                holds another encoder than the one that was saved in it.
            FormatVersionError: If a newer release wrote the folder.
            UntrustedCodeError: If the encoder needs code of its own, which is not trusted.
        """
        if not saved_encoder.is_saved_encoder(folder):
            state = "is not a saved encoder" if Path(folder).is_dir() else "does not exist"
            raise EncoderNotFoundError(
                f"the folder {os.fspath(folder)!r} {state}; save one with encoder.save(folder) or "
                "`fg-search fit`, or, if it was moved, pass its new folder"
            )
        return cls(folder, device=device, cache_folder=cache_folder, trust_remote_code=trust_remote_code, tf32=tf32)

    @classmethod
    def from_sentence_transformer(
        cls, model: SentenceTransformer, codebook: Codebook, *, name: str = "a SentenceTransformer"
    ) -> Self:
        """Make an encoder from a ``SentenceTransformer`` that ends in a trained head, as after end-to-end training.

        Args:
            model: The whole pipeline: base model and head.
            codebook: The codebook that the head was trained on.
            name: Display name of the base model.

        Raises:
            TypeError: If the last module is not a feature-group head.
            ValueError: If head and codebook differ in size.
        """
        base, head = without_head(model)
        if (head.groups, head.codes_per_group) != (codebook.groups, codebook.codes_per_group):
            raise ValueError(
                f"the head has {head.groups}x{head.codes_per_group} features, "
                f"the codebook {codebook.groups}x{codebook.codes_per_group}"
            )
        encoder = cls(base)
        encoder.model_name = name
        encoder.head, encoder.codebook = head, codebook
        return encoder

    def to_sentence_transformer(self) -> SentenceTransformer:
        """Base model and head as one ``SentenceTransformer``, which shares the base model and gets a copy of the head.

        Raises:
            NotFittedError: If there is no trained head.
        """
        head, _ = self._fitted()
        return with_head(self.model, head)

    def __repr__(self) -> str:
        head = f"{self.groups}x{self.codes_per_group}" if self.is_fitted else "not fitted"
        return f"FeatureGroupEncoder({self.model_name!r}, features={head})"

    @property
    def is_fitted(self) -> bool:
        """Whether the encoder has a trained head."""
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
        """Number K of codes per group."""
        return self._fitted()[0].codes_per_group

    @property
    def supervision(self) -> Supervision:
        """What the head was trained on: ``"labels"``, ``"attributes"``, ``"pairs"`` or ``"clusters"``."""
        return self._fitted()[1].supervision

    @property
    def fingerprint(self) -> str:
        """Fingerprint of this encoder as it is now: 16 hexadecimal digits.

        It hashes all weights, what the tokenizer makes of texts, prompts, maximum length and data type, head and
        codebook: the same vectors for the same texts, wherever the encoder is stored. It changes with the model's
        settings.

        Raises:
            NotFittedError: If there is no trained head.
        """
        return combined(self._fingerprints.parts(self.model, self.model_name, *self._fitted()))

    @property
    def base_fingerprint(self) -> str:
        """Fingerprint of the base model without the head, as it is now: 16 hexadecimal digits."""
        return combined(self._fingerprints.parts_of_base(self.model, self.model_name))

    def has_fingerprint(self, fingerprint: str) -> bool:
        """Whether this is the encoder that has, or had in release 0.1, this fingerprint.

        Raises:
            NotFittedError: If there is no trained head.
        """
        if fingerprint == self.fingerprint:
            return True
        return fingerprint == self._fingerprints.former(self.model, self.model_name, *self._fitted())

    def has_base_fingerprint(self, fingerprint: str) -> bool:
        """Whether its base model has, or had in release 0.1, this fingerprint."""
        if fingerprint == self.base_fingerprint:
            return True
        return fingerprint == self._fingerprints.former_base(self.model, self.model_name)

    @property
    def folder(self) -> Path | None:
        """Folder that the encoder is saved in as it is now; ``None`` if there is none, or a setting has changed."""
        if self._saved is None or not self.is_fitted:
            return None
        folder, fingerprint = self._saved
        return folder if fingerprint == self.fingerprint else None

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that have a group of their own."""
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
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> Self:
        """Train the head on ``texts``; the base model stays frozen.

        The arguments decide what the head learns: labels, attributes (with or without labels), pairs, or, if none of
        these is given, clusters.

        Args:
            texts: Examples of the texts to be searched.
            labels: One label per text, ``None`` where unknown.
            attributes: One value per text, ``None`` where unknown, for each attribute name. Each attribute gets a group
                of its own.
            pairs: Queries, each with a document that answers it (or with its duplicate). ``texts`` may hold more
                documents.
            validation: Held-out texts and their labels, for early stopping and temperature calibration; by default a
                part of ``texts`` is held out, see :func:`fg_search.fit_head`.
            groups: Number G of groups; by default 16 with labels or attributes, otherwise 32.
            codes: Number K of codes per group; by default the number of labels, at most 64 (more if an attribute has
                more values), and 128 without labels and attributes.
            embeddings: ``(n, d)`` precomputed base embeddings of ``texts``.
            hidden: Width of each trunk's hidden layer; ``None`` for a linear head.
            trunks: Number of independent trunks; by default :func:`fg_search.fit_head` chooses.
            steps: Number of optimisation steps; by default it depends on the number of texts.
            closed_form: Whether to solve the output layer in closed form, see :func:`fg_search.fit_head`; pass
                ``False`` before end-to-end training.
            seed: Random seed.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.
            show_progress: Whether to show progress bars; by default only if stderr is a terminal.

        Returns:
            The encoder itself; ``encoder.head.history`` describes the training run.

        Raises:
            TypeError: If a text or label is missing or not a string; the message names its position.
            ValueError: If a text is empty, there are fewer than two labels, or lengths or sizes do not match.
        """
        # check everything before encoding, which is the expensive part
        data = training_set(
            texts, labels=labels, attributes=attributes, pairs=pairs, groups=groups, codes=codes, seed=seed
        )
        held_out = None if validation is None else check_validation(data, validation, labels)
        known = None
        if embeddings is not None:
            known = check_vectors(embeddings, name="embeddings", dimension=self.dimension)
            if len(known) != data.given:
                raise ValueError(f"embeddings has {len(known)} items, texts has {data.given}; give one for each text")
        embed = partial(self._embed_for_fit, batch_size=batch_size, show_progress=show_progress)
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
        self.learned = LearnedTexts.of(data.texts)
        self._saved = None
        return self

    def refitted(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None],
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        *,
        embeddings: npt.ArrayLike | None = None,
        seed: int = 0,
        batch_size: int | None = None,
    ) -> FeatureGroupEncoder:
        """A new encoder on the same base model, with a new head of the same kind and size.

        Groups, trunks and hidden width stay the same. The number of codes grows only if an attribute now has more
        values than codes.

        Args:
            texts: All current examples.
            labels: One label per text, ``None`` where unknown.
            attributes: Values of the attributes that this head learned, by attribute name.
            embeddings: ``(n, d)`` precomputed base embeddings of ``texts``.
            seed: Random seed.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the head was trained on labels and none is left; or as in :meth:`fit`.
        """
        head, codebook = self._fitted()
        has_labels = any(label is not None for label in labels)
        if codebook.supervision == "labels" and not has_labels:
            raise ValueError("there is no label left to learn from; give labels, or fit an encoder without them")
        values = [len(set(column) - {None}) for column in (attributes or {}).values()]
        hidden, trunks = trained_sizes(head)
        other = type(self)(self.model, cache_folder=self.cache_folder, tf32=self.tf32)
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
        """Fit the head's temperature on held-out labelled texts.

        Call it after end-to-end training; :meth:`fit` already does it.

        Args:
            texts: Texts that the head was not trained on.
            labels: One label per text, ``None`` where unknown.

        Returns:
            The temperature with the calibration error before and after.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the head was not trained on labels, or knows none of these labels.
        """
        head, codebook = self._fitted()
        found = calibrate_temperature(head, self.embed(texts), codebook.targets_of_labels(labels))
        self._saved = None
        return found

    def learn_familiarity(
        self,
        texts: Sequence[str] = (),
        *,
        embeddings: npt.ArrayLike | None = None,
        batch_size: int = 64,
        seed: int = 0,
    ) -> Self:
        """Learn which texts are familiar, from the texts that the head was trained on.

        :meth:`fit` already does it. It is for an encoder that was saved by release 0.1 or trained end to end; the
        fingerprint changes.

        Args:
            texts: At least two texts that the head was trained on.
            embeddings: ``(n, d)`` precomputed base embeddings of these texts, in their place.
            batch_size: Number of texts per forward pass of the base model.
            seed: Random seed of the prototypes.

        Returns:
            The encoder itself.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If there are fewer than two texts.
        """
        head, _ = self._fitted()
        if embeddings is None:
            rows = self.embed(texts, batch_size=batch_size)
        else:
            rows = check_vectors(embeddings, name="embeddings", dimension=head.in_features)
        found = Familiarity.of(rows, seed=seed)
        if found is None:
            raise ValueError(f"familiarity is learned from at least 2 texts, got {len(rows)}")
        head.familiarity = found
        self._saved = None
        return self

    def embed(
        self, texts: Sequence[str], *, batch_size: int | None = None, show_progress: bool | None = None
    ) -> npt.NDArray[np.float32]:
        """Base embeddings only, ``(n, d)`` float32; needs no head.

        Args:
            texts: n non-empty texts.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.
            show_progress: Whether to show a progress bar; by default only if stderr is a terminal.

        Raises:
            TypeError, ValueError: If a text is missing or empty, or the model returns NaN; the message names its
                position.
        """
        checked = check_texts(texts)
        vectors, reading = self._embed(checked, name="texts", batch_size=batch_size, show_progress=show_progress)
        self._warn(reading, checked, "texts")
        return vectors

    def _embed(
        self, texts: list[str], *, name: str, batch_size: int | None, show_progress: bool | None
    ) -> tuple[npt.NDArray[np.float32], Reading]:
        """Embed checked texts; ``name`` is the caller's name for them in error messages."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32), Reading.unknown(0)
        size = BatchSize.of(batch_size, self.model.device)
        source = source_of(self.model, texts, self._tokenizer, tf32=self.tf32)
        vectors = embed_texts(source, texts, name=name, cache=self._cache(), size=size, show_progress=show_progress)
        reading = source.reading()
        return vectors, Reading.unknown(len(texts)) if reading is None else reading

    def _embed_for_fit(self, texts: list[str], *, name: str, **options: Any) -> npt.NDArray[np.float32]:
        vectors, reading = self._embed(texts, name=name, **options)
        self._warn(reading, texts, name)
        return vectors

    def _cache(self) -> EmbeddingCache | None:
        """The cache of the base model as it is now; ``None``, after one warning, if it cannot be used."""
        if self.cache_folder is None or self.cache_folder == self._unusable_cache:
            return None
        try:
            return EmbeddingCache(self.cache_folder, self.base_fingerprint, self.dimension)
        except StorageError as error:
            self._unusable_cache = self.cache_folder
            logger.warning("%s; going on without it", error)
            return None

    def _warn(self, reading: Reading, texts: list[str], name: str) -> None:
        warn_about(reading, texts, lambda row: f"{name}[{row}]", what=name.split()[0])

    def encode(
        self,
        texts: Sequence[str],
        *,
        batch_size: int | None = None,
        show_progress: bool | None = None,
        warn: bool = True,
    ) -> FeatureEmbeddings:
        """Base embeddings and feature-group distributions of ``texts``.

        Args:
            texts: n non-empty texts.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.
            show_progress: Whether to show a progress bar; by default only if stderr is a terminal.
            warn: Whether to log a warning about texts that the model reads in part only. Either way the result tells
                which (``reading``).

        Raises:
            NotFittedError: If there is no trained head.
            TypeError, ValueError: If a text is missing or empty; the message names its position.
        """
        self._fitted()
        checked = check_texts(texts)
        vectors, reading = self._embed(checked, name="texts", batch_size=batch_size, show_progress=show_progress)
        if warn:
            self._warn(reading, checked, "texts")
        found = self.features(vectors)
        familiarity = found.familiarity
        if familiarity is not None and (reading.unread > MOSTLY).any():
            familiarity = np.where(reading.unread > MOSTLY, np.float32(0), familiarity)
        return replace(found, reading=reading, familiarity=familiarity)

    def features(self, embeddings: npt.ArrayLike) -> FeatureEmbeddings:
        """Feature-group distributions of precomputed base embeddings ``(n, d)``.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the dimension is wrong or a row contains NaN or infinity.
        """
        head, codebook = self._fitted()
        base = check_vectors(embeddings, name="embeddings", dimension=head.in_features)
        learned = head.familiarity
        return FeatureEmbeddings(
            base,
            head.distributions(base),
            self.fingerprint,
            familiarity=None if learned is None else learned(base),
            label_codes=codebook.label_codes if codebook.labels else None,
        )

    def describe(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None] | None = None,
        *,
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int | None = None,
    ) -> Description:
        """Describe what the groups learned and what their codes mean, using a sample of texts.

        Args:
            texts: n texts sampled from the corpus.
            labels: One label per text, ``None`` where unknown.
            attributes: One value per text, ``None`` where unknown, for each attribute name.
            embeddings: Precomputed embeddings of ``texts`` by this encoder.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.

        Returns:
            A description to print, or to convert by ``to_dict``; see :func:`fg_search.model.description.describe`.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If there are no texts, or lengths differ.
        """
        from fg_search.model.description import describe

        _, codebook = self._fitted()
        found = self.encode(texts, batch_size=batch_size) if embeddings is None else embeddings
        return describe(found, texts, labels, attributes=attributes, group_names=tuple(codebook.attributes))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save base model, head and codebook; the folder appears complete or not at all.

        What was written is loaded again and compared before it takes its place.

        The folder is a sentence-transformers model: ``SentenceTransformer(folder, trust_remote_code=True)`` encodes
        texts into the ``G·K`` numbers of the FG embedding. (The flag lets sentence-transformers import the head's class
        from this library; nothing is downloaded.)

        Args:
            folder: Folder to write; a saved encoder in it is replaced.

        Raises:
            NotFittedError: If there is no trained head.
            FileExistsError: If the folder contains anything other than a saved encoder.
            StorageError: If the folder cannot be written, or what was written does not load as this encoder.
            ValueError: If a module's class is defined where no other process finds it.
        """
        saved = SavedEncoder(self.model, self.model_name, *self._fitted(), self._fingerprints, self.learned)
        self._saved = (saved_encoder.write(folder, saved), self.fingerprint)

    def _fitted(self) -> tuple[FeatureGroupHead, Codebook]:
        if self.head is None or self.codebook is None:
            raise NotFittedError(
                "this encoder has no trained head yet; call encoder.fit(texts, labels=…) or load a saved one"
            )
        return self.head, self.codebook
