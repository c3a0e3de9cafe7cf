"""Items as users hand them in, checked and turned into Qdrant points."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, cast

import numpy as np
from qdrant_client import models

from fg_search.engine.port import PointId
from fg_search.ids import UserId, point_id, text_id
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, PAYLOAD_KEY, REVIEW_KEY, REVIEWED_KEY
from fg_search.layout.schema import IndexMetadata
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.validation import check_label, check_same_length, check_text

# one set for all of them: what it costs to make and collect a point grows with the objects that it consists of
_SPARSE_FIELDS = {"indices", "values"}
_POINT_FIELDS = {"id", "vector", "payload"}
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)
_INTEGERS = range(-(2**63), 2**64)  # what the engine keeps exactly
_DEEPEST = 64  # objects and lists within one another; somewhat beyond a hundred the engine cannot read what it wrote
_ROUNDING = 1e-14  # by how much, relatively, the engine may give back another float: one unit in the last place


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the corpus: a text with the id, label and payload its owner gave it.

    Attributes:
        point_id: The engine's id.
        id: The owner's.
        text: What is encoded and shown.
        label: What it is now said to be.
        payload: The owner's own.
        digest: 16 hexadecimal digits, equal only for the same id, text and payload (and embedding, if one was given).
        is_corrected: Whether a person corrected the label.
        given_label: If so, what the owner had said.
        review: What was computed about it for those who review: scores, a suggestion, marks.
        reviewed: What a reviewer decided about it, if one did.
        set_aside: Whether its label is too doubtful for it to be found before somebody decides about it.
    """

    point_id: int | str
    id: UserId
    text: str
    label: str | None
    payload: Mapping[str, Any]
    digest: str
    is_corrected: bool = False
    given_label: str | None = None
    review: Mapping[str, Any] | None = None
    reviewed: Mapping[str, Any] | None = None
    set_aside: bool = False

    @classmethod
    def of_record(cls, record: models.Record) -> Item:
        """What was stored as a point."""
        payload = dict(record.payload or {})
        features = payload.pop(PAYLOAD_KEY)
        stored = Stored.of_features(features)
        return cls(
            cast("int | str", record.id),
            features["id"],
            features["text"],
            stored.label,
            payload,
            stored.digest,
            stored.is_corrected,
            stored.given_label if stored.is_corrected else None,
            stored.review,
            stored.reviewed,
            stored.set_aside,
        )

    def is_copy_of(self, other: Item) -> bool:
        """Whether both were stored as the same: the payload itself counts, which may have changed in the engine."""
        one, another = (replace(item, payload={}, review=None) for item in (self, other))
        return one == another and are_same(self.payload, other.payload) and are_same(self.review, other.review)


@dataclass(frozen=True)
class Stored:
    """What the index has of an item already; the text and what review knows of it where they were read."""

    digest: str
    label: str | None
    given_label: str | None
    is_corrected: bool
    text: str | None = None
    review: Mapping[str, Any] | None = None
    reviewed: Mapping[str, Any] | None = None
    set_aside: bool = False

    @classmethod
    def of_features(cls, features: Mapping[str, Any]) -> Stored:
        """Read it from our part of a point's payload."""
        corrected = "given_label" in features
        label = features.get("label")  # the engine removes a key that is set to null
        return cls(
            features["hash"],
            label,
            (features["given_label"] or None) if corrected else label,
            corrected,
            features.get("text"),
            features.get(REVIEW_KEY) or None,  # what is left of removed scores is empty
            features.get(REVIEWED_KEY),
            features.get("set_aside", False),
        )

    def has(self, item: Item) -> bool:
        """Whether writing the item, as its owner gave it, would change nothing."""
        return self.digest == item.digest and self.given_label == item.label

    def update(self, item: Item) -> Item:
        """The item with what people and review know of it.

        The label that a person gave it stays as long as its owner still says what was corrected; scores, marks and
        decisions stay as long as they are about this text with this label.
        """
        if self.is_corrected and self.given_label == item.label:
            item = replace(item, label=self.label, is_corrected=True, given_label=item.label)
        if (item.text, item.label) != (self.text, self.label):
            return item
        # an owner who adopts a correction takes the mark of it away, which brought the item back
        aside = self.set_aside and item.is_corrected == self.is_corrected
        return replace(item, review=self.review, reviewed=self.reviewed, set_aside=aside)


def checked_items(
    texts: Iterable[str],
    ids: Iterable[UserId] | None,
    labels: Iterable[str | None] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    *,
    embeddings: FeatureEmbeddings | None = None,
    tenant_key: str | None = None,
    tenant: str | None = None,
) -> Iterator[Item]:
    """Validate items one after the other.

    Args:
        texts: And what belongs to each of them in the other lists or generators, all of one length.
        ids: By default derived from the text.
        labels: ``None`` where unknown.
        payloads: JSON objects.
        embeddings: Row i of them belongs to item i.
        tenant_key: Payload key that names the tenant, in an index that has some.
        tenant: Whose items they are.

    Raises:
        TypeError, ValueError: On the first item that is wrong, with its position: an empty text, a payload
            that is not JSON or uses our key, two different items with one id, a list that is too short.
    """
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of strings, got one string; wrap it: [{texts[:20]!r}]")
    columns = {"ids": ids, "labels": labels, "payloads": payloads, "embeddings": embeddings}
    if isinstance(texts, Sized):
        check_same_length(len(texts), {name: column for name, column in columns.items() if isinstance(column, Sized)})
    rows = _zipped(texts, ids, labels, payloads)
    first: dict[int | str, tuple[int, int]] = {}
    for i, (text, user_id, label, payload) in enumerate(rows):
        check_text(text, f"texts[{i}]")
        check_label(label, f"labels[{i}]")
        own_id = text_id(text) if ids is None else user_id
        try:
            engine_id = point_id(own_id, tenant=tenant)
        except (TypeError, ValueError) as error:
            raise type(error)(f"ids[{i}]: {error}") from None
        owned = _check_payload(payload, f"payloads[{i}]", tenant_key, tenant)
        digest = _digest(own_id, text, owned, f"payloads[{i}]", None if embeddings is None else embeddings.base[i])
        twin, content = first.setdefault(engine_id, (i, hash((digest, label))))
        if content != hash((digest, label)):
            raise ValueError(
                f"items {twin} and {i} share the id {own_id!r} but differ; give each its own id"
                if ids is not None
                else f"texts[{twin}] and texts[{i}] are the same text with different labels or payloads; "
                "pass ids to keep both, or drop one"
            )
        yield Item(engine_id, own_id, text, label, owned, digest)


def to_points(
    items: Sequence[Item], embeddings: FeatureEmbeddings, metadata: IndexMetadata
) -> Iterator[models.PointStruct]:
    """Points for ``items``, row i of ``embeddings`` being item i."""
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    base = embeddings.base.tolist() if metadata.has_base else None
    confidences = _rounded(embeddings.confidence, 6)
    groups = _rounded(embeddings.group_confidence, 4)
    codes = embeddings.codes.tolist()
    unread = _rounded(embeddings.unread, 4)
    for i, item in enumerate(items):
        row = slice(starts[i], starts[i + 1])
        # the parts are known to be right, so that pydantic need not look at each number
        features = models.SparseVector.model_construct(_SPARSE_FIELDS, indices=columns[row], values=values[row])
        yield models.PointStruct.model_construct(
            _POINT_FIELDS,
            id=item.point_id,
            vector={FEATURES_VECTOR: features} if base is None else {BASE_VECTOR: base[i], FEATURES_VECTOR: features},
            payload={
                **item.payload,
                PAYLOAD_KEY: {
                    "confidence": confidences[i],
                    "groups": groups[i],
                    "codes": codes[i],
                    "id": item.id,
                    "label": item.label,
                    "text": item.text,
                    "hash": item.digest,
                    "model": metadata.fingerprint,
                    **({"unread": unread[i]} if unread[i] else {}),
                    **(given_label(item.given_label) if item.is_corrected else {}),
                    **({} if item.review is None else {REVIEW_KEY: item.review}),
                    **({} if item.reviewed is None else {REVIEWED_KEY: item.reviewed}),
                    **({"set_aside": True} if item.set_aside else {}),
                },
            },
        )


def id_of(point: models.Record | models.ScoredPoint) -> PointId:
    """The engine's id of a point."""
    return cast("PointId", point.id)


def payload_of(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """The payload of a point; empty if it has none or none was asked for."""
    return point.payload or {}


def vectors_of(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """The named vectors of a point that were asked for."""
    return cast("dict[str, Any]", point.vector or {})


def given_label(label: str | None) -> dict[str, str]:
    """How a point remembers what a corrected label was; no label is "", as null would be no entry to the engine."""
    return {"given_label": label or ""}


def _zipped(texts: Iterable[str], *others: Iterable[Any] | None) -> Iterator[tuple[Any, ...]]:
    """Each text with what belongs to it, ``None`` where a column was not given."""
    columns = [repeat(None) if column is None else column for column in others]
    iterators = [iter(column) for column in columns]
    done = object()
    count = -1
    for count, text in enumerate(texts):
        row = [next(iterator, done) for iterator in iterators]
        if done in row:
            name = ("ids", "labels", "payloads")[row.index(done)]
            raise ValueError(f"{name} ends before texts[{count}]; give one for each text")
        yield (text, *row)
    for name, column, iterator in zip(("ids", "labels", "payloads"), others, iterators, strict=True):
        if column is not None and next(iterator, done) is not done:
            raise ValueError(f"{name} goes on after the last of {count + 1} texts; give one for each text")


def _check_payload(
    payload: Mapping[str, Any] | None, name: str, tenant_key: str | None, tenant: str | None
) -> Mapping[str, Any]:
    if payload is None:
        payload = {}
    if not isinstance(payload, Mapping):
        raise TypeError(f"{name} is {type(payload).__name__}, not a mapping")
    if PAYLOAD_KEY in payload:
        raise ValueError(f"{name} uses the key {PAYLOAD_KEY!r}, which is reserved; rename the key")
    payload = {key: _plain(value, name) for key, value in _with_names(payload, name)}
    if tenant_key is None:
        return payload
    if payload.get(tenant_key, tenant) != tenant:
        raise ValueError(f"{name}[{tenant_key!r}] is {payload[tenant_key]!r}, but this is the tenant {tenant!r}")
    return {**payload, tenant_key: tenant}


def _plain(value: Any, name: str, depth: int = 1) -> Any:
    """A copy of a JSON value; what JSON, or the engine, would not give back as it was is refused."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise ValueError(f"{name} holds {value}, which does not fit into 64 bits; use a string")
        return value
    if not isinstance(value, (Mapping, list, tuple)):
        raise ValueError(f"{name} cannot be stored as JSON: it holds {type(value).__name__}")  # noqa: TRY004
    if depth >= _DEEPEST:
        raise ValueError(f"{name} is nested more than {_DEEPEST} levels deep; flatten it, or store it as a string")
    if isinstance(value, Mapping):
        return {key: _plain(part, name, depth + 1) for key, part in _with_names(value, name)}
    return [_plain(part, name, depth + 1) for part in value]


def _with_names(value: Mapping[Any, Any], name: str) -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        if not isinstance(key, str):
            raise TypeError(f"{name} has the key {key!r}; keys of JSON objects are strings")
        yield key, part


def are_same(one: Any, other: Any) -> bool:
    """Whether two JSON values differ by nothing but the rounding of floats."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_same(part, other[key]) for key, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_ROUNDING)
    return type(one) is type(other) and bool(one == other)


def _digest(
    user_id: UserId, text: str, payload: Mapping[str, Any], name: str, base: np.ndarray[Any, Any] | None
) -> str:
    try:
        content = _JSON.encode([user_id, text, payload]).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} or the text beside it holds half a character (a lone surrogate)") from None
    except ValueError as error:
        raise ValueError(f"{name} cannot be stored as JSON: {error}") from None
    digest = hashlib.blake2b(content, digest_size=8)
    if base is not None:
        digest.update(base.tobytes())
    return digest.hexdigest()


def _rounded(values: np.ndarray[Any, Any], decimals: int) -> list[Any]:
    result: list[Any] = values.astype(np.float64).round(decimals).tolist()
    return result
