"""Training a feature-group head on cached embeddings."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fg_search.model.codebook import UNSUPERVISED, Codebook, IntArray
from fg_search.model.head import FeatureGroupHead
from fg_search.model.history import FitCheck, FitHistory
from fg_search.model.loss import code_cross_entropy
from fg_search.model.output_layer import RANDOM_UNITS, OutputRegression, ideal_logits
from fg_search.model.temperature import Temperature, fit_temperature
from fg_search.validation import check_vectors

TRUNKS, HIDDEN = 8, 192

_BATCH = 128
_EPOCHS = 25
_MIN_STEPS, _MAX_STEPS = 400, 1400
_MAX_CLUSTER_STEPS = 500  # clusters of the embeddings are learned sooner than labels
_LEARNING_RATE = 1e-2
# A Gaussian prior on the weights counts like so many examples: against n of them its share of the mean loss
# falls as 1/n. With a constant decay a head fitted on few examples is sure of everything, and ranks its errors worse.
_PRIOR_EXAMPLES = 1500
# AdamW holds a weight below 1/decay (Xie & Li, 2024), and so a logit below the L1 norm of the last layer's
# input over the decay. With less room than this a small head on a small corpus never learns its codes.
_LARGEST_LOGIT = 100.0
_DROPOUT = 0.15
_NOISE = 0.5  # standard deviation of the input noise, in units of 1/sqrt(d)
_LABEL_SMOOTHING = 0.05

_RIDGES = (0.03, 0.3, 3.0, 30.0)  # tried in this order, for trained and random units of mean square norm one each
_PAYS = 0.87  # what a larger ridge may leave of the squared error to be taken: the smaller ranks errors better
_HELD_OUT = 0.1  # share of the examples that a trunk does not see
_MOST_HELD_OUT = 500  # where all trunks leave out the same
_CHECKS = 10  # of the held-out loss, over a whole run
_PATIENCE = 3  # checks in a row with a held-out loss well above its lowest before training stops
_WELL_ABOVE = 1.2
_MONITORED = 1024  # held-out examples looked at in a check
_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_ROWS = 8192  # rows in one pass without gradients


def fit_head(
    embeddings: npt.NDArray[np.floating[Any]],
    codebook: Codebook,
    *,
    hidden: int | None = HIDDEN,
    trunks: int | None = None,
    validation: tuple[npt.NDArray[np.floating[Any]], IntArray] | None = None,
    steps: int | None = None,
    closed_form: bool | None = None,
    seed: int = 0,
    device: str | None = None,
    show_progress: bool | None = None,
) -> FeatureGroupHead:
    """Train a head so that each group classifies the codes of its codebook.

    The loss is the mean over groups of the cross-entropy of the code, with label smoothing. AdamW with a
    one-cycle schedule (Smith & Topin, 2018), dropout, and Gaussian noise on the unit input. Training stops, and
    returns to its best weights, when the loss on held-out examples has risen and stays a fifth above its lowest.
    With ``closed_form`` the hidden layer is then widened by random units and gets an output layer that is solved
    (:class:`fg_search.model.output_layer.OutputRegression`); it is trained without dropout for that.
    Last, one temperature is fitted on held-out examples (Guo et al., 2017), so that group confidences are
    calibrated probabilities of the code.

    Held-out examples cost next to nothing. Unless ``validation`` is given, each trunk leaves out a tenth of the
    examples, another tenth than the next trunk (a single trunk: one tenth, of at most 500 examples). Before an output
    layer in closed form all trunks leave out the same tenth, of at most 500 examples; the output layer is solved
    on all, and held-out examples are judged by what it would say without them. An example that is alone with its
    label, or with its value of an attribute, is never left out.

    The same seed gives the same head, bit for bit on one machine; the caller's random state is left alone.

    Args:
        embeddings: ``(n, d)`` float array, finite; row i belongs to ``codebook.targets[i]``.
        codebook: Targets and sizes; rows whose targets are all -1 are left out.
        hidden: Width of the hidden layer of each trunk; ``None`` for a linear head.
        trunks: Independent trunks in the gradient descent, each with its own hidden layer and its share of the
            groups; by default the largest number up to 8 that divides the groups, for a linear head 1.
        validation: Held-out embeddings ``(m, d)`` and their codes ``(m, G)``, -1 where unknown (see
            :meth:`Codebook.targets_of_labels`); then nothing else is held out.
        steps: Optimisation steps of up to 128 examples; by default 25 epochs, but 400 to 1,400 steps, to
            500 for clusters.
        closed_form: Whether the output layer is solved in closed form; by default from 2,048 examples with labels or
            attributes on, if there is a hidden layer and an example that can be held out. Pass ``False`` for a
            head that is to be trained further, end to end: one that fits its examples as well as the solved one
            learns little from them.
        seed: Seed of the initial weights, the batches, the noise and dropout.
        device: Where to train (``"cpu"``, ``"cuda"``, ``"mps"``); by default an accelerator if there is one.
        show_progress: Draw a progress bar; by default when stderr is a terminal.

    Returns:
        The trained head on the CPU, in evaluation mode, its ``history`` a :class:`FitHistory`.

    Raises:
        ValueError: If shapes do not fit, a vector is not finite, nothing is supervised, or a linear head is to be
            solved in closed form.
    """
    rows = check_vectors(embeddings, name="embeddings")
    if len(rows) != len(codebook.targets):
        raise ValueError(
            f"embeddings has {len(rows)} rows but the codebook has targets for {len(codebook.targets)} examples"
        )
    supervised = np.flatnonzero((codebook.targets != UNSUPERVISED).any(axis=1))
    if not len(supervised):
        raise ValueError("the codebook holds no targets: make it from the examples to train on")
    clusters = codebook.supervision not in ("labels", "attributes")
    if steps is None:
        most = _MAX_CLUSTER_STEPS if clusters else _MAX_STEPS
        steps = min(max(_EPOCHS * len(supervised) // _BATCH, _MIN_STEPS), most)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if closed_form and hidden is None:
        raise ValueError("closed_form needs a hidden layer, got hidden=None")
    # with fewer examples than random units the regression interpolates, and is too sure of inputs unlike any seen;
    # without held-out ones nothing tells how sure it may be
    solved = (
        not clusters
        and hidden is not None
        and len(supervised) >= RANDOM_UNITS
        and (validation is not None or bool(_left_out(codebook, supervised, 1, seed).any()))
    )
    if closed_form is not None:
        solved = closed_form
    where = torch.device(device or _accelerator() or "cpu")
    with _seeded(seed, where):
        head = FeatureGroupHead(
            rows.shape[1],
            codebook.groups,
            codebook.codes_per_group,
            hidden=hidden,
            trunks=_default_trunks(codebook.groups, hidden) if trunks is None else trunks,
            dropout=0.0 if solved else _DROPOUT,
        ).to(where)
        data = _Data.of(rows[supervised], codebook.targets[supervised], where)
        if validation is None:
            left_out = torch.from_numpy(_left_out(codebook, supervised, 1 if solved else head.trunks, seed)).to(where)
            seen, held_out = data.without(left_out), data.without(~left_out).known()
        else:
            seen, held_out = data, _validation_of(validation, head, where)
        checks, best_step = _optimise(head, seen, held_out, steps, show_progress)
        logits = None
        if solved:
            head, logits = _solve_output(head, data, held_out, unseen=validation is not None)
    head.to("cpu").eval()
    calibration = None if held_out is None else _set_temperature(head, held_out, logits)
    head.history = FitHistory(
        checks,
        best_step,
        stopped_early=checks[-1].step < steps,
        held_out=0 if held_out is None else len(held_out.inputs),
        calibration=calibration,
    )
    return head


def trained_sizes(head: FeatureGroupHead) -> tuple[int | None, int | None]:
    """Width of the hidden layer and number of trunks with which :func:`fit_head` makes another head of this size.

    One with an output layer in closed form has its trunks joined, and random units beside them: it is trained with as
    many trunks as by default, if these have equal shares of the trained units.
    """
    hidden = head.hidden_features
    if hidden is None:
        return None, None
    if head.trunks > 1 or head.dropout or hidden <= RANDOM_UNITS:
        return hidden, head.trunks
    trained = hidden - RANDOM_UNITS
    trunks = _default_trunks(head.groups, trained)
    return (trained, 1) if trained % trunks else (trained // trunks, trunks)


def calibrate_temperature(
    head: FeatureGroupHead, embeddings: npt.NDArray[np.floating[Any]], codes: IntArray
) -> Temperature:
    """Set a trained head's temperature so that its group confidences are calibrated on held-out examples.

    Args:
        head: On the CPU; its temperature is replaced.
        embeddings: ``(m, d)`` float array of examples it was not trained on.
        codes: ``(m, G)`` int64, their codes, -1 where unknown.

    Raises:
        ValueError: If shapes do not fit or no code is known.
    """
    return _set_temperature(head.eval(), _validation_of((embeddings, codes), head, torch.device("cpu")))


@dataclass(frozen=True)
class _Data:
    """Unit rows ``(n, d)`` and codes ``(n, G)``, -1 where a group is not to be judged by an example."""

    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, rows: npt.NDArray[np.float32], targets: IntArray, device: torch.device) -> _Data:
        inputs = nn.functional.normalize(torch.from_numpy(rows), dim=-1)
        return cls(inputs.to(device), torch.from_numpy(targets).to(device))

    def without(self, hidden: Tensor) -> _Data:
        """The same rows, with the codes that ``(n, G)`` booleans hide unknown."""
        return _Data(self.inputs, self.targets.masked_fill(hidden, UNSUPERVISED))

    def known(self) -> _Data | None:
        """The rows with a code in some group, if there are any."""
        rows = (self.targets != UNSUPERVISED).any(dim=1)
        return _Data(self.inputs[rows], self.targets[rows]) if rows.any() else None


def stratified_parts(strata: Sequence[Any] | npt.NDArray[Any], parts: int, seed: int) -> IntArray:
    """Deal n examples into ``parts`` parts at random, the examples of each stratum evenly.

    Returns:
        ``(n,)`` int64, the part of each example.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(strata)), np.asarray(strata)))
    dealt = np.empty(len(order), dtype=np.int64)
    dealt[order] = np.arange(len(order)) % parts
    return dealt


def strata_of(codebook: Codebook, targets: IntArray) -> IntArray:
    """``(n,)`` int64: equal for examples of the same label; all equal where nothing was learned from labels."""
    if not codebook.labels:
        return np.zeros(len(targets), dtype=np.int64)
    labelled = targets[:, len(codebook.attributes) :]
    return np.asarray(np.unique(labelled, axis=0, return_inverse=True)[1], dtype=np.int64).reshape(-1)


def _left_out(codebook: Codebook, examples: IntArray, parts: int, seed: int) -> npt.NDArray[np.bool_]:
    """``(n, G)``: the groups not trained on each chosen example.

    Each of ``parts`` equal parts of the groups leaves out another tenth of the examples; all groups as one part
    the same tenth, of at most 500.
    """
    strata = strata_of(codebook, codebook.targets[examples])
    least = 1 if parts > 1 else -(-len(examples) // _MOST_HELD_OUT)
    dealt = stratified_parts(strata, max(parts, round(1 / _HELD_OUT), least), seed)
    alone = np.bincount(strata)[strata] == 1
    by_part = (dealt[:, None] == np.arange(parts)) & ~alone[:, None]
    columns = (codebook.targets[examples] - UNSUPERVISED).T
    only_one = np.stack([np.bincount(codes)[codes] == 1 for codes in columns], axis=1)  # a rare value of an attribute
    return np.asarray(np.repeat(by_part, codebook.groups // parts, axis=1) & ~only_one)


def _validation_of(
    validation: tuple[npt.NDArray[np.floating[Any]], IntArray], head: FeatureGroupHead, device: torch.device
) -> _Data:
    rows = check_vectors(validation[0], name="validation embeddings", dimension=head.in_features)
    targets = np.asarray(validation[1], dtype=np.int64)
    if targets.shape != (len(rows), head.groups):
        raise ValueError(f"validation codes must have shape {(len(rows), head.groups)}, got {targets.shape}")
    known = _Data.of(rows, targets, device).known()
    if known is None:
        raise ValueError("no validation example has a label that the head learns")
    return known


def _optimise(
    head: FeatureGroupHead,
    data: _Data,
    held_out: _Data | None,
    steps: int,
    show_progress: bool | None,
) -> tuple[tuple[FitCheck, ...], int]:
    """Train in place, return the checks and the step of the weights.

    A run that goes to its end keeps its last weights: earlier ones of a slightly lower held-out loss, from before the
    learning rate came to rest, rank errors worse (measured), as do runs that are stopped at a slight rise.
    """
    n, dimension = data.inputs.shape
    norm = dimension**0.5 if head.hidden_features is None else head.hidden_features  # about the L1 norm of a row
    decay = min(_PRIOR_EXAMPLES / n, norm / _LARGEST_LOGIT)
    device = data.inputs.device
    optimiser = torch.optim.AdamW(head.parameters(), lr=_LEARNING_RATE, weight_decay=decay, fused=device.type != "mps")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_LEARNING_RATE, total_steps=steps)
    noise = _NOISE / dimension**0.5
    batch = min(_BATCH, n)
    every = max(1, steps // _CHECKS)
    losses: list[Tensor] = []
    checks: list[FitCheck] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    risen = 0
    hide = not (sys.stderr.isatty() if show_progress is None else show_progress)
    for step in tqdm(range(1, steps + 1), desc="fit", unit="step", disable=hide, leave=False):
        head.train()
        chosen = torch.randint(n, (batch,), device=device)
        noisy = data.inputs[chosen] + noise * torch.randn(batch, dimension, device=device)
        loss = code_cross_entropy(head.logits_of_rows(noisy), data.targets[chosen], _LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
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
def _held_out_loss(head: FeatureGroupHead, held_out: _Data) -> float:
    """Loss at the best of a few temperatures: overconfidence alone is mended afterwards, and no reason to stop."""
    head.eval()
    targets = held_out.targets[:_MONITORED]
    judged = targets != UNSUPERVISED
    logits, targets = head.logits_of_rows(held_out.inputs[:_MONITORED])[judged], targets[judged]
    return min(float(nn.functional.cross_entropy(logits / temperature, targets)) for temperature in _TEMPERATURES)


def _solve_output(
    head: FeatureGroupHead, data: _Data, held_out: _Data | None, *, unseen: bool
) -> tuple[FeatureGroupHead, Tensor | None]:
    """The head with its output layer in closed form, and its logits of the held-out examples.

    The ridge grows as long as that lowers the squared error on held-out examples by an eighth. They are among
    the data, and judged by leave-one-out, unless they are ``unseen``.
    """
    regression = OutputRegression(head, data.inputs, data.targets)
    if held_out is None:
        return regression.solve(_RIDGES[0]), None
    inputs, targets = held_out.inputs.cpu(), held_out.targets.cpu()
    judged = targets != UNSUPERVISED

    def attempt(ridge: float) -> tuple[float, FeatureGroupHead, Tensor]:
        solved = regression.solve(ridge)
        logits = _logits(solved, inputs) if unseen else regression.leave_one_out(inputs, targets)
        error = (logits - ideal_logits(solved, targets))[judged].square().sum()
        return float(error), copy.deepcopy(solved), logits

    best = attempt(_RIDGES[0])
    for ridge in _RIDGES[1:]:
        found = attempt(ridge)
        if found[0] > _PAYS * best[0]:
            break
        best = found
    return best[1], best[2]


@torch.no_grad()
def _logits(head: FeatureGroupHead, inputs: Tensor) -> Tensor:
    """``(m, G, K)`` of a head on the CPU for unit rows ``(m, d)``."""
    return torch.cat([head.logits_of_rows(inputs[start : start + _ROWS]) for start in range(0, len(inputs), _ROWS)])


def _set_temperature(head: FeatureGroupHead, held_out: _Data, logits: Tensor | None = None) -> Temperature:
    """Fit and set the temperature of a head on the CPU; its logits at temperature 1 may be given."""
    head.temperature = 1.0
    if logits is None:
        logits = _logits(head, held_out.inputs.cpu())
    targets = held_out.targets.cpu()
    judged = targets != UNSUPERVISED
    found = fit_temperature(logits[judged].numpy(), targets[judged].numpy(), examples=len(targets))
    head.temperature = found.temperature
    return found


def _default_trunks(groups: int, hidden: int | None) -> int:
    return 1 if hidden is None else max(t for t in range(1, TRUNKS + 1) if groups % t == 0)


def _accelerator() -> str | None:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """A random state of its own, on the CPU and on the device; gradients on, whatever the caller does."""
    kind = "cuda" if device.type == "cpu" else device.type
    with (
        torch.enable_grad(),
        torch.random.fork_rng([] if device.type == "cpu" else [device.index or 0], device_type=kind),
    ):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every device
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
