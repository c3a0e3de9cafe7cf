"""Whether vectors that are brought along look like those of the model that a head was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fg_search.model.familiarity import Familiarity
from fg_search.model.vector_norms import VectorNorms

_FEWEST = 20  # vectors that tell
_SAMPLED = 512
_SHUFFLES = 8
_NEARER = 1.2  # of chance: what is nearer has to do with what was learned
_UNFAMILIAR = 0.05  # familiarity below which a vector is like nothing learned
_NEARLY_ALL = 0.9
_APART = 1.25  # ratio of lengths that the same model does not have
_UNIT = 1e-2  # how far lengths may be from one, and yet be those of vectors that were scaled to it


@dataclass(frozen=True)
class ForeignVectors:
    """What is odd about vectors.

    Attributes:
        norms: Their lengths.
        learned_norms: Lengths of the vectors that were learned from, if they are known.
        unfamiliar: Share of them that is like nothing learned, in [0, 1].
        similarity: Median of their cosine to what is nearest among what was learned.
        chance: The same with their numbers shuffled, as large as chance makes it.
    """

    norms: VectorNorms
    learned_norms: VectorNorms | None
    unfamiliar: float
    similarity: float
    chance: float

    def __str__(self) -> str:
        learned = self.learned_norms
        known = "" if learned is None else f", of those learned from {learned.low:.3g} to {learned.high:.3g}"
        return (
            f"{self.unfamiliar:.0%} are like nothing that the head has learned from (median cosine to the nearest "
            f"{self.similarity:.2f}, {self.chance:.2f} by chance), their lengths are {self.norms.low:.3g} to "
            f"{self.norms.high:.3g}{known}"
        )


def foreign_vectors(
    vectors: npt.NDArray[np.float32], learned: Familiarity | None, norms: VectorNorms | None, *, seed: int = 0
) -> ForeignVectors | None:
    """Say what is odd about vectors, if it is so odd that another model must have made them.

    Vectors of another model have nothing to do with those that were learned from: they are as near to these with their
    numbers in another order. Texts of another subject, embedded by the same model, are nearer. Lengths tell something
    unless one of the two was scaled to unit length, which changes no result.

    Args:
        vectors: ``(n, d)`` float32; fewer than twenty tell nothing. Of many, an even sample is looked at.
        learned: What the head has learned from.
        norms: Lengths of the vectors that it has learned from.
        seed: Random seed of the shuffles.

    Returns:
        ``None`` if nothing is odd.
    """
    if len(vectors) < _FEWEST:
        return None
    sample = vectors[:: -(-len(vectors) // _SAMPLED)]
    found = VectorNorms.of(sample)
    unfamiliar = similarity = chance = 0.0
    if learned is not None:
        cosines = learned.similarity(sample)
        unfamiliar, similarity = float((learned.scale(cosines) < _UNFAMILIAR).mean()), float(np.median(cosines))
        if unfamiliar >= _NEARLY_ALL:
            rng = np.random.default_rng(seed)
            orders = [rng.permutation(sample.shape[1]) for _ in range(_SHUFFLES)]
            chance = max(float(np.median(learned.similarity(sample[:, order]))) for order in orders)
    is_elsewhere = unfamiliar >= _NEARLY_ALL and similarity <= _NEARER * chance
    if not is_elsewhere and not _are_apart(found, norms):
        return None
    return ForeignVectors(found, norms, unfamiliar, similarity, chance)


def _are_apart(one: VectorNorms, other: VectorNorms | None) -> bool:
    if other is None or _is_unit(one) or _is_unit(other):
        return False
    return one.low > _APART * other.high or other.low > _APART * one.high


def _is_unit(norms: VectorNorms) -> bool:
    return abs(norms.low - 1) < _UNIT and abs(norms.high - 1) < _UNIT
