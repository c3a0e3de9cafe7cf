"""Statistics of a bounded sample of the items of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.confidence_index import ConfidenceIndex
from fg_search.layout.keys import FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.model.description import Description
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.web.background import Background
from fg_search.web.stored_items import StoredItems

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


def read_sample(index: ConfidenceIndex, tenant: str | None) -> Sample:
    """Read the first items in point id order, which is arbitrary unless the ids are numbers."""
    stored = StoredItems(index, tenant)
    records: list[Any] = []
    offset: Any = None
    while len(records) < MAX_ITEMS:
        page, offset = stored.page(_KEYS, [FEATURES_VECTOR], min(_PAGE, MAX_ITEMS - len(records)), offset)
        records += page
        if offset is None:
            break
    features = [record.payload[PAYLOAD_KEY] for record in records]
    groups, codes = index.metadata.groups, index.metadata.codes_per_group
    return Sample(
        texts=[item["text"] for item in features],
        labels=[item.get("label") for item in features],
        probabilities=(stored.features(records) * np.float32(groups**0.5)).reshape(len(records), groups, codes),
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
