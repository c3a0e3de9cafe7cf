"""The gate of lists of scores, whatever they are of."""

import numpy as np
import pytest

from fg_search import PrecisionGate
from fg_search.integrations.score_gate import ScoreGate


def judged(count, seed):
    """Scores of lists of different lengths; the first result is right the more often the higher its score."""
    rng = np.random.default_rng(seed)
    scores = [-np.sort(-rng.uniform(size=rng.integers(0, 6))) for _ in range(count)]
    right = [[bool(rng.uniform() < score**4) and i == 0 for i, score in enumerate(row)] for row in scores]
    return [row.tolist() for row in scores], right


@pytest.fixture(scope="module")
def gate():
    return ScoreGate().fit(*judged(600, 0))


def test_lists_of_any_length_are_rows_of_a_table(gate):
    scores, right = judged(600, 0)
    found = [i for i, row in enumerate(scores) if row]
    table = np.full((len(found), 5), np.nan)
    relevant = np.zeros((len(found), 5), dtype=bool)
    for row, i in enumerate(found):
        table[row, : len(scores[i])], relevant[row, : len(scores[i])] = scores[i], right[i]
    plain = PrecisionGate().fit(table, relevant)
    decisions = plain.decide(table, 0.7)
    for row, i in enumerate(found[:50]):
        decision = gate.decide(scores[i], 0.7)
        assert (decision.answer, decision.confidence) == (
            decisions.answer[row],
            pytest.approx(float(decisions.confidence[row]), abs=1e-6),
        )
    longer = [*scores[found[0]], *[scores[found[0]][-1]] * 5]
    assert gate.decide(longer, 0.7).confidence == gate.decide(longer[:5], 0.7).confidence


def test_without_results_there_is_no_answer_and_a_promise_that_cannot_be_given_is_said(gate):
    nothing = gate.decide([], 0.7)
    assert (nothing.answer, nothing.outcome, nothing.confidence) == (False, "nothing", None)
    beyond = gate.decide([0.99, 0.1], 0.9999)
    assert (beyond.answer, beyond.outcome) == (False, "weak")
    assert "cannot show a precision of" in beyond.reason
    assert beyond.metadata["fg_promised_precision"] is None


def test_queries_are_counted_and_what_was_learned_is_kept(gate):
    scores, _ = judged(300, 1)
    once, often = ScoreGate.from_dict(gate.to_dict()), ScoreGate.from_dict(gate.to_dict())
    assert once.decide(scores[1], 0.7) == gate.decide(scores[1], 0.7)
    once.adapt(scores)
    low = [i for i, row in enumerate(scores) if row and row[0] < 0.5]
    often.adapt(scores, counts=[20 if i in low else 1 for i in range(len(scores))])
    assert often.gate.promise.share.value > once.gate.promise.share.value
    with pytest.raises(ValueError, match="counts has 1 queries, scores has 300"):
        once.adapt(scores, counts=[1])


def test_judgements_have_the_lengths_of_results():
    with pytest.raises(ValueError, match="query 1 has 2 results, of which 1 are judged"):
        ScoreGate().fit([[0.5], [0.5, 0.4]], [[True], [True]])
    with pytest.raises(ValueError, match="relevant has 0 queries, scores has 1"):
        ScoreGate().fit([[0.5]], [])
    with pytest.raises(ValueError, match="nothing was retrieved for any"):
        ScoreGate().fit([[]], [[]])
