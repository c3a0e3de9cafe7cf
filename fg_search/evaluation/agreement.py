"""How often two people say the same about the same things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from fg_search.evaluation.proportions import Proportion
from fg_search.validation import check_same_length

MIN_ITEMS = 10
"""Items from which a kappa is told; of fewer it is mostly chance."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two people.

    Attributes:
        agreed: Share of the items about which they say the same, with its interval.
        kappa: Cohen's kappa: 1 if they always agree, 0 if as often as chance alone would make them, given how often
            each says what. ``None`` for fewer than :data:`MIN_ITEMS` items, or if both say the same one thing of all.
    """

    agreed: Proportion
    kappa: float | None


def agreement(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Agreement of two people about n items: observed, and beyond chance (Cohen, 1960).

    Args:
        first: What one says of each item.
        second: What the other says, in the same order.

    Raises:
        ValueError: If the lengths differ.
    """
    check_same_length(len(first), {"second": second})
    agreed = Proportion.of(np.array([one == other for one, other in zip(first, second, strict=True)], dtype=bool))
    if agreed.total < MIN_ITEMS:
        return Agreement(agreed, None)
    ones, others = Counter(first), Counter(second)
    by_chance = sum(count * others[said] for said, count in ones.items()) / agreed.total**2
    return Agreement(agreed, None if by_chance == 1 else (agreed.share - by_chance) / (1 - by_chance))
