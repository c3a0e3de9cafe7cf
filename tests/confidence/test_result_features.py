import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.confidence import EVIDENCE_HITS, result_features


def describe(scores, labels=None, **given_numbers):
    n = len(scores)
    numbers = {"similarity": [0.5] * n, "query_confidence": [0.5] * n, "hit_confidence": [0.5] * n}
    return result_features(scores, labels=labels, **{**numbers, **given_numbers})


def padded(scores):
    """Hits of a corpus that has ten or more: the scores given, then zeros."""
    return [*scores, *[0.0] * (EVIDENCE_HITS - len(scores))]


def test_without_labels_they_describe_the_scores():
    features = describe([[0.9, 0.5, 0.1], [0.4, np.nan, np.nan]], similarity=[0.5, 1], hit_confidence=[1, 0.25])
    assert features["similarity"].tolist() == [0, pytest.approx(np.log(1001))]
    assert features["hit_ambiguity"].tolist() == [0, 0.75]
    assert features["spread"].tolist() == [pytest.approx(0.6), 0.4]
    assert features["lead"].tolist() == [pytest.approx(0.04), pytest.approx(0.04)]
    assert features["rival_gap"].tolist() == [pytest.approx(0.4), 0.4]


def test_hits_of_one_label_support_each_other():
    scores = [padded([0.9, 0.8, 0.7, 0.6])] * 4
    labels = np.full((4, EVIDENCE_HITS), None)
    labels[0, :4] = ["a", "a", "a", "a"]
    labels[1, :4] = ["a", "b", "a", "a"]
    labels[2, :4] = ["a", "b", "b", "b"]
    labels[3, :4] = ["a", "b", "c", "d"]
    features = describe(scores, labels)
    np.testing.assert_allclose(features["lead"], [0.3, 0.22 - 0.08, 0.09 - 0.21, 0.01], atol=1e-12)
    np.testing.assert_allclose(features["rival_gap"], [0.9, 0.1, 0.1, 0.1])


def test_a_rival_that_was_not_found_is_no_better_than_the_last_hit():
    same = [["a"] * EVIDENCE_HITS]
    scores = np.linspace(0.9, 0.6, EVIDENCE_HITS)[None]
    assert describe(scores, same)["rival_gap"] == pytest.approx(0.3)
    # a corpus with fewer points than that holds no rival at all
    fewer = np.where(np.arange(EVIDENCE_HITS) < 4, scores, np.nan)
    assert describe(fewer, same)["rival_gap"] == pytest.approx(0.9)
    assert describe([[0.9, 0.8]], [["a", "a"]])["rival_gap"] == pytest.approx(0.9)


def test_hits_without_a_label_support_nobody():
    unknown, known = describe([[0.9, 0.8]], [[None, None]]), describe([[0.9, 0.8]], [["a", "b"]])
    assert unknown["lead"] == known["lead"] == pytest.approx(0.01)
    assert unknown["rival_gap"] == known["rival_gap"] == pytest.approx(0.1)


@given(
    n=st.integers(1, 5),
    k=st.integers(1, 14),
    missing=st.integers(0, 13),
    kinds=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_they_agree_with_their_definitions(n, k, missing, kinds, seed):
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.uniform(-0.2, 1, (n, k)), axis=1)
    scores[:, max(k - missing, 1) :] = np.nan
    labels = rng.choice(list("abcd")[:kinds], (n, k)).astype(object)
    features = describe(scores, labels)
    for i in range(n):
        hits = [(s, a) for s, a in zip(scores[i], labels[i], strict=True) if not np.isnan(s)][:EVIDENCE_HITS]
        top, label = hits[0]
        mass = {a: sum(max(s, 0) for s, b in hits if a == b) for _, a in hits}
        rivals = [s for s, a in hits if a != label]
        unseen = hits[-1][0] if len(hits) == EVIDENCE_HITS else 0
        assert features["spread"][i] == pytest.approx(top - (np.mean([s for s, _ in hits[1:]]) if hits[1:] else 0))
        rest = max((m for a, m in mass.items() if a != label), default=0)
        assert features["lead"][i] == pytest.approx((mass[label] - rest) / EVIDENCE_HITS)
        assert features["rival_gap"][i] == pytest.approx(top - max(rivals, default=unseen))
        assert all(np.isfinite(values).all() for values in features.values())


def test_without_labels_every_hit_has_its_own():
    scores = -np.sort(-np.random.default_rng(0).random((20, 4)), axis=1)
    own = np.tile(np.array(list("abcd"), dtype=object), (20, 1))
    plain, labelled = describe(scores), describe(scores, own)
    assert list(plain) == list(labelled)
    for name, values in plain.items():
        np.testing.assert_array_equal(values, labelled[name])


def test_hits_beyond_the_first_ten_change_nothing():
    scores = np.linspace(0.9, 0.1, 25)[None]
    labels = np.array([["a", "b"] * 12 + ["a"]], dtype=object)
    long, short = describe(scores, labels), describe(scores[:, :EVIDENCE_HITS], labels[:, :EVIDENCE_HITS])
    assert long == short


def test_log_odds_keep_the_order_up_to_one():
    similarity = 1 - np.logspace(-7, -1, 20)
    features = describe(np.full((20, 1), 0.5), similarity=similarity)
    assert (np.diff(features["similarity"]) < 0).all()
    assert np.isfinite(describe([[1.0]], similarity=[1 + 1e-6])["similarity"]).all()


@pytest.mark.parametrize(
    ("scores", "given_numbers", "message"),
    [
        ([[0.5], [np.nan]], {}, r"scores\[1\] has no hit"),
        ([[0.5, -np.inf]], {}, r"scores\[0, 1\] is infinite"),
        ([[0.5, np.nan, 0.1]], {}, r"scores\[0, 1\] is NaN, but another hit follows"),
        ([[0.5, 0.6]], {}, r"scores\[0, 1\] is higher"),
        ([0.5], {"similarity": [0.5]}, "scores must have shape"),
        ([[]], {"similarity": [0.5]}, "scores must have shape"),
        ([[0.5]], {"similarity": [1.0, 1.0]}, "similarity has shape"),
        ([[0.5]], {"query_confidence": [np.nan]}, r"query_confidence\[0\] is nan"),
        ([[0.5], [0.5]], {"hit_confidence": [0.5, 1.2]}, r"hit_confidence\[1\] is 1.2"),
        ([[0.5]], {"labels": ["a"]}, "labels has shape"),
    ],
)
def test_bad_input_is_refused(scores, given_numbers, message):
    with pytest.raises(ValueError, match=message):
        describe(scores, **given_numbers)


def test_familiarity_is_a_feature_where_it_is_known():
    assert "familiarity" not in describe([[0.5]])
    found = describe([[0.5]] * 3, query_familiarity=[0.0, 0.2, 1.0])["familiarity"]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1:], [np.log(0.5), np.log(1 / 1.2)])
    assert found[0] < found[1]
    with pytest.raises(ValueError, match=r"query_familiarity\[0\] is 2"):
        describe([[0.5]], query_familiarity=[2.0])
