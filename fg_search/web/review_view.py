"""The Review view: one item at a time, decided with a single key; every decision can be undone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import models
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import DecisionConflictError, EmptyIndexError, FgSearchError
from fg_search.ids import UserId, point_id
from fg_search.review.decisions import ReviewDecision
from fg_search.review.issues.reasons import LIKELY_WRONG, too_few_reason
from fg_search.review.items import Kind, ReviewItem
from fg_search.web.parameters import MAX_LABEL, DecisionRequest, ItemId, ReviewRequest, UndoRequest, problems
from fg_search.web.reviewers_view import midnight
from fg_search.web.site import FormFields, Site, link

LISTED = 100  # items fetched
KINDS: dict[Kind, str] = {kind: kind.capitalize() for kind in get_args(Kind)}

SCORES: dict[str, str] = {  # of those lists whose score is not the confidence
    "contradicted": "Label wrong",
    "conflicting": "Conflict",
    "duplicate": "Alike",
    "outlier": "Distance",
    "unfamiliar": "Unfamiliar",
    "unread": "Unread",
}

_LABELS = 1000  # labels offered for completion
_SHOWN = 3  # neighbours on each side, and labels with a key of their own
_NEAR = 0.75  # share of the nearest neighbour's similarity that a neighbour needs for its label to get a key
_RECENT = 5  # decisions shown
_UPCOMING = 6  # items shown after the current one
_AT_MOST = ("conflicting", "duplicate")  # kinds of which some that are counted may be settled
_DIGITS = 6
_ITEM_ID: TypeAdapter[UserId] = TypeAdapter(ItemId)
_SUGGESTED: TypeAdapter[str] = TypeAdapter(str)
_Request = TypeVar("_Request", bound=BaseModel)


@dataclass(frozen=True)
class Progress:
    """Progress of the review.

    Attributes:
        today: Number of decisions made today that are in effect.
        by_reviewer: The same by the name of the reviewer, whoever made most first.
        recent: The latest decisions in effect, newest first.
        own: The latest decision in effect of whoever looks, of today or among the latest of all; ``None`` for none.
    """

    today: int
    by_reviewer: Mapping[str, int]
    recent: Sequence[ReviewDecision]
    own: ReviewDecision | None

    @classmethod
    def of(cls, index: ConfidenceIndex, reviewer: str, *, is_blind: bool) -> Progress:
        """Read the progress from the decision log.

        Args:
            index: The index.
            reviewer: Who looks.
            is_blind: Whether nobody else's decisions may be shown.
        """
        today = index.decisions(standing=True, since=midnight())
        latest = index.decisions(standing=True, limit=_RECENT)
        own = [entry for entry in today if entry.reviewer == reviewer]
        own = own or [entry for entry in latest if entry.reviewer == reviewer]
        return cls(
            len(today),
            dict(Counter(entry.reviewer for entry in today).most_common()),
            (own[-_RECENT:] if is_blind else latest)[::-1],
            own[-1] if own else None,
        )


def router(site: Site) -> APIRouter:
    """Routes for the view and its forms."""
    routes = APIRouter(include_in_schema=False)

    show = partial(_show, site)

    @routes.get("/review")
    def review(request: Request) -> Response:
        return show(request, request.query_params)

    @routes.post("/review/decide")
    def decide(request: Request, fields: FormFields) -> Response:
        try:
            asked = _decision(fields)
            if asked.action == "delete" and "confirmed" not in fields:
                return _question(site, request, fields, asked)
            site.decide(asked)
        except DecisionConflictError as error:
            return show(request, {**_list_of(fields), **_place(fields)}, error)
        return _back(fields, skip=fields.get("skip"))

    @routes.post("/review/undo")
    def undo(request: Request, fields: FormFields) -> Response:
        number = _checked(UndoRequest, {"number": fields.get("number")}).number
        if number is None:
            raise HTTPException(422, "number: that of the decision is expected")
        other = None if "confirmed" in fields else _of_somebody_else(site, number, fields)
        if other is not None:
            item, back = next(iter(site.index.items([other.id])), None), link("/review", **_list_of(fields))
            return site.page(request, "review_undo.html", decision=other, item=item, fields=fields, back=back)
        try:
            taken_back = site.undo(number)
        except DecisionConflictError as error:
            return show(request, _list_of(fields), error)
        return _back(fields, item=json.dumps(taken_back.id), undone=1)

    return routes


def _show(
    site: Site, request: Request, wanted: Mapping[str, str], conflict: DecisionConflictError | None = None
) -> Response:
    """The page of a list, at one of its items."""
    asked = _listing(wanted)
    items, problem = _queue(site, asked)
    position = _position(items, wanted.get("item"), wanted.get("skip"))
    item = _with_evidence(site, items[position]) if items else None
    return site.page(
        request,
        "review.html",
        409 if problem or conflict else 200,
        kinds=KINDS,
        asked=asked,
        where=_where(asked.model_dump()),
        is_filtered=asked != ReviewRequest(kind=asked.kind),
        item=item,
        seen={} if item is None else _seen(site, item),
        score_name=SCORES.get(asked.kind),
        likely=_likely(site, asked) if items and asked.kind == "contradicted" else None,
        opinions=[] if item is None else [one for one in item.opinions if one.label is not None],
        choices=[] if item is None else _choices(item),
        labels=sorted(site.index.labels(_LABELS)),
        queue=list(enumerate(items))[position + 1 :][:_UPCOMING],
        position=position,
        following=(position + 1) % max(len(items), 1),
        left=_left(site, asked, len(items)),
        is_most=asked.kind in _AT_MOST and len(items) == LISTED,
        # whoever gives a second opinion does not see what others decided
        progress=Progress.of(site.index, site.reviewer, is_blind=asked.kind == "second"),
        is_undone="undone" in wanted,
        problem=problem,
        conflict=conflict,
        longest_label=MAX_LABEL,
        unscored="" if items or problem else _unscored(site, asked.kind),
    )


def _question(site: Site, request: Request, fields: Mapping[str, str], asked: DecisionRequest) -> Response:
    """The page that asks whether an item is to be deleted."""
    found = site.index.items([asked.id])
    back = link("/review", **_list_of(fields), **_place(fields))
    if not found:
        return _show(site, request, {**_list_of(fields), **_place(fields)}, DecisionConflictError("the item is gone"))
    is_blind = asked.opinion_on is not None  # whoever gives a second opinion does not see the label
    return site.page(request, "review_delete.html", item=found[0], is_blind=is_blind, fields=fields, back=back)


def _listing(wanted: Mapping[str, str]) -> ReviewRequest:
    if wanted.get("kind", "ambiguous") not in KINDS:
        raise HTTPException(404, "There is no such list.")
    return _checked(ReviewRequest, {name: value for name, value in wanted.items() if value})


def _queue(site: Site, asked: ReviewRequest) -> tuple[list[ReviewItem], str | None]:
    """The items to review, or a message that says what to do first."""
    try:
        return site.index.review(limit=LISTED, **asked.options(site.reviewer)), None
    except EmptyIndexError:
        return [], None
    except FgSearchError as error:
        return [], str(error)


def _left(site: Site, asked: ReviewRequest, listed: int) -> int:
    """Number of items on a list, of which some are listed."""
    if listed < LISTED:
        return listed
    options = asked.options(site.reviewer)
    del options["diverse"]  # it changes the order alone
    return site.index.count_review(**options)


def _likely(site: Site, asked: ReviewRequest) -> int:
    """Number of items on the list of contradicted labels whose label is more likely wrong than right."""
    options = asked.options(site.reviewer) | {"min_score": max(LIKELY_WRONG, asked.min_score or 0.0)}
    del options["diverse"]
    return site.index.count_review(**options)


def _unscored(site: Site, kind: Kind) -> str:
    """Which labels a list that is empty does not speak of."""
    count = site.index.info().unscored if kind == "contradicted" else 0
    return too_few_reason(count) if count else ""


def _where(values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a list that differ from the default, for links and forms."""
    named = {name: values[name] for name in ReviewRequest.model_fields if values.get(name)}
    return {name: "1" if value is True else str(value) for name, value in named.items()}


def _position(items: Sequence[ReviewItem], item: str | None, skip: str | None) -> int:
    """Position in the queue: that of ``item`` if it is there, else ``skip``, or the end of a queue that got shorter."""
    wanted = int(skip) if skip is not None and skip.isascii() and skip.isdigit() and len(skip) < _DIGITS else 0
    place = max(0, min(wanted, len(items) - 1))
    return next((i for i, candidate in enumerate(items) if json.dumps(candidate.id) == item), place)


def _seen(site: Site, item: ReviewItem) -> dict[str, str]:
    """Hidden form fields that record what the reviewer saw, so that a decision on something else is refused."""
    latest = site.index.decisions(item_id=item.id, limit=1)
    seen = {"item": json.dumps(item.id), "latest": str(latest[0].number if latest else 0)}
    if item.opinion_on is not None:
        seen["opinion_on"] = str(item.opinion_on)
    if item.suggested_label is not None:
        seen["suggested"] = json.dumps(item.suggested_label)  # as JSON, because forms normalise line ends
    return seen


def _of_somebody_else(site: Site, number: int, fields: Mapping[str, str]) -> ReviewDecision | None:
    """The decision of this number, if it is the latest one about its item, and somebody else's."""
    try:
        item_id = _ITEM_ID.validate_json(fields.get("of", ""))
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error
    latest = site.index.decisions(item_id=item_id, standing=True, limit=1)
    return next((one for one in latest if one.number == number and one.reviewer != site.reviewer), None)


def _decision(fields: Mapping[str, str]) -> DecisionRequest:
    action = fields.get("action")
    try:
        item_id = _ITEM_ID.validate_json(fields.get("item", ""))
        seen = _SUGGESTED.validate_json(fields["suggested"]) if action == "accept" and "suggested" in fields else None
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error
    label = fields.get("label") if action == "label" else None
    given = {"id": item_id, "action": action, "label": label, "suggested": seen, "latest": fields.get("latest")}
    given["opinion_on"] = fields.get("opinion_on")
    return _checked(DecisionRequest, given)


def _checked(kind: type[_Request], given: Mapping[str, Any]) -> _Request:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error


def _back(fields: Mapping[str, str], **where: str | int | None) -> Response:
    return RedirectResponse(link("/review", **_list_of(fields), **where) + "#item", 303)


def _list_of(fields: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the list that a form belongs to, without unknown ones."""
    return _where(dict(parse_qsl(fields.get("list", ""))))


def _place(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in ("item", "skip") if name in fields}


def _with_evidence(site: Site, item: ReviewItem) -> ReviewItem:
    """The item with its nearest items, or unchanged if it has just left the list."""
    itself = models.HasIdCondition(has_id=[point_id(item.id, tenant=site.tenant)])
    found = site.index.review(kind=item.kind, limit=1, evidence=_SHOWN, query_filter=models.Filter(must=[itself]))
    return found[0] if found else item


def _choices(item: ReviewItem) -> list[str]:
    """Labels of near items, to offer as buttons."""
    nearest = max((example.similarity for example in (*item.agreeing, *item.contradicting)), default=0.0)
    near = [example.label for example in item.contradicting if example.similarity >= _NEAR * nearest]
    offered = {None, item.label, item.suggested_label, *(opinion.label for opinion in item.opinions)}
    choices = [label for label in dict.fromkeys(near) if label not in offered]
    return [str(label) for label in choices[: _SHOWN - len(item.opinions)]]
