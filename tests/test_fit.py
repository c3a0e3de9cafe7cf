import numpy as np
import pytest
import torch

from fg_search import Codebook, fit_head


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
    assert torch.equal(heads[0].networks[0][0].weight, heads[1].networks[0][0].weight)


@pytest.mark.parametrize("options", [{"hidden": None}, {"hidden": 8, "trunks": 2}])
def test_other_architectures_learn_too(blobs, options):
    rows, labels = blobs
    codebook = Codebook.from_labels(labels, groups=4, codes=3)
    head = fit_head(rows, codebook, steps=150, **options)
    with torch.no_grad():
        codes = head.probabilities(torch.from_numpy(rows)).argmax(-1).numpy()
    assert (codes == codebook.targets).mean() > 0.9


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
