"""Names of clusters of queries: a phrase of their own that most of them are about and others are not."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")  # noqa: RUF001  as it is typed
_MOST_WORDS = 4
_LONGEST = 40  # characters of a name that is no phrase
_LIFT = 3.0  # a word of a phrase's end is so many times as frequent in the cluster as elsewhere
_TELLING = 0.15  # share of the most telling word's weight that it needs, too
_COMMON = 0.04  # share of the other texts from which a word has its place at the beginning or end of a query alone
_COVERAGE = 0.3  # power of the share of the queries that are about the phrase
_SPELLING = 0.1  # power of the number of times that it is written so
_SINGLE, _FILLER = 0.7, 0.9  # for a phrase of one word, and for each word in a phrase that tells nothing


@dataclass
class _Phrase:
    """A phrase of a cluster.

    Attributes:
        spellings: How often it was written in which way.
        begins: How often it began a query.
        ends: How often it ended one.
    """

    spellings: Counter[str] = field(default_factory=Counter)
    begins: int = 0
    ends: int = 0


def cluster_names(clusters: Sequence[Sequence[int]], texts: Sequence[str], background: Sequence[str] = ()) -> list[str]:
    """A name for each cluster: up to four words of its queries that stand together there, such as "cancel my order".

    A phrase begins and ends with words that are more frequent in the cluster than in all other texts. Words that are
    common everywhere, such as "my" or "with", begin one only if it mostly begins a query, and end one only if it mostly
    ends one. Nothing is known of any language. A cluster without such a phrase has the beginning of its first query.

    Args:
        clusters: Rows of the queries of each cluster, the most central first.
        texts: Texts of all queries, those without a cluster, too.
        background: Other texts that names stand out from.
    """
    words = [_WORD.findall(text) for text in texts]
    folded = [[word.casefold() for word in one] for one in words]
    frequency = Counter(word for one in folded for word in set(one))
    for text in background:
        frequency.update({word.casefold() for word in _WORD.findall(text)})
    count = len(texts) + len(background)
    names = []
    for rows in clusters:
        own = Counter(word for row in rows for word in set(folded[row]))
        others = count - len(rows)
        elsewhere = {word: (frequency[word] - n) / max(others, 1) for word, n in own.items()}
        weights = _telling(own, elsewhere, len(rows), 1 / (2 * others + 2))
        phrases = _phrases([words[row] for row in rows], [folded[row] for row in rows], weights, elsewhere)
        best = _best(phrases, weights, [set(folded[row]) for row in rows])
        names.append(best or _beginning(texts[rows[0]], words[rows[0]]))
    return names


def _telling(own: Mapping[str, int], elsewhere: Mapping[str, float], size: int, unseen: float) -> dict[str, float]:
    """Weights of the words that tell a cluster from other texts: how frequent they are, times how much more so."""
    weights = {
        word: n / size * math.log(n / size / (elsewhere[word] + unseen))
        for word, n in own.items()
        if n > 1 and n / size > _LIFT * (elsewhere[word] + unseen) and not word.isdecimal()
    }
    least = _TELLING * max(weights.values(), default=0.0)
    return {word: weight for word, weight in weights.items() if weight >= least}


def _phrases(
    words: Sequence[Sequence[str]],
    folded: Sequence[Sequence[str]],
    weights: Mapping[str, float],
    elsewhere: Mapping[str, float],
) -> dict[tuple[str, ...], _Phrase]:
    """Phrases of the queries that may be names."""
    found: dict[tuple[str, ...], _Phrase] = {}
    for written, query in zip(words, folded, strict=True):
        telling = [place for place, word in enumerate(query) if word in weights]
        for first in telling:
            for last in (place for place in telling if first <= place < first + _MOST_WORDS):
                key = tuple(query[first : last + 1])
                if len(set(key)) == len(key) and not any(word.isdecimal() for word in key):
                    phrase = found.setdefault(key, _Phrase())
                    phrase.spellings[" ".join(written[first : last + 1])] += 1
                    phrase.begins += first == 0
                    phrase.ends += last == len(query) - 1
    return {
        key: phrase
        for key, phrase in found.items()
        if _has_place(elsewhere[key[0]], phrase.begins, phrase) and _has_place(elsewhere[key[-1]], phrase.ends, phrase)
    }


def _has_place(share: float, times: int, phrase: _Phrase) -> bool:
    """Whether a phrase may begin, or end, with a word that so many of the other texts have."""
    return share <= _COMMON or 2 * times >= phrase.spellings.total()


def _best(
    phrases: Mapping[tuple[str, ...], _Phrase], weights: Mapping[str, float], queries: Sequence[set[str]]
) -> str | None:
    def score(key: tuple[str, ...]) -> float:
        telling = {word for word in key if word in weights}
        coverage = sum(telling <= query for query in queries) / len(queries)
        form: float = _SINGLE if len(key) == 1 else _FILLER ** (len(key) - len(telling))
        written: float = phrases[key].spellings.total() ** _SPELLING
        covered: float = coverage**_COVERAGE
        return sum(weights[word] for word in telling) * covered * written * form

    best = max(phrases, key=lambda key: (score(key), key), default=None)
    return None if best is None else max(phrases[best].spellings.items(), key=lambda item: (item[1], item[0]))[0]


def _beginning(text: str, words: Sequence[str]) -> str:
    return " ".join(words[:_MOST_WORDS])[:_LONGEST] or text[:_LONGEST]
