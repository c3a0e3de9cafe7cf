"""What is known about a search result before anybody judged it: the calibrator's features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def result_features(
    scores: npt.ArrayLike,
    *,
    query_confidence: npt.ArrayLike | None = None,
    hit_confidence: npt.ArrayLike | None = None,
    agreement: npt.ArrayLike | None = None,
    base_cosine: npt.ArrayLike | None = None,
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Describe each query's hits by the numbers that tell a right top hit from a wrong one.

    Args:
        scores: ``(n, k)`` scores of the hits, the best first; missing hits at the end are NaN.
        query_confidence: ``(n,)`` confidence of the query's embedding.
        hit_confidence: ``(n,)`` confidence of the top hit's embedding.
        agreement: ``(n,)`` share of groups in which query and top hit have the same code.
        base_cosine: ``(n,)`` cosine of query and top hit in the base space.

    Returns:
        ``(n,)`` float64 arrays by name: ``score``; with two or more hits ``gap`` (to the second best) and ``spread``
        (the top score less the mean of the others); and whatever else was given. A query with a single hit has the gap
        and the spread of a runner-up with score 0.

    Raises:
        ValueError: If the shapes do not fit, or a query has no hit.
    """
    listed = np.asarray(scores, dtype=np.float64)
    if listed.ndim != 2 or listed.shape[1] < 1:
        raise ValueError(f"scores must have shape (n, k) with at least one hit a query, got {listed.shape}")
    if np.isnan(listed[:, 0]).any():
        raise ValueError(f"scores[{int(np.isnan(listed[:, 0]).argmax())}] has no hit")
    top = listed[:, 0]
    features = {"score": top}
    if listed.shape[1] > 1:
        others = np.nan_to_num(listed[:, 1:], nan=0.0)
        found = np.maximum((~np.isnan(listed[:, 1:])).sum(axis=1), 1)
        features["gap"] = top - others[:, 0]
        features["spread"] = top - others.sum(axis=1) / found
    given: dict[str, Any] = {
        "query_confidence": query_confidence,
        "hit_confidence": hit_confidence,
        "agreement": agreement,
        "base_cosine": base_cosine,
    }
    for name, values in given.items():
        if values is not None:
            features[name] = np.asarray(values, dtype=np.float64)
            if features[name].shape != top.shape:
                raise ValueError(f"{name} has shape {features[name].shape}, scores has {len(top)} queries")
    return features
