"""Which labels are probably wrong: each judged by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logsumexp, softmax

from fg_search.review.issues.noise import Block, NoiseEstimate, estimate_noise
from fg_search.review.issues.regression import FloatArray, IntArray, LabelRegression, row_blocks
from fg_search.validation import check_booleans, check_count, check_labels, check_vectors

_CALIBRATED_ON = 10_000  # fitted examples of each half that noise is estimated on
_TEMPERED_ON = 5_000
_BOTH_HALVES = 5_000  # of more examples one half tells enough of what half of them teach
_LARGEST_LOG_ODDS = 200.0
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class LabelJudgements:
    """What a judge makes of n labels.

    Attributes:
        score: ``(n,)`` float64 in [0, 1], the probability that the given label is wrong; 0 where there is none, and
            where it cannot be judged.
        suggested: The most probable label other than the given one; where none is given, of all.
        probability: ``(n,)`` float64 in [0, 1], that the suggested label is right.
        change: ``(n,)`` booleans, whether it is suggested to change the given label: the suggested one is more
            probable than not.
        predicted: The most probable label of all, whatever is given; may be the given one.
        margin: ``(n,)`` float64 in [0, 1], the lead of the most probable label over the second in probability.
        judged: ``(n,)`` booleans, false where there is no label, or no other example of it was fitted.
    """

    score: npt.NDArray[np.float64]
    suggested: tuple[str, ...] = field(repr=False)
    probability: npt.NDArray[np.float64]
    change: npt.NDArray[np.bool_]
    predicted: tuple[str, ...] = field(repr=False)
    margin: npt.NDArray[np.float64]
    judged: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, eq=False)
class LabelJudge:
    """Judges labels, those it was fitted on as if it had not been.

    Attributes:
        labels: The L labels it knows, sorted.
        counts: ``(L,)`` int64, the fitted examples of each.
        temperature: Of the posterior ``softmax(regression / temperature)``.
        noise: Share of the fitted labels that are probably wrong.
    """

    labels: tuple[str, ...] = field(repr=False)
    counts: IntArray = field(repr=False)
    temperature: float
    noise: NoiseEstimate
    _regression: LabelRegression = field(repr=False)
    _log_odds: float = field(repr=False)

    def judge(
        self,
        embeddings: npt.ArrayLike,
        labels: Sequence[str | None],
        *,
        fitted: bool | npt.ArrayLike,
    ) -> LabelJudgements:
        """Judge labels; memory beyond the result is bounded, and pieces give what the whole gives.

        The margin between given label and best other decides (as in cleanlab's normalised margin); two numbers that
        do not depend on the item make a probability of it: the temperature, and the odds at which the expected number
        of wrong labels is the estimated one.

        Args:
            embeddings: ``(n, d)`` finite float array.
            labels: The given label of each, ``None`` where there is none; unknown ones cannot be judged.
            fitted: Which rows this judge was fitted on, with this very label: ``(n,)`` booleans, or one for all.

        Raises:
            ValueError: If shapes do not fit or a number is not finite.
        """
        rows = check_vectors(embeddings, name="embeddings", dimension=self._regression.dimension)
        _check_labels(labels, len(rows))
        seen = _flags(fitted, len(rows))
        given = _numbers(labels, self.labels)
        if (seen & (given == _UNKNOWN)).any():
            odd = int((seen & (given == _UNKNOWN)).argmax())
            raise ValueError(f"fitted[{odd}] is true but its label {labels[odd]!r} is none that was fitted")
        return self._judge(rows, given, seen, None)

    def _judge(
        self, rows: FloatArray, given: IntArray, seen: npt.NDArray[np.bool_], leverage: FloatArray | None
    ) -> LabelJudgements:
        judged = given != _UNKNOWN
        judged[judged] = self.counts[given[judged]] - seen[judged] > 0
        score, probability, margin = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
        best, suggested = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        for some in row_blocks(len(rows), self._regression.width):
            known = None if leverage is None else leverage[some]
            scores = self._scores(rows[some], given[some], seen[some], known)
            two = np.partition(softmax(scores, axis=1), -2, axis=1)[:, -2:]
            best[some], margin[some] = scores.argmax(axis=1), two[:, 1] - two[:, 0]
            own, has = given[some], judged[some]
            held = scores[np.arange(len(own)), own]
            scores[has, own[has]] = -np.inf
            suggested[some] = other = scores.argmax(axis=1)
            lead = scores[np.arange(len(own)), other]
            score[some] = np.where(has, expit(lead - held + self._log_odds), 0)
            probability[some] = np.where(has, score[some], 1) * np.exp(lead - logsumexp(scores, axis=1))
        names = self.labels
        return LabelJudgements(
            score=score,
            suggested=tuple(names[i] for i in suggested),
            probability=probability.clip(0, 1),
            change=judged & (probability > 0.5),
            predicted=tuple(names[i] for i in best),
            margin=margin.clip(0, 1),
            judged=judged,
        )

    def _scores(
        self, rows: FloatArray, given: IntArray, seen: npt.NDArray[np.bool_], leverage: FloatArray | None
    ) -> npt.NDArray[np.float64]:
        """``(n, L)`` logits; of the rows that were fitted, without them."""
        scores = np.empty((len(rows), len(self.labels)))
        if not seen.all():
            scores[~seen] = self._regression.predict(rows[~seen])
        if seen.any():
            scores[seen] = self._regression.leave_one_out(
                rows[seen], given[seen], None if leverage is None else leverage[seen]
            )
        return np.asarray(scores / self.temperature)


def fit_label_judge(embeddings: npt.ArrayLike, labels: Sequence[str | None], *, seed: int = 0) -> LabelJudge:
    """Fit a judge of labels.

    Time grows as n, memory hardly: of a large corpus some 100,000 sampled examples are enough, the others can be
    judged without having been fitted.

    Copies of an item with the same wrong label vouch for one another; see
    :func:`fg_search.review.issues.same_text`.

    Args:
        embeddings: ``(n, d)`` finite float array; the direction of each row alone counts.
        labels: One label an example, ``None`` where it is unknown (such an example is left out).
        seed: Of the random units.

    Raises:
        ValueError: If lengths differ, there are fewer than two labels or fewer than three labelled examples, or a
            number is not finite.
    """
    rows = check_vectors(embeddings, name="embeddings")
    _check_labels(labels, len(rows))
    return _fit(rows, labels, seed)[0]


def judge_labels(
    embeddings: npt.ArrayLike, labels: Sequence[str | None], *, most_fitted: int = 100_000, seed: int = 0
) -> tuple[LabelJudgements, LabelJudge]:
    """Fit a judge on some of the labels and judge them all, each by what was learned without it.

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: One label an item, ``None`` where it is unknown.
        most_fitted: Labelled items to fit on, drawn at random if there are more.
        seed: Of the draw and the random units.

    Raises:
        ValueError: As :func:`fit_label_judge`.
    """
    rows = check_vectors(embeddings, name="embeddings")
    _check_labels(labels, len(rows))
    check_count(most_fitted, name="most_fitted", least=3)
    known = np.flatnonzero([label is not None for label in labels])
    if len(known) > most_fitted:
        known = np.sort(np.random.default_rng(seed).permutation(known)[:most_fitted])
    judge, leverage = _fit(rows[known], [labels[int(i)] for i in known], seed)
    seen, by_row = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=np.float32)
    seen[known], by_row[known] = True, leverage
    return judge._judge(rows, _numbers(labels, judge.labels), seen, by_row), judge


def _fit(rows: FloatArray, labels: Sequence[str | None], seed: int) -> tuple[LabelJudge, FloatArray]:
    """The judge, and the leverage of each labelled row."""
    names = tuple(sorted({label for label in labels if label is not None}))
    given = _numbers(labels, names)
    known = np.flatnonzero(given != _UNKNOWN)
    if len(names) < 2 or len(known) < 3:
        raise ValueError(
            f"to judge labels takes at least 3 labelled examples of at least 2 labels, got {len(known)} of {len(names)}"
        )
    rows, given = rows[known], given[known]
    regression = LabelRegression.fit(rows, given, len(names), seed)
    leverage = np.concatenate([regression.leverage(rows[some]) for some in row_blocks(len(rows), regression.width)])
    halves = _halves(given, seed)
    judged = [half[:_CALIBRATED_ON] for half in (halves if len(given) <= _BOTH_HALVES else halves[:1])]
    drawn = np.concatenate(judged)
    examples, sample, own = rows[drawn], given[drawn], leverage[drawn]

    def unseen(most: int) -> Iterator[tuple[IntArray, FloatArray]]:
        for some in row_blocks(min(most, len(sample)), regression.width):
            yield sample[some], regression.leave_one_out(examples[some], sample[some], own[some])

    taught = [LabelRegression.fit(rows[half], given[half], len(names), seed) for half in halves[::-1][: len(judged)]]

    def from_half(most: int) -> Iterator[tuple[IntArray, FloatArray]]:
        for half, other in zip(judged, taught, strict=True):
            for some in row_blocks(min(most, len(half)), other.width):
                yield given[half[some]], other.predict(rows[half[some]])

    temperature = _temperature(list(unseen(_TEMPERED_ON)))
    noise = estimate_noise(
        partial(_posteriors, unseen, temperature),
        len(names),
        from_half=partial(_posteriors, from_half, _temperature(list(from_half(_TEMPERED_ON)))),
        seed=seed,
    )
    margins = np.concatenate([_margin(some, scores) for some, scores in unseen(len(sample))]) / temperature
    counts = np.bincount(given, minlength=len(names))
    return LabelJudge(names, counts, temperature, noise, regression, _log_odds(margins, noise.share.estimate)), leverage


def _halves(given: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    """The examples in two halves, each in random order, those of a label dealt evenly."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(given)), given))
    return rng.permutation(order[::2]), rng.permutation(order[1::2])


def _posteriors(unseen: Callable[[int], Iterator[tuple[IntArray, FloatArray]]], temperature: float) -> Iterator[Block]:
    return ((given, softmax(scores / temperature, axis=1)) for given, scores in unseen(_CALIBRATED_ON))


def _temperature(blocks: list[tuple[IntArray, FloatArray]]) -> float:
    """The temperature with the highest likelihood of the given labels (Guo et al., 2017)."""
    count = sum(len(given) for given, _ in blocks)

    def loss(log_temperature: float) -> float:
        total = 0.0
        for given, scores in blocks:
            tempered = scores / np.exp(log_temperature)
            total -= float((tempered[np.arange(len(given)), given] - logsumexp(tempered, axis=1)).sum())
        return total / count

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 3), method="bounded").x))


def _margin(given: IntArray, scores: FloatArray) -> npt.NDArray[np.float64]:
    """``(n,)``: by how much the best other label leads the given one."""
    rows = np.arange(len(given))
    own = scores[rows, given].astype(np.float64)
    scores[rows, given] = -np.inf
    return np.asarray(scores.max(axis=1) - own)


def _log_odds(margins: npt.NDArray[np.float64], share: float) -> float:
    """What to add to the margins so that their probabilities of being wrong have this mean."""
    least = 0.5 / len(margins)  # none found wrong is not none wrong
    wanted = min(max(share, least), 1 - least)
    limit = _LARGEST_LOG_ODDS + float(np.abs(margins).max())
    return float(brentq(lambda added: float(expit(margins + added).mean()) - wanted, -limit, limit))


def _numbers(labels: Sequence[str | None], names: Sequence[str]) -> IntArray:
    number = {name: i for i, name in enumerate(names)}
    return np.array([_UNKNOWN if label is None else number.get(label, _UNKNOWN) for label in labels], dtype=np.int64)


def _check_labels(labels: Sequence[str | None], count: int) -> None:
    if isinstance(labels, str) or len(labels) != count:
        raise ValueError(f"labels must be one for each of {count} embeddings, got {len(labels)}")
    check_labels(labels)


def _flags(fitted: bool | npt.ArrayLike, count: int) -> npt.NDArray[np.bool_]:
    if isinstance(fitted, (bool, np.bool_)):
        return np.full(count, bool(fitted))
    flags = check_booleans(fitted, name="fitted")
    if len(flags) != count:
        raise ValueError(f"fitted must be one boolean, or one for each of {count} embeddings, got {len(flags)}")
    return flags
