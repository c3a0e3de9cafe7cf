"""The Map view: the items in two dimensions, and what a browser needs to draw them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fg_search.review.label_scores import LEAST_SCORE
from fg_search.web.item_map import FINEST, HUES, UNKNOWN, ItemMap, PlacedItems
from fg_search.web.items_view import text_of
from fg_search.web.site import Site, link

COLOURS = {
    "label": "Label",
    "confidence": "Item confidence",
    "familiarity": "Familiarity",
    "wrong": "Suggested label differs",
}
_STEPS = (0.2, 0.4, 0.6, 0.8)  # between the colours of a number
_NUMBERS = ("confidence", "familiarity", "wrong")
_PICTURED = 2_000  # items of the picture that needs no script
_SIZE = 1_000  # of that picture
_WRITTEN = 200  # labels whose names may stand on the map
_LINE, _LETTER = 20, 9  # size of a line, and of a letter, of the picture
_PATIENCE = 3.0  # seconds to wait before showing a "still computing" page
_AGAIN = "2"  # seconds until the browser reloads that page
_LONGEST = 600  # characters of a text that is shown
_NONE = -1


@dataclass(frozen=True)
class Key:
    """A line of the legend.

    Attributes:
        shade: CSS class of its colour.
        name: What it stands for.
        count: Number of items.
        label: The label it stands for, if it is one.
    """

    shade: str
    name: str
    count: int
    label: str | None = None


def router(site: Site) -> APIRouter:
    """Routes for the view and its data."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/map")
    def shown(request: Request) -> Response:
        placed = site.map.get(_PATIENCE) if len(site.index) else None
        if placed is None:
            response = site.page(request, "map.html", placed=None, is_empty=not len(site.index), done=site.map.progress)
            if len(site.index):
                response.headers["Refresh"] = _AGAIN
            return response
        colour = request.query_params.get("colour", "label")
        if colour not in COLOURS:
            raise HTTPException(422, f"colour: one of {', '.join(COLOURS)} is expected")
        only = request.query_params.get("only")
        return site.page(
            request,
            "map.html",
            placed=placed,
            is_empty=False,
            colour=colour,
            colours=COLOURS,
            only=only if only in placed.labels else None,
            view=request.query_params.get("view", "")[:60],
            count=int((~placed.gone).sum()),
            legends={name: legend_of(placed, name) for name in COLOURS},
            picture=picture_of(placed, colour, only),
            places=(places := places_of(placed)),
            written=_apart(places),
            json=json.dumps,
            size=_SIZE,
            steps=json.dumps([round(254 * step) for step in _STEPS]),
            names=json.dumps(placed.labels, ensure_ascii=False),
            hues=HUES,
        )

    @routes.get("/map/points")
    def points() -> Response:
        return Response(_ready(site.map).to_bytes(), media_type="application/octet-stream")

    routes.add_api_route("/map/progress", partial(_progress, site.map))

    @routes.get("/map/items/{stamp}/{row}")
    def item(stamp: int, row: int) -> Response:
        placed = _ready(site.map)
        if placed.stamp != stamp:
            raise HTTPException(409, "The map was drawn anew; reload the page.")
        if not 0 <= row < len(placed):
            raise HTTPException(404)
        found = site.index.items([placed.ids[row]])
        if not found:
            raise HTTPException(404)
        one = found[0]
        return JSONResponse(
            {
                "id": str(one.id),
                "text": one.text[:_LONGEST] + ("…" if len(one.text) > _LONGEST else ""),
                "label": one.label,
                "suggested": one.suggested_label,
                "confidence": one.confidence,
                "familiarity": one.familiarity,
                "wrong": one.wrong,
                "is_corrected": one.decided in ("accept", "label"),
                "item": link("/items", id=text_of(one.id)),
                "similar": link("/items", like=text_of(one.id)),
            }
        )

    return routes


def shades_of(placed: PlacedItems, colour: str) -> npt.NDArray[np.int64]:
    """For each item the number of its colour, -1 for none."""
    if colour == "label":
        label = placed.label.astype(np.int64)
        return np.where(label < HUES, label, _NONE)
    values = placed.numbers[_NUMBERS.index(colour)]
    steps = np.searchsorted([round(254 * step) for step in _STEPS], values, side="right")
    return np.where(values == UNKNOWN, _NONE, steps)


def legend_of(placed: PlacedItems, colour: str) -> list[Key]:
    """Lines of the legend, without those that no item has."""
    there = shades_of(placed, colour)[~placed.gone]
    counts = dict(zip(*(part.tolist() for part in np.unique(there, return_counts=True)), strict=True))
    if colour == "label":
        keys = [Key(f"hue-{i}", name, counts.get(i, 0), name) for i, name in enumerate(placed.labels[:HUES])]
        without = int((placed.label[~placed.gone] == FINEST).sum())
        others = counts.get(_NONE, 0) - without
        rest = len(placed.labels) - HUES
        keys += [
            Key("shade-none", "one other label" if rest == 1 else f"{rest:,} other labels", others),
            Key("shade-none", "no label", without),
        ]
    else:
        edges = (LEAST_SCORE if colour == "wrong" else 0.0, *_STEPS, 1.0)
        name = "wrong" if colour == "wrong" else "step"
        keys = [
            Key(f"{name}-{i}", f"{low:g} to {high:g}", counts.get(i, 0))
            for i, (low, high) in enumerate(pairwise(edges))
        ]
        unknown = f"under {LEAST_SCORE:g}, or not scored" if colour == "wrong" else "not known"
        keys.append(Key("shade-none", unknown, counts.get(_NONE, 0)))
    return [key for key in keys if key.count]


def picture_of(placed: PlacedItems, colour: str, only: str | None) -> list[tuple[str, str]]:
    """CSS class and path of the dots of each colour, for a sample of the items."""
    there = np.flatnonzero(~placed.gone)
    rows = there[:: max(1, -(-len(there) // _PICTURED))]
    shades = shades_of(placed, colour)[rows]
    if only in placed.labels:
        chosen = placed.labels.index(only)
        shades = np.where(placed.label[rows] == chosen, np.maximum(shades, 0), _NONE)
    places = np.rint(placed.places[rows].astype(np.float64) / FINEST * _SIZE).astype(int)
    family = {"label": "hue", "wrong": "wrong"}.get(colour, "step")
    return [
        (
            "shade-none" if shade == _NONE else f"{family}-{shade}",
            "".join(f"M{x} {y}h0" for x, y in places[shades == shade].tolist()),
        )
        for shade in sorted(set(shades.tolist()))
    ]


def places_of(placed: PlacedItems) -> list[tuple[str, int, int]]:
    """The most frequent labels, each with the middle of its items in steps of the picture."""
    found = []
    for number, name in enumerate(placed.labels[:_WRITTEN]):
        rows = (placed.label == number) & ~placed.gone
        if rows.any():
            x, y = (np.median(placed.places[rows], axis=0) / FINEST * _SIZE).round().astype(int).tolist()
            found.append((name, x, y))
    return found


def _apart(places: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Names that can be written without touching those before them."""
    kept: list[tuple[str, int, int]] = []
    for name, x, y in places:
        if all(
            abs(y - other_y) > _LINE or 2 * abs(x - other_x) > _LETTER * (len(name) + len(other))
            for other, other_x, other_y in kept
        ):
            kept.append((name, x, y))
    return kept


def _progress(items: ItemMap) -> Response:
    return JSONResponse({"is_whole": items.get(0.0, whole=True) is not None, "done": items.progress})


def _ready(items: ItemMap) -> PlacedItems:
    placed = items.get(_PATIENCE)
    if placed is None:
        raise HTTPException(503, "The map is still being drawn; ask again.")
    return placed
