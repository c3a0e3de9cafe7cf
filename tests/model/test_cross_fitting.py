import numpy as np
import pytest

from fg_search import Codebook, cross_fit

OPTIONS = {"hidden": 16, "steps": 80}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 25)
    rows = rng.standard_normal((4, 12))[truth] + 0.3 * rng.standard_normal((100, 12))
    return rows.astype(np.float32), [f"l{t}" for t in truth]


def test_wrong_labels_are_contradicted_by_heads_that_did_not_see_them(data):
    rows, labels = data
    wrong = [3, 30, 55, 80]
    given = ["l0" if i in wrong and label != "l0" else label for i, label in enumerate(labels)]
    given[3] = "l2"
    codebook = Codebook.from_labels(given, groups=8, codes=3)
    decoded = codebook.decode(cross_fit(rows, codebook, folds=4, **OPTIONS))
    suggested = [codebook.labels[i] for i in decoded.argmax(1)]
    assert [suggested[i] for i in wrong] == [labels[i] for i in wrong]
    assert np.mean([s == label for s, label in zip(suggested, labels, strict=True)]) > 0.95


def test_what_an_example_gets_does_not_depend_on_its_own_label(data):
    rows, labels = data
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    before = cross_fit(rows, codebook, folds=4, **OPTIONS)
    # the same folds: unlabelling keeps the strata only if the example's own label never mattered to its head
    changed = codebook.targets.copy()
    changed[7] = codebook.targets[99]
    after = cross_fit(rows, Codebook("labels", 3, changed, codebook.labels, codebook.label_codes), folds=4, **OPTIONS)
    assert before.shape == (100, 4, 3)
    assert not np.array_equal(before, after)  # the other folds' heads did see it
    np.testing.assert_allclose(before.sum(-1), 1, atol=1e-5)


def test_it_repeats_by_seed(data):
    rows, labels = data
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    first, again, other = (cross_fit(rows, codebook, folds=3, seed=seed, **OPTIONS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_unlabelled_examples_get_distributions_too(data):
    rows, labels = data
    codebook = Codebook.from_labels([None, *labels[1:]], groups=4, codes=3)
    assert np.isfinite(cross_fit(rows, codebook, folds=3, **OPTIONS)).all()


@pytest.mark.parametrize("folds", [1, 101])
def test_a_senseless_number_of_folds_is_refused(data, folds):
    rows, labels = data
    with pytest.raises(ValueError, match="folds must be between 2 and the 100"):
        cross_fit(rows, Codebook.from_labels(labels, groups=2), folds=folds)


@pytest.mark.parametrize("seed", range(6))
def test_a_few_labelled_examples_are_spread_over_the_folds(data, seed):
    rows, labels = data
    few = [label if i in (0, 99) else None for i, label in enumerate(labels)]
    codebook = Codebook.from_labels(few, groups=2, codes=2)
    assert np.isfinite(cross_fit(rows, codebook, folds=2, seed=seed, **OPTIONS)).all()
