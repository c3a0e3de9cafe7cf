"""What is known about a search result before anybody judged it: the calibrator's features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EVIDENCE_HITS = 10
"""Hits of a query that :func:`result_features` looks at; fetch that many, whatever the user asked for."""

# Feature-group similarities and confidences crowd below 1, and the difference of .99 and .999 says as much as that of
# .9 and .99: log odds keep it. The offset keeps them finite without making ties, which would spoil a ranking.
_OFFSET = 1e-3
_ROUNDING = 1e-4  # by how much float32 sums of an engine may leave [0, 1], or their order


def result_features(
    scores: npt.ArrayLike,
    *,
    similarity: npt.ArrayLike,
    query_confidence: npt.ArrayLike,
    hit_confidence: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
) -> dict[str, FloatArray]:
    """Describe each query's hits by the numbers that tell a right top hit from a wrong one.

    As each of them rises, the others being equal, so does the chance that the top hit is right: what
    :class:`Calibrator` expects. Hits of one label support each other, and the rival of the top hit is the best hit of
    another label: a second hit close behind the first is no reason to doubt if both say the same. Without labels every
    hit speaks for itself alone.

    Args:
        scores: ``(n, k)`` scores that ranked the hits (similarity or cosine), the best first; missing hits at the end
            are NaN. The first :data:`EVIDENCE_HITS` count; give that many where there are as many.
        similarity: ``(n,)`` feature-group similarity of query and top hit, in [0, 1]: ``scores[:, 0]`` where the
            feature groups ranked, and the best evidence that there is where the base embeddings did.
        query_confidence: ``(n,)`` confidence of the query's embedding, in [0, 1].
        hit_confidence: ``(n,)`` confidence of the top hit's embedding, in [0, 1].
        labels: ``(n, k)`` labels of the hits if a hit is right by its label; ``None`` where it has none, or is missing.
            Leave it out where one certain hit is the right one.

    Returns:
        ``(n,)`` float64 arrays by name, the best evidence first:

        * ``similarity``, ``query_confidence``: as log odds.
        * ``hit_ambiguity``: one less the hit's confidence. A hit that is unsure of itself cannot be very similar to
          anything, so that the same similarity says more.
        * ``spread``: the top score less the mean of the other scores.
        * ``lead``: a tenth of the sum of the scores of the hits with the top hit's label, less the same of the next
          label: by how much the top label wins a vote of ten hits weighted by score (Dudani, 1976).
        * ``rival_gap``: the top score less that of the rival. If none was found its score is taken to be that of the
          last of ten hits, which it cannot exceed, or 0 if there are fewer hits.

    Raises:
        ValueError: If the shapes do not fit, a query has no hit, or a number is not finite or out of range; the
            message names its position.
    """
    listed = _ranked_scores(scores)
    top, found = listed[:, 0], ~np.isnan(listed)
    others = np.where(found, listed, 0)[:, 1:].sum(axis=1) / np.maximum(found[:, 1:].sum(axis=1), 1)
    same = _same_label(labels, np.shape(scores))
    return {
        "similarity": _log_odds(_shares(similarity, len(listed), "similarity")),
        "query_confidence": _log_odds(_shares(query_confidence, len(listed), "query_confidence")),
        "hit_ambiguity": 1 - _shares(hit_confidence, len(listed), "hit_confidence"),
        "spread": top - others,
        "lead": _lead(listed, found, same),
        "rival_gap": top - _rival_score(listed, found, same),
    }


def _lead(listed: FloatArray, found: BoolArray, same: BoolArray) -> FloatArray:
    weight = np.where(found, listed, 0).clip(min=0)
    of_label = (same * weight[:, None, :]).sum(axis=2)  # weight of each hit's label
    rivals = np.where(same[:, 0], 0, of_label)
    return np.asarray((of_label[:, 0] - rivals.max(axis=1)) / EVIDENCE_HITS, dtype=np.float64)


def _rival_score(listed: FloatArray, found: BoolArray, same: BoolArray) -> FloatArray:
    rivals = np.where(~same[:, 0] & found, listed, -np.inf).max(axis=1)
    unseen = np.where(found[:, -1], listed[:, -1], 0)
    return np.where(np.isinf(rivals), unseen, rivals)


def _ranked_scores(scores: npt.ArrayLike) -> FloatArray:
    """Scores of exactly :data:`EVIDENCE_HITS` hits a query, NaN where one is missing."""
    listed = np.asarray(scores, dtype=np.float64)
    if listed.ndim != 2 or listed.shape[1] < 1:
        raise ValueError(f"scores must have shape (n, k) with at least one hit a query, got {listed.shape}")
    missing = np.isnan(listed)
    if missing[:, 0].any():
        raise ValueError(f"scores[{int(missing[:, 0].argmax())}] has no hit")
    if np.isinf(listed).any():
        row, column = np.argwhere(np.isinf(listed))[0].tolist()
        raise ValueError(f"scores[{row}, {column}] is infinite")
    if (missing[:, :-1] & ~missing[:, 1:]).any():
        row, column = np.argwhere(missing[:, :-1] & ~missing[:, 1:])[0].tolist()
        raise ValueError(f"scores[{row}, {column}] is NaN, but another hit follows; missing hits come last")
    if (np.diff(listed) > _ROUNDING).any():
        row, column = np.argwhere(np.diff(listed) > _ROUNDING)[0].tolist()
        raise ValueError(f"scores[{row}, {column + 1}] is higher than the score before it; the best hit comes first")
    room = max(EVIDENCE_HITS - listed.shape[1], 0)
    return np.pad(listed[:, :EVIDENCE_HITS], ((0, 0), (0, room)), constant_values=np.nan)


def _same_label(labels: npt.ArrayLike | None, shape: tuple[int, ...]) -> BoolArray:
    """Whether two hits of a query have the same label, ``(n, EVIDENCE_HITS, EVIDENCE_HITS)``; each has its own."""
    itself = np.eye(EVIDENCE_HITS, dtype=bool)[None]
    if labels is None:
        return itself
    named = np.asarray(labels, dtype=object)
    if named.shape != shape:
        raise ValueError(f"labels has shape {named.shape}, scores has {shape}")
    named = named[:, :EVIDENCE_HITS]
    known = np.frompyfunc(lambda label: label is not None, 1, 1)(named).astype(bool)
    same = (named[:, :, None] == named[:, None, :]).astype(bool) & known[:, :, None] & known[:, None, :]
    room = EVIDENCE_HITS - named.shape[1]
    return np.pad(same, ((0, 0), (0, room), (0, room))) | itself


def _shares(values: npt.ArrayLike, queries: int, name: str) -> FloatArray:
    shares: FloatArray = np.asarray(values, dtype=np.float64)
    if shares.shape != (queries,):
        raise ValueError(f"{name} has shape {shares.shape}, scores has {queries} queries")
    outside = ~((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING))  # NaN, too
    if outside.any():
        position = int(outside.argmax())
        raise ValueError(f"{name}[{position}] is {shares[position]:g}, it must be between 0 and 1")
    return shares.clip(0, 1)


def _log_odds(shares: FloatArray) -> FloatArray:
    return np.asarray(np.log((shares + _OFFSET) / (1 - shares + _OFFSET)), dtype=np.float64)
