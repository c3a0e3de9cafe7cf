"""Queries: texts or phrasings as users ask them, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.edge.instances import filled
from fg_search.index.state import BroughtVectors, GivenEmbeddings, IndexState, check_kind
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.reading import Reading, warn_about
from fg_search.validation import check_brought, check_list, check_text, check_texts, native, one_or_more

Query = str | Sequence[str]


class NoText(str):
    """Name that a query has of which only the vector is there."""

    __slots__ = ()


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
    embeddings: GivenEmbeddings,
    *,
    batch_size: int | None,
    show_progress: bool | None = False,
) -> Queries:
    """Encode queries. The phrasings of one query are mixed, each weighted by its own confidence.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings of one question.
        embeddings: Embeddings of all phrasings in order, or their base embeddings. By default they are encoded.
        batch_size: Number of texts the base model encodes at once.
        show_progress: Draw a progress bar.
    """
    check_list(queries, "queries", ordered=True)
    phrasings = [_checked_phrasings(query, f"queries[{i}]") for i, query in enumerate(queries)]
    texts = [text for phrasing_list in phrasings for text in phrasing_list]
    if embeddings is None:
        encode = partial(state.encode, texts, batch_size, "query", show_progress=show_progress)
        embeddings = await state.engine.work(encode)
    elif isinstance(embeddings, np.ndarray):
        check_brought(embeddings, dimension=state.metadata.dimension, count=len(texts), of="queries")
        embeddings = await state.engine.work(partial(_brought, state, embeddings))
    else:
        state.check_embeddings(embeddings, len(texts), of="queries", role="query")
    if embeddings.reading is not None and embeddings.reading.cut.any():
        only_cut = replace(embeddings.reading, unread=np.zeros(len(texts), dtype=np.float32))  # results tell the rest
        warn_about(only_cut, texts, lambda row: f"query {row + 1}:", what="queries")
    if len(texts) > len(phrasings):
        embeddings = _mixed(embeddings, [len(phrasing_list) for phrasing_list in phrasings])
    return Queries([" / ".join(phrasing_list) for phrasing_list in phrasings], query_vectors(embeddings))


def given_queries(
    state: IndexState,
    queries: Sequence[Query] | None,
    vectors: object,
    embeddings: FeatureEmbeddings | None,
    *,
    name: str = "vectors",
) -> tuple[Sequence[Query], GivenEmbeddings]:
    """Queries with what is known of their embeddings. Vectors without texts get names in their place.

    Args:
        state: The index.
        queries: Texts, or lists of phrasings; ``None`` if there are vectors alone.
        vectors: Base embeddings ``(n, d)`` of all phrasings in order, if there are some.
        embeddings: Their embeddings by the index's encoder, if there are some.
        name: The caller's name for the vectors, used in error messages.

    Raises:
        ValueError: If both are given, or neither texts nor vectors; or a vector is not finite, or zero, or of another
            dimension.
    """
    if vectors is None:
        if queries is None:
            raise ValueError(f"there is nothing to search for; give a text, or {name}=…")
        if embeddings is not None:
            check_kind(embeddings)
        return _listed(queries), embeddings
    if embeddings is not None:
        raise ValueError(f"{name} and embeddings are two ways to say the same; give one of them")
    base: BroughtVectors = check_brought(vectors, name=name, dimension=state.metadata.dimension)
    if queries is None:
        queries = [NoText("(vector)" if len(base) == 1 else f"(vector {row + 1})") for row in range(len(base))]
    return _listed(queries), base


def _listed(queries: Sequence[Query]) -> Sequence[Query]:
    """Queries that may be read more than once: those of a generator as a list."""
    if isinstance(queries, Sized):
        return queries
    check_list(queries, "queries", ordered=True)
    return list(queries)


def given_query(
    state: IndexState, query: Query | None, vector: object, embeddings: FeatureEmbeddings | None
) -> tuple[Sequence[Query], GivenEmbeddings]:
    """The same for one query; its vector may be ``(d,)``, or ``(p, d)`` for its phrasings.

    Raises:
        ValueError: As :func:`given_queries`.
    """
    queries = None if query is None else [query]
    if vector is None:
        return given_queries(state, queries, None, embeddings, name="vector")
    rows = one_or_more(vector, "vector")
    if queries is None and len(rows) != 1:
        raise ValueError("vector holds several vectors; give one for a query without texts, or search_many(vectors=…)")
    return given_queries(state, queries, rows, embeddings, name="vector")


def given_sample(
    state: IndexState, queries: Sequence[Query] | None, vectors: object, embeddings: FeatureEmbeddings | None
) -> tuple[Sequence[Query] | None, GivenEmbeddings]:
    """The same for a sample of the traffic, which is that of the log if neither texts nor vectors are given."""
    if queries is None and vectors is None:
        return None, embeddings
    return given_queries(state, queries, vectors, embeddings)


def _brought(state: IndexState, vectors: BroughtVectors) -> FeatureEmbeddings:
    state.warn_of_foreign(vectors, "query")
    return state.features(vectors, "query")


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
