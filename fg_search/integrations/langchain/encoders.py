"""Encoders and embeddings of LangChain, one from the other."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from fg_search.model.encoder import FeatureGroupEncoder


class EncoderEmbeddings(Embeddings):
    """Embeds as the base model of an encoder does, for whatever of LangChain takes embeddings.

    Args:
        encoder: The encoder, fitted or not.
    """

    def __init__(self, encoder: FeatureGroupEncoder) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Base embeddings of documents."""
        embedded: list[list[float]] = self.encoder.embed(texts).tolist()
        return embedded

    def embed_query(self, text: str) -> list[float]:
        """Base embedding of a query."""
        embedded: list[float] = self.encoder.embed([text], role="query")[0].tolist()
        return embedded


def encoder_of(embedding: Embeddings | FeatureGroupEncoder) -> FeatureGroupEncoder:
    """The encoder itself, or that of embeddings.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(embedding, EncoderEmbeddings):
        return embedding.encoder
    if not isinstance(embedding, FeatureGroupEncoder):
        raise TypeError(
            f"embedding must be a FeatureGroupEncoder or EncoderEmbeddings of one, got {type(embedding).__name__}"
        )
    return embedding
