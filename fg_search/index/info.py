"""Counts and identity of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qdrant_client import models

from fg_search.confidence.group_promise import PromiseBy
from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.html_table import html_facts
from fg_search.index.adoption.sync import count_unsynced
from fg_search.index.calibration import Calibration
from fg_search.index.following import followed
from fg_search.index.health import Placement, find_placement
from fg_search.index.scores import unscored_labels
from fg_search.index.set_aside import SET_ASIDE, is_set_aside
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, is_present
from fg_search.layout.keys import (
    CONFIDENCE_KEY,
    GIVEN_LABEL_KEY,
    LABEL_KEY,
    MODEL_KEY,
    PAYLOAD_KEY,
    REVIEWED_ACTION_KEY,
    SET_ASIDE_KEY,
    UNREAD_KEY,
)
from fg_search.layout.points import features_of, payload_of
from fg_search.layout.schema import IndexMetadata

_HISTOGRAM_BINS = 10
_MOST_READ = 10_000  # items
_COUNTED = [CONFIDENCE_KEY, LABEL_KEY, GIVEN_LABEL_KEY, SET_ASIDE_KEY, REVIEWED_ACTION_KEY, MODEL_KEY, UNREAD_KEY]


@dataclass(frozen=True)
class CalibrationInfo:
    """Summary of a calibration.

    Attributes:
        queries: Number of judged queries, or of items taken for queries.
        pretended: Whether it is an estimate from the items themselves.
        relevant_within: A result is right if one of its first ``relevant_within`` hits is.
        promise_by: Whether something is promised to each ``"label"`` or each ``"tenant"``; ``None`` if to all together.
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        search: Options of the searches it holds for, in words.
        points: Number of points in the index at that time.
        share: Share of unanswerable queries for which precisions are promised.
        followed_at: When that share was estimated or stated, in ISO 8601; ``None`` if it is that of the judged queries.
        shift: Whether the queries it was estimated from differ from those judged in another way, too, so that the
            promise no longer holds; ``None`` if that was not looked at.
    """

    queries: int
    relevant_by: str
    search: str
    points: int
    share: UnanswerableShare
    followed_at: str | None
    shift: TrafficShift | None
    pretended: bool
    relevant_within: int
    promise_by: PromiseBy | None


@dataclass(frozen=True, repr=False)
class IndexInfo:
    """Contents of an index.

    Attributes:
        location: Folder, URL, or class of the client.
        collection: Name of the index.
        tenant: Tenant whose items were counted, ``None`` in an index without tenants.
        points: Number of points.
        labelled: Number of points that have a label.
        corrected: Number of points whose label a person corrected.
        set_aside: Number of points that are not found until somebody decides about them.
        unread: Number of points whose text the model knows or reads in part only.
        strangers: Number of points that searches leave out: an encoder of before made them, or another client.
        unscored: Number of labelled points that :meth:`ConfidenceIndex.score_labels` did not score when it last ran,
            because their label had too few examples to judge.
        metadata: Identity of the encoder, and the layout.
        calibration: Summary of the calibration, ``None`` if there is none.
        placement: Shards and copies on a server, ``None`` in an engine that runs in this process.
        confidence_histogram: Number of points with a confidence in each tenth of [0, 1]. Beyond 10,000 points it is
            estimated from a random sample.
        unsynced: Number of points of an adopted collection that others have written since it was synced. They are
            found by their base vectors alone, with a confidence that is computed as they are read.
    """

    location: str
    collection: str
    tenant: str | None
    points: int
    labelled: int
    corrected: int
    set_aside: int
    unread: int
    strangers: int
    unscored: int
    metadata: IndexMetadata
    calibration: CalibrationInfo | None
    placement: Placement | None
    confidence_histogram: tuple[int, ...]
    unsynced: int = 0

    def __repr__(self) -> str:
        return f"IndexInfo({self.location!r}, collection={self.collection!r}, {self.points:,} points)"

    def _repr_html_(self) -> str:
        return html_facts(_facts(self))


def _facts(info: IndexInfo) -> dict[str, Any]:
    """What is shown of an index in a notebook."""
    meta, known = info.metadata, info.calibration
    return {
        "location": info.location,
        "collection": info.collection,
        "tenant": info.tenant,
        "points": f"{info.points:,}, {info.labelled:,} with a label, {info.corrected:,} of them corrected",
        "encoder": meta.encoder,
        "features": f"{meta.groups} groups of {meta.codes_per_group} codes, trained on {meta.supervision}",
        "calibration": None if known is None else f"{known.queries:,} queries judged by {known.relevant_by}",
    }


async def describe_index(state: IndexState) -> IndexInfo:
    """Count the items and describe the index, as it is now.

    Up to 10,000 items are read and counted here. Of more, the engine counts, and the histogram is that of a random
    sample, scaled to all.
    """
    found = await state.engine.get_collection(state.collection)
    if IndexMetadata.of_collection(state.collection, found) != state.metadata:
        state = await followed(state)
    state = replace(state, has_strangers=False)  # they are counted
    metadata = found.config.metadata or {}
    points = await _count(state)
    calibration = Calibration.of_metadata(metadata, state.metadata.fingerprint)
    counts = await (_counts_of_all(state) if points <= _MOST_READ else _counts(state, points))
    if state.metadata.source is not None:
        unsynced = await count_unsynced(state)
        counts |= {"points": points, "strangers": 0, "unsynced": unsynced}
    return IndexInfo(
        location=state.location,
        collection=state.collection,
        tenant=state.chosen_tenant,
        unscored=unscored_labels(metadata),
        metadata=state.metadata,
        placement=await find_placement(state.engine, state.points, None, count=False),
        calibration=None
        if calibration is None
        else CalibrationInfo(
            calibration.queries,
            calibration.relevant_by,
            calibration.describe_search(),
            calibration.points,
            calibration.share,
            calibration.followed_at,
            calibration.shift,
            calibration.pretended,
            calibration.relevant_within,
            calibration.promise_by,
        ),
        **counts,
    )


async def _counts_of_all(state: IndexState) -> dict[str, Any]:
    """Numbers of a small index, from what its items say."""
    records, _ = await state.engine.scroll(
        state.collection, scroll_filter=state.scope(), limit=_MOST_READ, with_payload=_COUNTED
    )
    ours = [features for record in records if (features := _own_features(state, record)) is not None]
    return {
        "points": len(ours),
        "labelled": sum(features.get("label") is not None for features in ours),
        "corrected": sum(features.get("given_label") is not None for features in ours),
        "set_aside": sum(is_set_aside(features) for features in ours),
        "unread": sum("unread" in features for features in ours),
        "strangers": len(records) - len(ours),
        "confidence_histogram": _histogram([features["confidence"] for features in ours]),
    }


async def _counts(state: IndexState, points: int) -> dict[str, Any]:
    """Numbers of a large index, as the engine counts."""
    is_own = models.Filter(must=[equals(MODEL_KEY, state.metadata.fingerprint)])
    strangers = await _count(state, models.Filter(must_not=[is_own]))
    sample = models.QueryRequest(
        query=models.SampleQuery(sample=models.Sample.RANDOM),
        filter=state.scope(is_own),
        limit=_MOST_READ,
        with_payload=[CONFIDENCE_KEY],
        with_vector=False,
    )
    (answer,) = await state.engine.query_batch_points(state.collection, [sample])
    return {
        "points": points - strangers,
        "labelled": await _count(state, is_present(LABEL_KEY)),
        "corrected": await _count(state, is_present(GIVEN_LABEL_KEY)),
        "set_aside": 0 if state.metadata.set_aside is None else (await _count(state, SET_ASIDE)),
        "unread": await _count(state, is_present(UNREAD_KEY)),
        "strangers": strangers,
        "confidence_histogram": _scaled(
            _histogram([features_of(point)["confidence"] for point in answer.points]), points - strangers
        ),
    }


def _own_features(state: IndexState, record: models.Record) -> dict[str, Any] | None:
    """Our part of a payload, ``None`` if it is another encoder's or another client's."""
    features: dict[str, Any] = payload_of(record).get(PAYLOAD_KEY) or {}
    return features if features.get("model") == state.metadata.fingerprint else None


def _histogram(confidences: Sequence[float]) -> tuple[int, ...]:
    bins = [min(int(confidence * _HISTOGRAM_BINS), _HISTOGRAM_BINS - 1) for confidence in confidences]
    return tuple(bins.count(i) for i in range(_HISTOGRAM_BINS))


def _scaled(histogram: Sequence[int], total: int) -> tuple[int, ...]:
    """Histogram of a sample, scaled to a total by the method of largest remainders."""
    shares = [count * total / (sum(histogram) or 1) for count in histogram]
    scaled = [int(share) for share in shares]
    largest = sorted(range(len(shares)), key=lambda i: scaled[i] - shares[i])
    for i in largest[: total - sum(scaled)]:
        scaled[i] += 1
    return tuple(scaled)


async def count(state: IndexState) -> int:
    """Number of items."""
    return await _count(state)


async def count_all(state: IndexState) -> int:
    """Number of items, across all tenants unless one is selected."""
    return await state.engine.count(state.collection, state.scope_of_all())


async def _count(state: IndexState, *conditions: models.Condition) -> int:
    return await state.engine.count(state.collection, state.scope(*conditions))
