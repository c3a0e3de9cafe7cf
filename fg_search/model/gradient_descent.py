"""Gradient descent on the codes, with early stopping on held-out examples."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fg_search.model.codebook import UNSUPERVISED
from fg_search.model.examples import Examples
from fg_search.model.head import FeatureGroupHead
from fg_search.model.history import FitCheck
from fg_search.model.loss import code_cross_entropy
from fg_search.model.progress import progress_bar

BATCH_SIZE = 128

_LEARNING_RATE = 1e-2
# A Gaussian prior on the weights counts as much as this many examples: against n of them its share of the mean loss
# falls as 1/n. With a constant decay, a head fitted on few examples is overconfident and ranks its errors worse.
_PRIOR_EXAMPLES = 1500
# AdamW bounds each weight by 1/decay (Xie & Li, 2024), and so each logit by the L1 norm of the last layer's input over
# the decay. With a smaller bound than this, a small head on a small corpus never learns its codes.
_MAX_LOGIT = 100.0
_NOISE = 0.5  # standard deviation of the input noise, in units of 1/sqrt(d)
_LABEL_SMOOTHING = 0.05

_CHECKS = 10  # checks of the held-out loss per run
_PATIENCE = 3  # consecutive checks with a held-out loss well above its minimum before training stops
_WELL_ABOVE = 1.2  # times the minimum
_MONITORED = 1024  # held-out examples per check
_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


def optimise(
    head: FeatureGroupHead,
    data: Examples,
    held_out: Examples | None,
    steps: int,
    show_progress: bool | None,
) -> tuple[tuple[FitCheck, ...], int]:
    """Train the head in place.

    A run that completes all steps keeps its last weights. Earlier weights with a slightly lower held-out loss, from
    before the learning rate had decayed, rank errors worse (measured); so do runs stopped at a slight rise.

    Returns:
        The checks, and the step whose weights were kept.
    """
    n, dimension = data.inputs.shape
    norm = dimension**0.5 if head.hidden_features is None else head.hidden_features  # roughly the L1 norm of a row
    decay = min(_PRIOR_EXAMPLES / n, norm / _MAX_LOGIT)
    device = data.inputs.device
    optimiser = torch.optim.AdamW(head.parameters(), lr=_LEARNING_RATE, weight_decay=decay, fused=device.type != "mps")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_LEARNING_RATE, total_steps=steps)
    noise = _NOISE / dimension**0.5
    batch = min(BATCH_SIZE, n)
    every = max(1, steps // _CHECKS)
    losses: list[Tensor] = []
    checks: list[FitCheck] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    risen = 0
    with progress_bar(steps, show_progress, "fit", "steps") as advance:
        for step in range(1, steps + 1):
            head.train()
            chosen = torch.randint(n, (batch,), device=device)
            noisy = data.inputs[chosen] + noise * torch.randn(batch, dimension, device=device)
            loss = code_cross_entropy(head.logits_of_rows(noisy), data.targets[chosen], _LABEL_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            advance(1)
            losses.append(loss.detach())
            if step % every and step != steps:
                continue
            held_out_loss = None if held_out is None else _held_out_loss(head, held_out)
            checks.append(FitCheck(step, float(torch.stack(losses).mean()), held_out_loss))
            losses.clear()
            if held_out_loss is None:
                continue
            if best is None or held_out_loss < best[0]:
                best = held_out_loss, step, copy.deepcopy(head.state_dict())
            risen = risen + 1 if held_out_loss > _WELL_ABOVE * best[0] else 0
            if risen == _PATIENCE and step < steps:
                head.load_state_dict(best[2])
                return tuple(checks), best[1]
    return tuple(checks), steps


@torch.no_grad()
def _held_out_loss(head: FeatureGroupHead, held_out: Examples) -> float:
    """Loss at the best of a few temperatures: overconfidence alone is corrected later and is no reason to stop."""
    head.eval()
    targets = held_out.targets[:_MONITORED]
    known = targets != UNSUPERVISED
    logits, targets = head.logits_of_rows(held_out.inputs[:_MONITORED])[known], targets[known]
    return min(float(nn.functional.cross_entropy(logits / temperature, targets)) for temperature in _TEMPERATURES)
