"""The history of calibrations and evaluations, and two of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fg_search.index.calibration import TARGETS
from fg_search.index.quality_history import KeptPrecision, QualityEntry
from fg_search.web.site import Site

ACTIONS = {"calibrate": "Calibrated", "adapt": "Adapted", "raise": "Threshold raised", "evaluate": "Evaluated"}


@dataclass(frozen=True)
class Figure:
    """A figure of two entries.

    Attributes:
        name: What it is.
        first: What the first entry says, empty if nothing.
        second: What the second one does.
        change: By how much the second differs, empty where that makes no sense.
    """

    name: str
    first: str
    second: str
    change: str


def router(site: Site) -> APIRouter:
    """Route for the view."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/health/history")
    def history(request: Request) -> Response:
        entries = site.index.history()[::-1]
        known = {entry.id: entry for entry in entries}
        chosen = [one for name in ("first", "second") if (one := request.query_params.get(name))]
        if any(one not in known for one in chosen):
            raise HTTPException(404)
        pair = [known[one] for one in chosen] if len(chosen) == 2 else []
        return site.page(
            request,
            "history.html",
            entries=entries,
            pair=pair,
            figures=figures_of(*pair) if pair else [],
            name=name_of,
            actions=ACTIONS,
        )

    return routes


def name_of(entry: QualityEntry) -> str:
    """What an entry is, in a line."""
    pretended = " on items" if entry.pretended else ""
    when = datetime.fromisoformat(entry.time)
    return (
        f"{when:%Y-%m-%d %H:%M} UTC, {ACTIONS.get(entry.action, entry.action).lower()}{pretended} by {entry.reviewer}"
    )


def figures_of(first: QualityEntry, second: QualityEntry) -> list[Figure]:
    """All figures of two entries, without those that neither has."""
    pair = (first, second)
    aurc = [None if entry.aurc is None else 1000 * entry.aurc for entry in pair]
    found = [
        _compared("Items", [entry.points for entry in pair], "{:,}".format, "{:+,}".format),
        _compared("Queries", [entry.queries for entry in pair], "{:,}".format, "{:+,}".format),
        _compared("Without an answer", [entry.unanswerable_share for entry in pair], _share, _points),
        _compared("First hit right, of those with an answer", [entry.recall_at_1 for entry in pair], _share, _points),
        _compared("AUROC", [entry.auroc for entry in pair]),
        _compared("AURC in thousandths, lower is better", aurc, "{:.1f}".format, "{:+.1f}".format),
        _compared("Calibration error, lower is better", [entry.ece for entry in pair]),
        _compared("Brier score, lower is better", [entry.brier for entry in pair]),
    ]
    for target in TARGETS:
        both = [_at(entry.precisions, target) for entry in pair]
        at = f"At {target:.0%}:"
        found += [
            _compared(f"{at} chance, at least", [None if one is None else one.threshold for one in both]),
            _compared(f"{at} answered", [_coverage(one) for one in both], _share, _points),
            _compared(f"{at} right", [None if one is None else one.precision for one in both], _share, _points),
        ]
    words = [
        Figure("Judged by", first.relevant_by, second.relevant_by, ""),
        Figure("Ranked by", first.rank_by, second.rank_by, ""),
        Figure("Encoder", first.fingerprint[:8], second.fingerprint[:8], ""),
    ]
    return words + [figure for figure in found if figure.first or figure.second]


def _compared(
    name: str,
    values: Sequence[float | None],
    written: Callable[[float], str] = "{:.3f}".format,
    change: Callable[[float], str] = "{:+.3f}".format,
) -> Figure:
    first, second = values
    moved = "" if first is None or second is None else change(second - first)
    return Figure(name, "" if first is None else written(first), "" if second is None else written(second), moved)


def _at(precisions: Sequence[KeptPrecision], target: float) -> KeptPrecision | None:
    return next((one for one in precisions if one.target == target), None)


def _coverage(kept: KeptPrecision | None) -> float | None:
    return None if kept is None or kept.threshold is None else kept.coverage


def _share(value: float) -> str:
    return f"{value:.1%}"


def _points(value: float) -> str:
    """A difference of shares, in points of a hundred."""
    return f"{round(100 * value, 1) + 0.0:+.1f}"  # never -0.0
