"""Pairs of labels that a model confuses and that perhaps should be merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fg_search.evaluation.proportions import wilson_interval
from fg_search.validation import check_count

_MANY = 3  # items from which a confusion in one direction is telling, too


@dataclass(frozen=True)
class ConfusedLabels:
    """Two labels that a model confuses.

    Attributes:
        first, second: The labels, in alphabetical order.
        first_as_second: Number of items given the first label and predicted as the second.
        second_as_first: Number of items given the second label and predicted as the first.
        score: Geometric mean, in [0, 1], of the two counts, each as a share of the items given that label.
        at_least: Lower end of the 95 % interval of the share of both labels' items that are confused, in [0, 1].
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    score: float
    at_least: float

    @property
    def is_telling(self) -> bool:
        """Whether they are confused in both directions, or by more than one or two items."""
        return self.score > 0 or self.first_as_second + self.second_as_first >= _MANY


def confused_labels(given: Sequence[str | None], predicted: Sequence[str], *, limit: int = 20) -> list[ConfusedLabels]:
    """Pairs of labels that a model confuses; pairs confused in both directions come first.

    Args:
        given: ``(n,)`` given labels, ``None`` where there is none.
        predicted: ``(n,)`` predicted labels, out of fold
            (:attr:`fg_search.review.issues.label_errors.LabelIssues.predicted`).
        limit: Maximum number of pairs.

    Raises:
        ValueError: If lengths differ or a number is out of range.
    """
    if len(given) != len(predicted):
        raise ValueError(f"given has {len(given)} items, predicted has {len(predicted)}; give one for each item")
    counts = Counter(
        (label, other) for label, other in zip(given, predicted, strict=True) if label is not None and label != other
    )
    return confused_pairs(counts, Counter(label for label in given if label is not None), limit=limit)


def confused_pairs(
    counts: Mapping[tuple[str, str], int], sizes: Mapping[str, int], *, limit: int = 20
) -> list[ConfusedLabels]:
    """Compute :func:`confused_labels` from counts.

    Wrong labels cause confusion in one direction only. Their geometric mean is low, which leaves them to the review of
    single items.

    Args:
        counts: Number of items by ``(given, predicted)`` label, where the two differ.
        sizes: Number of items by given label.
        limit: Maximum number of pairs.

    Raises:
        ValueError: If the limit is less than one.
    """
    check_count(limit, name="limit")
    pairs = []
    for first, second in sorted({(min(pair), max(pair)) for pair in counts}):
        there, back = counts.get((first, second), 0), counts.get((second, first), 0)
        score = (there * back / max(1, sizes.get(first, 0) * sizes.get(second, 0))) ** 0.5
        both = max(there + back, sizes.get(first, 0) + sizes.get(second, 0))
        at_least, _ = wilson_interval((there + back) / both, both)
        pairs.append(ConfusedLabels(first, second, there, back, score, at_least))
    pairs.sort(key=lambda pair: (-pair.score, -(pair.first_as_second + pair.second_as_first)))
    return pairs[:limit]
