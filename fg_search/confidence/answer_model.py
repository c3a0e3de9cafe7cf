"""Two factors of the confidence in a result: whether the query has an answer, and whether the hit is it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.calibrator import Calibrator

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Features = Mapping[str, npt.NDArray[np.float64]]

_FOLDS = 5
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class AnswerEvidence:
    """What is known of n results.

    Attributes:
        answerable: ``(n,)`` float64 log odds that the query has an answer, among queries like those judged.
        right: ``(n,)`` float64 probability that the hit is right if the query has an answer, in [0, 1].
    """

    answerable: FloatArray
    right: FloatArray

    def __len__(self) -> int:
        return len(self.right)

    def __getitem__(self, rows: npt.NDArray[Any]) -> AnswerEvidence:
        return AnswerEvidence(self.answerable[rows], self.right[rows])

    def rounded(self) -> AnswerEvidence:
        """The evidence as it is stored: in single precision."""
        return AnswerEvidence(
            *(values.astype(np.float32).astype(np.float64) for values in (self.answerable, self.right))
        )


class AnswerModel:
    """Learns both factors from judged queries.

    They are learned apart because they change apart: what a hit of an answerable query is worth stays as it is when
    more queries come that have no answer.
    """

    def __init__(self) -> None:
        self._answerable: Calibrator | None = None
        self._right: Calibrator | float = 0.5

    @classmethod
    def fit(cls, features: Features, correct: BoolArray, answerable: BoolArray) -> Self:
        """Fit on judged queries.

        Args:
            features: ``(n,)`` floats by name, as in :meth:`Calibrator.fit`.
            correct: ``(n,)`` booleans, whether the hit is right.
            answerable: ``(n,)`` booleans, whether there is an answer; true where ``correct`` is.
        """
        model = cls()
        if not answerable.all():
            model._answerable = Calibrator().fit(features, answerable)
        right = correct[answerable]
        if right.all() or not right.any():
            model._right = (float(right.sum()) + 0.5) / (len(right) + 1)
        else:
            model._right = Calibrator().fit(_rows(features, answerable), right)
        return model

    @classmethod
    def of_calibrator(cls, calibrator: Calibrator) -> Self:
        """The model of a calibrator that does not tell the factors apart."""
        model = cls()
        model._right = calibrator
        return model

    @classmethod
    def cross_fit(cls, features: Features, correct: BoolArray, answerable: BoolArray, *, seed: int) -> AnswerEvidence:
        """Evidence of the judged queries themselves: each by a model that was fitted without it (five folds)."""
        fold = _folds(correct, answerable, np.random.default_rng(seed))
        found = AnswerEvidence(np.zeros(len(correct)), np.zeros(len(correct)))
        for number in range(_FOLDS):
            out = fold == number
            if not out.any():
                continue
            kept = ~out
            if not answerable[kept].any():
                raise ValueError("fewer than two of the judged queries have an answer; judge more")
            model = cls.fit(_rows(features, kept), correct[kept], answerable[kept])
            evidence = model.evidence(_rows(features, out))
            found.answerable[out], found.right[out] = evidence.answerable, evidence.right
        return found

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are used."""
        known = [model.features for model in (self._answerable, self._right) if isinstance(model, Calibrator)]
        return known[0] if known else ()

    def evidence(self, features: Features) -> AnswerEvidence:
        """Evidence of n results.

        Raises:
            ValueError: If a feature is missing or a number is not finite.
        """
        from scipy.special import logit

        count = len(next(iter(features.values())))
        answerable = np.zeros(count)
        if self._answerable is not None:
            answerable = logit(self._answerable.predict(features).clip(_LEAST, 1 - _LEAST))
        right = self._right
        return AnswerEvidence(
            np.asarray(answerable, dtype=np.float64),
            right.predict(features) if isinstance(right, Calibrator) else np.full(count, right),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        return {
            "answerable": None if self._answerable is None else self._answerable.to_dict(),
            "right": self._right.to_dict() if isinstance(self._right, Calibrator) else self._right,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a model from :meth:`to_dict`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        model = cls()
        if data["answerable"] is not None:
            model._answerable = Calibrator.from_dict(data["answerable"])
        right = data["right"]
        model._right = Calibrator.from_dict(right) if isinstance(right, Mapping) else float(right)
        return model


def _folds(correct: BoolArray, answerable: BoolArray, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fold of each query; right, wrong and unanswerable ones are dealt out separately."""
    fold = np.empty(len(correct), dtype=np.int64)
    for kind in (correct, answerable & ~correct, ~answerable):
        rows = rng.permutation(np.flatnonzero(kind))
        fold[rows] = np.arange(len(rows)) % _FOLDS
    return fold


def _rows(features: Features, rows: BoolArray) -> dict[str, FloatArray]:
    return {name: values[rows] for name, values in features.items()}
