import numpy as np
import pytest
import torch

from fg_search import Codebook, FeatureGroupEncoder, fit_head
from fg_search.evaluation import expected_calibration_error
from fg_search.model.fit import calibrate_temperature, trained_sizes


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 12))
    labels = np.repeat(np.arange(5), 20)
    rows = centres[labels] + 0.3 * rng.standard_normal((100, 12))
    return rows.astype(np.float32), [f"l{label}" for label in labels]


def test_a_fitted_head_predicts_the_codes_of_its_labels(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    head = fit_head(rows, codebook, hidden=16, steps=150)
    with torch.no_grad():
        codes = head.probabilities(torch.from_numpy(rows)).argmax(-1).numpy()
    assert (codes == codebook.targets).mean() > 0.97
    assert not head.training


def test_the_same_seed_gives_the_same_head_bit_for_bit(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    torch.manual_seed(123)
    first = fit_head(rows, codebook, hidden=16, steps=20, seed=7)
    torch.manual_seed(456)
    again = fit_head(rows, codebook, hidden=16, steps=20, seed=7)
    other = fit_head(rows, codebook, hidden=16, steps=20, seed=8)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    assert any(not torch.equal(weight, other.state_dict()[name]) for name, weight in first.state_dict().items())


def test_fitting_leaves_the_callers_random_state_alone(blobs):
    rows, labels = blobs
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_head(rows, Codebook.from_labels(labels, groups=2, codes=3), hidden=4, steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_unlabelled_examples_teach_nothing(blobs):
    rows, labels = blobs
    partly = [label if i % 2 else None for i, label in enumerate(labels)]
    spoiled = rows.copy()
    spoiled[::2] = 9.0
    heads = [fit_head(r, Codebook.from_labels(partly, groups=2, codes=3), hidden=4, steps=5) for r in (rows, spoiled)]
    assert torch.equal(heads[0].hidden.weight, heads[1].hidden.weight)


@pytest.mark.parametrize("options", [{"hidden": None}, {"hidden": 8, "trunks": 2}])
def test_other_architectures_learn_too(blobs, options):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    head = fit_head(rows, codebook, steps=150, **options)
    with torch.no_grad():
        codes = head.probabilities(torch.from_numpy(rows)).argmax(-1).numpy()
    assert (codes == codebook.targets).mean() > 0.9


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"hidden": 8}, (8, 4)),
        ({"hidden": 8, "trunks": 2}, (8, 2)),
        ({"hidden": None}, (None, None)),
        ({"hidden": 8, "closed_form": True}, (8, 4)),
        ({"hidden": 9, "trunks": 1, "closed_form": True}, (9, 1)),
    ],
)
def test_another_head_of_the_same_sizes_can_be_fitted(blobs, options, sizes):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    head = fit_head(rows, codebook, steps=3, **options)
    assert trained_sizes(head) == sizes
    hidden, trunks = sizes
    other = fit_head(rows, codebook, steps=3, hidden=hidden, trunks=trunks, closed_form=options.get("closed_form"))
    assert other.get_config_dict().keys() == head.get_config_dict().keys()
    for key in ("groups", "codes_per_group", "hidden_features", "trunks", "rank"):
        assert getattr(other, key) == getattr(head, key)


def test_bad_input_is_refused_before_training(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=2, codes=3)
    with pytest.raises(ValueError, match="99 rows but the codebook has targets for 100"):
        fit_head(rows[1:], codebook)
    broken = rows.copy()
    broken[17, 3] = np.inf
    with pytest.raises(ValueError, match=r"embeddings\[17\] holds NaN or infinite"):
        fit_head(broken, codebook)
    with pytest.raises(ValueError, match="steps"):
        fit_head(rows, codebook, steps=0)
    with pytest.raises(ValueError, match="no targets"):
        fit_head(np.empty((0, 12), np.float32), Codebook.from_dict(codebook.to_dict()))


@pytest.fixture
def noisy():
    """300 labelled rows, and 2,000 more of the same kind, with classes that overlap."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((6, 12))

    def draw(n):
        truth = rng.integers(6, size=n)
        return (centres[truth] + 1.2 * rng.standard_normal((n, 12))).astype(np.float32), [f"l{t}" for t in truth]

    return draw(300), draw(2000)


def ece_of(head, rows, codes):
    with torch.no_grad():
        probabilities = head.probabilities(torch.from_numpy(rows)).numpy()
    return expected_calibration_error(
        probabilities.max(-1).ravel().clip(0, 1), (probabilities.argmax(-1) == codes).ravel()
    )


def test_group_confidences_of_new_examples_are_calibrated_probabilities(noisy):
    (rows, labels), (new_rows, new_labels) = noisy
    codebook = Codebook.from_labels(labels, groups=8, codes=3)
    head = fit_head(rows, codebook)
    assert ece_of(head, new_rows, codebook.targets_of_labels(new_labels)) < 0.05
    found = head.history.calibration
    assert found.temperature == head.temperature != 1
    assert found.ece_after < found.ece_before
    assert 0 < found.accuracy < 1
    assert head.history.held_out > 200  # each trunk left out another part


def test_training_stops_when_held_out_examples_are_understood_less_and_less(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=5)
    misleading = rows, np.roll(codebook.targets, 20, axis=0)  # each group of examples has the codes of the next
    history = fit_head(rows, codebook, validation=misleading, steps=100).history
    assert history.held_out == 100
    losses = {check.step: check.held_out_loss for check in history.checks}
    assert history.stopped_early
    assert max(losses) < 100
    assert history.best_step == min(losses, key=losses.get)
    assert fit_head(rows, codebook, validation=misleading, steps=100).history == history


def test_a_run_to_the_end_keeps_its_last_weights(blobs):
    rows, labels = blobs
    history = fit_head(rows, Codebook.from_labels(labels, groups=4), steps=60).history
    assert (history.best_step, history.checks[-1].step, history.stopped_early) == (60, 60, False)
    assert history.checks[-1].train_loss < history.checks[0].train_loss


def test_a_single_example_a_label_trains_without_held_out_ones():
    rows = np.eye(6, dtype=np.float32)
    labels = [f"l{i}" for i in range(6)]
    codebook = Codebook.from_labels(labels, groups=4, codes=4)
    head = fit_head(rows, codebook)
    assert head.history.held_out == 0
    assert head.history.calibration is None
    assert head.temperature == 1
    with torch.no_grad():
        posterior = codebook.decode(head.probabilities(torch.from_numpy(rows)).numpy())
    assert posterior.argmax(1).tolist() == list(range(6))


def test_two_labels_and_ten_thousand_labels_train(noisy):
    (rows, _), _ = noisy
    two = Codebook.from_labels(["yes", "no"] * 150, groups=4)
    assert fit_head(rows, two, steps=5).groups == 4
    many = Codebook.from_labels([f"l{i}" for i in range(10_000)], groups=4)
    assert len({tuple(row) for row in many.label_codes.tolist()}) > 9_900
    head = fit_head(np.random.default_rng(0).standard_normal((10_000, 12)), many, steps=5)
    assert head.codes_per_group == 64


def test_a_rare_label_is_learned_beside_a_frequent_one():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((403, 12)) * 0.3 + np.repeat([[1.0] * 12, [-1.0] * 12], [400, 3], axis=0)
    labels = ["frequent"] * 400 + ["rare"] * 3
    codebook = Codebook.from_labels(labels, groups=4)
    with torch.no_grad():
        probabilities = fit_head(rows, codebook).probabilities(torch.tensor(rows[-3:], dtype=torch.float32))
    assert codebook.decode(probabilities.numpy()).argmax(1).tolist() == [1, 1, 1]


def test_a_temperature_can_be_fitted_afterwards(noisy):
    (rows, labels), (new_rows, new_labels) = noisy
    codebook = Codebook.from_labels(labels, groups=8, codes=3)
    head = fit_head(rows, codebook)
    fitted, head.temperature = head.temperature, 0.2
    codes = codebook.targets_of_labels(new_labels)
    spoiled = ece_of(head, new_rows, codes)
    found = calibrate_temperature(head, new_rows, codes)
    assert head.temperature == found.temperature == pytest.approx(fitted, rel=0.3)
    assert ece_of(head, new_rows, codes) == pytest.approx(found.ece_after, abs=1e-4)
    assert found.ece_after < spoiled


def test_validation_must_fit_the_codebook(blobs):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=2, codes=3)
    with pytest.raises(ValueError, match="dimension 5, the model needs 12"):
        fit_head(rows, codebook, validation=(np.ones((1, 5)), np.zeros((1, 2), int)))
    with pytest.raises(ValueError, match=r"must have shape \(3, 2\)"):
        fit_head(rows, codebook, validation=(rows[:3], np.zeros((2, 2), int)))
    with pytest.raises(ValueError, match="no validation example"):
        fit_head(rows, codebook, validation=(rows[:3], np.full((3, 2), -1)))


def test_an_attribute_may_have_any_name(tiny_model, corpus):
    texts, labels = corpus
    attributes = {"labels": labels, "expected": labels, "embeddings": labels}
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, attributes=attributes, groups=4, hidden=8, steps=5)
    assert list(encoder.codebook.attributes) == list(attributes)
    assert encoder.describe(texts, attributes=attributes).to_dict()


def test_the_only_example_of_an_attributes_value_is_never_held_out():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((100, 12)).astype(np.float32)
    rows[99] += 9
    colours = ["red"] * 99 + ["blue"]
    for seed in range(10):
        codebook = Codebook.from_attributes({"colour": colours}, groups=1, codes=2)
        head = fit_head(rows, codebook, hidden=16, steps=200, seed=seed)
        blue = head.distributions(rows)[:, 0, codebook.targets[99, 0]]
        assert blue[99] > blue[:99].max(), seed
