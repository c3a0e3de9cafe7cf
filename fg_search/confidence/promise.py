"""The promise of a precision: learned from judged queries, kept for the traffic's share of unanswerable ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.answer_model import AnswerEvidence, AnswerModel
from fg_search.confidence.calibrator import Calibrator
from fg_search.confidence.group_bounds import GroupBounds, group_bounds, group_offsets
from fg_search.confidence.group_promise import GroupThresholds, JudgedGroups
from fg_search.confidence.label_sets import LabelCutoff, label_cutoff
from fg_search.confidence.likelihood_ratio import LikelihoodRatio
from fg_search.confidence.precision_curve import JudgedEvidence, PrecisionCurve, Traffic, confidence_at, precision_curve
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.confidence.traffic_shift import JudgedFeatures, TrafficShift, traffic_shift
from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.errors import FormatVersionError
from fg_search.validation import check_booleans, check_inner_fraction, is_number

Features = Mapping[str, npt.NDArray[np.float64]]

FEWEST_UNANSWERABLE = 5
"""Number of judged queries without an answer from which they are told from the others."""
FEWEST_QUERIES = 30
"""Number of unjudged queries from which the share of unanswerable ones is estimated."""
DELTA = 0.1
"""Probability with which the precision may fall below the target, unless said otherwise."""
LEAST_DELTA = 0.01
"""Smallest such probability: bounds are taken from some hundreds of draws, which tell nothing of rarer events."""

PRETENDED = "an estimate from the items themselves, taken for queries: judge some hundreds of real ones to be sure"

_FORMAT = 1
_MAX_JUDGED = 10_000  # judged queries that bounds are taken from; more would hardly narrow them
_MAX_TRAFFIC = 5_000  # likewise, of unjudged queries


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What a promise follows: another share of unanswerable queries than among the judged ones.

    Attributes:
        curve: What can be promised for that share, with the usual ``delta`` of .1.
        traffic: The unjudged queries that the share was estimated from; ``None`` if it was stated.
        shift: Whether these queries differ in another way as well; ``None`` if that was not looked at.
        at: When they were looked at, or the share was stated, in ISO 8601; ``None`` if that is not known.
    """

    curve: PrecisionCurve
    traffic: Traffic | None
    shift: TrafficShift | None = None
    at: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        traffic = self.traffic
        return {
            "curve": self.curve.to_dict(),
            "traffic": None if traffic is None else [_packed(traffic.answerable), _packed(traffic.counts)],
            "shift": None if self.shift is None else self.shift.to_dict(),
            "at": self.at,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild an adaptation from :meth:`to_dict`."""
        traffic = None if data["traffic"] is None else Traffic(*map(_unpacked, data["traffic"]))
        shift = None if data.get("shift") is None else TrafficShift.from_dict(data["shift"])
        return cls(PrecisionCurve.from_dict(data["curve"]), traffic, shift, data.get("at"))


@dataclass(frozen=True, eq=False)
class PrecisionPromise:
    """How sure results are, and at which confidence answers keep a precision.

    Attributes:
        model: Model of the evidence in a result.
        ratio: How much more often evidence is seen of unanswerable queries; ``None`` if too few were judged.
        judged: Evidence of judged queries, at most 10,000 of them.
        queries: Number of judged queries.
        judged_curve: What can be promised for the share of unanswerable queries among the judged ones, with the usual
            ``delta`` of .1.
        adaptation: The share that is followed in its place, if there is one.
        judged_features: Features of judged queries to compare the traffic with; ``None`` if they were not kept, as by
            earlier releases, or are those of items.
        groups: Groups of the judged queries in ``judged``, if something is promised to each.
    """

    model: AnswerModel
    ratio: LikelihoodRatio | None
    judged: JudgedEvidence
    queries: int
    judged_curve: PrecisionCurve
    adaptation: Adaptation | None = None
    judged_features: JudgedFeatures | None = None
    groups: JudgedGroups | None = None

    @classmethod
    def learn(
        cls,
        features: Features,
        correct: npt.ArrayLike,
        answerable: npt.ArrayLike,
        *,
        groups: JudgedGroups | None = None,
        right_label: npt.ArrayLike | None = None,
        pretended: bool = False,
        seed: int = 0,
    ) -> Self:
        """Learn from judged queries.

        All of them teach, and all of them bound the precision: the evidence of each is judged by a model fitted without
        it.

        Args:
            features: ``(n,)`` floats by name, as in :meth:`Calibrator.fit`.
            correct: ``(n,)`` booleans, whether the result is right.
            answerable: ``(n,)`` booleans, whether there is an answer at all; true where ``correct`` is. With fewer than
                five unanswerable queries, these count as answered wrongly.
            groups: Groups of the ``n`` queries, if something is to be promised to each.
            right_label: ``(n,)`` weight of each query's right label relative to the most probable one, in [0, 1], NaN
                where there is none, for :meth:`label_cutoff`.
            pretended: Whether these are no queries of users, but items taken for queries.
            seed: Random seed of the folds.

        Raises:
            ValueError: If lengths differ, an unanswerable query is answered rightly, or there are fewer than two right
                or two wrong results.
        """
        right, with_answer = check_booleans(correct, name="correct"), check_booleans(answerable, name="answerable")
        _check(right, with_answer)
        if (~with_answer).sum() < FEWEST_UNANSWERABLE:
            with_answer = np.ones(len(right), dtype=bool)
        evidence = AnswerModel.cross_fit(features, right, with_answer, seed=seed)
        ratio = None
        if not with_answer.all():
            ratio = LikelihoodRatio.fit(evidence.answerable[with_answer], evidence.answerable[~with_answer])
        kept = np.random.default_rng(seed).permutation(len(right))[:_MAX_JUDGED]
        of_label = None if right_label is None else np.asarray(right_label, dtype=np.float64)[kept]
        judged = JudgedEvidence(evidence[kept].rounded(), right[kept], with_answer[kept], pretended, of_label)
        model = AnswerModel.fit(features, right, with_answer)
        looked = None  # users' queries differ from items in any case
        if not pretended:
            looked = JudgedFeatures.of({name: features[name][kept] for name in features}, judged.answerable)
        return cls(
            model,
            ratio,
            judged,
            len(right),
            precision_curve(judged, ratio, delta=DELTA),
            judged_features=looked,
            groups=None if groups is None else groups[kept],
        )

    @classmethod
    def of_calibrator(cls, calibrator: Calibrator, confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Self:
        """The promise of a calibrator, by ``(n,)`` confidences of judged queries that it was not fitted on."""
        right = check_booleans(correct, name="correct")
        sure = np.asarray(confidence, dtype=np.float64)
        judged = JudgedEvidence(AnswerEvidence(np.zeros(len(sure)), sure), right, np.ones(len(right), dtype=bool))
        model = AnswerModel.of_calibrator(calibrator)
        return cls(model, None, judged, len(right), precision_curve(judged, None, delta=DELTA))

    @property
    def curve(self) -> PrecisionCurve:
        """What can be promised, with the usual ``delta`` of .1."""
        return self.judged_curve if self.adaptation is None else self.adaptation.curve

    @property
    def share(self) -> UnanswerableShare:
        """Share of unanswerable queries for which the promise is made."""
        return self.curve.share

    @property
    def _share(self) -> float:
        return self.share.value or 0.0  # an unknown share counts nowhere

    def adapted(
        self,
        features: Features | None = None,
        *,
        counts: npt.NDArray[np.float64] | None = None,
        expected_unanswerable: float | None = None,
        at: str | None = None,
    ) -> Self:
        """The promise for traffic with another share of unanswerable queries.

        Args:
            features: Features of ``m`` unjudged queries' results; the share is estimated from them.
            counts: ``(m,)`` number of times that each was asked; by default once.
            expected_unanswerable: The share, in [0, 1), if it is known.
            at: When that is, in ISO 8601; it is kept.

        Raises:
            ValueError: If both or neither are given, or there are too few queries.
        """
        if (features is None) == (expected_unanswerable is None):
            raise ValueError("give either queries or expected_unanswerable")
        if self.ratio is None and self.judged_features is None and not self.judged.pretended:
            raise ValueError(
                "an earlier release calibrated, and did not keep which of the judged queries have no answer; calibrate "
                "again"
            )
        if self.ratio is None:
            raise ValueError(
                f"fewer than {FEWEST_UNANSWERABLE} of the judged queries have no answer, so that it is not known what "
                "such queries look like; calibrate on queries that include more of them"
            )
        if features is None:
            share = expected_unanswerable
            if not is_number(share) or not 0 <= share < 1:  # type: ignore[operator]  # checked
                raise ValueError(f"expected_unanswerable must be at least 0 and less than 1, got {share!r}")
            curve = precision_curve(self.judged, self.ratio, stated=float(share), delta=DELTA)  # type: ignore[arg-type]
            return replace(self, adaptation=Adaptation(curve, None, at=at))
        evidence = self.model.evidence(features).rounded().answerable
        if len(evidence) < FEWEST_QUERIES:
            raise ValueError(
                f"{len(evidence)} different queries are too few to estimate the share of those without an answer; give "
                f"at least {FEWEST_QUERIES}, or state it: expected_unanswerable=0.2"
            )
        if np.ptp(evidence) == 0:
            raise ValueError(
                f"the {len(evidence)} queries are all alike, which tells nothing of a share; give different ones, each "
                "once, and how often it was asked in counts"
            )
        looked, traffic = _sampled(features, evidence, counts)
        curve = precision_curve(self.judged, self.ratio, traffic=traffic, delta=DELTA)
        judged, shift = self.judged_features, None
        if judged is not None:
            shift = self._shift(judged, looked, traffic)
        return replace(self, adaptation=Adaptation(curve, traffic, shift, at))

    def shift(self, features: Features, *, counts: npt.NDArray[np.float64] | None = None) -> TrafficShift:
        """Whether traffic differs from the judged queries in another way than by its share of unanswerable ones.

        Args:
            features: Features of ``m`` unjudged queries' results.
            counts: ``(m,)`` number of times that each was asked; by default once.

        Raises:
            ValueError: If there are too few queries, or no queries were judged, or nothing was kept of them.
        """
        if self.judged.pretended:
            raise ValueError(
                "the index was calibrated on its own items, which users' queries differ from in any case; calibrate on "
                "judged queries"
            )
        if self.judged_features is None:
            raise ValueError(
                "an earlier release calibrated, and kept nothing of the judged queries to compare others with; "
                "calibrate again"
            )
        evidence = self.model.evidence(features).rounded().answerable
        if len(evidence) < FEWEST_QUERIES:
            raise ValueError(
                f"{len(evidence)} different queries are too few to compare with those judged; give at least "
                f"{FEWEST_QUERIES}"
            )
        return self._shift(self.judged_features, *_sampled(features, evidence, counts))

    def _shift(self, judged: JudgedFeatures, features: Features, traffic: Traffic) -> TrafficShift:
        return traffic_shift(
            judged,
            self.judged.evidence.answerable[judged.rows],
            self.judged.answerable[judged.rows],
            features,
            traffic.answerable,
            traffic.counts,
        )

    def judged_confidence(self) -> npt.NDArray[np.float32]:
        """Confidence of the judged queries by models fitted without them, for their own share of unanswerable ones."""
        return confidence_at(self.judged.share, self.judged.evidence, self.ratio)

    def confidence(self, features: Features) -> npt.NDArray[np.float32]:
        """Probability that each of n results is right, ``(n,)`` float32, for the traffic's share of unanswerable ones.

        Raises:
            ValueError: If a feature is missing or a number is not finite.
        """
        return self.confidence_of(self.model.evidence(features))

    def confidence_of(self, evidence: AnswerEvidence) -> npt.NDArray[np.float32]:
        """The same by the evidence in n results."""
        return confidence_at(self._share, evidence, self.ratio)

    def threshold(self, target_precision: float, delta: float = DELTA) -> PrecisionThreshold:
        """The lowest confidence at which answers reach a precision; falsy, with a reason, if there is none.

        Raises:
            ValueError: If the target is not in (0, 1), or ``delta`` not in [0.01, 1).
        """
        check_inner_fraction(target_precision, name="target_precision")
        if not is_number(delta) or not LEAST_DELTA <= delta < 1:
            raise ValueError(f"delta must be at least {LEAST_DELTA} and less than 1, got {delta!r}")
        return self._marked(self._curve(delta).threshold(target_precision))

    def group_thresholds(self, pooled: PrecisionThreshold, *, least: float = 0.0) -> GroupThresholds:
        """Thresholds of the groups, none of them below the one of all queries together, or below ``least``.

        Each group is promised the target by itself, not all at once: of those that are promised it, about a share
        ``delta`` may fall short, see :func:`fg_search.confidence.group_bounds.group_bounds`.

        Raises:
            ValueError: If the judged queries have no groups.
        """
        if self.groups is None:
            raise ValueError("nothing is promised by label or tenant; calibrate with promise_by='label' or 'tenant'")
        bounds = self._usual_bounds if pooled.delta == DELTA else self._bounds(pooled.delta)
        return GroupThresholds(self.groups, bounds, pooled, least)

    @cached_property
    def _usual_bounds(self) -> GroupBounds:
        return self._bounds(DELTA)

    def _bounds(self, delta: float) -> GroupBounds:
        assert self.groups is not None  # noqa: S101  looked at by the caller
        share, rows = self._share, np.flatnonzero(self.groups.codes >= 0)
        judged, codes = self.judged[rows], self.groups.codes[rows]
        # an offset in log odds is the same for any share of unanswerable queries, so it is learned where it was judged
        before = self.judged_confidence()[rows].astype(np.float64)
        offsets = group_offsets(before, judged.correct, codes, len(self.groups.names) + 1)
        weights = np.ones(len(rows))
        if self.ratio is not None:
            others = self.judged.share
            weights = np.where(judged.answerable, (1 - share) / (1 - others), share / others)
        now = confidence_at(share, judged.evidence, self.ratio).astype(np.float64)
        return group_bounds(offsets, now, judged.correct, weights, codes, self.curve.thresholds, delta)

    def _curve(self, delta: float) -> PrecisionCurve:
        if delta == self.curve.delta:
            return self.curve
        stated = self.share.value if self.share.source == "stated" else None
        traffic = None if self.adaptation is None else self.adaptation.traffic
        return precision_curve(self.judged, self.ratio, stated=stated, traffic=traffic, delta=delta)

    def label_cutoff(
        self, miss: float, *, below: float | None = None, below_of_groups: tuple[float, ...] | None = None
    ) -> LabelCutoff:
        """Least probability of the labels that a query may be about, see :func:`label_cutoff`.

        The probability of a label is the confidence of the result times the label's relative weight. The cutoff is
        chosen on the uncertain queries among those judged, so that its promise is about queries that are uncertain.

        Args:
            miss: Probability with which the right label of a query that has one may be missing, in (0, 1).
            below: Confidence below which queries are uncertain; by default all are.
            below_of_groups: The same for each of the groups of judged queries, in their order.

        Raises:
            ValueError: If ``miss`` is out of range, or nothing is known of labels.
        """
        if self.judged.right_label is None:
            raise ValueError(
                "how probable the right labels of the judged queries are is not known; learn from right_label"
            )
        return _label_cutoff(self, miss, below, below_of_groups)

    def _marked(self, threshold: PrecisionThreshold) -> PrecisionThreshold:
        if not self.judged.pretended:
            return threshold
        return replace(threshold, reason=f"{threshold.reason}; {PRETENDED}")

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        right_label = self.judged.right_label
        return {
            "format": _FORMAT,
            "model": self.model.to_dict(),
            "ratio": None if self.ratio is None else self.ratio.to_dict(),
            "evidence_answerable": _packed(self.judged.evidence.answerable),
            "evidence_right": _packed(self.judged.evidence.right),
            "correct": _bits(self.judged.correct),
            "answerable": _bits(self.judged.answerable),
            "right_label": None if right_label is None else _packed(right_label),
            "pretended": self.judged.pretended,
            "queries": self.queries,
            "curve": self.judged_curve.to_dict(),
            "adaptation": None if self.adaptation is None else self.adaptation.to_dict(),
            "judged_features": None if self.judged_features is None else self.judged_features.to_dict(),
            **({} if self.groups is None else {"groups": self.groups.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a promise from :meth:`to_dict`.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        if data["format"] > _FORMAT:
            raise FormatVersionError(
                f"the promise has format {data['format']}, this release reads up to {_FORMAT}; upgrade fg_search"
            )
        evidence = AnswerEvidence(_unpacked(data["evidence_answerable"]), _unpacked(data["evidence_right"]))
        answerable, features = _unbits(data["answerable"]), data.get("judged_features")
        right_label = data.get("right_label")  # there is none of judgments by id
        return cls(
            model=AnswerModel.from_dict(data["model"]),
            ratio=None if data["ratio"] is None else LikelihoodRatio.from_dict(data["ratio"]),
            judged=JudgedEvidence(
                evidence,
                _unbits(data["correct"]),
                answerable,
                data.get("pretended", False),
                None if right_label is None else _unpacked(right_label),
            ),
            queries=data["queries"],
            judged_curve=PrecisionCurve.from_dict(data["curve"]),
            adaptation=None if data["adaptation"] is None else Adaptation.from_dict(data["adaptation"]),
            judged_features=None if features is None else JudgedFeatures.from_dict(features, answerable),
            groups=None if data.get("groups") is None else JudgedGroups.from_dict(data["groups"]),
        )


def _sampled(
    features: Features, evidence: npt.NDArray[np.float64], counts: npt.NDArray[np.float64] | None
) -> tuple[Features, Traffic]:
    """Features and evidence of the queries that the traffic is judged by."""
    kept = np.random.default_rng(0).permutation(len(evidence))[:_MAX_TRAFFIC]
    asked = np.ones(len(kept)) if counts is None else np.asarray(counts, dtype=np.float64)[kept]
    return {name: values[kept] for name, values in features.items()}, Traffic(evidence[kept], asked)


@lru_cache(maxsize=64)
def _label_cutoff(
    promise: PrecisionPromise, miss: float, below: float | None, below_of_groups: tuple[float, ...] | None
) -> LabelCutoff:
    judged = promise.judged
    weights = np.full(len(judged), np.nan) if judged.right_label is None else judged.right_label
    confidence = confidence_at(promise._share, judged.evidence, promise.ratio)
    counts = ~np.isnan(weights)
    least = np.full(len(judged), np.inf if below is None else below)
    if below_of_groups is not None and promise.groups is not None:
        grouped = promise.groups.codes >= 0
        least[grouped] = np.array(below_of_groups)[promise.groups.codes[grouped]]
    counts &= confidence < least
    return label_cutoff(confidence[counts].astype(np.float64) * weights[counts], miss)


def _check(right: npt.NDArray[np.bool_], with_answer: npt.NDArray[np.bool_]) -> None:
    if right.shape != with_answer.shape:
        raise ValueError(f"correct has {len(right)} queries, answerable has {len(with_answer)}")
    if (right & ~with_answer).any():
        raise ValueError(f"correct[{int((right & ~with_answer).argmax())}] is true, but the query has no answer")
    if min(int(right.sum()), int((~right).sum())) < 2:
        raise ValueError(
            f"of {len(right)} judged results {int(right.sum())} are right; calibration needs at least 2 right and 2 "
            "wrong ones: add held-out queries, including some without an answer in the index"
        )


def _packed(values: npt.NDArray[np.float64]) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> npt.NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


def _bits(values: npt.NDArray[np.bool_]) -> str:
    return "".join("1" if value else "0" for value in values)


def _unbits(text: str) -> npt.NDArray[np.bool_]:
    return np.array([value == "1" for value in text], dtype=bool)
