"""A retriever on an index."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import Field

from fg_search.confidence_index import ConfidenceIndex
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.filters import as_filter
from fg_search.integrations.langchain.documents import OnAbstain, documents


class ConfidenceRetriever(BaseRetriever):
    """Retrieves from a :class:`~fg_search.ConfidenceIndex`, and abstains where it is not sure.

    Each document has the metadata of its item, and what the search has found (``fg_decision``, ``fg_reason``,
    ``fg_confidence``, …). On an event loop it searches in a thread.

    Attributes:
        index: The index, or the view of one tenant. It stays yours to close.
        k: Number of documents.
        target_precision: Precision that answers are to reach, in (0, 1); needs a calibrated index.
        min_query_confidence: Queries less confident than this are uncertain, in [0, 1]. Without either, those that
            hardly look answerable are.
        on_uncertain: What an uncertain query gets: ``"abstain"``, ``"clarify"`` (the labels that it may be about, in a
            document that says so), or ``"flag"``: all documents, marked.
        on_abstain: No document, or one document that says so: ``"nothing"`` or ``"say so"``.
        search_kwargs: Further arguments of :meth:`fg_search.ConfidenceIndex.search`, such as ``rank_by``; ``filter`` is
            a Qdrant filter or a mapping of values by metadata. ``invoke`` takes them, and ``k``, as well.

    Example:
        >>> retriever = ConfidenceRetriever(index=index, target_precision=0.9)  # doctest: +SKIP
        >>> retriever.invoke("Where is my parcel?", k=2)  # doctest: +SKIP
    """

    index: ConfidenceIndex
    k: int = Field(default=4, ge=1)
    target_precision: float | None = None
    min_query_confidence: float | None = None
    on_uncertain: Literal["abstain", "clarify", "flag"] = "abstain"
    on_abstain: OnAbstain = "nothing"
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  LangChain looks for it
        k: int | None = None,
        **options: Any,
    ) -> list[Document]:
        wanted = {**self.search_kwargs, **options}
        if "filter" in wanted:
            wanted["query_filter"] = as_filter(wanted.pop("filter"))
        result = self.index.search(
            query,
            limit=self.k if k is None else k,
            **abstaining(self.on_uncertain, self.target_precision, self.min_query_confidence),
            **wanted,
        )
        return documents(result, self.target_precision, self.on_abstain)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, **options: Any
    ) -> list[Document]:
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k, **options
        )
