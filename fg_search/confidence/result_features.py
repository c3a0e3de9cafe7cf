"""Features of a search result for the calibrator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.confidence.answerability import log_weight

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EVIDENCE_HITS = 10
"""Number of hits per query that :func:`result_features` uses; fetch that many even if the user asks for fewer."""

# Feature-group similarities and confidences crowd just below 1, where .99 and .999 differ as much as .9 and .99 do. Log
# odds preserve this. The offset keeps them finite without creating ties, which clipping would.
_OFFSET = 1e-3
_ROUNDING = 1e-4  # tolerance for an engine's float32 sums that leave [0, 1] or break the descending order


def result_features(
    scores: npt.ArrayLike,
    *,
    similarity: npt.ArrayLike,
    query_confidence: npt.ArrayLike,
    hit_confidence: npt.ArrayLike,
    query_familiarity: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
) -> dict[str, FloatArray]:
    """Compute features that separate right top hits from wrong ones.

    As :class:`Calibrator` expects, the probability that the top hit is right increases with each feature, the others
    being equal. Hits with the same label support each other, and the rival of the top hit is the best hit with another
    label: a close second hit casts no doubt on the first if both have the same label. Without labels, each hit counts
    as having a label of its own.

    Args:
        scores: ``(n, k)`` scores that the hits were ranked by (similarity or cosine), best first; NaN for missing hits
            at the end. The first :data:`EVIDENCE_HITS` are used; pass that many if available.
        similarity: ``(n,)`` feature-group similarity of query and top hit, in [0, 1]. It equals ``scores[:, 0]`` when
            ranking by feature groups; when ranking by base embeddings it is the strongest feature.
        query_confidence: ``(n,)`` confidence of the query's embedding, in [0, 1].
        hit_confidence: ``(n,)`` confidence of the top hit's embedding, in [0, 1].
        query_familiarity: ``(n,)`` familiarity of the query, in [0, 1]; ``None`` if the encoder does not know it.
        labels: ``(n, k)`` labels of the hits, ``None`` for hits without one. Pass them if a hit with the right label is
            right; omit them if only one specific hit is.

    Returns:
        ``(n,)`` float64 arrays by feature name, most trusted first:

        * ``similarity``, ``query_confidence``: log odds.
        * ``hit_ambiguity``: one minus the hit's confidence. An ambiguous hit cannot be very similar to anything, so the
          same similarity is stronger evidence.
        * ``spread``: top score minus the mean of the other scores.
        * ``lead``: margin by which the top hit's label wins a vote of ten hits weighted by score (Dudani, 1976): a
          tenth of the difference between the score sums of that label and of the best other label.
        * ``rival_gap``: top score minus the rival's score. If there is no rival, its score is taken to be that of the
          last of ten hits, which it cannot exceed, or 0 if there are fewer hits.
        * ``familiarity``, if it is known: the logarithm of what it multiplies the odds by in
          :func:`fg_search.confidence.answerability`.

    Raises:
        ValueError: If shapes do not match, a query has no hit, or a number is not finite or out of range; the message
            names its position.
    """
    listed = _ranked_scores(scores)
    top, found = listed[:, 0], ~np.isnan(listed)
    others = np.where(found, listed, 0)[:, 1:].sum(axis=1) / np.maximum(found[:, 1:].sum(axis=1), 1)
    same = _same_label(labels, np.shape(scores))
    known = {}
    if query_familiarity is not None:
        known["familiarity"] = log_weight(_shares(query_familiarity, len(listed), "query_familiarity"))
    return {
        "similarity": _log_odds(_shares(similarity, len(listed), "similarity")),
        "query_confidence": _log_odds(_shares(query_confidence, len(listed), "query_confidence")),
        "hit_ambiguity": 1 - _shares(hit_confidence, len(listed), "hit_confidence"),
        "spread": top - others,
        "lead": _lead(listed, found, same),
        "rival_gap": top - _rival_score(listed, found, same),
        **known,
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
    """Scores ``(n, EVIDENCE_HITS)``, NaN where a hit is missing."""
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
    """Whether two hits of a query share a label, ``(n, EVIDENCE_HITS, EVIDENCE_HITS)``; true on the diagonal."""
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
    outside = ~((shares >= -_ROUNDING) & (shares <= 1 + _ROUNDING))  # also true for NaN
    if outside.any():
        position = int(outside.argmax())
        raise ValueError(f"{name}[{position}] is {shares[position]:g}, it must be between 0 and 1")
    return shares.clip(0, 1)


def _log_odds(shares: FloatArray) -> FloatArray:
    return np.asarray(np.log((shares + _OFFSET) / (1 - shares + _OFFSET)), dtype=np.float64)
