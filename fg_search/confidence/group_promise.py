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
from fg_search.confidence.thresholds import GroupBasis, PrecisionThreshold

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
        answered: Number of those that the threshold of all answers. If there is none, all are looked at.
        precision: Estimated precision of these answers, in [0, 1].
        low: Lower end of its 80 % interval.
        high: Upper end.
        falls_short: Whether these answers are shown to miss the target.
        threshold: The group's threshold; its ``basis`` says where it comes from.
    """

    group: str
    judged: int
    answered: int
    precision: float
    low: float
    high: float
    falls_short: bool
    threshold: PrecisionThreshold

    @property
    def is_promised(self) -> bool:
        """Whether the target precision is promised to this group by itself."""
        return self.threshold.basis in ("own", "pooled")


@dataclass(frozen=True, eq=False)
class GroupThresholds:
    """Thresholds of the groups for one target precision.

    None is below the threshold of all queries, so that what is promised to all of them holds as well. A group that
    falls short there has a higher one only if its surest answers are better than the others of it. Where nothing can be
    promised to all, its own answers alone have to show the target.

    Attributes:
        groups: The groups.
        bounds: Precisions of their answers.
        pooled: The threshold of all queries together.
        least: No threshold is below this, whatever the groups say.
    """

    groups: JudgedGroups
    bounds: GroupBounds
    pooled: PrecisionThreshold
    least: float

    def table(self) -> list[GroupPromise]:
        """What is promised to each group, the least precise one first."""
        rows = [self.promise(name) for name in self.groups.names]
        return sorted(rows, key=lambda row: (row.precision, row.group))

    def promise(self, name: str) -> GroupPromise:
        """What is promised to a group, judged or not."""
        row, bounds, pooled = self.groups.number(name), self.bounds, self.pooled
        judged = int((self.groups.codes == row).sum())
        allowed = bounds.thresholds >= max(pooled.threshold or 0.0, self.least)
        reached = allowed & (bounds.lower[row] >= pooled.target)
        at = int(allowed.sum()) - 1 if pooled.threshold is not None else -1
        high = float(bounds.high[row, at])
        precision, falls_short = float(bounds.precision[row, at]), high < pooled.target
        if pooled.threshold is None:
            reached &= bounds.own(row, pooled.delta) >= pooled.target
        elif falls_short:
            reached &= bounds.doubted(row, precision) >= pooled.target
        found = GroupPromise(
            group=name,
            judged=judged,
            answered=int(bounds.answered[row, at]),
            precision=precision,
            low=float(bounds.low[row, at]),
            high=high,
            falls_short=falls_short,
            threshold=replace(pooled, queries=judged, group=name, grouped_by=self.groups.by),
        )
        own = int(np.flatnonzero(reached)[-1]) if reached.any() else None
        if own is not None and pooled.threshold is not None and own == at:
            return self._with(found, "pooled", "keeps the threshold of all", precision=found.precision)
        if own is not None:
            return self._own(found, float(bounds.thresholds[own]), row, own)
        if falls_short:
            said = f"falls short of a precision of {pooled.target:.1%}, and no threshold of its own reaches it"
            return self._with(found, "none", said, threshold=None, coverage=0.0, precision=float("nan"))
        if pooled.threshold is None:
            return self._with(found, "none", f"has no threshold, as all together have none ({pooled.reason})")
        said = "has the threshold of all, and no promise by itself"
        return self._with(found, "not promised", said, precision=found.precision)

    def _own(self, found: GroupPromise, threshold: float, row: int, at: int) -> GroupPromise:
        before = self.pooled.threshold
        place = "where all together have none" if before is None else f"in place of {before:.4g}"
        return self._with(
            found,
            "own",
            f"has its own threshold, {threshold:.4g} {place}",
            threshold=threshold,
            precision=float(self.bounds.precision[row, at]),
            coverage=float(self.bounds.answered[row, at] / found.judged) if found.judged else 0.0,
        )

    def _with(self, found: GroupPromise, basis: GroupBasis, said: str, **changes: Any) -> GroupPromise:
        where = "if all are given" if self.pooled.threshold is None else "at the threshold of all"
        reason = (
            f"{self.groups.by} {found.group} {said}: {found.precision:.1%} of its answers are right ({found.low:.1%} "
            f"to {found.high:.1%}) {where}, by {found.judged:,} judged queries"
        )
        return replace(found, threshold=replace(found.threshold, basis=basis, reason=reason, **changes))
