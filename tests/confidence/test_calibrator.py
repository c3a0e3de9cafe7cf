import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fg_search import Calibrator
from fg_search.errors import FormatVersionError, NotFittedError
from fg_search.evaluation import auroc, brier_score, expected_calibration_error


def results(n, seed=0):
    """Results whose chance to be right is known, and two features that tell it."""
    rng = np.random.default_rng(seed)
    score, gap = rng.random(n), rng.random(n)
    chance = 1 / (1 + np.exp(-(6 * score + 3 * gap - 4)))
    return {"score": score, "gap": gap}, rng.random(n) < chance, chance


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_predicted_probabilities_come_true(method):
    features, correct, _ = results(4000)
    fresh, _, chance = results(4000, seed=1)
    predicted = Calibrator(method).fit(features, correct).predict(fresh)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert np.abs(predicted - chance).mean() < 0.04


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_a_single_feature_works_and_more_are_better(method):
    features, correct, _ = results(3000)
    fresh, outcome, _ = results(3000, seed=1)
    one = Calibrator(method).fit({"score": features["score"]}, correct).predict(fresh)
    two = Calibrator(method).fit(features, correct).predict(fresh)
    assert expected_calibration_error(one, outcome) < 0.05
    assert brier_score(two, outcome) < brier_score(one, outcome)


def test_isotonic_rises_with_its_feature():
    features, correct, _ = results(500)
    calibrator = Calibrator("isotonic").fit({"score": features["score"]}, correct)
    assert (np.diff(calibrator.predict({"score": np.linspace(-1, 2, 50)})) >= 0).all()


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
@pytest.mark.parametrize("names", [["score"], ["score", "gap"]])
def test_saving_and_loading_is_the_identity(tmp_path, method, names):
    features, correct, _ = results(300)
    chosen = {name: features[name] for name in names}
    calibrator = Calibrator(method).fit(chosen, correct)
    calibrator.save(tmp_path / "calibrator.json")
    loaded = Calibrator.load(tmp_path / "calibrator.json")
    np.testing.assert_array_equal(loaded.predict(chosen), calibrator.predict(chosen))
    assert loaded.to_dict() == calibrator.to_dict() == json.loads((tmp_path / "calibrator.json").read_text())


@settings(deadline=None)  # a busy machine is no failure
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), count=st.integers(1, 4))
def test_every_feature_is_evidence_for_the_result(seed, n, count):
    rng = np.random.default_rng(seed)
    features = {f"f{i}": rng.normal(scale=10.0 ** rng.integers(-4, 3), size=n).round(5) for i in range(count)}
    correct = np.arange(n) < rng.integers(1, n)
    calibrator = Calibrator().fit(features, correct)
    predicted = calibrator.predict(features)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    for name in features:
        assert (calibrator.predict({**features, name: features[name] + 1}) >= predicted).all()
    restored = Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    np.testing.assert_array_equal(restored.predict(features), predicted)


@settings(deadline=None)  # a busy machine is no failure
@given(seed=st.integers(0, 10_000), n=st.integers(4, 200))
def test_a_single_feature_that_says_something_keeps_its_ranking(seed, n):
    rng = np.random.default_rng(seed)
    score = rng.random(n).round(2)
    correct = rng.random(n) < score
    correct[score.argmin()], correct[score.argmax()] = False, True
    predicted = Calibrator().fit({"score": score}, correct).predict({"score": score})
    if auroc(score, correct) > 0.55:
        assert auroc(predicted, correct) == pytest.approx(auroc(score, correct))
    assert (np.diff(predicted[np.argsort(score, kind="stable")]) >= 0).all()


def test_a_feature_that_misleads_is_ignored():
    features, correct, _ = results(500)
    misleading = {"score": features["score"], "wrong": -features["score"]}
    calibrator = Calibrator().fit(misleading, correct)
    moved = {**misleading, "wrong": misleading["wrong"] + 0.5}
    np.testing.assert_array_equal(calibrator.predict(moved), calibrator.predict(misleading))


def test_few_outcomes_do_not_make_the_ranking_worse_than_the_first_features():
    fresh, outcome, _ = results(3000, seed=1)
    noise = np.random.default_rng(2)
    alone, together = [], []
    for seed in range(20):
        features, correct, _ = results(60, seed=100 + seed)
        useless = {f"noise{i}": noise.normal(size=60) for i in range(5)}
        new = {f"noise{i}": noise.normal(size=3000) for i in range(5)}
        calibrator = Calibrator().fit({"score": features["score"], **useless}, correct)
        together.append(auroc(calibrator.predict({"score": fresh["score"], **new}), outcome))
        alone.append(auroc(fresh["score"], outcome))
    assert np.mean(together) > np.mean(alone) - 0.03


def test_differences_that_are_rounding_do_not_decide():
    features, correct, _ = results(500)
    rounding = 1e-5 * correct + np.random.default_rng(0).normal(scale=1e-6, size=500)
    calibrator = Calibrator().fit({"score": features["score"], "rounding": rounding}, correct)
    plain = Calibrator().fit({"score": features["score"]}, correct)
    predicted = calibrator.predict({"score": features["score"], "rounding": rounding})
    np.testing.assert_allclose(predicted, plain.predict({"score": features["score"]}), atol=0.01)


def test_outcomes_that_a_feature_separates_still_leave_doubt():
    score = np.linspace(0, 1, 40)
    predicted = Calibrator().fit({"score": score}, score > 0.5).predict({"score": score})
    assert 0 < predicted.min() < 0.01
    assert 0.99 < predicted.max() < 1


def test_a_constant_feature_changes_nothing():
    features, correct, _ = results(300)
    plain = Calibrator().fit({"score": features["score"]}, correct)
    padded = {"score": features["score"], "same": np.full(300, 3.0)}
    np.testing.assert_allclose(Calibrator().fit(padded, correct).predict(padded), plain.predict(features), atol=1e-3)


def test_bad_input_is_refused():
    features, correct, _ = results(50)
    with pytest.raises(ValueError, match="method must be"):
        Calibrator("magic")
    with pytest.raises(NotFittedError):
        Calibrator().predict(features)
    with pytest.raises(ValueError, match="all 50 results are right"):
        Calibrator().fit(features, np.ones(50, dtype=bool))
    with pytest.raises(ValueError, match="'gap' is not finite at position 3"):
        Calibrator().fit({**features, "gap": np.where(np.arange(50) == 3, np.nan, 1.0)}, correct)
    with pytest.raises(ValueError, match="'score' is not finite at position 1"):
        Calibrator().fit(features, correct).predict({"score": [0.5, np.inf], "gap": [0.5, 0.5]})
    with pytest.raises(ValueError, match="at least one feature"):
        Calibrator().fit({}, correct)
    with pytest.raises(ValueError, match="50 rows, correct has 49"):
        Calibrator().fit(features, correct[:49])
    with pytest.raises(ValueError, match=r"missing here: \['gap'\]"):
        Calibrator().fit(features, correct).predict({"score": features["score"]})
    with pytest.raises(ValueError, match="use method='logistic'"):
        Calibrator("isotonic").fit(features, np.arange(50) < 48)
    with pytest.raises(FormatVersionError):
        Calibrator.from_dict({"format": 99})
