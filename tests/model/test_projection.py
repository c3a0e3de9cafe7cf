import numpy as np
import pytest

from fg_search.model.projection import lay_out, principal_components, to_unit_square

NAMES = [f"d{i}" for i in range(60)]


@pytest.fixture(scope="module")
def clusters():
    """Four clusters of 15 rows in 20 dimensions, and the cluster of each."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 20))
    which = np.arange(60) % 4
    return (centres[which] + rng.normal(0, 0.1, size=(60, 20))).astype(np.float32), which


def neighbours_agree(layout, which):
    distances = ((layout[:, None] - layout[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    return (which[distances.argmin(axis=1)] == which).mean()


def test_neighbours_stay_neighbours_and_others_are_placed_among_them(clusters):
    rows, which = clusters
    landmarks = lay_out(rows)
    assert landmarks.layout.shape == (60, 2)
    assert neighbours_agree(landmarks.layout, which) > 0.95
    np.testing.assert_allclose(landmarks.place(rows, NAMES), landmarks.layout, atol=1e-3)
    others = rows + np.random.default_rng(1).normal(0, 0.05, size=rows.shape).astype(np.float32)
    both = np.concatenate([landmarks.layout, landmarks.place(others, NAMES)])
    assert neighbours_agree(both, np.concatenate([which, which])) > 0.95
    np.testing.assert_array_equal(lay_out(rows).layout, landmarks.layout)


def test_a_place_does_not_depend_on_what_else_is_placed(clusters):
    rows, _ = clusters
    landmarks = lay_out(rows)
    others = rows + np.float32(0.05)
    together = landmarks.place(others, NAMES)
    np.testing.assert_allclose(landmarks.place(others[7:9], NAMES[7:9]), together[7:9], atol=1e-4)
    apart = landmarks.place(np.repeat(others[:1], 60, axis=0), NAMES)
    assert len(np.unique(apart, axis=0)) == 60


def test_principal_components_are_those_of_the_covariance(clusters):
    rows, _ = clusters
    found = principal_components(rows)
    variances = np.sort(np.linalg.eigvalsh(np.cov(rows.T)))[::-1][:2]
    np.testing.assert_allclose(found.var(axis=0, ddof=1), variances, rtol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_few_or_equal_items_have_places_too(count):
    for rows in (np.ones((count, 3), np.float32), np.eye(count, 3, dtype=np.float32)):
        landmarks = lay_out(rows)
        assert np.isfinite(landmarks.layout).all()
        assert np.isfinite(landmarks.place(rows, NAMES[:count])).all()
        square = to_unit_square(landmarks.layout)
        assert square.min() >= 0
        assert square.max() <= 1
