"""Scores of labels: how probably each is wrong, and which one is suggested instead, kept with the items in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fg_search.index.corpus import Corpus, read_corpus
from fg_search.index.scores import replace_scores
from fg_search.index.state import IndexState
from fg_search.layout.keys import LABEL_SCORE_KEYS, LABELS_SCORED_KEY, UNSCORED_KEY
from fg_search.layout.schema import LABEL_SCORE_INDEXES
from fg_search.review.confused_labels import confusion_key
from fg_search.review.issues.reasons import too_few_reason

LEAST_SCORE = 0.01
"""Probability of being wrong from which a score is kept: a label that is right with 99 % is in nobody's queue."""
_VAGUE = 0.25  # width of an interval that hardly says anything


@dataclass(frozen=True)
class LabelScores:
    """Report of scoring the labels of an index.

    Attributes:
        items: Number of items.
        labelled: Number of items with a label.
        listed: Number of items that :meth:`ConfidenceIndex.review` lists as contradicted, however improbable.
        suggested: Number of items for which another label is more probable than not.
        wrong: Share of the scored labels that are probably wrong, in [0, 1].
        lower: Lower end of its 95 % interval, zero where the contradictions may be the model's own errors.
        upper: Upper end of its 95 % interval.
        unscored: Number of labelled items that were not scored: fewer than three others have their label, too few to
            judge. They are in no list, and are never set aside.
    """

    items: int
    labelled: int
    listed: int
    suggested: int
    wrong: float
    lower: float
    upper: float
    unscored: int = 0

    def __str__(self) -> str:
        scored = self.labelled - self.unscored
        if not scored:
            return f"no labels scored: {too_few_reason(self.unscored)}"
        vague = ": too few examples to tell more exactly" if self.upper - self.lower > _VAGUE else ""
        rest = f"; {too_few_reason(self.unscored)}" if self.unscored else ""
        wrong = f"{self.wrong:.1%} are probably wrong ({self.lower:.1%} to {self.upper:.1%}{vague})"
        return f"{scored:,} labels scored: {wrong}; {self._suggestions}{rest}"

    @property
    def _suggestions(self) -> str:
        if self.suggested or not self.listed:
            return f"another one is suggested for {self.suggested:,}"
        listed = "the one" if self.listed == 1 else f"the {self.listed:,}"
        return f"for none another one is more probable than not, and {listed} contradicted the most can be reviewed"


async def score_labels(state: IndexState, *, seed: int, progress: Callable[[int], object]) -> LabelScores:
    """Score every label by a model that has not seen it, and keep scores and suggestions with the items in doubt.

    Raises:
        ValueError: If the index has no base embeddings, or too few labels.
    """
    if not state.metadata.has_base:
        raise ValueError(f"{state.name} was made without base vectors, which labels are scored by")
    corpus = await read_corpus(state, progress)
    found, model = await state.engine.work(lambda: _score(corpus, seed))
    listed = [i for i in range(len(found)) if found.scored[i] and found.score[i] >= LEAST_SCORE]
    labelled, scored = sum(label is not None for label in corpus.labels), int(found.scored.sum())
    await replace_scores(
        state,
        LABEL_SCORE_KEYS,
        {corpus.point_ids[i]: _scores_of(found, i, corpus.labels[i]) for i in listed},
        LABEL_SCORE_INDEXES,
        {LABELS_SCORED_KEY: {"labelled": scored, UNSCORED_KEY: labelled - scored}},
    )
    share = model.noise.share
    return LabelScores(
        items=len(corpus.texts),
        labelled=labelled,
        listed=len(listed),
        suggested=int(found.change.sum()),
        wrong=float(share.estimate),
        lower=float(share.low),
        upper=float(share.high),
        unscored=labelled - scored,
    )


def _scores_of(found: Any, row: int, label: str | None) -> dict[str, Any]:
    """Scores that are kept with one item."""
    scores = {
        "score": round(float(found.score[row]), 4),
        "suggested": found.suggested[row],
        "probability": round(float(found.probability[row]), 4),
    }
    predicted = found.predicted[row]
    return scores if predicted == label else {**scores, "confusion": confusion_key(str(label), predicted)}


def _score(corpus: Corpus, seed: int) -> Any:
    from fg_search.review.issues.label_errors import find_label_issues  # imports scipy

    base = np.empty((0, 0), dtype=np.float32) if corpus.base is None else corpus.base
    return find_label_issues(base, corpus.labels, seed=seed)
