import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search import FeatureEmbeddings
from fg_search.errors import FormatVersionError


def make(n=6, groups=4, codes=5, seed=0, concentration=0.2):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(codes, concentration), size=(n, groups)).astype(np.float32)
    return FeatureEmbeddings(rng.standard_normal((n, 3)).astype(np.float32), probabilities)


@given(
    n=st.integers(1, 5),
    groups=st.integers(1, 6),
    codes=st.integers(2, 8),
    seed=st.integers(0, 99),
    concentration=st.sampled_from([0.05, 0.5, 5.0]),
)
def test_confidence_and_similarity_stay_in_their_ranges(n, groups, codes, seed, concentration):
    embeddings = make(n, groups, codes, seed, concentration)
    assert embeddings.group_confidence.shape == (n, groups)
    assert (embeddings.confidence >= 1 / codes - 1e-6).all()
    assert (embeddings.confidence <= 1 + 1e-6).all()
    similarity = (embeddings.sparse() @ embeddings.sparse().T).toarray()
    assert (similarity >= 0).all()
    assert (similarity <= 1 + 1e-5).all()


def test_the_dot_product_of_complete_sparse_rows_is_the_similarity():
    embeddings = make()
    p = embeddings.probabilities
    brute_force = np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            brute_force[i, j] = np.mean([np.dot(p[i, g], p[j, g]) for g in range(4)])
    sparse = embeddings.sparse(threshold=0)
    np.testing.assert_allclose((sparse @ sparse.T).toarray(), brute_force, atol=1e-6)


def test_an_item_alone_has_the_numbers_that_it_has_among_others():
    embeddings = make(concentration=0.05)
    together = embeddings.sparse().toarray()
    for i in range(len(embeddings)):
        alone = embeddings[i : i + 1]
        np.testing.assert_array_equal(alone.sparse().toarray(), together[i : i + 1])
        np.testing.assert_array_equal(alone.codes, embeddings.probabilities[i : i + 1].argmax(axis=-1))
        np.testing.assert_array_equal(alone.group_confidence, embeddings.probabilities[i : i + 1].max(axis=-1))
        np.testing.assert_array_equal(alone.confidence, embeddings.confidence[i : i + 1])


def test_sparse_keeps_what_reaches_the_threshold_and_each_groups_top_code():
    probabilities = np.array(
        [[[0.97, 0.03, 0.0], [0.04, 0.9, 0.06]], [[0.34, 0.33, 0.33], [0.0, 0.0, 1.0]]], np.float32
    )
    embeddings = FeatureEmbeddings(np.zeros((2, 3), np.float32), probabilities)
    dense = embeddings.sparse(threshold=0.05).toarray() * np.sqrt(2)
    np.testing.assert_allclose(dense, [[0.97, 0, 0, 0, 0.9, 0.06], [0.34, 0.33, 0.33, 0, 0, 1]], atol=1e-6)
    assert embeddings.sparse(threshold=1.0).nnz == 4
    assert embeddings.sparse().dtype == np.float32


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_the_unit_interval_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        make().sparse(threshold)


def test_codes_are_the_most_probable_ones():
    embeddings = make()
    for i in range(6):
        for group in range(4):
            assert (
                embeddings.probabilities[i, group, embeddings.codes[i, group]] == embeddings.group_confidence[i, group]
            )


def test_slices_and_masks_choose_items():
    embeddings = make()
    assert len(embeddings[1:3]) == 2
    np.testing.assert_array_equal(embeddings[[4, 0]].base, embeddings.base[[4, 0]])
    mask = embeddings.confidence > np.median(embeddings.confidence)
    np.testing.assert_array_equal(embeddings[mask].confidence, embeddings.confidence[mask])
    with pytest.raises(TypeError, match=r"embeddings\[2:3\]"):
        embeddings[2]


def test_saving_and_loading_is_the_identity(tmp_path):
    embeddings = make()
    embeddings.save(tmp_path / "e.npz")
    loaded = FeatureEmbeddings.load(tmp_path / "e.npz")
    np.testing.assert_array_equal(loaded.base, embeddings.base)
    np.testing.assert_array_equal(loaded.probabilities, embeddings.probabilities)


def test_a_newer_format_is_refused(tmp_path):
    np.savez(tmp_path / "e.npz", format=np.int64(99), base=np.zeros((1, 2)), probabilities=np.zeros((1, 1, 2)))
    with pytest.raises(FormatVersionError, match="upgrade"):
        FeatureEmbeddings.load(tmp_path / "e.npz")


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="got"):
        FeatureEmbeddings(np.zeros((2, 3), np.float32), np.zeros((3, 1, 2), np.float32))
