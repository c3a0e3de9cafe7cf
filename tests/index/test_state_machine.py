"""Any order of adding, correcting, deciding, undoing, deleting, refitting and migrating, against a plain dictionary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partialmethod
from typing import Any, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from profiles import examples

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import DecisionConflictError, EmptyIndexError, ItemNotFoundError, NothingToUndoError

IDS = ["a", -5, "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d"]
TEXTS = ["my card", "loan rate", "pizza oven"]

ids = st.sampled_from(IDS)
labels = st.sampled_from(["card", "loan", "food", None])
rows = st.dictionaries(ids, st.tuples(st.sampled_from(TEXTS), labels, st.sampled_from([{}, {"price": 1}])))
Row: TypeAlias = tuple[str, str | None, dict[str, Any]]


@dataclass(frozen=True)
class Known:
    """What is known of an item.

    Attributes:
        text: Its own.
        label: That it has now.
        given: That its owner gave it.
        payload: Its own.
        corrected: Whether a person gave it its label.
        mark: The decision about it that stands, if one does: the item is what that was about.
    """

    text: str
    label: str | None
    given: str | None
    payload: dict[str, Any]
    corrected: bool = False
    mark: int | None = None

    def relabelled(self, label: str | None) -> Known:
        """A correction that says what the owner says is none."""
        if label == self.label and not (self.corrected and label == self.given):
            return self
        return replace(self, label=label, corrected=label != self.given)

    def added(self, text: str, label: str | None, payload: dict[str, Any]) -> Known:
        """A correction stays as long as the owner says what was wrong, a decision as long as it is about this."""
        if (text, label, payload) == (self.text, self.given, self.payload):
            return self
        keeps = self.corrected and label == self.given
        now = self.label if keeps else label
        stays = (text, now) == (self.text, self.label)
        return Known(text, now, label, payload, keeps, self.mark if stays else None)


@dataclass(frozen=True)
class Made:
    """A decision, the item before it, and the item that it left, if it left one."""

    item: Any
    action: str
    before: Known
    after: Known | None


class Machine(RuleBasedStateMachine):
    """An index, and a dictionary of what should be in it.

    Args:
        encoders: To move between; the first one makes the index.
        folders: Makes a new folder.
        kind: "edge" or "memory".
    """

    def __init__(self, encoders: list[FeatureGroupEncoder], folders: Any, kind: str) -> None:
        super().__init__()
        self.encoders, self.folders, self.kind = encoders, folders, kind
        self.items: dict[Any, Known] = {}
        self.made: dict[int, Made] = {}
        self.standing: list[int] = []
        self.log: list[tuple[Any, str]] = []

    @initialize(rows=rows)
    def create(self, rows: dict[Any, Row]) -> None:
        self.folder = self.folders()
        self.index = ConfidenceIndex(self.folder if self.kind == "edge" else ":memory:", self.encoders[0])
        self.add({**dict.fromkeys(IDS, (TEXTS[0], "card", {})), **rows})

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.client.close()

    # what is done

    @rule(rows=rows)
    def add(self, rows: dict[Any, Row]) -> None:
        wanted = {
            one: self.items[one].added(*row) if one in self.items else Known(*row[:2], row[1], row[2])
            for one, row in rows.items()
        }
        same = sum(
            one in self.items and row == (self.items[one].text, self.items[one].given, self.items[one].payload)
            for one, row in rows.items()
        )
        texts, given, payloads = zip(*rows.values(), strict=True) if rows else ((), (), ())
        report = self.index.add(list(texts), ids=list(rows), labels=list(given), payloads=list(payloads))
        assert (report.written, report.unchanged) == (len(rows) - same, same)
        self.items |= wanted

    @rule(chosen=st.dictionaries(ids, labels, max_size=3))
    def relabel(self, chosen: dict[Any, str | None]) -> None:
        if chosen.keys() <= self.items.keys():
            changed = sum(self.items[one].label != label for one, label in chosen.items())
            assert self.index.relabel(chosen) == changed
            self.items |= {one: self.items[one].relabelled(label) for one, label in chosen.items()}
        else:
            with pytest.raises(ItemNotFoundError):
                self.index.relabel(chosen)

    @rule(chosen=st.lists(ids, max_size=2))
    def delete(self, chosen: list[Any]) -> None:
        assert self.index.delete(chosen) == len({*chosen} & self.items.keys())
        for one in chosen:
            self.items.pop(one, None)

    @rule(
        one=ids,
        decision=st.sampled_from(["keep", "unsure", "delete"]).map(lambda action: (action, None))
        | st.sampled_from(["card", "new"]).map(lambda label: ("label", label)),
        reviewer=st.sampled_from(["Ada", "Ben"]),
    )
    def decide(self, one: Any, decision: tuple[str, str | None], reviewer: str) -> None:
        if one not in self.items:
            with pytest.raises(ItemNotFoundError):
                self.index.decide(one, *decision)
            return
        (action, label), before = decision, self.items[one]
        entry = self.index.decide(one, action, label, reviewer=reviewer)
        after = before if label is None else before.relabelled(label)
        assert (entry.id, entry.action, entry.before, entry.after) == (one, action, before.label, after.label)
        if action == "delete":
            del self.items[one]
        else:
            self.items[one] = replace(after, mark=entry.number)
        self.made[entry.number] = Made(one, action, before, self.items.get(one))
        self.standing.append(entry.number)
        self.log.append((one, action))

    @rule()
    def undo(self) -> None:
        if not self.standing:
            with pytest.raises(NothingToUndoError):
                self.index.undo()
        else:
            self.take_back(self.standing[-1], None)

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def undo_one(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([*self.made]))
        self.take_back(number, number)

    def take_back(self, number: int, asked: int | None) -> None:
        """It is taken back if it stands, no later one about its item does, and the item is as it was left."""
        made = self.made[number]
        later = [one for one in self.standing if self.made[one].item == made.item and one > number]
        now = self.items.get(made.item)
        as_left = now is None if made.after is None else now is not None and _is_as_left(now, made.after)
        if number not in self.standing or later or not as_left:
            with pytest.raises(DecisionConflictError):
                self.index.undo(asked)
            return
        assert self.index.undo(asked).undoes == number
        # What the owner says may be another label and payload by now, and stays. Whether the item is to be reviewed is
        # as before the decision: an earlier one that stands may be about what had this id then.
        self.items[made.item] = (
            made.before if now is None else replace(now.relabelled(made.before.label), mark=made.before.mark)
        )
        self.standing.remove(number)
        self.log.append((made.item, "undo"))

    @rule(to=st.sampled_from([0, 1, 2, "what it learns from corrections", "another handle"]))
    def move(self, to: int | str) -> None:
        """Nothing of what an item is, or of what was decided, depends on the encoder or the handle."""
        if to == "another handle":
            self.open_again()
        elif to == "what it learns from corrections":
            self.refit()
        else:
            self.index.migrate(self.encoders[to])

    def refit(self) -> None:
        folder = self.folders()
        if len({item.label for item in self.items.values()} - {None}) < 2:
            with pytest.raises(ValueError, match="label"):
                self.index.refit(folder)
        else:
            self.index.refit(folder)

    def open_again(self) -> None:
        client, encoder = self.index.client, self.index.encoder
        if self.kind == "edge":
            client.close()
            client = EdgeClient(self.folder)
        self.index = ConfidenceIndex(client, encoder)

    # what is there

    @invariant()
    def items_are_as_they_should_be(self) -> None:
        index, items = self.index, self.items
        assert len(index) == len(items)
        assert index.labels_of(IDS) == {one: item.label for one, item in items.items()}
        counts = Counter(item.label for item in items.values() if item.label is not None)
        listed = index.labels()
        assert sorted(listed) == sorted(counts)
        assert [counts[label] for label in listed] == sorted(counts.values(), reverse=True)
        info = index.info()
        assert (info.points, info.labelled) == (len(items), sum(counts.values()))
        assert info.corrected == sum(item.corrected for item in items.values())
        if not items:
            with pytest.raises(EmptyIndexError):
                index.search("my card")
            return
        hits = index.search("my card", rank_by="base", limit=100).hits
        found = {hit.id: (hit.text, hit.label, hit.payload) for hit in hits}
        assert len(hits) == len(found)
        assert found == {one: (item.text, item.label, item.payload) for one, item in items.items()}

    @invariant()
    def what_stands_is_what_was_decided_and_not_taken_back(self) -> None:
        standing = self.index.decisions(standing=True)
        assert [entry.number for entry in standing] == sorted(self.standing)
        assert [(entry.id, entry.action) for entry in self.index.decisions()] == self.log
        for entry in standing:
            made = self.made[entry.number]
            assert (entry.id, entry.action, entry.before) == (made.item, made.action, made.before.label)

    @invariant()
    def what_nobody_decided_about_is_listed(self) -> None:
        if not self.items:
            return
        undecided = {one for one, item in self.items.items() if item.mark is None}
        unsure = {
            one for one, item in self.items.items() if item.mark is not None and self.made[item.mark].action == "unsure"
        }
        for kind, wanted in (("ambiguous", undecided), ("unsure", unsure)):
            listed = self.index.review(kind=kind, limit=100)
            assert len(listed) == len(wanted)
            assert {item.id for item in listed} == wanted
            confidences = [item.confidence for item in listed]
            assert confidences == sorted(confidences)


def _is_as_left(now: Known, left: Known) -> bool:
    return (now.label, now.mark) == (left.label, left.mark)


@pytest.fixture(scope="module")
def encoders(tiny_model, corpus, encoder) -> list[FeatureGroupEncoder]:
    texts, given = corpus
    sizes = {"groups": 2, "codes": 3, "hidden": 8, "steps": 10}
    return [encoder, *(FeatureGroupEncoder(tiny_model).fit(texts, labels=given, **sizes, seed=seed) for seed in (1, 2))]


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_an_index_is_what_a_dictionary_says(kind, encoders, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(FeatureGroupEncoder, "fit", partialmethod(FeatureGroupEncoder.fit, steps=3))
    run_state_machine_as_test(
        lambda: Machine(encoders, lambda: tmp_path_factory.mktemp("machine") / "new", kind),
        settings=settings(max_examples=examples(12), stateful_step_count=20),
    )
