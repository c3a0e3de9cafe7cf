import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.confidence import FamiliarityScale, answerability, best_label_similarity
from fg_search.confidence.familiarity import UNFAMILIAR

SEEDS = st.integers(0, 999)


@given(count=st.integers(1, 600), seed=SEEDS, spread=st.sampled_from([0.0, 0.01, 0.1]))
def test_familiarity_is_the_share_of_examples_that_are_less_familiar(count, seed, spread):
    rng = np.random.default_rng(seed)
    known = np.clip(0.7 + spread * rng.standard_normal(count), -1, 1)
    scale = FamiliarityScale.of(known)
    asked = np.sort(np.append(rng.uniform(-1, 1, 50), known[:20]))
    found = scale(asked)
    assert ((found > 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-7).all()
    if spread and count >= 20:  # the brute-force twin: count them
        share = (known[None] < asked[:, None]).mean(axis=1)
        counted = asked > np.quantile(known, 0.1)
        np.testing.assert_allclose(found[counted & (asked < known.max())], share[counted & (asked < known.max())],
                                   atol=1.5 / min(count, 256) + 0.01)  # fmt: skip


@given(seed=SEEDS)
def test_inputs_of_the_same_kind_are_uniformly_familiar(seed):
    rng = np.random.default_rng(seed)
    found = FamiliarityScale.of(rng.beta(8, 3, 3000))(rng.beta(8, 3, 3000))
    for share in (0.05, 0.2, 0.5, 0.9):
        assert (found < share).mean() == pytest.approx(share, abs=0.04)


def test_the_tail_ranks_what_no_example_reaches():
    scale = FamiliarityScale.of(np.linspace(0.5, 0.9, 200))
    asked = np.array([-1.0, -0.5, 0.0, 0.3, 0.45, 0.51])
    found = scale(asked)
    assert (np.diff(found) > 0).all()
    assert found[-1] < UNFAMILIAR
    assert scale(np.array([0.52]))[0] == pytest.approx(UNFAMILIAR, abs=0.005)  # no step where the tail begins


def test_a_copy_is_as_familiar_as_can_be_and_copies_among_the_examples_do_no_harm():
    scale = FamiliarityScale.of(np.array([1.0] * 60 + [0.5] * 40))
    assert scale(np.array([1.0, 1 - 1e-7])).tolist() == [1, 1]
    assert scale(np.array([0.5]))[0] == pytest.approx(0.4, abs=0.01)


def test_knots_are_checked():
    with pytest.raises(ValueError, match="at least one similarity"):
        FamiliarityScale(np.empty(0, np.float32))
    with pytest.raises(ValueError, match="ascending order"):
        FamiliarityScale(np.array([0.5, 0.4], np.float32))


@given(seed=SEEDS)
def test_answerability_grows_with_both_and_is_at_most_the_recognition(seed):
    rng = np.random.default_rng(seed)
    sure, known = rng.random(20), rng.random(20)
    found = answerability(sure, known)
    odds = sure / (1 - sure + 1e-3) * known / (known + 0.2)
    np.testing.assert_allclose(found, odds / (1 + odds), rtol=1e-5)
    assert (found <= sure + 1e-6).all()
    assert (answerability(sure + (1 - sure) / 2, known) > found).all()
    assert (answerability(sure, known + (1 - known) / 2) > found).all()
    assert answerability(np.array([0.0, 1.0]), np.array([0.0, 0.0])).tolist() == [0, 0]


@given(labels=st.integers(1, 6), groups=st.integers(1, 5), named=st.integers(0, 2), seed=SEEDS)
def test_best_label_similarity_agrees_with_its_definition(labels, groups, named, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.3] * 4, size=(3, named + groups))
    codes = np.concatenate([np.full((labels, named), -1), rng.integers(0, 4, (labels, groups))], axis=1)
    for item, found in enumerate(best_label_similarity(p, codes)):
        of_attributes = sum(max(p[item, g]) for g in range(named))
        best = max(sum(p[item, g, codes[label, g]] for g in range(named, named + groups)) for label in range(labels))
        assert found == pytest.approx((of_attributes + best) / (named + groups), abs=1e-6)
