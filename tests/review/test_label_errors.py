from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from fg_search.evaluation import auroc
from fg_search.review.issues import (
    LabelIssues,
    LabelScorer,
    find_label_issues,
    fit_label_scorer,
    ridge_regression,
)


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
    found, scorer = find_label_issues(rows, given)
    assert auroc(found.score, wrong) > 0.99
    assert np.mean(np.array(found.suggested)[wrong] == np.array(truth)[wrong]) > 0.95
    assert found.scored.all()
    np.testing.assert_array_equal(found.change, found.probability > 0.5)
    assert (np.array(found.suggested) != np.array(given)).all()
    assert abs(scorer.noise.share.estimate - wrong.mean()) < 0.03
    assert scorer.noise.share.low <= scorer.noise.share.estimate <= scorer.noise.share.high
    assert found.score.mean() == pytest.approx(scorer.noise.share.estimate, abs=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_few_examples_make_for_a_wide_interval_and_not_for_wrong_labels(noise):
    rows, given, truth = draw(seed=2, labels=8, each=10, noise=noise, spread=0.9)
    scorer = fit_label_scorer(rows, given)
    wrong = np.mean(np.array(given) != np.array(truth))
    assert scorer.noise.examples == len(given)
    assert scorer.noise.share.low <= wrong <= scorer.noise.share.high
    assert scorer.noise.share.high - scorer.noise.share.low > 0.05


def test_the_interval_is_that_of_the_scored_labels_however_few_these_are():
    held = []
    for each in (1, 3, 5, 20):
        for noise in (0.0, 0.1, 0.2):
            rows, given, truth = draw(each, labels=12, each=each, noise=noise, spread=0.7)
            found, scorer = find_label_issues(rows, given)
            wrong = np.mean((np.array(given) != np.array(truth))[found.scored]) if found.scored.any() else noise
            held.append(scorer.noise.share.low <= wrong <= scorer.noise.share.high)
    assert sum(held) >= 11


def test_a_label_is_scored_as_if_it_had_not_been_seen():
    rows, given, _ = draw(each=8, spread=0.8)
    scorer = fit_label_scorer(rows, given)
    number = {label: i for i, label in enumerate(scorer.labels)}
    own = np.array([number[label] for label in given])
    unseen = scorer._regression.leave_one_out(rows, own)
    for i in (0, 17, 40):
        others = np.arange(len(rows)) != i
        # the same units and the same centre of them: only the label is taken away
        units = scorer._regression._centred(rows).astype(np.float64)
        design = np.concatenate([units, np.ones((len(rows), 1))], axis=1)
        penalty = ridge_regression._RIDGE * np.eye(design.shape[1])
        penalty[-1, -1] = 0
        wanted = np.eye(len(scorer.labels))[own]
        weights = np.linalg.solve(design[others].T @ design[others] + penalty, design[others].T @ wanted[others])
        np.testing.assert_allclose(unseen[i], design[i] @ weights, atol=2e-3)


def test_a_changed_label_does_not_change_what_is_suggested_for_it(data):
    rows, given, truth = data
    changed = list(given)
    changed[5] = "l3"
    found, _ = find_label_issues(rows, changed)
    assert found.suggested[5] == truth[5] == "l0"
    assert found.predicted[5] == "l0"
    assert found.change[5]


def test_pieces_give_what_the_whole_gives(data, monkeypatch):
    rows, given, _ = data
    scorer = fit_label_scorer(rows, given)
    whole = scorer.score(rows, given, fitted=True)
    pieces = [scorer.score(rows[i : i + 50], given[i : i + 50], fitted=True) for i in range(0, len(rows), 50)]
    np.testing.assert_allclose(np.concatenate([one.score for one in pieces]), whole.score, atol=1e-3)
    monkeypatch.setattr(ridge_regression, "_NUMBERS", 2**14)
    blocks = scorer.score(rows, given, fitted=True)
    np.testing.assert_allclose(blocks.score, whole.score, atol=1e-3)
    assert blocks.suggested == whole.suggested
    other = fit_label_scorer(rows, given)
    assert other.temperature == pytest.approx(scorer.temperature, rel=0.01)


def test_only_a_sample_need_be_fitted(data):
    rows, given, truth = data
    wrong = np.array(given) != np.array(truth)
    found, scorer = find_label_issues(rows, given, most_fitted=120)
    assert scorer.counts.sum() == 120
    assert auroc(found.score, wrong) > 0.98


@settings(max_examples=examples(15))
@given(seed=st.integers(0, 1000), labels=st.integers(2, 4), each=st.integers(2, 6), noise=st.floats(0, 0.9))
def test_numbers_stay_in_range_and_the_order_does_not_matter(seed, labels, each, noise):
    rows, given_labels, _ = draw(seed, labels, each, noise)
    if len(set(given_labels)) < 2:
        return
    scorer = fit_label_scorer(rows, given_labels, seed=seed)
    found = scorer.score(rows, given_labels, fitted=True)
    for numbers in (found.score, found.probability, found.margin):
        assert numbers.shape == (len(rows),)
        assert ((numbers >= 0) & (numbers <= 1)).all()
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = scorer.score(rows[order], [given_labels[i] for i in order], fitted=True)
    np.testing.assert_allclose(shuffled.score, found.score[order], atol=1e-3)


def test_items_without_a_label_get_one_proposed(data):
    rows, given, truth = data
    partly = [None if i % 10 == 0 else label for i, label in enumerate(given)]
    found, _ = find_label_issues(rows, partly)
    missing = np.array([label is None for label in partly])
    assert not found.scored[missing].any()
    assert not found.change[missing].any()
    assert (found.score[missing] == 0).all()
    assert np.mean(np.array(found.suggested)[missing] == np.array(truth)[missing]) > 0.95


def test_a_label_that_stands_alone_cannot_be_scored(data):
    rows, given, _ = data
    found, scorer = find_label_issues(rows, ["alone", *given[1:]])
    assert not found.scored[0]
    assert found.score[0] == 0
    assert found.scored[1:].all()
    unknown = scorer.score(rows[:1], ["never seen"], fitted=False)
    assert not unknown.scored[0]


@pytest.mark.parametrize("examples", [2, 3, 4])
def test_a_label_is_judged_by_at_least_three_other_examples(data, examples):
    rows, given, _ = data
    found, scorer = find_label_issues(rows, ["rare"] * examples + given[examples:])
    assert found.scored[:examples].all() == (examples == 4)
    assert found.scored[examples:].all()
    assert scorer.noise.examples == found.scored.sum()
    if examples < 4:
        assert not found.score[:examples].any()
    another = scorer.score(rows[:1], ["rare"], fitted=False)
    assert another.scored[0] == (examples >= 3)


def test_where_no_label_has_enough_examples_none_is_called_wrong():
    rows, given, _ = draw(labels=20, each=2, noise=0, spread=0.8)
    found, scorer = find_label_issues(rows, [*given[:-1], given[0]])
    assert not found.scored.any()
    assert not found.change.any()
    assert scorer.noise.examples == 0
    assert (scorer.noise.share.low, scorer.noise.share.high) == (0, 1)
    assert scorer.score(rows[-1:], [given[0]], fitted=False).score[0] < 0.05


@pytest.mark.parametrize("each", [4, 6, 8])
def test_what_cannot_be_learned_from_few_examples_is_not_called_wrong(each):
    shares, surely_wrong = [], []
    for seed in range(5):
        rows, given, _ = draw(seed, labels=24, each=each, noise=0, spread=1.1)
        found, scorer = find_label_issues(rows, given)
        assert np.mean(np.array(found.predicted) != np.array(given)) > 0.2
        assert scorer.noise.share.low < 0.02
        shares.append(scorer.noise.share.estimate)
        surely_wrong.append((found.score >= 0.9).mean())
    assert np.mean(shares) < 0.05
    assert np.mean(surely_wrong) < 0.01


def test_labels_that_the_items_do_not_show_leave_the_share_open():
    rows, given, _ = draw(seed=3, labels=8, each=20, noise=0)
    drawn = np.random.default_rng(0).permutation(given).tolist()
    found, scorer = find_label_issues(rows, drawn)
    assert scorer.noise.share.low < 0.05
    assert scorer.noise.share.high > 0.5
    assert (found.score >= 0.9).mean() < 0.02


def test_it_repeats_by_seed(data):
    rows, given, _ = data
    first, again, other = (find_label_issues(rows, given, seed=seed)[0].score for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_embeddings_that_are_all_the_same_say_nothing():
    found, _ = find_label_issues(np.ones((6, 4)), ["a", "b"] * 3)
    assert np.isfinite(found.score).all()


def test_bad_input_is_refused(data):
    rows, given, _ = data
    with pytest.raises(ValueError, match="at least 3 labelled examples of at least 2 labels, got 240 of 1"):
        fit_label_scorer(rows, ["a"] * len(rows))
    with pytest.raises(ValueError, match="labels must be one for each of 240 embeddings, got 3"):
        fit_label_scorer(rows, given[:3])
    with pytest.raises(ValueError, match=r"embeddings\[1\] holds NaN"):
        fit_label_scorer(np.where(np.arange(240)[:, None] == 1, np.nan, rows), given)
    with pytest.raises(ValueError, match="most_fitted must be an integer of at least 3"):
        find_label_issues(rows, given, most_fitted=2)
    scorer = fit_label_scorer(rows, given)
    with pytest.raises(ValueError, match="dimension 3, the model needs 16"):
        scorer.score(rows[:, :3], given, fitted=True)
    with pytest.raises(ValueError, match=r"fitted\[0\] is true but its label None"):
        scorer.score(rows[:1], [None], fitted=True)
    with pytest.raises(ValueError, match="fitted must be one boolean, or one for each of 2"):
        scorer.score(rows[:2], given[:2], fitted=[True])


@pytest.mark.parametrize("module", ["fg_search.review.issues", "fg_search.review.scores"])
@pytest.mark.filterwarnings("ignore:the module fg_search.review.scores is now:DeprecationWarning")
def test_old_names_work_for_one_release_and_warn(module, data):
    rows, given, _ = data
    old = import_module(module)
    with pytest.warns(DeprecationWarning, match="judge_labels is now find_label_issues"):
        found, scorer = old.judge_labels(rows, given)
    with pytest.warns(DeprecationWarning, match=r"LabelIssues\.judged is now LabelIssues\.scored"):
        assert found.judged is found.scored
    with pytest.warns(DeprecationWarning, match=r"LabelScorer\.judge is now LabelScorer\.score"):
        np.testing.assert_array_equal(scorer.judge(rows, given, fitted=True).suggested, found.suggested)
    for before, after in (("LabelJudge", LabelScorer), ("LabelJudgements", LabelIssues)):
        with pytest.warns(DeprecationWarning, match=f"{before} is now {after.__name__}"):
            assert getattr(old, before) is after
    with pytest.warns(DeprecationWarning, match="fit_label_judge is now fit_label_scorer"):
        assert old.fit_label_judge is fit_label_scorer
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = old.nothing
