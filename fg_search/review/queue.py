"""The items of an index that a person should look at, in the engine's own order."""

from __future__ import annotations

from qdrant_client import models

from fg_search.index.searching import check_not_empty
from fg_search.index.state import IndexState
from fg_search.review.items import ReviewItem
from fg_search.storage.keys import CONFIDENCE_KEY, PAYLOAD_KEY, REVIEWED_KEY
from fg_search.storage.operations import Operation, call
from fg_search.validation import check_count

_UNDECIDED = 0.5  # a group whose best code has less than half the mass prefers no code to all others together


_UNDECIDED_ABOUT = models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{PAYLOAD_KEY}.{REVIEWED_KEY}"))


def ambiguous(
    state: IndexState, *, kind: str, limit: int, query_filter: models.Filter | None = None
) -> Operation[list[ReviewItem]]:
    """The ``limit`` least confident items, the least confident first, ordered by the engine."""
    if kind != "ambiguous":
        raise ValueError(f"kind must be 'ambiguous', got {kind!r}")
    check_count(limit, name="limit")
    records, _ = yield call(
        "scroll",
        state.collection,
        scroll_filter=state.scope(_UNDECIDED_ABOUT, query_filter),
        limit=limit,
        order_by=models.OrderBy(key=CONFIDENCE_KEY, direction=models.Direction.ASC),
        with_payload=True,
    )
    if not records:
        yield from check_not_empty(state)
    return [_to_item(record) for record in records]


def _to_item(record: models.Record) -> ReviewItem:
    payload = dict(record.payload or {})
    features = payload.pop(PAYLOAD_KEY)
    groups = tuple(features["groups"])
    return ReviewItem(
        id=features["id"],
        text=features["text"],
        label=features.get("label"),
        kind="ambiguous",
        score=1 - features["confidence"],
        confidence=features["confidence"],
        group_confidence=groups,
        reason=_reason(groups),
        payload=payload,
    )


def _reason(groups: tuple[float, ...]) -> str:
    undecided = sum(value < _UNDECIDED for value in groups)
    if undecided:
        return f"{undecided} of {len(groups)} groups are undecided (best code below {_UNDECIDED:.0%})"
    return f"the least sure of {len(groups)} groups gives its best code {min(groups):.0%}"
