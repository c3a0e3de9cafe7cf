"""From numbers to the coordinates of inline SVG; the templates draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fg_search.evaluation import CurvePoint, ReliabilityBin

WIDTH, HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 26, 40
_SMALLEST, _LARGEST = 3.0, 8.0  # radius of a dot
_NICE = (0.04, 0.08, 0.2, 0.4, 0.6, 0.8, 1.0)  # a quarter of each is a round number


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: Its coordinate.
        text: What stands there.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Frame:
    """The rectangle that is drawn in.

    Attributes:
        top: Value at the upper end of the vertical axis.
    """

    top: float = 1.0

    width, height = WIDTH, HEIGHT
    left, right, upper, lower = _LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM

    def x(self, share: float) -> float:
        """Coordinate of a number in [0, 1]."""
        return round(_LEFT + share * (self.right - _LEFT), 2)

    def y(self, value: float) -> float:
        """Coordinate of a number from 0 to ``top``."""
        return round(self.lower - value / self.top * (self.lower - _TOP), 2)

    @property
    def x_ticks(self) -> list[Tick]:
        """From 0 to 1."""
        return [Tick(self.x(i / 5), f"{i / 5:.0%}") for i in range(6)]


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram.

    Attributes:
        x: Left.
        y: Upper.
        width: In the same unit.
        height: In the same unit.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Dot:
    """A dot with a whisker.

    Attributes:
        x: Of its middle.
        y: Of its middle.
        radius: By the number of queries.
        low: Coordinate of the whisker's lower end.
        high: Of its upper end.
    """

    x: float
    y: float
    radius: float
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """Counts as bars."""

    frame: Frame
    bars: Sequence[Bar]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class Reliability:
    """Promised against observed shares."""

    frame: Frame
    dots: Sequence[Dot]
    y_ticks: Sequence[Tick]


@dataclass(frozen=True)
class RiskCoverage:
    """The risk at each coverage, as the path of a line."""

    frame: Frame
    path: str
    y_ticks: Sequence[Tick]


def histogram(counts: Sequence[int]) -> Histogram:
    """Bars for counts over equal intervals of [0, 1]."""
    frame = Frame(top=float(max(*counts, 1)))
    bars = []
    for i, count in enumerate(counts):
        left, right, top = frame.x(i / len(counts)), frame.x((i + 1) / len(counts)), frame.y(count)
        bars.append(Bar(left + 1, top, round(right - left - 2, 2), round(frame.lower - top, 2)))
    return Histogram(frame, bars, [Tick(frame.y(0), "0"), Tick(frame.y(frame.top), f"{frame.top:,.0f}")])


def reliability(bins: Sequence[ReliabilityBin]) -> Reliability:
    """A dot for each interval."""
    frame = Frame()
    most = max(one.queries for one in bins)
    dots = [
        Dot(
            frame.x(one.promised),
            frame.y(one.right),
            round(_SMALLEST + (_LARGEST - _SMALLEST) * (one.queries / most) ** 0.5, 2),
            frame.y(one.interval[0]),
            frame.y(one.interval[1]),
        )
        for one in bins
    ]
    return Reliability(frame, dots, _percents(frame))


def risk_coverage(curve: Sequence[CurvePoint]) -> RiskCoverage:
    """A line through the points, on an axis that ends a little above the highest."""
    highest = max(point.risk for point in curve)
    frame = Frame(top=next(nice for nice in _NICE if nice >= highest))
    path = " ".join(
        f"{'L' if i else 'M'}{frame.x(point.coverage)} {frame.y(point.risk)}" for i, point in enumerate(curve)
    )
    return RiskCoverage(frame, path, _percents(frame))


def _percents(frame: Frame) -> list[Tick]:
    return [Tick(frame.y(i / 4 * frame.top), f"{i / 4 * frame.top * 100:.3g}%") for i in range(5)]
