"""Examples as pretended queries: each is asked of an encoder and of examples that do not know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fg_search.model.embeddings import FeatureEmbeddings

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder  # it loads torch

_FOLDS = 3
_LEFT_OUT = 5  # of so many labels, one is left out in each fold
_MOST = 2_000  # pretended queries of a fold, and examples that are embedded as queries to learn how these look
_FEWEST_LABELS = 3


@dataclass(frozen=True, eq=False)
class PretendedQueries:
    """Examples that one fold leaves out, as queries, and those that it keeps, as points.

    Attributes:
        queries: ``(n, …)`` embeddings of the queries.
        wanted: ``(n,)`` their labels.
        points: ``(m, …)`` embeddings of the points.
        labels: ``(m,)`` labels of the points. Queries whose label none of them has are pretended to have no answer.
    """

    queries: FeatureEmbeddings
    wanted: npt.NDArray[np.object_]
    points: FeatureEmbeddings
    labels: npt.NDArray[np.object_]


def pretended_queries(
    encoder: FeatureGroupEncoder,
    texts: Sequence[str],
    labels: Sequence[str],
    base: npt.NDArray[np.float32],
    *,
    seed: int = 0,
) -> Iterator[PretendedQueries]:
    """Leave out a third of the examples and a fifth of the labels, three times, and fit a head on the rest.

    Queries that are right or wrong, known or unknown, come of it without a judgment. Left-out labels are nearer to the
    known ones than most of what real users ask, and examples are better written.

    Args:
        encoder: Trained encoder; heads of the same kind are fitted.
        texts: n texts.
        labels: Their labels.
        base: ``(n, d)`` their base embeddings.
        seed: Random seed of the folds and the heads.

    Raises:
        ValueError: If there are fewer than three labels, or no label has two examples.
    """
    named = np.asarray(labels, dtype=object)
    kinds, counts = np.unique(named.astype(str), return_counts=True)
    if len(kinds) < _FEWEST_LABELS or counts.max() < 2:
        raise ValueError(
            f"{len(kinds)} labels are too few to pretend that some are unknown, or none has two items; calibrate on "
            "judged queries"
        )
    rng = np.random.default_rng(seed)
    part_of_label = {str(label): i % _LEFT_OUT for i, label in enumerate(rng.permutation(kinds).tolist())}
    parts = np.array([part_of_label[str(label)] for label in named])
    fold = _dealt(named, rng)
    as_queries = _AsQueries(encoder, texts) if encoder.embeds_queries_apart else None
    for number in range(_FOLDS):
        out, unknown = fold == number, parts == number
        kept = np.flatnonzero(~out & ~unknown).tolist()
        asked = rng.permutation(np.flatnonzero(out))[:_MOST]
        other = encoder.refitted(
            [texts[i] for i in kept],
            named[kept].tolist(),
            vectors=base[kept],
            query_vectors=None if as_queries is None else as_queries(kept[:: -(-len(kept) // _MOST)]),
            seed=seed + number,
        )
        if as_queries is None:
            queries = other.features(base[asked])
        else:
            queries = other.features(as_queries(asked.tolist()), role="query")
        yield PretendedQueries(queries, named[asked], other.features(base[kept]), named[kept])


class _AsQueries:
    """Texts embedded as queries, each once."""

    def __init__(self, encoder: FeatureGroupEncoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._texts = texts
        self._known: dict[int, npt.NDArray[np.float32]] = {}

    def __call__(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Embeddings ``(m, d)`` of some of the texts."""
        new = [row for row in rows if row not in self._known]
        if new:
            vectors = self._encoder.embed([self._texts[row] for row in new], role="query")
            self._known |= dict(zip(new, vectors, strict=True))
        return np.stack([self._known[row] for row in rows])


def _dealt(labels: npt.NDArray[np.object_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fold of each example; those of a label are dealt out evenly."""
    order = rng.permutation(len(labels))
    fold = np.empty(len(labels), dtype=np.int64)
    seen: dict[str, int] = {}
    for row in order:
        label = str(labels[row])
        number = seen.setdefault(label, int(rng.integers(_FOLDS)))
        fold[row] = number % _FOLDS
        seen[label] = number + 1
    return fold
