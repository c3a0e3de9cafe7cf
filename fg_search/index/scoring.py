"""Judging the labels of all items, and leaving what came of it with the items for those who review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models

from fg_search.index.opening import physical_collection
from fg_search.index.refitting import Corpus, read_corpus
from fg_search.index.state import IndexState
from fg_search.storage.keys import PAYLOAD_KEY, REVIEW_KEY, REVIEW_SCORE_KEY
from fg_search.storage.operations import Operation, Work, call

_WRITTEN_AT_ONCE = 1000
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


def score_labels(state: IndexState, *, seed: int, progress: Callable[[int], object]) -> Operation[LabelScores]:
    """Judge every label by what was learned without it, and write score and suggestion to the items in doubt.

    Raises:
        ValueError: If there are no stored base embeddings, or too few labels.
    """
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, which labels are judged by")
    corpus = yield from read_corpus(state, progress)
    judgements, judge = yield Work(lambda: _judge(corpus, seed))
    yield call(
        "create_payload_index",
        state.collection,
        field_name=REVIEW_SCORE_KEY,
        field_schema=models.PayloadSchemaType.FLOAT,
    )
    there = models.Filter(
        must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=f"{PAYLOAD_KEY}.{REVIEW_KEY}"))]
    )
    old = models.FilterSelector(filter=state.scope_of_all(there))
    yield call("delete_payload", state.collection, [f"{PAYLOAD_KEY}.{REVIEW_KEY}"], points=old, wait=True)
    listed = [i for i in range(len(judgements)) if judgements.judged[i] and judgements.score[i] >= _LEAST_SCORE]
    for start in range(0, len(listed), _WRITTEN_AT_ONCE):
        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload={
                        REVIEW_KEY: {
                            "score": round(float(judgements.score[i]), 4),
                            "suggested": judgements.suggested[i],
                            "probability": round(float(judgements.probability[i]), 4),
                        }
                    },
                    points=[corpus.point_ids[i]],
                    key=PAYLOAD_KEY,
                )
            )
            for i in listed[start : start + _WRITTEN_AT_ONCE]
        ]
        yield call("batch_update_points", state.collection, update_operations=operations, wait=True)
    physical = yield from physical_collection(state.collection)
    yield call("update_collection", physical, metadata={REVIEW_KEY: {"labelled": int(judgements.judged.sum())}})
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


def _judge(corpus: Corpus, seed: int) -> Any:
    from fg_search.review.labels import judge_labels

    base = np.empty((0, 0), dtype=np.float32) if corpus.base is None else corpus.base
    return judge_labels(base, corpus.labels, seed=seed)
