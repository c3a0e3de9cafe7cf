"""Second opinions, and what several reviewers did."""

from datetime import datetime, timedelta, timezone

import pytest
from engines import in_strict_mode_too
from sklearn.metrics import cohen_kappa_score

from fg_search.errors import DecisionConflictError
from fg_search.evaluation import agreement
from fg_search.review.reviewers import agreements, progress_by_reviewer

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


@in_strict_mode_too("index")
def test_a_second_opinion_is_asked_of_others_as_the_first_reviewer_saw_the_item(own):
    own.decide("d0", "label", "food", reviewer="Ada")
    own.decide("d1", "keep", reviewer="Ben")
    own.decide("d2", "unsure", reviewer="Ben")
    assert {item.id for item in own.review(kind="second")} == {"d0", "d1"}
    assert own.count_review(kind="second") == 2
    (item,) = own.review(kind="second", reviewer="Ben", evidence=1)
    assert (item.id, item.label) == ("d0", "card")
    assert "food" not in item.reason
    assert own.count_review(kind="second", reviewer="Ben") == 1
    given = own.decide("d0", "keep", reviewer="Ben", opinion_on=item.opinion_on)
    assert (given.before, given.after, given.opinion_on) == ("food", "card", item.opinion_on)
    assert own.labels_of(["d0"]) == {"d0": "card"}
    assert [item.id for item in own.review(kind="second")] == ["d1"]  # two are enough
    own.undo(reviewer="Ben")
    assert own.labels_of(["d0"]) == {"d0": "food"}
    assert {item.id for item in own.review(kind="second")} == {"d0", "d1"}


@in_strict_mode_too("index")
def test_where_two_differ_a_third_sees_both_opinions_and_settles_it(own):
    firsts = [own.decide(f"d{number}", "label", "food", reviewer="Ada") for number in range(3)]
    own.decide("d0", "label", "food", reviewer="Ben", opinion_on=firsts[0].number)
    for first in firsts[1:]:
        own.decide(first.id, "keep", reviewer="Ben", opinion_on=first.number)
    assert own.count_review(kind="differ") == 2
    item = next(item for item in own.review(kind="differ") if item.id == "d1")
    assert [(one.reviewer, one.label) for one in item.opinions] == [("Ada", "food"), ("Ben", item.label)]
    assert item.reason.startswith(f"Ada says food, Ben says {item.label}")
    settled = own.decide("d1", "label", "food", reviewer="Cleo")
    assert [item.id for item in own.review(kind="differ")] == ["d2"]
    assert own.review(kind="second") == []  # what a third has settled needs no other opinion
    with pytest.raises(ValueError, match="no second opinion"):
        own.decide("d1", "keep", reviewer="Dan", opinion_on=settled.number)
    own.undo(reviewer="Cleo")
    assert own.count_review(kind="differ") == 2
    (pair,) = agreements(own.decisions(standing=True))
    assert pair.differing == ("d1", "d2")


def test_an_opinion_on_what_has_changed_or_is_ones_own_is_refused(own):
    first = own.decide("d0", "label", "food", reviewer="Ada")
    with pytest.raises(ValueError, match="somebody else's"):
        own.decide("d0", "keep", reviewer="Ada", opinion_on=first.number)
    own.decide("d0", "keep", reviewer="Cleo")
    with pytest.raises(DecisionConflictError, match="Cleo decided"):
        own.decide("d0", "keep", reviewer="Ben", opinion_on=first.number)
    unsure = own.decide("d1", "unsure", reviewer="Ada")
    with pytest.raises(ValueError, match="no second opinion"):
        own.decide("d1", "keep", reviewer="Ben", opinion_on=unsure.number)
    assert [entry.opinion_on for entry in own.decisions()] == [None] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"kind": "second", "label": "card"}, "leave label out"), ({"reviewer": "Ada"}, "kind='second'")],
)
def test_options_of_other_lists_are_refused(filled, options, message):
    for listing in (filled.review, filled.count_review):
        with pytest.raises(ValueError, match=message):
            listing(**options)


def test_agreement_counts_blind_second_opinions_alone(own):
    for number, label in enumerate(["card", "food", "card", "food"] * 3):
        own.decide(f"d{number}", "label", label, reviewer="Ben")
    firsts = {entry.id: entry for entry in own.decisions()}
    for number in range(10):
        said = firsts[f"d{number}"].after if number else "travel"
        own.decide(f"d{number}", "label", said, reviewer="Ada", opinion_on=firsts[f"d{number}"].number)
    own.decide("d10", "label", "loan", reviewer="Ada")  # with the first decision in view
    own.decide("d11", "delete", reviewer="Cleo", opinion_on=firsts["d11"].number)
    standing = own.decisions(standing=True)
    ours, others = agreements(standing)
    assert ours.reviewers == ("Ada", "Ben")
    assert (ours.agreement.agreed.count, ours.agreement.agreed.total, ours.differing) == (9, 10, ("d0",))
    assert (others.reviewers, others.agreement.kappa, others.differing) == (("Ben", "Cleo"), None, ("d11",))
    assert [(one.reviewer, one.total) for one in progress_by_reviewer(standing, LONG_AGO)] == [
        ("Ben", 12),
        ("Ada", 11),
        ("Cleo", 1),
    ]
    later = datetime.now(timezone.utc) + timedelta(days=1)
    assert {one.recent for one in progress_by_reviewer(standing, later)} == {0}


@pytest.mark.parametrize(
    ("first", "second"),
    [("abcabcabcabc", "abcabcabcabc"), ("abcabcabcabc", "abaaacabcbbc"), ("aaaaaaaaaaab", "baaaaaaaaaaa")],
)
def test_kappa_is_that_of_cohen(first, second):
    found = agreement(first, second)
    assert found.kappa == pytest.approx(cohen_kappa_score([*first], [*second]))
    assert found.agreed.count == sum(one == other for one, other in zip(first, second, strict=True))


def test_there_is_no_kappa_of_too_few_items_or_of_one_answer():
    assert agreement("abcabcabc", "abcabcabc").kappa is None
    assert agreement("a" * 20, "a" * 20).kappa is None
    with pytest.raises(ValueError, match="second"):
        agreement("ab", "a")
