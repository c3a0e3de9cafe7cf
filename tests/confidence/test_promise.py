"""Promises that follow the share of unanswerable queries, on evidence whose distribution is known."""

import json

import numpy as np
import pytest

from fg_search import PrecisionGate
from fg_search.confidence.promise import PrecisionPromise
from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.errors import FormatVersionError, NotFittedError

POPULATION = 40_000


def draw(rng, count, unanswerable):
    """Features, outcomes and kinds of queries: those without an answer have lower numbers, and overlap."""
    answerable = rng.uniform(size=count) >= unanswerable
    known = rng.normal(np.where(answerable, 2.5, -0.5), 1.2)
    clear = rng.normal(np.where(answerable, 1.5, 0.5), 1.0)
    correct = answerable & (rng.uniform(size=count) < 1 / (1 + np.exp(-2 - 1.5 * clear)))
    return {"known": known, "clear": clear}, correct, answerable


def realised(promise, target, unanswerable, rng):
    """Precision and coverage of a promise, and the coverage of one who knows all outcomes."""
    features, correct, _ = draw(rng, POPULATION, unanswerable)
    confidence, threshold = promise.confidence(features), promise.threshold(target)
    order = np.argsort(-confidence)
    reached = np.flatnonzero(np.cumsum(correct[order]) / np.arange(1, POPULATION + 1) >= target)
    best = (reached[-1] + 1) / POPULATION
    if not threshold:
        return 1.0, 0.0, best
    answered = confidence >= threshold.threshold
    return correct[answered].mean(), answered.mean(), best


@pytest.fixture(scope="module")
def promise():
    return PrecisionPromise.learn(*draw(np.random.default_rng(1), 1500, 0.08))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_a_promise_is_kept_when_more_queries_have_no_answer(share):
    """Of 15 draws, four may miss at a delta of 10 % (more than that happens once in eighty such tests)."""
    rng = np.random.default_rng(7)
    missed, answered, best = 0, [], []
    for _ in range(15):
        learned = PrecisionPromise.learn(*draw(rng, 1000, 0.08))
        adapted = learned.adapted(draw(rng, 800, share)[0])
        precision, coverage, oracle = realised(adapted, 0.95, share, rng)
        missed += precision < 0.95
        answered.append(coverage)
        best.append(oracle)
    assert missed <= 4
    assert np.mean(answered) >= 0.7 * np.mean(best)


def test_without_following_the_traffic_the_promise_breaks(promise):
    precision, _, _ = realised(promise, 0.95, 0.4, np.random.default_rng(3))
    assert precision < 0.93


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 0.6])
def test_the_share_is_estimated_from_queries_that_nobody_judged(promise, share):
    estimated = promise.adapted(draw(np.random.default_rng(5), 3000, share)[0]).share
    assert estimated.value == pytest.approx(share, abs=0.03)
    assert estimated.low <= estimated.value <= estimated.high
    assert (estimated.source, estimated.queries) == ("estimated", 3000)


def test_a_query_counts_as_often_as_it_was_asked(promise):
    features, _, answerable = draw(np.random.default_rng(5), 2000, 0.5)
    often = np.where(answerable, 9.0, 1.0)
    estimated = promise.adapted(features, counts=often).share
    assert estimated.value == pytest.approx(0.1, abs=0.03)
    assert estimated.queries == often.sum()


def test_a_stated_share_lowers_the_confidence_and_raises_the_threshold(promise):
    features, _, _ = draw(np.random.default_rng(2), 500, 0.1)
    few, many = (promise.adapted(expected_unanswerable=share) for share in (0.01, 0.5))
    assert (many.confidence(features) <= few.confidence(features)).all()
    assert many.threshold(0.95).coverage < few.threshold(0.95).coverage
    assert str(many.share) == "50.0% of the queries have no answer, as stated"
    assert "50.0%" in many.threshold(0.95).reason


def test_confidences_are_probabilities_for_the_share_they_follow(promise):
    features, correct, _ = draw(np.random.default_rng(4), POPULATION, 0.3)
    confidence = promise.adapted(expected_unanswerable=0.3).confidence(features)
    for low, high in ((0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        chosen = (confidence >= low) & (confidence < high)
        assert correct[chosen].mean() == pytest.approx(confidence[chosen].mean(), abs=0.06)


def test_without_unanswerable_queries_the_bound_is_that_of_clopper_and_pearson():
    from scipy.stats import beta

    learned = PrecisionPromise.of_calibrator(None, np.repeat([0.9, 0.4], 200), np.repeat([True, True], 200))
    curve = learned.curve
    for threshold, lower in zip(curve.thresholds, curve.lower, strict=True):
        count = 200 if threshold > 0.5 else 400
        assert lower == pytest.approx(beta.ppf(0.075, count, 1), abs=0.004)


def test_too_few_unanswerable_queries_are_wrong_answers_and_cannot_be_followed():
    features, correct, answerable = draw(np.random.default_rng(0), 300, 0.01)
    assert (~answerable).sum() < 5
    learned = PrecisionPromise.learn(features, correct, answerable)
    assert learned.threshold(0.8)
    with pytest.raises(ValueError, match="calibrate on queries that include more of them"):
        learned.adapted(expected_unanswerable=0.2)


def test_a_promise_is_stored_without_loss(promise):
    features, _, _ = draw(np.random.default_rng(6), 500, 0.3)
    for kept in (promise, promise.adapted(features), promise.adapted(expected_unanswerable=0.2)):
        again = PrecisionPromise.from_dict(json.loads(json.dumps(kept.to_dict())))
        assert again.to_dict() == kept.to_dict()
        assert (again.confidence(features) == kept.confidence(features)).all()
        for delta in (0.1, 0.3):
            assert again.threshold(0.9, delta) == kept.threshold(0.9, delta)
    with pytest.raises(FormatVersionError, match="upgrade fg_search"):
        PrecisionPromise.from_dict({**promise.to_dict(), "format": 99})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "either queries or expected_unanswerable"),
        ({"expected_unanswerable": 1.0}, "at least 0 and less than 1"),
        ({"expected_unanswerable": "many"}, "at least 0 and less than 1"),
        ({"features": {"known": np.zeros(5), "clear": np.zeros(5)}}, "expected_unanswerable=0.2"),
        ({"features": {"known": np.zeros(50)}}, "missing here: .'clear'."),
    ],
)
def test_bad_traffic_is_refused(promise, change, message):
    with pytest.raises(ValueError, match=message):
        promise.adapted(**change)


@pytest.mark.parametrize(("target", "delta"), [(0, 0.1), (1, 0.1), ("all", 0.1)])
def test_a_target_that_is_no_probability_is_refused(promise, target, delta):
    with pytest.raises(ValueError, match="greater than 0 and less than 1"):
        promise.threshold(target, delta)


def test_what_cannot_be_promised_says_what_can(promise):
    reason = promise.adapted(expected_unanswerable=0.9).threshold(0.99).reason
    assert "the most that they can promise is" in reason
    best = float(reason.split("promise is ")[1].split("%")[0]) / 100
    assert promise.adapted(expected_unanswerable=0.9).threshold(best)


# the gate behind any ranking


def results(rng, count, unanswerable, scale=1.0):
    """Scores (n, 4) of an unknown ranking, best first, whether each result is right, and whether there is an answer."""
    features, correct, answerable = draw(rng, count, unanswerable)
    top = features["known"] + features["clear"]
    scores = np.sort(top[:, None] - rng.exponential(size=(count, 4)) * [0, 1, 1, 1])[:, ::-1] * scale
    relevant = np.zeros((count, 4), dtype=bool)
    relevant[:, 0] = correct
    relevant[:, 2] = answerable & ~correct  # found further down
    return scores, relevant, answerable


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_gate_keeps_its_promise_on_scores_of_any_scale(scale):
    rng = np.random.default_rng(11)
    gate = PrecisionGate().fit(*results(rng, 1500, 0.1, scale)[:2])
    scores, relevant, _ = results(rng, POPULATION, 0.35, scale)
    decisions = gate.adapt(scores[:1500]).decide(scores, target_precision=0.9)
    assert relevant[decisions.answer, 0].mean() >= 0.9
    assert decisions.answer.mean() > 0.3
    assert decisions.threshold.share.value == pytest.approx(0.35, abs=0.05)
    assert (decisions.answer == (decisions.confidence >= decisions.threshold.threshold)).all()


def test_a_result_among_the_first_few_can_be_promised():
    rng = np.random.default_rng(12)
    scores, relevant, answerable = results(rng, 1000, 0.1)
    first, three = (PrecisionGate().fit(scores, relevant, relevant_within=k).threshold(0.95) for k in (1, 3))
    assert three.coverage > first.coverage
    assert PrecisionGate().fit(scores[:, 0], relevant[:, 0], answerable=answerable).threshold(0.9)


def test_further_evidence_helps():
    rng = np.random.default_rng(13)
    features, correct, answerable = draw(rng, 1000, 0.2)
    alone = PrecisionGate().fit(features["clear"], correct, answerable=answerable)
    more = PrecisionGate().fit(features["clear"], correct, answerable=answerable, evidence={"known": features["known"]})
    assert more.threshold(0.9).coverage > alone.threshold(0.9).coverage + 0.1


def test_a_gate_is_stored_and_shown():
    gate = PrecisionGate().fit(*results(np.random.default_rng(1), 400, 0.1)[:2])
    again = PrecisionGate.from_dict(json.loads(json.dumps(gate.to_dict())))
    assert again.to_dict() == gate.to_dict()
    assert "400 judged queries" in repr(again)
    with pytest.raises(NotFittedError, match="call fit"):
        PrecisionGate().decide([[1.0]], 0.9)


def test_a_target_out_of_reach_answers_nothing():
    scores, relevant, _ = results(np.random.default_rng(1), 400, 0.1)
    decisions = PrecisionGate().fit(scores, relevant).decide(scores, 0.9999)
    assert not decisions.answer.any()
    assert "calibrate on more" in decisions.threshold.reason


@pytest.mark.parametrize(
    ("scores", "relevant", "options", "message"),
    [
        ([[0.5, 0.9]], [[True, False]], {}, "must fall from the best"),
        ([[0.9, np.nan, 0.1]], [[True, False, False]], {}, "must fall from the best"),
        ([[np.nan]], [[True]], {}, "has no result"),
        ([[np.inf]], [[True]], {}, "infinite"),
        ([[[0.9]]], [[True]], {}, "shape"),
        ([0.9, 0.8], [True], {}, "relevant has shape"),
        ([0.9, 0.8], [True, 0.5], {}, "not a boolean"),
        ([0.9, 0.8], [True, False], {"relevant_within": 2}, "relevant_within must be at most"),
        ([0.9, 0.8], [True, False], {"relevant_within": 0}, "relevant_within must be an integer"),
        ([0.9, 0.8], [True, False], {"relevant_within": 1.0}, "relevant_within must be an integer"),
        ([0.9, 0.8], [True, False], {"evidence": {"known": [0.1]}}, "'known'. has shape .1,., scores has 2"),
        ([0.9, 0.8], [True, False], {"evidence": {"known": [0.1, np.nan]}}, "'known'. is not finite at position 1"),
        ([0.9, 0.8, 0.7], [True, True, True], {}, "needs at least 2 right and 2"),
        ([0.9, 0.8], [True, False], {"answerable": [False, True]}, "has no answer"),
        ([0.9, 0.8], [True, False], {"answerable": [True]}, "answerable has 1"),
    ],
)
def test_bad_results_are_refused(scores, relevant, options, message):
    with pytest.raises(ValueError, match=message):
        PrecisionGate().fit(scores, relevant, **options)


def test_evidence_has_names():
    with pytest.raises(TypeError, match="evidence must be a mapping such as"):
        PrecisionGate().fit([0.9, 0.8], [True, False], evidence=[[0.1, 0.2]])


def test_a_gate_is_as_it_was_after_a_fit_that_failed():
    scores, relevant, _ = results(np.random.default_rng(1), 400, 0.1)
    gate = PrecisionGate().fit(scores, relevant)
    before = gate.confidence(scores)
    with pytest.raises(ValueError, match="at least 2 right"):
        gate.fit(100 * scores, np.ones(400, dtype=bool))
    assert np.array_equal(gate.confidence(scores), before)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_scores_have_any_unit(unit):
    scores, relevant, _ = results(np.random.default_rng(1), 400, 0.1)
    expected = PrecisionGate().fit(scores, relevant).confidence(scores)
    assert PrecisionGate().fit(unit * scores, relevant).confidence(unit * scores) == pytest.approx(expected, abs=1e-4)


def test_equal_scores_are_equally_sure():
    relevant = np.random.default_rng(1).uniform(size=300) < 0.8
    gate = PrecisionGate().fit(np.full(300, 0.1), relevant)
    assert gate.confidence([0.1, 0.1]) == pytest.approx([relevant.mean()] * 2, abs=0.01)
    assert gate.decide([0.1], 0.7).answer.all()


def test_rarer_misses_than_draws_can_show_are_not_promised():
    gate = PrecisionGate().fit(*results(np.random.default_rng(1), 400, 0.1)[:2])
    assert gate.threshold(0.8, delta=0.01)
    for delta in (0.001, 0, 1):
        with pytest.raises(ValueError, match="delta must be at least"):
            gate.threshold(0.8, delta)


def test_a_gate_abstains_from_queries_without_results():
    gate = PrecisionGate().fit(*results(np.random.default_rng(1), 400, 0.1)[:2])
    assert len(gate.decide(np.zeros((0, 3)), 0.8).answer) == 0
    scores = results(np.random.default_rng(2), 20, 0.0)[0]
    with_gap = scores.copy()
    with_gap[3] = np.nan
    decisions, expected = gate.decide(with_gap, 0.8), gate.decide(scores, 0.8)
    assert (decisions.confidence[3], decisions.answer[3]) == (0, False)
    others = np.arange(20) != 3
    assert np.array_equal(decisions.confidence[others], expected.confidence[others])
    assert expected.answer.any()


def test_a_gate_counts_equal_queries_as_one_that_was_asked_often():
    rng = np.random.default_rng(1)
    gate = PrecisionGate().fit(*results(rng, 1500, 0.1)[:2])
    scores = results(rng, 300, 0.4)[0]
    twice = gate.adapt(scores, counts=np.full(300, 2)).promise.share
    assert twice.value == pytest.approx(gate.adapt(scores).promise.share.value)
    assert twice.queries == 600
    assert gate.check_traffic(scores, counts=np.full(300, 2)).reason
    with pytest.raises(ValueError, match=r"all alike.*in counts"):
        gate.adapt(np.repeat(scores[:1], 40, axis=0))
    for wrong in (np.ones(3), np.zeros(300), np.full(300, np.nan)):
        with pytest.raises(ValueError, match="for each of the 300 queries"):
            gate.adapt(scores, counts=wrong)


def test_with_too_few_unanswerable_queries_the_share_is_unknown():
    promise = PrecisionPromise.learn(*draw(np.random.default_rng(0), 500, 0.004))
    assert promise.share == UnanswerableShare.unknown(500)
    assert "as many queries have no answer as of the judged ones" in promise.threshold(0.8).reason
    again = PrecisionPromise.from_dict(json.loads(json.dumps(promise.to_dict())))
    assert again.share == promise.share
