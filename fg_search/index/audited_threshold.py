"""Thresholds that judged answers have raised: the promise of the calibration was refuted by its own traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, log
from typing import Any

import numpy as np
from typing_extensions import Self

from fg_search.confidence.precision_curve import PrecisionCurve
from fg_search.confidence.thresholds import PrecisionThreshold

_LEAST = 1e-6  # so far from 0 and 1 a probability has log odds


@dataclass(frozen=True)
class AuditedThreshold:
    """A threshold that answers were found to need, by judging some of them.

    Attributes:
        target: Target precision that was refuted. Searches for this precision, and for higher ones, need the threshold.
        threshold: Lowest confidence to answer; ``None`` if no threshold agrees with the judgements.
        instead_of: Threshold by the calibration alone at that time.
        judged: Number of judged answers that refuted the one before.
        right: Number of right ones among them.
        tenant: The tenant whose answers were judged: other tenants' searches do not need it. ``None`` in an index
            without tenants.
    """

    target: float
    threshold: float | None
    instead_of: float
    judged: int
    right: int
    tenant: str | None = None

    def beside(self, calibrated: float | None) -> AuditedThreshold:
        """The threshold that is needed where the calibration alone has another one than at that time.

        Confidences change with the traffic's share of unanswerable queries. What the judgements have shown is by how
        much they are too high: a distance in log odds, which is taken to stay the same.

        Args:
            calibrated: Threshold by the calibration alone now; ``None`` if it promises nothing now.
        """
        if self.threshold is None or calibrated == self.instead_of:
            return self
        if calibrated is None:
            return replace(self, threshold=None)
        raised_by = _logit(self.threshold) - _logit(self.instead_of)
        return replace(self, threshold=1 / (1 + exp(-(_logit(calibrated) + raised_by))), instead_of=calibrated)

    @classmethod
    def of_metadata(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild it from :meth:`to_metadata`."""
        names = ("target", "instead_of", "judged", "right")
        return cls(threshold=data.get("threshold"), tenant=data.get("tenant"), **{name: data[name] for name in names})

    def to_metadata(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def raised(found: PrecisionThreshold, audited: Sequence[AuditedThreshold], curve: PrecisionCurve) -> PrecisionThreshold:
    """The threshold for a target precision, raised to what judged answers have shown to be needed.

    Args:
        found: Threshold by the calibration alone.
        audited: Thresholds by judged answers.
        curve: Coverage and precision of the calibration queries from each threshold up.
    """
    needed = [one for one in audited if one.target <= found.target]
    if found.threshold is None or not needed:
        return found
    refuted = next((one for one in needed if one.threshold is None), None)
    if refuted is not None:
        return replace(
            found,
            threshold=None,
            coverage=0.0,
            precision=float("nan"),
            reason=f"of {refuted.judged} judged answers only {refuted.right} were right, which refutes a precision of "
            f"{refuted.target:.1%}, and no threshold agrees with them; calibrate again, on queries of this traffic",
        )
    highest = max(needed, key=lambda one: one.threshold or 0.0)
    assert highest.threshold is not None  # noqa: S101  looked at above
    if highest.threshold <= found.threshold:
        return found
    above = np.flatnonzero(curve.thresholds >= highest.threshold)
    coverage, precision = (
        (float(curve.coverage[above[-1]]), float(curve.precision[above[-1]])) if len(above) else (0.0, float("nan"))
    )
    return replace(
        found,
        threshold=highest.threshold,
        coverage=coverage,
        precision=precision,
        reason=f"at {highest.threshold:.4g} and above, {coverage:.1%} of the queries are answered; it "
        f"was {found.threshold:.4g} before only {highest.right} of {highest.judged} judged answers were right",
    )


def _logit(probability: float) -> float:
    within = min(max(probability, _LEAST), 1 - _LEAST)
    return log(within / (1 - within))
