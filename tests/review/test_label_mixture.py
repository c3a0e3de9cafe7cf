"""The mixture of right and wrong labels, against sums and grids written out."""

import numpy as np
import pytest

from fg_search.review.issues.label_mixture import _POWERS, LabelMixture, likely_shares, most_likely_share

SHARES = np.linspace(0, 1, 2001)


@pytest.fixture(scope="module", params=[2, 6])
def data(request):
    rng = np.random.default_rng(request.param)
    posterior = rng.dirichlet(np.full(request.param, 0.7), size=60)
    return rng.integers(request.param, size=60), posterior


def of(data, pieces=1):
    given, posterior = data
    return LabelMixture.of(zip(np.array_split(given, pieces), np.array_split(posterior, pieces), strict=True))


def test_likelihoods_are_the_sums_over_the_true_label(data):
    given, posterior = data
    found = of(data)
    labels = posterior.shape[1]
    for column, power in enumerate(_POWERS):
        p = posterior**power
        p /= p.sum(axis=1, keepdims=True)
        for i, own in enumerate(given):
            others = [t for t in range(labels) if t != own]
            assert found.right[i, column] == pytest.approx(p[i, own], rel=1e-3, abs=1e-9)
            assert found.anywhere[i, column] == pytest.approx(
                sum(p[i, t] / (labels - 1) for t in others), rel=1e-3, abs=1e-9
            )
            nearby = sum(p[i, t] * p[i, own] / sum(p[i, u] for u in range(labels) if u != t) for t in others)
            assert found.nearby[i, column] == pytest.approx(nearby, rel=1e-3, abs=1e-9)


def test_each_kind_of_label_is_a_distribution(data):
    _, posterior = data
    labels = posterior.shape[1]
    every = [LabelMixture.of([(np.full(60, label), posterior)]) for label in range(labels)]
    for kind in ("right", "anywhere", "nearby"):
        np.testing.assert_allclose(sum(getattr(one, kind) for one in every), 1, rtol=1e-4)


def test_pieces_give_what_the_whole_gives(data):
    whole, pieces = of(data), of(data, pieces=7)
    for kind in ("right", "anywhere", "nearby"):
        np.testing.assert_allclose(getattr(pieces, kind), getattr(whole, kind), rtol=1e-5)


def test_a_posterior_of_ones_and_zeros_stays_finite():
    posterior = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    found = LabelMixture.of([(np.array([0, 1, 2, 1]), posterior)])
    for kind in ("right", "anywhere", "nearby"):
        assert np.isfinite(getattr(found, kind)).all()
    share, _ = most_likely_share(found.right, found.wrong(0.9))
    assert share == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("prior", [0.0, 2.0])
@pytest.mark.parametrize("anywhere", [1.0, 0.5])
def test_the_most_likely_share_is_that_of_a_grid(data, prior, anywhere):
    found = of(data)
    wrong = found.wrong(anywhere)
    share, column = most_likely_share(found.right, wrong, prior)
    grid = np.log((1 - SHARES[:-1, None, None]) * found.right + SHARES[:-1, None, None] * wrong).sum(axis=1)
    grid += prior * np.log1p(-SHARES[:-1])[:, None]
    best = np.log((1 - share) * found.right[:, column] + share * wrong[:, column]).sum() + prior * np.log1p(-share)
    assert grid.max() - 1e-3 < best < grid.max() + 0.02


@pytest.mark.parametrize("drop", [0.5, 1.92])
def test_likely_shares_are_those_of_a_grid(data, drop):
    found = of(data)
    wrong = found.wrong(0.9)
    low, high = likely_shares(found.right, wrong, drop)
    profile = np.log((1 - SHARES[:, None, None]) * found.right + SHARES[:, None, None] * wrong).sum(axis=1).max(axis=1)
    likely = SHARES[profile >= profile.max() - drop]
    assert (low, high) == (pytest.approx(likely[0], abs=2e-3), pytest.approx(likely[-1], abs=2e-3))
