"""The output layer of a head in closed form: ridge regression on one-hot codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fg_search.arrays import row_slices
from fg_search.model.codebook import UNSUPERVISED
from fg_search.model.head import FeatureGroupHead

RANDOM_UNITS = 2048

_LOGIT = 16.0  # logit of a code that the regression is certain of; the temperature rescales it
_ROWS = 8192  # rows per pass
_ROUGHLY = 1024  # rows whose mean is subtracted from units before they are multiplied; what is left of it, afterwards
_BLOCK = 512  # columns of the Gram matrix per product


class OutputRegression:
    """Ridge regression of the codes on the hidden units of a trained head, to replace its output layer.

    Gradient descent finds good units but is slow to weigh them against each other. Given the units, the weights that
    minimise the squared error have a closed form. Random units are added to the trained ones: they respond to parts of
    the input that the labels do not depend on, which lowers the confidence on unfamiliar inputs. They are random
    features for the arc-cosine kernel (Cho & Saul, 2009; Rahimi & Recht, 2007), drawn orthogonal (Yu et al., 2016).

    For an unknown code, the distribution predicted by the trained head is the regression target.

    Args:
        head: Trained head with a hidden layer, on the device of the rows.
        rows: ``(n, d)`` float32 tensor with rows of unit length.
        targets: ``(n, G)`` int64 codes, -1 where unknown; each row has at least one known code.
    """

    @torch.no_grad()
    def __init__(self, head: FeatureGroupHead, rows: Tensor, targets: Tensor) -> None:
        codes = _Regressands(head, rows, targets)
        self._codes_of = codes.codes_of
        self._head = _widened(head, rows, None if self._codes_of is None else len(self._codes_of))
        about = self._head.hidden_units(rows[:: -(-len(rows) // _ROUGHLY)]).mean(dim=0)
        size = len(about)
        gram = torch.zeros(size, size, dtype=torch.float64)
        moment = torch.zeros(size, codes.columns, dtype=torch.float64)
        drift, total = torch.zeros(size, dtype=torch.float64), torch.zeros(codes.columns, dtype=torch.float64)
        with _full_precision():
            for some in row_slices(len(rows), _ROWS):
                units = self._head.hidden_units(rows[some]) - about
                for start in range(0, size, _BLOCK):  # only the lower triangle is needed
                    block = slice(start, start + _BLOCK)
                    gram[start:, block] += (units[:, start:].T @ units[:, block]).cpu()
                wanted = codes.of(some)
                moment += (units.T @ wanted).cpu()
                drift += units.sum(dim=0).cpu()
                total += wanted.sum(dim=0).cpu()
        self._head.to("cpu")
        self._examples = len(rows)
        about, drift = about.cpu().double(), drift / len(rows)
        squares = gram.diagonal() / len(rows) + 2 * drift * about + about.square()
        self._mean, self._scale = about + drift, _scale(squares, head.hidden.out_features)
        self._gram = gram.addr_(drift, drift, alpha=-len(rows)).mul_(self._scale[:, None]).mul_(self._scale)
        self._moment = moment.addr_(drift, total, alpha=-1).mul_(self._scale[:, None])
        self._centre = total / len(rows)
        self._factor = torch.empty(0)

    @torch.no_grad()
    def solve(self, ridge: float) -> FeatureGroupHead:
        """Solve for one ridge penalty.

        Returns:
            The head with one wide trunk, on the CPU, in evaluation mode, at temperature 1. The next call overwrites it.
        """
        self._factor = torch.linalg.cholesky(self._gram + ridge * torch.eye(len(self._gram), dtype=torch.float64))
        weights = self._scale[:, None] * torch.cholesky_solve(self._moment, self._factor)
        offset = self._centre - self._mean @ weights
        if self._codes_of is None:
            layer = {"weight": _LOGIT * weights[None], "bias": _LOGIT * offset[None, None]}
        else:
            codes_of = _LOGIT * self._codes_of.cpu().double()
            layer = {"scores.weight": weights.T, "expand.weight": codes_of.T, "expand.bias": offset @ codes_of}
        self._head.output.load_state_dict(layer)
        return self._head

    @torch.no_grad()
    def leave_one_out(self, rows: Tensor, targets: Tensor) -> Tensor:
        """Leave-one-out logits of the last solution for its own examples (PRESS: Allen, 1974).

        Args:
            rows: ``(m, d)`` float32 tensor on the CPU; unit-length rows that the regression was fitted on.
            targets: ``(m, G)`` int64 codes of these rows.

        Returns:
            ``(m, G, K)`` logits, undefined where a code is unknown.
        """
        units = (self._head.hidden_units(rows).double() - self._mean) * self._scale
        leverage = torch.linalg.solve_triangular(self._factor, units.T, upper=False).square().sum(dim=0)
        leverage = (leverage + 1 / self._examples).clamp(max=1 - 1e-6)[:, None, None]
        logits = self._head.logits_of_rows(rows).double()
        unseen: Tensor = ((logits - leverage * ideal_logits(self._head, targets)) / (1 - leverage)).float()
        return unseen


def ideal_logits(head: FeatureGroupHead, targets: Tensor) -> Tensor:
    """Target logits ``(m, G, K)`` float64 of the regression for codes ``(m, G)``, undefined where unknown."""
    certain: Tensor = torch.nn.functional.one_hot(targets.clamp(min=0), head.codes_per_group).double()
    return _LOGIT * certain


class _Regressands:
    """Regression targets with C columns, one pass at a time.

    Examples with the same codes are of one kind. If there are few kinds, C is their number, and ``codes_of``,
    ``(C, G·K)``, maps kinds to one-hot codes: fewer regressions and a smaller head. Otherwise C is G·K.
    """

    def __init__(self, head: FeatureGroupHead, rows: Tensor, targets: Tensor) -> None:
        self._head, self._rows, self._targets = head.eval(), rows, targets
        self._kind: Tensor | None = None
        self.codes_of: Tensor | None = None
        self.columns = sizes = head.groups * head.codes_per_group
        if bool((targets != UNSUPERVISED).all()):
            kinds, kind = torch.unique(targets, dim=0, return_inverse=True)
            hidden = head.hidden.out_features + RANDOM_UNITS
            if len(kinds) * (hidden + sizes) < hidden * sizes:
                self.columns, self._kind = len(kinds), kind
                self.codes_of = torch.nn.functional.one_hot(kinds, head.codes_per_group).flatten(1).float()

    def of(self, some: slice) -> Tensor:
        """Targets ``(m, C)`` float32 of the rows in the slice."""
        if self._kind is not None:
            return torch.nn.functional.one_hot(self._kind[some], self.columns).float()
        targets = self._targets[some]
        codes = torch.nn.functional.one_hot(targets.clamp(min=0), self._head.codes_per_group).float()
        unknown = targets == UNSUPERVISED
        if unknown.any():
            believed = self._head.logits_of_rows(self._rows[some]).softmax(dim=-1)
            codes = torch.where(unknown[..., None], believed, codes)
        return codes.flatten(1)


def _widened(head: FeatureGroupHead, rows: Tensor, rank: int | None) -> FeatureGroupHead:
    """A head with trained and random units in one hidden layer; its output layer is still to be set."""
    weight, bias = _random_units(rows, RANDOM_UNITS)
    wide = FeatureGroupHead(
        head.in_features,
        head.groups,
        head.codes_per_group,
        hidden=head.hidden.out_features + RANDOM_UNITS,
        rank=rank,
    ).to(rows.device)
    with torch.no_grad():
        wide.hidden.weight.copy_(torch.cat([head.hidden.weight, weight]))
        wide.hidden.bias.copy_(torch.cat([head.hidden.bias, bias]))
    return wide.eval()


def _random_units(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Weights ``(count, d)`` and biases ``(count,)`` of random units, scaled to the spread of the rows.

    Embeddings that share a common direction spread little around their mean.
    """
    dimension = rows.shape[1]
    blocks = []
    for _ in range(-(-count // dimension)):
        basis = torch.linalg.qr(torch.randn(dimension, dimension))[0]
        blocks.append(basis * torch.randn(dimension, dimension).norm(dim=0))
    mean = rows.mean(dim=0)
    spread = (rows - mean).square().sum(dim=1).mean().sqrt().clamp(min=1e-6)
    weight = torch.cat(blocks, dim=1).T[:count].to(rows.device) / spread
    bias = 2 * torch.rand(count).to(rows.device) - 1 - weight @ mean
    scale = dimension**0.5  # undone by the head, which multiplies by it
    return weight / scale, bias / scale


def _scale(squares: Tensor, trained: int) -> Tensor:
    """Scales ``(h,)`` of units with these mean squares; trained and random ones each get a mean square norm of one."""
    norms = [part.sum().sqrt().clamp(min=1e-6) for part in (squares[:trained], squares[trained:])]
    return torch.cat([1 / norms[0].expand(trained), 1 / norms[1].expand(len(squares) - trained)])


@contextmanager
def _full_precision() -> Iterator[None]:
    """Multiply in full float32 whatever the global setting: a rounded Gram matrix has no Cholesky factor."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)
