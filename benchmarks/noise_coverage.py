"""How often the interval of the noise estimate holds the share of labels that are wrong; part of benchmarks/review.py.

Corpora of 1 to 100 examples a label are drawn from each population, as they are and with wrong labels planted, either
any or one of the three labels most alike. The share to hold is that of the labels that are scored. If none is, the
interval is all of [0, 1].

Populations have wrong labels of their own. An item is contested, and left out of them, if three models that never saw
its label contradict it together: leave-one-out regression and five-fold logistic regression both read the same other
label, the latter with less than 5 % for the given one, and so do most of its ten nearest neighbours, of which one at
most has the given one. What is left has as many wrong labels as are planted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from fg_search.arrays import unit_rows
from fg_search.review.issues import find_label_issues, fit_label_scorer, nearest
from fg_search.review.issues.label_errors import LEAST_EXAMPLES

SIZES = (1, 2, 3, 5, 10, 20, 50, 100)
SHARES = (0.02, 0.05, 0.1, 0.2)
KINDS = ("any", "alike")
_CLEAN_DRAWS = 2  # for each seed: as it is, a corpus has one share only
_FOLDS, _ALIKE, _NEIGHBOURS = 5, 3, 10
_SCORED_FROM = 5  # examples a label
_MOST = 4_000  # items of a draw


@dataclass(frozen=True, eq=False)
class Population:
    """Embeddings with labels, from which corpora are drawn.

    Attributes:
        name: What it is called in the table.
        rows: ``(n, d)`` embeddings of unit length.
        truth: ``(n,)`` labels.
        labels: Number of labels of a corpus; ``None`` for all.
        contested: Share of the items that were left out.
    """

    name: str
    rows: np.ndarray
    truth: np.ndarray
    labels: int | None
    contested: float

    def draw(self, each: int, share: float, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(n, d)`` embeddings, given labels and true labels of a corpus of up to ``each`` items a label."""
        rng = np.random.default_rng((seed, each, round(1000 * share), KINDS.index(kind)))
        names = np.unique(self.truth)
        chosen = np.sort(rng.permutation(names)[: self.labels])
        items = np.concatenate([rng.permutation(np.flatnonzero(self.truth == name))[:each] for name in chosen])
        truth = np.searchsorted(chosen, self.truth[items])
        wrong = rng.permutation(len(truth))[: round(share * len(truth))]
        given = truth.copy()
        if kind == "any":
            given[wrong] = (given[wrong] + rng.integers(1, len(chosen), len(wrong))) % len(chosen)
        else:
            means = unit_rows(np.stack([self.rows[self.truth == name].mean(axis=0) for name in chosen]))
            closeness = means @ means.T
            np.fill_diagonal(closeness, -np.inf)
            most = np.argsort(-closeness, axis=1)[:, :_ALIKE]
            given[wrong] = most[truth[wrong], rng.integers(_ALIKE, size=len(wrong))]
        return self.rows[items], chosen[given], chosen[truth]


def populations(corpora: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Population]:
    """Each corpus with all of its labels, and the largest with few of them, too."""
    found = []
    for name, (rows, truth) in corpora.items():
        out = contested(rows, truth)
        labels = len(np.unique(truth))
        for some in (None, labels // 6, labels // 20) if labels > 100 else (None,):
            named = f"{name}, {some or labels} labels"
            found.append(Population(named, rows[~out], truth[~out], some, float(out.mean())))
    return found


def contested(rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(n,)`` whether three models contradict the label together."""
    names, given = np.unique(truth, return_inverse=True)
    read = np.searchsorted(names, find_label_issues(rows, truth.tolist())[0].predicted)
    folds = KFold(_FOLDS, shuffle=True, random_state=0)
    model = LogisticRegression(C=10, max_iter=300)
    posterior = _of_all(model, rows, given, folds, len(names))
    neighbours = given[nearest(rows, k=_NEIGHBOURS).rows]
    votes = np.stack([np.bincount(row, minlength=len(names)) for row in neighbours])
    item = np.arange(len(given))
    same = (read == posterior.argmax(axis=1)) & (read == votes.argmax(axis=1)) & (read != given)
    return same & (posterior[item, given] < 0.05) & (votes[item, given] <= 1)


def _of_all(model: LogisticRegression, rows: np.ndarray, given: np.ndarray, folds: KFold, labels: int) -> np.ndarray:
    """Out-of-fold ``(n, labels)`` posterior; a label that a fold lacks has none there."""
    posterior = np.zeros((len(rows), labels))
    for fitted, held in folds.split(rows):
        model.fit(rows[fitted], given[fitted])
        posterior[np.ix_(held, model.classes_)] = model.predict_proba(rows[held])
    return posterior


def coverage(found: Sequence[Population], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Estimates of all draws."""
    return [
        _estimate(population, each, *draw)
        for population in found
        for each in SIZES
        for draw in _draws(population, each, seeds)
    ]


def _draws(population: Population, each: int, seeds: Sequence[int]) -> Iterator[tuple[float, str, int]]:
    counts = np.unique(population.truth, return_counts=True)[1]
    if np.minimum(counts, each).mean() * (population.labels or len(counts)) > _MOST or each >= 2 * counts.max():
        return
    for seed in seeds:
        yield from ((0.0, "any", seed * _CLEAN_DRAWS + i) for i in range(_CLEAN_DRAWS))
        yield from ((share, kind, seed) for share in SHARES for kind in KINDS)


def _estimate(population: Population, each: int, share: float, kind: str, seed: int) -> dict[str, Any]:
    rows, given, truth = population.draw(each, share, kind, seed)
    scorer = fit_label_scorer(rows, given.tolist(), seed=seed)
    names, counts = np.unique(given, return_counts=True)
    scored = counts[np.searchsorted(names, given)] >= LEAST_EXAMPLES
    wrong = float((given != truth)[scored].mean()) if scored.any() else share
    found = scorer.noise.share
    return {
        "population": population.name,
        "contested": population.contested,
        "each": each,
        "planted": share,
        "kind": kind,
        "seed": seed,
        "labelled": len(given),
        "scored": int(scored.sum()),
        "wrong": wrong,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "held": found.low <= wrong <= found.high,
    }


def by_size(draws: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the draws whose share is held, of all, without and with planted labels."""
    names = list(dict.fromkeys(draw["population"] for draw in draws))
    groups = [(each, planted) for each in SIZES for planted in (False, True)]
    rows = []
    for each, planted in groups:
        some = [draw for draw in draws if draw["each"] == each and (draw["planted"] > 0) == planted]
        cells = [_held([draw for draw in some if draw["population"] == name]) for name in names]
        rows.append([str(each), "yes" if planted else "no", *cells, _held(some)])
    return ["a label", "planted", *names, "all"], rows


def by_share(draws: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: how wide the intervals are from five examples a label, by what is planted."""
    rows = []
    for share in (0.0, *SHARES):
        for kind in KINDS if share else KINDS[:1]:
            some = [
                draw
                for draw in draws
                if draw["each"] >= _SCORED_FROM and draw["planted"] == share and (not share or draw["kind"] == kind)
            ]
            means = {key: np.mean([draw[key] for draw in some]) for key in ("wrong", "estimate", "low", "high")}
            of_all = [f"{value:.1%}" for value in means.values()]
            rows.append([f"{share:.0%}", kind if share else "", _held(some), *of_all])
    return ["planted", "wrong label is", "held", "wrong", "estimated", "lower end", "upper end"], rows


def _held(draws: Sequence[dict[str, Any]]) -> str:
    return f"{sum(draw['held'] for draw in draws)}/{len(draws)}" if draws else ""
