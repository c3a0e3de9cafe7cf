"""Deleting and relabelling items, and what an index holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qdrant_client import models

from fg_search.errors import ItemNotFoundError
from fg_search.ids import UserId
from fg_search.index.setting_aside import SET_ASIDE
from fg_search.index.state import IndexState
from fg_search.storage.keys import CONFIDENCE_KEY, GIVEN_LABEL_KEY, HASH_KEY, JUDGEMENT_KEYS, LABEL_KEY, PAYLOAD_KEY
from fg_search.storage.operations import Operation, call
from fg_search.storage.points import Stored, given_label
from fg_search.storage.schema import IndexMetadata
from fg_search.validation import check_count, check_label

_IDS_PER_REQUEST = 1000
_HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class CalibrationInfo:
    """What an index was calibrated on.

    Attributes:
        queries: Judged queries.
        relevant_by: ``"label"`` or ``"id"``.
        search: The options of the searches it holds for, in words.
        points: Points in the index at that time.
    """

    queries: int
    relevant_by: str
    search: str
    points: int


@dataclass(frozen=True)
class IndexInfo:
    """What is in an index.

    Attributes:
        location: Folder, URL, or class of the client.
        collection: Name of the collection.
        tenant: Whose items were counted, in an index with tenants.
        points: Number of points.
        labelled: Number of points that have a label.
        corrected: Number of points whose label a person corrected.
        set_aside: Number of points that are not found until somebody decides about them.
        metadata: Of the encoder that filled it, and its settings.
        calibration: If there is one.
        confidence_histogram: Number of points with a confidence in each tenth of [0, 1].
    """

    location: str
    collection: str
    tenant: str | None
    points: int
    labelled: int
    corrected: int
    set_aside: int
    metadata: IndexMetadata
    calibration: CalibrationInfo | None
    confidence_histogram: tuple[int, ...]


def delete(state: IndexState, ids: Sequence[UserId] | None, query_filter: models.Filter | None) -> Operation[int]:
    """Remove items, by their ids (those that are not there are no error) or by a filter.

    Returns:
        How many were removed.

    Raises:
        ValueError: If neither or both are given.
    """
    if (ids is None) == (query_filter is None):
        raise ValueError("give either ids or query_filter")
    if isinstance(ids, (str, int)):
        raise TypeError(f"ids must be a list, got {ids!r}; wrap it: [{ids!r}]")
    if query_filter is not None:
        return (yield from _delete(state, state.scope(query_filter) or query_filter))
    points = list(dict.fromkeys(state.point_id(one) for one in ids or ()))
    removed = 0
    for chunk in _chunks(points):
        mine: list[models.Condition] = [models.HasIdCondition(has_id=[*chunk])]
        removed += yield from _delete(state, models.Filter(must=mine))
    return removed


def _delete(state: IndexState, condition: models.Filter) -> Operation[int]:
    found = yield call("count", state.collection, count_filter=condition, exact=True)
    yield call("delete", state.collection, points_selector=models.FilterSelector(filter=condition), wait=True)
    return int(found.count)


def relabel(state: IndexState, labels: Mapping[UserId, str | None], *, keep_judgement: bool = False) -> Operation[int]:
    """Correct labels. What the label was is kept beside it, so that adding the same data again keeps the correction.

    Args:
        state: The index.
        labels: The right label by id.
        keep_judgement: Leave with the item what was judged about its old label, which may come back.

    Returns:
        How many items have another label now.

    Raises:
        ItemNotFoundError: If an id is not there; nothing is changed then.
    """
    for user_id, label in labels.items():
        check_label(label, f"labels[{user_id!r}]")
    wanted = {state.point_id(user_id): label for user_id, label in labels.items()}
    stored = yield from _stored(state, list(wanted))
    missing = [user_id for user_id in labels if state.point_id(user_id) not in stored]
    if missing:
        raise ItemNotFoundError(f"{state.name} has no item {missing[0]!r} ({len(missing)} such id(s)); nothing changed")
    changes: dict[tuple[str | None, str | None], list[int | str]] = defaultdict(list)
    changed = 0
    for point, label in wanted.items():
        known = stored[point]
        changed += known.label != label
        # a label that was corrected to what it is anyway: taking a correction back was interrupted half way
        if known.label != label or (known.is_corrected and label == known.given_label):
            changes[label, known.given_label].append(point)
    for (label, given), points in changes.items():
        for chunk in _chunks(points):
            if not keep_judgement:
                yield call("delete_payload", state.collection, list(JUDGEMENT_KEYS), points=chunk, wait=True)
            if label == given:  # the correction is taken back
                yield call("set_payload", state.collection, {"label": label}, points=chunk, key=PAYLOAD_KEY, wait=True)
                yield call("delete_payload", state.collection, [GIVEN_LABEL_KEY], points=chunk, wait=True)
            else:
                both = {"label": label, **given_label(given)}  # the engine removes a label that is set to null
                yield call("set_payload", state.collection, both, points=chunk, key=PAYLOAD_KEY, wait=True)
    return changed


def labels_of(state: IndexState, ids: Sequence[UserId]) -> Operation[dict[UserId, str | None]]:
    """The labels of those of the items that are there, by their ids."""
    points = {user_id: state.point_id(user_id) for user_id in ids}
    stored = yield from _stored(state, list(points.values()))
    return {user_id: stored[point].label for user_id, point in points.items() if point in stored}


def _stored(state: IndexState, points: list[int | str]) -> Operation[dict[int | str, Stored]]:
    """What the index has of those of the points that are there."""
    stored: dict[int | str, Stored] = {}
    for chunk in _chunks(points):
        records = yield call(
            "retrieve", state.collection, ids=chunk, with_payload=[HASH_KEY, LABEL_KEY, GIVEN_LABEL_KEY]
        )
        stored.update((record.id, Stored.of_features(record.payload[PAYLOAD_KEY])) for record in records)
    return stored


def describe_index(state: IndexState) -> Operation[IndexInfo]:
    """Counts, identity, and a histogram of confidence, all from the engine."""
    has_label, corrected = (
        models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
        for key in (LABEL_KEY, GIVEN_LABEL_KEY)
    )
    calibration = state.calibration
    histogram = []
    for bounds in _bins():
        histogram.append((yield from _count(state, models.FieldCondition(key=CONFIDENCE_KEY, range=bounds))))
    return IndexInfo(
        location=state.location,
        collection=state.collection,
        tenant=state.chosen_tenant,
        points=(yield from _count(state)),
        labelled=(yield from _count(state, has_label)),
        corrected=(yield from _count(state, corrected)),
        set_aside=0 if state.metadata.set_aside is None else (yield from _count(state, SET_ASIDE)),
        metadata=state.metadata,
        calibration=None
        if calibration is None
        else CalibrationInfo(
            calibration.queries, calibration.relevant_by, calibration.describe_search(), calibration.points
        ),
        confidence_histogram=tuple(histogram),
    )


def labels(state: IndexState, limit: int) -> Operation[list[str]]:
    """The labels of the items, the most frequent first."""
    check_count(limit, name="limit")
    found = yield call("facet", state.collection, LABEL_KEY, facet_filter=state.scope(), limit=limit, exact=True)
    return [str(hit.value) for hit in found.hits]


def count(state: IndexState) -> Operation[int]:
    """Number of items."""
    return (yield from _count(state))


def count_all(state: IndexState) -> Operation[int]:
    """Number of items, of all tenants if none was chosen."""
    found = yield call("count", state.collection, count_filter=state.scope_of_all(), exact=True)
    return int(found.count)


def _count(state: IndexState, *conditions: models.Condition) -> Operation[int]:
    found = yield call("count", state.collection, count_filter=state.scope(*conditions), exact=True)
    return int(found.count)


def _bins() -> Iterator[models.Range]:
    for i in range(_HISTOGRAM_BINS - 1):
        yield models.Range(gte=i / _HISTOGRAM_BINS, lt=(i + 1) / _HISTOGRAM_BINS)
    yield models.Range(gte=1 - 1 / _HISTOGRAM_BINS, lte=1.0)


def _chunks(points: list[int | str]) -> list[list[int | str]]:
    return [points[start : start + _IDS_PER_REQUEST] for start in range(0, len(points), _IDS_PER_REQUEST)]
