"""Labels that an uncertain query may be about: how probable each is, the set to choose from, an example of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.confidence.label_sets import LabelCutoff, label_weights
from fg_search.confidence.result_features import EVIDENCE_HITS
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, UntrustedCodeError
from fg_search.ids import UserId
from fg_search.index.query_vectors import QueryVectors
from fg_search.index.retrieval import find_hits, request_chunks
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_results import Hit, LabelChoice, SearchResult
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals
from fg_search.layout.keys import LABEL_KEY

_MOST = 50  # labels whose examples are looked for; of more, none is asked about


async def right_label_weights(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    right: Sequence[Collection[UserId]],
) -> npt.NDArray[np.float32] | None:
    """Weight of the right label of each query, ``(n,)`` float32, relative to the most probable label.

    Args:
        state: The index.
        vectors: Vectors of n queries.
        found: Hits of each query.
        right: Right labels of each query; of several, the most probable counts.

    Returns:
        Weights in [0, 1], NaN for queries that have no right label; ``None`` if the encoder is not at hand.
    """
    weights: list[float] = []
    for rows in request_chunks(range(len(vectors))):
        try:
            chunk = await _weights(state, [vectors[i] for i in rows], [found[i] for i in rows])
        except (EncoderNotFoundError, ModelMismatchError, UntrustedCodeError):
            return None
        weights += [chunk.largest(row, right[i]) for row, i in enumerate(rows)]
    return np.array(weights, dtype=np.float32)


async def with_choices(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    results: Sequence[SearchResult],
    cutoff: LabelCutoff,
    options: SearchOptions,
    rank_by: RankBy,
) -> list[SearchResult]:
    """Results of uncertain queries with the labels to choose from.

    Args:
        state: The index.
        vectors: Vectors of the queries.
        found: Best hits of each query, as many as a calibrated confidence depends on.
        results: Results with their confidence.
        cutoff: Least probability of a label to choose.
        options: Options of the search.
        rank_by: Ranking other than ``"auto"``.
    """
    if cutoff.cutoff is None:
        return [_explained(result, (), cutoff.reason) for result in results]
    weights = await _weights(state, vectors, found)
    sets = [weights.probable(i, result.confidence or 0.0, cutoff.cutoff) for i, result in enumerate(results)]
    asked = [labels if len(labels) <= _MOST else {} for labels in sets]
    examples = await _examples(state, vectors, found, asked, options, rank_by)
    chosen = []
    for result, labels, example in zip(results, sets, examples, strict=True):
        choices = [LabelChoice(label, labels[label], hit) for label, hit in example.items()]
        count = len(labels) if len(labels) > _MOST else len(choices)
        if count > options.limit:
            why = f"{count} labels are too probable to be left out, more than limit={options.limit} to ask about"
            chosen.append(_explained(result, (), why))
            continue
        choices.sort(key=lambda choice: -choice.probability)
        chosen.append(_explained(result, tuple(choices), _reason(count, cutoff)))
    return chosen


def _explained(result: SearchResult, choices: tuple[LabelChoice, ...], reason: str) -> SearchResult:
    return replace(result, choices=choices, reason=f"{result.reason}; {reason}")


def _reason(count: int, cutoff: LabelCutoff) -> str:
    held = f"of such queries that have an answer, {1 - cutoff.miss:.0%} have its label"
    if not count:
        return f"no label is probable enough: {held} among those that are so"
    return f"{held} among these {count}" if count > 1 else f"one label is probable enough: {held} among such labels"


@dataclass(frozen=True)
class _Weights:
    """Weights of labels for each of n queries.

    Attributes:
        columns: Column of each label.
        values: ``(n, L)`` float32 weights, relative to the most probable label.
    """

    columns: dict[str, int]
    values: npt.NDArray[np.float32]

    def largest(self, row: int, labels: Collection[UserId]) -> float:
        """The largest weight of some labels, 0 if none is known, NaN if there are none."""
        if not labels:
            return float("nan")
        known = [self.columns[label] for label in labels if label in self.columns]
        return float(self.values[row, known].max(initial=0))

    def probable(self, row: int, confidence: float, cutoff: float) -> dict[str, float]:
        """Labels with a probability of at least the cutoff."""
        names = list(self.columns)
        probability = confidence * self.values[row].astype(np.float64)
        return {names[column]: float(probability[column]) for column in np.flatnonzero(probability >= cutoff)}


async def _weights(state: IndexState, vectors: Sequence[QueryVectors], found: Sequence[tuple[Hit, ...]]) -> _Weights:
    return await state.engine.work(partial(_weigh, state, vectors, found))


def _weigh(state: IndexState, vectors: Sequence[QueryVectors], found: Sequence[tuple[Hit, ...]]) -> _Weights:
    """Weights by the codes of the labels that the head has learned, and of others by the votes of the best hits."""
    codebook = state.encoder.codebook
    learned = () if codebook is None else codebook.labels
    voted = (hit.label for hits in found for hit in hits[:EVIDENCE_HITS] if hit.label is not None)
    columns = {label: column for column, label in enumerate(dict.fromkeys([*learned, *voted]))}
    votes = np.zeros((len(vectors), len(columns)))
    for row, hits in enumerate(found):
        for hit in hits[:EVIDENCE_HITS]:
            if hit.label is not None:
                votes[row, columns[hit.label]] += max(hit.ranking_score, 0.0)
    posterior = np.empty((len(vectors), 0))
    if codebook is not None and learned:
        posterior = codebook.decode(np.stack([query.probabilities for query in vectors]))
    return _Weights(columns, label_weights(posterior, votes).astype(np.float32))


async def _examples(
    state: IndexState,
    vectors: Sequence[QueryVectors],
    found: Sequence[tuple[Hit, ...]],
    sets: Sequence[dict[str, float]],
    options: SearchOptions,
    rank_by: RankBy,
) -> list[dict[str, Hit]]:
    """The best hit of each label in each set. Labels without any item that the search considers are left out."""
    examples: list[dict[str, Hit]] = [{} for _ in vectors]
    lacking: dict[str, list[int]] = {}
    for i, labels in enumerate(sets):
        for label in labels:
            best = next((hit for hit in found[i] if hit.label == label), None)
            if best is None:
                lacking.setdefault(label, []).append(i)
            else:
                examples[i][label] = best
    for label, rows in lacking.items():
        own = models.Filter(must=[*([options.query_filter] if options.query_filter else []), equals(LABEL_KEY, label)])
        one = replace(options, limit=1, offset=0, query_filter=own)
        for i, hits in zip(rows, await find_hits(state, [vectors[i] for i in rows], one, rank_by), strict=True):
            examples[i].update((label, hit) for hit in hits)
    return examples
