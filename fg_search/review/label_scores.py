"""Judging the labels of all items, and leaving what came of it with the items for those who review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fg_search.index.corpus import Corpus, read_corpus
from fg_search.index.state import IndexState
from fg_search.layout.keys import JUDGEMENT_KEYS, REVIEW_KEY
from fg_search.layout.schema import LABEL_SCORE_INDEXES
from fg_search.review.confused_labels import confusion_key
from fg_search.review.item_scores import replace_marks

_LEAST_SCORE = 0.01  # a label that is right with 99 % is in nobody's queue


@dataclass(frozen=True)
class LabelScores:
    """What came of judging the labels of an index.

    Attributes:
        items: All there are.
        labelled: Those that have a label.
        listed: Those that :meth:`ConfidenceIndex.review` lists as contradicted, likely or not.
        suggested: Those for which another label is more probable than not.
        wrong: Share of the labels that are probably wrong, in [0, 1].
        lower: Lower end of its 95 % interval.
        upper: Upper end.
    """

    items: int
    labelled: int
    listed: int
    suggested: int
    wrong: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return (
            f"{self.labelled:,} labels judged: {self.wrong:.1%} are probably wrong "
            f"({self.lower:.1%} to {self.upper:.1%}); another one is suggested for {self.suggested:,}"
        )


async def score_labels(state: IndexState, *, seed: int, progress: Callable[[int], object]) -> LabelScores:
    """Judge every label by what was learned without it, and write score and suggestion to the items in doubt.

    Raises:
        ValueError: If there are no stored base embeddings, or too few labels.
    """
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, which labels are judged by")
    corpus = await read_corpus(state, progress)
    judgements, judge = await state.engine.work(lambda: _judge(corpus, seed))
    listed = [i for i in range(len(judgements)) if judgements.scored[i] and judgements.score[i] >= _LEAST_SCORE]
    await replace_marks(
        state,
        JUDGEMENT_KEYS,
        {corpus.point_ids[i]: _judgement(judgements, i, corpus.labels[i]) for i in listed},
        LABEL_SCORE_INDEXES,
        {REVIEW_KEY: {"labelled": int(judgements.scored.sum())}},
    )
    share = judge.noise.share
    return LabelScores(
        items=len(corpus.texts),
        labelled=sum(label is not None for label in corpus.labels),
        listed=len(listed),
        suggested=int(judgements.change.sum()),
        wrong=float(share.estimate),
        lower=float(share.low),
        upper=float(share.high),
    )


def _judgement(judgements: Any, row: int, label: str | None) -> dict[str, Any]:
    judged = {
        "score": round(float(judgements.score[row]), 4),
        "suggested": judgements.suggested[row],
        "probability": round(float(judgements.probability[row]), 4),
    }
    predicted = judgements.predicted[row]
    return judged if predicted == label else {**judged, "confusion": confusion_key(str(label), predicted)}


def _judge(corpus: Corpus, seed: int) -> Any:
    from fg_search.review.issues.label_errors import find_label_issues

    base = np.empty((0, 0), dtype=np.float32) if corpus.base is None else corpus.base
    return find_label_issues(base, corpus.labels, seed=seed)
