"""The output layer in closed form, on few random units so that small sets are large enough."""

import numpy as np
import pytest
import torch

from fg_search import Codebook, fit_head
from fg_search.model.head import FeatureGroupHead
from fg_search.model.output_layer import OutputRegression, ideal_logits

UNITS = 40


@pytest.fixture(autouse=True)
def few_random_units(monkeypatch):
    monkeypatch.setattr("fg_search.model.fit.RANDOM_UNITS", UNITS)
    monkeypatch.setattr("fg_search.model.output_layer.RANDOM_UNITS", UNITS)


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 12))
    truth = rng.integers(5, size=400)
    rows = centres[truth] + 0.6 * rng.standard_normal((400, 12))
    return rows.astype(np.float32), [f"l{label}" for label in truth]


def unit(rows):
    return torch.nn.functional.normalize(torch.from_numpy(rows), dim=-1)


def agreement(head, rows, targets):
    known = targets >= 0
    return (head.distributions(rows).argmax(-1) == targets)[known].mean()


def test_enough_examples_get_one_wide_trunk_of_as_many_scores_as_labels(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=5)
    head = fit_head(rows[:300], Codebook.from_labels(labels[:300], groups=4, codes=5), hidden=8, trunks=4, steps=60)
    assert (head.trunks, head.hidden_features, head.rank) == (1, 4 * 8 + UNITS, 5)
    assert agreement(head, rows[300:], codebook.targets[300:]) > 0.9
    assert not head.training
    assert head.history.held_out == 30
    assert head.history.calibration.temperature == head.temperature


def test_fewer_examples_than_random_units_keep_the_trained_output_layer(blobs):
    rows, labels = blobs
    few = slice(UNITS - 1)
    head = fit_head(rows[few], Codebook.from_labels(labels[few], groups=4, codes=5), hidden=8, trunks=4, steps=20)
    assert (head.trunks, head.hidden_features, head.rank) == (4, 8, None)


@pytest.mark.parametrize(("count", "closed_form", "trunks"), [(400, False, 4), (UNITS - 1, True, 1)])
def test_the_closed_form_can_be_asked_for_or_refused(blobs, count, closed_form, trunks):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels[:count], groups=4, codes=5)
    head = fit_head(rows[:count], codebook, hidden=8, trunks=4, steps=20, closed_form=closed_form)
    assert head.trunks == trunks
    with pytest.raises(ValueError, match="closed_form needs a hidden layer"):
        fit_head(rows[:count], codebook, hidden=None, closed_form=True)


def test_the_same_seed_gives_the_same_head_bit_for_bit(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=5)
    heads = [fit_head(rows, codebook, hidden=8, steps=20, seed=seed) for seed in (3, 3, 4)]
    states = [torch.cat([weight.flatten() for weight in head.state_dict().values()]) for head in heads]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("ridge", [0.03, 3.0])
def test_leave_one_out_is_what_a_regression_on_the_others_says(blobs, ridge):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=5)
    inputs, targets = unit(rows[:60]), torch.from_numpy(codebook.targets[:60])
    torch.manual_seed(0)
    regression = OutputRegression(FeatureGroupHead(12, 4, 5, hidden=8, trunks=2), inputs, targets)
    head = regression.solve(ridge)
    found = regression.leave_one_out(inputs[:5], targets[:5])
    with torch.no_grad():
        units = head.hidden_units(inputs).double()
        codes = ideal_logits(head, targets).flatten(1)
        trained = 2 * 8
        norms = [units[:, part].square().sum(1).mean().sqrt() for part in (slice(trained), slice(trained, None))]
        units = torch.cat([units[:, :trained] / norms[0], units[:, trained:] / norms[1]], dim=1)
        for i in range(5):
            others = torch.arange(len(inputs)) != i
            mean, centre = units[others].mean(0), codes[others].mean(0)
            seen = units[others] - mean
            gram = seen.T @ seen + ridge * torch.eye(seen.shape[1])
            weights = torch.linalg.solve(gram, seen.T @ (codes[others] - centre))
            expected = centre + (units[i] - mean) @ weights
            torch.testing.assert_close(found[i].flatten().double(), expected, atol=2e-2, rtol=1e-2)


def test_examples_that_lack_a_value_still_teach_the_others(blobs):
    rows, labels = blobs
    halves = [label if i % 2 else None for i, label in enumerate(labels)]
    parity = [str(int(label[1:]) % 2) for label in labels]
    codebook = Codebook.from_attributes({"parity": parity, "label": halves}, groups=2, codes=5)
    head = fit_head(rows, codebook, hidden=8, trunks=2, steps=60)
    assert (head.hidden_features, head.rank) == (2 * 8 + UNITS, None)
    complete = Codebook.from_attributes({"parity": parity, "label": labels}, groups=2, codes=5)
    assert agreement(head, rows, complete.targets) > 0.9


def test_validation_examples_are_evaluated_as_new_ones(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels[:300], groups=4, codes=5)
    validation = rows[300:], codebook.targets_of_labels(labels[300:])
    head = fit_head(rows[:300], codebook, validation=validation, hidden=8, steps=40)
    assert head.history.held_out == 100
    right = (head.distributions(rows[300:]).argmax(-1) == validation[1]).mean()
    assert head.history.calibration.accuracy == pytest.approx(right)


def test_labels_alone_with_one_example_leave_nothing_to_calibrate_on():
    rows = np.eye(60, dtype=np.float32)
    codebook = Codebook.from_labels([f"l{i}" for i in range(60)], groups=8, codes=16)
    head = fit_head(rows, codebook, hidden=8, steps=20)
    assert head.history.calibration is None
    assert head.rank is None  # nothing could tell how sure a closed form may be


def test_a_noisy_set_gets_a_larger_ridge(blobs, monkeypatch):
    rows, labels = blobs
    tried = []
    solve = OutputRegression.solve

    def spy(self, ridge):
        tried.append(ridge)
        return solve(self, ridge)

    monkeypatch.setattr(OutputRegression, "solve", spy)
    for module in ("fit", "output_layer"):
        monkeypatch.setattr(f"fg_search.model.{module}.RANDOM_UNITS", 300)
    shuffled = list(np.random.default_rng(0).permutation(labels))
    fit_head(rows, Codebook.from_labels(labels, groups=4, codes=5), hidden=8, steps=20)
    clean, tried[:] = max(tried), []
    fit_head(rows, Codebook.from_labels(shuffled, groups=4, codes=5), hidden=8, steps=20)
    assert max(tried) > clean


def test_a_program_that_allows_rounded_products_gets_the_same_head(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=5)
    options = {"closed_form": True, "hidden": 8, "steps": 10}
    exact = fit_head(rows, codebook, **options)
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        rounded = fit_head(rows, codebook, **options)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(allowed)
    np.testing.assert_allclose(rounded.distributions(rows), exact.distributions(rows), atol=0.05)
