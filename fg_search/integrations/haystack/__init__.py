"""Haystack 3: a document store, retrievers, and routers for answers, questions back, and what has no answer."""

from fg_search.integrations.haystack.document_store import ConfidenceDocumentStore
from fg_search.integrations.haystack.gate_router import GateRouter
from fg_search.integrations.haystack.retrievers import ConfidenceEmbeddingRetriever, ConfidenceTextRetriever
from fg_search.integrations.haystack.router import ConfidenceRouter

__all__ = [
    "ConfidenceDocumentStore",
    "ConfidenceEmbeddingRetriever",
    "ConfidenceRouter",
    "ConfidenceTextRetriever",
    "GateRouter",
]
