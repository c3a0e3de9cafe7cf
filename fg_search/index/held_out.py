"""Judged queries that the head has not learned from: only these tell how it does on others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from fg_search.errors import EncoderNotFoundError, ModelMismatchError, UntrustedCodeError
from fg_search.index.query_vectors import NoText, Query
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.model.learned_texts import LearnedTexts

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


def held_out(
    state: IndexState,
    queries: Sequence[Query],
    relevant: Sequence[T],
    embeddings: GivenEmbeddings,
) -> tuple[Sequence[Query], Sequence[T], GivenEmbeddings]:
    """Leave out the queries that the encoder has learned from, and name them in a warning.

    Of these an encoder is nearly always sure, and right: judged with the others, they promise too much.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings of one question.
        relevant: What is right for each.
        embeddings: Embeddings of all phrasings in order, if they are there.

    Raises:
        ValueError: If no query is left.
    """
    learned = _learned(state)
    if learned is None or not all(map(_is_query, queries)):
        return queries, relevant, embeddings  # what is wrong is said where they are read
    phrasings = [[query] if isinstance(query, str) else query for query in queries]
    sizes = [len(texts) for texts in phrasings]
    known = learned.among([text for texts in phrasings for text in texts])
    if isinstance(embeddings, np.ndarray) and len(embeddings) == len(known):
        known |= learned.among_vectors(embeddings)
    seen = np.logical_or.reduceat(known, np.cumsum([0, *sizes[:-1]])) if len(known) else known
    if not seen.any():
        return queries, relevant, embeddings
    first = phrasings[int(seen.argmax())][0]
    if seen.all():
        raise ValueError(
            f"the encoder has learned from all {len(queries):,} queries, such as {first!r}; they tell nothing of new "
            "ones: judge others"
        )
    _LOG.warning(
        "%s of %s queries are left out, since the encoder has learned from them: %r, …",
        f"{int(seen.sum()):,}",
        f"{len(queries):,}",
        first,
    )
    kept = np.flatnonzero(~seen).tolist()
    if embeddings is not None:
        embeddings = embeddings[np.flatnonzero(np.repeat(~seen, sizes))]
    return [queries[i] for i in kept], [relevant[i] for i in kept], embeddings


def first_phrasings(queries: Sequence[Query]) -> list[str]:
    """The first text of each query that has one."""
    firsts = (query[0] if isinstance(query, (list, tuple)) and query else query for query in queries)
    return [text for text in firsts if isinstance(text, str) and not isinstance(text, NoText)]


def warn_of_judged(state: IndexState, queries: Sequence[Query]) -> None:
    """Warn if the index was calibrated on some of the queries: it does better on these than on others."""
    known = None if state.calibration is None else state.calibration.judged_texts
    texts = first_phrasings(queries)
    if known is None or not texts or not (seen := known.among(texts)).any():
        return
    _LOG.warning(
        "the index was calibrated on %s of the %s queries, such as %r: what they show of its confidence is better "
        "than on new ones; evaluate on others",
        f"{int(seen.sum()):,}",
        f"{len(texts):,}",
        texts[int(seen.argmax())],
    )


def _is_query(query: object) -> bool:
    if isinstance(query, str):
        return True
    return isinstance(query, (list, tuple)) and bool(query) and all(isinstance(text, str) for text in query)


def _learned(state: IndexState) -> LearnedTexts | None:
    """What the encoder has learned from; ``None`` if it is not at hand, since embeddings were given in its place."""
    try:
        return state.encoder.learned
    except (EncoderNotFoundError, ModelMismatchError, UntrustedCodeError):
        return None
