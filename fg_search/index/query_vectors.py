"""Queries as a user asks them, and as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.edge.instances import filled
from fg_search.index.state import IndexState
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import Reading, warn_about
from fg_search.validation import check_text, check_texts

Query = str | Sequence[str]


@dataclass(frozen=True)
class Queries:
    """Encoded queries.

    Attributes:
        texts: To show; the phrasings of one question are joined.
        vectors: One for each.
    """

    texts: list[str]
    vectors: list[QueryVectors]


async def encode_queries(
    state: IndexState,
    queries: Sequence[Query],
    embeddings: FeatureEmbeddings | None,
    *,
    batch_size: int,
    show_progress: bool | None = False,
) -> Queries:
    """Vectors of each query; those of several phrasings are mixed, each weighted by its own confidence.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings of one question.
        embeddings: Of all texts in order, if they are there.
        batch_size: Texts the base model encodes at once.
        show_progress: Draw a progress bar.
    """
    if isinstance(queries, str):
        raise TypeError(f"queries must be a list, got one string; wrap it: [{queries[:20]!r}]")
    queries = list(queries)
    phrasings = [[query] if isinstance(query, str) else query for query in queries]
    for i, (query, one) in enumerate(zip(queries, phrasings, strict=True)):
        if isinstance(query, str):
            check_text(query, f"queries[{i}]")
            continue
        if not isinstance(one, (list, tuple)):
            raise TypeError(f"queries[{i}] must be a string or a list of phrasings, got {type(one).__name__}")
        check_texts(one, name=f"queries[{i}]")
        if not one:
            raise ValueError(f"queries[{i}] holds no phrasing")
    texts = [text for one in phrasings for text in one]
    if embeddings is None:
        embeddings = await state.engine.work(partial(state.encode, texts, batch_size, show_progress=show_progress))
    else:
        state.check_embeddings(embeddings, len(texts), of="queries")
    if embeddings.reading is not None and embeddings.reading.cut.any():
        only_cut = replace(embeddings.reading, unread=np.zeros(len(texts), dtype=np.float32))  # results tell the rest
        warn_about(only_cut, texts, lambda row: f"query {row + 1}:", what="queries")
    if len(texts) > len(phrasings):
        stops = np.cumsum([len(one) for one in phrasings]).tolist()
        mixed = [embeddings[stop - len(one) : stop].mixed() for one, stop in zip(phrasings, stops, strict=True)]
        embeddings = FeatureEmbeddings(
            np.concatenate([one.base for one in mixed]),
            np.concatenate([one.probabilities for one in mixed]),
            reading=replace(Reading.unknown(len(mixed)), unread=np.concatenate([one.unread for one in mixed])),
        )
    return Queries([" / ".join(one) for one in phrasings], query_vectors(embeddings))


@dataclass(frozen=True)
class QueryVectors:
    """One query's embedding in the forms that the engine and the results need."""

    base: npt.NDArray[np.float32]
    features: models.SparseVector
    codes: list[int]
    confidence: float
    unread: float


def query_vectors(embeddings: FeatureEmbeddings) -> list[QueryVectors]:
    """The vectors of n queries."""
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    codes, confidences = embeddings.codes.tolist(), embeddings.confidence.tolist()
    unread = embeddings.unread.tolist()
    return [
        QueryVectors(
            embeddings.base[i],
            filled(
                models.SparseVector,
                {"indices": columns[starts[i] : starts[i + 1]], "values": values[starts[i] : starts[i + 1]]},
            ),
            codes[i],
            confidences[i],
            unread[i],
        )
        for i in range(len(embeddings))
    ]
