import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from scipy.special import softmax

from fg_search.review import issues as review
from fg_search.review.issues import (
    NoiseEstimate,
    agreeing_and_contradicting,
    are_outliers,
    conflicting_copies,
    conflicts,
    confused_labels,
    estimate_noise,
    nearest,
    neighbours,
    outlier_scores,
    same_text,
    spread_copies,
)

SEEDS = st.integers(0, 10_000)


def rows_of(seed, n=30, d=5):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def cosines_of(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.fixture(params=[(3, 7), (1024, 4096)], ids=["small blocks", "one block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(neighbours, "_QUERIES", request.param[0])
    monkeypatch.setattr(neighbours, "_POINTS", request.param[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.usefixtures("blocks")
def test_neighbours_are_those_of_a_full_sort(seed):
    rows = rows_of(seed)
    labels = np.array([None, "a", "b", "c"], dtype=object)[np.random.default_rng(seed).integers(4, size=30)]
    cosines = cosines_of(rows)
    np.fill_diagonal(cosines, -np.inf)
    np.testing.assert_array_equal(nearest(rows, k=4).rows, np.argsort(-cosines, axis=1)[:, :4])
    agreeing, contradicting = agreeing_and_contradicting(rows, labels, [3, 8, 29], k=12)
    for place, row in enumerate([3, 8, 29]):
        for found, same in ((agreeing, True), (contradicting, False)):
            usable = [
                i
                for i in np.argsort(-cosines[row])
                if i != row and labels[row] and labels[i] and (labels[i] == labels[row]) == same
            ][:12]
            assert [i for i in found.rows[place] if i >= 0] == usable
            np.testing.assert_allclose(found.similarity[place][: len(usable)], cosines[row][usable], atol=1e-5)
            assert (found.similarity[place][len(usable) :] == 0).all()


def test_a_thousand_copies_do_not_fill_the_memory():
    found = conflicting_copies(np.ones((1000, 3)), ["a", "b"] * 500, k=2)
    assert found.rows.shape == (1000, 2)
    assert (found.similarity > 0.999).all()


def test_same_text_looks_past_case_spaces_width_and_the_end_of_the_sentence():
    texts = ["What's my PIN?", "what's\u3000 my pin", "other", "\uff37HAT'S my pin\uff01", "???", "!!!"]
    assert same_text(texts) == [(0, 1, 3)]
    assert same_text(texts, ["a", "a", "b", None, "a", "b"]) == []
    assert same_text(texts, ["a", "b", "b", None, "a", "b"]) == [(0, 1, 3)]
    with pytest.raises(ValueError, match="labels has 1 items, texts has 6"):
        same_text(texts, ["a"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I sort in C#?", "How do I sort in C?"),
        ("How do I sort in C++?", "How do I sort in C?"),
        ("a rise of 5 %", "a rise of 5"),
        ("#", "*"),
        ("10²", "102"),
        ("½ cup", "1/2 cup"),
        ("Maße", "Masse"),
        ("-5", "5"),
        ("it's", "its"),
        ("a/b", "a b"),
        ("3.5", "35"),
        ("$5", "€5"),
        ("(no) refund", "no refund"),
        ("@ada", "ada"),
        (":)", ":("),
        ("?", "!"),
        (".net", "net"),
    ],
)
def test_texts_that_differ_in_a_sign_are_not_the_same(one, other):
    assert same_text([one, other]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my card?", "where is my card"),
        ("Where is my card ?!", "WHERE IS MY CARD..."),
        ("カードはどこですか？", "ｶｰﾄﾞはどこですか。"),  # noqa: RUF001
        ("５％", "5%"),  # noqa: RUF001
        ("my\u00a0card\u200b", "my card"),
        ("cafe\u0301", "caf\u00e9"),
        ("أين بطاقتي؟", "أين بطاقتي"),
        ("कार्ड कहाँ है।", "कार्ड कहाँ है"),
        ("ΟΔΟΣ", "οδος"),
    ],
)
def test_texts_that_differ_in_case_width_space_or_end_are_the_same(one, other):
    assert same_text([one, other]) == [(0, 1)]


@settings(max_examples=examples(25))
@given(seed=SEEDS, k=st.integers(1, 3))
def test_conflicting_copies_are_the_nearest_of_other_labels(seed, k):
    rows = rows_of(seed)
    labels = [None if i % 7 == 0 else "abc"[i % 3] for i in range(30)]
    cosines = cosines_of(rows)
    found = conflicting_copies(rows, labels, similarity=0.5, k=k)
    for i in range(30):
        wanted = [
            j
            for j in np.argsort(-cosines[i])
            if labels[i] and labels[j] and labels[i] != labels[j] and cosines[i, j] >= 0.5
        ][:k]
        assert [j for j in found.rows[i] if j >= 0] == wanted
        np.testing.assert_allclose(found.similarity[i, : len(wanted)], cosines[i, wanted], atol=1e-5)
        assert (found.similarity[i, len(wanted) :] == 0).all()


def test_of_many_items_nearly_all_conflicting_copies_are_found(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 32)) + 2 * rng.standard_normal((20, 32))[rng.integers(20, size=3000)]
    rows[1500:2000] = rows[:500] + 0.1 * rng.standard_normal((500, 32))
    labels = [str(i % 11) for i in range(3000)]
    exact = conflicting_copies(rows, labels)
    monkeypatch.setattr(conflicts, "_ALL_PAIRS", 100)
    monkeypatch.setattr(conflicts, "_CELL", 100)
    monkeypatch.setattr(conflicts, "_LARGEST", 500)
    some = conflicting_copies(rows, labels)
    has = exact.rows[:, 0] >= 0
    assert has.sum() > 800
    assert (some.rows[has, 0] >= 0).mean() > 0.98
    assert not (some.rows[~has, 0] >= 0).any()
    assert (some.similarity <= exact.similarity + 1e-6).all()


def test_the_outlier_of_many_items_is_found_in_a_sample():
    rows = np.concatenate([np.eye(4)[0] + 0.05 * rows_of(0, 200, 4), [[0, 0, 0, 1.0]]])
    scores = outlier_scores(rows, k=5, most_compared=50)
    assert scores.argmax() == 200
    assert np.flatnonzero(are_outliers(scores))[-1] == 200


def test_what_stands_out_is_above_the_upper_fence():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    lower, upper = np.percentile(scores, [25, 75])
    assert are_outliers(scores).tolist() == (scores > upper + 1.5 * (upper - lower)).tolist()
    assert are_outliers([0.2, 0.2, 0.2]).tolist() == [False] * 3
    assert are_outliers([]).tolist() == []


def test_an_item_far_from_everything_is_an_outlier():
    rows = np.concatenate([np.eye(4)[0] + 0.05 * rows_of(0, 40, 4), [[0, 0, 0, 1.0]]])
    scores = outlier_scores(rows)
    assert scores.argmax() == 40
    assert scores[40] > 0.9
    assert scores[:40].max() < 0.1
    assert outlier_scores(rows[:1]).tolist() == [1.0]


@settings(max_examples=examples(25))
@given(seed=SEEDS, n=st.integers(1, 20))
def test_outlier_scores_are_in_range_whatever_the_order(seed, n):
    rows = rows_of(seed, n)
    scores = outlier_scores(rows, k=3)
    assert ((scores >= 0) & (scores <= 1)).all()
    order = np.random.default_rng(seed).permutation(n)
    np.testing.assert_allclose(outlier_scores(rows[order], k=3), scores[order], atol=1e-5)


def test_labels_confused_both_ways_come_before_mislabelled_ones():
    given_labels = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + [None]
    predicted = ["b"] * 4 + ["a"] * 6 + ["a"] * 3 + ["b"] * 7 + ["a"] * 9 + ["c"] + ["a"]
    first, second = confused_labels(given_labels, predicted)
    assert (first.first, first.second, first.first_as_second, first.second_as_first) == ("a", "b", 4, 3)
    assert first.score == pytest.approx((0.4 * 0.3) ** 0.5)
    assert (second.first, second.second, second.first_as_second, second.second_as_first) == ("a", "c", 0, 9)
    assert second.score == 0
    with pytest.raises(ValueError, match="given has 31 items, predicted has 1"):
        confused_labels(given_labels, ["a"])


def planted(seed, noise, sureness, labels=5, items=4000):
    """Given labels, whether each is wrong, and a posterior that is right about the true ones as often as it says."""
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.full(labels, 1 / sureness), size=items)
    truth = (posterior.cumsum(axis=1) > rng.random(items)[:, None]).argmax(axis=1)
    wrong = rng.random(items) < noise
    return np.where(wrong, (truth + rng.integers(1, labels, size=items)) % labels, truth), wrong, posterior


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_wrong_labels_are_counted_however_sure_the_posterior_is(pieces, noise, power):
    label, wrong, posterior = planted(0, noise, sureness=20)
    posterior = posterior**power
    posterior /= posterior.sum(axis=1, keepdims=True)
    blocks = zip(np.array_split(label, pieces), np.array_split(posterior, pieces), strict=True)
    found = estimate_noise(blocks, 5)
    assert abs(found.share.estimate - wrong.mean()) < 0.02
    assert found.share.low <= wrong.mean() <= found.share.high < wrong.mean() + 0.05
    assert found.examples == 4000
    assert found.by_label == pytest.approx([wrong[label == i].mean() for i in range(5)], abs=0.04)
    assert "of the labels are probably wrong" in str(found)


@pytest.mark.parametrize("sureness", [1, 4])
def test_what_the_model_cannot_tell_is_not_taken_for_noise(sureness):
    label, _, posterior = planted(1, 0.0, sureness)
    assert (posterior.argmax(axis=1) != label).mean() > 0.15
    share = estimate_noise([(label, posterior)], 5).share
    assert share.estimate < 0.03
    assert share.low == 0


def test_posteriors_that_say_nothing_leave_everything_possible():
    label = np.random.default_rng(2).integers(5, size=300)
    share = estimate_noise([(label, np.full((300, 5), 0.2))], 5).share
    assert (share.estimate, share.low, share.high) == (0, 0, pytest.approx(1, abs=1e-3))


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("labels", [2, 30])
def test_the_interval_holds_what_is_planted(noise, labels):
    held = 0
    for seed in range(20):
        label, wrong, posterior = planted(seed, noise, 20, labels, items=200)
        share = estimate_noise([(label, posterior)], labels).share
        held += share.low <= wrong.mean() <= share.high
    assert held >= 18


def misread(seed, noise, doubtful):
    """As ``planted``, with labels of which three each are alike, and items of which the posterior is twice too sure."""
    rng = np.random.default_rng(seed)
    items, labels = 1500, 30
    rows, read = np.arange(items), rng.integers(labels, size=items)
    odds = rng.standard_normal((items, labels))
    odds[rows[:, None], (read // 3 * 3)[:, None] + np.arange(3)] += 4
    odds[rows, read] += rng.normal(4, 3, items)
    truth = (softmax(odds, axis=1).cumsum(axis=1) > rng.random(items)[:, None]).argmax(axis=1)
    wrong = rng.random(items) < noise
    odds[rng.random(items) < doubtful] *= 2
    label = np.where(wrong, (truth + rng.integers(1, labels, size=items)) % labels, truth)
    return label, wrong, softmax(odds, axis=1)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_items_that_are_misread_too_surely_are_not_taken_for_noise(noise):
    held, low = 0, []
    for seed in range(10):
        label, wrong, posterior = misread(seed, noise, doubtful=0.1)
        share = estimate_noise([(label, posterior)], 30).share
        held += share.low <= wrong.mean() <= share.high
        low.append(share.low)
    assert held >= 9
    assert np.mean(low) > 0.5 * noise or not noise


def test_less_than_one_wrong_label_is_none():
    label, wrong, posterior = planted(3, 0.05, 20, labels=30, items=500)
    low = estimate_noise([(label, posterior)], 30).share.low
    assert 0 < low < wrong.mean()
    assert low * 500 == pytest.approx(round(low * 500))


def test_noise_of_bad_input_is_refused():
    label, _, posterior = planted(0, 0.0, 20, items=10)
    with pytest.raises(ValueError, match="posterior must have shape"):
        estimate_noise([(label, posterior)], 6)
    with pytest.raises(ValueError, match="no labels to score"):
        estimate_noise([], 6)


def test_nothing_is_known_of_labels_that_cannot_be_judged():
    found = NoiseEstimate.unknown(3)
    assert (found.share.estimate, found.share.low, found.share.high, found.examples) == (0, 0, 1, 0)
    assert "too few examples" in str(found)


@pytest.mark.parametrize("n", [48, 1000])
def test_that_none_was_seen_to_be_wrong_does_not_say_that_none_is(n):
    label = np.arange(n) % 2

    def share(wrong=0):
        read = np.where(np.arange(n) < wrong, 1 - label, label)
        return estimate_noise([(label, 0.998 * np.eye(2)[read] + 0.001)], 2).share

    assert (share().estimate, share().low) == (0, 0)
    # with as many wrong as at the upper end, all of n are right once in twenty
    assert (1 - share().high) ** n == pytest.approx(0.05, abs=0.001)
    if n == 1000:
        assert share().high == pytest.approx(3 / n, rel=0.01)
        assert share(wrong=50).high > 0.05 > share().high


@settings(max_examples=examples(25))
@given(seed=SEEDS, n=st.integers(1, 25), window=st.integers(1, 6))
def test_copies_are_spread_as_long_as_there_is_anything_else(seed, n, window):
    rng = np.random.default_rng(seed)
    rows = np.eye(8)[rng.integers(3, size=n)]
    order = spread_copies(rows, window=window)
    assert sorted(order) == list(range(n))
    kinds = rows[order].argmax(1)
    for i in range(n):
        if kinds[i] in kinds[max(0, i - window + 1) : i]:  # a copy: then everything left is one
            assert set(kinds[i:]) <= set(kinds[max(0, i - window + 1) : i])


def test_a_ranking_without_copies_is_left_alone():
    assert spread_copies(np.eye(6)).tolist() == list(range(6))
    assert spread_copies(np.eye(6), limit=2).tolist() == [0, 1]
    copies = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert spread_copies(copies, window=2).tolist() == [0, 3, 1, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest(np.eye(3), [3]), r"rows\[0\] is 3, there are 3 embeddings"),
        (lambda: nearest(np.eye(3), k=0), "k must be an integer of at least 1"),
        (lambda: agreeing_and_contradicting(np.eye(3), ["a"]), "labels must be one for each of 3"),
        (lambda: conflicting_copies(np.eye(3), ["a", "b", "c"], similarity=2), "similarity must be between 0 and 1"),
        (lambda: conflicting_copies(np.eye(3), ["a"]), "labels must be one for each of 3"),
        (lambda: conflicting_copies(np.eye(3), ["a"] * 3, k=0), "k must be an integer of at least 1"),
        (lambda: nearest(np.eye(3), among=[5]), r"among\[0\] is 5, there are 3 embeddings"),
        (lambda: outlier_scores(np.eye(3), most_compared=0), "most_compared must be an integer of at least 1"),
        (lambda: spread_copies(np.eye(3), window=0), "window must be an integer of at least 1"),
        (lambda: outlier_scores([1.0, 2.0]), "embeddings must be a matrix"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_reasons_are_sentences_of_their_ingredients():
    text = review.contradiction_reason("refund", "delay", 0.973, quoted="where is my\nparcel")
    assert "labelled 'refund'" in text
    assert "'delay' (probability 97%)" in text
    assert "“where is my parcel”" in text
    assert len(review.contradiction_reason("a", "b", 0.5, quoted="x" * 999)) < 200
    assert "over 99%" in review.contradiction_reason("a", "b", 0.9999)
    assert review.ambiguity_reason([0.4, 0.9, 0.3]) == "2 of 3 groups are undecided (best code below 50%)"
    assert review.ambiguity_reason([0.9, 0.8], suggested="b", probability=0.31, neighbours=["a", "b", "a"]) == (
        "the least sure of 2 groups gives its best code 80%; without its label it could be 'b' "
        "(probability 31%); its nearest items are labelled 'a' and 'b'"
    )
    assert "at most 0.20" in review.outlier_reason(0.8)
    assert review.duplicate_reason(1.0, "a", "b") == "the same text, once labelled 'a' and once 'b'"
    assert "0.951" in review.duplicate_reason(0.951, "a", "b")
    assert "0.999" in review.duplicate_reason(0.9999, "a", "b")
    assert review.duplicate_reason(1.0, "a", "b", quoted="x y") == (
        "labelled 'a', but the same text is labelled 'b': “x y”"
    )
    assert review.same_text_reason("a", ["a", None, "b"], more=True) == (
        "the same text as at least 3 other items, labelled otherwise: 'b', none"
    )
    assert review.same_text_reason("a", ["a"], more=False) == "the same text as 1 other item, of the same label"
    (pair,) = confused_labels(["a", "b"], ["b", "a"])
    assert "1 item labelled 'a' read as 'b'" in review.confusion_reason(pair)


def test_nothing_loads_torch():
    import subprocess
    import sys

    check = "import sys, fg_search.review.issues; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
