"""Items as users hand them in, checked and turned into Qdrant points."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.embeddings import FeatureEmbeddings
from fg_search.ids import UserId, point_id, text_id
from fg_search.storage.schema import (
    BASE_VECTOR,
    FEATURES_VECTOR,
    PAYLOAD_KEY,
)
from fg_search.validation import check_labels, check_same_length, check_texts


@dataclass(frozen=True)
class Item:
    """One item of the corpus: a text with the id, label and payload its owner gave it."""

    point_id: int | str
    id: UserId
    text: str
    label: str | None
    payload: Mapping[str, Any]


def check_items(
    texts: Sequence[str],
    ids: Sequence[UserId] | None,
    labels: Sequence[str | None] | None,
    payloads: Sequence[Mapping[str, Any] | None] | None,
) -> list[Item]:
    """Validate a whole batch before anything of it is encoded or written.

    An item that stands in the batch twice, the same in every field, stays twice: writing it again changes
    nothing.

    Raises:
        TypeError, ValueError: On the first item that is wrong, with its position: an empty text, a payload
            that is not JSON or uses our key, two different items with one id.
    """
    texts = check_texts(texts)
    check_same_length(len(texts), {"ids": ids, "labels": labels, "payloads": payloads})
    check_labels(labels)
    items: list[Item] = []
    first: dict[int | str, int] = {}
    for i, text in enumerate(texts):
        user_id = text_id(text) if ids is None else ids[i]
        try:
            engine_id = point_id(user_id)
        except (TypeError, ValueError) as error:
            raise type(error)(f"ids[{i}]: {error}") from None
        payload = _check_payload(payloads[i] if payloads is not None else None, i)
        item = Item(engine_id, user_id, text, None if labels is None else labels[i], payload)
        twin = first.setdefault(engine_id, i)
        if twin != i and items[twin] != item:
            raise ValueError(
                f"items {twin} and {i} share the id {user_id!r} but differ; give each its own id"
                if ids is not None
                else f"texts[{twin}] and texts[{i}] are the same text with different labels or payloads; "
                "pass ids to keep both, or drop one"
            )
        items.append(item)
    return items


def to_points(items: Sequence[Item], embeddings: FeatureEmbeddings, fingerprint: str) -> Iterator[models.PointStruct]:
    """Points for ``items``, row i of ``embeddings`` being item i."""
    sparse = embeddings.sparse()
    starts = sparse.indptr.tolist()
    columns, values = sparse.indices.tolist(), sparse.data.tolist()
    base = embeddings.base.tolist()
    confidences = _rounded(embeddings.confidence, 6)
    groups = _rounded(embeddings.group_confidence, 4)
    codes = embeddings.codes.tolist()
    for i, item in enumerate(items):
        row = slice(starts[i], starts[i + 1])
        yield models.PointStruct(
            id=item.point_id,
            vector={
                BASE_VECTOR: base[i],
                FEATURES_VECTOR: models.SparseVector(indices=columns[row], values=values[row]),
            },
            payload={
                **item.payload,
                PAYLOAD_KEY: {
                    "confidence": confidences[i],
                    "groups": groups[i],
                    "codes": codes[i],
                    "id": item.id,
                    "label": item.label,
                    "text": item.text,
                    "model": fingerprint,
                },
            },
        )


def _check_payload(payload: Mapping[str, Any] | None, position: int) -> Mapping[str, Any]:
    if payload is None:
        return {}
    if not isinstance(payload, Mapping):
        raise TypeError(f"payloads[{position}] is {type(payload).__name__}, not a mapping")
    if PAYLOAD_KEY in payload:
        raise ValueError(f"payloads[{position}] uses the key {PAYLOAD_KEY!r}, which is reserved; rename the key")
    if not payload:
        return {}
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"payloads[{position}] cannot be stored as JSON: {error}") from None
    return payload


def _rounded(values: np.ndarray[Any, Any], decimals: int) -> list[Any]:
    result: list[Any] = values.astype(np.float64).round(decimals).tolist()
    return result
