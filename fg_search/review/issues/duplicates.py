"""Items with the same text."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from fg_search.validation import check_labels, check_texts

# Of the CLINC150 pairs with at least this cosine (all-MiniLM-L6-v2), 99.7 % share a label; between .8 and .85, 95 % do.
# Above it, two different labels are more often a mistake than a distinction.
NEAR_DUPLICATE = 0.94


_WIDTHS = ("<wide>", "<narrow>")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))  # white space of no width
# ends of sentences: Latin, Chinese and Japanese, Arabic, Urdu, Devanagari, Armenian, Ethiopic, Khmer
_SENTENCE_ENDS = ".!?…‼⁇⁈⁉。｡！？．؟۔।॥։።፧។"  # noqa: RUF001


def normalised_text(text: str) -> str:
    """What decides that two texts are the same: all but case, width, white space and the end of the last sentence.

    Full-width and half-width letters are the usual ones, runs of white space are one space. Of punctuation only what
    ends the last sentence goes, since ``C#`` and ``C``, or ``5 %`` and ``5``, are different things. A text of nothing
    but such punctuation keeps it.
    """
    widths = "".join(map(_usual_width, text)) if not text.isascii() else text
    spaced = " ".join(unicodedata.normalize("NFC", widths).lower().translate(_INVISIBLE).split())
    return spaced.rstrip(f"{_SENTENCE_ENDS} ") or spaced


def _usual_width(letter: str) -> str:
    """The letter in its usual width; half-width katakana and full-width Latin letters have two."""
    kind, _, code = unicodedata.decomposition(letter).partition(" ")
    return chr(int(code, 16)) if kind in _WIDTHS else letter


def earlier_normalised_text(text: str) -> str:
    """What decided it before, without any punctuation; entries in logs of queries were made with it."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(" " if unicodedata.category(letter).startswith("P") else letter for letter in folded).split()
    return " ".join(words) if words else " ".join(folded.split())


def same_text(texts: Sequence[str], labels: Sequence[str | None] | None = None) -> list[tuple[int, ...]]:
    """Groups of items with the same text, but for case, width, white space and the end of the last sentence.

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
    known = check_labels(labels)
    if known is not None and len(known) != len(texts):
        raise ValueError(f"labels has {len(known)} items, texts has {len(texts)}; give one for each text")
    found = [tuple(rows) for rows in groups.values() if len(rows) > 1]
    if known is not None:
        found = [rows for rows in found if len({known[row] for row in rows} - {None}) > 1]
    return sorted(found, key=lambda rows: (-len(rows), rows))
