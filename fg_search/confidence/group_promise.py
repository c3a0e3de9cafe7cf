"""Promises of a precision to each group of queries: to those with one predicted label, or to those of one tenant."""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from fg_search.confidence.group_bounds import GroupBounds
from fg_search.confidence.thresholds import PrecisionThreshold

PromiseBy = Literal["label", "tenant"]
GroupedBy = Literal["label", "tenant", "group"]

_WIDTH = "<i4"


@dataclass(frozen=True, eq=False)
class JudgedGroups:
    """Groups of n judged queries.

    Attributes:
        by: What they are grouped by: the label of the top hit, the tenant, or something else.
        names: Names of the g groups.
        codes: ``(n,)`` number of each query's group; -1 for those that are in none.
    """

    by: GroupedBy
    names: tuple[str, ...]
    codes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, by: GroupedBy, values: Sequence[object]) -> Self:
        """Group queries by ``(n,)`` values, where ``None`` is no group."""
        keys = [None if value is None else str(value) for value in values]
        names = tuple(sorted({key for key in keys if key is not None}))
        numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
        return cls(by, names, np.array([numbers.get(key, -1) for key in keys], dtype=np.int64))

    def __getitem__(self, rows: npt.NDArray[Any]) -> Self:
        return replace(self, codes=self.codes[rows])

    def number(self, name: str) -> int:
        """Number of a group; g if no query of it was judged."""
        at = bisect_left(self.names, name)
        return at if at < len(self.names) and self.names[at] == name else len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the inverse of :meth:`from_dict`."""
        codes = base64.b64encode(self.codes.astype(_WIDTH).tobytes()).decode()
        return {"by": self.by, "names": list(self.names), "codes": codes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild groups from :meth:`to_dict`."""
        codes = np.frombuffer(base64.b64decode(data["codes"]), dtype=_WIDTH).astype(np.int64)
        return cls(data["by"], tuple(data["names"]), codes)


@dataclass(frozen=True)
class GroupPromise:
    """What is promised to one group of queries.

    Attributes:
        group: Name of the group: a label, or a tenant.
        judged: Number of its judged queries.
        answered: Number of those that the threshold of all would answer.
        precision: Estimated precision of the answers at the threshold of all, in [0, 1]; NaN if there is none.
        low: Lower end of its 80 % interval.
        high: Upper end.
        threshold: The group's threshold; its ``basis`` says where it comes from.
    """

    group: str
    judged: int
    answered: int
    precision: float
    low: float
    high: float
    threshold: PrecisionThreshold

    @property
    def falls_short(self) -> bool:
        """Whether the threshold of all is shown to be too low for this group."""
        return self.high < self.threshold.target

    @property
    def is_promised(self) -> bool:
        """Whether the target precision is promised to this group by itself."""
        return self.threshold.basis in ("own", "pooled")


@dataclass(frozen=True, eq=False)
class GroupThresholds:
    """Thresholds of the groups for one target precision.

    Attributes:
        groups: The groups.
        bounds: Precisions of their answers.
        pooled: The threshold of all queries together.
    """

    groups: JudgedGroups
    bounds: GroupBounds
    pooled: PrecisionThreshold

    def table(self) -> list[GroupPromise]:
        """What is promised to each group, the least precise one first."""
        rows = [self.promise(name) for name in self.groups.names]
        return sorted(rows, key=lambda row: (np.nan_to_num(row.precision), row.group))

    def promise(self, name: str) -> GroupPromise:
        """What is promised to a group, judged or not."""
        row, bounds, least = self.groups.number(name), self.bounds, self.pooled.threshold
        is_known = row < len(self.groups.names)
        judged = int((self.groups.codes == row).sum()) if is_known else 0
        at = np.flatnonzero(bounds.thresholds >= least) if least is not None else np.empty(0, dtype=np.int64)
        if not len(at):
            nothing = replace(self.pooled, queries=judged, group=name, grouped_by=self.groups.by, basis="none")
            return GroupPromise(name, judged, 0, float("nan"), float("nan"), float("nan"), nothing)
        precision, low, high = (float(values[row, at[-1]]) for values in (bounds.precision, bounds.low, bounds.high))
        found = GroupPromise(name, judged, int(bounds.answered[row, at[-1]]), precision, low, high, self.pooled)
        return replace(found, threshold=self._threshold(found, row, int(at[-1])))

    def _threshold(self, found: GroupPromise, row: int, at: int) -> PrecisionThreshold:
        bounds, pooled, named = self.bounds, self.pooled, f"{self.groups.by} {found.group}"
        reached = np.flatnonzero(bounds.lower[row, : at + 1] >= pooled.target)
        told = f"{found.judged:,} judged queries"
        seen = f"{found.precision:.1%} of its answers are right ({found.low:.1%} to {found.high:.1%}) at that of all"
        about = replace(
            pooled, queries=found.judged, group=found.group, grouped_by=self.groups.by, precision=found.precision
        )
        if not len(reached):
            if found.falls_short:
                return replace(
                    about,
                    threshold=None,
                    coverage=0.0,
                    precision=float("nan"),
                    basis="none",
                    reason=f"{named} falls short of a precision of {pooled.target:.1%}, and no threshold of its own "
                    f"reaches it: {seen}, by {told}",
                )
            reason = f"{named} has the threshold of all, and no promise by itself: {seen}, by {told}; {pooled.reason}"
            return replace(about, basis="not promised", reason=reason)
        own = int(reached[-1])
        if own == at:
            return replace(about, basis="pooled", reason=f"{named} keeps the threshold of all: {seen}, by {told}")
        threshold = float(bounds.thresholds[own])
        return replace(
            about,
            threshold=threshold,
            precision=float(bounds.precision[row, own]),
            coverage=float(bounds.answered[row, own] / found.judged) if found.judged else 0.0,
            basis="own",
            reason=f"{named} has its own threshold, {threshold:.4g} in place of {pooled.threshold:.4g}: {seen}, "
            f"by {told}",
        )
