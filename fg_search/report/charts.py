"""Coordinates of charts, which templates draw as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import Self

from fg_search.evaluation import CurvePoint, Proportion, ReliabilityBin, Slice, at_coverages

WIDTH, HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 26, 40
_SMALLEST, _LARGEST = 3.0, 8.0  # radius of a dot
_ROW = 22  # height of a slice
_NAMES, _COUNTS = 112, 84  # width of the names and of the counts of slices
_LONGEST_NAME = 20  # characters
_SOME = 0.05  # coverage below which the risk is that of a few queries, and would flatten the rest of the curve
_STEPS = 200  # points of a curve
_NICE = (0.04, 0.08, 0.2, 0.4, 0.6, 0.8, 1.0)  # ends of an axis whose quarters are round numbers


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: Coordinate of the mark.
        text: Text of the mark.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Frame:
    """The plot area and its scales.

    Attributes:
        top: Value at the upper end of the vertical axis.
    """

    top: float = 1.0

    width, height = WIDTH, HEIGHT
    left, right, upper, lower = _LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM

    def x(self, share: float) -> float:
        """Horizontal coordinate of a share in [0, 1]."""
        return round(_LEFT + share * (self.right - _LEFT), 2)

    def y(self, value: float) -> float:
        """Vertical coordinate of a value in [0, top]."""
        return round(self.lower - value / self.top * (self.lower - _TOP), 2)

    @property
    def x_ticks(self) -> list[Tick]:
        """Marks from 0 % to 100 %."""
        return [Tick(self.x(i / 5), f"{i / 5:.0%}") for i in range(6)]


@dataclass(frozen=True)
class RowFrame:
    """The plot area of rows, one below the other, and its horizontal scale.

    Attributes:
        rows: Number of rows.
        low: Value at the left end of the horizontal axis, in [0, 1).
    """

    rows: int
    low: float = 0.0

    width, left, right, upper = WIDTH, _NAMES, WIDTH - _COUNTS, 8

    @property
    def lower(self) -> int:
        """Vertical coordinate of the axis."""
        return self.upper + _ROW * self.rows

    @property
    def height(self) -> int:
        """Height of the chart."""
        return self.lower + _BOTTOM

    def x(self, share: float) -> float:
        """Horizontal coordinate of a share in [low, 1]."""
        return round(self.left + (share - self.low) / (1 - self.low) * (self.right - self.left), 2)

    def y(self, row: int) -> float:
        """Vertical coordinate of the middle of a row."""
        return self.upper + _ROW * (row + 0.5)

    @property
    def x_ticks(self) -> list[Tick]:
        """Marks from the left end to 100 %."""
        shares = [self.low + i / 4 * (1 - self.low) for i in range(5)]
        return [Tick(self.x(share), f"{share * 100:.3g}%") for share in shares]


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram.

    Attributes:
        x: Left end.
        y: Upper end.
        width: Width.
        height: Height.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Dot:
    """A dot with a whisker.

    Attributes:
        x: Horizontal coordinate of the center.
        y: Vertical coordinate of the center.
        radius: Radius, which grows with the number of queries.
        low: Vertical coordinate of the lower end of the whisker.
        high: Vertical coordinate of the upper end of the whisker.
    """

    x: float
    y: float
    radius: float
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """A histogram."""

    frame: Frame
    bars: Sequence[Bar]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: observed against promised shares of right answers."""

    frame: Frame
    dots: Sequence[Dot]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class RiskCoverage:
    """A risk-coverage curve, as the path of a line."""

    frame: Frame
    path: str
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class Line:
    """A named line, as a path."""

    name: str
    path: str


@dataclass(frozen=True)
class RiskCoverages:
    """Risk-coverage curves of several rankings of the same answers."""

    frame: Frame
    lines: Sequence[Line]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class RowDot:
    """A dot in a row, with a whisker; all three are horizontal coordinates.

    Attributes:
        x: The dot.
        low: Lower end of the whisker.
        high: Upper end of the whisker.
    """

    x: float
    low: float
    high: float

    @classmethod
    def of(cls, frame: RowFrame, found: Proportion) -> Self:
        """Draw a share and its interval."""
        return cls(frame.x(found.share), frame.x(found.low), frame.x(found.high))


@dataclass(frozen=True)
class SliceRow:
    """A slice.

    Attributes:
        name: Its value, shortened.
        figure: Its precision and of how many answers, as a text.
        y: Vertical coordinate.
        dot: Its precision; ``None`` if nothing is answered.
        falls_short: Whether the precision is below the target by more than chance.
    """

    name: str
    figure: str
    y: float
    dot: RowDot | None
    falls_short: bool


@dataclass(frozen=True)
class Precisions:
    """Precision of slices, row by row, and the horizontal coordinate of the target if there is one."""

    frame: RowFrame
    rows: Sequence[SliceRow]
    target: float | None


def histogram(counts: Sequence[int]) -> Histogram:
    """Draw counts over equal intervals of [0, 1] as bars."""
    frame = Frame(top=float(max(*counts, 1)))
    bars = []
    for i, count in enumerate(counts):
        left, right, top = frame.x(i / len(counts)), frame.x((i + 1) / len(counts)), frame.y(count)
        bars.append(Bar(left + 1, top, round(right - left - 2, 2), round(frame.lower - top, 2)))
    return Histogram(frame, bars, [Tick(frame.y(0), "0"), Tick(frame.y(frame.top), f"{frame.top:,.0f}")])


def reliability(bins: Sequence[ReliabilityBin]) -> Reliability:
    """Draw a dot with a whisker for each bin."""
    frame = Frame()
    most = max(each.queries for each in bins)
    dots = [
        Dot(
            frame.x(each.promised),
            frame.y(each.right),
            round(_SMALLEST + (_LARGEST - _SMALLEST) * (each.queries / most) ** 0.5, 2),
            frame.y(each.interval[0]),
            frame.y(each.interval[1]),
        )
        for each in bins
    ]
    return Reliability(frame, dots, _percents(frame))


def risk_coverage(curve: Sequence[CurvePoint]) -> RiskCoverage:
    """Draw the curve as a line, on an axis that ends a little above its highest point."""
    highest = max(point.risk for point in curve)
    frame = Frame(top=next(nice for nice in _NICE if nice >= highest))
    return RiskCoverage(frame, _path(frame, curve), _percents(frame))


def risk_coverages(curves: Mapping[str, Sequence[CurvePoint]]) -> RiskCoverages:
    """Draw several curves as lines, from a coverage of 5 % on."""
    drawn = {
        name: [point for point in at_coverages(curve, _STEPS) if point.coverage >= _SOME]
        for name, curve in curves.items()
    }
    highest = max(point.risk for curve in drawn.values() for point in curve)
    frame = Frame(top=next(nice for nice in _NICE if nice >= highest))
    return RiskCoverages(frame, [Line(name, _path(frame, curve)) for name, curve in drawn.items()], _percents(frame))


def precisions(slices: Sequence[Slice]) -> Precisions:
    """Draw a dot with a whisker for each slice, on an axis that begins below the lowest whisker and the target."""
    target = slices[0].target
    ends = [each.precision.low for each in slices if each.precision.total]
    lowest = min(ends + ([] if target is None else [target]), default=0.0)
    frame = RowFrame(len(slices), next((start for start in (0.8, 0.6, 0.4, 0.2) if start < lowest), 0.0))
    rows = [
        SliceRow(
            name=each.name if len(each.name) <= _LONGEST_NAME else f"{each.name[: _LONGEST_NAME - 1]}…",
            figure=f"{each.precision.share:.0%} of {each.precision.total:,}" if each.precision.total else "no answer",
            y=frame.y(i),
            dot=RowDot.of(frame, each.precision) if each.precision.total else None,
            falls_short=each.falls_short,
        )
        for i, each in enumerate(slices)
    ]
    return Precisions(frame, rows, None if target is None else frame.x(target))


def _path(frame: Frame, curve: Sequence[CurvePoint]) -> str:
    return " ".join(
        f"{'L' if i else 'M'}{frame.x(point.coverage)} {frame.y(point.risk)}" for i, point in enumerate(curve)
    )


def _percents(frame: Frame) -> list[Tick]:
    return [Tick(frame.y(i / 4 * frame.top), f"{i / 4 * frame.top * 100:.3g}%") for i in range(5)]
