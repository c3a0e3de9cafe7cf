"""A gate behind any retriever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field
from typing_extensions import Self

from fg_search.integrations.langchain.documents import OnAbstain, notice
from fg_search.integrations.outcomes import said
from fg_search.integrations.score_gate import GateDecision, ScoreGate


class GatedRetriever(BaseRetriever):
    """Any retriever whose documents carry scores, with a promise: what it answers with reaches a precision.

    Put it behind a vector store of any kind, a fusion, a reranker: whatever is last. Judged queries teach it how sure
    the scores are.

    Attributes:
        retriever: The retriever. Its documents come best first.
        target_precision: Precision that answers are to reach, in (0, 1).
        score: Where a document has its score: a key of its metadata, or a function of it. More is better.
        on_abstain: No document, or one document that says so: ``"nothing"`` or ``"say so"``.
        gate: What was learned.

    Example:
        >>> gated = GatedRetriever(retriever=reranked, target_precision=0.9, score="relevance_score")  # doctest: +SKIP
        >>> gated.fit(questions, right_ids)  # doctest: +SKIP
        >>> gated.invoke("Where is my parcel?")  # doctest: +SKIP
    """

    retriever: BaseRetriever
    target_precision: float = Field(gt=0, lt=1)
    score: str | Callable[[Document], float] = "score"
    on_abstain: OnAbstain = "nothing"
    gate: ScoreGate = Field(default_factory=ScoreGate)

    def fit(
        self,
        queries: Sequence[str],
        relevant: Sequence[Collection[Any]],
        *,
        key: str | Callable[[Document], Any] | None = None,
        seed: int = 0,
    ) -> Self:
        """Retrieve for judged queries, and learn how sure their scores are.

        Args:
            queries: Some hundreds of queries, better thousands.
            relevant: Of each query, the ids of the documents that answer it; empty if there are none.
            key: What stands in ``relevant`` in place of ids: a key of the metadata, or a function of the document.
            seed: Random seed.

        Raises:
            ValueError: If lengths differ, too few queries are judged, or nearly all are right or wrong.
        """
        found = self.retriever.batch(list(queries))
        right = [
            [_identity(document, key) in answers for document in documents]
            for documents, answers in zip(found, relevant, strict=True)
        ]
        self.gate.fit([self._scores(documents) for documents in found], right, seed=seed)
        return self

    def adapt(self, queries: Sequence[str] | None = None, *, expected_unanswerable: float | None = None) -> Self:
        """Follow the traffic, see :meth:`fg_search.PrecisionGate.adapt`.

        Args:
            queries: Some hundreds of queries that nobody judged, each as often as it was asked.
            expected_unanswerable: The share of queries without an answer, in [0, 1), if you know it.
        """
        if queries is None:
            self.gate.adapt(expected_unanswerable=expected_unanswerable)
            return self
        asked = Counter(queries)
        scores = [self._scores(found) for found in self.retriever.batch(list(asked))]
        self.gate.adapt(scores, counts=[*asked.values()], expected_unanswerable=expected_unanswerable)
        return self

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._gated(self.retriever.invoke(query, {"callbacks": run_manager.get_child()}, **options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return self._gated(await self.retriever.ainvoke(query, {"callbacks": run_manager.get_child()}, **options))

    def _gated(self, documents: Sequence[Document]) -> list[Document]:
        decision = self.gate.decide(self._scores(documents), self.target_precision)
        if decision.answer:
            return [_with(document, decision) for document in documents]
        if self.on_abstain == "nothing":
            return []
        return [notice(said(decision.outcome, decision.reason), decision.metadata)]

    def _scores(self, documents: Sequence[Document]) -> list[float]:
        return [self._score(document) for document in documents]

    def _score(self, document: Document) -> float:
        if not isinstance(self.score, str):
            return float(self.score(document))
        if self.score not in document.metadata:
            raise ValueError(
                f"a document of {type(self.retriever).__name__} has no {self.score!r} in its metadata, only "
                f"{sorted(document.metadata)}; say where its score is: GatedRetriever(score=…)"
            )
        return float(document.metadata[self.score])


def _identity(document: Document, key: str | Callable[[Document], Any] | None) -> Any:
    if key is None:
        return document.id
    return document.metadata.get(key) if isinstance(key, str) else key(document)


def _with(document: Document, decision: GateDecision) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, **decision.metadata}})
