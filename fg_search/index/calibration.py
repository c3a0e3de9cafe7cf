"""Calibration of an index: how sure results are, and which precision they keep, learned from judged queries."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.answer_model import AnswerEvidence
from fg_search.confidence.calibrator import Calibrator
from fg_search.confidence.group_promise import GroupPromise, GroupThresholds, JudgedGroups, PromiseBy
from fg_search.confidence.label_sets import LabelCutoff
from fg_search.confidence.outlook import Outlook, best_precision, outlook
from fg_search.confidence.promise import DELTA, Adaptation, PrecisionPromise
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.errors import FormatVersionError, NotCalibratedError
from fg_search.html_table import html_table
from fg_search.index.audited_threshold import AuditedThreshold, raised
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.layout.keys import ADAPTATION_KEY, AUDIT_KEY, CALIBRATION_KEY
from fg_search.model.learned_texts import LearnedTexts

RelevantBy = Literal["label", "id"]

TARGETS = (0.8, 0.9, 0.95, 0.99)
"""Target precisions that are usual."""
_WORTH_PROMISING = 0.5  # a promise of less would be one of more wrong answers than right ones
_FORMAT = 3
_OF_CALIBRATOR = 2  # format up to which a calibration was one calibrator, and the queries that it was not fitted on
_OF_FAMILIARITY = ("min_familiarity", "familiarity_weight")
_SAME = ("min_confidence", "confidence_weight", *_OF_FAMILIARITY)  # options that searches have to share with it


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """What judged queries tell of an index: how sure results are, and which precision can be promised.

    It holds for searches with the same ``rank_by``, ``min_confidence``, ``confidence_weight``, ``min_familiarity`` and
    ``familiarity_weight``.

    Attributes:
        fingerprint: Fingerprint of the encoder.
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        rank_by: Ranking of the hits.
        min_confidence: Points less confident than this were excluded.
        confidence_weight: Weight of the points' confidence in the order of the hits.
        promise: The promise of a precision.
        points: Number of points in the index at that time.
        min_familiarity: Points less familiar than this were excluded.
        familiarity_weight: Weight of the points' familiarity in the order of the hits.
        relevant_within: A result is right if one of its first ``relevant_within`` hits is.
        audited: Thresholds that judged answers have raised since.
        judged_texts: Hashes of the judged queries, at most 10,000 of them, so that evaluating on the same ones is
            noticed. ``None`` if an earlier release calibrated, or there were no texts.
    """

    fingerprint: str
    relevant_by: RelevantBy
    rank_by: RankBy
    min_confidence: float | None
    confidence_weight: float
    promise: PrecisionPromise = field(repr=False)
    points: int
    min_familiarity: float | None = None
    familiarity_weight: float = 0.0
    relevant_within: int = 1
    audited: tuple[AuditedThreshold, ...] = ()
    judged_texts: LearnedTexts | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        promised = next((each for target in TARGETS[::-1] if (each := self.threshold(target))), None)
        can = (
            f"no precision of {TARGETS[0]:.0%} or more can be promised"
            if promised is None
            else f"a precision of {promised.target:.0%} can be promised, answering {promised.coverage:.0%}"
        )
        return f"Calibration({self.judged_in_words}, judged by {self.relevant_by}: {can})"

    def _repr_html_(self) -> str:
        found = [self.threshold(target) for target in (0.9, 0.95, 0.99)]
        rows = [
            {
                "precision": f"{each.target:.0%}",
                "threshold": each.threshold,
                "coverage": each.coverage,
                "why": each.reason,
            }
            for each in found
        ]
        what = "items taken for queries" if self.pretended else "judged queries"
        return html_table(rows, title=f"{self.queries:,} {what}, judged by {self.relevant_by}; {self.share}")

    @property
    def judged_in_words(self) -> str:
        """What taught it, such as "120 queries"."""
        return f"{self.queries:,} {'items taken for queries' if self.pretended else 'queries'}"

    @property
    def queries(self) -> int:
        """Number of judged queries."""
        return self.promise.queries

    @property
    def pretended(self) -> bool:
        """Whether it is an estimate from the items themselves, taken for queries."""
        return self.promise.judged.pretended

    @property
    def share(self) -> UnanswerableShare:
        """Share of unanswerable queries for which precisions are promised."""
        return self.promise.share

    @property
    def shift(self) -> TrafficShift | None:
        """Whether the traffic that is followed differs in another way than by that share; ``None`` if not looked at."""
        return None if self.promise.adaptation is None else self.promise.adaptation.shift

    @property
    def followed_at(self) -> str | None:
        """When the share was estimated or stated, in ISO 8601; ``None`` if it is that of the judged queries."""
        return None if self.promise.adaptation is None else self.promise.adaptation.at

    @property
    def promise_by(self) -> PromiseBy | None:
        """Whether something is promised to each ``"label"`` or each ``"tenant"``; ``None`` if to all together."""
        groups = self.promise.groups
        return None if groups is None or groups.by == "group" else groups.by

    @cached_property
    def key(self) -> str:
        """Which calibration it is, by the evidence of its judged queries, whatever it follows."""
        return _digest(replace(self.promise, adaptation=None).to_dict())

    def threshold(
        self, target: float, delta: float = DELTA, *, group: str | None = None, tenant: str | None = None
    ) -> PrecisionThreshold:
        """Threshold of the confidence for a target precision; falsy, with a reason, if none can be promised.

        Judged answers may have raised it since, see :meth:`fg_search.ConfidenceIndex.judge_answer`.

        Args:
            target: Target precision, in (0, 1).
            delta: Allowed probability of missing the target, in [0.01, 1).
            group: A label of best hits, or a tenant, by which the index was calibrated: threshold of these queries
                alone. It is never below that of all. By default that of all queries together.
            tenant: Tenant that asks, so that what judged answers of this tenant have raised counts.

        Raises:
            ValueError: If a number is out of range, or there is a group and nothing is promised by group.
        """
        if group is not None:
            return self._by_group(target, delta, tenant).promise(group).threshold
        return raised(self.promise.threshold(target, delta), self._audited_of(tenant), self.promise.curve)

    def outlook(self, target: float, delta: float = DELTA) -> Outlook | None:
        """How many more judged queries a precision takes that cannot be promised, and what can be promised now.

        Args:
            target: Target precision, in (0, 1).
            delta: Allowed probability of missing the target, in [0.01, 1).

        Returns:
            What is in sight; ``None`` if the target can be promised as it is.
        """
        return outlook(self.promise, target, delta)

    @cached_property
    def best_precision(self) -> float | None:
        """Highest precision that can be promised now, rounded down to tenths of a percent; ``None`` for none."""
        return best_precision(self.promise)

    def groups(self, target: float, delta: float = DELTA) -> list[GroupPromise]:
        """What is promised to each label or tenant, the least precise one first.

        The target is promised to each of them by itself, not to all at once: of those that it is promised to, about a
        share ``delta`` may fall short.

        Raises:
            ValueError: If a number is not in (0, 1), or nothing is promised by label or tenant.
        """
        return self._by_group(target, delta, None).table()

    def _audited_of(self, tenant: str | None) -> list[AuditedThreshold]:
        """Raised thresholds that count for a tenant, for the traffic's present share of unanswerable queries."""
        return [one for one in self._audited_now if one.tenant is None or one.tenant == tenant]

    @cached_property
    def _audited_now(self) -> tuple[AuditedThreshold, ...]:
        return tuple(one.beside(self.promise.threshold(one.target).threshold) for one in self.audited)

    def _least_of_groups(self, target: float, delta: float) -> tuple[float, ...]:
        if (target, delta) not in self._known_least:
            found = sorted(self.groups(target, delta), key=lambda row: row.group)
            least = (row.threshold.threshold for row in found)
            self._known_least[target, delta] = tuple(np.inf if one is None else one for one in least)
        return self._known_least[target, delta]

    @cached_property
    def _known_least(self) -> dict[tuple[float, float], tuple[float, ...]]:
        return {}

    def _by_group(self, target: float, delta: float, tenant: str | None) -> GroupThresholds:
        audited = [one.threshold for one in self._audited_of(tenant) if one.target <= target]
        least = max((np.inf if one is None else one for one in audited), default=0.0)
        return self.promise.group_thresholds(self.threshold(target, delta, tenant=tenant), least=least)

    def group_of(self, label: str | None, tenant: str | None) -> str | None:
        """Group of a query, by the label of its best hit and by its tenant; ``None`` if it is in none."""
        return {"label": label, "tenant": tenant, None: None}[self.promise_by]

    def least(
        self, target: float, groups: Sequence[str | None], *, tenant: str | None = None
    ) -> npt.NDArray[np.float64]:
        """Lowest confidence to answer for each of ``n`` groups of queries, ``(n,)``; infinite where none is."""
        known = {group: self.threshold(target, group=group, tenant=tenant).threshold for group in set(groups)}
        return np.array([np.inf if (least := known[group]) is None else least for group in groups], dtype=np.float64)

    @property
    def tells_labels(self) -> bool:
        """Whether it tells which labels an uncertain query may be about."""
        return self.promise.judged.right_label is not None

    def label_cutoff(self, miss: float, threshold: PrecisionThreshold) -> LabelCutoff:
        """Least probability of the labels that an uncertain query may be about.

        Args:
            miss: Probability with which the right label may be missing, in (0, 1).
            threshold: Threshold below which queries are uncertain; all of them if there is none.
        """
        groups = self.promise.groups
        of_groups = None if groups is None else self._least_of_groups(threshold.target, threshold.delta)
        return self.promise.label_cutoff(miss, below=threshold.threshold, below_of_groups=of_groups)

    def evidence(self, features: Mapping[str, npt.NDArray[np.float64]]) -> AnswerEvidence:
        """What n results tell of whether their queries have an answer, and whether they are right if so."""
        return self.promise.model.evidence(features)

    def confidences(self, evidence: AnswerEvidence) -> npt.NDArray[np.float32]:
        """Probability that each of n results is right, ``(n,)`` float32, for the present share of unanswerable ones."""
        return self.promise.confidence_of(evidence)

    def adapted(
        self,
        features: Mapping[str, npt.NDArray[np.float64]] | None = None,
        *,
        counts: npt.NDArray[np.float64] | None = None,
        expected_unanswerable: float | None = None,
        at: datetime,
    ) -> Self:
        """The calibration for another share of unanswerable queries, see :meth:`PrecisionPromise.adapted`."""
        when = at.isoformat(timespec="seconds")
        promise = self.promise.adapted(features, counts=counts, expected_unanswerable=expected_unanswerable, at=when)
        return replace(self, promise=promise)

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
        """Metadata of a collection that keep the calibration, and what it follows, for :meth:`of_metadata`.

        What it follows has a key of its own, so that following the traffic overwrites no calibration of somebody else.
        """
        judged = replace(self.promise, adaptation=None).to_dict()
        names = ("fingerprint", "relevant_by", "rank_by", "points", "relevant_within", *_SAME)
        about = {name: getattr(self, name) for name in names}
        followed = self.promise.adaptation
        return {
            CALIBRATION_KEY: {"format": _FORMAT, **about, "promise": judged, **self._texts()},
            # nothing, where nothing is followed: a calibration on the same queries as before ends that, too
            ADAPTATION_KEY: None if followed is None else {"of": _digest(judged), **followed.to_dict()},
            **self.audit_metadata(),
        }

    def _texts(self) -> dict[str, str]:
        known = self.judged_texts
        return {} if known is None else {"texts": base64.b64encode(known.hashes.astype("<u8").tobytes()).decode()}

    def audit_metadata(self) -> dict[str, Any]:
        """The part of it that tells of raised thresholds, which nobody else can overwrite either."""
        return {AUDIT_KEY: {"of": self.key, "thresholds": [one.to_metadata() for one in self.audited]}}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any] | None, fingerprint: str) -> Self | None:
        """Rebuild a calibration from a collection's metadata. ``None`` if there is none, or of another encoder.

        Raises:
            FormatVersionError: If a newer release wrote it.
        """
        data = (metadata or {}).get(CALIBRATION_KEY)
        if data is None or data["fingerprint"] != fingerprint:
            return None
        if data["format"] > _FORMAT:
            raise FormatVersionError(
                f"the index's calibration has format {data['format']}, this release reads up to {_FORMAT}; "
                "upgrade fg_search"
            )
        names = ("fingerprint", "relevant_by", "rank_by", "points", "relevant_within", *_SAME)
        about = {name: data[name] for name in names if name in data}
        if data["format"] <= _OF_CALIBRATOR:
            found = cls(**about, promise=_of_calibrator(data))
        else:
            promise, followed = PrecisionPromise.from_dict(data["promise"]), (metadata or {}).get(ADAPTATION_KEY)
            if followed is not None and followed["of"] == _digest(data["promise"]):
                promise = replace(promise, adaptation=Adaptation.from_dict(followed))
            texts = data.get("texts")  # earlier releases did not keep them
            hashes = None if texts is None else np.frombuffer(base64.b64decode(texts), dtype="<u8").astype(np.uint64)
            found = cls(**about, promise=promise, judged_texts=None if hashes is None else LearnedTexts(hashes))
        audit = (metadata or {}).get(AUDIT_KEY)
        if audit is None or audit["of"] != found.key:
            return found
        return replace(found, audited=tuple(map(AuditedThreshold.of_metadata, audit["thresholds"])))


def calibrate(
    features: Mapping[str, npt.NDArray[np.float64]],
    correct: npt.ArrayLike,
    answerable: npt.ArrayLike,
    *,
    groups: JudgedGroups | None = None,
    right_label: npt.NDArray[np.float32] | None = None,
    pretended: bool = False,
    seed: int,
    **about: Any,
) -> Calibration:
    """Learn from judged queries.

    Args:
        features: ``(n,)`` floats by name, see :func:`fg_search.confidence.result_features`.
        correct: ``(n,)`` booleans, whether the result is right.
        answerable: ``(n,)`` booleans, whether the index has an answer.
        groups: Groups of the ``n`` queries, if something is to be promised to each.
        right_label: ``(n,)`` weights of the right labels, see :meth:`PrecisionPromise.learn`.
        pretended: Whether these are items taken for queries.
        seed: Random seed of the folds.
        about: Other attributes of the :class:`Calibration`.

    Raises:
        ValueError: If there are fewer than two right or two wrong results.
    """
    promise = PrecisionPromise.learn(
        features, correct, answerable, groups=groups, right_label=right_label, pretended=pretended, seed=seed
    )
    return Calibration(promise=promise, **about)


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


def check_label_sets(calibration: Calibration, name: str) -> None:
    """Check that a calibration tells which labels an uncertain query may be about.

    Raises:
        NotCalibratedError: If results were judged by id, or an earlier release calibrated.
    """
    if calibration.relevant_by != "label":
        raise NotCalibratedError(
            f"{name} was calibrated on right ids, and on_uncertain='clarify' asks for the right label; calibrate on "
            "right labels: index.calibrate(queries, relevant=labels, relevant_by='label')"
        )
    if not calibration.tells_labels:
        raise NotCalibratedError(
            f"the calibration of {name} does not tell how probable right labels are, as on_uncertain='clarify' needs; "
            "calibrate again, with the encoder at hand: index.calibrate(held_out_queries, relevant=labels)"
        )


def offered_thresholds(calibration: Calibration) -> list[PrecisionThreshold]:
    """Thresholds for :data:`TARGETS`; before them, if none of these can be promised, for the best that can be."""
    usual = [calibration.threshold(target) for target in TARGETS]
    best = calibration.best_precision
    if any(usual) or best is None or best < _WORTH_PROMISING:
        return usual
    return [calibration.threshold(best), *usual]


def _digest(judged: Mapping[str, Any]) -> str:
    """Which calibration it is, by the evidence of its judged queries."""
    content = json.dumps([judged[name] for name in ("evidence_answerable", "evidence_right", "correct", "answerable")])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _of_calibrator(data: Mapping[str, Any]) -> PrecisionPromise:
    return PrecisionPromise.of_calibrator(
        Calibrator.from_dict(data["calibrator"]),
        np.frombuffer(base64.b64decode(data["confidence"]), dtype="<f4"),
        [right == "1" for right in data["correct"]],
    )
