"""What can be promised now where a precision cannot, and how many more judged queries it would take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fg_search.confidence.precision_curve import precision_curve
from fg_search.confidence.promise import DELTA, PrecisionPromise
from fg_search.confidence.thresholds import fewest_answers

_TIMES = (1.5, 2, 3, 4, 6, 8, 12, 16)  # as many judged queries
_MOST = 20_000  # judged queries that are thought of


@dataclass(frozen=True)
class Outlook:
    """What is in sight for a precision that cannot be promised.

    Attributes:
        target: The precision, in (0, 1).
        queries: Number of judged queries.
        needed: Number of judged queries with which it could be promised, if new ones turn out as these did; ``None``
            if even 16 times as many would not do: answers have to become better then.
        best: Highest precision that can be promised now, rounded down to tenths of a percent; ``None`` if there is
            none.
    """

    target: float
    queries: int
    needed: int | None
    best: float | None

    @property
    def more(self) -> int | None:
        """Number of judged queries that are missing."""
        return None if self.needed is None else self.needed - self.queries

    def __str__(self) -> str:
        wanted = f"{self.target:.1%}"
        if self.more is None:
            way = (
                f"{wanted} cannot be promised by more queries like these {self.queries:,}: too many of the surest "
                "answers are wrong"
            )
        else:
            way = f"{wanted} takes about {self.more:,} more judged queries, if they turn out as these {self.queries:,}"
        if self.best is None:
            return way
        return f"{way}; {self.best:.1%} can be promised now"


def best_precision(promise: PrecisionPromise, delta: float = DELTA) -> float | None:
    """Highest precision that can be promised now, rounded down to tenths of a percent; ``None`` if there is none."""
    best = float(np.floor(1000 * promise.curve.lower.max()) / 1000) if len(promise.curve.lower) else 0.0
    return best if best > 0 and promise.threshold(best, delta) else None


def outlook(promise: PrecisionPromise, target: float, delta: float = DELTA) -> Outlook | None:
    """Look ahead. ``None`` if the target can be promised as it is.

    The judged queries are repeated, 1.5 to 16 times, and bounded anew: what is observed stays, only its chance error
    shrinks. That is an estimate of a number, and no promise.

    Args:
        promise: What was learned from judged queries.
        target: Precision that is wanted, in (0, 1).
        delta: Probability with which the precision may fall below it.
    """
    if promise.threshold(target, delta):
        return None
    count = len(promise.judged)
    best_now = best_precision(promise, delta)
    least = fewest_answers(target, delta)
    share = promise.share
    stated = share.value if share.source == "stated" else None
    traffic = None if promise.adaptation is None else promise.adaptation.traffic
    for times in _TIMES:
        needed = int(times * count)
        if needed < least:
            continue
        if needed > _MOST:
            break
        repeated = promise.judged[np.resize(np.arange(count), needed)]
        curve = precision_curve(repeated, promise.ratio, stated=stated, traffic=traffic, delta=delta)
        if curve.threshold(target):
            return Outlook(target, promise.queries, needed, best_now)
    return Outlook(target, promise.queries, None, best_now)
