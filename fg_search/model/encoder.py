"""FeatureGroupEncoder: any embedder, such as a sentence-transformers model, with a feature-group head."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from typing_extensions import Self

from fg_search._deprecation import renamed_parameters
from fg_search.errors import EncoderNotFoundError, NotFittedError, StorageError, UnsupportedError
from fg_search.model import saved_encoder
from fg_search.model.base_embeddings import embed_texts
from fg_search.model.cache import EmbeddingCache
from fg_search.model.codebook import Codebook, Supervision
from fg_search.model.embedders.brought import BroughtVectors
from fg_search.model.embedders.embedder import Embedder, is_embedder
from fg_search.model.embedders.images import embed_images
from fg_search.model.embedders.sentence_transformer import SentenceTransformerEmbedder
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.familiarity import Familiarity
from fg_search.model.fingerprint import Fingerprints, combined
from fg_search.model.fit import HIDDEN, calibrate_temperature, fit_head, trained_sizes
from fg_search.model.foreign_vectors import ForeignVectors, foreign_vectors
from fg_search.model.head import FeatureGroupHead
from fg_search.model.learned_texts import LearnedTexts
from fg_search.model.pipeline import with_head, without_head
from fg_search.model.pretrained import DEFAULT_MODEL, Backend
from fg_search.model.progress import Progress
from fg_search.model.reading import MOSTLY, Reading, warn_about
from fg_search.model.role import Role, check_role
from fg_search.model.saved_encoder import SavedEncoder, check_target, parts_of_embedder
from fg_search.model.temperature import Temperature
from fg_search.model.training_set import MAX_CODES, check_validation, training_set
from fg_search.model.vector_norms import VectorNorms
from fg_search.validation import check_brought, check_list, check_texts, check_vectors

if TYPE_CHECKING:
    from PIL.Image import Image

    from fg_search.model.description import Description

logger = logging.getLogger(__name__)

__all__ = ["DEFAULT_MODEL", "FeatureGroupEncoder", "check_target"]

_FAMILIAR_QUERIES = 4096  # texts embedded as queries, too, to learn which queries are familiar


class FeatureGroupEncoder:
    """Encodes texts into base embeddings and feature-group distributions, in one pass.

    Args:
        model: A folder written by :meth:`save`; or anything ``SentenceTransformer`` accepts: a model name, a folder, or
            a ready ``SentenceTransformer`` (if its last module is a feature-group head, use
            :meth:`from_sentence_transformer`); or any other :class:`~fg_search.model.embedders.embedder.Embedder`. If
            the extra ``demo`` is installed, all-MiniLM-L6-v2 is read from its wheel instead of a model hub.
        device: Device that the model runs on (``"cpu"``, ``"cuda"`` …); by default sentence-transformers chooses.
        cache_folder: Folder of a cache of base embeddings, keyed by model and text, so that a second fit on the same
            texts takes seconds; by default nothing is cached. If it cannot be used, a warning is logged.
        trust_remote_code: Whether to run code that comes with the model, with all your rights. A saved encoder
            remembers that it needs such code, not that somebody trusted it.
        truncate_dim: Number of numbers kept of each base embedding, for models whose embeddings may be cut off
            (Matryoshka models); a saved encoder remembers it.
        dtype: Type of the model's weights as torch calls it, such as ``"float16"``; by default what its files say. A
            saved encoder remembers it.
        backend: What runs the model: ``"torch"``, ``"onnx"`` or ``"openvino"``; a saved encoder remembers it.
        query_prompt: What stands before each query, or the name of one of the model's prompts. By default what the
            model says: its prompt ``query``, its routes and task adapters, as in ``SentenceTransformer.encode_query``.
        document_prompt: The same for documents: the model's prompt ``document``, ``passage`` or ``corpus``.
        symmetric: Whether queries and documents are the same kind of text, as for intents: all are embedded alike, as
            ``SentenceTransformer.encode`` does, with the prompt that is given here, if any.
        embedder: Embedder of a saved encoder, where it cannot be made again from what was saved (a function).
        tf32: Whether a CUDA device that has TF32 may use it for products of matrices, which makes long texts up to
            twice as fast. The embeddings change by less than what half precision changes (cosine of at least
            0.9999996 with all-MiniLM-L6-v2); nothing remembers the option.

    Attributes:
        embedder: What makes the base embeddings.
        norms: Lengths of the vectors that the head was trained on; ``None`` if they are not known.

    Raises:
        EncoderNotFoundError: If there is no such model or folder, or the folder is damaged.
        ModelMismatchError: If the embedder is not that of the saved encoder.
        UnsupportedError: If the packages of the backend are missing.
        UntrustedCodeError: If the model needs code of its own, which is not trusted.
        TypeError: If the model already ends in a feature-group head.
        ValueError: If an option of a model that is loaded by its name is given for something else.

    Example:
        >>> encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> encoder.fit(texts, labels=labels).save("support-encoder")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SentenceTransformer | Embedder,
        *,
        device: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        truncate_dim: int | None = None,
        dtype: str | None = None,
        backend: Backend = "torch",
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        symmetric: bool = False,
        embedder: Embedder | None = None,
        tf32: bool = False,
    ) -> None:
        self.embedder: Embedder
        self.head: FeatureGroupHead | None = None
        self.codebook: Codebook | None = None
        self.learned: LearnedTexts | None = None
        self.norms: VectorNorms | None = None
        self.cache_folder = cache_folder
        self._fingerprints = Fingerprints()
        self._saved: tuple[Path, str] | None = None  # the folder, and the fingerprint of what is in it
        self._unusable_cache: str | os.PathLike[str] | None = None
        given = {
            "truncate_dim": truncate_dim,
            "dtype": dtype,
            "backend": None if backend == "torch" else backend,
            "query_prompt": query_prompt,
            "document_prompt": document_prompt,
            "symmetric": symmetric or None,
        }
        if embedder is not None:
            _check_embedder(embedder, "embedder must be an embedder")
        if isinstance(model, (str, os.PathLike)) and saved_encoder.is_saved_encoder(model):
            _refuse(given, "a saved encoder has its settings; fit another one to change them")
            saved = saved_encoder.read(model, device, trust_remote_code=trust_remote_code, embedder=embedder)
            self.embedder, self.head, self.codebook = saved.embedder, saved.head, saved.codebook
            self._fingerprints, self.learned, self.norms = saved.fingerprints, saved.learned, saved.norms
            if isinstance(self.embedder, SentenceTransformerEmbedder):
                self.embedder.tf32 = tf32
            self._saved = (Path(model).resolve(), self.fingerprint)
            if self.head.familiarity is None:
                logger.warning(
                    "the encoder in %r does not know which texts are familiar: an earlier release saved it, or it "
                    "was trained end to end. Call encoder.learn_familiarity(texts) with the texts it was trained on, "
                    "and save it, or fit it again",
                    os.fspath(model),
                )
            return
        if embedder is not None:
            raise ValueError("embedder is for a saved encoder; make a new one of it: FeatureGroupEncoder(embedder)")
        if isinstance(model, (str, os.PathLike, SentenceTransformer)):
            self.embedder = SentenceTransformerEmbedder(
                model,
                device=device,
                dtype=dtype,
                backend=backend,
                truncate_dim=truncate_dim,
                trust_remote_code=trust_remote_code,
                query_prompt=query_prompt,
                document_prompt=document_prompt,
                symmetric=symmetric,
                tf32=tf32,
            )
            return
        _check_embedder(model, "model must be a name, a folder, a SentenceTransformer or an embedder")
        _refuse(given, "an embedder has settings of its own: give it there")
        self.embedder = model

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        device: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        trust_remote_code: bool = False,
        embedder: Embedder | None = None,
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
            embedder: The encoder's embedder, if it cannot be made again from what was saved: a function, or a class of
                your own. Without it, the encoder takes vectors that are brought along, and embeds no text.
            tf32: Whether a CUDA device may use TF32.

        Raises:
            ModelMismatchError: If the embedder is another one than the encoder was fitted with.
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
        return cls(
            folder,
            device=device,
            cache_folder=cache_folder,
            trust_remote_code=trust_remote_code,
            embedder=embedder,
            tf32=tf32,
        )

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
        encoder = cls(base, symmetric=True)
        encoder.model_name = name
        encoder.head, encoder.codebook = head, codebook
        return encoder

    def to_sentence_transformer(self) -> SentenceTransformer:
        """Base model and head as one ``SentenceTransformer``, which shares the base model and gets a copy of the head.

        Raises:
            NotFittedError: If there is no trained head.
            UnsupportedError: If the base embeddings are not those of a ``SentenceTransformer``.
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
    def model(self) -> SentenceTransformer:
        """The ``SentenceTransformer`` that makes the base embeddings. Another one may be set in its place.

        Raises:
            UnsupportedError: If something else makes them.
        """
        return self._sentence_transformer.model

    @model.setter
    def model(self, model: SentenceTransformer) -> None:
        self.embedder = self._sentence_transformer.with_model(model)

    @property
    def model_name(self) -> str:
        """Name of what makes the base embeddings, for people to read."""
        return self.embedder.name

    @model_name.setter
    def model_name(self, name: str) -> None:
        self._sentence_transformer.name = name

    @property
    def _sentence_transformer(self) -> SentenceTransformerEmbedder:
        if not isinstance(self.embedder, SentenceTransformerEmbedder):
            raise UnsupportedError(
                f"the base embeddings are those of {self.embedder.name!r}, which is no SentenceTransformer; use "
                "encoder.embedder"
            )
        return self.embedder

    @property
    def dimension(self) -> int:
        """Dimension d of the base embeddings."""
        return self.embedder.dimension

    @property
    def embeds_queries_apart(self) -> bool:
        """Whether a text is embedded in another way as a query than as a document, and there is what embeds it."""
        nothing_embeds = isinstance(self.embedder, BroughtVectors) and self.embedder.embedder is None
        return not self.embedder.is_symmetric and not nothing_embeds

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
        head = self._fingerprints.of_head(*self._fitted())
        return combined({**parts_of_embedder(self.embedder), "head": head})

    @property
    def base_fingerprint(self) -> str:
        """Fingerprint of the base model without the head, as it is now: 16 hexadecimal digits."""
        return self.embedder.fingerprint

    def has_fingerprint(self, fingerprint: str) -> bool:
        """Whether this is the encoder that has, or had in release 0.1, this fingerprint.

        Raises:
            NotFittedError: If there is no trained head.
        """
        if fingerprint == self.fingerprint:
            return True
        head, codebook = self._fitted()
        return self._is_as_before and fingerprint == self._fingerprints.former(
            self.model, self.model_name, head, codebook
        )

    def has_base_fingerprint(self, fingerprint: str) -> bool:
        """Whether its base model has, or had in release 0.1, this fingerprint."""
        if fingerprint == self.base_fingerprint:
            return True
        return self._is_as_before and fingerprint == self._fingerprints.former_base(self.model, self.model_name)

    @property
    def _is_as_before(self) -> bool:
        """Whether release 0.1 could have made the same vectors: it took all texts as ``SentenceTransformer.encode``."""
        known = self.embedder
        return isinstance(known, SentenceTransformerEmbedder) and known.roles.are_plain(known.model)

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

    @renamed_parameters(embeddings="vectors")
    def fit(
        self,
        texts: Sequence[str] = (),
        *,
        labels: Sequence[str | None] | None = None,
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        pairs: Sequence[tuple[str, str]] | None = None,
        validation: tuple[Sequence[str] | npt.NDArray[np.floating[Any]], Sequence[str | None]] | None = None,
        groups: int | None = None,
        codes: int | None = None,
        vectors: npt.ArrayLike | None = None,
        query_vectors: npt.ArrayLike | None = None,
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

        Texts are documents, as the items of an index are, and the queries of pairs are queries. Where the model embeds
        the two in different ways, up to 4,096 of the texts are embedded as queries, too, unless there are pairs or
        ``query_vectors``, so that the encoder knows how familiar queries look.

        Args:
            texts: Examples of the texts to be searched; not needed beside ``vectors``.
            labels: One label per text, ``None`` where unknown.
            attributes: One value per text, ``None`` where unknown, for each attribute name. Each attribute gets a group
                of its own.
            pairs: Queries, each with a document that answers it (or with its duplicate). ``texts`` may hold more
                documents.
            validation: Held-out texts, or vectors ``(m, d)``, and their labels, for early stopping and temperature
                calibration; by default a part of ``texts`` is held out, see :func:`fg_search.fit_head`.
            groups: Number G of groups; by default 16 with labels or attributes, otherwise 32.
            codes: Number K of codes per group; by default the number of labels, at most 64 (more if an attribute has
                more values), and 128 without labels and attributes.
            vectors: ``(n, d)`` base embeddings that you have already, one for each of ``texts`` or, without texts, for
                each label.
            query_vectors: ``(m, d)`` base embeddings of queries like those to come, for their familiarity, where the
                model embeds queries in another way than documents.
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
            ValueError: If a text is empty, there are fewer than two labels, or lengths or sizes do not match; or a
                vector is not finite, or zero, or of another dimension.
            NoEmbedderError: If a text must be embedded and there is nothing to embed it.
        """
        # check everything before encoding, which is the expensive part
        known = None
        check_list(texts, "texts", ordered=True)
        texts = texts if isinstance(texts, Sized) else list(texts)
        if vectors is not None:
            known = check_brought(vectors, dimension=self.dimension, count=len(texts) if len(texts) else None)
        asked = (
            None
            if query_vectors is None
            else check_brought(query_vectors, name="query_vectors", dimension=self.dimension)
        )
        has_texts = known is None or len(texts) > 0
        if known is not None and not has_texts:
            texts = [f"vectors[{row}]" for row in range(len(known))]
        data = training_set(
            texts, labels=labels, attributes=attributes, pairs=pairs, groups=groups, codes=codes, seed=seed
        )
        held_out = None if validation is None else check_validation(data, validation, labels, self.dimension)
        embed = partial(self._embed_for_fit, batch_size=batch_size, show_progress=show_progress)
        if known is None:
            known = embed(data.texts[: data.given], name="texts")
        rest, alike = data.texts[data.given :], self.embedder.is_symmetric
        queries = [] if alike or not data.queries else rest[-data.queries :]
        others = embed(rest[: len(rest) - len(queries)], name="texts of pairs")
        if queries:
            of_pairs = embed(queries, name="texts of pairs", role="query")
            asked = of_pairs if asked is None else asked
            others = np.concatenate([others, of_pairs])
        rows = np.concatenate([known, others])
        if asked is None and has_texts and self.embeds_queries_apart:
            sample = _even_sample(data.texts[: data.given], _FAMILIAR_QUERIES)
            asked = embed(sample, name="texts", role="query")
        codebook = data.codebook(rows)
        head = fit_head(
            rows,
            codebook,
            hidden=hidden,
            trunks=trunks,
            validation=None
            if held_out is None
            else (
                embed(held_out[0], name="validation texts") if isinstance(held_out[0], list) else held_out[0],
                codebook.targets_of_labels(held_out[1]),
            ),
            steps=steps,
            closed_form=closed_form,
            seed=seed,
            device=str(self.embedder.model.device) if isinstance(self.embedder, SentenceTransformerEmbedder) else None,
            show_progress=show_progress,
        )
        if asked is not None and not alike:
            head.query_familiarity = Familiarity.of(asked, seed=seed)
        self.head, self.codebook = head, codebook
        learned = data.texts if has_texts else ()
        self.learned = LearnedTexts.of(learned, None if vectors is None else known)
        self.norms = VectorNorms.of(rows)
        self._saved = None
        return self

    @renamed_parameters(embeddings="vectors")
    def refitted(
        self,
        texts: Sequence[str],
        labels: Sequence[str | None],
        attributes: Mapping[str, Sequence[str | None]] | None = None,
        *,
        vectors: npt.ArrayLike | None = None,
        query_vectors: npt.ArrayLike | None = None,
        seed: int = 0,
        batch_size: int | None = None,
    ) -> FeatureGroupEncoder:
        """A new encoder on the same base model, with a new head of the same kind and size.

        Groups, trunks and hidden width stay the same. The number of codes grows if an attribute now has more values
        than codes, or if there are more labels and each had a code of its own, up to 64.

        Args:
            texts: All current examples.
            labels: One label per text, ``None`` where unknown.
            attributes: Values of the attributes that this head learned, by attribute name.
            vectors: ``(n, d)`` base embeddings of ``texts`` that are there already.
            query_vectors: As in :meth:`fit`. By default texts are embedded as queries where these are embedded in
                another way, or, where nothing embeds texts, the familiar queries stay those of this encoder.
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
        had_one_each = head.codes_per_group >= len(codebook.labels) > 0
        if had_one_each:
            values.append(min(len(set(labels) - {None}), MAX_CODES))
        hidden, trunks = trained_sizes(head)
        other = type(self)(self.embedder, cache_folder=self.cache_folder)
        other.fit(
            texts,
            labels=labels if has_labels else None,
            attributes=attributes or None,
            groups=head.groups,
            codes=max([head.codes_per_group, *values]),
            hidden=hidden,
            trunks=trunks,
            vectors=vectors,
            query_vectors=query_vectors,
            seed=seed,
            batch_size=batch_size,
        )
        if other.head is not None and other.head.query_familiarity is None:
            other.head.query_familiarity = head.query_familiarity
        return other

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

    @renamed_parameters(embeddings="vectors")
    def learn_familiarity(
        self,
        texts: Sequence[str] = (),
        *,
        vectors: npt.ArrayLike | None = None,
        role: Role = "document",
        batch_size: int = 64,
        seed: int = 0,
    ) -> Self:
        """Learn which texts are familiar, from the texts that the head was trained on.

        :meth:`fit` already does it. It is for an encoder that was saved by release 0.1 or trained end to end, and for
        queries whose vectors are brought along; the fingerprint changes.

        Args:
            texts: At least two texts that the head was trained on.
            vectors: ``(n, d)`` base embeddings of these texts that are there already, in their place.
            role: What the texts or vectors are. Where queries are embedded in another way than documents, familiar
                queries are learned apart.
            batch_size: Number of texts per forward pass of the base model.
            seed: Random seed of the prototypes.

        Returns:
            The encoder itself.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If there are fewer than two texts.
        """
        head, _ = self._fitted()
        check_role(role)
        if role == "query" and self.embedder.is_symmetric:
            raise ValueError(
                f"{self.model_name!r} embeds queries as it embeds documents: there is one familiarity for both; leave "
                'role="query" out'
            )
        if vectors is None:
            rows = self.embed(texts, role=role, batch_size=batch_size)
        else:
            rows = check_brought(vectors, dimension=head.in_features)
        found = Familiarity.of(rows, seed=seed)
        if found is None:
            raise ValueError(f"familiarity is learned from at least 2 texts, got {len(rows)}")
        if role == "query":
            head.query_familiarity = found
        else:
            head.familiarity = found
        self._saved = None
        return self

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> npt.NDArray[np.float32]:
        """Base embeddings only, ``(n, d)`` float32; needs no head.

        Args:
            texts: n non-empty texts.
            role: What the texts are: ``"document"`` or ``"query"``.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.
            show_progress: Whether to show a progress bar; by default only if stderr is a terminal.

        Raises:
            TypeError, ValueError: If a text is missing or empty, or the model returns NaN; the message names its
                position.
            NoEmbedderError: If there is nothing to embed texts.
        """
        checked = check_texts(texts)
        options: dict[str, Any] = {"batch_size": batch_size, "show_progress": show_progress}
        vectors, reading = self._embed(checked, name="texts", role=check_role(role), **options)
        self._warn(reading, checked, "texts")
        return vectors

    def _embed(
        self,
        texts: list[str],
        *,
        name: str,
        role: Role,
        batch_size: int | None,
        show_progress: bool | None,
        progress: Progress | None = None,
    ) -> tuple[npt.NDArray[np.float32], Reading]:
        """Embed checked texts; ``name`` is the caller's name for them in error messages."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32), Reading.unknown(0)
        found = embed_texts(
            self.embedder,
            texts,
            role,
            name=name,
            cache=self._cache(role),
            batch_size=batch_size,
            show_progress=show_progress,
            progress=progress,
        )
        return found.vectors, Reading.unknown(len(texts)) if found.reading is None else found.reading

    def _embed_for_fit(
        self, texts: list[str], *, name: str, role: Role = "document", **options: Any
    ) -> npt.NDArray[np.float32]:
        vectors, reading = self._embed(texts, name=name, role=role, **options)
        self._warn(reading, texts, name)
        return vectors

    def _cache(self, role: Role) -> EmbeddingCache | None:
        """The cache of the base model as it is now; ``None``, after one warning, if it cannot be used."""
        if self.cache_folder is None or self.cache_folder == self._unusable_cache:
            return None
        try:
            of_role = "" if self.embedder.is_symmetric else f"-{role}"
            return EmbeddingCache(self.cache_folder, self.base_fingerprint + of_role, self.dimension)
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
        role: Role = "document",
        batch_size: int | None = None,
        show_progress: bool | None = None,
        warn: bool = True,
        progress: Progress | None = None,
    ) -> FeatureEmbeddings:
        """Base embeddings and feature-group distributions of ``texts``.

        Args:
            texts: n non-empty texts.
            role: What the texts are: ``"document"``, as the items of an index, or ``"query"``.
            batch_size: Number of texts per forward pass of the base model; by default what suits the device.
            show_progress: Whether to show a progress bar; by default only if stderr is a terminal.
            warn: Whether to log a warning about texts that the model reads in part only. Either way the result tells
                which (``reading``).
            progress: Called with the number of texts that were embedded since its last call, in place of a bar. Texts
                whose embeddings are cached are not among them.

        Raises:
            NotFittedError: If there is no trained head.
            TypeError, ValueError: If a text is missing or empty; the message names its position.
            NoEmbedderError: If there is nothing to embed texts.
        """
        self._fitted()
        checked = check_texts(texts)
        options: dict[str, Any] = {"batch_size": batch_size, "show_progress": show_progress, "progress": progress}
        vectors, reading = self._embed(checked, name="texts", role=check_role(role), **options)
        if warn:
            self._warn(reading, checked, "texts")
        found = self.features(vectors, role=role)
        familiarity = found.familiarity
        if familiarity is not None and (reading.unread > MOSTLY).any():
            familiarity = np.where(reading.unread > MOSTLY, np.float32(0), familiarity)
        return replace(found, reading=reading, familiarity=familiarity)

    def encode_query(self, texts: Sequence[str], **options: Any) -> FeatureEmbeddings:
        """Embeddings of texts that are searched for: :meth:`encode` with ``role="query"``."""
        return self.encode(texts, role="query", **options)

    def encode_document(self, texts: Sequence[str], **options: Any) -> FeatureEmbeddings:
        """Embeddings of texts that are found: :meth:`encode` with ``role="document"``."""
        return self.encode(texts, role="document", **options)

    def embed_images(
        self, images: Iterable[str | os.PathLike[str] | Image], *, batch_size: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Base embeddings ``(n, d)`` of pictures, for ``fit(vectors=…)``, ``add`` or ``search(vector=…)``.

        Args:
            images: Files, or pictures of PIL; they are opened batch by batch.
            batch_size: Number of pictures that are open and embedded at once; by default 32.

        Raises:
            TypeError, ValueError: If one is no picture or cannot be read; the message names its position.
            UnsupportedError: If the model takes no pictures.
        """
        found = list(embed_images(self.embedder, images, batch_size=batch_size))
        return np.concatenate(found) if found else np.empty((0, self.dimension), dtype=np.float32)

    @renamed_parameters(embeddings="vectors")
    def features(self, vectors: npt.ArrayLike, *, role: Role = "document") -> FeatureEmbeddings:
        """Feature-group distributions of base embeddings ``(n, d)`` that are there already.

        Args:
            vectors: Base embeddings.
            role: What they are embeddings of: documents, or queries, whose familiarity is another one if the model
                embeds them in another way.

        Raises:
            NotFittedError: If there is no trained head.
            ValueError: If the dimension is wrong or a row contains NaN or infinity.
        """
        head, codebook = self._fitted()
        base = check_vectors(vectors, name="vectors", dimension=head.in_features)
        learned = head.query_familiarity if check_role(role) == "query" else None
        learned = learned or head.familiarity
        return FeatureEmbeddings(
            base,
            head.distributions(base),
            self.fingerprint,
            familiarity=None if learned is None else learned(base),
            label_codes=codebook.label_codes if codebook.labels else None,
            role=None if self.embedder.is_symmetric else role,
        )

    def foreign_vectors(self, vectors: npt.ArrayLike, *, role: Role = "document") -> ForeignVectors | None:
        """Say what is odd about vectors, if it is so odd that another model must have made them; else ``None``.

        Args:
            vectors: ``(n, d)`` base embeddings; fewer than twenty tell nothing.
            role: What they are embeddings of.

        Raises:
            NotFittedError: If there is no trained head.
        """
        head, _ = self._fitted()
        learned = (head.query_familiarity if check_role(role) == "query" else None) or head.familiarity
        return foreign_vectors(check_vectors(vectors, name="vectors", dimension=self.dimension), learned, self.norms)

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

        Of an embedder that is no ``SentenceTransformer`` the folder holds the settings, as JSON and without secrets. Of
        a function it holds name and dimension: pass it again to :meth:`load`.

        That of a ``SentenceTransformer`` is a sentence-transformers model: ``SentenceTransformer(folder,
        trust_remote_code=True)`` encodes texts into the ``G·K`` numbers of the FG embedding. (The flag lets
        sentence-transformers import the head's class from this library; nothing is downloaded.)

        Args:
            folder: Folder to write; a saved encoder in it is replaced.

        Raises:
            NotFittedError: If there is no trained head.
            FileExistsError: If the folder contains anything other than a saved encoder.
            StorageError: If the folder cannot be written, or what was written does not load as this encoder.
            ValueError: If a module's class is defined where no other process finds it.
        """
        saved = SavedEncoder(self.embedder, *self._fitted(), self._fingerprints, self.learned, self.norms)
        self._saved = (saved_encoder.write(folder, saved), self.fingerprint)

    def _fitted(self) -> tuple[FeatureGroupHead, Codebook]:
        if self.head is None or self.codebook is None:
            raise NotFittedError(
                "this encoder has no trained head yet; call encoder.fit(texts, labels=…) or load a saved one"
            )
        return self.head, self.codebook


def _check_embedder(embedder: object, wanted: str) -> None:
    if not is_embedder(embedder):
        raise TypeError(
            f"{wanted}, got {type(embedder).__name__}; an embedder has name, dimension, fingerprint, is_symmetric, "
            "embed_queries and embed_documents (fg_search.model.embedders)"
        )


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """Refuse options that are for a model that is loaded by its name."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ValueError(f"{', '.join(names)} cannot be given here: {why}")


def _even_sample(texts: list[str], most: int) -> list[str]:
    return texts[:: -(-len(texts) // most)]
