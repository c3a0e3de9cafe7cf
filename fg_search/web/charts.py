"""Coordinates of the charts, which the templates draw as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fg_search.evaluation import CurvePoint, ReliabilityBin

WIDTH, HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 26, 40
_SMALLEST, _LARGEST = 3.0, 8.0  # radius of a dot
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
    path = " ".join(
        f"{'L' if i else 'M'}{frame.x(point.coverage)} {frame.y(point.risk)}" for i, point in enumerate(curve)
    )
    return RiskCoverage(frame, path, _percents(frame))


def _percents(frame: Frame) -> list[Tick]:
    return [Tick(frame.y(i / 4 * frame.top), f"{i / 4 * frame.top * 100:.3g}%") for i in range(5)]
