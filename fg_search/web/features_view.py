"""The Features view: what each group learned and what each of its codes means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fg_search.model.description import CodeDescription, Description, GroupDescription
from fg_search.web.site import Site

_PATIENCE = 3.0  # seconds to wait before showing a "still computing" page
_ROWS = 200  # labels of the matrix
_AGAIN = "2"  # seconds until the browser reloads that page


@dataclass(frozen=True)
class Matrix:
    """Which labels share a code, group by group.

    Attributes:
        groups: For each column the groups that separate the same.
        rows: Each label with its code in each column, counted from the most used one; ``None`` if it has none.
        more: Number of labels that are left out.
    """

    groups: Sequence[tuple[int, ...]]
    rows: Sequence[tuple[str, Sequence[int | None]]]
    more: int


def router(site: Site) -> APIRouter:
    """Routes for all groups, one group, and one code."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/features")
    def features(request: Request) -> Response:
        if not len(site.index):
            return site.page(request, "features.html", description=None, overlap=None, matrix=None, is_empty=True)
        description = _description(site)
        if description is None:
            return _still_computing(request)
        return site.page(
            request,
            "features.html",
            description=description,
            overlap=_overlap(description),
            matrix=matrix_of(description),
            is_empty=False,
        )

    @routes.get("/features/{group}")
    def one_group(request: Request, group: int) -> Response:
        description = _description(site)
        if description is None:
            return _still_computing(request)
        return site.page(request, "group.html", description=description, group=_group(description, group))

    @routes.get("/features/{group}/{code}")
    def one_code(request: Request, group: int, code: int) -> Response:
        description = _description(site)
        if description is None:
            return _still_computing(request)
        chosen = _group(description, group)
        return site.page(
            request, "code.html", description=description, group=chosen, code=_code(chosen, code), number=code
        )

    def _still_computing(request: Request) -> Response:
        response = site.page(request, "computing.html")
        response.headers["Refresh"] = _AGAIN
        return response

    return routes


def _description(site: Site) -> Description | None:
    if not len(site.index):
        raise HTTPException(404)
    return site.survey.description.get(_PATIENCE)


def _group(description: Description, number: int) -> GroupDescription:
    if not 0 <= number < len(description.groups):
        raise HTTPException(404)
    return description.groups[number]


def _code(group: GroupDescription, number: int) -> CodeDescription | None:
    """The description of a code, or ``None`` if no item of the sample has it."""
    if number in group.dead_codes:
        return None
    for code in group.codes:
        if code.code == number:
            return code
    raise HTTPException(404)


def matrix_of(description: Description) -> Matrix | None:
    """Labels against groups; ``None`` if no labels share a code, since it would say nothing then."""
    groups = [same for same in description.alike if description.groups[same[0]].name is None]
    columns = [description.groups[same[0]].parts for same in groups]
    if not any(len(part) > 1 for parts in columns for part in parts):
        return None
    codes = [{label: number for number, part in enumerate(parts) for label in part} for parts in columns]
    labels = list(dict.fromkeys(label for parts in columns for part in parts for label in part))
    rows = [(label, [column.get(label) for column in codes]) for label in labels[:_ROWS]]
    return Matrix(groups, rows, max(len(labels) - _ROWS, 0))


def _overlap(description: Description) -> float | None:
    """Mean normalised mutual information over all pairs of groups."""
    count = len(description.groups)
    if count == 1:
        return None
    shared = description.mutual_information
    return float((shared.sum() - count) / (count * (count - 1)))
