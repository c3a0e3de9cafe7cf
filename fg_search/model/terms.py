"""Typical words of texts that share a code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fg_search.model.partition import membership

_TERMS = 8


def typical_terms(texts: Sequence[str], codes: npt.NDArray[np.int64], size: int) -> list[tuple[str, ...]]:
    """Typical words of the texts with each code, by class-based TF-IDF (Grootendorst, 2022), best first.

    Args:
        texts: n texts.
        codes: ``(n,)`` integer codes in [0, size).
        size: Number of codes.

    Returns:
        One tuple of words per code, empty for an unused code.
    """
    return Words([*texts]).of_codes(codes, size)


class Words:
    """Word counts of n texts, to find typical words of a code."""

    def __init__(self, texts: list[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        vectorizer = CountVectorizer()
        try:
            self.counts = vectorizer.fit_transform(texts)
        except ValueError:  # no text contains a word of two letters or more
            self.counts, self.names = None, np.empty(0, dtype=object)
        else:
            self.names = vectorizer.get_feature_names_out()

    def of_codes(self, codes: npt.NDArray[np.int64], size: int) -> list[tuple[str, ...]]:
        """The terms of each code with the highest ``tf · log(1 + (A - f + ½) / (f + ½))``.

        Class-based TF-IDF (Grootendorst, 2022) in its BM25 form, which excludes words that are frequent everywhere: tf
        is the term's share of the code's words, f its count over all codes, A the mean number of words per code.
        """
        if self.counts is None:
            return [()] * size
        counts = (membership(codes, size) @ self.counts).toarray()
        words = counts.sum(axis=1, keepdims=True)
        frequency = counts.sum(axis=0)
        rarity = np.log1p(np.maximum(words[words > 0].mean() - frequency + 0.5, 0) / (frequency + 0.5))
        weight = counts / np.maximum(words, 1) * rarity
        best = np.argsort(-weight, axis=1, kind="stable")[:, :_TERMS]
        return [tuple(str(self.names[i]) for i in row if weight[code, i] > 0) for code, row in enumerate(best)]
