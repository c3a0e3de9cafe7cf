"""The view Review: one item at a time, decided by a key, and everything can be taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fg_search.errors import EmptyIndexError, FgSearchError
from fg_search.ids import UserId
from fg_search.review.decisions import Decision
from fg_search.review.items import Kind, ReviewItem
from fg_search.storage.keys import LABEL_KEY
from fg_search.web.parameters import MAX_LABEL, DecisionRequest, ItemId, ReviewRequest, problems
from fg_search.web.site import FormFields, Site, link

LISTED = 100  # items fetched, which is what "left" counts up to
KINDS: dict[Kind, str] = {kind: kind.capitalize() for kind in get_args(Kind)}

_LABELS = 1000  # offered at most
_SHOWN = 3  # of them on each side, and labels offered with a key of their own
_NEAR = 0.75  # of the nearest one's similarity: the label of what is farther away is no choice worth a key
_RECENT = 5
_UPCOMING = 6
_DIGITS = 6
_ITEM_ID: TypeAdapter[UserId] = TypeAdapter(ItemId)


@dataclass(frozen=True)
class Progress:
    """How far one has come.

    Attributes:
        today: Decisions made today that stand.
        recent: The latest of all decisions that stand, the latest first.
    """

    today: int
    recent: Sequence[Decision]

    @classmethod
    def of(cls, log: Sequence[Decision]) -> Progress:
        """Count a log."""
        undone = {entry.undoes for entry in log}
        standing = [entry for entry in log if entry.action != "undo" and entry.number not in undone]
        return cls(sum(map(_is_of_today, standing)), standing[: -_RECENT - 1 : -1])


def router(site: Site) -> APIRouter:
    """The view, and what its forms are sent to."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/review")
    def review(request: Request) -> Response:
        wanted = request.query_params
        asked = _listing(wanted)
        items, problem = _queue(site, asked)
        position = _position(items, wanted.get("item"), wanted.get("skip"))
        item = _with_evidence(site, asked, position) if items else None
        return site.page(
            request,
            "review.html",
            409 if problem else 200,
            kinds=KINDS,
            asked=asked,
            where=_where(asked.model_dump()),
            is_filtered=asked != ReviewRequest(kind=asked.kind),
            item=item,
            item_id=None if item is None else json.dumps(item.id),
            choices=[] if item is None else _choices(item),
            labels=_labels(site),
            queue=list(enumerate(items))[position + 1 :][:_UPCOMING],
            position=position,
            following=(position + 1) % max(len(items), 1),
            left=len(items),
            is_more=len(items) == LISTED,
            progress=Progress.of(site.index.decisions()),
            is_undone="undone" in wanted,
            problem=problem,
            longest_label=MAX_LABEL,
        )

    @routes.post("/review/decide")
    def decide(fields: FormFields) -> Response:
        asked = _decision(fields)
        site.decide(asked.id, asked.action, asked.label)
        return _back(fields, skip=fields.get("skip"))

    @routes.post("/review/undo")
    def undo(fields: FormFields) -> Response:
        taken_back = site.undo()
        return _back(fields, item=json.dumps(taken_back.id), undone=1)

    return routes


def _listing(wanted: Mapping[str, str]) -> ReviewRequest:
    if wanted.get("kind", "ambiguous") not in KINDS:
        raise HTTPException(404, "There is no such list.")
    try:
        return ReviewRequest.model_validate({name: value for name, value in wanted.items() if value})
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error


def _queue(site: Site, asked: ReviewRequest) -> tuple[list[ReviewItem], str | None]:
    """The items, or what is to be done first."""
    try:
        return site.index.review(limit=LISTED, **asked.options()), None
    except EmptyIndexError:
        return [], None
    except FgSearchError as error:
        return [], str(error)


def _where(values: Mapping[str, Any]) -> dict[str, str]:
    """What says which list it is, for links and forms."""
    named = {name: values[name] for name in ReviewRequest.model_fields if values.get(name)}
    return {name: "1" if value is True else str(value) for name, value in named.items()}


def _position(items: Sequence[ReviewItem], item: str | None, skip: str | None) -> int:
    """Where in the queue one is: at a certain item, or after so many; a queue that got shorter ends earlier."""
    if item is not None:
        return next((i for i, one in enumerate(items) if json.dumps(one.id) == item), 0)
    wanted = int(skip) if skip is not None and skip.isascii() and skip.isdigit() and len(skip) < _DIGITS else 0
    return max(0, min(wanted, len(items) - 1))


def _decision(fields: Mapping[str, str]) -> DecisionRequest:
    action = fields.get("action")
    try:
        item_id = _ITEM_ID.validate_json(fields.get("item", ""))
        label = fields.get("label") if action == "label" else None
        return DecisionRequest.model_validate({"id": item_id, "action": action, "label": label})
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error


def _back(fields: Mapping[str, str], **where: str | int | None) -> Response:
    # a list that there is not would only lead to an error page
    asked = _where(dict(parse_qsl(fields.get("list", ""))))
    return RedirectResponse(link("/review", **asked, **where) + "#item", 303)


def _with_evidence(site: Site, asked: ReviewRequest, position: int) -> ReviewItem | None:
    """The item at this position, with its nearest items."""
    found = site.index.review(limit=1, offset=position, evidence=_SHOWN, **asked.options())
    return found[0] if found else None


def _choices(item: ReviewItem) -> list[str]:
    """Labels of near items, worth a button of their own."""
    nearest = max((example.similarity for example in (*item.agreeing, *item.contradicting)), default=0.0)
    near = [example.label for example in item.contradicting if example.similarity >= _NEAR * nearest]
    choices = [label for label in dict.fromkeys(near) if label not in (None, item.label, item.suggested_label)]
    return [str(label) for label in choices[:_SHOWN]]


def _labels(site: Site) -> list[str]:
    """The labels in use."""
    found = site.index.client.facet(site.index.collection, LABEL_KEY, facet_filter=site.scope(), limit=_LABELS)
    return sorted(str(one.value) for one in found.hits)


def _is_of_today(entry: Decision) -> bool:
    return datetime.fromisoformat(entry.time).astimezone().date() == datetime.now().astimezone().date()
