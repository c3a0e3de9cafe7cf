"""Items with the same text."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from fg_search.validation import check_texts

# Of the CLINC150 pairs with at least this cosine (all-MiniLM-L6-v2), 99.7 % share a label; between .8 and .85, 95 % do.
# Above it, two different labels are more often a mistake than a distinction.
NEAR_DUPLICATE = 0.94


def normalised_text(text: str) -> str:
    """The text in lower case and NFKC, without punctuation, with runs of white space as single spaces.

    A text of nothing but punctuation keeps it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(" " if unicodedata.category(letter).startswith("P") else letter for letter in folded).split()
    return " ".join(words) if words else " ".join(folded.split())


def same_text(texts: Sequence[str], labels: Sequence[str | None] | None = None) -> list[tuple[int, ...]]:
    """Groups of items with the same normalised text.

    Args:
        texts: ``(n,)`` texts.
        labels: ``(n,)`` labels. If given, only groups with more than one label are returned, not counting ``None``.

    Returns:
        Ascending rows of each group of at least two; the largest groups first.

    Raises:
        ValueError: If lengths differ.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(check_texts(texts)):
        groups[normalised_text(text)].append(row)
    if labels is not None and len(labels) != len(texts):
        raise ValueError(f"labels has {len(labels)} items, texts has {len(texts)}; give one for each text")
    found = [tuple(rows) for rows in groups.values() if len(rows) > 1]
    if labels is not None:
        found = [rows for rows in found if len({labels[row] for row in rows} - {None}) > 1]
    return sorted(found, key=lambda rows: (-len(rows), rows))
