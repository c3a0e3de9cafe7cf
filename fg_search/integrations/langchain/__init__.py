"""LangChain (langchain-core 1.x): a retriever and a vector store that abstain, and a gate behind any retriever."""

from fg_search.integrations.langchain.encoders import EncoderEmbeddings, embedder_of
from fg_search.integrations.langchain.gated import GatedRetriever
from fg_search.integrations.langchain.retriever import ConfidenceRetriever
from fg_search.integrations.langchain.vector_store import ConfidenceVectorStore

__all__ = ["ConfidenceRetriever", "ConfidenceVectorStore", "EncoderEmbeddings", "GatedRetriever", "embedder_of"]
