"""The items of an index that a person should look at, in the engine's own order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.index.collections import check_scored
from fg_search.index.search import check_not_empty
from fg_search.index.state import IndexState
from fg_search.layout.keys import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    FEATURES_VECTOR,
    LABEL_KEY,
    MARKED_KEY,
    PAYLOAD_KEY,
    REVIEW_KEY,
    REVIEW_SCORE_KEY,
    REVIEWED_ACTION_KEY,
    REVIEWED_KEY,
    SUGGESTED_KEY,
    review_key,
)
from fg_search.layout.points import id_of, payload_of, vectors_of
from fg_search.review.confused_labels import UNDECIDED_ABOUT
from fg_search.review.issues.diversity import spread_copies
from fg_search.review.issues.marks import (
    MARKS,
    Partner,
    examples_of,
    mark_reason,
    named,
    standing_partners,
)
from fg_search.review.issues.reasons import ambiguity_reason, contradiction_reason
from fg_search.review.items import Example, Kind, ReviewItem
from fg_search.validation import check_count, check_fraction

_QUERIES_PER_REQUEST = 64

_DIVERSE = 1000  # items that a diverse list is chosen from at most
_PER_ITEM = 5  # of them to each that is listed

_BY_CONFIDENCE: tuple[Kind, ...] = ("ambiguous", "unsure")
_SCORE_KEYS: dict[str, str] = {
    **dict.fromkeys(_BY_CONFIDENCE, CONFIDENCE_KEY),  # of which low is urgent
    "contradicted": REVIEW_SCORE_KEY,
    **{kind: review_key(mark.score) for kind, mark in MARKS.items()},
}
_ORDERS: dict[str, models.OrderBy] = {
    **dict.fromkeys(_BY_CONFIDENCE, models.OrderBy(key=CONFIDENCE_KEY, direction=models.Direction.ASC)),
    "contradicted": models.OrderBy(key=REVIEW_SCORE_KEY, direction=models.Direction.DESC),
    **{
        kind: models.OrderBy(
            key=review_key(mark.order), direction=models.Direction.ASC if mark.ascending else models.Direction.DESC
        )
        for kind, mark in MARKS.items()
    },
}
_UNSURE_OF = models.FieldCondition(key=REVIEWED_ACTION_KEY, match=models.MatchValue(value="unsure"))


@dataclass(frozen=True)
class ReviewOptions:
    """What to list; checked when it is made.

    Attributes:
        kind: One of :data:`fg_search.review.items.Kind`.
        limit: Items at most.
        offset: Items to leave out before the first.
        label: Only items with this label.
        suggested: Only items for which this label is suggested.
        min_score: Only items at least this urgent, in [0, 1].
        diverse: No near-copies close to one another, as long as there is anything else.
        evidence: Nearest items of the same label, and of others, to show beside each.
        query_filter: Any Qdrant filter.
    """

    kind: Kind = "ambiguous"
    limit: int = 50
    offset: int = 0
    label: str | None = None
    suggested: str | None = None
    min_score: float | None = None
    diverse: bool = False
    evidence: int = 0
    query_filter: models.Filter | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            *known, last = map(repr, get_args(Kind))
            raise ValueError(f"kind must be {', '.join(known)} or {last}, got {self.kind!r}")
        check_count(self.limit, name="limit")
        for name in ("offset", "evidence"):
            check_count(getattr(self, name), name=name, least=0)
        if self.min_score is not None:
            check_fraction(self.min_score, name="min_score")
        if self.diverse and self.wanted > _DIVERSE:
            raise ValueError(
                f"a diverse list has at most {_DIVERSE:,} items, got limit + offset = {self.wanted:,}; review these "
                "first, or leave out diverse"
            )

    @property
    def wanted(self) -> int:
        """Items to find, those before the first one listed included."""
        return self.limit + self.offset

    @property
    def needs_payloads(self) -> bool:
        """Whether what comes before the first item that is listed has to be looked at."""
        return self.offset == 0 or self.diverse or _names_partners(self.kind)

    @property
    def fetched(self) -> int:
        """Items to read, for a diverse list to choose from."""
        return min(_DIVERSE, _PER_ITEM * self.wanted) if self.diverse else self.wanted


@dataclass(frozen=True)
class _Found:
    """A point that is to be listed, and the items that its mark names."""

    record: models.Record
    partners: Sequence[Partner] = ()

    @property
    def id(self) -> PointId:
        """The engine's id of the item."""
        return id_of(self.record)


async def listed(state: IndexState, options: ReviewOptions) -> list[ReviewItem]:
    """The most urgent items that nobody decided about yet, or was sure about, ordered by the engine.

    Raises:
        EmptyIndexError: If nothing was added yet.
        NotScoredError: If labels were not judged, or items not compared, yet.
    """
    if options.kind == "contradicted":
        await check_scored(state, REVIEW_KEY, "the labels", "score_labels")
    elif options.kind in MARKS:
        await check_scored(state, MARKED_KEY, "the items", "score_items")
    found = await _find(state, options)
    if not found:
        await check_not_empty(state)
    if options.diverse and found:
        found = await _spread(state, found, options.wanted)
    found = found[options.offset : options.wanted]
    if not options.needs_payloads:
        found = await _with_payloads(state, found)
    items = [_to_item(one, options.kind) for one in found]
    if options.evidence and items:
        items = await _with_evidence(state, items, [listed.id for listed in found], options.evidence)
    return [replace(item, reason=_reason(item, one)) for item, one in zip(items, found, strict=True)]


async def _find(state: IndexState, options: ReviewOptions) -> list[_Found]:
    """The first items of the list; those whose mark no longer holds are passed over."""
    wanted = _UNSURE_OF if options.kind == "unsure" else UNDECIDED_ABOUT
    condition = state.scope(wanted, *_conditions(options), options.query_filter)
    limit = options.fetched
    while True:
        records, _ = await state.engine.scroll(
            state.collection,
            scroll_filter=condition,
            limit=limit,
            order_by=_ORDERS[options.kind],
            with_payload=options.needs_payloads,
        )
        found = await _standing(state, options.kind, records)
        if len(found) >= options.fetched or len(records) < limit:
            return found[: options.fetched]
        limit *= 2


def _names_partners(kind: Kind) -> bool:
    return kind in MARKS and MARKS[kind].partners is not None


async def _with_payloads(state: IndexState, found: Sequence[_Found]) -> list[_Found]:
    """The same with payloads, without those that are gone meanwhile."""
    there: dict[PointId, models.Record] = {}
    for page in pages([listed.id for listed in found]):
        there |= {id_of(record): record for record in await state.engine.retrieve(state.collection, page)}
    return [_Found(there[listed.id]) for listed in found if listed.id in there]


def _conditions(options: ReviewOptions) -> Iterator[models.Condition]:
    for key, value in ((LABEL_KEY, options.label), (SUGGESTED_KEY, options.suggested)):
        if value is not None:
            yield models.FieldCondition(key=key, match=models.MatchValue(value=value))
    key, least = _SCORE_KEYS[options.kind], options.min_score
    if options.kind not in _BY_CONFIDENCE:
        yield models.FieldCondition(key=key, range=models.Range(gte=least or 0.0))
    elif least is not None:
        yield models.FieldCondition(key=key, range=models.Range(lte=1 - least))


async def _standing(state: IndexState, kind: Kind, records: Sequence[models.Record]) -> list[_Found]:
    """The records with the items that their marks name, without those of which none is left or differs any more."""
    if not _names_partners(kind):
        return [_Found(record) for record in records]
    features = [payload_of(record)[PAYLOAD_KEY] for record in records]
    ids = list(dict.fromkeys(one for each in features for one in named(kind, each)))
    there: dict[int | str, Any] = {}
    for page in pages(ids):
        partners = await state.engine.retrieve(state.collection, page, with_payload=[PAYLOAD_KEY])
        there.update((id_of(partner), payload_of(partner)[PAYLOAD_KEY]) for partner in partners)
    found = [
        _Found(record, standing_partners(kind, each, there)) for record, each in zip(records, features, strict=True)
    ]
    return [one for one in found if one.partners]


async def _spread(state: IndexState, found: Sequence[_Found], wanted: int) -> list[_Found]:
    """So many of them, no near-copies close to one another."""
    name = BASE_VECTOR if state.metadata.has_base else FEATURES_VECTOR
    records = await state.engine.retrieve(
        state.collection, [listed.id for listed in found], with_payload=False, with_vectors=[name]
    )
    vectors = {id_of(record): vectors_of(record)[name] for record in records}
    there = [listed for listed in found if listed.id in vectors]  # another process may have deleted one meanwhile
    if not there:
        return []
    width = state.metadata.groups * state.metadata.codes_per_group
    rows = np.array([_dense(vectors[listed.id], width) for listed in there], dtype=np.float32)
    order = await state.engine.work(lambda: spread_copies(rows, limit=wanted))
    return [there[int(i)] for i in order]


def _dense(vector: Any, width: int) -> Any:
    if not isinstance(vector, models.SparseVector):
        return vector
    row = np.zeros(width, dtype=np.float32)
    row[vector.indices] = vector.values
    return row


async def _with_evidence(
    state: IndexState, items: Sequence[ReviewItem], points: Sequence[Any], count: int
) -> list[ReviewItem]:
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
    for page in pages(requests, _QUERIES_PER_REQUEST):
        found += await state.engine.query_batch_points(state.collection, page)
    return [
        replace(
            item,
            agreeing=() if item.label is None else _together(item.agreeing, found[2 * i].points, count),
            contradicting=_together(item.contradicting, found[2 * i + 1].points, count),
        )
        for i, item in enumerate(items)
    ]


def _together(brought: Sequence[Example], points: Sequence[models.ScoredPoint], count: int) -> tuple[Example, ...]:
    """What the item brings, filled up with the nearest to so many."""
    features = [((point.payload or {})[PAYLOAD_KEY], point.score) for point in points]
    ids = {one.id for one in brought}
    near = [Example(one["id"], one["text"], one.get("label"), score) for one, score in features if one["id"] not in ids]
    return (*brought, *near[: max(0, count - len(brought))])


def _has_label(label: str) -> models.FieldCondition:
    return models.FieldCondition(key=LABEL_KEY, match=models.MatchValue(value=label))


def _to_item(found: _Found, kind: Kind) -> ReviewItem:
    payload = dict(found.record.payload or {})
    features = payload.pop(PAYLOAD_KEY)
    groups = tuple(features["groups"])
    judged = features.get(REVIEW_KEY) or {}
    label = features.get("label")
    suggested, probability = judged.get("suggested"), judged.get("probability")
    if kind in MARKS and (probability is None or probability <= 1 / 2):
        suggested = probability = None  # it is listed for something else than its label
    agreeing, contradicting = examples_of(features, found.partners)
    return ReviewItem(
        id=features["id"],
        text=features["text"],
        label=label,
        kind=kind,
        score=_score(kind, features, judged),
        confidence=features["confidence"],
        group_confidence=groups,
        reason="",
        payload=payload,
        suggested_label=suggested,
        suggested_probability=probability,
        agreeing=agreeing,
        contradicting=contradicting,
    )


def _score(kind: Kind, features: Mapping[str, Any], judged: Mapping[str, Any]) -> float:
    if kind in MARKS:
        return float(judged[MARKS[kind].score])
    return float(judged["score"]) if kind == "contradicted" else 1 - float(features["confidence"])


def _reason(item: ReviewItem, found: _Found) -> str:
    if item.kind in MARKS:
        return mark_reason(item.kind, (found.record.payload or {})[PAYLOAD_KEY], found.partners)
    suggested, probability = item.suggested_label, item.suggested_probability
    if item.kind == "contradicted":
        like = next((one.text for one in item.contradicting if one.label == suggested), None)
        return contradiction_reason(str(item.label), str(suggested), float(probability or 0), quoted=like)
    around = sorted((*item.agreeing, *item.contradicting), key=lambda one: -one.similarity)
    labels = [one.label for one in around[: max(len(item.agreeing), len(item.contradicting))] if one.label]
    reason = ambiguity_reason(
        item.group_confidence,
        suggested=suggested,
        probability=probability,
        neighbours=labels if set(labels) - {item.label} else (),
    )
    if item.kind != "unsure":
        return reason
    return f"{(found.record.payload or {})[PAYLOAD_KEY][REVIEWED_KEY]['reviewer']} was not sure; {reason}"
