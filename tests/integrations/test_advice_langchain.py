"""Advice of LangChain's integration."""

from __future__ import annotations

import pytest
from advising import Advice

pytest.importorskip("langchain_core", reason="needs langchain-core: pip install 'fg-search[langchain]'")

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from fg_search.integrations.langchain import GatedRetriever


class Reranked(BaseRetriever):
    """Documents whose scores have a name of their own."""

    def _get_relevant_documents(self, query, *, run_manager):
        length = len(query)
        return [Document(id=str(i), page_content="", metadata={"relevance_score": length / 10 - i}) for i in range(2)]


def test_a_gate_is_told_where_the_scores_are():
    queries = ["q" * (i % 10 + 1) for i in range(60)]
    relevant = [{"0"} if len(query) > 5 else set() for query in queries]
    with Advice(" has no … in its metadata, only …; say where its score is: GatedRetriever(score=…)").raised(
        ValueError
    ):
        GatedRetriever(retriever=Reranked(), target_precision=0.8).fit(queries, relevant)
    gated = GatedRetriever(retriever=Reranked(), target_precision=0.8, score="relevance_score").fit(queries, relevant)
    assert len(gated.invoke("q" * 10)) == 2
