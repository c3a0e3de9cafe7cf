"""A vector store on an index."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from qdrant_client import models
from typing_extensions import Self

from fg_search.confidence_index import ConfidenceIndex
from fg_search.engine.connection import Location
from fg_search.errors import EmptyIndexError
from fg_search.index.search_results import SearchResult
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.diversity import diverse
from fg_search.integrations.filters import as_filter
from fg_search.integrations.langchain.documents import document, stored_document
from fg_search.integrations.langchain.encoders import encoder_of
from fg_search.integrations.outcomes import empty_result, result_metadata
from fg_search.layout.settings import DEFAULT_COLLECTION
from fg_search.model.encoder import FeatureGroupEncoder

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "fg_search.integrations.langchain")


class ConfidenceVectorStore(VectorStore):
    """A vector store that knows how sure it is, on a :class:`~fg_search.ConfidenceIndex`.

    Metadata of documents are the payload of items. As any vector store, it gives ``k`` documents, each with what the
    search has found in its metadata (``fg_decision``, ``fg_reason``, ``fg_confidence``, …), unless it is told to
    abstain. On an event loop it works in a thread.

    Args:
        index: The index, or the view of one tenant. It stays yours to close.
        label_key: Key of the metadata whose value is the label of an item.
        target_precision: Precision that answers are to reach, in (0, 1); needs a calibrated index.
        on_uncertain: What an uncertain query gets: ``"flag"`` (documents) or ``"abstain"`` (none).
        with_confidence: Whether documents that are found say what the search has found. Without, they are as they were
            added.
        embedding: What makes the vectors, if LangChain is to know.

    Example:
        >>> store = ConfidenceVectorStore(index, target_precision=0.9, on_uncertain="abstain")  # doctest: +SKIP
        >>> store.add_texts(["Where is my parcel?"], [{"source": "faq"}])  # doctest: +SKIP
    """

    def __init__(
        self,
        index: ConfidenceIndex,
        *,
        label_key: str | None = None,
        target_precision: float | None = None,
        on_uncertain: Literal["flag", "abstain"] = "flag",
        with_confidence: bool = True,
        embedding: Embeddings | None = None,
    ) -> None:
        self.index = index
        self.label_key = label_key
        self.target_precision = target_precision
        self.on_uncertain: Literal["flag", "abstain"] = on_uncertain
        self.with_confidence = with_confidence
        self._embedding = embedding

    @property
    def embeddings(self) -> Embeddings | None:
        """What makes the vectors, if it was given."""
        return self._embedding

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add or replace documents.

        Args:
            texts: Texts.
            metadatas: JSON objects, one a text.
            ids: Ids. Where one is missing, it is made of text and metadata: the same document is added once.
            **kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.add`.

        Returns:
            The ids.

        Raises:
            TypeError, ValueError: If a text is empty, metadata are not JSON, or lengths differ.
        """
        listed = list(texts)
        payloads = [{} for _ in listed] if metadatas is None else metadatas
        given = [None] * len(listed) if ids is None else list(ids)
        if not len(listed) == len(payloads) == len(given):
            raise ValueError(f"there are {len(listed)} texts, {len(payloads)} metadatas and {len(given)} ids")
        named = [
            _id_of(text, payload) if one is None else one
            for text, payload, one in zip(listed, payloads, given, strict=True)
        ]
        if listed:
            labels = labels_of(payloads, self.label_key)
            self.index.add(listed, ids=named, labels=labels, payloads=payloads, show_progress=False, **kwargs)
        return named

    def delete(  # type: ignore[override]  # of LangChain's further options, an unknown one would delete all
        self,
        ids: list[str] | None = None,
        *,
        filter: Any = None,  # noqa: A002
    ) -> bool:
        """Delete documents by id or by filter; without either, all.

        Args:
            ids: Ids; unknown ones are ignored.
            filter: Qdrant filter, or a mapping of values by metadata.

        Raises:
            ValueError: If both are given.
        """
        everything = models.Filter() if ids is None else None
        self.index.delete(ids, query_filter=everything if filter is None else as_filter(filter))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents with these ids, as they were added; unknown ids are left out."""
        return [stored_document(item) for item in self.index.items(ids)]

    def similarity_search(self, query: str, k: int = 4, filter: Any = None, **kwargs: Any) -> list[Document]:  # noqa: A002
        """Documents most similar to a query, best first; none if the store abstains.

        Args:
            query: The query.
            k: Number of documents.
            filter: Qdrant filter, or a mapping of values by metadata.
            **kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.search`.
        """
        return [found for found, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: Any = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The same, with what they are ordered by: similarities, more is better."""
        result = self.search_index(query, k, filter, **kwargs)
        metadata = self._metadata(result)
        return [(document(hit, metadata), hit.ranking_score) for hit in result.hits]

    def similarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: Any = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """Documents most similar to a base embedding; arguments as in :meth:`similarity_search`."""
        return self._documents(self.search_index(None, k, filter, vector=embedding, **kwargs))

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """Documents similar to a query that differ from each other; none if the store abstains.

        The first one is the best, which the confidence is about.

        Args:
            query: The query.
            k: Number of documents.
            fetch_k: Number of the most similar documents to choose from.
            lambda_mult: Weight of being similar to the query, in [0, 1]; that of differing from the others is the rest.
            filter: Qdrant filter, or a mapping of values by metadata.
            **kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.search`.

        Raises:
            ValueError: If a number is out of range, or the index has no base vectors.
        """
        embeddings = self.index.encoder.encode([query], role="query", show_progress=False, warn=False)
        found = self.search_index(query, max(k, fetch_k), filter, embeddings=embeddings, **kwargs)
        return self._documents(diverse(self.index, found, embeddings.base[0], limit=k, relevance=lambda_mult))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """The same for a base embedding; arguments as in :meth:`max_marginal_relevance_search`."""
        found = self.search_index(None, max(k, fetch_k), filter, vector=embedding, **kwargs)
        return self._documents(diverse(self.index, found, embedding, limit=k, relevance=lambda_mult))

    def search_index(
        self,
        query: str | None,
        k: int = 4,
        filter: Any = None,  # noqa: A002
        **kwargs: Any,
    ) -> SearchResult:
        """The whole result, with decision and reason; that of an empty store has no hits."""
        options = {**abstaining(self.on_uncertain, self.target_precision), **kwargs}
        try:
            return self.index.search(query, limit=k, query_filter=as_filter(filter), **options)
        except EmptyIndexError:
            return empty_result(query)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | FeatureGroupEncoder,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        location: Location = ":memory:",
        collection: str = DEFAULT_COLLECTION,
        encoder_folder: str | os.PathLike[str] | None = None,
        label_key: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store with these texts, on a new index or one that is there.

        If the encoder has no head yet, one is fitted on these texts: on their labels, if there is a ``label_key``,
        otherwise on clusters of them. Give it some hundreds that are like those to come; two different ones are the
        least.

        Args:
            texts: Texts.
            embedding: LangChain's embeddings, or an encoder.
            metadatas: JSON objects, one a text.
            ids: Ids, as in :meth:`add_texts`.
            location: Folder, URL or client of the index.
            collection: Name of the index.
            encoder_folder: Folder to save a new head in. To open the index again, pass the encoder, loaded with
                LangChain's embeddings: ``FeatureGroupEncoder.load(folder, embedder=embedder_of(embedding))``.
            label_key: As in the class.
            **kwargs: Further arguments of the class.

        Raises:
            ValueError: If there are too few texts or labels to fit a head on.
        """
        encoder = encoder_of(embedding)
        if not encoder.is_fitted:
            encoder.fit(list(texts), labels=labels_of(metadatas or [], label_key), show_progress=False)
            if encoder_folder is not None:
                encoder.save(encoder_folder)
        index = ConfidenceIndex(location, encoder, collection=collection)
        known = embedding if isinstance(embedding, Embeddings) else None
        store = cls(index, label_key=label_key, embedding=known, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def _documents(self, result: SearchResult) -> list[Document]:
        metadata = self._metadata(result)
        return [document(hit, metadata) for hit in result.hits]

    def _metadata(self, result: SearchResult) -> dict[str, Any] | None:
        return result_metadata(result, self.target_precision) if self.with_confidence else None

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: min(max(score, 0.0), 1.0)  # a cosine may be negative


def _id_of(text: str, metadata: Mapping[str, Any]) -> str:
    return str(uuid.uuid5(_NAMESPACE, json.dumps([text, metadata], sort_keys=True, default=str)))


def labels_of(metadatas: Sequence[Mapping[str, Any]], label_key: str | None) -> list[str | None] | None:
    """Labels of documents, ``None`` if they have none."""
    return None if label_key is None else [metadata.get(label_key) for metadata in metadatas]
