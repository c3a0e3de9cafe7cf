"""A first calibration without a judged query: by the items themselves, as pretended queries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.confidence.result_features import EVIDENCE_HITS, result_features
from fg_search.index.calibration import Calibration, calibrate
from fg_search.index.corpus import read_corpus
from fg_search.index.points_by_both import BASE_WEIGHT
from fg_search.index.relevance import described, keep_calibration
from fg_search.index.retrieval import check_not_empty
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.state import IndexState
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.pretended_queries import PretendedQueries, pretended_queries
from fg_search.model.progress import unwatched

FloatArray = npt.NDArray[np.float32]

_ROWS = 512  # queries at a time


async def calibrate_on_corpus(state: IndexState, options: SearchOptions, *, seed: int, reviewer: str) -> Calibration:
    """Calibrate the index on its own items, taken for queries, and keep the calibration with it.

    Raises:
        EmptyIndexError: If the index is empty.
        ValueError: If it has too few labels or no base embeddings, or the searches exclude or down-weight points.
    """
    if any((options.min_confidence, options.confidence_weight, options.min_familiarity, options.familiarity_weight)):
        raise ValueError(
            "without judged queries, only searches are calibrated that exclude and down-weight no points; give queries"
        )
    await check_not_empty(state)
    corpus = await read_corpus(state, unwatched)
    if corpus.base is None:
        raise ValueError(
            f"{state.name} keeps no base embeddings to take items for queries; calibrate on judged queries"
        )
    base, encoder = corpus.base, state.encoder
    about = {**await described(state, options), "relevant_by": "label"}

    def work() -> Calibration:
        out = set(corpus.doubtful)
        known = [i for i, label in enumerate(corpus.labels) if label is not None and i not in out]
        texts, labels = [corpus.texts[i] for i in known], [str(corpus.labels[i]) for i in known]
        folds = pretended_queries(encoder, texts, labels, base[known], seed=seed)
        parts = [pretended_evidence(asked, about["rank_by"]) for asked in folds]
        features = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
        correct, answerable = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
        return calibrate(features, correct, answerable, pretended=True, seed=seed, **about)

    calibration = await state.engine.work(work)
    await keep_calibration(state, calibration, reviewer)
    return calibration


def pretended_evidence(
    asked: PretendedQueries, rank_by: RankBy
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Features of the best hits of pretended queries, whether these are right, and whether there is an answer."""
    features: list[dict[str, npt.NDArray[np.float64]]] = []
    correct: list[npt.NDArray[np.bool_]] = []
    known = set(asked.labels.tolist())
    flat, base = _flat(asked.points), unit_rows(asked.points.base)
    sure = asked.points.confidence
    for start in range(0, len(asked.queries), _ROWS):
        queries = asked.queries[start : start + _ROWS]
        similarity = _flat(queries) @ flat.T / queries.groups
        cosine = unit_rows(queries.base) @ base.T
        scores = _ranked(rank_by, similarity, cosine)
        best = _best(scores)
        rows = np.arange(len(queries))
        labels = asked.labels[best]
        features.append(
            result_features(
                _padded(np.take_along_axis(scores, best, axis=1)),
                similarity=similarity[rows, best[:, 0]].clip(0, 1),
                query_confidence=queries.confidence,
                hit_confidence=sure[best[:, 0]],
                query_familiarity=queries.familiarity,
                labels=_padded_labels(labels),
            )
        )
        correct.append((labels[:, 0] == asked.wanted[start : start + _ROWS]).astype(bool))
    answerable = np.array([label in known for label in asked.wanted.tolist()], dtype=bool)
    names = features[0]
    return (
        {name: np.concatenate([part[name] for part in features]) for name in names},
        np.concatenate(correct),
        answerable,
    )


def _ranked(rank_by: RankBy, similarity: FloatArray, cosine: FloatArray) -> FloatArray:
    if rank_by == "features":
        return similarity
    if rank_by == "base":
        return cosine
    return np.asarray((similarity + BASE_WEIGHT * cosine) / (1 + BASE_WEIGHT), dtype=np.float32)


def _best(scores: FloatArray) -> npt.NDArray[np.int64]:
    """Points with the highest scores of each query, best first."""
    count = min(EVIDENCE_HITS, scores.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _padded(scores: FloatArray) -> npt.NDArray[np.float64]:
    room = EVIDENCE_HITS - scores.shape[1]
    return np.pad(scores.astype(np.float64), ((0, 0), (0, room)), constant_values=np.nan)


def _padded_labels(labels: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    found = np.full((len(labels), EVIDENCE_HITS), None, dtype=object)
    found[:, : labels.shape[1]] = labels
    return found


def _flat(embeddings: FeatureEmbeddings) -> FloatArray:
    return embeddings.probabilities.reshape(len(embeddings), -1)
