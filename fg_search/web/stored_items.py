"""Items as the engine has them, with their features, for the views that read thousands of them at once.

An adopted collection has vector, text and label in places of its own; what is read here is told as if it were ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence_index import ConfidenceIndex
from fg_search.engine.port import PointId
from fg_search.layout.keys import FEATURES_VECTOR
from fg_search.layout.points import is_ours, vectors_of


class StoredItems:
    """The items of an index, or of a tenant's part of it. Points of other clients, and those not synced yet, are none.

    Args:
        index: The index.
        tenant: Tenant whose items to read, in an index with tenants.
    """

    def __init__(self, index: ConfidenceIndex, tenant: str | None) -> None:
        self._index, self._tenant = index, tenant

    def read(self, points: Sequence[PointId], keys: Sequence[str], vectors: Sequence[str]) -> list[Any]:
        """Some items, by the engine's ids.

        Args:
            points: The ids.
            keys: Payload keys to read.
            vectors: Vectors to read, that of the features among them.
        """
        found = self._index.client.retrieve(self._index.collection, list(points), **self._asked(keys, vectors))
        return self._as_ours(found)

    def page(
        self, keys: Sequence[str], vectors: Sequence[str], limit: int, offset: PointId | None
    ) -> tuple[list[Any], PointId | None]:
        """Up to ``limit`` items from an offset on, as :meth:`read`, and the offset of the next page."""
        found, following = self._scroll(limit, offset, **self._asked(keys, vectors))
        return self._as_ours(found), following

    def ids(self, limit: int, offset: PointId | None) -> tuple[list[PointId], PointId | None]:
        """Up to ``limit`` of the engine's ids from an offset on, and the offset of the next page."""
        found, following = self._scroll(limit, offset, with_payload=False)
        return [record.id for record in found], following

    def features(self, records: Sequence[Any]) -> npt.NDArray[np.float32]:
        """Features of n items as they are stored: ``(n, G * K)``, their square the similarity."""
        metadata = self._index.metadata
        dense = np.zeros((len(records), metadata.groups * metadata.codes_per_group), dtype=np.float32)
        for row, record in zip(dense, records, strict=True):
            vector = record.vector[FEATURES_VECTOR]
            row[vector.indices] = vector.values
        return dense

    def _scroll(self, limit: int, offset: PointId | None, **asked: Any) -> tuple[list[Any], PointId | None]:
        only = tenant_filter(self._index, self._tenant)
        found, following = self._index.client.scroll(
            self._index.collection, scroll_filter=only, limit=limit, offset=offset, **asked
        )
        return found, following

    def _asked(self, keys: Sequence[str], vectors: Sequence[str]) -> dict[str, Any]:
        source = self._index.metadata.source
        if source is None:
            return {"with_payload": [*keys], "with_vectors": [*vectors]}
        return {
            "with_payload": source.asked_keys(keys),
            "with_vectors": [source.own_name(name) for name in vectors],
        }

    def _as_ours(self, records: Sequence[Any]) -> list[Any]:
        source = self._index.metadata.source
        read = records if source is None else [source.as_read(record) for record in records]
        return [record for record in read if is_ours(record) and FEATURES_VECTOR in vectors_of(record)]


def tenant_filter(index: ConfidenceIndex, tenant: str | None) -> models.Filter | None:
    """A filter for the items of a tenant, or ``None`` in an index without tenants."""
    key = index.metadata.settings.tenant_key
    if key is None or tenant is None:
        return None
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=tenant))])
