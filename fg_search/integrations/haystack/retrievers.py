"""Retrievers on a document store: by the text of a query, or by its base embedding."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.types import FilterPolicy, apply_filter_policy
from typing_extensions import Self

from fg_search.errors import EmptyIndexError
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.haystack.document_store import ConfidenceDocumentStore
from fg_search.integrations.haystack.documents import retrieved
from fg_search.integrations.haystack.filters import to_qdrant
from fg_search.integrations.outcomes import empty_result

OnUncertain = Literal["abstain", "clarify", "flag"]


class _Retriever:
    """What both retrievers share.

    Args:
        document_store: The store.
        filters: Haystack filter.
        top_k: Number of documents.
        filter_policy: Whether the filter of a run replaces this one or joins it.
        target_precision: Precision that answers are to reach, in (0, 1); needs a calibrated index.
        min_query_confidence: Queries less confident than this are uncertain, in [0, 1]. Without either, those that
            hardly look answerable are.
        on_uncertain: What an uncertain query gets: ``"abstain"`` (no documents), ``"clarify"`` (no documents, but in
            ``result`` the labels that it may be about), or ``"flag"``: all documents, marked.
    """

    def __init__(
        self,
        document_store: ConfidenceDocumentStore,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: OnUncertain = "abstain",
    ) -> None:
        if not isinstance(document_store, ConfidenceDocumentStore):
            raise TypeError(f"document_store must be a ConfidenceDocumentStore, got {type(document_store).__name__}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.filter_policy = (
            filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        )
        self.target_precision = target_precision
        self.min_query_confidence = min_query_confidence
        self.on_uncertain: OnUncertain = on_uncertain

    def to_dict(self) -> dict[str, Any]:
        """Arguments of the class as JSON values."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            target_precision=self.target_precision,
            min_query_confidence=self.min_query_confidence,
            on_uncertain=self.on_uncertain,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """A retriever with these arguments."""
        arguments = dict(data["init_parameters"])
        if isinstance(arguments.get("document_store"), dict):
            arguments["document_store"] = ConfidenceDocumentStore.from_dict(arguments["document_store"])
        return default_from_dict(cls, {**data, "init_parameters": arguments})

    def _search(
        self, query: str | None, filters: dict[str, Any] | None, top_k: int | None, **options: Any
    ) -> dict[str, Any]:
        wanted = apply_filter_policy(self.filter_policy, self.filters, filters)
        try:
            result = self.document_store.index.search(
                query,
                limit=self.top_k if top_k is None else top_k,
                query_filter=to_qdrant(wanted),
                **abstaining(self.on_uncertain, self.target_precision, self.min_query_confidence),
                **options,
            )
        except EmptyIndexError:
            result = empty_result(query)
        return retrieved(result, self.target_precision)


@component
class ConfidenceTextRetriever(_Retriever):
    """Retrieves by the text of a query, which the index's encoder embeds, and abstains where it is not sure.

    Example:
        >>> retriever = ConfidenceTextRetriever(store, target_precision=0.9)  # doctest: +SKIP
        >>> retriever.run(query="Where is my parcel?")["result"]["fg_decision"]  # doctest: +SKIP
    """

    @component.output_types(documents=list[Document], result=dict[str, Any])
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """Retrieve.

        Args:
            query: The query.
            filters: Haystack filter.
            top_k: Number of documents.

        Returns:
            ``documents``, best first, and ``result``: decision, reason, confidence, and labels to choose from.
        """
        return self._search(query, filters, top_k)

    @component.output_types(documents=list[Document], result=dict[str, Any])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """As :meth:`run`, in a thread."""
        return await asyncio.to_thread(self._search, query, filters, top_k)


@component
class ConfidenceEmbeddingRetriever(_Retriever):
    """Retrieves by the base embedding of a query, that of the encoder's base model, and abstains where it is not sure.

    Example:
        >>> retriever = ConfidenceEmbeddingRetriever(store, target_precision=0.9)  # doctest: +SKIP
        >>> pipeline.connect("text_embedder.embedding", "retriever.query_embedding")  # doctest: +SKIP
    """

    @component.output_types(documents=list[Document], result=dict[str, Any])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """Retrieve.

        Args:
            query_embedding: The embedding.
            filters: Haystack filter.
            top_k: Number of documents.

        Returns:
            ``documents``, best first, and ``result``: decision, reason, confidence, and labels to choose from.
        """
        return self._search(None, filters, top_k, vector=query_embedding)

    @component.output_types(documents=list[Document], result=dict[str, Any])
    async def run_async(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """As :meth:`run`, in a thread."""
        return await asyncio.to_thread(self.run, query_embedding, filters, top_k)
