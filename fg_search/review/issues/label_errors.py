"""Which given labels are probably wrong, by the predictions of a model that never saw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fg_search._deprecation import warn_renamed
from fg_search.review.issues.noise import NoiseEstimate, estimate_noise
from fg_search.review.issues.ridge_regression import FloatArray, IntArray, LabelRegression, row_blocks
from fg_search.validation import check_booleans, check_count, check_labels, check_vectors

LEAST_EXAMPLES = 4  # of a label: three others are the least that can contradict the one that is left out
_CALIBRATED_ON = 10_000  # examples used to estimate noise
_TEMPERED_ON = 5_000  # examples used to fit the temperature
_LARGEST_LOG_ODDS = 200.0
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """Out-of-fold scores and suggestions for n given labels.

    Attributes:
        score: ``(n,)`` float64 in [0, 1], the probability that the given label is wrong: high where cleanlab's label
            quality score is low. 0 where no label is given or it cannot be scored.
        suggested: ``(n,)`` most probable labels other than the given one, or of all labels where none is given.
        probability: ``(n,)`` float64 in [0, 1], the probability that the suggested label is right.
        change: ``(n,)`` booleans, true where the suggested label is more probable than not.
        predicted: ``(n,)`` most probable labels of all; may equal the given one.
        margin: ``(n,)`` float64 in [0, 1], the probability of the most probable label minus that of the second.
        scored: ``(n,)`` booleans, false where no label is given or fewer than three other examples of it were fitted:
            too few to judge.
    """

    score: npt.NDArray[np.float64]
    suggested: tuple[str, ...] = field(repr=False)
    probability: npt.NDArray[np.float64]
    change: npt.NDArray[np.bool_]
    predicted: tuple[str, ...] = field(repr=False)
    margin: npt.NDArray[np.float64]
    scored: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """Deprecated name of :attr:`scored`."""
        warn_renamed("LabelIssues.judged", "LabelIssues.scored")
        return self.scored


@dataclass(frozen=True, eq=False)
class LabelScorer:
    """Scores given labels; a fitted label is scored as if it had been left out of the fit.

    Attributes:
        labels: The L known labels, sorted.
        counts: ``(L,)`` int64, the number of fitted examples of each label.
        temperature: Temperature of the posterior ``softmax(regression / temperature)``.
        noise: Estimated share of wrong labels among the fitted ones that are scored.
    """

    labels: tuple[str, ...] = field(repr=False)
    counts: IntArray = field(repr=False)
    temperature: float
    noise: NoiseEstimate
    _regression: LabelRegression = field(repr=False)
    _log_odds: float = field(repr=False)

    def score(
        self,
        embeddings: npt.ArrayLike,
        labels: Sequence[str | None],
        *,
        fitted: bool | npt.ArrayLike,
    ) -> LabelIssues:
        """Score the given labels.

        The ranking is by the margin between the given label and the best other label, like cleanlab's normalized
        margin. Two numbers shared by all items turn a margin into a probability: the temperature, and an offset of the
        log odds chosen so that the expected number of wrong labels equals the estimated one.

        Memory beyond the result is bounded. Scoring the items in batches gives the same scores as scoring them at once.

        Args:
            embeddings: ``(n, d)`` finite float array.
            labels: ``(n,)`` given labels, ``None`` where there is none. A label of which the scorer does not know three
                other examples is not scored.
            fitted: ``(n,)`` booleans, or one for all: whether the scorer was fitted on this row with this label.

        Raises:
            ValueError: If shapes do not match, a number is not finite, or a row marked as fitted has an unknown label.
        """
        rows = check_vectors(embeddings, name="embeddings", dimension=self._regression.dimension)
        _check_labels(labels, len(rows))
        seen = _flags(fitted, len(rows))
        given = _numbers(labels, self.labels)
        if (seen & (given == _UNKNOWN)).any():
            odd = int((seen & (given == _UNKNOWN)).argmax())
            raise ValueError(f"fitted[{odd}] is true but its label {labels[odd]!r} is none that was fitted")
        return self._score(rows, given, seen, None)

    def judge(
        self, embeddings: npt.ArrayLike, labels: Sequence[str | None], *, fitted: bool | npt.ArrayLike
    ) -> LabelIssues:
        """Deprecated name of :meth:`score`."""
        warn_renamed("LabelScorer.judge", "LabelScorer.score")
        return self.score(embeddings, labels, fitted=fitted)

    def _score(
        self, rows: FloatArray, given: IntArray, seen: npt.NDArray[np.bool_], leverage: FloatArray | None
    ) -> LabelIssues:
        from scipy.special import expit, logsumexp, softmax

        scored = given != _UNKNOWN
        scored[scored] = self.counts[given[scored]] - seen[scored] >= LEAST_EXAMPLES - 1
        score, probability, margin = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
        best, suggested = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        for some in row_blocks(len(rows), self._regression.width):
            known = None if leverage is None else leverage[some]
            logits = self._logits(rows[some], given[some], seen[some], known)
            top_two = np.partition(softmax(logits, axis=1), -2, axis=1)[:, -2:]
            best[some], margin[some] = logits.argmax(axis=1), top_two[:, 1] - top_two[:, 0]
            own, has_score = given[some], scored[some]
            own_logit = logits[np.arange(len(own)), own]
            logits[has_score, own[has_score]] = -np.inf
            suggested[some] = other = logits.argmax(axis=1)
            other_logit = logits[np.arange(len(own)), other]
            score[some] = np.where(has_score, expit(other_logit - own_logit + self._log_odds), 0)
            probability[some] = np.where(has_score, score[some], 1) * np.exp(other_logit - logsumexp(logits, axis=1))
        names = self.labels
        return LabelIssues(
            score=score,
            suggested=tuple(names[i] for i in suggested),
            probability=probability.clip(0, 1),
            change=scored & (probability > 0.5),
            predicted=tuple(names[i] for i in best),
            margin=margin.clip(0, 1),
            scored=scored,
        )

    def _logits(
        self, rows: FloatArray, given: IntArray, seen: npt.NDArray[np.bool_], leverage: FloatArray | None
    ) -> npt.NDArray[np.float64]:
        """``(n, L)`` logits; leave-one-out for the fitted rows."""
        logits = np.empty((len(rows), len(self.labels)))
        if not seen.all():
            logits[~seen] = self._regression.predict(rows[~seen])
        if seen.any():
            logits[seen] = self._regression.leave_one_out(
                rows[seen], given[seen], None if leverage is None else leverage[seen]
            )
        return np.asarray(logits / self.temperature)


def fit_label_scorer(embeddings: npt.ArrayLike, labels: Sequence[str | None], *, seed: int = 0) -> LabelScorer:
    """Fit a :class:`LabelScorer`.

    Time is linear in n; memory hardly grows with it. For a large corpus, 100,000 sampled examples are enough: the
    others can be scored without being fitted.

    Copies of an item with the same wrong label vouch for one another; find them with
    :func:`fg_search.review.issues.same_text`.

    Args:
        embeddings: ``(n, d)`` finite float array; only the direction of each row counts.
        labels: ``(n,)`` labels, ``None`` where unknown. Examples without a label are left out.
        seed: Random seed.

    Raises:
        ValueError: If lengths differ, there are fewer than two labels or fewer than three labelled examples, or a
            number is not finite.
    """
    rows = check_vectors(embeddings, name="embeddings")
    _check_labels(labels, len(rows))
    return _fit(rows, labels, seed)[0]


def find_label_issues(
    embeddings: npt.ArrayLike, labels: Sequence[str | None], *, most_fitted: int = 100_000, seed: int = 0
) -> tuple[LabelIssues, LabelScorer]:
    """Fit a :class:`LabelScorer` and score all labels out of fold.

    Args:
        embeddings: ``(n, d)`` finite float array.
        labels: ``(n,)`` labels, ``None`` where unknown.
        most_fitted: Maximum number of labelled items to fit on; if there are more, they are sampled.
        seed: Random seed.

    Raises:
        ValueError: For the reasons given in :func:`fit_label_scorer`, or if ``most_fitted`` is less than three.
    """
    rows = check_vectors(embeddings, name="embeddings")
    _check_labels(labels, len(rows))
    check_count(most_fitted, name="most_fitted", least=3)
    known = np.flatnonzero([label is not None for label in labels])
    if len(known) > most_fitted:
        known = np.sort(np.random.default_rng(seed).permutation(known)[:most_fitted])
    scorer, leverage = _fit(rows[known], [labels[int(i)] for i in known], seed)
    seen, by_row = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=np.float32)
    seen[known], by_row[known] = True, leverage
    return scorer._score(rows, _numbers(labels, scorer.labels), seen, by_row), scorer


def _fit(rows: FloatArray, labels: Sequence[str | None], seed: int) -> tuple[LabelScorer, FloatArray]:
    """The scorer, and the leverage of each labelled row."""
    from scipy.special import softmax

    names = tuple(sorted({label for label in labels if label is not None}))
    given = _numbers(labels, names)
    known = np.flatnonzero(given != _UNKNOWN)
    if len(names) < 2 or len(known) < 3:
        raise ValueError(
            f"scoring labels takes at least 3 labelled examples of at least 2 labels, got {len(known)} of {len(names)}"
        )
    rows, given = rows[known], given[known]
    regression = LabelRegression.fit(rows, given, len(names), seed)
    leverage = np.concatenate([regression.leverage(rows[some]) for some in row_blocks(len(rows), regression.width)])
    counts = np.bincount(given, minlength=len(names))
    judged = np.flatnonzero(counts[given] >= LEAST_EXAMPLES)
    usable = judged if len(judged) else np.arange(len(given))
    drawn = np.random.default_rng(seed).permutation(usable)[:_CALIBRATED_ON]
    examples, sample, own = rows[drawn], given[drawn], leverage[drawn]

    def unseen(most: int) -> Iterator[tuple[IntArray, FloatArray]]:
        for some in row_blocks(min(most, len(sample)), regression.width):
            yield sample[some], regression.leave_one_out(examples[some], sample[some], own[some])

    temperature = _temperature(list(unseen(_TEMPERED_ON)))
    posteriors = ((label, softmax(scores / temperature, axis=1)) for label, scores in unseen(_CALIBRATED_ON))
    noise = estimate_noise(posteriors, len(names)) if len(judged) else NoiseEstimate.unknown(len(names))
    margins = np.concatenate([_margin(some, scores) for some, scores in unseen(len(sample))]) / temperature
    log_odds = _log_odds(margins, noise.share.estimate)
    return LabelScorer(names, counts, temperature, noise, regression, log_odds), leverage


def _temperature(blocks: list[tuple[IntArray, FloatArray]]) -> float:
    """The temperature that maximises the likelihood of the given labels (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    count = sum(len(given) for given, _ in blocks)

    def loss(log_temperature: float) -> float:
        total = 0.0
        for given, scores in blocks:
            tempered = scores / np.exp(log_temperature)
            total -= float((tempered[np.arange(len(given)), given] - logsumexp(tempered, axis=1)).sum())
        return total / count

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 3), method="bounded").x))


def _margin(given: IntArray, scores: FloatArray) -> npt.NDArray[np.float64]:
    """``(n,)`` leads of the best other label over the given one."""
    rows = np.arange(len(given))
    own = scores[rows, given].astype(np.float64)
    scores[rows, given] = -np.inf
    return np.asarray(scores.max(axis=1) - own)


def _log_odds(margins: npt.NDArray[np.float64], share: float) -> float:
    """The offset at which the mean probability of being wrong, ``expit(margin + offset)``, equals ``share``."""
    from scipy.optimize import brentq
    from scipy.special import expit

    least = 0.5 / len(margins)  # finding no wrong label does not prove that there is none
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
