"""Where the map has put its landmarks, kept with the index, so that it is the same map at the next start."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence_index import ConfidenceIndex
from fg_search.layout.keys import MAP_KEY

_FORMAT = 2  # 1 was placed more by the features, and said nothing of labels
_MOST_TENANTS = 16  # whose maps are kept, of 45 KB each at most; the map drawn longest ago gives way
_LOG = logging.getLogger("fg_search.web")


@dataclass(frozen=True, eq=False)
class KeptMap:
    """Landmarks of a map.

    Their vectors are not kept: the index has them.

    Attributes:
        fingerprint: Fingerprint of the encoder that made the vectors.
        items: Number of items when the landmarks were laid out.
        points: ``(m,)`` the engine's ids of the landmarks.
        places: ``(m, 2)`` uint16 places.
        labels: Labels with a colour of their own, in the order of the colours.
        drawn: When they were laid out, in ISO 8601.
    """

    fingerprint: str
    items: int
    points: Sequence[int | str]
    places: npt.NDArray[np.uint16]
    labels: Sequence[str]
    drawn: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    def to_metadata(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`of_metadata`."""
        places = base64.b64encode(self.places.astype("<u2").tobytes()).decode()
        about = {"fingerprint": self.fingerprint, "items": self.items, "drawn": self.drawn}
        return {"format": _FORMAT, **about, "points": list(self.points), "places": places, "labels": list(self.labels)}

    @classmethod
    def of_metadata(cls, data: Mapping[str, Any] | None) -> Self | None:
        """Rebuild it; ``None`` if there is none, or another release has drawn it in another way."""
        if data is None or data["format"] != _FORMAT:
            return None
        places = np.frombuffer(base64.b64decode(data["places"]), dtype="<u2").reshape(-1, 2).astype(np.uint16)
        return cls(data["fingerprint"], data["items"], data["points"], places, data["labels"], data["drawn"])


def kept_map(index: ConfidenceIndex, tenant: str | None) -> KeptMap | None:
    """The map that is kept with an index, or with a tenant's part of it."""
    return KeptMap.of_metadata(_metadata(index).get(_key(tenant)))


def keep_map(index: ConfidenceIndex, tenant: str | None, drawn: KeptMap) -> None:
    """Keep a map with the index. If that cannot be done, the next start draws it anew, and the log says why."""
    try:
        others = {
            key: value["drawn"]
            for key, value in _metadata(index).items()
            if key.startswith(f"{MAP_KEY}:") and key != _key(tenant)
        }
        oldest = sorted(others, key=lambda key: others[key])[: max(0, len(others) + 1 - _MOST_TENANTS)]
        index.client.update_collection(
            index.collection, metadata={**dict.fromkeys(oldest), _key(tenant): drawn.to_metadata()}
        )
    except Exception as error:
        _LOG.warning("the map of %s is not kept, and is drawn anew at the next start: %s", index.location, error)


def _key(tenant: str | None) -> str:
    return MAP_KEY if tenant is None else f"{MAP_KEY}:{tenant}"


def _metadata(index: ConfidenceIndex) -> Mapping[str, Any]:
    return index.client.get_collection(index.collection).config.metadata or {}
