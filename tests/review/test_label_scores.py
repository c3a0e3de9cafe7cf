"""Labels are scored by a model that has not seen them. Those in doubt are listed with suggestion and evidence."""

import pytest

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import NotScoredError
from fg_search.layout.payloads import are_same

LISTS = ("ambiguous", "contradicted", "conflicting", "duplicate", "outlier")
WRONG = {"d1": "travel", "d20": "food", "d40": "card"}


@pytest.fixture
def noisy(local, rows):
    """The corpus with three wrong labels."""
    labels = [WRONG.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    local.add(**{**rows, "labels": labels})
    return local


def test_wrong_labels_come_first_with_the_right_one_suggested(noisy, rows):
    truth = dict(zip(rows["ids"], rows["labels"], strict=True))
    found = noisy.score_labels()
    assert (found.items, found.labelled) == (48, 48)
    items = noisy.review(kind="contradicted", limit=3)
    assert {item.id for item in items} == set(WRONG)
    for item in items:
        assert item.suggested_label == truth[item.id]
        assert item.label == WRONG[item.id]
        assert item.kind == "contradicted"
        assert 0 < item.suggested_probability <= 1
        assert repr(item.label) in item.reason
        assert repr(item.suggested_label) in item.reason
    scores = [item.score for item in noisy.review(kind="contradicted", limit=48)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("wrong", range(4))
def test_the_interval_holds_the_share_of_wrong_labels(local, rows, wrong):
    changed = dict(list(WRONG.items())[:wrong])
    labels = [changed.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    local.add(**{**rows, "labels": labels})
    found = local.score_labels()
    assert found.lower <= wrong / 48 <= found.upper
    assert found.lower <= found.wrong <= found.upper < 0.25
    assert found.upper >= 1 - 0.05 ** (1 / 48)  # as many are wrong without any among 48, once in twenty


def test_payload_of_another_kind_leaves_lists_and_decisions(noisy, rows, points_of):
    noisy.score_labels()
    noisy.score_items()
    noisy.decide("d1", "keep", reviewer="ann")
    noisy.decide("d20", "accept")
    before = {kind: [item.id for item in noisy.review(kind=kind, limit=48)] for kind in LISTS}
    review = {user_id: point.payload["fg"].get("review") for user_id, point in points_of(noisy).items()}
    assert before["contradicted"]
    assert any(before[kind] for kind in LISTS[2:])
    labels = [WRONG.get(user_id, label) for user_id, label in zip(rows["ids"], rows["labels"], strict=True)]
    report = noisy.add(**{**rows, "labels": labels, "payloads": [{"price": i} for i in range(48)]})
    assert report.written == 48
    assert {kind: [item.id for item in noisy.review(kind=kind, limit=48)] for kind in LISTS} == before
    points = points_of(noisy)
    assert all(are_same(points[user_id].payload["fg"].get("review"), known) for user_id, known in review.items())
    assert points["d1"].payload["fg"]["reviewed"]["reviewer"] == "ann"
    assert points["d20"].payload["fg"]["label"] == rows["labels"][20]


def test_another_text_or_label_has_no_scores(noisy, rows, points_of):
    noisy.score_labels()
    noisy.score_items()
    noisy.decide("d1", "keep")
    noisy.decide("d40", "keep")
    noisy.add(["my other loan", rows["texts"][40]], ids=["d1", "d40"], labels=["travel", "travel"])
    for user_id in ("d1", "d40"):
        assert not {"review", "reviewed"} & points_of(noisy)[user_id].payload["fg"].keys()


def test_accepting_corrects_the_label_and_takes_the_item_out_of_the_list(noisy, points_of):
    noisy.score_labels()
    item = noisy.review(kind="contradicted", limit=1)[0]
    noisy.decide(item.id, "accept", reviewer="ann")
    assert points_of(noisy)[item.id].payload["fg"]["label"] == item.suggested_label
    assert item.id not in {other.id for other in noisy.review(kind="contradicted", limit=48)}
    noisy.undo()
    assert noisy.review(kind="contradicted", limit=1)[0].id == item.id


def test_evidence_is_the_nearest_items_on_both_sides(noisy, rows):
    noisy.score_labels()
    (item,) = noisy.review(kind="contradicted", limit=1, evidence=3)
    assert [example.label for example in item.agreeing] == [item.label] * 3
    assert item.label not in {example.label for example in item.contradicting}
    for examples in (item.agreeing, item.contradicting):
        similarities = [example.similarity for example in examples]
        assert similarities == sorted(similarities, reverse=True)
        assert item.id not in {example.id for example in examples}
    assert noisy.review(kind="ambiguous", limit=1, evidence=2)[0].contradicting


def test_lists_have_pages_and_labels(noisy):
    whole = noisy.review(limit=20)
    assert [item.id for item in noisy.review(limit=5, offset=10)] == [item.id for item in whole[10:15]]
    assert {item.label for item in noisy.review(limit=48, label="food")} == {"food"}


def test_scoring_again_replaces_what_was_scored_before(noisy, rows):
    noisy.score_labels()
    noisy.relabel(dict(zip(rows["ids"], rows["labels"], strict=True)))
    noisy.score_labels()
    assert not set(WRONG) & {item.id for item in noisy.review(kind="contradicted", limit=48) if item.score > 0.5}


def test_without_scores_the_list_says_what_to_do(noisy):
    with pytest.raises(NotScoredError, match="score_labels"):
        noisy.review(kind="contradicted")
    with pytest.raises(ValueError, match=r"'ambiguous', 'contradicted', .* or 'differ', got 'odd'"):
        noisy.review(kind="odd")
    with pytest.raises(ValueError, match="evidence"):
        noisy.review(evidence=-1)


def test_labels_of_an_index_without_base_vectors_cannot_be_scored(encoder, rows):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as index:
        index.add(**rows)
        with pytest.raises(ValueError, match="without base vectors"):
            index.score_labels()


def test_a_tenants_labels_are_scored_by_its_own(encoder, rows):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        one, two = index.tenant("one"), index.tenant("two")
        one.add(**rows)
        two.add(**{**rows, "labels": [f"other {label}" for label in rows["labels"]]})
        assert one.score_labels().items == 48
        suggested = {item.suggested_label for item in one.review(kind="contradicted", limit=48)}
        assert not any(label.startswith("other") for label in suggested)
        with pytest.raises(ValueError, match="choose one first"):
            index.review(kind="contradicted")


def test_a_label_with_one_item_makes_no_others_look_wrong(local, rows):
    local.add(**rows)
    clean = local.score_labels()
    local.relabel({"d0": "brand new"})
    scored = local.score_labels()
    assert scored.wrong < clean.wrong + 0.1
    assert scored.suggested <= clean.suggested + 1


@pytest.fixture
def fine(local, rows):
    """Twelve labels of four items; which of three has a text of a topic, the text does not show."""
    local.add(**{**rows, "labels": [f"{label} {i % 3}" for i, label in enumerate(rows["labels"])]})
    return local


def test_what_cannot_be_learned_is_not_called_wrong_and_not_set_aside(fine, tmp_path):
    found = fine.score_labels()
    assert found.wrong < 0.1
    assert found.lower < 0.02
    assert found.upper > 0.25
    assert "too few examples to tell more exactly" in str(found)
    assert fine.review(kind="contradicted", min_score=0.5) == []
    fine.refit(tmp_path / "new", set_aside=0.5)
    assert fine.info().set_aside == 0


@pytest.mark.parametrize("each", [1, 3])
def test_labels_with_too_few_examples_are_not_judged(local, rows, tmp_path, each):
    local.add(**{**rows, "labels": [f"label {i // each}" for i in range(48)]})
    found = local.score_labels()
    assert (found.labelled, found.unscored, found.listed, found.suggested) == (48, 48, 0, 0)
    assert (found.wrong, found.lower, found.upper) == (0, 0, 1)
    assert str(found) == ("no labels scored: 48 items have a label with too few examples to judge (fewer than 4)")
    assert local.review(kind="contradicted", limit=48) == []
    assert local.info().unscored == 48
    local.refit(tmp_path / "new", set_aside=0.5)
    assert local.info().set_aside == 0
    assert len({hit.id for hit in local.search("card", limit=48).hits}) == 48


def test_how_many_labels_are_not_judged_is_told(noisy, rows):
    assert noisy.info().unscored == 0
    noisy.relabel({"d0": "brand new"})
    found = noisy.score_labels()
    assert found.unscored == noisy.info().unscored == 1
    assert str(found).startswith("47 labels scored: ")
    assert str(found).endswith("; 1 item has a label with too few examples to judge (fewer than 4)")
    noisy.relabel({"d0": rows["labels"][0]})
    assert noisy.score_labels().unscored == noisy.info().unscored == 0
