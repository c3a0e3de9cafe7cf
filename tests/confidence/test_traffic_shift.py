"""Traffic of another kind than the judged queries is told from traffic with another share of unanswerable ones."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fg_search import PrecisionGate
from fg_search.confidence.promise import PrecisionPromise
from fg_search.confidence.traffic_shift import LEVEL, JudgedFeatures


def draw(rng, count, unanswerable):
    """Features, outcomes and kinds of queries: those without an answer have lower numbers, and overlap."""
    answerable = rng.uniform(size=count) >= unanswerable
    familiarity = rng.normal(np.where(answerable, 2.5, -0.5), 1.2)
    similarity = rng.normal(np.where(answerable, 1.5, 0.5), 1.0)
    correct = answerable & (rng.uniform(size=count) < 1 / (1 + np.exp(-2 - 1.5 * similarity)))
    return {"familiarity": familiarity, "similarity": similarity}, correct, answerable


@pytest.fixture(scope="module")
def promise():
    return PrecisionPromise.learn(*draw(np.random.default_rng(1), 1500, 0.08))


def test_another_share_of_unanswerable_queries_is_no_shift():
    """At a level of 1 %, four alarms in 32 windows happen once in 3,000 such tests."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(8):
        learned = PrecisionPromise.learn(*draw(rng, 500, 0.05))
        for share in (0.0, 0.1, 0.2, 0.4):
            alarms += not learned.shift(draw(rng, 400, share)[0]).holds
    assert alarms < 4


BEST = "similar to their best hits"


@pytest.mark.parametrize(
    ("change", "feature", "words"),
    [
        (
            lambda seen: seen["familiarity"] - 5,
            "familiarity - similarity",
            f"less familiar, for how {BEST} they are, than",
        ),
        (lambda seen: seen["similarity"] * 0 + 4, "similarity", f"more {BEST} than"),
        (lambda seen: seen["similarity"] - 1, "similarity", f"less {BEST} than"),
    ],
)
def test_what_differs_in_another_way_is_recognised_and_named(promise, change, feature, words):
    for seed in range(5):
        features, _, _ = draw(np.random.default_rng(seed), 400, 0.2)
        features[feature.split(" - ")[0]] = change(features)
        shift = promise.shift(features)
        assert not shift.holds
        assert shift.p_value < LEVEL
        assert shift.feature == feature
        assert f"the promise no longer holds, since queries are {words} those judged, even if" in str(shift)
        if feature in features:
            assert shift.expected == pytest.approx(_expected(promise, shift), abs=0.01)
            assert shift.observed == pytest.approx((features[feature] <= shift.value).mean(), abs=0.01)


def _expected(promise, shift):
    values, with_answer = promise.judged_features.features[shift.feature], promise.judged.answerable
    parts = [(values[kind] <= shift.value).mean() for kind in (with_answer, ~with_answer)]
    return (1 - shift.unanswerable) * parts[0] + shift.unanswerable * parts[1]


def test_a_query_asked_again_and_again_is_no_shift(promise):
    features, _, _ = draw(np.random.default_rng(4), 400, 0.1)
    often = np.ones(400)
    often[:3] = 150
    assert promise.shift(features, counts=often).holds
    assert promise.shift(features, counts=often).queries == 847
    repeated = {name: np.repeat(values, often.astype(int)) for name, values in features.items()}
    assert not promise.shift(repeated).holds  # as if 847 people had asked on their own


def test_following_the_traffic_says_whether_the_promise_holds(promise):
    features, _, answerable = draw(np.random.default_rng(5), 400, 0.2)
    assert promise.adapted(features).adaptation.shift == promise.shift(features)
    features["familiarity"] -= 2 * answerable
    assert not promise.adapted(features).adaptation.shift.holds
    assert promise.adapted(expected_unanswerable=0.2).adaptation.shift is None


def test_without_unanswerable_queries_another_share_is_a_shift_as_well():
    rng = np.random.default_rng(6)
    learned = PrecisionPromise.learn(*draw(rng, 800, 0.002))
    assert learned.ratio is None
    same, more = (learned.shift(draw(rng, 500, share)[0]) for share in (0.0, 0.4))
    assert same.holds
    assert not more.holds
    assert more.unanswerable is None
    assert "less familiar than those judged: " in more.reason


def test_a_feature_that_nobody_named_is_called_by_its_name(promise):
    rng = np.random.default_rng(7)
    gate = PrecisionGate().fit(
        rng.uniform(size=400), rng.uniform(size=400) < 0.7, evidence={"age": rng.normal(size=400)}
    )
    shift = gate.check_traffic(rng.uniform(size=400), evidence={"age": rng.normal(size=400) + 2})
    assert "queries are higher in age than those judged" in shift.reason
    again = PrecisionGate.from_dict(json.loads(json.dumps(gate.to_dict())))
    assert again.check_traffic(rng.uniform(size=400), evidence={"age": rng.normal(size=400)}).holds


def test_what_is_kept_is_small_and_gives_the_same(promise):
    features, _, _ = draw(np.random.default_rng(8), 300, 0.3)
    kept = promise.adapted(features, at="2026-01-01T00:00:00+00:00")
    again = PrecisionPromise.from_dict(json.loads(json.dumps(kept.to_dict())))
    assert again.adaptation.shift == kept.adaptation.shift
    assert again.adaptation.at == "2026-01-01T00:00:00+00:00"
    assert again.shift(features) == promise.shift(features)
    assert len(json.dumps(kept.to_dict()["judged_features"])) < 3 * 1500 * 2 * 2


def test_of_many_judged_queries_the_rare_kind_is_kept():
    answerable = np.arange(9000) % 30 > 0
    kept = JudgedFeatures.of({"similarity": np.linspace(0, 1e9, 9000)}, answerable)
    assert len(kept.rows) == 2000
    assert (~answerable[kept.rows]).sum() == 300
    assert np.isfinite(kept.features["similarity"]).all()
    assert answerable[JudgedFeatures.of({}, ~answerable).rows].sum() == 1700


def test_too_few_queries_are_not_compared(promise):
    features, _, _ = draw(np.random.default_rng(9), 29, 0.3)
    with pytest.raises(ValueError, match="29 different queries are too few to compare"):
        promise.shift(features)


def test_an_earlier_calibration_is_followed_but_not_compared_with(promise):
    features, _, _ = draw(np.random.default_rng(9), 100, 0.3)
    earlier = promise.to_dict()
    del earlier["judged_features"]
    read = PrecisionPromise.from_dict(earlier)
    assert read.adapted(features).adaptation.shift is None
    assert read.adapted(features).share == replace(promise, judged_features=None).adapted(features).share
    with pytest.raises(ValueError, match="calibrate again"):
        read.shift(features)


def test_items_that_were_taken_for_queries_are_not_compared_with():
    rng = np.random.default_rng(10)
    learned = PrecisionPromise.learn(*draw(rng, 300, 0.2), pretended=True)
    features, _, _ = draw(rng, 100, 0.3)
    assert learned.adapted(features).adaptation.shift is None
    with pytest.raises(ValueError, match="calibrate on judged queries"):
        learned.shift(features)
