"""Items similar to one that is stored, by its own vector: nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_client import models

from fg_search.errors import ItemNotFoundError
from fg_search.ids import UserId
from fg_search.index.few_conditions import told_of_conditions
from fg_search.index.following import check_model
from fg_search.index.items import IndexedItem
from fg_search.index.labels import hint, ids_in_other_form
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR
from fg_search.validation import check_count


@dataclass(frozen=True)
class SimilarItem:
    """An item that is similar to another one.

    Attributes:
        item: The item.
        similarity: Cosine of the base embeddings, in [-1, 1], or where these are not stored, similarity by features, in
            [0, 1].
    """

    item: IndexedItem
    similarity: float


async def similar_items(
    state: IndexState, user_id: UserId, limit: int, query_filter: models.Filter | None
) -> list[SimilarItem]:
    """The items most similar to one of the index, the most similar first.

    Raises:
        ItemNotFoundError: If there is no such item.
        ValueError: If the limit is less than one.
    """
    check_count(limit, name="limit")
    point = state.point_id(user_id)
    there = await state.engine.retrieve(state.collection, [point], with_payload=False, tenant=state.chosen_tenant)
    if not there:
        meant = hint(await ids_in_other_form(state, [user_id]))
        raise ItemNotFoundError(f"{state.name} has no item {user_id!r}{meant}")
    request = models.QueryRequest(
        query=point,
        using=BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR,
        filter=state.scope(query_filter),
        limit=limit,
        with_payload=True,
    )
    with told_of_conditions(state, query_filter):
        (found,) = await state.engine.query_batch_points(state.collection, [request])
    check_model(state, found.points)
    return [SimilarItem(IndexedItem.of_record(record), record.score) for record in found.points]
