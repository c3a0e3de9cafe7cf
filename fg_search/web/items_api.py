"""The JSON API for items as they are stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints

from fg_search.ids import UserId, id_from_json
from fg_search.index.items import IndexedItem
from fg_search.web.errors import error_responses
from fg_search.web.item_list import ItemList
from fg_search.web.parameters import MAX_ID, MAX_LISTED, MAX_PLACE, ItemsRequest
from fg_search.web.security import API_PATH


class StoredItemBody(BaseModel):
    """An item as it is stored."""

    id: UserId
    text: str
    label: str | None
    confidence: float = Field(description="Confidence of the item's embedding.")
    familiarity: float | None = Field(
        description="Share of the examples learned from that are less familiar than the item, if it is known."
    )
    suggested_label: str | None = Field(description="Most probable other label, once labels were scored.")
    wrong: float | None = Field(description="Probability that the label is wrong, once labels were scored.")
    decided: str | None = Field(description="What a reviewer decided: `accept`, `keep`, `label` or `unsure`.")
    payload: dict[str, Any]

    @classmethod
    def of(cls, item: IndexedItem) -> StoredItemBody:
        """Convert an item."""
        return cls.model_validate(asdict(item))


class ItemsBody(BaseModel):
    """A page of items."""

    total: int = Field(description="Number of items on all pages.")
    following: str | None = Field(description="`after` of the next page, null if this is the last one.")
    items: list[StoredItemBody]


class SimilarBody(BaseModel):
    """An item that is similar to another one."""

    similarity: float
    item: StoredItemBody


class PageRequest(ItemsRequest):
    """Which items to list, and which page of them."""

    limit: int = Field(50, ge=1, le=MAX_LISTED, description="Maximum number of items on a page.")
    after: Annotated[str, StringConstraints(max_length=MAX_PLACE)] | None = Field(
        None, description="`following` of the page before. By default the first page is listed."
    )


def router(items: ItemList) -> APIRouter:
    """Routes for items."""
    routes = APIRouter(prefix=API_PATH, tags=["items"])
    reads = error_responses(takes_body=False)

    @routes.get("/items", summary="Items", responses=reads)
    def listed(wanted: Annotated[PageRequest, Query()]) -> ItemsBody:
        """A page of the items that match, in an order."""
        page = items.page(wanted, wanted.limit, wanted.after or None)
        return ItemsBody(
            total=page.total, following=page.following, items=[StoredItemBody.of(item) for item in page.items]
        )

    @routes.get("/similar-items", summary="Similar items", responses=reads)
    def similar(
        id: Annotated[str, Query(max_length=MAX_ID, description="Id as JSON, or a text as it is.")],  # noqa: A002
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 10,
    ) -> list[SimilarBody]:
        """The items most similar to one, by its stored vector."""
        found = items.site.index.similar_items(id_from_json(id), limit=limit)
        return [SimilarBody(similarity=one.similarity, item=StoredItemBody.of(one.item)) for one in found]

    return routes
