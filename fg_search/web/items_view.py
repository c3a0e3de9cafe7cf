"""The Items view: a table of the items to browse, filter, sort, decide about several at once, and take away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, HTTPException
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from fg_search.errors import FgSearchError
from fg_search.ids import UserId, id_from_json
from fg_search.index.item_pages import ItemPage
from fg_search.index.items import IndexedItem
from fg_search.web.item_export import MEDIA_TYPES, ExportForm, exported
from fg_search.web.item_filter import short_values
from fg_search.web.item_list import Batch, ItemList
from fg_search.web.parameters import (
    MAX_CONDITION,
    MAX_DECIDED,
    MAX_LABEL,
    MAX_PLACE,
    DecisionNumber,
    ItemId,
    ItemsRequest,
    Label,
    problems,
)
from fg_search.web.site import FormFields, FormLists

LISTED = 50  # items on a page
COLUMNS = {"label": "Label", "confidence": "Item confidence", "familiarity": "Familiarity", "wrong": "Label wrong"}

_LABELS = 1000  # labels offered for completion
_SHOWN = 4  # values of the payload
_NAMED = 10  # items named before a deletion
_LISTS = ("where", "id")  # parameters with several values
_ITEM_ID: TypeAdapter[UserId] = TypeAdapter(ItemId)
_NUMBER: TypeAdapter[int] = TypeAdapter(DecisionNumber)
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


def router(items: ItemList) -> APIRouter:
    """Routes for the view, its forms and its files."""
    routes = APIRouter(include_in_schema=False)
    site = items.site

    @routes.get("/items")
    def listed(request: Request) -> Response:
        given = request.query_params
        asked, wrong = _asked(given)
        where = where_of(asked)
        like = id_from_json(given["like"]) if given.get("like") else None
        page, similarities, problem = _page(items, asked, like, given.get("after"))
        first = _count(given.get("from"), 1)
        return site.page(
            request,
            "items.html",
            422 if wrong else 409 if problem else 200,
            asked=asked,
            where=where,
            here={**where, "like": None if like is None else text_of(like)},
            sort=where.get("sort"),
            is_filtered=bool(where.keys() - {"sort"}),
            like=None if like is None else _named(items, like),
            like_id=None if like is None else text_of(like),
            errors=wrong,
            problem=problem,
            page=page,
            similarities=similarities,
            first=first,
            following=None if page is None or page.following is None else (page.following, first + len(page.items)),
            columns=_columns(page, asked),
            done=_done(given),
            labels=sorted(site.index.labels(_LABELS)),
            longest_label=MAX_LABEL,
            longest_condition=MAX_CONDITION,
            most=MAX_DECIDED,
            without=_without,
            values=_values,
            json=_json,
            text_of=text_of,
        )

    @routes.get("/items/export")
    def export(request: Request) -> Response:
        asked, wrong = _asked(request.query_params)
        form = request.query_params.get("form", "csv")
        if wrong or form not in MEDIA_TYPES:
            raise HTTPException(422, "; ".join(wrong) or "form: csv or jsonl is expected")
        items.page(asked, 1, None)  # fails now if anything is wrong
        return _file(items.every(asked), "csv" if form == "csv" else "jsonl")

    @routes.post("/items/act")
    def act(request: Request, fields: FormLists) -> Response:
        back, action = _last(fields, "list"), _last(fields, "action")
        ids = _chosen(items, fields, back)
        if action in MEDIA_TYPES:
            return _file(site.index.items(ids), "csv" if action == "csv" else "jsonl")
        if not ids:
            return RedirectResponse(_address(back, nothing=1), 303)
        if action == "delete" and "confirmed" not in fields:
            named = site.index.items(ids[:_NAMED])
            return site.page(request, "items_delete.html", ids=ids, named=named, back=back, json=_json)
        batch = _decide(items, ids, action, _last(fields, "label"))
        done = {"done": f"{batch.first}-{batch.last}", "made": batch.made, "missed": batch.missed or None}
        return RedirectResponse(_address(back, **done), 303)

    @routes.post("/items/undo")
    def undo(fields: FormFields) -> Response:
        first, last = (_checked(_NUMBER, fields.get(name, ""), name) for name in ("first", "last"))
        batch = items.undo_batch(first, last)
        return RedirectResponse(_address(fields.get("list", ""), undone=batch.made, missed=batch.missed or None), 303)

    return routes


def where_of(asked: ItemsRequest) -> dict[str, Any]:
    """The parameters that differ from the default, for addresses."""
    named = asked.model_dump(exclude_defaults=True)
    return {name: 1 if value is True else value for name, value in named.items()}


def text_of(user_id: UserId) -> str:
    """An id for an address: as it is where that is read as the same id, else as JSON."""
    return user_id if isinstance(user_id, str) and id_from_json(user_id) == user_id else json.dumps(user_id)


def _asked(given: QueryParams) -> tuple[ItemsRequest, list[str]]:
    """What is asked for, or everything and what was wrong."""
    values: dict[str, Any] = {name: value for name, value in given.items() if value and name not in _LISTS}
    for name in _LISTS:
        values[name] = [value for value in given.getlist(name) if value.strip()]
    try:
        return ItemsRequest.model_validate(values), []
    except ValidationError as error:
        return ItemsRequest.model_validate({}), problems(error)


def _page(
    items: ItemList, asked: ItemsRequest, like: UserId | None, after: str | None
) -> tuple[ItemPage | None, Sequence[float], str | None]:
    """The page, with similarities if items like one are asked for, or a message that says what is wrong."""
    try:
        if like is None:
            return items.page(asked, LISTED, (after or "")[:MAX_PLACE] or None), [], None
        found = items.similar(like, asked, LISTED)
    except (FgSearchError, ValueError) as error:
        return None, [], str(error)
    return ItemPage([one.item for one in found], len(found), None), [one.similarity for one in found], None


def _named(items: ItemList, user_id: UserId) -> IndexedItem | None:
    return next(iter(items.site.index.items([user_id])), None)


def _columns(page: ItemPage | None, asked: ItemsRequest) -> dict[str, str]:
    """Columns that have values on the page, or that the list is ordered by."""
    there = [] if page is None else page.items
    return {
        name: title
        for name, title in COLUMNS.items()
        if name in ("label", "confidence", asked.sort.lstrip("-"))
        or any(getattr(item, name) is not None for item in there)
    }


def _done(given: Mapping[str, str]) -> dict[str, Any]:
    """What was just done, as the address says."""
    first, _, last = given.get("done", "").partition("-")
    return {
        "first": _count(first),
        "last": _count(last),
        "made": _count(given.get("made")),
        "missed": _count(given.get("missed")),
        "undone": _count(given.get("undone"), -1),
        "nothing": "nothing" in given,
    }


def _count(given: str | None, default: int = 0) -> int:
    """A number from an address, which anybody may have changed."""
    return int(given) if given is not None and given.isascii() and given.isdigit() and len(given) <= 16 else default


def _chosen(items: ItemList, fields: Mapping[str, Sequence[str]], back: str) -> list[UserId]:
    """Ids of the items that a form is about: those that are ticked, or all that the list holds."""
    if fields.get("scope", [""])[-1] == "all":
        asked, wrong = _asked(QueryParams(back))
        if wrong:
            raise HTTPException(422, "; ".join(wrong))
        return items.ids(asked)
    return [_checked_id(text) for text in fields.get("item", [])]


def _last(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return fields.get(name, [""])[-1]


def _decide(items: ItemList, ids: Sequence[UserId], action: str, label: str) -> Batch:
    if action == "label":
        return items.decide_each(ids, "label", _checked(_LABEL, label, "label"))
    if action not in ("delete", "keep"):
        raise HTTPException(422, "action: label, keep, delete, csv or jsonl is expected")
    return items.decide_each(ids, "delete" if action == "delete" else "keep", None)


def _checked_id(text: str) -> UserId:
    try:
        return _ITEM_ID.validate_json(text)
    except ValidationError as error:
        raise HTTPException(422, "; ".join(problems(error))) from error


def _checked(kind: TypeAdapter[Any], given: str, name: str) -> Any:
    try:
        return kind.validate_python(given)
    except ValidationError as error:
        raise HTTPException(422, f"{name}: {error.errors(include_url=False)[0]['msg']}") from error


def _file(found: Iterable[IndexedItem], form: ExportForm) -> Response:
    name = {"Content-Disposition": f'attachment; filename="items.{form}"'}
    return StreamingResponse(exported(found, form), media_type=MEDIA_TYPES[form], headers=name)


def _address(back: str, **more: Any) -> str:
    """Address of the list that a form came from, without unknown parameters."""
    known = [(name, value) for name, value in parse_qsl(back) if name in ItemsRequest.model_fields or name == "like"]
    added = [(name, str(value)) for name, value in more.items() if value is not None]
    return f"/items?{urlencode([*known, *added])}"


def _without(where: Mapping[str, Any], name: str, value: object = None) -> dict[str, Any]:
    """Parameters without one, or without one of its values."""
    kept = where.get(name)
    left = [one for one in kept if one != value] if isinstance(kept, list) and value is not None else None
    return {known: left if known == name else given for known, given in where.items()}


def _values(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Short values of a payload, as conditions read them."""
    return list(short_values(payload))[:_SHOWN]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
