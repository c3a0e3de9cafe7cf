"""A bounded sample of an index's items, read from the engine, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence_index import ConfidenceIndex
from fg_search.layout.keys import FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.model.description import Description
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.web.background import Background

MAX_ITEMS = 5_000
_PAGE = 1_000
_KEYS = [f"{PAYLOAD_KEY}.{key}" for key in ("text", "label")]


@dataclass(frozen=True, eq=False)
class Sample:
    """Up to :data:`MAX_ITEMS` items.

    Attributes:
        texts: Of the items.
        labels: ``None`` where unknown.
        probabilities: ``(n, G, K)``, as they are stored: small ones are missing.
    """

    texts: Sequence[str]
    labels: Sequence[str | None]
    probabilities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)


class Survey:
    """What a sample tells, computed when it is first asked for.

    Args:
        index: Whose items.
        tenant: Its tenant, if it has any.
    """

    def __init__(self, index: ConfidenceIndex, tenant: str | None) -> None:
        self.description = Background(
            lambda: describe_sample(index, read_sample(index, tenant)), lambda: _version(index)
        )

    def forget(self) -> None:
        """Look again: something was decided."""
        self.description.forget()


def tenant_filter(index: ConfidenceIndex, tenant: str | None) -> models.Filter | None:
    """A filter for a tenant's items, in an index that has tenants."""
    key = index.metadata.settings.tenant_key
    if key is None or tenant is None:
        return None
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=tenant))])


def read_sample(index: ConfidenceIndex, tenant: str | None) -> Sample:
    """The first items in the order of the engine's ids, which for all but numbers says nothing about the items."""
    records: list[Any] = []
    offset: Any = None
    while len(records) < MAX_ITEMS:
        page, offset = index.client.scroll(
            index.collection,
            scroll_filter=tenant_filter(index, tenant),
            limit=min(_PAGE, MAX_ITEMS - len(records)),
            offset=offset,
            with_payload=_KEYS,
            with_vectors=[FEATURES_VECTOR],
        )
        records += page
        if offset is None:
            break
    features = [record.payload[PAYLOAD_KEY] for record in records]
    return Sample(
        texts=[one["text"] for one in features],
        labels=[one.get("label") for one in features],
        probabilities=_probabilities([record.vector[FEATURES_VECTOR] for record in records], index),
    )


def describe_sample(index: ConfidenceIndex, sample: Sample) -> Description | None:
    """What the groups and codes mean; ``None`` without items. Nothing is encoded: the vectors are there already."""
    if not len(sample):
        return None
    embeddings = FeatureEmbeddings(np.zeros((len(sample), 0), dtype=np.float32), sample.probabilities)
    labels = sample.labels if any(sample.labels) else None
    return index.encoder.describe(sample.texts, labels, embeddings=embeddings)


def _version(index: ConfidenceIndex) -> tuple[int, str]:
    return len(index), index.metadata.fingerprint


def _probabilities(vectors: Sequence[models.SparseVector], index: ConfidenceIndex) -> npt.NDArray[np.float32]:
    groups, codes = index.metadata.groups, index.metadata.codes_per_group
    dense = np.zeros((len(vectors), groups * codes), dtype=np.float32)
    for row, vector in zip(dense, vectors, strict=True):
        row[vector.indices] = vector.values
    dense *= np.float32(groups**0.5)
    return dense.reshape(len(vectors), groups, codes)
