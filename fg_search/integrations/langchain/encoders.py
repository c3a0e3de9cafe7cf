"""Encoders for LangChain's stores."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from fg_search.model.encoder import FeatureGroupEncoder


def encoder_of(embedding: Embeddings | FeatureGroupEncoder) -> FeatureGroupEncoder:
    """The encoder itself.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(embedding, FeatureGroupEncoder):
        raise TypeError(f"embedding must be a FeatureGroupEncoder, got {type(embedding).__name__}")
    return embedding
