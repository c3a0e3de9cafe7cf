"""Conflicting near-duplicates, duplicates and outliers: found once, listed as long as the items have not changed."""

import asyncio

import pytest
from qdrant_client import models

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, IndexSettings
from fg_search.errors import NotScoredError

KINDS = ("conflicting", "duplicate", "outlier")


@pytest.fixture
def mixed(local, rows):
    """The corpus, two copies of d0, one with another label, a near-copy of d13 with another label, and an odd item."""
    local.add(**rows)
    texts = rows["texts"]
    first, *others = texts[13].split()
    local.add(
        [f"{texts[0]}?", f"  {texts[0]}", " ".join([*others, first]), "zebra"],
        ids=["same", "other", "near", "odd"],
        labels=["card", "travel", "food", "card"],
    )
    return local


@pytest.fixture
def scored(mixed):
    """The mixed corpus, scored."""
    mixed.score_items()
    return mixed


def ids(index, kind, **options):
    return [item.id for item in index.review(kind=kind, **options)]


def test_each_kind_is_listed_with_reason_and_evidence(mixed, rows):
    found = mixed.score_items()
    assert (found.items, found.duplicates, found.conflicting) == (52, 3, 5)
    assert found.outliers == len(ids(mixed, "outlier"))

    assert set(ids(mixed, "duplicate")) == {"d0", "same", "other"}
    by_id = {item.id: item for item in mixed.review(kind="duplicate")}
    assert by_id["d0"].reason == "the same text as 2 other items, labelled otherwise: 'travel'"
    assert [example.id for example in by_id["d0"].agreeing] == ["same"]
    assert [example.id for example in by_id["d0"].contradicting] == ["other"]
    assert by_id["d0"].score == pytest.approx(2 / 3, abs=1e-3)

    assert set(ids(mixed, "conflicting")) == {"d0", "same", "other", "d13", "near"}
    by_id = {item.id: item for item in mixed.review(kind="conflicting")}
    near = by_id["near"]
    assert [example.id for example in near.contradicting] == ["d13"]
    assert near.score == pytest.approx(near.contradicting[0].similarity)
    assert near.reason.startswith("labelled 'food', but ")
    assert f"is labelled 'loan': “{rows['texts'][13]}”" in near.reason
    assert {example.id for example in by_id["other"].contradicting} == {"d0", "same"}

    by_id = {item.id: item for item in mixed.review(kind="conflicting", evidence=3)}
    filled = by_id["near"]
    assert filled.contradicting[0] == near.contradicting[0]  # items that the score names come first, then the nearest
    assert len({example.id for example in filled.contradicting}) == len(filled.agreeing) == 3
    assert {example.label for example in filled.agreeing} == {"food"}

    (odd, *_) = mixed.review(kind="outlier")
    assert odd.id == "odd"
    assert odd.reason.startswith("unlike anything else")
    assert odd.suggested_label is None


@pytest.mark.parametrize("kind", KINDS)
def test_without_scores_the_list_says_what_to_do(mixed, kind):
    mixed.score_labels()
    with pytest.raises(NotScoredError, match=r"index\.score_items\(\) or `fg-search score`"):
        mixed.review(kind=kind)


def test_a_conflict_ends_with_a_correction_and_comes_back_with_undo(scored):
    scored.decide("near", "label", "loan")
    assert "d13" not in ids(scored, "conflicting")
    scored.undo()
    assert {"near", "d13"} <= set(ids(scored, "conflicting"))
    scored.relabel({"other": "card"})
    assert set(ids(scored, "conflicting")) == {"near", "d13"}


def test_duplicates_end_when_the_others_are_gone_or_say_something_else(scored, rows):
    scored.decide("same", "delete")
    assert set(ids(scored, "duplicate")) == {"d0", "other"}
    scored.add(["pizza recipe"], ids=["other"], labels=["food"])
    assert ids(scored, "duplicate") == []
    scored.undo()
    assert set(ids(scored, "duplicate")) == {"d0", "same"}


def test_a_changed_item_has_no_scores(scored):
    scored.add(["my card was stolen"], ids=["odd"], labels=["card"])
    scored.add(["pizza oven recipe"], ids=["near"], labels=["food"])
    assert "odd" not in ids(scored, "outlier")
    assert not {"near", "d13"} & set(ids(scored, "conflicting"))


def test_stale_scores_leave_no_gaps_in_pages(scored):
    whole = ids(scored, "conflicting")
    scored.relabel({whole[0]: None})
    left = ids(scored, "conflicting")
    assert whole[0] not in left
    pages = [ids(scored, "conflicting", limit=1, offset=offset) for offset in range(len(left) + 1)]
    assert pages == [[item_id] for item_id in left] + [[]]


def test_scores_of_items_and_of_labels_do_not_disturb_one_another(scored):
    before = {kind: ids(scored, kind) for kind in KINDS}
    scored.score_labels()
    assert {kind: ids(scored, kind) for kind in KINDS} == before
    contradicted = ids(scored, "contradicted")
    scored.score_items()
    assert ids(scored, "contradicted") == contradicted
    assert {kind: ids(scored, kind) for kind in KINDS} == before


def test_scoring_again_replaces_the_scores(scored):
    scored.delete(["same", "other", "near", "odd"])
    found = scored.score_items()
    assert (found.conflicting, found.duplicates) == (0, 0)
    assert ids(scored, "duplicate") == ids(scored, "conflicting") == []


def test_lists_are_filtered_by_label_score_and_payload(scored):
    assert set(ids(scored, "duplicate", label="travel")) == {"other"}
    scores = [item.score for item in scored.review(limit=52)]
    least = scores[9]
    assert [item.score for item in scored.review(limit=52, min_score=least - 1e-9)] == scores[:10]
    assert set(ids(scored, "conflicting", min_score=1.0)) >= {"d0", "same", "other"}
    even = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])
    assert ids(scored, "duplicate", query_filter=even) == ["d0"]
    with pytest.raises(ValueError, match="min_score must be between 0 and 1"):
        scored.review(min_score=1.5)


def test_items_of_one_suggestion(scored):
    scored.relabel({"d1": "travel", "d20": "food", "d40": "card"})
    scored.score_labels()
    items = scored.review(kind="contradicted", suggested="card", limit=50)
    assert items
    assert {item.suggested_label for item in items} == {"card"}
    assert "d1" in {item.id for item in items}


def test_items_without_labels_have_no_conflicts(local, rows):
    local.add([*rows["texts"], rows["texts"][0].upper()], ids=range(49))
    found = local.score_items()
    assert (found.conflicting, found.duplicates) == (0, 2)
    assert local.review(kind="duplicate")[0].reason == "the same text as 1 other item, without a label"


def test_an_empty_index_and_one_without_base_vectors(local, encoder):
    assert local.score_items().items == 0
    with (
        ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as bare,
        pytest.raises(ValueError, match="without base vectors"),
    ):
        bare.score_items()


def test_tenants_see_nothing_of_one_another(encoder, rows):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        one, two = index.tenant("one"), index.tenant("two")
        one.add(**rows)
        two.add(**{**rows, "labels": ["secret" if label == "card" else label for label in rows["labels"]]})
        with pytest.raises(ValueError, match="choose one first"):
            index.score_items()
        assert one.score_items().duplicates == 0
        assert one.review(kind="conflicting") == []
        one.relabel({"d1": "loan", "d2": "loan", "d13": "card"})
        one.score_labels()
        two.score_labels()
        labels = {label for pair in one.confused_labels() for label in (pair.first, pair.second)}
        assert "secret" not in labels


def test_a_diverse_list_has_no_copies_in_a_row(local, rows):
    local.add(**rows)
    texts = rows["texts"][:4]
    # a word moved elsewhere gives the same embedding
    local.add([f"{'please ' * step}{text}" for text in texts for step in (0, 1)], ids=range(8), labels=["x"] * 8)
    words = texts[0].split()
    local.add([" ".join(words[step:] + words[:step]) for step in range(4)], ids=range(10, 14), labels=["copy"] * 4)
    plain = [item.text for item in local.review(limit=60)]
    diverse = [item.text for item in local.review(limit=60, diverse=True)]
    assert sorted(plain) == sorted(diverse)

    def runs(listed):
        same = [" ".join(sorted(text.split())) for text in listed]
        return sum(same[i] in same[max(0, i - 9) : i] for i in range(len(same)))

    assert runs(diverse) < runs(plain)
    assert [item.text for item in local.review(limit=5, offset=3, diverse=True)] == diverse[3:8]
    with pytest.raises(ValueError, match="at most 1,000 items, got limit \\+ offset = 1,001"):
        local.review(limit=1000, offset=1, diverse=True)


def test_labels_confused_both_ways_are_counted_by_the_engine(local, rows):
    swapped = {"card": "loan", "loan": "card"}
    labels = [swapped.get(label, label) if i % 3 == 0 else label for i, label in enumerate(rows["labels"])]
    local.add(**{**rows, "labels": labels})
    with pytest.raises(NotScoredError, match="score_labels"):
        local.confused_labels()
    local.score_labels()
    first = local.confused_labels()[0]
    assert (first.first, first.second) == ("card", "loan")
    items = local.review(kind="contradicted", label="card", suggested="loan", limit=50)
    assert 0 < first.first_as_second <= len(items)
    assert first.score > 0
    for item in items:
        local.decide(item.id, "keep")
    decided = next((pair for pair in local.confused_labels() if {pair.first, pair.second} == {"card", "loan"}), None)
    assert decided is None or decided.first_as_second == 0
    assert len(local.confused_labels(1)) <= 1
    with pytest.raises(ValueError, match="limit"):
        local.confused_labels(0)


def test_a_corrected_label_is_no_longer_contradicted(local, rows):
    local.add(**{**rows, "labels": ["travel", *rows["labels"][1:]]})
    local.score_labels()
    assert local.review(kind="contradicted", limit=1)[0].id == "d0"
    local.relabel({"d0": rows["labels"][0]})
    assert "d0" not in {item.id for item in local.review(kind="contradicted", limit=50)}


def test_the_same_as_coroutines(tmp_path, encoder, rows):
    async def work():
        async with AsyncConfidenceIndex(tmp_path / "index", encoder) as index:
            await index.add(**rows)
            await index.add([rows["texts"][0].upper()], ids=["copy"], labels=["card"])
            found = await index.score_items()
            await index.score_labels()
            return found, await index.review(kind="duplicate", diverse=True), await index.confused_labels()

    found, items, pairs = asyncio.run(work())
    assert found.duplicates == len(items) == 2
    assert isinstance(pairs, list)
