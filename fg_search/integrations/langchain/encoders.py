"""Encoders and embeddings of LangChain, one from the other."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from fg_search.integrations.embedders import embedder_of_functions
from fg_search.model.embedders.function import CallableEmbedder
from fg_search.model.encoder import FeatureGroupEncoder


class EncoderEmbeddings(Embeddings):
    """Embeds as the base model of an encoder does, for whatever of LangChain takes embeddings.

    Args:
        encoder: The encoder, fitted or not.
    """

    def __init__(self, encoder: FeatureGroupEncoder) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Base embeddings of texts that are found."""
        embedded: list[list[float]] = self.encoder.embed(texts).tolist()
        return embedded

    def embed_query(self, text: str) -> list[float]:
        """Base embedding of a text that is searched for."""
        embedded: list[float] = self.encoder.embed([text], role="query")[0].tolist()
        return embedded


def embedder_of(embedding: Embeddings, name: str | None = None) -> CallableEmbedder:
    """LangChain's embeddings as an embedder.

    Args:
        embedding: The embeddings.
        name: Name of the model; by default what the embeddings say, or their class.
    """
    return embedder_of_functions(
        embedding,
        name,
        documents=embedding.embed_documents,
        queries=lambda texts: [embedding.embed_query(text) for text in texts],
    )


def encoder_of(embedding: Embeddings | FeatureGroupEncoder) -> FeatureGroupEncoder:
    """An encoder on LangChain's embeddings, without a head unless they are those of one; an encoder stays itself."""
    if isinstance(embedding, FeatureGroupEncoder):
        return embedding
    if isinstance(embedding, EncoderEmbeddings):
        return embedding.encoder
    return FeatureGroupEncoder(embedder_of(embedding))
