"""What a payload says of the feature groups: in schema 3 the codes alone, as one string.

The engine takes, keeps and returns a list of numbers at the price of as many strings. All about the groups is in the
vector of the features, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import eq
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import MOSTLY


def group_summaries(embeddings: FeatureEmbeddings, schema: int) -> list[dict[str, Any]]:
    """Entries of our payload for each of n items, as the schema of the index wants them."""
    codes = embeddings.codes.tolist()
    if schema < 3:
        groups = embeddings.group_confidence.astype(np.float64).round(4).tolist()
        return [{"groups": confidences, "codes": row} for confidences, row in zip(groups, codes, strict=True)]
    names = _names(embeddings.probabilities.shape[2])
    return [{"codes": " ".join([names[code] for code in row])} for row in codes]


def code_names(codes: Sequence[int]) -> list[str]:
    """Codes as payloads have them."""
    return [str(code) for code in codes]


def agreement(names: Sequence[str], stored: str | Sequence[int]) -> tuple[bool, ...]:
    """Whether codes agree, group by group.

    Args:
        names: Codes of a query, from :func:`code_names`.
        stored: Entry ``codes`` of a payload of any schema.
    """
    return tuple(map(eq, names, stored.split() if isinstance(stored, str) else code_names(stored)))


def group_confidence_of(
    features: Mapping[str, Any], vector: models.SparseVector, groups: int, codes_per_group: int
) -> tuple[float, ...]:
    """Confidence of each group, in [1/K, 1], four decimals.

    Args:
        features: Our part of the item's payload.
        vector: Its sparse vector of features, ``p/√G``; it has the largest probability of each group.
        groups: Number G of groups.
        codes_per_group: Number K of codes per group.
    """
    if "groups" in features:  # schema 2
        return tuple(features["groups"])
    if features.get("unread", 0) > MOSTLY:
        return (round(1 / codes_per_group, 4),) * groups
    largest = np.zeros(groups)
    np.maximum.at(largest, np.asarray(vector.indices) // codes_per_group, vector.values)
    return tuple((largest * groups**0.5).round(4).tolist())


@lru_cache(maxsize=8)
def _names(count: int) -> Sequence[str]:
    return tuple(map(str, range(count)))
