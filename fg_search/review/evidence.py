"""Evidence beside a review item: its nearest neighbours of the same label, and of other labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qdrant_client import models
from qdrant_client.http.models import QueryResponse

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.following import check_model
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, LABEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import features_of
from fg_search.review.items import Example, ReviewItem

_QUERIES_PER_REQUEST = 64


async def with_evidence(
    state: IndexState, items: Sequence[ReviewItem], points: Sequence[PointId], count: int
) -> list[ReviewItem]:
    """Add nearest neighbours to items, as the engine finds them.

    Args:
        state: The index.
        items: Items to show.
        points: Engine's ids of the items.
        count: Number of neighbours of either kind.
    """
    vector = BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR
    requests = []
    for item, point in zip(items, points, strict=True):
        same: list[models.Condition] = [] if item.label is None else [equals(LABEL_KEY, item.label)]
        for condition in (models.Filter(must=same), models.Filter(must_not=same)):
            requests.append(
                models.QueryRequest(
                    query=point, using=vector, filter=state.scope(condition), limit=count, with_payload=[PAYLOAD_KEY]
                )
            )
    found: list[QueryResponse] = []
    for page in pages(requests, _QUERIES_PER_REQUEST):
        found += await state.engine.query_batch_points(state.collection, page)
    check_model(state, [point for response in found for point in response.points])
    return [
        replace(
            item,
            agreeing=() if item.label is None else _filled_up(item.agreeing, found[2 * i].points, count),
            contradicting=_filled_up(item.contradicting, found[2 * i + 1].points, count),
        )
        for i, item in enumerate(items)
    ]


def _filled_up(known: Sequence[Example], points: Sequence[models.ScoredPoint], count: int) -> tuple[Example, ...]:
    """Known examples, filled up with nearest neighbours to ``count``."""
    ids = {example.id for example in known}
    neighbours = [_example(point) for point in points]
    others = [example for example in neighbours if example.id not in ids]
    return (*known, *others[: max(0, count - len(known))])


def _example(point: models.ScoredPoint) -> Example:
    features = features_of(point)
    return Example(features["id"], features["text"], features.get("label"), point.score)
