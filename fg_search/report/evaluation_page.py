"""An evaluation as one HTML page that loads nothing: for a browser without network, an attachment, an archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from jinja2 import Template

from fg_search.evaluation import (
    CurvePoint,
    Interval,
    Proportion,
    ReachedPrecision,
    ReliabilityBin,
    SelectiveIntervals,
    SelectiveReport,
    Slice,
    at_coverages,
    foremost,
)
from fg_search.report import charts
from fg_search.report.environment import environment_of

_MOST_NAMED = 10  # slices that fall short, before the rest is folded
_MOST_ROWS = 20  # of the chart of slices
_NOTHING = "-"  # where there is no number


@dataclass(frozen=True)
class EvaluationPage:
    """What the page shows.

    Attributes:
        title: Title of the page.
        judged_by: ``"label"`` or ``"id"``.
        reports: Report for each number that ranks the answers, the one that decides first.
        intervals: Intervals of the reports, by the same names.
        curves: Risk-coverage curves, by the same names.
        bins: Bins of the reliability diagram, empty without a calibration.
        ece: Expected calibration error, ``None`` without a calibration.
        brier: Brier score, ``None`` without a calibration.
        precisions: What is reached at each target precision, empty if nothing is promised.
        no_promise: Why nothing is.
        target: Target precision of the slices that are shown; ``None`` if every query counts as answered.
        slices: By what they share, the slices.
        short: Slices that fall short of any target precision.
    """

    title: str
    judged_by: str
    reports: Mapping[str, SelectiveReport]
    intervals: Mapping[str, SelectiveIntervals]
    curves: Mapping[str, Sequence[CurvePoint]]
    bins: Sequence[ReliabilityBin]
    ece: float | None
    brier: float | None
    precisions: Sequence[ReachedPrecision]
    no_promise: str | None
    target: float | None
    slices: Mapping[str, Sequence[Slice]]
    short: Sequence[Slice]

    def to_html(self) -> str:
        """The page, as one HTML document."""
        shown = {by: foremost(found, _MOST_ROWS) for by, found in self.slices.items()}
        return _template().render(
            page=self,
            most_named=_MOST_NAMED,
            first=next(iter(self.reports.values())),
            style=files("fg_search.report").joinpath("static/style.css").read_text(encoding="utf-8"),
            risk=charts.risk_coverages(self.curves),
            costs={name: at_coverages(curve) for name, curve in self.curves.items()},
            reliability=charts.reliability(self.bins) if self.bins else None,
            drawn={by: charts.precisions(found) for by, found in shown.items()},
        )


def _share(found: Proportion | float) -> str:
    share = found.share if isinstance(found, Proportion) else found
    return _NOTHING if math.isnan(share) else f"{100 * share:.1f}%"


def _span(found: Proportion) -> str:
    return f"{100 * found.low:.0f} to {100 * found.high:.0f}%" if found.total else _NOTHING


def _number(value: float, scale: float = 1.0, digits: int = 3) -> str:
    return _NOTHING if math.isnan(value) else f"{scale * value:.{digits}f}"


def _ends(found: Interval, scale: float = 1.0, digits: int = 3) -> str:
    low, high = _number(found.low, scale, digits), _number(found.high, scale, digits)
    return _NOTHING if _NOTHING in (low, high) else f"{low} to {high}"


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = environment_of()
    environment.filters.update(share=_share, span=_span, number=_number, ends=_ends)
    return environment.get_template("evaluation.html")
