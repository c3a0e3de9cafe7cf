"""Pairs of labels that should perhaps be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fg_search.validation import check_count


@dataclass(frozen=True)
class ConfusedLabels:
    """Two labels whose items are taken for one another.

    Attributes:
        first, second: The labels, in alphabetical order.
        first_as_second: Items given the first label that are predicted to have the second.
        second_as_first: The other way round.
        score: In [0, 1], the geometric mean of both as shares of the items given each label.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    score: float


def confused_labels(given: Sequence[str | None], predicted: Sequence[str], *, limit: int = 20) -> list[ConfusedLabels]:
    """Pairs of labels that a model confuses, those first that are confused both ways.

    Args:
        given: ``(n,)`` labels, ``None`` where there is none.
        predicted: ``(n,)`` most probable labels according to a model that has not seen the given ones
            (:attr:`fg_search.review.issues.label_errors.LabelJudgements.predicted`).
        limit: Pairs listed.

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
    """The same from counts.

    Wrong labels are confusion in one direction: the geometric mean leaves them to the review of labels.

    Args:
        counts: Items by given label and another one that is predicted.
        sizes: Items by given label.
        limit: Pairs listed.

    Raises:
        ValueError: If the limit is less than one.
    """
    check_count(limit, name="limit")
    pairs = []
    for first, second in sorted({(min(pair), max(pair)) for pair in counts}):
        there, back = counts.get((first, second), 0), counts.get((second, first), 0)
        score = (there * back / max(1, sizes.get(first, 0) * sizes.get(second, 0))) ** 0.5
        pairs.append(ConfusedLabels(first, second, there, back, score))
    pairs.sort(key=lambda pair: (-pair.score, -(pair.first_as_second + pair.second_as_first)))
    return pairs[:limit]
