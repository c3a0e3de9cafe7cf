"""A vector store on an index."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores import MetadataFilters
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from qdrant_client import models

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import EmptyIndexError
from fg_search.index.search_results import SearchResult
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.diversity import diverse
from fg_search.integrations.filters import one_of
from fg_search.integrations.llama_index.filters import to_qdrant
from fg_search.integrations.llama_index.nodes import REF_DOC_ID, found_node, node_of, payload_of, text_of
from fg_search.integrations.outcomes import empty_result, result_metadata
from fg_search.layout.keys import PAYLOAD_KEY

_ID = f"{PAYLOAD_KEY}.id"
_CANDIDATES = 4  # times as many as are wanted, of which those that differ are chosen


class ConfidenceVectorStore(BasePydanticVectorStore):
    """A vector store that knows how sure it is, on a :class:`~fg_search.ConfidenceIndex`.

    Embeddings of nodes and queries are the base embeddings: the model that makes them has to be the base model of the
    index's encoder (:class:`EncoderEmbedding`). Nodes and queries without one are embedded by the encoder. As any
    vector store, it gives ``similarity_top_k`` nodes, each with what the search has found in its metadata
    (``fg_decision``, ``fg_reason``, ``fg_confidence``, …), unless it is told to abstain.

    Args:
        index: The index, or the view of one tenant. It stays yours to close.
        label_key: Key of the metadata whose value is the label of an item.
        target_precision: Precision that answers are to reach, in (0, 1); needs a calibrated index.
        on_uncertain: What an uncertain query gets: ``"flag"`` (nodes) or ``"abstain"`` (none).
        with_confidence: Whether nodes that are found say what the search has found.

    Example:
        >>> store = ConfidenceVectorStore(index, target_precision=0.9, on_uncertain="abstain")  # doctest: +SKIP
        >>> VectorStoreIndex.from_vector_store(store, embed_model=EncoderEmbedding(index.encoder))  # doctest: +SKIP
    """

    stores_text: bool = True
    flat_metadata: bool = False
    label_key: str | None = None
    target_precision: float | None = None
    on_uncertain: Literal["flag", "abstain"] = "flag"
    with_confidence: bool = True
    _index: ConfidenceIndex = PrivateAttr()

    def __init__(self, index: ConfidenceIndex, **options: Any) -> None:
        super().__init__(**options)
        self._index = index

    @classmethod
    def class_name(cls) -> str:
        """Name of the class, for LlamaIndex."""
        return "ConfidenceVectorStore"

    @property
    def index(self) -> ConfidenceIndex:
        """The index."""
        return self._index

    @property
    def client(self) -> Any:
        """Client of the engine, with ``QdrantClient``'s methods."""
        return self._index.client

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add or replace nodes.

        Args:
            nodes: Nodes; each needs a text.
            **kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.add`.

        Returns:
            Their ids.

        Raises:
            ValueError: If a node has no text, or its embedding is of another dimension.
        """
        for has_embedding in (True, False):
            chosen = [node for node in nodes if (node.embedding is not None) == has_embedding]
            if chosen:
                self._index.add(
                    [text_of(node) for node in chosen],
                    ids=[node.node_id for node in chosen],
                    labels=None if self.label_key is None else [node.metadata.get(self.label_key) for node in chosen],
                    payloads=[payload_of(node) for node in chosen],
                    vectors=np.array([node.embedding for node in chosen]) if has_embedding else None,
                    **{"show_progress": False, **kwargs},
                )
        return [node.node_id for node in nodes]

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes with these ids or that match a filter; by default all. They come without embeddings."""
        items = (
            self._index.items(node_ids)
            if node_ids is not None and filters is None
            else self._index.items(query_filter=_filter(node_ids, filters))
        )
        return [node_of(item.id, item.text, item.payload) for item in items]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:  # noqa: ARG002  LlamaIndex's interface
        """Remove the nodes of a document."""
        self._index.delete(query_filter=models.Filter(must=[one_of(REF_DOC_ID, [ref_doc_id])]))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,  # noqa: ARG002  LlamaIndex's interface
    ) -> None:
        """Remove the nodes with these ids that match a filter. With neither, none is removed: :meth:`clear`."""
        chosen = _filter(node_ids, filters)  # none, too, if the filter has no conditions
        if chosen is not None:
            self._index.delete(query_filter=chosen)

    def clear(self) -> None:
        """Remove all nodes."""
        self._index.delete(query_filter=models.Filter())

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find nodes, best first; none if the store abstains.

        Args:
            query: The query, in the default mode or that of maximal marginal relevance (``MMR``), whose nodes differ
                from each other; the first one is the best, which the confidence is about.
            **kwargs: In mode ``MMR`` ``mmr_threshold`` (weight of being similar to the query, in [0, 1], by default
                that of the query, or 0.5) and ``mmr_prefetch_k`` (number of the most similar nodes to choose from, by
                default four times as many as are wanted). Further arguments of
                :meth:`fg_search.ConfidenceIndex.search`.

        Raises:
            ValueError: If it asks for another mode, has neither text nor embedding, or is to find nodes that differ in
                an index without base vectors.
        """
        result = self.search_index(query, **kwargs)
        metadata = result_metadata(result, self.target_precision) if self.with_confidence else None
        found = [found_node(hit, metadata) for hit in result.hits]
        return VectorStoreQueryResult(
            nodes=[one.node for one in found],
            similarities=[one.score or 0.0 for one in found],
            ids=[one.node.node_id for one in found],
        )

    def search_index(self, query: VectorStoreQuery, **kwargs: Any) -> SearchResult:
        """The whole result, with decision and reason; that of an empty store has no hits."""
        if query.query_embedding is None and not query.query_str:
            raise ValueError("the query has neither a text nor an embedding")
        if query.mode == VectorStoreQueryMode.MMR:
            return self._diverse(query, **kwargs)
        if query.mode != VectorStoreQueryMode.DEFAULT:
            raise ValueError(f"the query mode {query.mode.value!r} is not supported, only 'default' and 'mmr'")
        return self._search(query, query.similarity_top_k, vector=query.query_embedding, **kwargs)

    def _diverse(
        self,
        query: VectorStoreQuery,
        *,
        mmr_threshold: float | None = None,
        mmr_prefetch_k: int | None = None,
        **kwargs: Any,
    ) -> SearchResult:
        """The result with hits that differ from each other."""
        limit = query.similarity_top_k
        candidates = _CANDIDATES * limit if mmr_prefetch_k is None else max(limit, mmr_prefetch_k)
        asked: npt.ArrayLike
        if query.query_embedding is None:
            embeddings = self._index.encoder.encode(
                [query.query_str or ""], role="query", show_progress=False, warn=False
            )
            asked, found = embeddings.base[0], self._search(query, candidates, embeddings=embeddings, **kwargs)
        else:
            asked = query.query_embedding
            found = self._search(query, candidates, vector=asked, **kwargs)
        weights = [weight for weight in (mmr_threshold, query.mmr_threshold, 0.5) if weight is not None]
        return diverse(self._index, found, asked, limit=limit, relevance=weights[0])

    def _search(self, query: VectorStoreQuery, limit: int, **kwargs: Any) -> SearchResult:
        options = {**abstaining(self.on_uncertain, self.target_precision), **kwargs}
        scope = _filter(query.node_ids or None, query.filters, query.doc_ids or None)  # an empty list is no restriction
        try:
            return self._index.search(
                query.query_str or None,
                limit=limit,
                query_filter=scope,
                **options,
            )
        except EmptyIndexError:
            return empty_result(query.query_str)

    # on an event loop, each of these works in a thread

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As :meth:`add`."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """As :meth:`get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As :meth:`delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """As :meth:`clear`."""
        await asyncio.to_thread(self.clear)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As :meth:`query`."""
        return await asyncio.to_thread(self.query, query, **kwargs)


def _filter(
    node_ids: Sequence[str] | None, filters: MetadataFilters | None, doc_ids: Sequence[str] | None = None
) -> models.Filter | None:
    """Filter for nodes with these ids, of these documents, that match."""
    conditions: list[models.Condition] = []
    if node_ids is not None:
        conditions.append(one_of(_ID, list(node_ids)))
    if doc_ids is not None:
        conditions.append(one_of(REF_DOC_ID, list(doc_ids)))
    chosen = to_qdrant(filters)
    if chosen is not None:
        conditions.append(chosen)
    return models.Filter(must=conditions) if conditions else None
