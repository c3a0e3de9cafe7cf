"""What a model reads of texts: how many tokens, how many of them unknown to it, and whether a text is cut off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

logger = logging.getLogger(__name__)

MOSTLY = 0.5  # a text of which a larger share is unknown tokens is not readable

_MANY = 0.05  # share of texts with unknown tokens from which on the model is probably not made for them
_SHOWN = 3  # examples in a warning
_QUOTED = 40  # characters of an example


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model reads of n texts.

    Attributes:
        tokens: ``(n,)`` int64 numbers of tokens that it reads; 0 where that is not known.
        unread: ``(n,)`` float32 in [0, 1], share of a text's tokens that are unknown to the model; 1 for a text that
            leaves no token at all, such as invisible characters.
        cut: ``(n,)`` booleans, whether the text is longer than what the model reads.
        limit: Number of tokens that the model reads, if it has a limit that is known.
    """

    tokens: IntArray
    unread: npt.NDArray[np.float32]
    cut: npt.NDArray[np.bool_]
    limit: float | None = None

    @classmethod
    def unknown(cls, count: int) -> Reading:
        """For embeddings whose texts are not known."""
        return cls(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.float32), np.zeros(count, dtype=bool))

    def __getitem__(self, items: Any) -> Reading:
        """The texts selected by a slice, index array or boolean mask."""
        return Reading(self.tokens[items], self.unread[items], self.cut[items], self.limit)


class ReadingNotes:
    """Collects which texts a model reads in part only, batch by batch, to warn about all of them at once."""

    def __init__(self) -> None:
        self.cut = self.unread = 0
        self._texts = self._mostly_unread = 0
        self._limit: float | None = None
        self._cut_examples: list[str] = []
        self._unread_examples: list[tuple[float, str]] = []

    def add(self, reading: Reading, texts: Sequence[str], name: Callable[[int], str]) -> None:
        """Take note of n texts; ``name`` gives the i-th of them the name that the caller knows it by."""

        def example(row: int) -> str:
            return f"{name(row)} {_quoted(texts[row])}"

        self._texts += len(texts)
        self._limit = reading.limit
        if reading.cut.any():
            rows = np.flatnonzero(reading.cut).tolist()
            self.cut += len(rows)
            self._cut_examples += [example(row) for row in rows[: _SHOWN - len(self._cut_examples)]]
        if reading.unread.any():
            self.unread += int((reading.unread > 0).sum())
            self._mostly_unread += int((reading.unread > MOSTLY).sum())
            rows = np.argsort(-reading.unread, kind="stable")[:_SHOWN].tolist()
            found = [(float(reading.unread[row]), example(row)) for row in rows if reading.unread[row]]
            self._unread_examples = sorted([*self._unread_examples, *found], key=lambda one: -one[0])[:_SHOWN]

    def warn(self, *, what: str) -> None:
        """Log a warning if there is reason to; ``what`` says what the texts are, in the plural."""
        if self.cut:
            tokens = "number of tokens" if self._limit is None else f"{self._limit:g} tokens"
            logger.warning(
                "%s of %s %s are longer than the %s that the model reads; the rest is ignored, so that %s with the "
                "same beginning are the same to it. Split them, or use a model that reads more: %s",
                f"{self.cut:,}", f"{self._texts:,}", what, tokens, what, _listed(self._cut_examples, self.cut),
            )  # fmt: skip
        if self._mostly_unread or self.unread > _MANY * self._texts:
            little = f", {self._mostly_unread:,} of them little else: these get the lowest confidence"
            logger.warning(
                "%s of %s %s hold words or characters that the model does not know (another script, emoji)%s. Use a "
                "model that was trained on such texts: %s",
                f"{self.unread:,}", f"{self._texts:,}", what, little if self._mostly_unread else "",
                _listed([example for _, example in self._unread_examples], self.unread),
            )  # fmt: skip


def warn_about(reading: Reading, texts: Sequence[str], name: Callable[[int], str], *, what: str) -> None:
    """Log a warning about those of n texts that the model reads in part only; see :class:`ReadingNotes`."""
    notes = ReadingNotes()
    notes.add(reading, texts, name)
    notes.warn(what=what)


def _quoted(text: str) -> str:
    short = " ".join(text[: 4 * _QUOTED].split())
    return repr(short if len(short) <= _QUOTED and len(text) <= 4 * _QUOTED else short[: _QUOTED - 1] + "…")


def _listed(examples: Sequence[str], count: int) -> str:
    return ", ".join(examples) + (", …" if count > len(examples) else "")
