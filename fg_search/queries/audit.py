"""Audit of the answers in the log: drawn at random, judged by people, and what that proves of a promised precision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any, Literal, get_args

from fg_search.confidence.precision_audit import PrecisionAudit, PrecisionBounds
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.errors import DecisionConflictError, ItemNotFoundError, NotCalibratedError, NothingLoggedError
from fg_search.index.audited_threshold import AuditedThreshold
from fg_search.index.calibration import Calibration
from fg_search.index.following import followed
from fg_search.index.quality_history import QualityEntry, noted
from fg_search.index.relevance import keep, kept_calibration
from fg_search.index.state import IndexState
from fg_search.layout.history import new_token
from fg_search.layout.logs import now
from fg_search.queries.audited_answers import AuditedAnswer, answers_of, with_texts
from fg_search.queries.entries import Judgement, Verdict
from fg_search.queries.log import note_judgement, read_queries
from fg_search.review.decisions import check_reviewer
from fg_search.validation import check_count, check_inner_fraction

JudgeAction = Literal["right", "wrong", "skip", "reopen"]
TARGET = 0.95

_FEWEST_JUDGED = 20  # before another threshold is chosen
_FEWEST_ABOVE = 10  # of them, from that threshold up


@dataclass(frozen=True)
class AnswerAudit:
    """What judged answers prove of the precision that an index promises.

    Attributes:
        target: The promised precision.
        threshold: Lowest confidence to answer, which judged answers may have raised.
        bounds: What is known of the precision of the answers in the log, weighted by how often they were given.
        answers: Number of different queries in the log that are answered.
        asked: Number of times they were asked.
        skipped: Number of them that a judge could not tell. They are left out.
        waiting: Number of judged ones that do not count yet: queries that came into the log since have to be judged
            before.
        outdated: Number of judgements that do not count any more: the query has another answer now, or none.
        following: Answers to judge next.
        latest: Answer that was judged last, ``None`` if none was.
        was_raised: Whether the judgement just made has raised the threshold.
    """

    target: float
    threshold: PrecisionThreshold
    bounds: PrecisionBounds
    answers: int
    asked: int
    skipped: int
    waiting: int
    outdated: int
    following: tuple[AuditedAnswer, ...]
    latest: AuditedAnswer | None
    was_raised: bool = False

    @property
    def is_proved(self) -> bool:
        """Whether the target is proved, with a certainty of 90 %."""
        return self.bounds.lower >= self.target

    @property
    def is_refuted(self) -> bool:
        """Whether the target is refuted, with a certainty of 90 %."""
        return self.bounds.upper < self.target

    def __str__(self) -> str:
        found, parts = self.bounds, []
        if self.threshold.threshold is None:
            parts.append(f"nothing is answered at a precision of {self.target:.1%}: {self.threshold.reason}")
        elif not found.judged:
            parts.append(f"no answer was judged yet, of {self.answers:,} in the log")
        else:
            refuted = f"refuted, and a higher threshold is chosen from {_FEWEST_JUDGED} judged answers on"
            said = "proved" if self.is_proved else refuted if self.is_refuted else "neither proved nor refuted yet"
            parts.append(
                f"{found.right} of {found.judged} judged answers are right: the precision is {found.lower:.1%} to "
                f"{found.upper:.1%}, each with a certainty of 90.0%; {self.target:.1%} is {said}"
            )
        if self.was_raised and self.threshold.threshold is not None:
            parts.append(f"the promise was broken, and the threshold is higher now: {self.threshold.reason}")
        if self.outdated:
            parts.append(f"{self.outdated} judgements do not count any more, as the answers have changed")
        if self.waiting:
            parts.append(f"{self.waiting} judgements count once new queries before them are judged")
        if self.skipped:
            parts.append(f"{self.skipped} answers were skipped and are left out")
        return "; ".join(parts)


async def audit(state: IndexState, target: float, limit: int, seed: int) -> AnswerAudit:
    """Say what is proved, and which answers to judge next, see :meth:`fg_search.ConfidenceIndex.audit`."""
    check_inner_fraction(target, name="target_precision")
    check_count(limit, name="limit", least=0)
    state = await followed(state)
    calibration = _calibration(state)
    return await _report(state, await _Log.read(state, calibration, seed), calibration, target, limit)


async def judge_answer(
    state: IndexState, answer: AuditedAnswer, action: JudgeAction, reviewer: str, target: float, limit: int, seed: int
) -> AnswerAudit:
    """Note a judgement, and raise the threshold if the promise is refuted.

    Raises:
        ItemNotFoundError: If the query is not in the log any more.
        DecisionConflictError: If the answer has changed, or somebody else has judged it.
    """
    if action not in get_args(JudgeAction):
        raise ValueError(f"action must be one of {', '.join(map(repr, get_args(JudgeAction)))}, got {action!r}")
    check_reviewer(reviewer)
    check_inner_fraction(target, name="target_precision")
    state = await followed(state)
    calibration, tenant = _calibration(state), state.chosen_tenant
    threshold = calibration.threshold(target, tenant=tenant).threshold
    found = await read_queries(state, [answer.query_id])
    if not found:
        raise ItemNotFoundError(f"the log of {state.name} has no query {answer.query_id!r}; nothing was noted")
    judgement = None
    if action != "reopen":
        if found[0].calibration != calibration.key:
            raise DecisionConflictError(
                f"{state.name} was calibrated again since the answer to {answer.query!r} was given, so that it tells "
                "nothing of the present promise; nothing was noted"
            )
        (current,) = await answers_of(state, found) or (None,)
        if current is None or (current.item, current.label) != (answer.item, answer.label):
            raise _conflict(answer)
        given: Verdict = action
        judgement = Judgement(given, answer.item, answer.label, reviewer, now(), target, threshold or 0.0)
    values = None if judgement is None else vars(judgement)
    if not await note_judgement(state, answer.query_id, answer.turn, new_token(), values):
        raise _conflict(answer)
    entries = await _Log.read(state, calibration, seed)
    # what was taken back may have been why the threshold was raised
    before = _without(calibration, target, tenant) if judgement is None else calibration
    after = _raised(entries, before, target, tenant)
    is_other = after.audited != calibration.audited
    if is_other:
        after = await _keep(state, after, target, reviewer)
    report = await _report(state, entries, after, target, limit)
    return replace(report, was_raised=is_other and after.audited != before.audited)


@dataclass(frozen=True)
class _Log:
    """The answers in the log in the order of judging, and what is judged but is no answer any more.

    The order is a random one in which each next query is drawn in proportion to how often it was asked (Efraimidis &
    Spirakis, 2006). It depends on the seed and the query alone, so that nothing has to be noted of what was drawn.
    """

    answers: Sequence[AuditedAnswer]
    outdated: int
    latest: AuditedAnswer | None

    @classmethod
    async def read(cls, state: IndexState, calibration: Calibration, seed: int) -> _Log:
        queries = await read_queries(state)
        given = [
            query for query in queries if query.sampled and query.calibration == calibration.key and not query.was_added
        ]
        if not given:
            raise NothingLoggedError(
                f"the log of {state.name} has no answer of its present calibration to judge; log all queries for a "
                "while: index.log_queries('all'), `fg-search serve --log-all` or `fg-search search --log-all`"
            )
        answers = await answers_of(state, given)
        judged = {query.id: query.judgement for query in queries if query.judgement is not None}
        counting = [answer for answer in answers if answer.verdict is not None]
        latest = max(
            (answer for answer in answers if answer.judgement is not None),
            key=lambda answer: answer.judged_at,
            default=None,
        )
        answers.sort(key=lambda answer: _place(answer, seed))
        return cls(answers, len(judged) - len(counting), latest)

    def given(self, calibration: Calibration, target: float, tenant: str | None) -> _Log:
        """Those that are answers at a target precision."""
        groups = [calibration.group_of(answer.label, tenant) for answer in self.answers]
        least = calibration.least(target, groups, tenant=tenant).tolist()
        answers = [answer for answer, lowest in zip(self.answers, least, strict=True) if answer.confidence >= lowest]
        return replace(self, answers=answers)

    def above(self, threshold: float) -> _Log:
        """Answers of at least this confidence. Their order is still a random one by weight."""
        return replace(self, answers=[answer for answer in self.answers if answer.confidence >= threshold])

    @property
    def told(self) -> Sequence[AuditedAnswer]:
        """All but those that were skipped."""
        return [answer for answer in self.answers if answer.verdict != "skip"]

    @property
    def judged(self) -> Sequence[AuditedAnswer]:
        """Those at the beginning that are judged, without a gap."""
        told = self.told
        first = next((i for i, answer in enumerate(told) if answer.verdict is None), len(told))
        return told[:first]

    def audit(self) -> PrecisionAudit:
        """What they prove."""
        total = sum(answer.count for answer in self.told)
        found = PrecisionAudit(total=total) if total else PrecisionAudit()
        for answer in self.judged:
            found.add(answer.verdict == "right", answer.count)
        return found


def _raised(entries: _Log, calibration: Calibration, target: float, tenant: str | None) -> Calibration:
    """The calibration with thresholds that the judged answers do not refute."""
    calibrated = calibration.promise.threshold(target).threshold
    while (threshold := calibration.threshold(target, tenant=tenant).threshold) is not None and calibrated is not None:
        given = entries.given(calibration, target, tenant)
        found = given.audit()
        if not found.refutes(target) or (found.judged < _FEWEST_JUDGED and found.judged < len(given.told)):
            break
        higher = AuditedThreshold(
            target, _lowest_agreeing(given, threshold, target), calibrated, found.judged, found.right, tenant
        )
        calibration = replace(calibration, audited=(*_without(calibration, target, tenant).audited, higher))
    return calibration


def _lowest_agreeing(entries: _Log, above: float, target: float) -> float | None:
    """Lowest confidence from which the judged answers reach the target. ``None`` if too few or none do."""
    judged = entries.judged
    for confidence in sorted({answer.confidence for answer in judged if answer.confidence > above}):
        found = entries.above(confidence).audit()
        if found.judged < _FEWEST_ABOVE:
            return None
        if found.estimate >= target and not found.refutes(target):
            return confidence
    return None


def _without(calibration: Calibration, target: float, tenant: str | None) -> Calibration:
    others = (one for one in calibration.audited if (one.target, one.tenant) != (target, tenant))
    return replace(calibration, audited=tuple(others))


async def _keep(state: IndexState, calibration: Calibration, target: float, reviewer: str) -> Calibration:
    """Keep what was raised for a target with the index, beside what others have raised for other targets.

    Raises:
        ModelMismatchError: If the index has moved to another encoder.
        NotCalibratedError: If somebody has calibrated it meanwhile.
    """
    stored = await kept_calibration(state)
    if stored is None or stored.key != calibration.key:
        raise NotCalibratedError(
            f"{state.name} was calibrated by somebody else in this very moment; the judgement is noted, but it is "
            "about the calibration before"
        )
    tenant = state.chosen_tenant
    own = [one for one in calibration.audited if (one.target, one.tenant) == (target, tenant)]
    calibration = replace(stored, audited=(*_without(stored, target, tenant).audited, *own))
    notes: dict[str, Any] = {}
    for one in own:
        notes |= await noted(state, QualityEntry.of_raised(calibration, one, reviewer))
    await keep(state, {**calibration.audit_metadata(), **notes})
    return state.handle.calibrated(calibration)


async def _report(state: IndexState, entries: _Log, calibration: Calibration, target: float, limit: int) -> AnswerAudit:
    threshold = calibration.threshold(target, tenant=state.chosen_tenant)
    given = entries.given(calibration, target, state.chosen_tenant)
    told, judged = given.told, given.judged
    open_answers = [answer for answer in told[len(judged) :] if answer.verdict is None][:limit]
    return AnswerAudit(
        target=target,
        threshold=threshold,
        bounds=given.audit().bounds,
        answers=len(given.answers),
        asked=sum(answer.count for answer in given.answers),
        skipped=len(given.answers) - len(told),
        waiting=sum(answer.verdict is not None for answer in told[len(judged) :]),
        outdated=entries.outdated,
        following=await with_texts(state, open_answers),
        latest=None if entries.latest is None else (await with_texts(state, [entries.latest]))[0],
    )


def _place(answer: AuditedAnswer, seed: int) -> tuple[float, str]:
    drawn = hashlib.blake2b(f"{seed}:{answer.query_id}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(drawn, "big") + 0.5) / 2**64
    return -log(uniform) / answer.count, answer.query_id


def _calibration(state: IndexState) -> Calibration:
    if state.calibration is None:
        raise NotCalibratedError(
            f"{state.name} has no calibration, and promises nothing that could be audited; give it one first: "
            "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
        )
    if state.calibration.relevant_within > 1:
        raise NotCalibratedError(
            f"{state.name} was calibrated for the first {state.calibration.relevant_within} hits, and the log has the "
            "first alone, so that nobody can judge the others; calibrate with relevant_within=1"
        )
    return state.calibration


def _conflict(answer: AuditedAnswer) -> DecisionConflictError:
    return DecisionConflictError(
        f"the answer to {answer.query!r} has changed since it was shown, or somebody else has judged it; nothing was "
        "noted"
    )
