"""Source of an adopted collection: where in points that others write an index finds vector, text and label.

Such points are read as if the index had written them: with its own names of vectors, and with id and text in its part
of the payload. Neither is stored there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from qdrant_client import models
from qdrant_client.local.payload_value_extractor import value_by_key

from fg_search.layout.json_paths import check_key
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, MODEL_KEY, PAYLOAD_KEY, TEXT_KEY
from fg_search.validation import is_blank

Point = TypeVar("Point", models.Record, models.ScoredPoint)

_JOINT = " · "  # between the parts of a text that is read from several keys
_OTHER = "="  # before the name of another vector of the user's that is called like one of ours
_DIGITS = 10  # of each half of a digest
_NEW = re.compile(rf"{FEATURES_VECTOR}\.[0-9a-f]{{8}}")
_TOP = re.compile(r'"[^"]*"|[\w-]+')


@dataclass(frozen=True)
class Source:
    """Where an index finds what others have written.

    Attributes:
        vector: Name of the dense vector that is the base embedding, ``""`` for the unnamed one.
        text: Payload paths of the text. The texts of several are joined.
        label: Payload path of the label, ``None`` without labels.
        features: Name of the sparse vector of the feature groups, which the index has added.
        former: Fingerprint of the encoder whose features are being replaced, ``None`` if all are of the index's.

    Raises:
        ValueError: If there is no path of a text, or one is no path or leads into our own part of the payload.
    """

    vector: str
    text: tuple[str, ...]
    label: str | None = None
    features: str = FEATURES_VECTOR
    former: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", tuple(self.text))  # JSON has lists
        if not self.text:
            raise ValueError("name at least one payload key of the text, such as text='title'")
        for key in self.keys:
            check_key(key)
            if key.split(".")[0].strip('"') == PAYLOAD_KEY:
                raise ValueError(f"{key!r} cannot be the text or the label: {PAYLOAD_KEY!r} is the index's own")

    @property
    def keys(self) -> list[str]:
        """Payload paths of text and label."""
        return [*self.text, *([] if self.label is None else [self.label])]

    # --- what points say ------------------------------------------------------------------------------------

    def text_of(self, payload: Mapping[str, Any]) -> str:
        """Text of a point, ``""`` if it has none. Numbers are written out, and the texts of a list are joined."""
        parts = [" ".join(_texts(payload, key)) for key in self.text]
        return _JOINT.join(part for part in parts if part)

    def label_of(self, payload: Mapping[str, Any]) -> str | None:
        """Label of a point, ``None`` if it has none, or several. Numbers and truth values are written out."""
        if self.label is None:
            return None
        found = _texts(payload, self.label)
        return found[0] if len(found) == 1 else None

    def has_odd_label(self, payload: Mapping[str, Any]) -> bool:
        """Whether there is something at the path of the label which is no label."""
        if self.label is None or self.label_of(payload) is not None:
            return False
        return any(value not in (None, "", []) for value in value_by_key(dict(payload), self.label) or [])

    def with_label(self, path: str) -> Source:
        """The same source with the label at another path."""
        return replace(self, label=path)

    # --- points as an index reads them ----------------------------------------------------------------------

    def asked_keys(self, keys: Sequence[str]) -> list[str]:
        """Payload keys to read in place of those that an index asks for."""
        if not asks_for_ours(keys):
            return [*keys]
        also = self.top_keys(self.text) if asks_for_text(keys) else ()
        return [*dict.fromkeys([*keys, MODEL_KEY, *also])]

    def top_keys(self, paths: Sequence[str]) -> list[str]:
        """Keys of the payload itself that paths begin with."""
        return [*dict.fromkeys(found[0] for path in paths if (found := _TOP.match(path)))]

    def own_name(self, vector: str) -> str:
        """Name of a vector in the collection."""
        names = {BASE_VECTOR: self.vector, FEATURES_VECTOR: self.features}
        return names.get(vector, vector.removeprefix(_OTHER))

    def as_read(self, point: Point, *, with_text: bool = True) -> Point:
        """A point with our names of vectors, and with id and text (without one, the id) in our part of its payload.

        Args:
            point: Point that the engine returned.
            with_text: Whether what the text consists of was read.
        """
        payload = point.payload
        if payload is not None and isinstance(payload.get(PAYLOAD_KEY), dict):
            own = {**payload[PAYLOAD_KEY], "id": point.id}
            payload = {
                **payload,
                PAYLOAD_KEY: {**own, "text": self.text_of(payload) or str(point.id)} if with_text else own,
            }
        return point.model_copy(update={"payload": payload, "vector": self.vectors_of(point)})

    def as_stored(self, point: models.PointStruct) -> models.PointStruct:
        """A point as it is written: the reverse of :meth:`as_read`."""
        payload = point.payload or {}
        own = {key: value for key, value in payload.get(PAYLOAD_KEY, {}).items() if key not in ("id", "text")}
        vectors = cast("dict[str, Any]", point.vector)
        stored = {self.own_name(name): vector for name, vector in vectors.items()}
        return point.model_copy(update={"payload": {**payload, PAYLOAD_KEY: own}, "vector": stored})

    def vectors_of(self, point: models.Record | models.ScoredPoint) -> Any:
        """Vectors of a point by our names. Its other vectors keep theirs."""
        if point.vector is None:
            return None
        found = point.vector if isinstance(point.vector, dict) else {"": point.vector}
        names = {self.vector: BASE_VECTOR, self.features: FEATURES_VECTOR}
        return {names.get(name, _other(name)): vector for name, vector in found.items()}

    # --- changes --------------------------------------------------------------------------------------------

    def digest_of(self, vector: npt.NDArray[np.float32], text: str) -> str:
        """20 hexadecimal digits: half of them identify the base vector, half the text."""
        return _digest(np.ascontiguousarray(vector).tobytes()) + _digest(text.encode("utf-8", "surrogatepass"))


def new_features_name() -> str:
    """Name of a vector of features that is filled while another one answers."""
    return f"{FEATURES_VECTOR}.{uuid4().hex[:8]}"


def is_being_filled(vector: str) -> bool:
    """Whether a vector has a name that :func:`new_features_name` has made."""
    return _NEW.fullmatch(vector) is not None


def asks_for_ours(keys: Sequence[str]) -> bool:
    """Whether anything of our part of the payload is among payload keys."""
    return any(key == PAYLOAD_KEY or key.startswith(f"{PAYLOAD_KEY}.") for key in keys)


def asks_for_text(keys: Sequence[str]) -> bool:
    """Whether the text is among payload keys that an index asks for."""
    return PAYLOAD_KEY in keys or TEXT_KEY in keys


def is_same_text(first: str, second: str) -> bool:
    """Whether two digests are of the same text, whatever the vectors."""
    return first[_DIGITS:] == second[_DIGITS:]


def is_same_vector(first: str, second: str) -> bool:
    """Whether two digests are of the same base vector, whatever the texts."""
    return first[:_DIGITS] == second[:_DIGITS]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _other(name: str) -> str:
    return f"{_OTHER}{name}" if name in (BASE_VECTOR, FEATURES_VECTOR) else name


def _texts(payload: Mapping[str, Any], key: str) -> list[str]:
    """Texts and written-out numbers at a path. Anything else there is none."""
    return [text for value in value_by_key(dict(payload), key) or [] if (text := _written(value))]


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # as in labels that are given: 3 and 3.0 are the same
    if isinstance(value, (int, float)):
        return str(value)
    return value.strip() if isinstance(value, str) and not is_blank(value) else ""
