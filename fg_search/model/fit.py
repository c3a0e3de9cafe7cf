"""Training a feature-group head on precomputed embeddings."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fg_search.model.codebook import UNSUPERVISED, Codebook, IntArray
from fg_search.model.examples import Examples, held_out_mask, validation_examples
from fg_search.model.familiarity import Familiarity
from fg_search.model.gradient_descent import BATCH_SIZE, optimise
from fg_search.model.head import FeatureGroupHead
from fg_search.model.history import FitHistory
from fg_search.model.output_layer import RANDOM_UNITS, OutputRegression, ideal_logits
from fg_search.model.temperature import Temperature, fit_temperature
from fg_search.validation import check_vectors

TRUNKS, HIDDEN = 8, 192

_EPOCHS = 25
_MIN_STEPS, _MAX_STEPS = 400, 1400
_MAX_CLUSTER_STEPS = 500  # clusters of the embeddings are learned in fewer steps than labels
_DROPOUT = 0.15

_RIDGES = (0.03, 0.3, 3.0, 30.0)  # tried in this order; trained and random units have a mean square norm of 1 each
_WORTHWHILE = 0.87  # a larger ridge must bring the squared error below this share: a smaller one ranks errors better
_ROWS = 8192  # rows per pass without gradients


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

    The loss is the cross-entropy of the codes with label smoothing, averaged over the groups. It is minimised by AdamW
    with a one-cycle schedule (Smith & Topin, 2018), dropout, and Gaussian noise on the unit-length input. Training
    stops early, and restores its best weights, when the held-out loss stays a fifth above its minimum.
    With ``closed_form``, the head is trained without dropout; random units are then added to its hidden layer, and the
    output layer is solved in closed form (:class:`fg_search.model.output_layer.OutputRegression`).
    Finally, one temperature is fitted on the held-out examples (Guo et al., 2017), so that group confidences are
    calibrated probabilities of the code. The head keeps prototypes of its examples, to tell how familiar an input is.

    Holding out examples costs almost no training data. Unless ``validation`` is given, each trunk leaves out a
    different tenth of the examples (a single trunk: one tenth, at most 500 examples). When the output layer is solved,
    all trunks leave out the same tenth, at most 500 examples; the output layer is then solved on all examples, and the
    held-out ones are evaluated by leave-one-out. The only example of a label, or of an attribute's value, is never
    held out.

    The same seed gives the same head, bit for bit on one machine. The caller's random state does not change.

    Args:
        embeddings: ``(n, d)`` float array, finite; row i belongs to ``codebook.targets[i]``.
        codebook: Targets and sizes; rows whose targets are all -1 are ignored.
        hidden: Width of each trunk's hidden layer; ``None`` for a linear head.
        trunks: Number of independent trunks, each with its own hidden layer and its share of the groups; by default
            the largest number up to 8 that divides the groups, and 1 for a linear head.
        validation: Held-out embeddings ``(m, d)`` and their codes ``(m, G)``, -1 where unknown (see
            :meth:`Codebook.targets_of_labels`). No other examples are held out then.
        steps: Number of optimisation steps, each on up to 128 examples; by default 25 epochs, at least 400 steps and
            at most 1,400 (500 for clusters).
        closed_form: Whether to solve the output layer in closed form; by default from 2,048 examples with labels or
            attributes on, if there is a hidden layer and some example can be held out. Pass ``False`` for a head that
            you will train further end to end: a solved head already fits its examples so well that it learns little
            more from them.
        seed: Random seed of the initial weights, batches, noise and dropout.
        device: Device to train on (``"cpu"``, ``"cuda"``, ``"mps"``); by default an accelerator if there is one.
        show_progress: Whether to show a progress bar; by default only if stderr is a terminal.

    Returns:
        The trained head on the CPU, in evaluation mode; its ``history`` is a :class:`FitHistory`.

    Raises:
        ValueError: If shapes do not match, a vector is not finite, no example is supervised, or a linear head is to be
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
        steps = min(max(_EPOCHS * len(supervised) // BATCH_SIZE, _MIN_STEPS), most)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if closed_form and hidden is None:
        raise ValueError("closed_form needs a hidden layer, got hidden=None")
    # With fewer examples than random units the regression interpolates and is overconfident on unfamiliar inputs;
    # without held-out examples its temperature cannot be fitted.
    solved = (
        not clusters
        and hidden is not None
        and len(supervised) >= RANDOM_UNITS
        and (validation is not None or bool(held_out_mask(codebook, supervised, 1, seed).any()))
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
        data = Examples.of(rows[supervised], codebook.targets[supervised], where)
        if validation is None:
            mask = torch.from_numpy(held_out_mask(codebook, supervised, 1 if solved else head.trunks, seed)).to(where)
            seen, held_out = data.without(mask), data.without(~mask).known()
        else:
            seen, held_out = data, validation_examples(validation, head, where)
        checks, best_step = optimise(head, seen, held_out, steps, show_progress)
        logits = None
        if solved:
            head, logits = _solve_output(head, data, held_out, unseen=validation is not None)
    head.to("cpu").eval()
    calibration = None if held_out is None else _set_temperature(head, held_out, logits)
    head.familiarity = Familiarity.of(rows[supervised], seed=seed)
    head.history = FitHistory(
        checks,
        best_step,
        stopped_early=checks[-1].step < steps,
        held_out=0 if held_out is None else len(held_out.inputs),
        calibration=calibration,
    )
    return head


def trained_sizes(head: FeatureGroupHead) -> tuple[int | None, int | None]:
    """Hidden width and number of trunks that make :func:`fit_head` train another head of the same size.

    Solving the output layer joins the trunks and adds random units. Such a head is assumed to have had the default
    number of trunks, if that number divides its trained units.

    Returns:
        ``hidden`` and ``trunks`` for :func:`fit_head`; both ``None`` for a linear head.
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
        head: Trained head on the CPU; its temperature is replaced.
        embeddings: ``(m, d)`` float array of examples that the head was not trained on.
        codes: ``(m, G)`` int64 codes of these examples, -1 where unknown.

    Raises:
        ValueError: If shapes do not match or no code is known.
    """
    return _set_temperature(head.eval(), validation_examples((embeddings, codes), head, torch.device("cpu")))


def _solve_output(
    head: FeatureGroupHead, data: Examples, held_out: Examples | None, *, unseen: bool
) -> tuple[FeatureGroupHead, Tensor | None]:
    """The head with its output layer solved in closed form, and its logits for the held-out examples.

    The ridge grows as long as each increase lowers the squared error on the held-out examples by an eighth. These are
    part of ``data`` and evaluated by leave-one-out, unless they are ``unseen``.
    """
    regression = OutputRegression(head, data.inputs, data.targets)
    if held_out is None:
        return regression.solve(_RIDGES[0]), None
    inputs, targets = held_out.inputs.cpu(), held_out.targets.cpu()
    known = targets != UNSUPERVISED

    def attempt(ridge: float) -> tuple[float, FeatureGroupHead, Tensor]:
        solved = regression.solve(ridge)
        logits = _logits(solved, inputs) if unseen else regression.leave_one_out(inputs, targets)
        error = (logits - ideal_logits(solved, targets))[known].square().sum()
        return float(error), copy.deepcopy(solved), logits

    best = attempt(_RIDGES[0])
    for ridge in _RIDGES[1:]:
        found = attempt(ridge)
        if found[0] > _WORTHWHILE * best[0]:
            break
        best = found
    return best[1], best[2]


@torch.no_grad()
def _logits(head: FeatureGroupHead, inputs: Tensor) -> Tensor:
    """Logits ``(m, G, K)`` of a head on the CPU for unit-length rows ``(m, d)``."""
    return torch.cat([head.logits_of_rows(inputs[start : start + _ROWS]) for start in range(0, len(inputs), _ROWS)])


def _set_temperature(head: FeatureGroupHead, held_out: Examples, logits: Tensor | None = None) -> Temperature:
    """Fit and set the temperature of a head on the CPU, from its logits at temperature 1 if they are given."""
    head.temperature = 1.0
    if logits is None:
        logits = _logits(head, held_out.inputs.cpu())
    targets = held_out.targets.cpu()
    known = targets != UNSUPERVISED
    found = fit_temperature(logits[known].numpy(), targets[known].numpy(), examples=len(targets))
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
    """Use a separate random state on the CPU and the device; enable gradients even if the caller disabled them."""
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
