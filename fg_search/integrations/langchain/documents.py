"""Documents of LangChain, from hits and items."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.documents import Document

from fg_search.index.items import IndexedItem
from fg_search.index.search_results import Hit, SearchResult
from fg_search.integrations.outcomes import explanation, hit_metadata, result_metadata

OnAbstain = Literal["nothing", "say so"]
"""What stands for hits that are held back: no document, or one whose text says so."""


def document(hit: Hit, metadata: dict[str, Any] | None = None) -> Document:
    """The document of a hit; with metadata of the result, also with those of the hit."""
    extra = {} if metadata is None else {**metadata, **hit_metadata(hit)}
    return Document(id=str(hit.id), page_content=hit.text, metadata={**hit.payload, **extra})


def stored_document(item: IndexedItem) -> Document:
    """The document of an item, as it was added."""
    return Document(id=str(item.id), page_content=item.text, metadata=item.payload)


def documents(result: SearchResult, target_precision: float | None, on_abstain: OnAbstain) -> list[Document]:
    """Documents of a result; if it has no hits, none, or one that says so."""
    if result.hits or on_abstain == "nothing":
        metadata = result_metadata(result, target_precision)
        return [document(hit, metadata) for hit in result.hits]
    return [notice(*explanation(result, target_precision))]


def notice(text: str, metadata: dict[str, Any]) -> Document:
    """A document that says why there is no other one."""
    return Document(page_content=text, metadata=metadata)
