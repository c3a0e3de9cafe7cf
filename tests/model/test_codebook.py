import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search import Codebook


@given(labels=st.integers(2, 40), groups=st.integers(1, 5), codes=st.integers(2, 12), seed=st.integers(0, 9))
def test_label_codes_are_balanced_in_every_group(labels, groups, codes, seed):
    codebook = Codebook.from_labels([f"l{i}" for i in range(labels)], groups=groups, codes=codes, seed=seed)
    for group in range(groups):
        used = np.bincount(codebook.label_codes[:, group], minlength=codes)
        used = used[used > 0]
        assert len(used) == min(labels, codes)
        assert used.max() - used.min() <= 1


def test_examples_get_the_codes_of_their_label_and_unknown_labels_none():
    codebook = Codebook.from_labels(["b", None, "a", "b"], groups=3, codes=4)
    assert codebook.labels == ("a", "b")
    np.testing.assert_array_equal(codebook.targets[0], codebook.label_codes[1])
    np.testing.assert_array_equal(codebook.targets[2], codebook.label_codes[0])
    np.testing.assert_array_equal(codebook.targets[0], codebook.targets[3])
    assert (codebook.targets[1] == -1).all()


def test_the_same_seed_gives_the_same_codes_and_another_seed_others():
    labels = [f"l{i}" for i in range(50)]
    first, again, other = (Codebook.from_labels(labels, seed=seed).label_codes for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("labels", [["a", "a"], [None, "a"], [None, None], []])
def test_fewer_than_two_labels_are_refused(labels):
    with pytest.raises(ValueError, match="at least 2 distinct labels"):
        Codebook.from_labels(labels)


def test_clusters_separate_what_is_apart():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 16))
    rows = np.repeat(centres, 10, axis=0) + 0.01 * rng.standard_normal((30, 16))
    codebook = Codebook.from_clusters(rows, groups=6, codes=3)
    truth = np.repeat(np.arange(3), 10)
    for group in range(6):
        for cluster in range(3):  # whatever k-means finds, it never splits a tight blob between two others
            assert len(set(codebook.targets[truth == cluster, group])) == 1
    assert codebook.supervision == "clusters"


def test_more_codes_than_different_items_still_work():
    rows = np.eye(4, dtype=np.float32)[[0, 1, 2, 0, 1]]
    assert Codebook.from_clusters(rows, groups=2, codes=64).targets.max() < 3


def test_clusters_need_two_different_items():
    with pytest.raises(ValueError, match="at least 2 different items"):
        Codebook.from_clusters(np.ones((5, 8)))


def test_decoding_is_the_geometric_mean_of_the_groups():
    codebook = Codebook.from_labels(["a", "b", "c", "d"], groups=3, codes=2, seed=1)
    probabilities = np.random.default_rng(0).dirichlet([1, 1], size=(5, 3))
    expected = np.ones((5, 4))
    for label in range(4):
        for group in range(3):
            expected[:, label] *= probabilities[:, group, codebook.label_codes[label, group]] ** (1 / 3)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(codebook.decode(probabilities), expected, rtol=1e-6)


def test_decoding_survives_codes_without_any_mass():
    codebook = Codebook.from_labels(["a", "b"], groups=2, codes=2)
    one_hot = np.eye(2)[codebook.label_codes]  # (labels, groups, codes)
    posterior = codebook.decode(one_hot)
    assert np.isfinite(posterior).all()
    np.testing.assert_array_equal(posterior.argmax(axis=1), [0, 1])


def test_clusters_have_no_labels_to_decode():
    codebook = Codebook.from_clusters(np.eye(4), groups=2, codes=2)
    with pytest.raises(ValueError, match="no labels"):
        codebook.decode(np.ones((1, 2, 2)) / 2)


def test_what_is_saved_decodes_the_same():
    codebook = Codebook.from_labels(["a", "b", "ü"], groups=3, codes=2)
    loaded = Codebook.from_dict(codebook.to_dict())
    assert loaded.labels == codebook.labels
    assert loaded.groups == 3
    probabilities = np.random.default_rng(0).dirichlet([1, 1], size=(5, 3))
    np.testing.assert_array_equal(loaded.decode(probabilities), codebook.decode(probabilities))


@pytest.mark.parametrize("sizes", [{"groups": 0}, {"codes": 1}])
def test_sizes_out_of_range_are_refused(sizes):
    with pytest.raises(ValueError, match="must be at least"):
        Codebook.from_labels(["a", "b"], **sizes)
    with pytest.raises(ValueError, match="must be at least"):
        Codebook.from_clusters(np.eye(4), **sizes)


ATTRIBUTES = {"colour": ["red", "blue", None, "red"], "size": ["s", "m", "m", "l"]}


def test_each_attribute_has_a_group_of_its_own_whose_codes_are_its_values():
    codebook = Codebook.from_attributes(ATTRIBUTES, groups=5, codes=4)
    assert codebook.attributes == {"colour": ("blue", "red"), "size": ("l", "m", "s")}
    assert codebook.targets[:, 0].tolist() == [1, 0, -1, 1]
    assert codebook.targets[:, 1].tolist() == [2, 1, 1, 0]
    assert codebook.groups == 5
    # the other groups learn the combination, where it is complete
    assert (codebook.targets[2, 2:] == -1).all()
    assert len({tuple(row) for row in codebook.targets[[0, 1, 3], 2:].tolist()}) == 3
    assert codebook.supervision == "attributes"
    assert codebook.labels == ()


def test_attributes_beside_labels_leave_the_other_groups_to_the_labels():
    codebook = Codebook.from_attributes(ATTRIBUTES, labels=["a", "b", "c", None], groups=6, codes=3, seed=2)
    probabilities = np.full((3, 6, 3), 0.01)
    for example in range(3):
        for group, code in enumerate(codebook.targets[example]):
            if code >= 0:
                probabilities[example, group, code] = 0.98
    assert codebook.decode(probabilities).argmax(1).tolist() == [0, 1, 2]
    colours = codebook.decode_attribute(probabilities, "colour")
    assert colours.shape == (3, 2)
    np.testing.assert_allclose(colours.sum(1), 1)
    assert colours[:2].argmax(1).tolist() == [1, 0]
    loaded = Codebook.from_dict(codebook.to_dict())
    np.testing.assert_array_equal(loaded.decode(probabilities), codebook.decode(probabilities))
    np.testing.assert_array_equal(
        loaded.decode_attribute(probabilities, "size"), codebook.decode_attribute(probabilities, "size")
    )
    assert codebook.targets_of_labels(["b"])[0, :2].tolist() == [-1, -1]


def test_attributes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least one column"):
        Codebook.from_attributes({})
    with pytest.raises(ValueError, match="'size' has 3 values, a group has 2 codes; pass codes=3"):
        Codebook.from_attributes(ATTRIBUTES, codes=2)
    with pytest.raises(ValueError, match="'colour' has 1 distinct value"):
        Codebook.from_attributes({"colour": ["red", "red"]})
    with pytest.raises(ValueError, match="equally long"):
        Codebook.from_attributes({**ATTRIBUTES, "brand": ["x"]})
    with pytest.raises(ValueError, match="need as many groups"):
        Codebook.from_attributes(ATTRIBUTES, groups=1)
    with pytest.raises(ValueError, match="have nothing to learn"):
        Codebook.from_attributes({"a": ["x", None, "y"], "b": [None, "u", "v"]}, groups=3)
    assert Codebook.from_attributes({"a": ["x", None, "y"], "b": [None, "u", "v"]}, groups=2).groups == 2
    with pytest.raises(ValueError, match="no group learned the attribute 'brand'; named groups: colour, size"):
        Codebook.from_attributes(ATTRIBUTES, groups=2).decode_attribute(np.ones((1, 2, 32)), "brand")


def test_a_query_learns_the_codes_of_its_document():
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((12, 16))
    codebook = Codebook.from_pairs(rng.standard_normal((3, 16)), documents, relevant=[7, 0, 7], groups=4, codes=5)
    of_queries, of_documents = codebook.targets[:3], codebook.targets[3:]
    np.testing.assert_array_equal(of_documents, Codebook.from_clusters(documents, groups=4, codes=5).targets)
    np.testing.assert_array_equal(of_queries, of_documents[[7, 0, 7]])
    assert codebook.supervision == "pairs"


def test_pairs_that_point_nowhere_are_refused():
    rows = np.eye(3)
    with pytest.raises(ValueError, match=r"relevant\[1\] is 3, there are 3 documents"):
        Codebook.from_pairs(rows[:2], rows, relevant=[0, 3])
    with pytest.raises(ValueError, match="one document for each of 2 queries"):
        Codebook.from_pairs(rows[:2], rows, relevant=[0])


def test_labels_that_were_not_learned_have_no_targets():
    codebook = Codebook.from_labels(["a", "b"], groups=3)
    targets = codebook.targets_of_labels(["b", "new", None])
    np.testing.assert_array_equal(targets[0], codebook.label_codes[1])
    assert (targets[1:] == -1).all()
    with pytest.raises(ValueError, match="has no labels"):
        Codebook.from_clusters(np.eye(4)).targets_of_labels(["a"])


def test_what_cannot_be_clustered_is_named():
    rows = np.ones((4, 3))
    rows[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"embeddings\[2\] holds NaN"):
        Codebook.from_clusters(rows)
    with pytest.raises(ValueError, match=r"queries\[2\] holds NaN"):
        Codebook.from_pairs(rows, np.ones((2, 3)), relevant=[0, 0, 1, 1])
