"""Qdrant points of items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from qdrant_client import models

from fg_search.edge.instances import filled
from fg_search.engine.port import PointId
from fg_search.layout.group_summaries import group_summaries
from fg_search.layout.history import History
from fg_search.layout.items import Item, given_label
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, HISTORY_KEY, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings

_REVIEW_STATE = {"label", "given_label", REVIEW_KEY, REVIEWED_KEY, HISTORY_KEY, "set_aside"}


def to_points(
    items: Sequence[Item], embeddings: FeatureEmbeddings, metadata: IndexMetadata
) -> Iterator[models.PointStruct]:
    """Convert items to points; row i of ``embeddings`` belongs to item i.

    Base vectors stay rows of the array: as lists, those of one write would be millions of objects.
    """
    base = embeddings.base if metadata.has_base else None
    for i, (item, (features, description)) in enumerate(
        zip(items, described_features(embeddings, metadata), strict=True)
    ):
        payload = {
            **item.payload,
            PAYLOAD_KEY: {
                **description,
                "id": item.id,
                "text": item.text,
                "hash": item.digest,
                **review_state(item),
            },
        }
        vector = {FEATURES_VECTOR: features} if base is None else {BASE_VECTOR: base[i], FEATURES_VECTOR: features}
        yield filled(models.PointStruct, {"id": item.point_id, "vector": vector, "payload": payload})


def described_features(
    embeddings: FeatureEmbeddings, metadata: IndexMetadata
) -> Iterator[tuple[models.SparseVector, dict[str, Any]]]:
    """Vector of the features of each embedding, and what our part of the payload says of them."""
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    confidences = _rounded(embeddings.confidence, 6)
    familiarity = None if embeddings.familiarity is None else _rounded(embeddings.familiarity, 6)
    summaries = group_summaries(embeddings, metadata.schema)
    unread = [
        {"unread": share, **({"cut": True} if is_cut else {})} if share or is_cut else {}
        for share, is_cut in zip(_rounded(embeddings.unread, 4), embeddings.cut.tolist(), strict=True)
    ]
    for i, summary in enumerate(summaries):
        row = slice(starts[i], starts[i + 1])
        # built without validation: pydantic would check every number, and they are known to be right
        vector = filled(models.SparseVector, {"indices": columns[row], "values": values[row]})
        yield (
            vector,
            {
                "confidence": confidences[i],
                **({} if familiarity is None else {"familiarity": familiarity[i]}),
                **summary,
                "model": metadata.fingerprint,
                **unread[i],
            },
        )


def with_review_state(point: models.PointStruct, item: Item) -> models.PointStruct:
    """The point of an item with another label, or with what people and scoring have come to know of it."""
    payload = point.payload or {}
    features = {key: value for key, value in payload[PAYLOAD_KEY].items() if key not in _REVIEW_STATE}
    return point.model_copy(update={"payload": {**payload, PAYLOAD_KEY: {**features, **review_state(item)}}})


def review_state(item: Item) -> dict[str, Any]:
    """What our part of the payload says of an item's label, and of what people and scoring know of it."""
    return {
        "label": item.label,
        **(given_label(item.given_label) if item.is_corrected else {}),
        **({} if item.review is None else {REVIEW_KEY: item.review}),
        **({} if item.reviewed is None else {REVIEWED_KEY: item.reviewed}),
        **({"set_aside": True} if item.set_aside else {}),
        **item.history.to_payload(),
    }


def id_of(point: models.Record | models.ScoredPoint) -> PointId:
    """Engine's id of a point."""
    return cast("PointId", point.id)


def payload_of(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """Payload of a point. It is empty if the point has none, or it was not read."""
    return point.payload or {}


def features_of(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """Our part of a point's payload, which must have been read."""
    features: dict[str, Any] = (point.payload or {})[PAYLOAD_KEY]
    return features


def is_ours(point: models.Record | models.ScoredPoint) -> bool:
    """Whether fg_search has written a point. Other clients may write to the same collection."""
    return PAYLOAD_KEY in (point.payload or {})


def history_of(point: models.Record | models.ScoredPoint) -> History:
    """Changes of an item by people. Its history must have been read, or all of our part of the payload."""
    return History.of_features((point.payload or {}).get(PAYLOAD_KEY) or {})


def vectors_of(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """Named vectors of a point that were read."""
    return cast("dict[str, Any]", point.vector or {})


def _rounded(values: np.ndarray[Any, Any], decimals: int) -> list[Any]:
    result: list[Any] = values.astype(np.float64).round(decimals).tolist()
    return result
