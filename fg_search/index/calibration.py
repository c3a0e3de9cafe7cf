"""Calibration of an index: how sure results are, and which are right often enough, learned from judged queries."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence import Calibrator, PrecisionThreshold, threshold_for_precision
from fg_search.errors import FormatVersionError, NotCalibratedError
from fg_search.index.audited_threshold import AuditedThreshold, raised
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.layout.keys import AUDIT_KEY, CALIBRATION_KEY
from fg_search.validation import check_booleans

RelevantBy = Literal["label", "id"]

_FORMAT = 2
_WITHOUT_FAMILIARITY = 1  # format where the familiarity of points does not count, which release 0.1 reads, too
_OF_FAMILIARITY = ("min_familiarity", "familiarity_weight")
_SAME = ("min_confidence", "confidence_weight", *_OF_FAMILIARITY)  # options that searches have to share with it
# judged queries kept for thresholds; more would not change these, and fill the collection's metadata
_MAX_KEPT = 20_000


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
        audited: Thresholds that judged answers have raised since.
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
    audited: tuple[AuditedThreshold, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of all that decides which confidence a result gets: what the encoder is called is no part of it."""
        data = {name: value for name, value in self.to_metadata().items() if name != "fingerprint"}
        return hashlib.sha256(json.dumps(_as_text(data), sort_keys=True).encode()).hexdigest()[:16]

    def threshold(self, target: float, delta: float = 0.1) -> PrecisionThreshold:
        """Threshold of the confidence for a target precision, see :func:`fg_search.threshold_for_precision`.

        Judged answers may have raised it since, see :meth:`fg_search.ConfidenceIndex.judge_answer`.
        """
        return raised(_threshold(self, target, delta), self.audited, self._answered)

    def _answered(self, threshold: float) -> tuple[float, float]:
        """Coverage and precision of the held-out queries from a threshold up."""
        above = self.confidence >= threshold
        return float(above.mean()), float(self.correct[above].mean()) if above.any() else float("nan")

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
            "confidence": base64.b64encode(self.confidence.astype("<f4").tobytes()).decode(),
            "correct": "".join("1" if right else "0" for right in self.correct),
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
            confidence=np.frombuffer(base64.b64decode(data["confidence"]), dtype="<f4").astype(np.float32),
            correct=np.array([right == "1" for right in data["correct"]], dtype=bool),
            **{name: data[name] for name in _OF_FAMILIARITY if name in data},
        )


def calibrate(
    features: Mapping[str, npt.NDArray[np.float64]], correct: npt.ArrayLike, *, seed: int, **about: Any
) -> Calibration:
    """Fit a calibrator on a random half of the judged queries, and keep the other half for thresholds.

    Right and wrong results are halved separately. Thresholds chosen on queries that the calibrator was fitted on would
    promise too much.

    Args:
        features: ``(n,)`` floats by name, see :func:`fg_search.confidence.result_features`.
        correct: ``(n,)`` booleans, whether the top hit is right.
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
        **about,
    )


def stored_calibration(metadata: Mapping[str, Any] | None, fingerprint: str) -> Calibration | None:
    """The calibration of a collection with this metadata, with the thresholds that judged answers have raised.

    ``None`` if there is none, or it belongs to another encoder.

    Raises:
        FormatVersionError: If a newer release wrote it.
    """
    known = metadata or {}
    calibration = Calibration.of_metadata(known.get(CALIBRATION_KEY), fingerprint)
    audit = known.get(AUDIT_KEY)
    if calibration is None or audit is None or audit["calibration"] != calibration.key:
        return calibration
    return replace(calibration, audited=tuple(map(AuditedThreshold.of_metadata, audit["thresholds"])))


def calibration_metadata(calibration: Calibration) -> dict[str, Any]:
    """Metadata of a collection from which :func:`stored_calibration` rebuilds a calibration."""
    return {CALIBRATION_KEY: calibration.to_metadata(), **audit_metadata(calibration)}


def audit_metadata(calibration: Calibration) -> dict[str, Any]:
    """The part of it that tells of raised thresholds. They hold for one calibration, and go with it."""
    thresholds = [one.to_metadata() for one in calibration.audited]
    return {AUDIT_KEY: {"calibration": calibration.key, "thresholds": thresholds}}


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


def _as_text(data: Any) -> Any:
    """JSON values with numbers as text, to nine digits: an engine may change the last ones."""
    if isinstance(data, Mapping):
        return {name: _as_text(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_as_text(value) for value in data]
    return f"{data:.9g}" if isinstance(data, (int, float)) else data


def _rounded(calibrator: Calibrator, features: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
    return calibrator.predict(features).astype(np.float32)


@lru_cache(maxsize=64)
def _threshold(calibration: Calibration, target: float, delta: float) -> PrecisionThreshold:
    return threshold_for_precision(calibration.confidence, calibration.correct, target, delta=delta)
