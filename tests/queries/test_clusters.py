"""Clusters of queries: which queries belong together, and which stay alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fg_search.queries.clusters import cluster_queries


def topics(sizes, seed=0, spread=0.2):
    """Unit vectors around one direction per topic, and the topic of each vector."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.eye(16)[: len(sizes)]
    return centres[numbers] + rng.normal(0, spread / 4, (len(numbers), 16)), numbers


def average_linkage(embeddings, similarity):
    """Cluster by definition: merge the two clusters with the highest mean cosine, as long as it is high enough."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = unit @ unit.T
    clusters = [[i] for i in range(len(unit))]
    while len(clusters) > 1:
        pairs = [
            (cosines[np.ix_(a, b)].mean(), i, j) for i, a in enumerate(clusters) for j, b in enumerate(clusters[:i])
        ]
        best, i, j = max(pairs)
        if best < similarity:
            break
        clusters[j] += clusters.pop(i)
    return {frozenset(cluster) for cluster in clusters}


@pytest.mark.parametrize("similarity", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_average_linkage(seed, similarity):
    embeddings = np.random.default_rng(seed).normal(0.3, 1, (14, 5))
    found = cluster_queries(embeddings, ["word"] * 14, [1] * 14, similarity=similarity, min_size=1)
    assert {frozenset(cluster.rows.tolist()) for cluster in found} == average_linkage(embeddings, similarity)


def test_topics_are_told_apart_and_the_largest_comes_first():
    embeddings, numbers = topics([4, 9, 6])
    found = cluster_queries(embeddings, [f"topic {i}" for i in numbers], [1] * 19)
    assert [set(numbers[cluster.rows]) for cluster in found] == [{1}, {2}]
    assert [cluster.size for cluster in found] == [9, 6]
    for cluster in found:
        closeness = embeddings[cluster.rows] @ cluster.centre / np.linalg.norm(embeddings[cluster.rows], axis=1)
        assert (np.diff(closeness) <= 1e-6).all()
        assert cluster.cohesion == pytest.approx(closeness.mean(), abs=1e-6)
        assert np.linalg.norm(cluster.centre) == pytest.approx(1, abs=1e-6)


def test_a_query_counts_as_often_as_it_was_asked():
    embeddings, _ = topics([1, 3])
    found = cluster_queries(embeddings, ["lost card", "a", "b", "c"], [7, 1, 1, 1])
    assert [(cluster.rows.tolist(), cluster.size) for cluster in found] == [([0], 7)]
    weighted = cluster_queries([[1.0, 0.0], [0.8, 0.6]], ["a", "b"], [9, 1])[0]
    assert weighted.rows.tolist() == [0, 1]
    np.testing.assert_allclose(weighted.centre, np.array([9.8, 0.6]) / np.hypot(9.8, 0.6), atol=1e-6)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(3)), elements=st.floats(-1, 1, width=16)),
    st.floats(0, 1),
    st.integers(1, 4),
)
def test_a_query_is_in_one_cluster_at_most(embeddings, similarity, least):
    count = len(embeddings)
    counts = [1 + i % 3 for i in range(count)]
    found = cluster_queries(embeddings, ["same words"] * count, counts, similarity=similarity, min_size=least)
    members = [row for cluster in found for row in cluster.rows]
    assert len(members) == len(set(members))
    for cluster in found:
        assert cluster.size == sum(counts[row] for row in cluster.rows) >= least
    if least == 1:
        assert len(members) == count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embeddings": [[1.0, np.nan]]}, "NaN"),
        ({"counts": [1, 2]}, "counts has 2 items"),
        ({"counts": [0]}, r"counts\[0\]"),
        ({"similarity": 1.5}, "similarity"),
        ({"min_size": 0}, "min_size"),
        ({"texts": [" "]}, r"texts\[0\] is empty"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cluster_queries(**{"embeddings": [[1.0, 0.0]], "texts": ["a"], "counts": [1], **arguments})
