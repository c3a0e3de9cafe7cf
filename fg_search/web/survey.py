"""Statistics of a bounded sample of the items of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence_index import ConfidenceIndex
from fg_search.layout.keys import FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import is_ours, vectors_of
from fg_search.model.description import Description
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.web.background import Background

MAX_ITEMS = 5_000
_PAGE = 1_000
_KEYS = [f"{PAYLOAD_KEY}.{key}" for key in ("text", "label")]


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of n items, at most :data:`MAX_ITEMS`.

    Attributes:
        texts: ``(n,)`` texts.
        labels: ``(n,)`` labels, ``None`` where unknown.
        probabilities: ``(n, G, K)`` float32 as stored, with small probabilities dropped to 0.
    """

    texts: Sequence[str]
    labels: Sequence[str | None]
    probabilities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)


class Survey:
    """Statistics of a sample, computed in the background on first use.

    Args:
        index: The index to sample.
        tenant: Tenant whose items to sample, in an index with tenants.
    """

    def __init__(self, index: ConfidenceIndex, tenant: str | None) -> None:
        self.description = Background(
            lambda: describe_sample(index, read_sample(index, tenant)), lambda: _version(index)
        )

    def forget(self) -> None:
        """Drop the statistics, because a decision changed the index."""
        self.description.forget()


def tenant_filter(index: ConfidenceIndex, tenant: str | None) -> models.Filter | None:
    """A filter for the items of a tenant, or ``None`` in an index without tenants."""
    key = index.metadata.settings.tenant_key
    if key is None or tenant is None:
        return None
    return models.Filter(must=[models.FieldCondition(key=key, match=models.MatchValue(value=tenant))])


def read_sample(index: ConfidenceIndex, tenant: str | None) -> Sample:
    """Read the first items in point id order, which is arbitrary unless the ids are numbers."""
    source = index.metadata.source
    records: list[Any] = []
    offset: Any = None
    while len(records) < MAX_ITEMS:
        page, offset = index.client.scroll(
            index.collection,
            scroll_filter=tenant_filter(index, tenant),
            limit=min(_PAGE, MAX_ITEMS - len(records)),
            offset=offset,
            with_payload=_KEYS if source is None else source.asked_keys(_KEYS),
            with_vectors=[FEATURES_VECTOR if source is None else source.features],
        )
        if source is not None:  # others may have written points that have no features yet
            read = [source.as_read(record) for record in page]
            page = [record for record in read if is_ours(record) and FEATURES_VECTOR in vectors_of(record)]
        records += page
        if offset is None:
            break
    features = [record.payload[PAYLOAD_KEY] for record in records]
    return Sample(
        texts=[item["text"] for item in features],
        labels=[item.get("label") for item in features],
        probabilities=_probabilities([record.vector[FEATURES_VECTOR] for record in records], index),
    )


def describe_sample(index: ConfidenceIndex, sample: Sample) -> Description | None:
    """Describe groups and codes from the stored vectors, without encoding; ``None`` if there are no items."""
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
