"""ConfidenceIndex: a corpus in Qdrant whose points know how sure their embedding is."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from qdrant_client import models
from tqdm import tqdm
from typing_extensions import Self

from fg_search.embeddings import FeatureEmbeddings
from fg_search.errors import (
    EmptyIndexError,
    EncoderNotFoundError,
    IndexNotFoundError,
    ModelMismatchError,
)
from fg_search.ids import UserId
from fg_search.review.queue import ReviewItem, ambiguous
from fg_search.search import (
    OnUncertain,
    QueryVectors,
    RankBy,
    SearchOptions,
    SearchResult,
    answer,
    judge,
    plan,
    to_hits,
)
from fg_search.storage.connect import connect
from fg_search.storage.points import Item, check_items, to_points
from fg_search.storage.schema import (
    CONFIDENCE_KEY,
    LABEL_KEY,
    IndexMetadata,
    payload_indexes,
    sparse_vectors_config,
    vectors_config,
)
from fg_search.validation import check_texts, check_vectors

if TYPE_CHECKING:
    from fg_search.encoder import FeatureGroupEncoder
    from fg_search.storage.connect import Client, Location

DEFAULT_COLLECTION = "fg_search"

_ITEMS_PER_WRITE = 1024
_QUERIES_PER_REQUEST = 128
_HISTOGRAM_BINS = 10
_SUM_TOLERANCE = 1e-3  # of float32 probabilities


@dataclass(frozen=True)
class IndexInfo:
    """What is in an index.

    Attributes:
        location: Folder, URL, or class of the client.
        collection: Name of the collection.
        points: Number of points.
        labelled: Number of points that have a label.
        metadata: Of the encoder that filled it.
        confidence_histogram: Number of points with a confidence in each tenth of [0, 1].
    """

    location: str
    collection: str
    points: int
    labelled: int
    metadata: IndexMetadata
    confidence_histogram: tuple[int, ...]


class ConfidenceIndex:
    """Adds, searches and reviews items; the engine is Qdrant, embedded or remote.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"`` (qdrant-client's local mode), the URL of a
            Qdrant server, or any ready client with ``QdrantClient``'s methods, which stays the caller's to close.
        encoder: A fitted encoder or the folder of a saved one. Left out, the encoder that the index
            remembers is loaded when it is first needed.
        collection: Name of the collection.
        api_key: For a server.

    Raises:
        IndexNotFoundError: If there is no index and no encoder to make one with, or the collection is not ours.
        ModelMismatchError: If the index was filled by another encoder.
        FolderLockedError: If the folder is open in another client.
        NotFittedError: If the encoder has no trained head.

    Example:
        >>> index = ConfidenceIndex("support-index", encoder)  # doctest: +SKIP
        >>> index.add(texts, labels=labels)  # doctest: +SKIP
        >>> print(index.search("my card was eaten", min_confidence=0.6))  # doctest: +SKIP
    """

    def __init__(
        self,
        location: Location,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
    ) -> None:
        self._encoder = _load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        if self._encoder is not None:
            _ = self._encoder.fingerprint  # an unfitted encoder must not leave an empty folder behind
        self._owns_client = isinstance(location, (str, os.PathLike))
        self.client: Client
        self.client, self.location = connect(location, api_key=api_key, create=encoder is not None)
        self.collection = collection
        try:
            self.metadata = self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.client.count(self.collection, exact=True).count

    def __repr__(self) -> str:
        return f"ConfidenceIndex({self.location!r}, collection={self.collection!r})"

    def close(self) -> None:
        """Release the folder or the connection; a client that was handed in is left open."""
        if self._owns_client:
            self.client.close()

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """The encoder of this index, loaded from where it was saved if it was not handed in.

        Raises:
            EncoderNotFoundError: If it was never saved, or its folder is gone.
            ModelMismatchError: If the folder now holds another encoder.
        """
        if self._encoder is None:
            if self.metadata.encoder is None:
                raise EncoderNotFoundError(
                    f"{self!r} was filled by an encoder that was never saved; pass it as encoder=…"
                )
            encoder = _load_encoder(self.metadata.encoder)
            self._check_fingerprint(self.metadata, encoder)
            self._encoder = encoder
        return self._encoder

    def add(
        self,
        texts: Sequence[str],
        *,
        ids: Sequence[UserId] | None = None,
        labels: Sequence[str | None] | None = None,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> int:
        """Encode items and write them; adding the same items again changes nothing.

        The whole batch is checked before anything is written. An id that is already there is replaced.

        Args:
            texts: What to encode and to show.
            ids: An int or str for each; by default derived from the text, so the same text is the same item.
            labels: One for each, ``None`` where unknown.
            payloads: JSON objects of the user's own; the key ``fg`` is reserved.
            embeddings: What this index's encoder made of the texts, if it is already there.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Returns:
            The number of different items written.

        Raises:
            TypeError, ValueError: On the first item that is wrong, with its position.
            ModelMismatchError: If the embeddings have the shape of another encoder.
        """
        items = check_items(texts, ids, labels, payloads)
        if embeddings is not None:
            self._check_embeddings(embeddings, len(items))
        hide = not (sys.stderr.isatty() if show_progress is None else show_progress)
        with tqdm(total=len(items), desc="index", unit="item", disable=hide, leave=False) as progress:
            for start in range(0, len(items), _ITEMS_PER_WRITE):
                chunk = items[start : start + _ITEMS_PER_WRITE]
                rows = (
                    self._encode([item.text for item in chunk], batch_size)
                    if embeddings is None
                    else embeddings[start : start + _ITEMS_PER_WRITE]
                )
                self._write(chunk, rows)
                progress.update(len(chunk))
        return len({item.point_id for item in items})

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: OnUncertain = "flag",
        rank_by: RankBy = "auto",
    ) -> SearchResult:
        """Find the items most similar to ``query``.

        Args:
            query: A text.
            limit: Hits at most.
            min_confidence: Exclude less confident points, inside the engine; in [0, 1].
            confidence_weight: Order by ``score · confidence^weight``, computed inside the engine.
            query_filter: Any Qdrant filter, on your own payload or on ``fg.confidence`` and ``fg.label``.
            min_query_confidence: A query less confident than this is uncertain; in [0, 1].
            on_uncertain: ``"flag"``, ``"abstain"`` or ``"raise"`` for an uncertain query.
            rank_by: ``"features"``, ``"base"``, ``"both"``, or ``"auto"`` by how the head was trained.

        Raises:
            EmptyIndexError: If nothing was added yet.
            UncertainQueryError: If the query is uncertain and ``on_uncertain`` is ``"raise"``.
            TypeError, ValueError: If an argument is out of its range.
        """
        if not isinstance(query, str):
            raise TypeError(f"query must be a string, got {type(query).__name__}; see search_many for several")
        return self.search_many(
            [query],
            limit=limit,
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            query_filter=query_filter,
            min_query_confidence=min_query_confidence,
            on_uncertain=on_uncertain,
            rank_by=rank_by,
        )[0]

    def search_many(
        self,
        queries: Sequence[str],
        *,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        show_progress: bool | None = None,
        **options: Any,
    ) -> list[SearchResult]:
        """Search for several queries with few requests to the engine.

        Args:
            queries: Texts.
            embeddings: What this index's encoder made of the queries, if it is already there.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw progress bars; by default when stderr is a terminal.
            **options: As in :meth:`search`.

        Returns:
            One result a query, in order.

        Raises:
            As :meth:`search`; with ``on_uncertain="raise"`` at the first uncertain query.
        """
        chosen = SearchOptions(**options)
        queries = check_texts(queries, name="queries")
        self._check_not_empty()
        if embeddings is None:
            embeddings = self.encoder.encode(queries, batch_size=batch_size, show_progress=show_progress)
        else:
            self._check_embeddings(embeddings, len(queries))
        return self._search(queries, embeddings, chosen)

    def review(
        self,
        *,
        kind: Literal["ambiguous"] = "ambiguous",
        limit: int = 50,
        query_filter: models.Filter | None = None,
    ) -> list[ReviewItem]:
        """Items that a person should look at, most urgent first.

        Args:
            kind: ``"ambiguous"``: the items whose embedding is least confident, in the engine's order.
            limit: Items at most.
            query_filter: Any Qdrant filter.

        Raises:
            EmptyIndexError: If nothing was added yet.
            ValueError: If the kind is unknown or the limit below 1.
        """
        if kind != "ambiguous":
            raise ValueError(f"kind must be 'ambiguous', got {kind!r}")
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self._check_not_empty()
        return ambiguous(self.client, self.collection, limit=limit, query_filter=query_filter)

    def info(self) -> IndexInfo:
        """Counts, the encoder's identity, and a histogram of confidence, all from the engine."""
        return IndexInfo(
            location=self.location,
            collection=self.collection,
            points=len(self),
            labelled=self._count(
                models.Filter(must_not=[models.IsNullCondition(is_null=models.PayloadField(key=LABEL_KEY))])
            ),
            metadata=self.metadata,
            confidence_histogram=tuple(self._histogram()),
        )

    def _open(self) -> IndexMetadata:
        """Metadata of the collection, which is made if there is an encoder to make it for."""
        if self.client.collection_exists(self.collection):
            info = self.client.get_collection(self.collection)
            metadata = IndexMetadata.of_collection(self.collection, info)
            if self._encoder is not None:
                self._check_fingerprint(metadata, self._encoder)
            # whoever made the collection may have been interrupted before its payload indexes were there
            self._index_payload(known=info.payload_schema)
            return metadata
        if self._encoder is None:
            raise IndexNotFoundError(
                f"there is no index {self.collection!r} at {self.location!r}; "
                "make one with ConfidenceIndex(location, encoder) or `fg-search index`"
            )
        return self._create(self._encoder)

    def _create(self, encoder: FeatureGroupEncoder) -> IndexMetadata:
        metadata = IndexMetadata(
            fingerprint=encoder.fingerprint,
            model_name=encoder.model_name,
            encoder=None if encoder.folder is None else os.fspath(encoder.folder),
            supervision=encoder.supervision,
            dimension=encoder.dimension,
            groups=encoder.groups,
            codes_per_group=encoder.codes_per_group,
        )
        self.client.create_collection(
            self.collection,
            vectors_config=vectors_config(metadata.dimension),
            sparse_vectors_config=sparse_vectors_config(),
            metadata=metadata.to_payload(),
        )
        self._index_payload(known=())
        return metadata

    def _index_payload(self, *, known: Container[str]) -> None:
        with warnings.catch_warnings():  # local mode warns that it does without them
            warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
            for key, kind in payload_indexes().items():
                if key not in known:
                    self.client.create_payload_index(self.collection, field_name=key, field_schema=kind)

    def _check_fingerprint(self, metadata: IndexMetadata, encoder: FeatureGroupEncoder) -> None:
        if metadata.fingerprint != encoder.fingerprint:
            raise ModelMismatchError(
                f"{self!r} was filled by the encoder {metadata.fingerprint} ({metadata.model_name}, saved in "
                f"{metadata.encoder!r}), this one is {encoder.fingerprint} ({encoder.model_name}); their vectors "
                "cannot be compared: use that encoder, or a new index for this one"
            )

    def _check_embeddings(self, embeddings: FeatureEmbeddings, expected: int) -> None:
        if len(embeddings) != expected:
            raise ValueError(f"embeddings has {len(embeddings)} items, texts has {expected}")
        shape = (embeddings.base.shape[1], *embeddings.probabilities.shape[1:])
        wanted = (self.metadata.dimension, self.metadata.groups, self.metadata.codes_per_group)
        if shape != wanted:
            raise ModelMismatchError(f"embeddings have (dimension, groups, codes) = {shape}, this index needs {wanted}")
        if embeddings.fingerprint not in (None, self.metadata.fingerprint):
            raise ModelMismatchError(
                f"embeddings were made by the encoder {embeddings.fingerprint}, {self!r} was filled by "
                f"{self.metadata.fingerprint}; encode with that one"
            )
        check_vectors(embeddings.base, name="embeddings.base")
        sums = embeddings.probabilities.sum(axis=-1)  # NaN and infinity are no sum of one either
        wrong = np.flatnonzero(
            ~(np.abs(sums - 1) < _SUM_TOLERANCE).all(axis=1) | (embeddings.probabilities < 0).any((1, 2))
        )
        if len(wrong):
            raise ValueError(f"embeddings.probabilities[{wrong[0]}] is no distribution: each group must sum to 1")

    def _check_not_empty(self) -> None:
        if not len(self):
            raise EmptyIndexError(f"{self!r} is empty; fill it with index.add(…) or `fg-search index`")

    def _encode(self, texts: list[str], batch_size: int) -> FeatureEmbeddings:
        return self.encoder.encode(texts, batch_size=batch_size, show_progress=False)

    def _write(self, items: list[Item], embeddings: FeatureEmbeddings) -> None:
        points = list(to_points(items, embeddings, self.metadata.fingerprint))
        self.client.upsert(self.collection, points=points, wait=True)

    def _search(
        self, texts: Sequence[str], embeddings: FeatureEmbeddings, options: SearchOptions
    ) -> list[SearchResult]:
        vectors = list(_query_vectors(embeddings))
        results = [judge(text, query.confidence, options) for text, query in zip(texts, vectors, strict=True)]
        rank_by = self._rank_by(options.rank_by)
        answered = [i for i, result in enumerate(results) if result.decision == "answer"]
        for start in range(0, len(answered), _QUERIES_PER_REQUEST):
            chunk = answered[start : start + _QUERIES_PER_REQUEST]
            responses = self.client.query_batch_points(
                self.collection, requests=[plan(vectors[i], options, rank_by) for i in chunk]
            )
            for i, response in zip(chunk, responses, strict=True):
                results[i] = answer(results[i], to_hits(response.points, vectors[i], options))
        return results

    def _rank_by(self, rank_by: RankBy) -> RankBy:
        """Unsupervised heads do not out-rank the base embeddings; they serve confidence."""
        if rank_by != "auto":
            return rank_by
        return "base" if self.metadata.supervision in ("clusters", "pairs") else "features"

    def _count(self, condition: models.Filter) -> int:
        return self.client.count(self.collection, count_filter=condition, exact=True).count

    def _histogram(self) -> Iterator[int]:
        for i in range(_HISTOGRAM_BINS):
            lower, upper = i / _HISTOGRAM_BINS, (i + 1) / _HISTOGRAM_BINS
            last = i == _HISTOGRAM_BINS - 1
            bounds = models.Range(gte=lower, lte=1.0) if last else models.Range(gte=lower, lt=upper)
            yield self._count(models.Filter(must=[models.FieldCondition(key=CONFIDENCE_KEY, range=bounds)]))


def _query_vectors(embeddings: FeatureEmbeddings) -> Iterator[QueryVectors]:
    sparse = embeddings.sparse()
    confidences = embeddings.confidence.tolist()
    base = embeddings.base.tolist()
    for i in range(len(embeddings)):
        row = slice(int(sparse.indptr[i]), int(sparse.indptr[i + 1]))
        features = models.SparseVector(indices=sparse.indices[row].tolist(), values=sparse.data[row].tolist())
        yield QueryVectors(base[i], features, embeddings.codes[i], confidences[i])


def _load_encoder(folder: str | os.PathLike[str]) -> FeatureGroupEncoder:
    from fg_search.encoder import FeatureGroupEncoder  # imports torch: only when it is needed

    return FeatureGroupEncoder.load(folder)
