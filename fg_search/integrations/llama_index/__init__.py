"""LlamaIndex (core 0.14): a vector store and a retriever that abstain, and a gate behind any retriever."""

from fg_search.integrations.llama_index.embedding import EncoderEmbedding, embedder_of
from fg_search.integrations.llama_index.postprocessor import GatePostprocessor
from fg_search.integrations.llama_index.retriever import ConfidenceRetriever
from fg_search.integrations.llama_index.vector_store import ConfidenceVectorStore

__all__ = ["ConfidenceRetriever", "ConfidenceVectorStore", "EncoderEmbedding", "GatePostprocessor", "embedder_of"]
