"""A gate behind any retriever."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from typing_extensions import Self

from fg_search.integrations.llama_index.nodes import notice, told
from fg_search.integrations.llama_index.retriever import OnAbstain
from fg_search.integrations.outcomes import said
from fg_search.integrations.score_gate import ScoreGate, scores_of


class GatePostprocessor(BaseNodePostprocessor):
    """Lets nodes through if their scores promise an answer, whatever retriever or reranker they come from.

    Judged queries teach it how sure the scores are; what it lets through reaches the target precision.

    Attributes:
        target_precision: Precision that answers are to reach, in (0, 1).
        on_abstain: No node, or one node that says so: ``"nothing"`` or ``"say so"``.
        gate: What was learned.

    Example:
        >>> gate = GatePostprocessor(target_precision=0.9)  # doctest: +SKIP
        >>> gate.fit([retriever.retrieve(question) for question in questions], right_ids)  # doctest: +SKIP
        >>> RetrieverQueryEngine.from_args(retriever, node_postprocessors=[gate])  # doctest: +SKIP
    """

    target_precision: float = Field(gt=0, lt=1)
    on_abstain: OnAbstain = "nothing"
    gate: ScoreGate = Field(default_factory=ScoreGate, exclude=True)

    @classmethod
    def class_name(cls) -> str:
        """Name of the class, for LlamaIndex."""
        return "GatePostprocessor"

    def fit(
        self, nodes: Sequence[Sequence[NodeWithScore]], relevant: Sequence[Collection[str]], *, seed: int = 0
    ) -> Self:
        """Learn from the nodes that are retrieved for judged queries.

        Args:
            nodes: Nodes of each query, best first, with scores. Some hundreds of queries, better thousands.
            relevant: Of each query, the ids of the nodes that answer it; empty if there are none.
            seed: Random seed.

        Raises:
            ValueError: If lengths differ, a node has no score, too few queries are judged, or nearly all are right or
                wrong.
        """
        right = [[node.node_id in ids for node in found] for found, ids in zip(nodes, relevant, strict=True)]
        self.gate.fit([_scores(found) for found in nodes], right, seed=seed)
        return self

    def adapt(
        self,
        nodes: Sequence[Sequence[NodeWithScore]] | None = None,
        *,
        counts: Sequence[int] | None = None,
        expected_unanswerable: float | None = None,
    ) -> Self:
        """Follow the traffic, see :meth:`fg_search.PrecisionGate.adapt`.

        Args:
            nodes: Nodes of some hundreds of different queries; nobody need have judged them.
            counts: How often each of these queries was asked; by default once.
            expected_unanswerable: The share of queries without an answer, in [0, 1), if you know it.
        """
        scores = None if nodes is None else [_scores(found) for found in nodes]
        self.gate.adapt(scores, counts=counts, expected_unanswerable=expected_unanswerable)
        return self

    def _postprocess_nodes(
        self,
        nodes: list[NodeWithScore],
        query_bundle: QueryBundle | None = None,  # noqa: ARG002  LlamaIndex's interface
    ) -> list[NodeWithScore]:
        decision = self.gate.decide(_scores(nodes), self.target_precision)
        if decision.answer:
            return [NodeWithScore(node=told(one.node, decision.metadata), score=one.score) for one in nodes]
        if self.on_abstain == "nothing":
            return []
        return [notice(said(decision.outcome, decision.reason), decision.metadata)]


def _scores(nodes: Sequence[NodeWithScore]) -> list[float]:
    return scores_of("node", ((one.node_id, one.score) for one in nodes))
