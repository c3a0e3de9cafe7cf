"""A router by what a retriever has found."""

from __future__ import annotations

from typing import Any

from haystack import component
from haystack.dataclasses import Document

from fg_search.integrations.outcomes import said


@component
class ConfidenceRouter:
    """Sends documents that answer one way, labels to ask about another way, and what is not to be answered a third.

    It stands behind a :class:`ConfidenceTextRetriever` or :class:`ConfidenceEmbeddingRetriever`.

    Example:
        >>> pipeline.connect("retriever.documents", "router.documents")  # doctest: +SKIP
        >>> pipeline.connect("retriever.result", "router.result")  # doctest: +SKIP
        >>> pipeline.connect("router.answer", "prompt_builder.documents")  # doctest: +SKIP
    """

    @component.output_types(answer=list[Document], clarify=list[str], no_answer=str)
    def run(self, documents: list[Document], result: dict[str, Any]) -> dict[str, Any]:
        """Route.

        Args:
            documents: Documents of a retriever.
            result: What it has found.

        Returns:
            One of ``answer``: the documents; ``clarify``: labels, to ask which one is meant; ``no_answer``: a sentence
            that says whether nothing is known or something weak was found, and why.
        """
        outcome = result["fg_outcome"]
        if outcome == "answer":
            return {"answer": documents}
        if outcome == "choices":
            return {"clarify": result["fg_choices"]}
        return {"no_answer": said(outcome, result["fg_reason"])}
