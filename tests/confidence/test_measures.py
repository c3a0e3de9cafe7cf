import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.confidence import collision, confidence, group_confidence, margin, normalised_entropy


@given(groups=st.integers(1, 4), codes=st.integers(2, 6), spread=st.floats(0.05, 20), seed=st.integers(0, 99))
def test_measures_agree_with_their_definitions(groups, codes, spread, seed):
    p = np.random.default_rng(seed).dirichlet([spread] * codes, size=(3, groups))
    for item in range(3):
        ranked = np.sort(p[item], axis=-1)[:, ::-1]
        assert group_confidence(p)[item] == pytest.approx(ranked[:, 0], abs=1e-6)
        assert confidence(p)[item] == pytest.approx(np.mean([max(group) for group in p[item]]), abs=1e-6)
        assert margin(p)[item] == pytest.approx(np.mean(ranked[:, 0] - ranked[:, 1]), abs=1e-6)
        entropy = np.mean([-sum(x * np.log(x) for x in group if x > 0) for group in p[item]]) / np.log(codes)
        assert normalised_entropy(p)[item] == pytest.approx(entropy, abs=1e-5)
        assert collision(p)[item] == pytest.approx(np.mean([sum(x * x for x in group) for group in p[item]]), abs=1e-6)


def test_extremes():
    sure, torn = np.eye(4)[None, :2], np.full((1, 2, 4), 0.25)
    assert (confidence(sure), margin(sure), normalised_entropy(sure), collision(sure)) == (1, 1, 0, 1)
    assert (confidence(torn), margin(torn), collision(torn)) == (0.25, 0, 0.25)
    assert normalised_entropy(torn)[0] == pytest.approx(1)
