"""The Audit view: one answer of the log at a time, judged by a single key, and what that proves."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import APIRouter, HTTPException
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.errors import DecisionConflictError, NotCalibratedError, NothingLoggedError
from fg_search.index.calibration import RelevantBy
from fg_search.index.evaluation import TARGETS
from fg_search.queries.audit import TARGET, AnswerAudit
from fg_search.queries.audited_answers import AuditedAnswer
from fg_search.web.parameters import JudgementRequest, problems
from fg_search.web.site import FormFields, Site, link


def router(site: Site) -> APIRouter:
    """Routes for the view and its form."""
    routes = APIRouter(include_in_schema=False)

    def show(request: Request, target: float, conflict: str | None = None) -> Response:
        found, missing = _audit(site, target)
        return site.page(
            request,
            "audit.html",
            409 if conflict else 200,
            audit=found,
            answer=found.following[0] if found is not None and found.following else None,
            missing=missing,
            target=target,
            targets=sorted({*TARGETS, target}),
            conflict=conflict,
            raised="raised" in request.query_params,
            seen=_seen,
        )

    @routes.get("/audit")
    def audit(request: Request) -> Response:
        return show(request, _target(site, request.query_params.get("target")))

    @routes.get("/audit/answers.jsonl")
    def answers() -> Response:
        calibration = site.index.calibration
        column: RelevantBy = "label" if calibration is None else calibration.relevant_by
        rows = (json.dumps(answer.judged_row(column), ensure_ascii=False) for answer in site.index.judged_answers())
        headers = {"Content-Disposition": 'attachment; filename="answers.jsonl"'}
        return Response("".join(f"{row}\n" for row in rows), media_type="application/jsonl", headers=headers)

    @routes.post("/audit/judge")
    def judge(request: Request, fields: FormFields) -> Response:
        asked = _request(fields)
        try:
            found = site.judge_answer(_answer(asked), asked.action, asked.target)
        except DecisionConflictError as error:
            return show(request, asked.target, str(error))
        address = link("/audit", target=f"{asked.target:g}", raised="1" if found.was_raised else None)
        return RedirectResponse(address + "#item", 303)

    return routes


def _audit(site: Site, target: float) -> tuple[AnswerAudit | None, str | None]:
    """The audit, or a message that says what it lacks."""
    try:
        return site.index.audit(target_precision=target), None
    except (NotCalibratedError, NothingLoggedError) as error:
        return None, str(error)


def _target(site: Site, given: str | None) -> float:
    """The target that is asked for; by default the strictest up to 95 % that the index promises."""
    if given:
        try:
            target = float(given)
        except ValueError:
            target = 0.0
        if 0 < target < 1:
            return target
        raise HTTPException(422, "target: a number between 0 and 1 is expected")
    calibration = site.index.calibration
    kept = (
        []
        if calibration is None
        else [target for target in TARGETS if target <= TARGET and calibration.threshold(target)]
    )
    return max(kept, default=TARGET)


def _seen(answer: AuditedAnswer) -> dict[str, str]:
    """Hidden form fields that record what the reviewer saw, so that a judgement of something else is refused."""
    # as JSON, because forms normalise line ends, and ids are numbers or texts
    return {
        "query_id": answer.query_id,
        "item": json.dumps(answer.item),
        "label": json.dumps(answer.label),
        "turn": str(answer.turn),
    }


def _request(fields: Mapping[str, str]) -> JudgementRequest:
    try:
        given = {**fields, **{name: json.loads(fields.get(name, "")) for name in ("item", "label")}}
    except ValueError as error:
        raise HTTPException(422, "item and label are expected as JSON") from error
    try:
        return JudgementRequest.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error


def _answer(asked: JudgementRequest) -> AuditedAnswer:
    return AuditedAnswer(
        query_id=asked.query_id,
        query="this query",
        count=0,
        item=asked.item,
        label=asked.label,
        text="",
        confidence=0.0,
        judgement=None,
        turn=asked.turn,
    )
