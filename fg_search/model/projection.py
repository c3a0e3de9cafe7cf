"""A map in two dimensions: items that are near one another in many dimensions stay near one another.

Landmarks are laid out by t-SNE (van der Maaten and Hinton, 2008), from where their two principal components put them.
All other items are placed among the landmarks that are nearest to them, so that any number of items takes linear time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[np.float32]

_PERPLEXITY = 20.0  # of an item's neighbourhood: about how many neighbours count
_STEPS, _EARLY = 350, 100  # steps of gradient descent; early ones pull neighbours together
_EXAGGERATION = 12.0  # of early steps
_SEARCH = 40  # halvings to find the width of a neighbourhood
_FEWEST = 10  # landmarks; fewer are laid out by their principal components alone
_NEAREST = 5  # landmarks that an item is placed among
_JITTER = 0.3  # standard deviation around a place, in spacings of landmarks
_SAME = 1e-5  # squared distance to the landmark that an item is itself
_SHARPNESS = 3.0  # how much more the nearest of these counts than the farthest, as an exponent of e


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Items that were laid out.

    Attributes:
        rows: ``(m, d)`` their vectors.
        layout: ``(m, 2)`` their places.
        names: ``(m,)`` what tells them apart, such as their ids; none if nobody asks for their own places.
    """

    rows: Rows
    layout: Rows
    names: Sequence[str] = ()

    def place(self, rows: Rows, names: Sequence[str]) -> Rows:
        """Places ``(n, 2)`` of other items ``(n, d)``: means of the nearest landmarks, the nearer the more weight.

        An item's place depends on the landmarks and on itself alone, whichever others are placed with it. A landmark
        keeps its own.

        Args:
            rows: ``(n, d)`` vectors of the items.
            names: ``(n,)`` what tells the items apart, such as their ids.
        """
        count = min(_NEAREST, len(self.rows))
        distances = _distances(rows, self.rows)
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(distances, nearest, axis=1)
        first = near.min(axis=1, keepdims=True)
        width = np.maximum(near.max(axis=1, keepdims=True) - first, 1e-9)
        weights = np.exp(-_SHARPNESS * (near - first) / width)
        weights = np.where(first < _SAME, near < _SAME, weights)
        weights /= weights.sum(axis=1, keepdims=True)
        places = (weights[..., None] * self.layout[nearest]).sum(axis=1)
        # those of one landmark would lie upon one another, and nobody would see how many they are
        apart = np.float32(_JITTER * self.spacing) * _scattered(names)
        places = np.asarray(np.where(first < _SAME, places, places + apart), dtype=np.float32)
        own = {name: i for i, name in enumerate(self.names)}
        for i, name in enumerate(names):
            if name in own:
                places[i] = self.layout[own[name]]
        return places

    @cached_property
    def spacing(self) -> float:
        """Median distance from a landmark to the one next to it on the map."""
        distances = _distances(self.layout, self.layout)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.min(axis=1)
        return float(np.sqrt(np.median(nearest))) if len(nearest) > 1 else 0.0


def lay_out(rows: Rows) -> Landmarks:
    """Lay out items ``(m, d)`` in two dimensions; time and memory grow with m²."""
    layout = principal_components(rows)
    if len(rows) >= _FEWEST:
        layout = _descend(_affinities(rows), layout)
    return Landmarks(rows, layout)


def principal_components(rows: Rows) -> Rows:
    """The two principal components ``(m, 2)`` of items ``(m, d)``, the first of larger variance."""
    centred = rows - rows.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(rows), 2), dtype=np.float32)
    count = min(2, len(singular))
    signs = np.sign(right[np.arange(count), np.abs(right[:count]).argmax(axis=1)])  # else either is right
    found[:, :count] = left[:, :count] * singular[:count] * signs
    return found


def to_unit_square(layout: Rows) -> Rows:
    """Shift and scale places ``(n, 2)`` into the unit square, both directions alike."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    size = float((high - low).max())
    if size == 0.0:
        return np.full_like(layout, 0.5)
    return np.asarray(0.5 + 0.98 * (layout - (low + high) / 2) / size, dtype=np.float32)


def _scattered(names: Sequence[str]) -> Rows:
    """Two standard normal numbers ``(n, 2)`` by each name, always the same ones (Box and Muller, 1958)."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    uniform = (np.frombuffer(digests, dtype="<u4").reshape(-1, 2) + 0.5) / 2**32
    radius, angle = np.sqrt(-2 * np.log(uniform[:, 0])), 2 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)


def _distances(rows: Rows, others: Rows) -> Rows:
    """Squared Euclidean distances ``(n, m)``."""
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * rows @ others.T, 0.0), dtype=np.float32)


def _affinities(rows: Rows) -> Rows:
    """Symmetric probabilities ``(m, m)`` of being neighbours, each neighbourhood with the same perplexity."""
    count = len(rows)
    target = np.log(min(_PERPLEXITY, (count - 1) / 3))
    distances = _distances(rows, rows)
    np.fill_diagonal(distances, np.inf)
    distances -= distances.min(axis=1, keepdims=True)
    finite = np.where(np.isfinite(distances), distances, 0.0)
    low, high = np.zeros(count), np.full(count, np.inf)
    width = np.full(count, 1.0 / max(float(np.median(finite)), 1e-6))
    for _ in range(_SEARCH):
        chances = np.exp(-distances * width[:, None])
        sums = chances.sum(axis=1)
        entropy = np.log(sums) + width * (finite * chances).sum(axis=1) / sums
        too_wide = entropy > target
        low, high = np.where(too_wide, width, low), np.where(too_wide, high, width)
        width = np.where(np.isinf(high), width * 2, (low + np.where(np.isinf(high), low, high)) / 2)
    chances /= sums[:, None]
    return np.asarray(np.maximum((chances + chances.T) / (2 * count), 1e-12), dtype=np.float32)


def _descend(wanted: Rows, start: Rows) -> Rows:
    """Places whose own probabilities of being neighbours are near those that are wanted, found from a start."""
    places = start / max(float(start.std()), 1e-9) * np.float32(1e-2)
    speed, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(len(places) / (4 * _EXAGGERATION), 50.0)
    for step in range(_STEPS):
        near = 1 / (1 + _distances(places, places))
        np.fill_diagonal(near, 0.0)
        forces = ((_EXAGGERATION if step < _EARLY else 1.0) * wanted - near / near.sum()) * near
        gradient = 4 * (forces.sum(axis=1)[:, None] * places - forces @ places)
        gains = np.where(np.sign(gradient) != np.sign(speed), gains + 0.2, gains * 0.8).clip(0.01)
        speed = (0.5 if step < _EARLY else 0.8) * speed - rate * gains * gradient
        places = places + speed
        places -= places.mean(axis=0)
    return np.asarray(places, dtype=np.float32)
