"""The training set: texts to encode, and the codebook made from labels, attributes, pairs or clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.model.codebook import Codebook
from fg_search.validation import check_brought, check_labels, check_list, check_mapping, check_same_length, check_texts

_GROUPS = 16
MAX_CODES = 64  # more codes lower the accuracy, fewer slow down search (docs/benchmarks.md)


@dataclass(frozen=True)
class TrainingSet:
    """The texts to encode, and how to make the codebook from their embeddings.

    Attributes:
        texts: All n training texts, the user's ``texts`` first.
        given: Number of the user's ``texts``.
        queries: Number of the queries of pairs, which come last.
        learns_labels: Whether the head learns from labels.
        codebook: Function from the embeddings ``(n, d)`` of ``texts`` to the codebook.
    """

    texts: list[str]
    given: int
    learns_labels: bool
    codebook: Callable[[npt.NDArray[np.float32]], Codebook]
    queries: int = 0


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
    """Check the arguments of ``FeatureGroupEncoder.fit`` and choose the kind of supervision.

    Raises:
        TypeError, ValueError: If any argument is not valid; nothing has been encoded by then.
    """
    own = check_texts(texts)
    check_same_length(len(own), {"labels": labels})
    labels = check_labels(labels)
    attributes = _checked_attributes(attributes, len(own))
    sizes: dict[str, Any] = {key: size for key, size in (("groups", groups), ("codes", codes)) if size is not None}
    sizes["seed"] = seed
    if pairs is not None:
        if labels is not None or attributes is not None:
            raise ValueError("give pairs, or labels and attributes, not both: they are different things to learn")
        return _from_pairs(own, pairs, sizes)
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


def check_validation(
    data: TrainingSet,
    validation: tuple[Sequence[str] | npt.NDArray[np.floating[Any]], Sequence[str | None]],
    learned: Sequence[str | None] | None,
    dimension: int,
) -> tuple[list[str] | npt.NDArray[np.float32], Sequence[str | None]]:
    """Check the validation texts, or vectors, and labels that a caller passes.

    Args:
        data: The training set.
        validation: Texts, or vectors ``(m, d)``, and one label for each, ``None`` where unknown.
        learned: Labels of the training texts.
        dimension: Dimension d.

    Raises:
        TypeError, ValueError: If a text or label is not valid, the head does not learn from labels, or it learns none
            of these labels.
    """
    given: Any = validation[0]
    texts: list[str] | npt.NDArray[np.float32]
    if isinstance(given, np.ndarray) and given.ndim == 2:
        texts = check_brought(given, name="validation vectors", dimension=dimension)
    else:
        texts = check_texts(given, name="validation texts")
    labels = check_labels(validation[1], name="validation labels") or []
    if len(texts) != len(labels):
        raise ValueError(f"validation has {len(texts)} texts and {len(labels)} labels")
    if not data.learns_labels or learned is None:
        raise ValueError("validation holds labels, but the head does not learn from labels; leave it out")
    labels = check_labels(labels, name="validation labels") or []
    if not set(labels) & set(learned) - {None}:
        raise ValueError("no validation example has a label that the head learns")
    return texts, labels


def _checked_attributes(
    attributes: Mapping[str, Sequence[str | None]] | None, count: int
) -> dict[str, list[str | None]] | None:
    if attributes is None:
        return None
    check_mapping(attributes, "attributes", example='{"colour": ["red", "blue"]}')
    check_same_length(count, attributes)
    return {name: check_labels(column, name=f"attributes[{name!r}]") or [] for name, column in attributes.items()}


def _default_codes(labels: Sequence[str | None] | None, attributes: Mapping[str, Sequence[str | None]]) -> int:
    """One code per label, so that no code is unused, up to a limit; at least one per value of an attribute."""
    values = [len(set(column) - {None}) for column in attributes.values()]
    shared = MAX_CODES if labels is None else min(MAX_CODES, len(set(labels) - {None}))
    return max(2, shared, *values)


def _from_pairs(own: list[str], pairs: Sequence[tuple[str, str]], sizes: dict[str, Any]) -> TrainingSet:
    check_list(pairs, "pairs", ordered=True)
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

    return TrainingSet([*own, *added, *queries], len(own), False, codebook, len(queries))
