"""A description of what the groups learned and what each code means, from a sample of texts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fg_search.arrays import unit_rows
from fg_search.confidence.familiarity import UNFAMILIAR
from fg_search.html_table import html_table, to_frame
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.partition import Parts, alike, gathered, listed, membership, spans, title
from fg_search.model.terms import Words
from fg_search.validation import check_labels, check_same_length, check_texts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_VALUES, _EXAMPLES = 5, 3
_SHOWN_CODES = 5
_DECIMALS = 4  # of a centrality: those after them differ by the order of the items
_CLIPPED = 60  # characters of a text in a title or a line


@dataclass(frozen=True)
class ValueLift:
    """How much more often a label or an attribute's value occurs with a code than overall.

    Attributes:
        value: Label, or value of the attribute.
        count: Number of items with the code and the value.
        share: Share of the value among the code's items whose value is known, in [0, 1].
        lift: ``share`` divided by the value's share among all items; 1 means no association.
    """

    value: str
    count: int
    share: float
    lift: float


@dataclass(frozen=True)
class CodeDescription:
    """The meaning of one code of one group.

    Attributes:
        code: Number of the code in its group, in [0, K).
        usage: Share of the items with this code, in [0, 1].
        confidence: Mean group confidence of these items, in [1/K, 1].
        labels: Labels that the code stands for, most frequent first.
        attributes: Values that the code stands for, most frequent first, by attribute name.
        terms: Typical words by class-based TF-IDF, best first.
        typical: Texts with the highest group confidence, highest first.
        boundary: Texts with the lowest group confidence, lowest first, each with its second most probable code.
        nearest: Text most similar to all texts with the code, by the features of all groups. It stands for the code
            where no label does.
    """

    code: int
    usage: float
    confidence: float
    labels: tuple[ValueLift, ...]
    attributes: Mapping[str, tuple[ValueLift, ...]]
    terms: tuple[str, ...]
    typical: tuple[str, ...]
    boundary: tuple[tuple[str, int], ...]
    nearest: str

    def __str__(self) -> str:
        values = [*self.labels, *(lift for lifts in self.attributes.values() for lift in lifts)]
        named = ", ".join(f"{value.value} {value.share:.0%}" for value in values[:_VALUES])
        named = named or f"nearest to “{clipped(self.nearest)}”"
        return f"code {self.code}: {self.usage:.1%} of items; " + "; ".join(
            part for part in (named, "terms " + ", ".join(self.terms) if self.terms else "") if part
        )


@dataclass(frozen=True)
class GroupDescription:
    """What one group learned.

    Attributes:
        group: Number of the group, in [0, G).
        name: Name of the attribute that the group learned, or ``None``.
        entropy: Entropy of the code usage divided by log K: 1 if all codes are used equally, 0 if only one is used.
        dead_codes: Codes that no item has.
        confidence: Mean group confidence of all items, in [1/K, 1].
        codes: Codes in use, most used first.
        parts: Labels that share a code, for each code that most items of a label have, the most used code first. In
            the group of a described attribute they are its values. Empty without labels.
    """

    group: int
    name: str | None
    entropy: float
    dead_codes: tuple[int, ...]
    confidence: float
    codes: tuple[CodeDescription, ...]
    parts: Parts = ()

    @property
    def title(self) -> str:
        """What the group separates: labels, or without labels what its most used codes are nearest to."""
        if self.parts:
            return title(self.parts, "labels" if self.name is None else "values")
        return f"codes nearest to {listed([f'“{clipped(code.nearest)}”' for code in self.codes])}"

    def __str__(self) -> str:
        name = f"group {self.group}" + (f" ({self.name})" if self.name else "")
        head = (
            f"{name}: {len(self.codes)} codes in use, {len(self.dead_codes)} dead, "
            f"entropy {self.entropy:.2f}, confidence {self.confidence:.2f}"
        )
        separates = [f"  {self.title}"] if self.parts else []
        lines = [f"  {code}" for code in self.codes[:_SHOWN_CODES]]
        rest = len(self.codes) - len(lines)
        lines = [*separates, *lines]
        return "\n".join([head, *lines, *([f"  … and {rest} more"] if rest > 0 else [])])


@dataclass(frozen=True, repr=False)
class Description:
    """What a head learned, described by a sample of n items.

    Attributes:
        items: Number n of items.
        groups: One description per group.
        mutual_information: ``(G, G)`` float64 normalised mutual information between the groups' codes, in [0, 1]: 0 for
            independent groups, 1 for redundant ones.
        alike: Numbers of the groups that separate the same labels (without labels: the same items), one tuple for each
            such partition. A group that learned an attribute is alone.
        familiarity: Mean familiarity of the items, in [0, 1]: about .5 for new texts of the kind that was learned from,
            more for the examples themselves. ``None`` if it is not known.
        unfamiliar: The least familiar texts, of those below .05, each with its familiarity and the other text nearest
            to it by base embeddings. Empty if either is not known.
    """

    items: int
    groups: tuple[GroupDescription, ...]
    mutual_information: npt.NDArray[np.float64] = field(repr=False)
    alike: tuple[tuple[int, ...], ...]
    familiarity: float | None = None
    unfamiliar: tuple[tuple[str, float, str], ...] = ()

    def __repr__(self) -> str:
        return f"Description({len(self.groups)} groups on {self.items:,} items)"

    def to_pandas(self) -> Any:
        """The groups as a data frame of pandas.

        Raises:
            ModuleNotFoundError: If pandas is not installed.
        """
        return to_frame(self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._rows(), title=f"{len(self.groups)} groups on {self.items:,} items")

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "group": group.group if group.name is None else group.name,
                "separates": group.title,
                "codes in use": len(group.codes),
                "dead codes": len(group.dead_codes),
                "entropy": float(group.entropy),
                "group confidence": float(group.confidence),
            }
            for group in self.groups
        ]

    def __str__(self) -> str:
        count = len(self.groups)
        between = self.mutual_information[~np.eye(count, dtype=bool)]
        overlap = f", mutual information between groups {between.mean():.2f} on average" if count > 1 else ""
        known = "" if self.familiarity is None else f", familiarity {self.familiarity:.2f} on average"
        lines = [f"{count} groups on {self.items:,} items{overlap}{known}"]
        lines += [
            f"unfamiliar: “{clipped(text)}” ({familiarity:.2g}), nearest to “{clipped(nearest)}”"
            for text, familiarity, nearest in self.unfamiliar
        ]
        for same in self.alike:
            group = self.groups[same[0]]
            if len(same) > 1:
                lines.append(f"groups {spans(same)} are alike; group {group.group} stands for them")
            lines.append(str(group))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON values."""
        return {
            "items": self.items,
            "groups": [{**asdict(group), "title": group.title} for group in self.groups],
            "mutual_information": self.mutual_information.tolist(),
            "alike": self.alike,
            "familiarity": self.familiarity,
            "unfamiliar": self.unfamiliar,
        }


def describe(
    embeddings: FeatureEmbeddings,
    texts: Sequence[str],
    labels: Sequence[str | None] | None = None,
    *,
    attributes: Mapping[str, Sequence[str | None]] | None = None,
    group_names: Sequence[str] = (),
) -> Description:
    """Describe what the groups learned and what their codes mean.

    Args:
        embeddings: Embeddings of n items. Confidences are more realistic on items that the head was not trained on.
        texts: Texts of the n items.
        labels: One label per item, ``None`` where unknown.
        attributes: One value per item, ``None`` where unknown, for each attribute name.
        group_names: Names of the first groups.

    Raises:
        TypeError: If a text or label is missing or not a string; the message names its position.
        ValueError: If there are no items, or lengths differ.
    """
    items = check_texts(texts)
    if not items:
        raise ValueError("there are no texts to describe the codes by")
    check_same_length(len(items), {"embeddings": embeddings, "labels": labels})
    check_same_length(len(items), attributes or {})
    labels = check_labels(labels)
    columns = {
        name: _Column(check_labels(column, name=f"attributes[{name!r}]") or [])
        for name, column in (attributes or {}).items()
    }
    label_column = None if labels is None else _Column(labels)
    words = Words(items)
    features = embeddings.sparse()
    groups = tuple(
        _describe_group(embeddings, group, items, label_column, columns, words, group_names, features)
        for group in range(embeddings.groups)
    )
    return Description(
        len(items),
        groups,
        group_mutual_information(embeddings.codes),
        alike([_partition(group, embeddings) for group in groups]),
        None if embeddings.familiarity is None else float(embeddings.familiarity.mean()),
        _unfamiliar(embeddings, items),
    )


def clipped(text: str) -> str:
    """The beginning of a text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= _CLIPPED else text[: _CLIPPED - 1] + "…"


def _partition(group: GroupDescription, embeddings: FeatureEmbeddings) -> Hashable:
    """What makes groups alike: the same name and the same parts, or the same items with one code each."""
    if group.parts:
        return group.name, frozenset(map(frozenset, group.parts))
    _, first, codes = np.unique(embeddings.codes[:, group.group], return_index=True, return_inverse=True)
    return group.name, first[codes].tobytes()


def _unfamiliar(embeddings: FeatureEmbeddings, texts: list[str]) -> tuple[tuple[str, float, str], ...]:
    if embeddings.familiarity is None or not embeddings.base.shape[1] or len(texts) < 2:
        return ()
    least = np.argsort(embeddings.familiarity, kind="stable")[:_EXAMPLES]
    least = least[embeddings.familiarity[least] < UNFAMILIAR]
    rows = unit_rows(embeddings.base)
    cosines = rows[least] @ rows.T
    cosines[np.arange(len(least)), least] = -np.inf  # itself
    return tuple(
        (texts[i], float(embeddings.familiarity[i]), texts[j])
        for i, j in zip(least, cosines.argmax(axis=1), strict=True)
    )


def group_mutual_information(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Mutual information between the codes of each pair of groups, divided by the mean of their entropies.

    Args:
        codes: ``(n, G)`` integer codes.

    Returns:
        ``(G, G)`` symmetric float64 array in [0, 1] with ones on the diagonal.
    """
    from sklearn.metrics import normalized_mutual_info_score

    groups = codes.shape[1]
    shared = np.eye(groups)
    for a in range(groups):
        for b in range(a):
            shared[a, b] = shared[b, a] = normalized_mutual_info_score(codes[:, a], codes[:, b])
    return shared


def _describe_group(
    embeddings: FeatureEmbeddings,
    group: int,
    texts: list[str],
    labels: _Column | None,
    attributes: Mapping[str, _Column],
    words: Words,
    names: Sequence[str],
    features: csr_array,
) -> GroupDescription:
    codes, sure = embeddings.codes[:, group], embeddings.group_confidence[:, group]
    size = embeddings.probabilities.shape[2]
    used = np.bincount(codes, minlength=size)
    shares = used[used > 0] / len(codes)
    terms = words.of_codes(codes, size)
    name = names[group] if group < len(names) else None
    column = labels if name is None else attributes.get(name, labels)
    central = _centrality(features, codes, size)
    gathers = [()] * size if column is None else gathered(column.values, column.rows, codes, size)
    descriptions = []
    for code in np.argsort(-used, kind="stable")[: len(shares)]:
        members = np.flatnonzero(codes == code)
        by_confidence = members[np.argsort(-sure[members], kind="stable")]
        unsure = by_confidence[::-1][:_EXAMPLES]
        second = np.argsort(embeddings.probabilities[unsure, group], axis=-1)[:, -2]
        descriptions.append(
            CodeDescription(
                code=int(code),
                usage=len(members) / len(codes),
                confidence=float(sure[members].mean()),
                labels=() if labels is None else labels.lifts(members),
                attributes={name: column.lifts(members) for name, column in attributes.items()},
                terms=terms[code],
                typical=tuple(texts[i] for i in by_confidence[:_EXAMPLES]),
                boundary=tuple((texts[i], int(almost)) for i, almost in zip(unsure, second, strict=True)),
                nearest=texts[members[central[members].argmax()]],
            )
        )
    return GroupDescription(
        group=group,
        name=name,
        entropy=float(-(shares * np.log(shares)).sum() / np.log(size)),
        dead_codes=tuple(int(code) for code in np.flatnonzero(used == 0)),
        confidence=float(sure.mean()),
        codes=tuple(descriptions),
        parts=tuple(gathers[described.code] for described in descriptions if gathers[described.code]),
    )


def _centrality(features: csr_array, codes: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    """Similarity of each of n items to the mean of those with its code, times their number, ``(n,)``."""
    sums = (membership(codes, size) @ features).toarray()
    rows = np.repeat(np.arange(len(codes)), np.diff(features.indptr))
    products = features.data * sums[codes[rows], features.indices]
    return np.asarray(np.bincount(rows, products, minlength=len(codes)).round(_DECIMALS))


class _Column:
    """Value counts of a label or an attribute over n items."""

    def __init__(self, values: Sequence[str | None]) -> None:
        self.values = sorted({value for value in values if value is not None})
        row = {value: i for i, value in enumerate(self.values)}
        self.rows = np.array([-1 if value is None else row[value] for value in values], dtype=np.int64)
        self.counts = np.bincount(self.rows[self.rows >= 0], minlength=len(self.values))

    def lifts(self, members: npt.NDArray[np.int64]) -> tuple[ValueLift, ...]:
        """The values that are more frequent among the members than among all items, most frequent first."""
        rows = self.rows[members]
        counts = np.bincount(rows[rows >= 0], minlength=len(self.values))
        if not counts.sum():
            return ()
        share = counts / counts.sum()
        lift = share / (self.counts / self.counts.sum())
        order = np.lexsort((-lift, -counts))
        only_one = len(self.values) == 1
        chosen = [i for i in order if counts[i] and (lift[i] > 1 or only_one)][:_VALUES]
        return tuple(ValueLift(self.values[i], int(counts[i]), float(share[i]), float(lift[i])) for i in chosen)
