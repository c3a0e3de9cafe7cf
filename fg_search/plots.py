"""Diagrams of how far to trust an index, as matplotlib figures (extra ``plots``).

The numbers come from :mod:`fg_search.evaluation`. Functions return a figure, to show in a notebook, to change, or to
write with :func:`save`. They open no window and leave pyplot and its list of open figures alone.

Example:
    >>> evaluation = index.evaluate(queries, relevant)  # doctest: +SKIP
    >>> for name, figure in evaluation_figures(evaluation).items():  # doctest: +SKIP
    ...     save(figure, f"{name}.png")
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from fg_search.errors import FgSearchError
from fg_search.evaluation import CurvePoint, ReliabilityBin, Slice, foremost, reliability_bins, risk_coverage_curve
from fg_search.review.issues.confusion import ConfusedLabels, confused_labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from matplotlib.figure import Figure

    from fg_search.index.evaluation import IndexEvaluation

FORMATS = ("png", "svg", "pdf")

_INK, _SOFT, _GRID, _PAPER = "#1c1c1a", "#5d5a54", "#e3e0da", "#ffffff"
# Okabe & Ito (2008): distinguishable with any kind of colour blindness; line styles differ too, for print in grey
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STROKES = ("-", "--", "-.", ":")
_SIZE = (6.4, 4.2)  # inches
_DOTS_PER_INCH = 150
_SMALLEST, _LARGEST = 20.0, 140.0  # area of a dot, in points²
_MIN_COVERAGE = 0.05  # below it, the risk is too noisy to scale the axis by
_MOST_PAIRS = 12
_MOST_SLICES = 20


def confidence_histogram(counts: Sequence[int], *, what: str = "items") -> Figure:
    """Draw a histogram of confidence.

    Args:
        counts: Counts over equal intervals of [0, 1], such as
            :attr:`IndexInfo.confidence_histogram <fg_search.index.info.IndexInfo.confidence_histogram>`.
        what: What was counted, for the labels.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there are no counts.
    """
    if not len(counts):
        raise ValueError("counts is empty; give one count for each interval")
    figure, axes = _figure(f"Confidence of the {what}", f"{sum(counts):,} {what}")
    width = 1 / len(counts)
    bars = axes.bar([(i + 0.5) * width for i in range(len(counts))], counts, 0.9 * width, color=_COLOURS[0], zorder=2)
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], padding=2, color=_SOFT, fontsize=8)
    axes.set_ylim(0, 1.08 * max(*counts, 1))
    _label_axes(axes, "confidence", what, shares="x", counts="y")
    return figure


def reliability_diagram(bins: Sequence[ReliabilityBin], *, note: str = "") -> Figure:
    """Draw a reliability diagram: how often answers are right against the promised probability.

    Args:
        bins: Bins from :func:`fg_search.evaluation.reliability_bins`.
        note: Text below the title, after the number of queries.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there are no bins.
    """
    if not bins:
        raise ValueError("bins is empty; there is nothing to draw")
    queries = sum(each.queries for each in bins)
    figure, axes = _figure("Reliability diagram", f"{queries:,} queries{note and f'; {note}'}")
    (ideal,) = axes.plot((0, 1), (0, 1), "--", color=_SOFT, linewidth=1, label="promised comes true")
    promised, right = [each.promised for each in bins], [each.right for each in bins]
    below = [each.right - each.interval[0] for each in bins]
    above = [each.interval[1] - each.right for each in bins]
    whiskers = axes.errorbar(
        promised, right, (below, above), fmt="none", ecolor=_COLOURS[0], alpha=0.6, label="95% interval"
    )
    most = max(each.queries for each in bins)
    areas = [_SMALLEST + (_LARGEST - _SMALLEST) * each.queries / most for each in bins]
    dots = axes.scatter(promised, right, areas, color=_COLOURS[0], zorder=3, label="queries; larger: more of them")
    axes.set_ylim(-0.02, 1.02)
    _label_axes(axes, "promised chance to be right", "share that was right", shares="xy", counts=None)
    _legend(axes, [ideal, dots, whiskers], loc="best")
    return figure


def risk_coverage_plot(curves: Mapping[str, Sequence[CurvePoint]], *, note: str = "") -> Figure:
    """Draw risk-coverage curves: the share of wrong answers against the share of queries answered. Lower is better.

    The vertical axis ends above the highest risk at a coverage of at least 5 %. Otherwise a single wrong answer among
    the very first would flatten the rest of the curve. Below that coverage, a curve may leave the diagram.

    Args:
        curves: Curves by name, each from :func:`fg_search.evaluation.risk_coverage_curve`.
        note: Text below the title.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there are no curves, or one is empty.
    """
    if not curves:
        raise ValueError("curves is empty; there is nothing to draw")
    empty = [name for name, curve in curves.items() if not curve]
    if empty:
        raise ValueError(f"curves[{empty[0]!r}] is empty; there is nothing to draw")
    figure, axes = _figure("Risk-coverage curve", note)
    lines = []
    for i, (name, curve) in enumerate(curves.items()):
        lines += axes.plot(
            [point.coverage for point in curve],
            [point.risk for point in curve],
            _STROKES[i % len(_STROKES)],
            color=_COLOURS[i % len(_COLOURS)],
            marker="o" if len(curve) == 1 else "",
            linewidth=1.8,
            label=name,
        )
    highest = max(point.risk for curve in curves.values() for point in curve if point.coverage >= _MIN_COVERAGE)
    top = max(1.05 * highest, 0.01)
    axes.set_ylim(-0.01 * top, top)  # a line at zero risk is fully visible
    _label_axes(
        axes, "coverage: queries answered, the surest first", "risk: wrong answers among them", shares="xy", counts=None
    )
    _legend(axes, lines, loc="best", title="queries ranked by")
    return figure


def slice_plot(slices: Sequence[Slice]) -> Figure:
    """Draw the precision of slices with their intervals, from top to bottom.

    Args:
        slices: Slices from :meth:`IndexEvaluation.slices <fg_search.index.evaluation.IndexEvaluation.slices>` or
            :func:`fg_search.evaluation.slices_of`. Those without an answered query have no dot.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there are no slices.
    """
    if not slices:
        raise ValueError("slices is empty; there is nothing to draw")
    by, target = slices[0].by, slices[0].target
    note = "every query answered" if target is None else f"answers at a target precision of {100 * target:.3g}%"
    figure, axes = _figure(f"Precision by {_short(by)}", note)
    rows = max(len(slices), 3)
    figure.set_figheight(1.8 + 0.3 * rows)
    drawn: list[Artist | Container] = []
    if target is not None:
        drawn.append(axes.axvline(target, linestyle="--", color=_SOFT, linewidth=1, label="target"))
    for short, colour, marker, name in (
        (False, _COLOURS[0], "o", "precision, 95% interval"),
        (True, _COLOURS[1], "s", "falls short of the target"),
    ):
        some = [(i, each.precision) for i, each in enumerate(slices) if each.falls_short is short]
        some = [(i, found) for i, found in some if found.total]
        if some:
            shares = [found.share for _, found in some]
            below = [found.share - found.low for _, found in some]
            above = [found.high - found.share for _, found in some]
            places = [i for i, _ in some]
            bars = axes.errorbar(
                shares, places, xerr=(below, above), fmt=marker, color=colour, label=name, clip_on=False
            )
            drawn.append(bars)
    names = [f"{_short(each.name)}  ({each.precision.total:,})" for each in slices]
    axes.set_yticks(range(len(slices)), names, parse_math=False)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    _label_axes(axes, "right among the answered", "", shares="x", counts=None)
    _legend(figure, drawn, loc="outside lower left", ncols=3)
    return figure


def confusion_plot(pairs: Sequence[ConfusedLabels], *, what: str = "items") -> Figure:
    """Draw pairs of confused labels.

    Args:
        pairs: Pairs from :func:`fg_search.review.issues.confused_labels`, drawn from top to bottom.
        what: What was counted, for the labels.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there are no pairs.
    """
    if not pairs:
        raise ValueError("pairs is empty; there is nothing to draw")
    figure, axes = _figure("Confused labels", f"{what} of one that were taken for the other")
    rows = max(len(pairs), 3)
    figure.set_figheight(1.8 + 0.4 * rows)
    places = range(len(pairs))
    there = [pair.first_as_second for pair in pairs]
    back = [pair.second_as_first for pair in pairs]
    bars = [
        axes.barh(places, there, 0.66, color=_COLOURS[0], label="upper taken for lower", zorder=2),
        axes.barh(
            places, back, 0.66, left=there, color=_COLOURS[4], hatch="///", label="lower taken for upper", zorder=2
        ),
    ]
    names = [f"{_short(pair.first)}\n{_short(pair.second)}" for pair in pairs]
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xlim(0, 1.05 * max(a + b for a, b in zip(there, back, strict=True)))
    axes.grid(visible=False, axis="y")
    _label_axes(axes, what, "", shares=None, counts="x")
    _legend(figure, bars, loc="outside lower left", ncols=2)
    return figure


def evaluation_figures(evaluation: IndexEvaluation, by: Sequence[str] = ()) -> dict[str, Figure]:
    """Draw all diagrams of the result of :meth:`ConfidenceIndex.evaluate <fg_search.ConfidenceIndex.evaluate>`.

    Args:
        evaluation: The evaluation.
        by: What to draw slices by, see :meth:`IndexEvaluation.slices
            <fg_search.index.evaluation.IndexEvaluation.slices>`; at the lowest target precision that can be promised.

    Returns:
        Figures by file name: ``"risk_coverage"``; ``"reliability"`` if the index is calibrated for these searches;
        ``"confused_labels"`` if answers were judged by label and some were wrong; ``"slices_NAME"`` for each of ``by``,
        with what is no letter, digit or underscore replaced.

    Raises:
        FgSearchError: If matplotlib is missing.
        ValueError: If there is nothing of a name to slice by.
    """
    outcomes = evaluation.outcomes
    curves = {
        f"{name} (AURC {evaluation.reports[name].aurc:.4f})": risk_coverage_curve(ranking, outcomes.correct)
        for name, ranking in outcomes.rankings.items()
    }
    figures = {"risk_coverage": risk_coverage_plot(curves, note=f"{len(outcomes.correct):,} queries")}
    if evaluation.ece is not None and evaluation.brier is not None:
        figures["reliability"] = reliability_diagram(
            reliability_bins(outcomes.rankings["confidence"], outcomes.correct),
            note=f"expected calibration error {evaluation.ece:.3f}, Brier score {evaluation.brier:.3f}",
        )
    if evaluation.relevant_by == "label":
        known = [(str(a), str(b)) for a, b in zip(outcomes.wanted, outcomes.found, strict=True) if a and b]
        pairs = confused_labels([a for a, _ in known], [b for _, b in known], limit=_MOST_PAIRS)
        if pairs:
            figures["confused_labels"] = confusion_plot(pairs, what="queries")
    for name in by:
        found = foremost(evaluation.slices(name, target=evaluation.lowest_promise), _MOST_SLICES)
        figures[f"slices_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"] = slice_plot(found)
    return figures


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file, atomically: an existing file is replaced once the new one is complete.

    The same figure gives the same bytes.

    Args:
        figure: The figure to write.
        path: File name with an ending from :data:`FORMATS`, in an existing folder.

    Returns:
        The path.

    Raises:
        ValueError: If the ending is not one of :data:`FORMATS`.
        OSError: If the file cannot be written.
    """
    from matplotlib import rc_context

    target = Path(path)
    form = target.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise ValueError(f"{target}: the ending must be one of {', '.join(f'.{known}' for known in FORMATS)}")
    drawn = BytesIO()
    dated = {
        "svg": "Date",
        "pdf": "CreationDate",
    }  # left out, like the random ids in an SVG, so that the bytes do not vary
    with rc_context({"svg.hashsalt": "fg_search"}):
        figure.savefig(drawn, format=form, metadata={dated[form]: None} if form in dated else None)
    temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(drawn.getvalue())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return target


def check_matplotlib() -> None:
    """Make sure that diagrams can be drawn, to fail before the work rather than after it.

    Raises:
        FgSearchError: If matplotlib is missing.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError:
        raise FgSearchError("diagrams need matplotlib; pip install 'fg-search[plots]'") from None


def _png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def _figure(title: str, note: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes and an opaque background, legible on any page."""
    check_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=_SIZE, dpi=_DOTS_PER_INCH, layout=layout, facecolor=_PAPER)
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]  # a notebook shows it where it ends a cell
    axes = figure.add_subplot(facecolor=_PAPER)
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=24 if note else 10)
    if note:
        axes.annotate(
            note, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=_SOFT, fontsize=9
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_SOFT)
    axes.tick_params(colors=_SOFT, labelsize=9)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _label_axes(
    axes: Axes, x: str, y: str, *, shares: Literal["x", "xy"] | None, counts: Literal["x", "y"] | None
) -> None:
    """Label both axes. Those in ``shares`` show percentages of [0, 1]; the one in ``counts`` shows whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(x, color=_INK, fontsize=10)
    axes.set_ylabel(y, color=_INK, fontsize=10)
    if shares:
        axes.set_xlim(0, 1)
        axes.set_xticks([i / 5 for i in range(6)])
        axes.xaxis.set_major_formatter(_percent)
    if shares == "xy":
        axes.yaxis.set_major_formatter(_percent)
    if counts:
        axis = axes.xaxis if counts == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        axis.set_major_formatter("{x:,.0f}")


def _percent(share: float, _: float) -> str:
    return f"{100 * share:.3g}%"


def _legend(place: Axes | Figure, drawn: Sequence[Artist | Container], *, loc: Any, **options: Any) -> None:
    """A legend of what was drawn. Names come from users: they are not parsed as math, nor hidden by an underscore."""
    handles: Any = drawn  # matplotlib accepts containers, its type hints do not
    names = [str(artist.get_label()) for artist in drawn]
    style = {"fontsize": 9, "labelcolor": _INK, "edgecolor": _GRID, "title_fontproperties": {"size": 9}}
    for text in place.legend(handles, names, loc=loc, **style, **options).get_texts():
        text.set_parse_math(False)


def _short(label: str, most: int = 28) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
