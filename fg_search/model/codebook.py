"""Codebooks: what each group of a feature-group head learns to predict.

Training the concatenated softmax groups with a metric loss collapses onto a few codes. Training each group as a
classifier of *codes* does not. A codebook assigns each training example a code in each group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.validation import check_labels, check_vectors

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
Supervision = Literal["labels", "attributes", "pairs", "clusters"]

UNSUPERVISED = -1  # target of an example that a group ignores (torch's ignore_index)
_CODE_FLOOR = 1e-6  # keeps log p finite when a group assigns no mass to a label's code


@dataclass(frozen=True)
class Codebook:
    """The target codes of G groups with K codes each, and the labels that codes decode to.

    Attributes:
        supervision: Kind of supervision: ``"labels"``, ``"attributes"``, ``"pairs"`` or ``"clusters"``.
        codes_per_group: Number K of codes per group.
        targets: ``(n, G)`` int64 code of each training example in each group, -1 where unknown. Empty after loading: a
            saved codebook keeps the meaning of the codes, not the training set.
        labels: The L known labels, in the order of ``label_codes``; empty if there was nothing labelled to learn.
        label_codes: ``(L, G)`` int64 code of each label in each group, -1 in the groups of attributes.
        attributes: Values of each attribute, by its name. Each attribute has one of the first groups, in this order;
            code k of that group is value k.
    """

    supervision: Supervision
    codes_per_group: int
    targets: IntArray = field(repr=False)
    labels: tuple[str, ...] = field(default=(), repr=False)
    label_codes: IntArray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64), repr=False)
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def groups(self) -> int:
        """Number G of groups."""
        return int(self.targets.shape[1])

    @classmethod
    def from_labels(cls, labels: Sequence[str | None], *, groups: int = 16, codes: int = 64, seed: int = 0) -> Codebook:
        """Map labels to codes at random, independently in each group, with every code used equally often.

        These are error-correcting output codes (Dietterich & Bakiri, 1995) over an alphabet of ``codes`` letters:
        labels that share a code in one group are separated by other groups.

        Args:
            labels: One label per example; ``None`` where unknown (such an example is not trained on).
            groups: Number G of groups.
            codes: Number K of codes per group; with fewer labels than codes, some codes stay unused.
            seed: Random seed.

        Raises:
            ValueError: If there are fewer than two distinct labels, or a size is out of range.
        """
        _check_sizes(groups, codes)
        labels = check_labels(labels) or []
        known = _distinct(labels)
        if len(known) < 2:
            found = f"only {known[0]!r}" if known else "none"
            raise ValueError(
                f"labels must hold at least 2 distinct labels, found {found}; "
                "to learn without labels leave them out (clusters are used instead)"
            )
        label_codes = _random_codes(len(known), groups, codes, seed)
        return cls("labels", codes, _targets_of(labels, known, label_codes), known, label_codes)

    @classmethod
    def from_attributes(
        cls,
        attributes: Mapping[str, Sequence[str | None]],
        *,
        labels: Sequence[str | None] | None = None,
        groups: int = 16,
        codes: int = 64,
        seed: int = 0,
    ) -> Codebook:
        """Give each attribute a group of its own, with its values as codes; the remaining groups learn labels.

        Args:
            attributes: One value per example, ``None`` where unknown, for each attribute name (colour, brand, …).
            labels: Labels for the remaining groups, as in :meth:`from_labels`; by default the combination of an
                example's values, unknown if a value is.
            groups: Total number G of groups; at least one per attribute.
            codes: Number K of codes per group; at least the number of values of each attribute.
            seed: Random seed of the remaining groups.

        Raises:
            ValueError: If an attribute has fewer than two or more than K values, columns differ in length, there are
                fewer groups than attributes, or the remaining groups have nothing to learn.
        """
        _check_sizes(groups, codes)
        _check_attributes(attributes, labels, groups, codes)
        values = {name: _distinct(column) for name, column in attributes.items()}
        named = [
            _targets_of(column, values[name], np.arange(len(values[name]))[:, None])
            for name, column in attributes.items()
        ]
        rest = groups - len(named)
        shared = _combinations(attributes) if labels is None else labels
        if not rest or len(_distinct(shared)) < 2:
            if rest:
                raise ValueError(
                    f"{rest} of the {groups} groups have nothing to learn: the attributes' values have fewer than 2 "
                    f"complete combinations; give labels, or groups={len(named)}"
                )
            return cls("attributes", codes, np.concatenate(named, axis=1), attributes=values)
        other = cls.from_labels(shared, groups=rest, codes=codes, seed=seed)
        targets = np.concatenate([*named, other.targets], axis=1)
        if labels is None:
            return cls("attributes", codes, targets, attributes=values)
        unnamed = np.full((len(other.labels), len(named)), UNSUPERVISED, dtype=np.int64)
        return cls(
            "attributes", codes, targets, other.labels, np.concatenate([unnamed, other.label_codes], axis=1), values
        )

    @classmethod
    def from_clusters(cls, embeddings: FloatArray, *, groups: int = 32, codes: int = 128, seed: int = 0) -> Codebook:
        """Use k-means cluster ids as codes, each group in its own random subspace; needs no labels.

        This resembles product quantisation (Jégou et al., 2011), but the subspaces are random and overlap, so any
        number of groups works for any dimension.

        Args:
            embeddings: ``(n, d)`` float array; only the direction of each row matters.
            groups: Number G of groups.
            codes: Number K of codes per group; no more than there are distinct rows are used.
            seed: Random seed of the subspaces and of k-means.

        Raises:
            ValueError: If fewer than two rows differ, or a size is out of range.
        """
        from sklearn.cluster import MiniBatchKMeans

        _check_sizes(groups, codes)
        unit = unit_rows(check_vectors(embeddings, name="embeddings"))
        clusters = _count_distinct(unit, codes)
        if clusters < 2:
            raise ValueError(f"clustering needs at least 2 different items, got {clusters}")
        rng = np.random.default_rng(seed)
        dimension = unit.shape[1]
        subspace = min(dimension, max(8, dimension // 8))
        targets = np.empty((len(unit), groups), dtype=np.int64)
        for group in range(groups):
            basis = np.linalg.qr(rng.standard_normal((dimension, subspace)))[0].astype(np.float32)
            # a few passes are enough: less similar groups are worth more than tighter clusters
            kmeans = MiniBatchKMeans(
                n_clusters=clusters,
                n_init=1,
                max_iter=5,
                batch_size=2048,
                random_state=int(rng.integers(2**31)),
            )
            targets[:, group] = kmeans.fit_predict(unit @ basis)
        return cls("clusters", codes, targets)

    @classmethod
    def from_pairs(
        cls,
        queries: FloatArray,
        documents: FloatArray,
        *,
        relevant: Sequence[int] | IntArray,
        groups: int = 32,
        codes: int = 128,
        seed: int = 0,
    ) -> Codebook:
        """Use cluster ids of the documents as codes; each query learns the codes of its document.

        Train on queries and documents in this order: ``np.concatenate([queries, documents])``.

        Args:
            queries: ``(q, d)`` float array.
            documents: ``(m, d)`` float array, each document once.
            relevant: ``(q,)`` integers, the row of each query's document.
            groups: Number G of groups.
            codes: Number K of codes per group.
            seed: Random seed of the clusters.

        Raises:
            ValueError: If shapes do not match or ``relevant`` contains a row that does not exist.
        """
        queries, documents = check_vectors(queries, name="queries"), check_vectors(documents, name="documents")
        rows = np.asarray(relevant, dtype=np.int64)
        if rows.shape != (len(queries),):
            raise ValueError(f"relevant must name one document for each of {len(queries)} queries, got {rows.shape}")
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(documents)):
            odd = int(((rows < 0) | (rows >= len(documents))).argmax())
            raise ValueError(f"relevant[{odd}] is {rows[odd]}, there are {len(documents)} documents")
        targets = cls.from_clusters(documents, groups=groups, codes=codes, seed=seed).targets
        return cls("pairs", codes, np.concatenate([targets[rows], targets]))

    def targets_of_labels(self, labels: Sequence[str | None]) -> IntArray:
        """Target codes ``(n, G)`` int64 for the labels of new examples, -1 where a label is ``None`` or unknown.

        Raises:
            ValueError: If this codebook has no labels.
        """
        if not self.labels:
            raise ValueError(f"a codebook made from {self.supervision} has no labels")
        known = set(self.labels)
        return _targets_of([label if label in known else None for label in labels], self.labels, self.label_codes)

    def decode(self, probabilities: FloatArray) -> npt.NDArray[np.float64]:
        """Decode the codes into a posterior over the labels.

        ``log P(y) = mean_g log p_g[code_g(y)] + const``, a geometric mean over the groups that learned labels.

        Args:
            probabilities: ``(n, G, K)`` float array; each group sums to one.

        Returns:
            ``(n, L)`` float64 array; rows sum to one, columns are in the order of ``labels``.

        Raises:
            ValueError: If this codebook has no labels.
        """
        if not self.labels:
            raise ValueError(
                f"a codebook made from {self.supervision} has no labels to decode; use Codebook.from_labels"
            )
        logs = np.log(np.maximum(probabilities, _CODE_FLOOR, dtype=np.float64))
        scores = np.zeros((len(probabilities), len(self.labels)))
        learned = range(len(self.attributes), self.groups)
        for group in learned:
            scores += logs[:, group, self.label_codes[:, group]]
        scores /= len(learned)
        scores -= scores.max(axis=1, keepdims=True)
        posterior = np.exp(scores)
        return np.asarray(posterior / posterior.sum(axis=1, keepdims=True))

    def decode_attribute(self, probabilities: FloatArray, name: str) -> npt.NDArray[np.float64]:
        """Distribution over the values of an attribute, from its own group, renormalised over the V values.

        Args:
            probabilities: ``(n, G, K)`` float array; each group sums to one.
            name: Name of the attribute.

        Returns:
            ``(n, V)`` float64 array; rows sum to one, columns are in the order of ``attributes[name]``.

        Raises:
            ValueError: If there is no such attribute.
        """
        if name not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            raise ValueError(f"no group learned the attribute {name!r}; named groups: {known}")
        group = list(self.attributes).index(name)
        values = np.maximum(probabilities[:, group, : len(self.attributes[name])], _CODE_FLOOR, dtype=np.float64)
        return np.asarray(values / values.sum(axis=1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        """The codebook as JSON values, without training targets; the inverse of :meth:`from_dict`."""
        return {
            "supervision": self.supervision,
            "groups": self.groups,
            "codes_per_group": self.codes_per_group,
            "labels": list(self.labels),
            "label_codes": self.label_codes.tolist(),
            "attributes": {name: list(values) for name, values in self.attributes.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Codebook:
        """Rebuild a codebook from :meth:`to_dict`, without training targets."""
        groups = int(data["groups"])
        return cls(
            data["supervision"],
            int(data["codes_per_group"]),
            np.empty((0, groups), dtype=np.int64),
            tuple(data["labels"]),
            np.asarray(data["label_codes"], dtype=np.int64).reshape(-1, groups),
            {name: tuple(values) for name, values in data["attributes"].items()},
        )


def _count_distinct(rows: npt.NDArray[np.float32], limit: int) -> int:
    """Number of rows that are distinct after rounding to five decimals, counted up to ``limit``."""
    seen: set[int] = set()
    for row in rows:
        seen.add(hash((row.round(5) + 0.0).tobytes()))  # adding 0 turns -0 into 0
        if len(seen) == limit:
            break
    return len(seen)


def _distinct(column: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in column if value is not None}))


def _targets_of(column: Sequence[str | None], known: Sequence[str], codes: IntArray) -> IntArray:
    """Look up the codes ``(V, G)`` of the known values for each example: ``(n, G)``."""
    row = {value: i for i, value in enumerate(known)}
    chosen = np.array([-1 if value is None else row[value] for value in column], dtype=np.int64)
    return np.where(chosen[:, None] < 0, UNSUPERVISED, codes[chosen])


def _combinations(attributes: Mapping[str, Sequence[str | None]]) -> list[str | None]:
    """Combine the values of each example into one label, ``None`` if a value is missing."""
    rows = zip(*attributes.values(), strict=True)
    return [None if None in row else "\x1f".join(str(value) for value in row) for row in rows]


def _random_codes(labels: int, groups: int, codes: int, seed: int) -> IntArray:
    """Random codes ``(labels, groups)``, balanced in each group."""
    rng = np.random.default_rng(seed)
    return np.stack([_balanced_codes(labels, codes, rng) for _ in range(groups)], axis=1)


def _balanced_codes(labels: int, codes: int, rng: np.random.Generator) -> IntArray:
    """A random code for each label; the counts of any two codes in use differ by at most one."""
    used = min(labels, codes)
    assigned = np.arange(labels) % used
    names = rng.permutation(codes)[:used]
    return np.asarray(names[rng.permutation(assigned)], dtype=np.int64)


def _check_sizes(groups: int, codes: int) -> None:
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    if codes < 2:
        raise ValueError(f"codes must be at least 2, got {codes}: one code carries no information")


def _check_attributes(
    attributes: Mapping[str, Sequence[str | None]], labels: Sequence[str | None] | None, groups: int, codes: int
) -> None:
    if not attributes:
        raise ValueError("attributes must name at least one column")
    if len(attributes) > groups:
        raise ValueError(f"{len(attributes)} attributes need as many groups, got groups={groups}")
    lengths = {name: len(column) for name, column in attributes.items()}
    if labels is not None:
        lengths["labels"] = len(labels)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"attributes and labels must be equally long, got {lengths}")
    for name, column in attributes.items():
        values = len(_distinct(column))
        if values < 2:
            raise ValueError(f"the attribute {name!r} has {values} distinct value(s), a group needs at least 2")
        if values > codes:
            raise ValueError(
                f"the attribute {name!r} has {values} values, a group has {codes} codes; pass codes={values}"
            )
