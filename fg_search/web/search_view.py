"""The Search view: a query, the decision on it, and the hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import ValidationError
from qdrant_client import models
from starlette.requests import Request
from starlette.responses import Response

from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.errors import NotCalibratedError
from fg_search.index.search_results import SearchResult
from fg_search.layout.conditions import equals
from fg_search.layout.keys import LABEL_KEY
from fg_search.queries.entries import Logging
from fg_search.web.calibration_report import TARGETS
from fg_search.web.parameters import MAX_OFFSET, MAX_QUERY, SearchRequest, problems
from fg_search.web.security import is_foreign
from fg_search.web.site import Site, link

_DEFAULT_TARGET = 0.9
_DOUBTFUL: dict[str, Literal["flag", "clarify"]] = {"show": "flag", "ask": "clarify"}
_FIELDS = (
    "limit",
    "offset",
    "min_confidence",
    "confidence_weight",
    "min_familiarity",
    "familiarity_weight",
    "target_precision",
    "min_query_confidence",
    "rank_by",
)


@dataclass(frozen=True)
class Found:
    """Outcome of a search.

    Attributes:
        result: The decision and the hits.
        threshold: Confidence that the result had to reach, if a target precision was set.
        is_checked: Whether the query set any requirement that the result could fail.
        notice: A note for the user on how the search was done.
    """

    result: SearchResult
    threshold: float | None
    is_checked: bool
    notice: str | None


def router(site: Site) -> APIRouter:
    """Route for the view. The URL holds all parameters of a search."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def search(request: Request) -> Response:
        thresholds = _thresholds(site)
        given = _given(request.query_params, _default_target(thresholds))
        asked, errors, found = None, [], None
        if given["q"].strip():
            try:
                asked = _request(given)
            except ValidationError as error:
                errors = problems(error)
        items = len(site.index)
        if asked is not None and items:
            # a repeated query is in the log already; one sent by another site is not a user's
            log: Logging | None = "none" if given["again"] or is_foreign(request.headers) else None
            found = _find(site, asked, given["label"], log)
        return site.page(
            request,
            "search.html",
            422 if errors else 200,
            given=given,
            asked=asked,
            errors=errors,
            found=found,
            items=items,
            thresholds=thresholds,
            can_ask=_can_ask(site),
            most=MAX_QUERY,
            pages=_pages(given, asked, found),
        )

    return routes


def _given(parameters: Mapping[str, str], target: str) -> dict[str, str]:
    """All form fields, empty by default except for the target precision."""
    empty = dict.fromkeys(("q", *_FIELDS, "doubtful", "label", "again"), "")
    return {**empty, "target_precision": target, **{name: parameters[name] for name in empty if name in parameters}}


def _request(given: Mapping[str, str]) -> SearchRequest:
    """The search that the form describes. Empty fields are left out, and minimums of 0 count as none."""
    chosen: dict[str, Any] = {name: given[name] for name in _FIELDS if given[name].strip()}
    request = SearchRequest(query=given["q"].strip(), **chosen)
    on_uncertain: Literal["flag", "abstain", "clarify"] = _DOUBTFUL.get(given["doubtful"], "abstain")
    if request.target_precision is None and (request.min_query_confidence is None or on_uncertain == "clarify"):
        on_uncertain = "flag"  # nothing is in doubt, or not known to be
    changes: dict[str, Any] = {
        "min_confidence": request.min_confidence or None,
        "min_familiarity": request.min_familiarity or None,
        "explain": True,
        "on_uncertain": on_uncertain,
    }
    if given["label"]:  # the user has said what is meant
        changes |= {"target_precision": None, "min_query_confidence": None, "on_uncertain": "flag"}
    return request.model_copy(update=changes)


def _find(site: Site, asked: SearchRequest, label: str, log: Logging | None) -> Found:
    """Search, among the items with a label if one was chosen; ``log`` overrides what the index logs."""
    calibration = site.index.calibration
    if label:
        chosen = models.Filter(must=[equals(LABEL_KEY, label)])
        result = site.search(asked.query, query_filter=chosen, log="none", **asked.options())
        return Found(result, None, False, f"Only items with the label {label}, which you chose.")
    try:
        result = site.search(asked.query, log=log, **asked.options())
    except NotCalibratedError:
        # the calibration does not cover these options: show the hits, and say that nothing is promised about them
        lenient = asked.model_copy(update={"target_precision": None, "on_uncertain": "flag"})
        result = site.search(lenient.query, log=log, **lenient.options())
        known = "not calibrated" if calibration is None else f"calibrated for {calibration.describe_search()}"
        notice = f"How often answers are right is not promised for these settings: the index is {known}."
        return Found(result, None, lenient.min_query_confidence is not None, notice)
    if calibration is None or asked.target_precision is None:
        return Found(result, None, asked.min_query_confidence is not None, None)
    return Found(result, result.threshold, True, None)


def _can_ask(site: Site) -> bool:
    """Whether the calibration tells which labels an uncertain query may be about."""
    calibration = site.index.calibration
    return calibration is not None and calibration.tells_labels


def _thresholds(site: Site) -> list[PrecisionThreshold]:
    calibration = site.index.calibration
    return [] if calibration is None else [calibration.threshold(target) for target in TARGETS]


def _default_target(thresholds: list[PrecisionThreshold]) -> str:
    """The strictest target up to the default that the index can promise, as a form value."""
    reached = [threshold.target for threshold in thresholds if threshold and threshold.target <= _DEFAULT_TARGET]
    return f"{max(reached):g}" if reached else ""


def _pages(given: Mapping[str, str], asked: SearchRequest | None, found: Found | None) -> dict[str, Any]:
    """URLs of the previous and the next page, of the same search with uncertain hits shown, and of each choice."""
    if asked is None or found is None:
        return {"before": None, "after": None, "anyway": None, "choices": []}
    after, before = asked.offset + asked.limit, asked.offset - asked.limit
    has_more = len(found.result.hits) == asked.limit and after <= MAX_OFFSET
    return {
        "before": _again(given, offset=max(before, 0) or "") if asked.offset else None,
        "after": _again(given, offset=after) if has_more else None,
        "anyway": _again(given, offset="", doubtful="show", again=1) if found.result.uncertain else None,
        "choices": [_again(given, offset="", label=choice.label, again=1) for choice in found.result.choices],
    }


def _again(given: Mapping[str, str], **changed: Any) -> str:
    # keep an empty target in the URL: it means that the user chose none
    target = "" if given["target_precision"] else "&target_precision="
    return link("/", **{**given, **changed}) + target
