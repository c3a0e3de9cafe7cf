"""Calibration of an index: how sure results are, and which are right often enough, learned from judged queries."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence import Calibrator, PrecisionThreshold, threshold_for_precision
from fg_search.confidence.label_sets import LabelCutoff, label_cutoff
from fg_search.errors import FormatVersionError, NotCalibratedError
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.validation import check_booleans

RelevantBy = Literal["label", "id"]

_FORMAT = 2
_WITHOUT_FAMILIARITY = 1  # format where the familiarity of points does not count, which release 0.1 reads, too
_OF_FAMILIARITY = ("min_familiarity", "familiarity_weight")
_SAME = ("min_confidence", "confidence_weight", *_OF_FAMILIARITY)  # options that searches have to share with it
# judged queries kept for thresholds; more would not change these, and fill the collection's metadata
_MAX_KEPT = 20_000
_RIGHT_LABEL = "right_label"


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrator, and held-out judged queries to choose thresholds on.

    It holds for searches with the same ``rank_by``, ``min_confidence``, ``confidence_weight``, ``min_familiarity`` and
    ``familiarity_weight``.

    Attributes:
        fingerprint: Fingerprint of the encoder.
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        rank_by: Ranking of the hits.
        min_confidence: Points less confident than this were excluded.
        confidence_weight: Weight of the points' confidence in the order of the hits.
        calibrator: Model of the probability that a top hit is right.
        queries: Number of judged queries. Half of them fitted the calibrator.
        points: Number of points in the index at that time.
        confidence: ``(m,)`` float32 calibrated confidence of held-out queries.
        correct: ``(m,)`` booleans, whether their top hit is right.
        min_familiarity: Points less familiar than this were excluded.
        familiarity_weight: Weight of the points' familiarity in the order of the hits.
        right_label: ``(m,)`` float32 weight of the right label of each held-out query, relative to the most probable
            label, in [0, 1]; NaN where there is no right label. ``None`` if that is not known.
    """

    fingerprint: str
    relevant_by: RelevantBy
    rank_by: RankBy
    min_confidence: float | None
    confidence_weight: float
    calibrator: Calibrator
    queries: int
    points: int
    confidence: npt.NDArray[np.float32] = field(repr=False)
    correct: npt.NDArray[np.bool_] = field(repr=False)
    min_familiarity: float | None = None
    familiarity_weight: float = 0.0
    right_label: npt.NDArray[np.float32] | None = field(default=None, repr=False)

    def threshold(self, target: float, delta: float = 0.1) -> PrecisionThreshold:
        """Threshold of the confidence for a target precision, see :func:`fg_search.threshold_for_precision`."""
        return _threshold(self, target, delta)

    def label_cutoff(self, miss: float, threshold: PrecisionThreshold) -> LabelCutoff:
        """Least probability of the labels that an uncertain query may be about, chosen on uncertain queries.

        Args:
            miss: Probability with which the right label may be missing, in (0, 1).
            threshold: Queries less confident than this are uncertain; all of them if there is none.
        """
        return _label_cutoff(self, miss, threshold.threshold)

    def confidences(self, features: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
        """Probability that each result is right, rounded like the confidences that thresholds are chosen from."""
        return _rounded(self.calibrator, features)

    def fits(self, options: SearchOptions, rank_by: RankBy) -> bool:
        """Whether the calibration applies to these options."""
        return self.rank_by == rank_by and all(getattr(self, name) == getattr(options, name) for name in _SAME)

    def describe_search(self) -> str:
        """Human-readable search options."""
        values = {name: getattr(self, name) for name in _SAME}
        shown = [f"{name} {'none' if value is None else f'{value:g}'}" for name, value in values.items()]
        return ", ".join([f"rank_by {self.rank_by}", *shown])

    def is_same(self, other: Calibration | None) -> bool:
        """Whether both are one calibration."""
        return other is not None and self.to_metadata() == other.to_metadata()

    def to_metadata(self) -> dict[str, Any]:
        """JSON values of the calibration, for :meth:`of_metadata`."""
        familiar = self.min_familiarity is not None or self.familiarity_weight
        return {
            "format": _FORMAT if familiar else _WITHOUT_FAMILIARITY,
            "fingerprint": self.fingerprint,
            "relevant_by": self.relevant_by,
            "rank_by": self.rank_by,
            "min_confidence": self.min_confidence,
            "confidence_weight": self.confidence_weight,
            **({name: getattr(self, name) for name in _OF_FAMILIARITY} if familiar else {}),
            "calibrator": self.calibrator.to_dict(),
            "queries": self.queries,
            "points": self.points,
            "confidence": _packed(self.confidence),
            "correct": "".join("1" if right else "0" for right in self.correct),
            **({} if self.right_label is None else {_RIGHT_LABEL: _packed(self.right_label)}),
        }

    @classmethod
    def of_metadata(cls, data: Mapping[str, Any] | None, fingerprint: str) -> Self | None:
        """Rebuild a calibration. ``None`` if there is none, or it belongs to another encoder.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        if data is None or data["fingerprint"] != fingerprint:
            return None
        if data["format"] > _FORMAT:
            raise FormatVersionError(
                f"the index's calibration has format {data['format']}, this release reads up to {_FORMAT}; "
                "upgrade fg_search"
            )
        return cls(
            fingerprint=data["fingerprint"],
            relevant_by=data["relevant_by"],
            rank_by=data["rank_by"],
            min_confidence=data["min_confidence"],
            confidence_weight=data["confidence_weight"],
            calibrator=Calibrator.from_dict(data["calibrator"]),
            queries=data["queries"],
            points=data["points"],
            confidence=_unpacked(data["confidence"]),
            right_label=_unpacked(data[_RIGHT_LABEL]) if _RIGHT_LABEL in data else None,
            correct=np.array([right == "1" for right in data["correct"]], dtype=bool),
            **{name: data[name] for name in _OF_FAMILIARITY if name in data},
        )


def calibrate(
    features: Mapping[str, npt.NDArray[np.float64]],
    correct: npt.ArrayLike,
    *,
    right_label: npt.NDArray[np.float32] | None = None,
    seed: int,
    **about: Any,
) -> Calibration:
    """Fit a calibrator on a random half of the judged queries, and keep the other half for thresholds.

    Right and wrong results are halved separately. Thresholds chosen on queries that the calibrator was fitted on would
    promise too much.

    Args:
        features: ``(n,)`` floats by name, see :func:`fg_search.confidence.result_features`.
        correct: ``(n,)`` booleans, whether the top hit is right.
        right_label: ``(n,)`` float32 weight of each query's right label, if it is known.
        seed: Random seed of the split.
        about: Other attributes of the :class:`Calibration`.

    Raises:
        ValueError: If there are fewer than two right or two wrong results.
    """
    right = check_booleans(correct, name="correct")
    fewest = min(int(right.sum()), int((~right).sum()))
    if fewest < 2:
        raise ValueError(
            f"of {len(right)} judged results {int(right.sum())} are right; calibration needs at least 2 right and 2 "
            "wrong ones: add held-out queries, including some without an answer in the index"
        )
    rng = np.random.default_rng(seed)
    fitted = np.zeros(len(right), dtype=bool)
    for rows in (np.flatnonzero(right), np.flatnonzero(~right)):
        fitted[rng.permutation(rows)[: len(rows) // 2]] = True
    calibrator = Calibrator().fit({name: values[fitted] for name, values in features.items()}, right[fitted])
    kept = rng.permutation(np.flatnonzero(~fitted))[:_MAX_KEPT]
    return Calibration(
        calibrator=calibrator,
        queries=len(right),
        confidence=_rounded(calibrator, {name: values[kept] for name, values in features.items()}),
        correct=right[kept],
        right_label=None if right_label is None else right_label[kept],
        **about,
    )


def required(calibration: Calibration | None, options: SearchOptions, rank_by: RankBy, name: str) -> Calibration:
    """Return the calibration for a search with a target precision.

    Raises:
        NotCalibratedError: If there is none, or it holds for other searches.
    """
    if calibration is None:
        raise NotCalibratedError(
            f"{name} has no calibration, and no threshold is guessed: give target_precision after "
            "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
        )
    if not calibration.fits(options, rank_by):
        raise NotCalibratedError(
            f"{name} was calibrated for searches with {calibration.describe_search()}; search with these, or calibrate "
            "with the options of this search: index.calibrate(queries, relevant=…, rank_by=…)"
        )
    return calibration


def label_sets_required(calibration: Calibration, name: str) -> None:
    """Check that a calibration knows how probable right labels are.

    Raises:
        NotCalibratedError: If results were judged by id, or an earlier release calibrated.
    """
    if calibration.relevant_by != "label":
        raise NotCalibratedError(
            f"{name} was calibrated on right ids, and on_uncertain='clarify' asks for the right label; calibrate on "
            "right labels: index.calibrate(queries, relevant=labels, relevant_by='label')"
        )
    if calibration.right_label is None:
        raise NotCalibratedError(
            f"the calibration of {name} does not tell how probable right labels are, as on_uncertain='clarify' needs; "
            "calibrate again, with the encoder at hand: index.calibrate(held_out_queries, relevant=labels)"
        )


def _rounded(calibrator: Calibrator, features: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
    return calibrator.predict(features).astype(np.float32)


@lru_cache(maxsize=64)
def _threshold(calibration: Calibration, target: float, delta: float) -> PrecisionThreshold:
    return threshold_for_precision(calibration.confidence, calibration.correct, target, delta=delta)


@lru_cache(maxsize=64)
def _label_cutoff(calibration: Calibration, miss: float, threshold: float | None) -> LabelCutoff:
    if calibration.right_label is None:
        raise ValueError("this calibration does not tell how probable right labels are")
    counts = ~np.isnan(calibration.right_label)
    if threshold is not None:
        counts &= calibration.confidence < threshold
    return label_cutoff(calibration.confidence[counts].astype(np.float64) * calibration.right_label[counts], miss)


def _packed(values: npt.NDArray[np.float32]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
