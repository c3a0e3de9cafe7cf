"""Promises to each group of queries, on groups that are right more or less often than their confidence says."""

import json

import numpy as np
import pytest

from fg_search import PrecisionGate
from fg_search.confidence.group_promise import JudgedGroups
from fg_search.confidence.promise import PrecisionPromise

HARDER = {"even": 0.0, "worse": 2.5, "hopeless": 9.0}
TARGET = 0.9


def draw(rng, count, unanswerable=0.1, shares=(0.83, 0.15, 0.02)):
    """Features, outcomes, kinds and groups of queries; the features do not tell how much harder a group is."""
    groups = rng.choice(list(HARDER), count, p=shares)
    answerable = rng.uniform(size=count) >= unanswerable
    known = rng.normal(np.where(answerable, 2.5, -0.5), 1.2)
    clear = rng.normal(np.where(answerable, 1.5, 0.5), 1.0)
    harder = np.array([HARDER[group] for group in groups])
    correct = answerable & (rng.uniform(size=count) < 1 / (1 + np.exp(-2.7 - 1.5 * clear + harder)))
    return {"known": known, "clear": clear}, correct, answerable, groups


def learn(features, correct, answerable, groups):
    return PrecisionPromise.learn(features, correct, answerable, groups=JudgedGroups.of("label", groups.tolist()))


@pytest.fixture(scope="module")
def promise():
    return learn(*draw(np.random.default_rng(1), 2000))


def by_group(promise, target=TARGET):
    return {row.group: row for row in promise.group_thresholds(promise.threshold(target)).table()}


def realised(promise, unanswerable, group, threshold):
    features, correct, _, groups = draw(np.random.default_rng(9), 40_000, unanswerable)
    answered = (promise.confidence(features) >= threshold.threshold) & (groups == group)
    return correct[answered].mean()


def test_a_group_that_is_right_less_often_gets_a_threshold_of_its_own(promise):
    pooled, found = promise.threshold(TARGET), by_group(promise)
    assert realised(promise, 0.1, "worse", pooled) < TARGET
    worse = found["worse"]
    assert (worse.threshold.basis, worse.is_promised, worse.falls_short) == ("own", True, True)
    assert worse.threshold.threshold > pooled.threshold
    assert realised(promise, 0.1, "worse", worse.threshold) >= TARGET
    assert "label worse has its own threshold" in worse.threshold.reason
    assert worse.threshold.queries == worse.judged == pytest.approx(300, abs=50)
    assert worse.low <= worse.precision <= worse.high < TARGET


def test_a_group_that_is_as_good_as_all_keeps_their_threshold(promise):
    even = by_group(promise)["even"]
    assert even.threshold.basis == "pooled"
    assert even.threshold.threshold == promise.threshold(TARGET).threshold
    assert not even.falls_short


def test_a_group_that_no_threshold_helps_is_never_answered(promise):
    hopeless = by_group(promise)["hopeless"]
    assert hopeless.threshold.basis == "none"
    assert not hopeless.threshold
    assert hopeless.falls_short
    assert "label hopeless falls short of a precision of 90.0%" in hopeless.threshold.reason


def test_the_least_precise_groups_come_first(promise):
    assert [row.group for row in promise.group_thresholds(promise.threshold(TARGET)).table()] == [
        "hopeless",
        "worse",
        "even",
    ]


def test_few_judged_queries_tell_little():
    features, correct, answerable, groups = draw(np.random.default_rng(3), 1500)
    groups[np.flatnonzero(groups == "even")[:3]] = "rare"
    learned = learn(features, correct, answerable, groups)
    for name, judged in (("rare", 3), ("never seen", 0)):
        row = learned.group_thresholds(learned.threshold(TARGET)).promise(name)
        even = by_group(learned)["even"]
        assert (row.judged, row.falls_short) == (judged, False)
        assert row.threshold.threshold > even.threshold.threshold
        assert row.high - row.low > 3 * (even.high - even.low)
        strict = learned.group_thresholds(learned.threshold(0.97)).promise(name)
        assert (strict.threshold.basis, strict.is_promised) == ("not promised", False)
        assert strict.threshold.threshold == learned.threshold(0.97).threshold
        assert "no promise by itself" in strict.threshold.reason


@pytest.mark.parametrize("share", [0.0, 0.35])
def test_thresholds_by_group_follow_the_traffic(promise, share):
    adapted = promise.adapted(expected_unanswerable=share)
    worse = by_group(adapted)["worse"]
    assert worse.threshold.threshold > adapted.threshold(TARGET).threshold
    assert realised(adapted, share, "worse", worse.threshold) >= TARGET


def test_of_many_alike_groups_few_fall_short():
    """Half of 60 groups are worse; a tenth of those promised may fall short (a fifth does once in fifty such tests)."""
    rng, names = np.random.default_rng(5), np.array([f"g{i}" for i in range(60)])

    def of(count):
        features, _, answerable, _ = draw(rng, count)
        number = rng.integers(60, size=count)
        harder = np.where(number % 2, 2.0, 0.0)
        chance = 1 / (1 + np.exp(-2.7 - 1.5 * features["clear"] + harder))
        return features, answerable & (rng.uniform(size=count) < chance), answerable, names[number]

    learned = learn(*of(3000))
    features, correct, _, groups = of(60_000)
    confidence = learned.confidence(features)
    pooled = learned.threshold(TARGET)

    def short(rows):
        chosen = [(confidence >= row.threshold.threshold) & (groups == row.group) for row in rows]
        return np.mean([correct[answered].mean() < TARGET for answered in chosen])

    table = learned.group_thresholds(pooled).table()
    promised = [row for row in table if row.is_promised]
    assert len(promised) >= 40
    assert short(promised) <= 0.2
    answered = confidence >= pooled.threshold
    assert np.mean([correct[answered & (groups == name)].mean() < TARGET for name in names]) > 0.35


def test_groups_are_stored_without_loss(promise):
    again = PrecisionPromise.from_dict(json.loads(json.dumps(promise.to_dict())))
    assert again.to_dict() == promise.to_dict()
    for name in HARDER:
        for delta in (0.1, 0.3):
            before, after = (
                each.group_thresholds(each.threshold(TARGET, delta)).promise(name) for each in (promise, again)
            )
            assert (before.threshold.threshold, before.low) == (after.threshold.threshold, after.low)


def test_a_stricter_delta_raises_the_thresholds(promise):
    own = [promise.group_thresholds(promise.threshold(TARGET, delta)).promise("worse") for delta in (0.01, 0.4)]
    assert own[0].threshold.threshold > own[1].threshold.threshold


def test_where_nothing_can_be_promised_to_all_a_group_needs_enough_answers_of_its_own():
    features, correct, answerable, groups = draw(np.random.default_rng(1), 3000, shares=(0.3, 0.05, 0.65))
    groups[np.flatnonzero(groups == "even")[:20]] = "rare"
    learned = learn(features, correct, answerable, groups)
    assert not learned.threshold(TARGET)
    found = by_group(learned)
    assert found["even"].threshold.basis == "own"
    assert "where all together have none" in found["even"].threshold.reason
    assert realised(learned, 0.1, "even", found["even"].threshold) >= TARGET
    assert [found[name].threshold.threshold for name in ("rare", "hopeless")] == [None, None]
    assert (found["hopeless"].falls_short, found["rare"].falls_short) == (True, False)
    nothing = learned.group_thresholds(learned.threshold(TARGET), least=np.inf).promise("even")
    assert nothing.threshold.basis == "none"


def test_without_groups_nothing_is_promised_to_them():
    features, correct, answerable, _ = draw(np.random.default_rng(1), 400)
    learned = PrecisionPromise.learn(features, correct, answerable)
    with pytest.raises(ValueError, match="calibrate with promise_by='label' or 'tenant'"):
        learned.group_thresholds(learned.threshold(0.8))


# the gate


def test_a_gate_decides_by_the_group_of_each_query():
    features, correct, answerable, groups = draw(np.random.default_rng(2), 2000)
    scores, evidence = features["clear"], {"known": features["known"]}
    labels = [None if i < 40 else group for i, group in enumerate(groups)]
    gate = PrecisionGate().fit(scores, correct, answerable=answerable, evidence=evidence, groups=labels)
    decided = gate.decide(scores, TARGET, evidence=evidence, groups=labels)
    together = gate.decide(scores, TARGET, evidence=evidence)
    assert (decided.answer[:40] == together.answer[:40]).all()
    later = np.arange(2000) >= 40
    assert not decided.answer[later & (groups == "hopeless")].any()
    assert decided.answer[groups == "worse"].sum() < together.answer[groups == "worse"].sum()
    assert (decided.answer[groups == "even"] == together.answer[groups == "even"]).all()
    assert decided.by_group["worse"] == gate.threshold(TARGET, group="worse")
    assert decided.threshold == gate.threshold(TARGET)
    assert not together.by_group


def test_groups_of_another_number_are_refused():
    with pytest.raises(ValueError, match="groups has 1 values, scores has 2 queries"):
        PrecisionGate().fit([0.9, 0.8], [True, False], groups=["a"])
