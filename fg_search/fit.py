"""Training a feature-group head on cached embeddings."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from fg_search.codebook import UNSUPERVISED, Codebook
from fg_search.head import FeatureGroupHead
from fg_search.validation import check_vectors

_BATCH = 256
_EPOCHS = 25
_MIN_STEPS, _MAX_STEPS = 200, 1500
_LEARNING_RATE = 1e-2
# A Gaussian prior on the weights counts like so many examples: against n of them its share of the mean loss
# falls as 1/n. With a constant decay a head fitted on few examples is sure of everything (every confidence of
# its own corpus is 1.00), and ranks its errors worse.
_PRIOR_EXAMPLES = 1500
# AdamW holds a weight below 1/decay (Xie & Li, 2024), and so a logit below the L1 norm of the last layer's
# input over the decay. With less room than this a small head on a small corpus never learns its codes.
_LARGEST_LOGIT = 100.0
_DROPOUT = 0.1
_NOISE = 0.5  # standard deviation of the input noise, in units of 1/sqrt(d)


def fit_head(
    embeddings: npt.NDArray[np.floating[Any]],
    codebook: Codebook,
    *,
    hidden: int | None = 512,
    trunks: int = 1,
    steps: int | None = None,
    seed: int = 0,
    show_progress: bool | None = None,
) -> FeatureGroupHead:
    """Train a head so that each group classifies the codes of its codebook.

    The loss is the mean over groups of the cross-entropy of the code. AdamW with a one-cycle schedule
    (Smith & Topin, 2018), dropout, and Gaussian noise on the unit input. The same seed gives the same head,
    bit for bit on one machine; the caller's random state is left alone.

    Args:
        embeddings: ``(n, d)`` float array, finite; row i belongs to ``codebook.targets[i]``.
        codebook: Targets and sizes; rows whose targets are all -1 are left out.
        hidden: Width of the hidden layer of each trunk; ``None`` for a linear head.
        trunks: Independent trunks, each with its own hidden layer and its share of the groups.
        steps: Optimisation steps of up to 256 examples; by default 25 epochs, but 200 to 1,500 steps.
        seed: Seed of the initial weights, the batches, the noise and dropout.
        show_progress: Draw a progress bar; by default when stderr is a terminal.

    Returns:
        The trained head on the CPU, in evaluation mode.

    Raises:
        ValueError: If shapes do not fit, a vector is not finite, or nothing is supervised.
    """
    rows = check_vectors(embeddings, name="embeddings")
    if len(rows) != len(codebook.targets):
        raise ValueError(
            f"embeddings has {len(rows)} rows but the codebook has targets for {len(codebook.targets)} examples"
        )
    supervised = np.flatnonzero((codebook.targets != UNSUPERVISED).any(axis=1))
    if not len(supervised):
        raise ValueError("the codebook holds no targets: make it from the examples to train on")
    if steps is None:
        steps = min(max(_EPOCHS * len(supervised) // _BATCH, _MIN_STEPS), _MAX_STEPS)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")

    inputs = nn.functional.normalize(torch.from_numpy(rows[supervised]), dim=-1)
    targets = torch.from_numpy(codebook.targets[supervised])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = FeatureGroupHead(
            rows.shape[1],
            codebook.groups,
            codebook.codes_per_group,
            hidden_features=hidden,
            trunks=trunks,
            dropout=_DROPOUT if hidden is not None else 0.0,
        )
        _optimise(head, inputs, targets, steps, show_progress)
    return head.eval()


def _optimise(
    head: FeatureGroupHead,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    steps: int,
    show_progress: bool | None,
) -> None:
    head.train()
    # L1 norms: of a row after LayerNorm, or of a unit row
    norm = inputs.shape[1] ** 0.5 if head.hidden_features is None else head.hidden_features
    decay = min(_PRIOR_EXAMPLES / len(inputs), norm / _LARGEST_LOGIT)
    optimiser = torch.optim.AdamW(head.parameters(), lr=_LEARNING_RATE, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_LEARNING_RATE, total_steps=steps)
    noise = _NOISE / inputs.shape[1] ** 0.5
    batch = min(_BATCH, len(inputs))
    hide = not (sys.stderr.isatty() if show_progress is None else show_progress)
    for _ in tqdm(range(steps), desc="fit", unit="step", disable=hide, leave=False):
        chosen = torch.randint(len(inputs), (batch,))
        noisy = inputs[chosen] + noise * torch.randn(batch, inputs.shape[1])
        loss = nn.functional.cross_entropy(
            head.logits_of_unit(noisy).flatten(0, 1),
            targets[chosen].flatten(),
            ignore_index=UNSUPERVISED,
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
