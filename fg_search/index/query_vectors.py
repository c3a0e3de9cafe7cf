"""Queries: texts or phrasings as users ask them, and their vectors."""

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
from fg_search.validation import check_list, check_text, check_texts, native

Query = str | Sequence[str]


@dataclass(frozen=True)
class QueryVectors:
    """One query's embedding in the forms that the engine and the results need.

    Attributes:
        base: ``(d,)`` float32 base embedding.
        features: Sparse vector of the feature groups.
        probabilities: ``(G, K)`` float32 probabilities that it is made of, with those that are too small for it.
        codes: Most probable code of each group.
        confidence: Confidence of the query's embedding, in [1/K, 1].
        answerability: Answerability of the query, in [0, 1], by which it is decided.
        familiarity: Familiarity of the query, in [0, 1]; ``None`` if the encoder does not know its examples.
        unread: Share of its tokens that the model does not know.
    """

    base: npt.NDArray[np.float32]
    features: models.SparseVector
    probabilities: npt.NDArray[np.float32]
    codes: list[int]
    confidence: float
    answerability: float
    familiarity: float | None
    unread: float


@dataclass(frozen=True)
class Queries:
    """Encoded queries.

    Attributes:
        texts: Text of each query, several phrasings joined by ``" / "``.
        vectors: Vectors of each query.
    """

    texts: list[str]
    vectors: list[QueryVectors]


async def encode_queries(
    state: IndexState,
    queries: Sequence[Query],
    embeddings: FeatureEmbeddings | None,
    *,
    batch_size: int | None,
    show_progress: bool | None = False,
) -> Queries:
    """Encode queries. The phrasings of one query are mixed, each weighted by its own confidence.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings of one question.
        embeddings: Embeddings of all phrasings in order. By default they are encoded.
        batch_size: Number of texts the base model encodes at once.
        show_progress: Draw a progress bar.
    """
    check_list(queries, "queries", ordered=True)
    phrasings = [_checked_phrasings(query, f"queries[{i}]") for i, query in enumerate(queries)]
    texts = [text for phrasing_list in phrasings for text in phrasing_list]
    if embeddings is None:
        embeddings = await state.engine.work(partial(state.encode, texts, batch_size, show_progress=show_progress))
    else:
        state.check_embeddings(embeddings, len(texts), of="queries")
    if embeddings.reading is not None and embeddings.reading.cut.any():
        only_cut = replace(embeddings.reading, unread=np.zeros(len(texts), dtype=np.float32))  # results tell the rest
        warn_about(only_cut, texts, lambda row: f"query {row + 1}:", what="queries")
    if len(texts) > len(phrasings):
        embeddings = _mixed(embeddings, [len(phrasing_list) for phrasing_list in phrasings])
    return Queries([" / ".join(phrasing_list) for phrasing_list in phrasings], query_vectors(embeddings))


def query_vectors(embeddings: FeatureEmbeddings) -> list[QueryVectors]:
    """Vectors of n queries."""
    values, columns, starts = (part.tolist() for part in embeddings.sparse_parts())
    codes, confidences = embeddings.codes.tolist(), embeddings.confidence.tolist()
    answerability = embeddings.answerability.tolist()
    known = embeddings.familiarity
    familiarity: list[float | None] = [None] * len(embeddings) if known is None else known.tolist()
    unread = embeddings.unread.tolist()
    return [
        QueryVectors(
            embeddings.base[i],
            filled(
                models.SparseVector,
                {"indices": columns[starts[i] : starts[i + 1]], "values": values[starts[i] : starts[i + 1]]},
            ),
            embeddings.probabilities[i],
            codes[i],
            confidences[i],
            answerability[i],
            familiarity[i],
            unread[i],
        )
        for i in range(len(embeddings))
    ]


def _checked_phrasings(query: Query, name: str) -> Sequence[str]:
    query = native(query)
    if isinstance(query, str):
        check_text(query, name)
        return [query]
    if not isinstance(query, (list, tuple)):
        raise TypeError(f"{name} must be a string or a list of phrasings, got {type(query).__name__}")
    check_texts(query, name=name)
    if not query:
        raise ValueError(f"{name} holds no phrasing")
    return query


def _mixed(embeddings: FeatureEmbeddings, counts: Sequence[int]) -> FeatureEmbeddings:
    """One embedding per query, mixed from its number of phrasings."""
    stops = np.cumsum(counts).tolist()
    mixed = [embeddings[stop - count : stop].mixed() for count, stop in zip(counts, stops, strict=True)]
    familiarity = [mixture.familiarity for mixture in mixed if mixture.familiarity is not None]
    return FeatureEmbeddings(
        np.concatenate([mixture.base for mixture in mixed]),
        np.concatenate([mixture.probabilities for mixture in mixed]),
        reading=replace(Reading.unknown(len(mixed)), unread=np.concatenate([mixture.unread for mixture in mixed])),
        familiarity=np.concatenate(familiarity) if familiarity else None,
        label_codes=embeddings.label_codes,
    )
