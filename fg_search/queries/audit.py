"""Audit of the answers in the log: drawn at random, judged by people, and what that proves of a promised precision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any, Literal, get_args

from fg_search.confidence.precision_audit import PrecisionAudit, PrecisionBounds
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.engine.paging import pages
from fg_search.errors import DecisionConflictError, ItemNotFoundError, NotCalibratedError, NothingLoggedError
from fg_search.ids import UserId
from fg_search.index.audited_threshold import AuditedThreshold
from fg_search.index.calibration import Calibration
from fg_search.index.relevance import keep
from fg_search.index.state import IndexState
from fg_search.layout.history import new_token
from fg_search.layout.keys import HASH_KEY, LABEL_KEY, SET_ASIDE_KEY, TEXT_KEY
from fg_search.layout.points import features_of, id_of
from fg_search.queries.entries import Judgement, LoggedQuery, Verdict
from fg_search.queries.log import note_judgement, read_queries
from fg_search.review.decisions import check_reviewer, now
from fg_search.validation import check_count, is_number

JudgeAction = Literal["right", "wrong", "skip", "reopen"]
TARGET = 0.95

_FEWEST_JUDGED = 20  # before another threshold is chosen
_FEWEST_ABOVE = 10  # of them, from that threshold up
_PAGE = 1_000


@dataclass(frozen=True)
class AuditedAnswer:
    """An answer that the index gave: the best hit of a logged query.

    Attributes:
        query_id: Id of the query in the log.
        query: Text of the query.
        count: Number of times it was asked while all queries were logged, so that it stands for the traffic.
        item: User's id of the item that is the answer.
        label: Label of that item.
        text: Text of that item.
        confidence: Calibrated probability that it is right, in [0, 1].
        judgement: What somebody found it to be, ``None`` if nobody did.
        turn: Number of judgements about the query.
    """

    query_id: str
    query: str
    count: int
    item: UserId
    label: str | None
    text: str
    confidence: float
    judgement: Judgement | None
    turn: int


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
        """Whether the target is proved, with a confidence of 90 %."""
        return self.bounds.lower >= self.target

    @property
    def is_refuted(self) -> bool:
        """Whether the target is refuted, with a confidence of 90 %."""
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
                f"{found.upper:.1%}, each with a confidence of 90.0%; {self.target:.1%} is {said}"
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
    _check_target(target)
    check_count(limit, name="limit", least=0)
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
    _check_target(target)
    calibration = _calibration(state)
    threshold = calibration.threshold(target).threshold
    found = await read_queries(state, [answer.query_id])
    if not found:
        raise ItemNotFoundError(f"the log of {state.name} has no query {answer.query_id!r}; nothing was noted")
    judgement = None
    if action != "reopen":
        (current,) = await _answers(state, found) or (None,)
        if current is None or (current.item, current.label) != (answer.item, answer.label):
            raise _conflict(answer)
        given: Verdict = action
        judgement = Judgement(given, answer.item, answer.label, reviewer, now(), target, threshold or 0.0)
    values = None if judgement is None else vars(judgement)
    if not await note_judgement(state, answer.query_id, answer.turn, new_token(), values):
        raise _conflict(answer)
    entries = await _Log.read(state, calibration, seed)
    # what was taken back may have been why the threshold was raised
    before = _without(calibration, target) if judgement is None else calibration
    after = _raised(entries, before, target)
    is_other = after.audited != calibration.audited
    if is_other:
        after = await _keep(state, after, target)
    report = await _report(state, entries, after, target, limit)
    return replace(report, was_raised=is_other and after.audited != before.audited)


async def judged_answers(state: IndexState) -> list[AuditedAnswer]:
    """Answers that were judged right or wrong and are still the answers, the latest first."""
    judged = [query for query in await read_queries(state) if query.judgement is not None]
    known = [answer for answer in await _answers(state, judged) if _verdict(answer) in ("right", "wrong")]
    return sorted(known, key=lambda answer: answer.judgement.time if answer.judgement else "", reverse=True)


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
        answers = await _answers(state, given)
        judged = {query.id: query.judgement for query in queries if query.judgement is not None}
        counting = [answer for answer in answers if _verdict(answer) is not None]
        latest = max((answer for answer in answers if answer.judgement is not None), key=_time, default=None)
        answers.sort(key=lambda answer: _place(answer, seed))
        return cls(answers, len(judged) - len(counting), latest)

    def above(self, threshold: float) -> _Log:
        """Answers of at least this confidence. Their order is still a random one by weight."""
        return replace(self, answers=[answer for answer in self.answers if answer.confidence >= threshold])

    @property
    def told(self) -> Sequence[AuditedAnswer]:
        """All but those that were skipped."""
        return [answer for answer in self.answers if _verdict(answer) != "skip"]

    @property
    def judged(self) -> Sequence[AuditedAnswer]:
        """Those at the beginning that are judged, without a gap."""
        told = self.told
        first = next((i for i, answer in enumerate(told) if _verdict(answer) is None), len(told))
        return told[:first]

    def audit(self) -> PrecisionAudit:
        """What they prove."""
        total = sum(answer.count for answer in self.told)
        found = PrecisionAudit(total=total) if total else PrecisionAudit()
        for answer in self.judged:
            found.add(_verdict(answer) == "right", answer.count)
        return found


def _raised(entries: _Log, calibration: Calibration, target: float) -> Calibration:
    """The calibration with thresholds that the judged answers do not refute."""
    while (threshold := calibration.threshold(target).threshold) is not None:
        given = entries.above(threshold)
        found = given.audit()
        if not found.refutes(target) or (found.judged < _FEWEST_JUDGED and found.judged < len(given.told)):
            break
        higher = AuditedThreshold(target, _lowest_agreeing(given, threshold, target), found.judged, found.right)
        calibration = replace(calibration, audited=(*_without(calibration, target).audited, higher))
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


def _without(calibration: Calibration, target: float) -> Calibration:
    return replace(calibration, audited=tuple(one for one in calibration.audited if one.target != target))


async def _keep(state: IndexState, calibration: Calibration, target: float) -> Calibration:
    """Keep what was raised for a target with the index, beside what others have raised for other targets.

    Raises:
        ModelMismatchError: If the index has moved to another encoder.
        NotCalibratedError: If somebody has calibrated it meanwhile.
    """
    info = await state.engine.get_collection(state.collection)
    stored = Calibration.of_metadata(info.config.metadata, state.metadata.fingerprint)
    if stored is None or stored.key != calibration.key:
        raise NotCalibratedError(
            f"{state.name} was calibrated by somebody else in this very moment; the judgement is noted, but it is "
            "about the calibration before"
        )
    own = [one for one in calibration.audited if one.target == target]
    calibration = replace(stored, audited=(*_without(stored, target).audited, *own))
    await keep(state, calibration.audit_metadata())
    return state.handle.calibrated(calibration)


async def _report(state: IndexState, entries: _Log, calibration: Calibration, target: float, limit: int) -> AnswerAudit:
    threshold = calibration.threshold(target)
    given = entries.above(float("inf") if threshold.threshold is None else threshold.threshold)
    told, judged = given.told, given.judged
    open_answers = [answer for answer in told[len(judged) :] if _verdict(answer) is None][:limit]
    return AnswerAudit(
        target=target,
        threshold=threshold,
        bounds=given.audit().bounds,
        answers=len(given.answers),
        asked=sum(answer.count for answer in given.answers),
        skipped=len(given.answers) - len(told),
        waiting=sum(_verdict(answer) is not None for answer in told[len(judged) :]),
        outdated=entries.outdated,
        following=await _with_texts(state, open_answers),
        latest=None if entries.latest is None else (await _with_texts(state, [entries.latest]))[0],
    )


async def _answers(state: IndexState, queries: Sequence[LoggedQuery]) -> list[AuditedAnswer]:
    """Answers to queries, with the labels that their items have now. Those whose item is gone are left out."""
    given = [query for query in queries if query.nearest is not None and query.confidence is not None]
    points = {query.nearest.id: state.point_id(query.nearest.id) for query in given if query.nearest is not None}
    features = await _features(state, list(points.values()), [LABEL_KEY, SET_ASIDE_KEY])
    answers = []
    for query in given:
        assert query.nearest is not None and query.confidence is not None  # noqa: S101, PT018  looked at above
        found = features.get(points[query.nearest.id])
        if found is None or found.get("set_aside"):
            continue
        answers.append(
            AuditedAnswer(
                query_id=query.id,
                query=query.text,
                count=query.sampled,
                item=query.nearest.id,
                label=found.get("label"),
                text="",
                confidence=query.confidence,
                judgement=query.judgement,
                turn=query.judgement_turn,
            )
        )
    return answers


async def _with_texts(state: IndexState, answers: Sequence[AuditedAnswer]) -> tuple[AuditedAnswer, ...]:
    points = [state.point_id(answer.item) for answer in answers]
    features = await _features(state, points, [TEXT_KEY])
    return tuple(
        replace(answer, text=str(features.get(point, {}).get("text", "")))
        for answer, point in zip(answers, points, strict=True)
    )


async def _features(
    state: IndexState, points: Sequence[int | str], keys: Sequence[str]
) -> dict[int | str, dict[str, Any]]:
    """Our part of the payloads of points that are there."""
    found: dict[int | str, dict[str, Any]] = {}
    for page in pages(list(dict.fromkeys(points)), _PAGE):
        records = await state.engine.retrieve(
            state.collection, page, with_payload=[*keys, HASH_KEY], tenant=state.chosen_tenant
        )
        found |= {id_of(record): features_of(record) for record in records}
    return found


def _verdict(answer: AuditedAnswer) -> Verdict | None:
    """What this very answer was found to be."""
    judgement = answer.judgement
    return judgement.verdict if judgement is not None and judgement.is_about(answer.item, answer.label) else None


def _time(answer: AuditedAnswer) -> str:
    return "" if answer.judgement is None else answer.judgement.time


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


def _check_target(target: float) -> None:
    if not is_number(target) or not 0 < target < 1:
        raise ValueError(f"target_precision must be greater than 0 and less than 1, got {target!r}")
