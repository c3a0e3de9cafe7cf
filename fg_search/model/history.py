"""The training history of a head."""

from __future__ import annotations

from dataclasses import dataclass

from fg_search.model.temperature import Temperature


@dataclass(frozen=True)
class FitCheck:
    """Training and held-out loss at one step.

    Attributes:
        step: Number of optimisation steps so far.
        train_loss: Mean training loss since the previous check.
        held_out_loss: Mean cross-entropy of the codes on held-out examples, at the best of a few temperatures; ``None``
            if no examples were held out.
    """

    step: int
    train_loss: float
    held_out_loss: float | None


@dataclass(frozen=True)
class FitHistory:
    """How a head was trained.

    Attributes:
        checks: Losses over time.
        best_step: Step whose weights were kept: the last one, or, after early stopping, the one with the lowest
            held-out loss.
        stopped_early: Whether training stopped before the last step.
        held_out: Number of examples held out from at least a part of the head.
        calibration: Fitted temperature, with the calibration error on held-out examples before and after; ``None`` if
            no examples were held out.
    """

    checks: tuple[FitCheck, ...]
    best_step: int
    stopped_early: bool
    held_out: int
    calibration: Temperature | None
