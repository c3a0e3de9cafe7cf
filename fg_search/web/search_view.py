"""The Search view: a query, the decision on it, and the hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import ValidationError
from qdrant_client import models
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.errors import NotCalibratedError
from fg_search.index.calibration import offered_thresholds
from fg_search.index.search_results import SearchResult
from fg_search.layout.conditions import equals
from fg_search.layout.keys import LABEL_KEY
from fg_search.queries.entries import Logging
from fg_search.web.facets import Facet, facets_of
from fg_search.web.item_filter import search_filter
from fg_search.web.parameters import MAX_CONDITION, MAX_OFFSET, MAX_QUERY, SearchRequest, problems
from fg_search.web.security import is_foreign
from fg_search.web.site import Site, link

TYPING = "Fg-Typing"
"""Header of a search for what is being typed: the answer alone is sent, and nothing is logged or counted."""

_DEFAULT_TARGET = 0.9
_EVEN = 0.5  # chance to be right below which an answer is more likely wrong
_PATIENCE = 0.5  # seconds to wait for the values that are offered to filter by
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
        threshold: Chance to be right that the result had to reach, if a target precision was set.
        is_checked: Whether the query set any requirement that the result could fail.
        doubt: Why the page doubts a result that the index, of which no precision was asked, does not.
        notices: Notes for the user on how the search was done.
    """

    result: SearchResult
    threshold: float | None
    is_checked: bool
    notices: Sequence[str]
    doubt: str | None = None


@dataclass(frozen=True)
class _Conditions:
    """Conditions on the payload.

    Attributes:
        query_filter: Their filter, ``None`` for no conditions.
        told: What is to be told about those that no item can meet.
    """

    query_filter: models.Filter | None
    told: Sequence[str]


def router(site: Site) -> APIRouter:
    """Route for the view. The URL holds all parameters of a search."""
    routes = APIRouter(include_in_schema=False)
    facets = facets_of(site.index, site.tenant)

    @routes.get("/")
    def search(request: Request) -> Response:
        thresholds = _thresholds(site)
        given = _given(request.query_params, _default_target(thresholds))
        is_typing = TYPING in request.headers
        asked, errors, found = None, [], None
        if given["q"].strip():
            try:
                asked = _request(given)
                chosen, told = search_filter(site.index, asked.where)
            except ValidationError as error:
                errors = problems(error)
            except ValueError as error:
                asked, errors = None, [str(error)]
        items = len(site.index)
        if asked is not None and items:
            # a repeated query is in the log already; one sent by another site is not a user's, half of one no query
            log: Logging | None = "none" if is_typing or given["again"] or is_foreign(request.headers) else None
            search = site.index.search if is_typing else site.search
            found = _find(site, partial(search, log=log), asked, given, _Conditions(chosen, told))
            if found.doubt is not None and log is None and not asked.offset:
                site.keep_unanswered(asked.query, found.doubt)
        return site.page(
            request,
            "found.html" if is_typing else "search.html",
            422 if errors else 200,
            given=given,
            asked=asked,
            errors=errors,
            found=found,
            items=items,
            thresholds=_with_asked(site, thresholds, asked),
            can_ask=_can_ask(site),
            most=MAX_QUERY,
            pages=_pages(given, asked, found),
            in_force=[
                (one, _filtered(given, [kept for kept in given["where"] if kept != one])) for one in given["where"]
            ],
            offered=[(facet.key, _chips(given, facet)) for facet in facets.get(_PATIENCE) or []],
            longest_condition=MAX_CONDITION,
        )

    return routes


def _given(parameters: QueryParams, target: str) -> dict[str, Any]:
    """All form fields, empty by default except for the target precision."""
    empty = dict.fromkeys(("q", *_FIELDS, "doubtful", "label", "again"), "")
    where = list(dict.fromkeys(one.strip() for one in parameters.getlist("where") if one.strip()))
    named = {name: parameters[name] for name in empty if name in parameters}
    return {**empty, "target_precision": target, **named, "where": where}


def _request(given: Mapping[str, Any]) -> SearchRequest:
    """The search that the form describes. Empty fields are left out, and minimums of 0 count as none."""
    chosen: dict[str, Any] = {name: given[name] for name in _FIELDS if given[name].strip()}
    request = SearchRequest(query=given["q"].strip(), where=given["where"], **chosen)
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


def _find(
    site: Site,
    search: Callable[..., SearchResult],
    asked: SearchRequest,
    given: Mapping[str, Any],
    conditions: _Conditions,
) -> Found:
    """Search, among the items that meet the conditions, and have the label if one was chosen."""
    label, told = given["label"], conditions.told
    search = partial(search, query_filter=conditions.query_filter)
    if label:
        chosen = models.Filter(must=[equals(LABEL_KEY, label), *filter(None, [conditions.query_filter])])
        result = search(asked.query, **asked.options() | {"query_filter": chosen, "log": "none"})
        return Found(result, None, False, [f"Only items with the label {label}, which you chose.", *told])
    try:
        result = search(asked.query, **asked.options())
    except NotCalibratedError:
        # the calibration does not cover these options: show the hits, and say that nothing is promised about them
        asked = asked.model_copy(update={"target_precision": None, "on_uncertain": "flag"})
        result = search(asked.query, **asked.options())
        calibration = site.index.calibration
        known = "not calibrated" if calibration is None else f"calibrated for {calibration.describe_search()}"
        told = [f"How often answers are right is not promised for these settings: the index is {known}.", *told]
    if asked.target_precision is not None:
        return Found(result, result.threshold, True, told)
    doubt = _doubt(result)
    if doubt is not None:
        result = replace(result, uncertain=True, reason=f"{doubt}; {result.reason}")
    if result.uncertain and given["doubtful"] != "show":
        result = replace(result, hits=(), decision="abstain")
    return Found(result, None, asked.min_query_confidence is not None, told, doubt)


def _doubt(result: SearchResult) -> str | None:
    """Why an answer that nothing is promised about is doubtful all the same, ``None`` if it is not, or known to be."""
    if result.uncertain or not result.hits or result.confidence is None or result.confidence >= _EVEN:
        return None
    return f"more likely wrong than right: chance {result.confidence:.2f}"


def _chips(given: Mapping[str, Any], facet: Facet) -> list[tuple[str, str]]:
    """Values of a facet that are not in force, each with the address where it is, in place of another one."""
    ours = {f"{facet.key}={value}": value for value in facet.values}
    others = [one for one in given["where"] if one not in ours]
    return [(value, _filtered(given, [*others, one])) for one, value in ours.items() if one not in given["where"]]


def _filtered(given: Mapping[str, Any], where: Sequence[str]) -> str:
    """Address of the same search under other conditions, which is not logged once more."""
    return _again(given, offset="", where=where, again=1 if given["q"] else "")


def _can_ask(site: Site) -> bool:
    """Whether the calibration tells which labels an uncertain query may be about."""
    calibration = site.index.calibration
    return calibration is not None and calibration.tells_labels


def _thresholds(site: Site) -> list[PrecisionThreshold]:
    calibration = site.index.calibration
    return [] if calibration is None else offered_thresholds(calibration)


def _with_asked(
    site: Site, thresholds: list[PrecisionThreshold], asked: SearchRequest | None
) -> list[PrecisionThreshold]:
    """Thresholds to choose from, among which is that of a kept address, which may be none of those offered."""
    calibration, target = site.index.calibration, None if asked is None else asked.target_precision
    if calibration is None or target is None or any(threshold.target == target for threshold in thresholds):
        return thresholds
    return sorted([*thresholds, calibration.threshold(target)], key=lambda threshold: threshold.target)


def _default_target(thresholds: list[PrecisionThreshold]) -> str:
    """The strictest target up to the default that the index can promise, as a form value."""
    reached = [threshold.target for threshold in thresholds if threshold and threshold.target <= _DEFAULT_TARGET]
    return f"{max(reached):g}" if reached else ""


def _pages(given: Mapping[str, Any], asked: SearchRequest | None, found: Found | None) -> dict[str, Any]:
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


def _again(given: Mapping[str, Any], **changed: Any) -> str:
    # keep an empty target in the URL: it means that the user chose none
    target = "" if given["target_precision"] else "&target_precision="
    return link("/", **{**given, **changed}) + target
