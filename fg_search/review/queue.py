"""The items of an index that a person should look at, in the engine's own order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from qdrant_client import models

from fg_search.errors import NotScoredError
from fg_search.index.searching import check_not_empty
from fg_search.index.state import IndexState
from fg_search.review.items import Example, Kind, ReviewItem
from fg_search.storage.keys import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    FEATURES_VECTOR,
    LABEL_KEY,
    PAYLOAD_KEY,
    REVIEW_KEY,
    REVIEW_SCORE_KEY,
    REVIEWED_KEY,
)
from fg_search.storage.operations import Operation, call
from fg_search.validation import check_count

_UNDECIDED = 0.5  # a group whose best code has less than half the mass prefers no code to all others together
_QUERIES_PER_REQUEST = 64

_UNDECIDED_ABOUT = models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{PAYLOAD_KEY}.{REVIEWED_KEY}"))
_ORDERS: dict[str, models.OrderBy] = {
    "ambiguous": models.OrderBy(key=CONFIDENCE_KEY, direction=models.Direction.ASC),
    "contradicted": models.OrderBy(key=REVIEW_SCORE_KEY, direction=models.Direction.DESC),
}


@dataclass(frozen=True)
class ReviewOptions:
    """What to list; checked when it is made.

    Attributes:
        kind: ``"ambiguous"`` or ``"contradicted"``.
        limit: Items at most.
        offset: Items to leave out before the first.
        label: Only items with this label.
        evidence: Nearest items of the same label, and of others, to show beside each.
        query_filter: Any Qdrant filter.
    """

    kind: Kind = "ambiguous"
    limit: int = 50
    offset: int = 0
    label: str | None = None
    evidence: int = 0
    query_filter: models.Filter | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            known = " or ".join(map(repr, get_args(Kind)))
            raise ValueError(f"kind must be {known}, got {self.kind!r}")
        check_count(self.limit, name="limit")
        for name in ("offset", "evidence"):
            check_count(getattr(self, name), name=name, least=0)


def listed(state: IndexState, options: ReviewOptions) -> Operation[list[ReviewItem]]:
    """The most urgent items that nobody decided about yet, ordered by the engine.

    Raises:
        EmptyIndexError: If nothing was added yet.
        NotScoredError: If labels were not judged yet.
    """
    own = None if options.label is None else _has_label(options.label)
    scored = models.FieldCondition(key=REVIEW_SCORE_KEY, range=models.Range(gte=0))
    contradicted = options.kind == "contradicted"
    if contradicted:
        yield from _check_scored(state)
    records, _ = yield call(
        "scroll",
        state.collection,
        scroll_filter=state.scope(_UNDECIDED_ABOUT, own, scored if contradicted else None, options.query_filter),
        limit=options.limit + options.offset,
        order_by=_ORDERS[options.kind],
        with_payload=True,
    )
    if not records:
        yield from check_not_empty(state)
    records = records[options.offset :]
    items = [_to_item(record, options.kind) for record in records]
    if not options.evidence or not items:
        return items
    return (yield from _with_evidence(state, items, [record.id for record in records], options.evidence))


def _check_scored(state: IndexState) -> Operation[None]:
    info = yield call("get_collection", state.collection)
    if not (info.config.metadata or {}).get(REVIEW_KEY):
        raise NotScoredError(
            f"the labels of {state.name} were not judged yet; call index.score_labels() or `fg-search score` first"
        )


def _with_evidence(
    state: IndexState, items: Sequence[ReviewItem], points: Sequence[Any], count: int
) -> Operation[list[ReviewItem]]:
    """The items with the nearest ones of the same label, and of other labels, as the engine finds them."""
    vector = BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR
    requests = []
    for item, point in zip(items, points, strict=True):
        same: list[models.Condition] = [] if item.label is None else [_has_label(item.label)]
        for condition in (models.Filter(must=same), models.Filter(must_not=same)):
            requests.append(
                models.QueryRequest(
                    query=point, using=vector, filter=state.scope(condition), limit=count, with_payload=[PAYLOAD_KEY]
                )
            )
    found: list[Any] = []
    for start in range(0, len(requests), _QUERIES_PER_REQUEST):
        found += yield call(
            "query_batch_points", state.collection, requests=requests[start : start + _QUERIES_PER_REQUEST]
        )
    return [
        replace(
            item,
            agreeing=() if item.label is None else _examples(found[2 * i].points),
            contradicting=_examples(found[2 * i + 1].points),
        )
        for i, item in enumerate(items)
    ]


def _examples(points: Sequence[models.ScoredPoint]) -> tuple[Example, ...]:
    features = [((point.payload or {})[PAYLOAD_KEY], point.score) for point in points]
    return tuple(Example(one["id"], one["text"], one.get("label"), score) for one, score in features)


def _has_label(label: str) -> models.FieldCondition:
    return models.FieldCondition(key=LABEL_KEY, match=models.MatchValue(value=label))


def _to_item(record: models.Record, kind: Kind) -> ReviewItem:
    payload = dict(record.payload or {})
    features = payload.pop(PAYLOAD_KEY)
    groups = tuple(features["groups"])
    judged = features.get(REVIEW_KEY) or {}
    label = features.get("label")
    return ReviewItem(
        id=features["id"],
        text=features["text"],
        label=label,
        kind=kind,
        score=judged["score"] if kind == "contradicted" else 1 - features["confidence"],
        confidence=features["confidence"],
        group_confidence=groups,
        reason=_contradiction(label, judged) if kind == "contradicted" else _ambiguity(groups),
        payload=payload,
        suggested_label=judged.get("suggested"),
        suggested_probability=judged.get("probability"),
    )


def _contradiction(label: str | None, judged: dict[str, Any]) -> str:
    return (
        f"{judged['score']:.0%} likely not to be {label!r}; what was learned without it says "
        f"{judged['suggested']!r} ({judged['probability']:.0%})"
    )


def _ambiguity(groups: tuple[float, ...]) -> str:
    undecided = sum(value < _UNDECIDED for value in groups)
    if undecided:
        return f"{undecided} of {len(groups)} groups are undecided (best code below {_UNDECIDED:.0%})"
    return f"the least sure of {len(groups)} groups gives its best code {min(groups):.0%}"
