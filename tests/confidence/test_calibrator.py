import json

import numpy as np
import pytest

from fg_search import Calibrator
from fg_search.confidence import result_features
from fg_search.errors import FormatVersionError, NotFittedError
from fg_search.evaluation import brier_score, expected_calibration_error


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


def test_result_features_describe_the_list_of_scores():
    features = result_features([[0.9, 0.5, 0.1], [0.4, np.nan, np.nan]], agreement=[1.0, 0.25])
    assert {name: values.tolist() for name, values in features.items()} == {
        "score": [0.9, 0.4],
        "gap": [pytest.approx(0.4), 0.4],
        "spread": [pytest.approx(0.6), 0.4],
        "agreement": [1.0, 0.25],
    }
    assert set(result_features([[0.5]], query_confidence=[0.1])) == {"score", "query_confidence"}


def test_result_features_refuse_queries_without_hits_and_wrong_lengths():
    with pytest.raises(ValueError, match=r"scores\[1\] has no hit"):
        result_features([[0.5], [np.nan]])
    with pytest.raises(ValueError, match="shape"):
        result_features([0.5])
    with pytest.raises(ValueError, match="agreement has shape"):
        result_features([[0.5]], agreement=[1.0, 1.0])
