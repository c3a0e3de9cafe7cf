"""Documents of Haystack, from hits and items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack.dataclasses import Document

from fg_search.index.items import IndexedItem
from fg_search.index.search_results import Hit, SearchResult
from fg_search.integrations.outcomes import hit_metadata, result_metadata


def stored_document(item: IndexedItem) -> Document:
    """The document of an item, as it was written."""
    return Document(id=str(item.id), content=item.text, meta=dict(item.payload))


def found_document(hit: Hit, metadata: Mapping[str, Any]) -> Document:
    """The document of a hit, with its score and what the search has found."""
    meta = {**hit.payload, **metadata, **hit_metadata(hit)}
    return Document(id=str(hit.id), content=hit.text, meta=meta, score=hit.ranking_score)


def retrieved(result: SearchResult, target_precision: float | None) -> dict[str, Any]:
    """Outputs of a retriever: documents, and what the search has found, with labels to choose from."""
    metadata = result_metadata(result, target_precision)
    documents = [found_document(hit, metadata) for hit in result.hits]
    return {
        "documents": documents,
        "result": {**metadata, "fg_choices": [choice.label for choice in result.choices]},
    }
