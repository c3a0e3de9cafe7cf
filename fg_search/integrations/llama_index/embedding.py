"""The base model of an encoder as an embedding of LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding

from fg_search.integrations.embedders import embedder_of_functions
from fg_search.model.embedders.function import CallableEmbedder
from fg_search.model.encoder import FeatureGroupEncoder


def embedder_of(embed_model: BaseEmbedding, name: str | None = None) -> CallableEmbedder:
    """LlamaIndex's embedding as an embedder: ``FeatureGroupEncoder(embedder_of(embed_model))``.

    Args:
        embed_model: The embedding.
        name: Name of the model; by default what the embedding says, or its class.
    """
    return embedder_of_functions(
        embed_model,
        name,
        documents=embed_model.get_text_embedding_batch,
        queries=lambda texts: [embed_model.get_query_embedding(text) for text in texts],
    )


class EncoderEmbedding(BaseEmbedding):
    """Embeds as the base model of an encoder does, so that nodes and queries have the vectors that its head knows.

    Args:
        encoder: The encoder, fitted or not.

    Example:
        >>> embed_model = EncoderEmbedding(encoder)  # doctest: +SKIP
        >>> VectorStoreIndex.from_vector_store(store, embed_model=embed_model)  # doctest: +SKIP
    """

    encoder: Any

    def __init__(self, encoder: FeatureGroupEncoder, **options: Any) -> None:
        super().__init__(**{"encoder": encoder, "model_name": encoder.model_name, **options})

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        embedded: list[Embedding] = self.encoder.embed(texts).tolist()
        return embedded

    def _get_query_embedding(self, query: str) -> Embedding:
        embedded: Embedding = self.encoder.embed([query], role="query")[0].tolist()
        return embedded

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)
