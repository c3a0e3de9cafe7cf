"""History of an index's quality: what was calibrated and measured, when and by whom, and how good the index was then.

The entries are in the metadata of the collection, each under a key of its own, so that nobody overwrites another's. One
about a calibration is written in one request with the calibration. They go where the calibration goes: into copies and
snapshots; and they stay when the index gets another encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Literal
from uuid import uuid4

from typing_extensions import Self

from fg_search.evaluation import (
    ReachedPrecision,
    SelectiveReport,
    aurc,
    auroc,
    brier_score,
    expected_calibration_error,
)
from fg_search.index.audited_threshold import AuditedThreshold
from fg_search.index.calibration import TARGETS, Calibration, RelevantBy
from fg_search.index.search_options import RankBy
from fg_search.index.state import IndexState
from fg_search.layout.keys import QUALITY_KEY
from fg_search.layout.logs import now

QualityAction = Literal["calibrate", "adapt", "raise", "evaluate"]

_MOST = 40  # entries of each action; beyond, the oldest go


@dataclass(frozen=True)
class KeptPrecision:
    """What a target precision took, and gave.

    Attributes:
        target: Target precision.
        threshold: Lowest confidence to answer; ``None`` if the target could not be promised.
        coverage: Share of the queries that were answered, in [0, 1].
        precision: Share of right answers among them, ``None`` if there were none.
    """

    target: float
    threshold: float | None
    coverage: float
    precision: float | None


@dataclass(frozen=True)
class QualityEntry:
    """An entry of the history of an index's quality. The judged queries themselves are not kept.

    Attributes:
        id: What tells it from others.
        action: ``"calibrate"``; ``"adapt"``, of which the latest a day is kept; ``"raise"``: judged answers have
            refuted a promise, and its threshold is higher since; or ``"evaluate"``.
        time: When, in ISO 8601.
        reviewer: By whom.
        fingerprint: Fingerprint of the encoder that the index had.
        points: Number of items then.
        queries: Number of judged queries; of ``"adapt"`` those that the share was estimated from, of ``"raise"`` the
            judged answers.
        pretended: Whether these were items taken for queries.
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        rank_by: Ranking of the hits.
        tenant: Tenant whose answers were measured or judged, ``None`` for all, or without tenants.
        recall_at_1: Share of the queries with an answer whose result is right.
        unanswerable_share: Share of the queries without an answer, ``None`` if it is not known.
        auroc: How well confidence tells right from wrong results, ``None`` where nothing was measured.
        aurc: Area under the risk-coverage curve; lower is better.
        ece: Expected calibration error of the confidence, ``None`` without a calibration.
        brier: Brier score of the confidence, ``None`` without a calibration.
        precisions: What target precisions took and gave.
    """

    id: str
    action: QualityAction
    time: str
    reviewer: str
    fingerprint: str
    points: int
    queries: int
    pretended: bool
    relevant_by: RelevantBy
    rank_by: RankBy
    tenant: str | None
    recall_at_1: float | None
    unanswerable_share: float | None
    auroc: float | None
    aurc: float | None
    ece: float | None
    brier: float | None
    precisions: tuple[KeptPrecision, ...]

    @classmethod
    def of_calibration(cls, calibration: Calibration, reviewer: str) -> Self:
        """A calibration, measured on its judged queries, each by a model that was fitted without it."""
        judged = calibration.promise.judged
        confidence, correct = calibration.promise.judged_confidence(), judged.correct
        return cls(
            id=uuid4().hex,
            action="calibrate",
            queries=calibration.queries,
            recall_at_1=_number(correct[judged.answerable].mean()),
            auroc=_number(auroc(confidence, correct)),
            aurc=_number(aurc(confidence, correct)),
            ece=_number(expected_calibration_error(confidence, correct)),
            brier=_number(brier_score(confidence, correct)),
            tenant=None,
            **_about(calibration, reviewer),
        )

    @classmethod
    def of_adaptation(cls, calibration: Calibration, reviewer: str) -> Self:
        """A calibration that has followed the traffic."""
        time = now()
        return cls(
            id=f"{calibration.key[:16]}-{time[:10]}",
            action="adapt",
            queries=calibration.share.queries,
            tenant=None,
            **_UNMEASURED,
            **_about(calibration, reviewer),
        )

    @classmethod
    def of_raised(cls, calibration: Calibration, raised: AuditedThreshold, reviewer: str) -> Self:
        """A threshold that judged answers have raised."""
        return cls(
            id=uuid4().hex,
            action="raise",
            queries=raised.judged,
            tenant=raised.tenant,
            **_UNMEASURED,
            **_about(calibration, reviewer),
        )

    @classmethod
    def of_evaluation(
        cls,
        report: SelectiveReport,
        precisions: Sequence[ReachedPrecision],
        reviewer: str,
        *,
        relevant_by: RelevantBy,
        ece: float | None,
        brier: float | None,
        fingerprint: str,
        points: int,
        rank_by: RankBy,
        tenant: str | None,
    ) -> Self:
        """An evaluation: the report on the confidence, if the index is calibrated, otherwise on the score."""
        return cls(
            id=uuid4().hex,
            action="evaluate",
            time=now(),
            reviewer=reviewer,
            fingerprint=fingerprint,
            points=points,
            queries=report.queries,
            pretended=False,
            relevant_by=relevant_by,
            rank_by=rank_by,
            tenant=tenant,
            recall_at_1=_number(report.recall_at_1),
            unanswerable_share=1 - report.in_scope / report.queries,
            auroc=_number(report.auroc),
            aurc=_number(report.aurc),
            ece=_number(ece),
            brier=_number(brier),
            precisions=tuple(
                KeptPrecision(each.target, each.threshold, each.coverage, _number(each.precision))
                for each in precisions
            ),
        )

    @classmethod
    def of_metadata(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from :meth:`to_metadata`."""
        names = set(cls.__dataclass_fields__) - {"precisions"}
        # the engine drops what is null, and a later release may have noted more
        kept = tuple(
            KeptPrecision(**{name: each.get(name) for name in KeptPrecision.__dataclass_fields__})
            for each in data["precisions"]
        )
        values: dict[str, Any] = {name: data.get(name) for name in names}
        return cls(**values, precisions=kept)

    def to_metadata(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def _entries_in(metadata: Mapping[str, Any] | None) -> list[QualityEntry]:
    """Entries in a collection's metadata, the oldest first."""
    found = [QualityEntry.of_metadata(value) for value in kept_in(metadata).values()]
    return sorted(found, key=lambda entry: (entry.time, entry.id))


def kept_in(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part of a collection's metadata that holds the history."""
    return {key: value for key, value in (metadata or {}).items() if key.startswith(f"{QUALITY_KEY}:")}


async def noted(state: IndexState, entry: QualityEntry) -> dict[str, Any]:
    """Metadata that add an entry, and remove the oldest ones if there are too many."""
    info = await state.engine.get_collection(state.collection)
    others = [one for one in _entries_in(info.config.metadata) if one.action == entry.action and one.id != entry.id]
    surplus = others[: max(0, len(others) + 1 - _MOST)]
    return {**{_key(one): None for one in surplus}, _key(entry): entry.to_metadata()}


async def history(state: IndexState) -> list[QualityEntry]:
    """The history, see :meth:`fg_search.ConfidenceIndex.history`."""
    info = await state.engine.get_collection(state.collection)
    chosen = state.chosen_tenant
    return [one for one in _entries_in(info.config.metadata) if chosen is None or one.tenant in (None, chosen)]


def _key(entry: QualityEntry) -> str:
    return f"{QUALITY_KEY}:{entry.id}"


_UNMEASURED: dict[str, Any] = dict.fromkeys(("recall_at_1", "auroc", "aurc", "ece", "brier"))


def _about(calibration: Calibration, reviewer: str) -> dict[str, Any]:
    thresholds = [calibration.threshold(target) for target in TARGETS]
    return {
        "time": now(),
        "reviewer": reviewer,
        "fingerprint": calibration.fingerprint,
        "points": calibration.points,
        "pretended": calibration.pretended,
        "relevant_by": calibration.relevant_by,
        "rank_by": calibration.rank_by,
        "unanswerable_share": calibration.share.value,
        "precisions": tuple(
            KeptPrecision(each.target, each.threshold, each.coverage, _number(each.precision)) for each in thresholds
        ),
    }


def _number(value: Any) -> float | None:
    """A number for JSON, ``None`` where there is none."""
    return None if value is None or isnan(value) else float(value)
