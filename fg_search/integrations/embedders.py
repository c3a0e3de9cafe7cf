"""Embeddings of other libraries as what embeds the texts of an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fg_search.model.embedders.function import CallableEmbedder

Vectors = list[list[float]]
_A_TEXT = "a text"  # whose embedding tells the dimension


def embedder_of_functions(
    model: Any,
    name: str | None,
    *,
    documents: Callable[[list[str]], Vectors],
    queries: Callable[[list[str]], Vectors],
) -> CallableEmbedder:
    """An embedder of a library's two functions. One text is embedded for its dimension.

    Args:
        model: What makes the embeddings; its name is what it says itself, or its class.
        name: Another name.
        documents: Embeds texts that are found.
        queries: Embeds texts that are searched for.
    """
    dimension = len(documents([_A_TEXT])[0])
    return CallableEmbedder(None, dimension, queries=queries, documents=documents, name=name or _name_of(model))


def _name_of(model: Any) -> str:
    for attribute in ("model_name", "model"):
        named = getattr(model, attribute, None)
        if isinstance(named, str) and named:
            return named
    return type(model).__name__
