"""Pairs of labels that should perhaps be one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
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
        examples: Rows of a few such items, of both directions in turn.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    score: float
    examples: tuple[int, ...]


def confused_labels(
    given: Sequence[str | None], predicted: Sequence[str], *, limit: int = 20, examples: int = 6
) -> list[ConfusedLabels]:
    """Pairs of labels that a model confuses, those first that are confused both ways.

    Wrong labels are confusion in one direction: the geometric mean leaves them to the review of labels.

    Args:
        given: ``(n,)`` labels, ``None`` where there is none.
        predicted: ``(n,)`` most probable labels according to a model that has not seen the given ones
            (:attr:`fg_search.review.labels.LabelJudgements.predicted`).
        limit: Pairs listed.
        examples: Items listed of each pair.

    Raises:
        ValueError: If lengths differ or a number is out of range.
    """
    if len(given) != len(predicted):
        raise ValueError(f"given has {len(given)} items, predicted has {len(predicted)}; give one for each item")
    check_count(limit, name="limit")
    check_count(examples, name="examples", least=0)
    sizes = Counter(label for label in given if label is not None)
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (label, other) in enumerate(zip(given, predicted, strict=True)):
        if label is not None and label != other:
            rows[label, other].append(row)
    pairs = []
    for first, second in sorted({(min(pair), max(pair)) for pair in rows}):
        there, back = rows.get((first, second), []), rows.get((second, first), [])
        score = (len(there) * len(back) / max(1, sizes[first] * sizes[second])) ** 0.5
        shown = _in_turn(there, back)[:examples]
        pairs.append(ConfusedLabels(first, second, len(there), len(back), score, tuple(shown)))
    pairs.sort(key=lambda pair: (-pair.score, -(pair.first_as_second + pair.second_as_first)))
    return pairs[:limit]


def _in_turn(first: list[int], second: list[int]) -> list[int]:
    """Alternately one of each, then the rest of the longer list."""
    paired = [row for both in zip(first, second, strict=False) for row in both]
    shorter = min(len(first), len(second))
    return paired + first[shorter:] + second[shorter:]
