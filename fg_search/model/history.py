"""How the training of a head went."""

from __future__ import annotations

from dataclasses import dataclass

from fg_search.model.temperature import Temperature


@dataclass(frozen=True)
class FitCheck:
    """One look at the losses in the course of training.

    Attributes:
        step: Optimisation steps made so far.
        train_loss: Mean loss of the steps since the last check.
        held_out_loss: Mean cross-entropy of the codes on held-out examples, at the best of a few temperatures;
            ``None`` where none was held out.
    """

    step: int
    train_loss: float
    held_out_loss: float | None


@dataclass(frozen=True)
class FitHistory:
    """How a head was trained.

    Attributes:
        checks: Losses over time.
        best_step: The step whose weights were kept: the last, or after an early stop that of the lowest held-out
            loss.
        stopped_early: Whether training ended before all steps were made.
        held_out: Examples that served as held-out ones, each for a part of the head at least.
        calibration: The fitted temperature with the expected calibration error of the group confidences on
            held-out examples before and after; ``None`` where none was held out.
    """

    checks: tuple[FitCheck, ...]
    best_step: int
    stopped_early: bool
    held_out: int
    calibration: Temperature | None
