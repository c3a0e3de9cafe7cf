"""A gate behind any retriever, joiner or ranker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import Document
from typing_extensions import Self

from fg_search.errors import NotFittedError
from fg_search.integrations.outcomes import said
from fg_search.integrations.score_gate import ScoreGate, scores_of
from fg_search.validation import check_inner_fraction


@component
class GateRouter:
    """Sends documents on if their scores promise an answer, whatever component has retrieved, joined or ranked them.

    Judged queries teach it how sure the scores are; what it sends on reaches the target precision.

    Args:
        target_precision: Precision that answers are to reach, in (0, 1).
        gate: What was learned, as JSON values.

    Example:
        >>> router = GateRouter(0.9).fit(ranked_documents, right_ids)  # doctest: +SKIP
        >>> pipeline.connect("ranker.documents", "router.documents")  # doctest: +SKIP
    """

    def __init__(self, target_precision: float, gate: dict[str, Any] | None = None) -> None:
        self.target_precision = check_inner_fraction(target_precision, name="target_precision")
        self.gate = ScoreGate() if gate is None else ScoreGate.from_dict(gate)

    def fit(self, documents: Sequence[list[Document]], relevant: Sequence[Collection[str]], *, seed: int = 0) -> Self:
        """Learn from the documents that a pipeline gives for judged queries.

        Args:
            documents: Documents of each query, best first, with scores. Some hundreds of queries, better thousands.
            relevant: Of each query, the ids of the documents that answer it; empty if there are none.
            seed: Random seed.

        Raises:
            ValueError: If lengths differ, a document has no score, too few queries are judged, or nearly all are right
                or wrong.
        """
        right = [[document.id in ids for document in found] for found, ids in zip(documents, relevant, strict=True)]
        self.gate.fit([_scores(found) for found in documents], right, seed=seed)
        return self

    def adapt(
        self,
        documents: Sequence[list[Document]] | None = None,
        *,
        counts: Sequence[int] | None = None,
        expected_unanswerable: float | None = None,
    ) -> Self:
        """Follow the traffic, see :meth:`fg_search.PrecisionGate.adapt`.

        Args:
            documents: Documents of some hundreds of different queries; nobody need have judged them.
            counts: How often each of these queries was asked; by default once.
            expected_unanswerable: The share of queries without an answer, in [0, 1), if you know it.
        """
        scores = None if documents is None else [_scores(found) for found in documents]
        self.gate.adapt(scores, counts=counts, expected_unanswerable=expected_unanswerable)
        return self

    @component.output_types(answer=list[Document], no_answer=str, result=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Route.

        Args:
            documents: Documents of a query, best first, with scores.

        Returns:
            ``answer``: the documents, or ``no_answer``: a sentence that says why not; and ``result``: decision, reason
            and confidence.

        Raises:
            NotFittedError: Before :meth:`fit`.
        """
        decision = self.gate.decide(_scores(documents), self.target_precision)
        told = decision.metadata
        if not decision.answer:
            return {"no_answer": said(decision.outcome, decision.reason), "result": told}
        return {"answer": [replace(one, meta={**one.meta, **told}) for one in documents], "result": told}

    def to_dict(self) -> dict[str, Any]:
        """Arguments of the class as JSON values, with what was learned."""
        try:
            gate: dict[str, Any] | None = self.gate.to_dict()
        except NotFittedError:
            gate = None
        return default_to_dict(self, target_precision=self.target_precision, gate=gate)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """A router with these arguments."""
        return default_from_dict(cls, data)


def _scores(documents: Sequence[Document]) -> list[float]:
    return scores_of("document", ((one.id, one.score) for one in documents))
