import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from fg_search.evaluation import auroc
from fg_search.review.issues import fit_label_judge, judge_labels, regression


def draw(seed=0, labels=6, each=40, noise=0.1, spread=0.25):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(labels), each)
    rows = rng.standard_normal((labels, 16))[truth] + spread * rng.standard_normal((len(truth), 16))
    given = truth.copy()
    wrong = rng.permutation(len(truth))[: round(noise * len(truth))]
    given[wrong] = (truth[wrong] + rng.integers(1, labels, len(wrong))) % labels
    return rows.astype(np.float32), [f"l{i}" for i in given], [f"l{i}" for i in truth]


@pytest.fixture(scope="module")
def data():
    return draw()


def test_wrong_labels_are_found_and_mended(data):
    rows, given, truth = data
    wrong = np.array(given) != np.array(truth)
    found, judge = judge_labels(rows, given)
    assert auroc(found.score, wrong) > 0.99
    assert np.mean(np.array(found.suggested)[wrong] == np.array(truth)[wrong]) > 0.95
    assert found.judged.all()
    np.testing.assert_array_equal(found.change, found.probability > 0.5)
    assert (np.array(found.suggested) != np.array(given)).all()
    assert abs(judge.noise.share.estimate - wrong.mean()) < 0.03
    assert judge.noise.share.low <= judge.noise.share.estimate <= judge.noise.share.high
    assert found.score.mean() == pytest.approx(judge.noise.share.estimate, abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_few_examples_make_for_a_wide_interval_and_not_for_wrong_labels(noise):
    rows, given, truth = draw(seed=2, labels=8, each=10, noise=noise, spread=0.9)
    judge = fit_label_judge(rows, given)
    wrong = np.mean(np.array(given) != np.array(truth))
    assert judge.noise.examples == len(given)
    assert judge.noise.share.low <= wrong <= judge.noise.share.high
    assert judge.noise.share.high - judge.noise.share.low > 0.05


def test_a_label_is_judged_as_if_it_had_not_been_seen():
    rows, given, _ = draw(each=8, spread=0.8)
    judge = fit_label_judge(rows, given)
    number = {label: i for i, label in enumerate(judge.labels)}
    own = np.array([number[label] for label in given])
    unseen = judge._regression.leave_one_out(rows, own)
    for i in (0, 17, 40):
        others = np.arange(len(rows)) != i
        # the same units and the same centre of them: only the label is taken away
        units = judge._regression._centred(rows).astype(np.float64)
        design = np.concatenate([units, np.ones((len(rows), 1))], axis=1)
        penalty = regression._RIDGE * np.eye(design.shape[1])
        penalty[-1, -1] = 0
        wanted = np.eye(len(judge.labels))[own]
        weights = np.linalg.solve(design[others].T @ design[others] + penalty, design[others].T @ wanted[others])
        np.testing.assert_allclose(unseen[i], design[i] @ weights, atol=2e-3)


def test_a_changed_label_does_not_change_what_is_suggested_for_it(data):
    rows, given, truth = data
    changed = list(given)
    changed[5] = "l3"
    found, _ = judge_labels(rows, changed)
    assert found.suggested[5] == truth[5] == "l0"
    assert found.predicted[5] == "l0"
    assert found.change[5]


def test_pieces_give_what_the_whole_gives(data, monkeypatch):
    rows, given, _ = data
    judge = fit_label_judge(rows, given)
    whole = judge.judge(rows, given, fitted=True)
    pieces = [judge.judge(rows[i : i + 50], given[i : i + 50], fitted=True) for i in range(0, len(rows), 50)]
    np.testing.assert_allclose(np.concatenate([one.score for one in pieces]), whole.score, atol=1e-3)
    monkeypatch.setattr(regression, "_NUMBERS", 2**14)
    blocks = judge.judge(rows, given, fitted=True)
    np.testing.assert_allclose(blocks.score, whole.score, atol=1e-3)
    assert blocks.suggested == whole.suggested
    other = fit_label_judge(rows, given)
    assert other.temperature == pytest.approx(judge.temperature, rel=0.01)


def test_only_a_sample_need_be_fitted(data):
    rows, given, truth = data
    wrong = np.array(given) != np.array(truth)
    found, judge = judge_labels(rows, given, most_fitted=120)
    assert judge.counts.sum() == 120
    assert auroc(found.score, wrong) > 0.98


@settings(max_examples=examples(15))
@given(seed=st.integers(0, 1000), labels=st.integers(2, 4), each=st.integers(2, 6), noise=st.floats(0, 0.9))
def test_numbers_stay_in_range_and_the_order_does_not_matter(seed, labels, each, noise):
    rows, given_labels, _ = draw(seed, labels, each, noise)
    if len(set(given_labels)) < 2:
        return
    judge = fit_label_judge(rows, given_labels, seed=seed)
    found = judge.judge(rows, given_labels, fitted=True)
    for numbers in (found.score, found.probability, found.margin):
        assert numbers.shape == (len(rows),)
        assert ((numbers >= 0) & (numbers <= 1)).all()
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = judge.judge(rows[order], [given_labels[i] for i in order], fitted=True)
    np.testing.assert_allclose(shuffled.score, found.score[order], atol=1e-3)


def test_items_without_a_label_get_one_proposed(data):
    rows, given, truth = data
    partly = [None if i % 10 == 0 else label for i, label in enumerate(given)]
    found, _ = judge_labels(rows, partly)
    missing = np.array([label is None for label in partly])
    assert not found.judged[missing].any()
    assert not found.change[missing].any()
    assert (found.score[missing] == 0).all()
    assert np.mean(np.array(found.suggested)[missing] == np.array(truth)[missing]) > 0.95


def test_a_label_that_stands_alone_cannot_be_judged(data):
    rows, given, _ = data
    found, judge = judge_labels(rows, ["alone", *given[1:]])
    assert not found.judged[0]
    assert found.score[0] == 0
    again = judge.judge(rows[:1], ["alone"], fitted=False)  # another item given it can be
    assert again.judged[0]
    unknown = judge.judge(rows[:1], ["never seen"], fitted=False)
    assert not unknown.judged[0]


def test_it_repeats_by_seed(data):
    rows, given, _ = data
    first, again, other = (judge_labels(rows, given, seed=seed)[0].score for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_embeddings_that_are_all_the_same_say_nothing():
    found, _ = judge_labels(np.ones((6, 4)), ["a", "b"] * 3)
    assert np.isfinite(found.score).all()


def test_bad_input_is_refused(data):
    rows, given, _ = data
    with pytest.raises(ValueError, match="at least 3 labelled examples of at least 2 labels, got 240 of 1"):
        fit_label_judge(rows, ["a"] * len(rows))
    with pytest.raises(ValueError, match="labels must be one for each of 240 embeddings, got 3"):
        fit_label_judge(rows, given[:3])
    with pytest.raises(ValueError, match=r"embeddings\[1\] holds NaN"):
        fit_label_judge(np.where(np.arange(240)[:, None] == 1, np.nan, rows), given)
    with pytest.raises(ValueError, match="most_fitted must be an integer of at least 3"):
        judge_labels(rows, given, most_fitted=2)
    judge = fit_label_judge(rows, given)
    with pytest.raises(ValueError, match="dimension 3, the model needs 16"):
        judge.judge(rows[:, :3], given, fitted=True)
    with pytest.raises(ValueError, match=r"fitted\[0\] is true but its label None"):
        judge.judge(rows[:1], [None], fitted=True)
    with pytest.raises(ValueError, match="fitted must be one boolean, or one for each of 2"):
        judge.judge(rows[:2], given[:2], fitted=[True])
