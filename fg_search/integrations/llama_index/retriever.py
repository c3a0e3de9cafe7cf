"""A retriever on an index."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores import MetadataFilters

from fg_search.confidence_index import ConfidenceIndex
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.llama_index.filters import to_qdrant
from fg_search.integrations.llama_index.nodes import found_node, notice
from fg_search.integrations.outcomes import explanation, result_metadata

OnAbstain = Literal["nothing", "say so"]


class ConfidenceRetriever(BaseRetriever):
    """Retrieves from a :class:`~fg_search.ConfidenceIndex` by the text of a query, and abstains where it is not sure.

    Args:
        index: The index, or the view of one tenant. It stays yours to close.
        similarity_top_k: Number of nodes.
        target_precision: Precision that answers are to reach, in (0, 1); needs a calibrated index.
        min_query_confidence: Queries less confident than this are uncertain, in [0, 1]. Without either, those that
            hardly look answerable are.
        on_uncertain: What an uncertain query gets: ``"abstain"``, ``"clarify"`` (the labels that it may be about, in a
            node that says so), or ``"flag"``: all nodes, marked.
        on_abstain: No node, or one node that says so: ``"nothing"`` or ``"say so"``.
        filters: Only nodes that match.
        search_kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.search`.
        **kwargs: Arguments of LlamaIndex's retrievers.

    Example:
        >>> retriever = ConfidenceRetriever(index, target_precision=0.9)  # doctest: +SKIP
        >>> RetrieverQueryEngine.from_args(retriever).query("Where is my parcel?")  # doctest: +SKIP
    """

    def __init__(
        self,
        index: ConfidenceIndex,
        *,
        similarity_top_k: int = 4,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: Literal["abstain", "clarify", "flag"] = "abstain",
        on_abstain: OnAbstain = "nothing",
        filters: MetadataFilters | None = None,
        search_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if on_abstain not in get_args(OnAbstain):
            raise ValueError(f"on_abstain must be 'nothing' or 'say so', got {on_abstain!r}")
        self.index = index
        self.target_precision = target_precision
        self.on_abstain = on_abstain
        self._options = {
            "limit": similarity_top_k,
            "query_filter": to_qdrant(filters),
            **abstaining(on_uncertain, target_precision, min_query_confidence),
            **(search_kwargs or {}),
        }
        super().__init__(**kwargs)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        result = self.index.search(query_bundle.query_str, **self._options)
        if result.hits or self.on_abstain == "nothing":
            metadata = result_metadata(result, self.target_precision)
            return [found_node(hit, metadata) for hit in result.hits]
        return [notice(*explanation(result, self.target_precision))]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
