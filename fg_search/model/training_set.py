"""From what a user knows about the texts to the codebook that a head learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.model.codebook import Codebook
from fg_search.validation import check_labels, check_same_length, check_texts

_GROUPS = 16
_MOST_CODES = 64  # more would cost accuracy, fewer the speed of search (docs/benchmarks.md)


@dataclass(frozen=True)
class TrainingSet:
    """What to encode, and how to make the codebook from it.

    Attributes:
        texts: What to train on; the user's own come first.
        given: How many of them are the user's own.
        learns_labels: Whether the head learns from labels.
        codebook: Makes it from the embeddings ``(n, d)`` of the texts.
    """

    texts: list[str]
    given: int
    learns_labels: bool
    codebook: Callable[[npt.NDArray[np.float32]], Codebook]


def training_set(
    texts: Sequence[str],
    *,
    labels: Sequence[str | None] | None,
    attributes: Mapping[str, Sequence[str | None]] | None,
    pairs: Sequence[tuple[str, str]] | None,
    groups: int | None,
    codes: int | None,
    seed: int,
) -> TrainingSet:
    """Check what was given and choose the kind of supervision; arguments as of ``FeatureGroupEncoder.fit``.

    Raises:
        TypeError, ValueError: On anything wrong, before a text is encoded.
    """
    own = check_texts(texts)
    check_same_length(len(own), {"labels": labels})
    check_same_length(len(own), attributes or {})
    check_labels(labels)
    for name, column in (attributes or {}).items():
        check_labels(column, name=f"attributes[{name!r}]")
    sizes: dict[str, Any] = {key: size for key, size in (("groups", groups), ("codes", codes)) if size is not None}
    sizes["seed"] = seed
    if pairs is not None:
        if labels is not None or attributes is not None:
            raise ValueError("give pairs, or labels and attributes, not both: they are different things to learn")
        return _of_pairs(own, pairs, sizes)
    if not own:
        raise ValueError("there are no texts to learn from")
    if attributes is not None:
        sizes = {"groups": max(_GROUPS, len(attributes)), "codes": _default_codes(labels, attributes), **sizes}
        codebook = Codebook.from_attributes(attributes, labels=labels, **sizes)
        return TrainingSet(own, len(own), bool(codebook.labels), lambda _: codebook)
    if labels is not None:
        codebook = Codebook.from_labels(labels, **{"codes": _default_codes(labels, {}), **sizes})
        return TrainingSet(own, len(own), True, lambda _: codebook)
    return TrainingSet(own, len(own), False, lambda vectors: Codebook.from_clusters(vectors, **sizes))


def _default_codes(labels: Sequence[str | None] | None, attributes: Mapping[str, Sequence[str | None]]) -> int:
    """As many as there are labels, so that none is dead, up to a limit; never fewer than an attribute's values."""
    values = [len(set(column) - {None}) for column in attributes.values()]
    shared = _MOST_CODES if labels is None else min(_MOST_CODES, len(set(labels) - {None}))
    return max(2, shared, *values)


def _of_pairs(own: list[str], pairs: Sequence[tuple[str, str]], sizes: dict[str, Any]) -> TrainingSet:
    for i, pair in enumerate(pairs):
        if isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"pairs[{i}] must be (query, document), got {pair!r}")
    queries = check_texts([query for query, _ in pairs], name="queries of pairs")
    paired = check_texts([document for _, document in pairs], name="documents of pairs")
    if not queries:
        raise ValueError("pairs is empty; leave it out to learn clusters")
    row: dict[str, int] = {}
    for document in [*own, *paired]:
        row.setdefault(document, len(row))
    rows_of_own = [row[document] for document in own]
    added = list(row)[len(set(own)) :]
    relevant = [row[document] for document in paired]

    def codebook(vectors: npt.NDArray[np.float32]) -> Codebook:
        documents = np.empty((len(row), vectors.shape[1]), dtype=np.float32)
        documents[rows_of_own] = vectors[: len(own)]
        documents[len(set(own)) :] = vectors[len(own) : len(own) + len(added)]
        made = Codebook.from_pairs(vectors[len(own) + len(added) :], documents, relevant=relevant, **sizes)
        of_queries, of_documents = made.targets[: len(queries)], made.targets[len(queries) :]
        targets = np.concatenate([of_documents[rows_of_own], of_documents[len(set(own)) :], of_queries])
        return Codebook("pairs", made.codes_per_group, targets)

    return TrainingSet([*own, *added, *queries], len(own), False, codebook)
