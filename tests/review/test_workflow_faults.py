"""The log of decisions stays usable and undoes nothing that came later, whatever else happens to the items."""

import asyncio
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from index_fixtures import without_history

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, IndexSettings
from fg_search.engine.adapter import Adapter
from fg_search.errors import DecisionConflictError, EncoderNotFoundError, NothingToUndoError, StorageError


@pytest.fixture
def full(local, rows):
    local.add(**rows)
    return local


def label_of(index, user_id, points_of):
    return points_of(index)[user_id].payload["fg"].get("label")


def works(index):
    """Whether a decision can be logged, undone and read."""
    made = index.decide("d40", "keep")
    return index.undo().undoes == made.number and index.decisions(item_id="d40")[-1].action == "undo"


def interrupt(index, monkeypatch, method, act, *, after=False):
    """Interrupt an action at a request to the engine, before or after it was carried out."""
    carry_out = getattr(Adapter, method)

    async def stop(self, *arguments, **options):
        if after:
            await carry_out(self, *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Adapter, method, stop)
        with pytest.raises(KeyboardInterrupt):
            act(index)


# nothing wrong is logged


WRONG = [
    (("d1", "label", ""), ValueError, "label is empty"),
    (("d1", "label", " \x1c"), ValueError, "label is empty"),
    (("d1", "label", 5.5), TypeError, "label is float"),
    (("d1", "label", True), TypeError, "label is bool"),
    (("d1", "label", "\ud800"), ValueError, "half a character"),
    ((True, "keep"), TypeError, "an id must be"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_a_label_that_is_none_is_refused_before_it_is_logged(in_memory, arguments, error, message):
    with pytest.raises(error, match=message):
        in_memory.decide(*arguments)
    assert in_memory.decisions() == []


def test_the_log_works_after_what_was_refused(full):
    for arguments, error, _ in WRONG:
        with pytest.raises(error):
            full.decide(*arguments)
        assert full.decisions() == []
    assert works(full)


def test_a_reviewer_has_a_name(full):
    wrong = ("", None, 5, "\ud800")
    for reviewer in wrong:
        with pytest.raises((ValueError, TypeError), match="reviewer"):
            full.decide("d1", "keep", reviewer=reviewer)
    made = full.decide("d1", "keep")
    for reviewer in wrong:
        with pytest.raises((ValueError, TypeError), match="reviewer"):
            full.undo(reviewer=reviewer)
    assert full.decisions() == [made]


# undo takes back nothing but the decision


@pytest.mark.parametrize(("action", "label"), [("label", "food"), ("keep", None), ("unsure", None)])
def test_a_decision_about_an_item_that_is_gone_is_not_undone(full, action, label):
    made = full.decide("d1", action, label)
    full.delete(["d1"])
    with pytest.raises(DecisionConflictError, match="the item is gone"):
        full.undo()
    assert full.decisions() == [made]
    assert works(full)


def test_a_newer_label_is_not_overwritten(full, points_of):
    other = full.decide("d0", "label", "loan")
    full.decide("d1", "label", "food")
    full.relabel({"d1": "travel"})
    with pytest.raises(DecisionConflictError, match="'travel' by now, not 'food'"):
        full.undo()
    assert label_of(full, "d1", points_of) == "travel"
    assert full.undo(other.number).after == "card"  # earlier decisions can still be undone
    assert label_of(full, "d0", points_of) == "card"


def test_an_item_that_was_added_again_is_not_overwritten(full, points_of):
    full.decide("d1", "delete")
    full.add(["pizza oven"], ids=["d1"], labels=["food"])
    with pytest.raises(DecisionConflictError, match="this id again"):
        full.undo()
    assert points_of(full)["d1"].payload["fg"]["text"] == "pizza oven"


def test_an_item_with_another_text_by_now_is_not_relabelled(full, points_of):
    full.decide("d1", "label", "food")
    full.add(["pizza oven"], ids=["d1"], labels=["food"])
    with pytest.raises(DecisionConflictError, match="replaced"):
        full.undo()
    assert label_of(full, "d1", points_of) == "food"


def test_a_query_that_is_an_item_no_more(full):
    full.log_queries("all")
    full.search("zebra crossing")
    (query,) = full.logged_queries(only_open=False)
    full.decide_queries([query.id], "add", "zoo")
    full.decide(query.id, "label", "animals")
    full.decide_queries([query.id], "reopen")
    with pytest.raises(DecisionConflictError, match="gone"):
        full.undo()
    assert works(full)


def test_a_deletion_is_undone_in_a_copy_without_base_vectors(full, tmp_path, points_of):
    full.decide("d1", "delete")
    settings = IndexSettings(base_vectors="none")
    full.copy_to(tmp_path / "copy", settings=settings)
    with ConfidenceIndex(tmp_path / "copy") as copied:
        assert copied.undo().action == "undo"
        assert sorted(points_of(copied)["d1"].vector) == ["features"]
        assert works(copied)


def test_an_undo_that_needs_an_encoder_that_is_lost_is_not_logged(full, other_encoder):
    made = full.decide("d1", "delete")
    full.migrate(other_encoder)
    lost = ConfidenceIndex(full.client)
    with pytest.raises(EncoderNotFoundError):
        lost.undo()
    assert lost.decisions() == [replace(made, point=None)]
    full.undo()
    assert len(full) == 48


# a decision by its number


def test_undo_of_a_certain_decision(full, points_of):
    first = full.decide("d1", "label", "food")
    second = full.decide("d1", "label", "travel")
    full.decide("d2", "keep")
    with pytest.raises(DecisionConflictError, match="a later decision"):
        full.undo(first.number)
    assert full.undo(second.number).undoes == second.number
    with pytest.raises(DecisionConflictError, match="taken back already"):
        full.undo(second.number)
    assert full.undo(first.number).undoes == first.number
    assert label_of(full, "d1", points_of) == "card"
    assert [entry.id for entry in full.decisions(standing=True)] == ["d2"]


def test_undo_of_a_decision_that_there_is_not(full):
    made = full.decide("d1", "keep")
    for number in (0, 1, 2**63, 2**80):
        with pytest.raises(NothingToUndoError, match=f"no decision {number}"):
            full.undo(number)
    with pytest.raises(NothingToUndoError):
        full.undo(full.undo(made.number).number)  # an undo cannot be undone


def test_what_was_seen_is_what_is_decided_about(full, points_of):
    first = full.decide("d1", "keep", latest=0)
    with pytest.raises(DecisionConflictError, match="anonymous decided about 'd1' meanwhile: keep"):
        full.decide("d1", "keep", latest=0)
    undone = full.undo()
    with pytest.raises(DecisionConflictError, match="took back"):
        full.decide("d1", "delete", latest=first.number)
    assert full.decide("d1", "delete", latest=undone.number).action == "delete"
    with pytest.raises(DecisionConflictError, match="delete"):
        full.decide("d1", "delete", latest=undone.number)  # sent twice
    full.client.set_payload(
        full.collection, {"review": {"suggested": "loan"}}, points=[points_of(full)["d2"].id], key="fg"
    )
    with pytest.raises(DecisionConflictError, match="'food' is no longer suggested, 'loan' is"):
        full.decide("d2", "accept", suggested="food")
    with pytest.raises(ValueError, match="takes no suggested label"):
        full.decide("d2", "keep", suggested="loan")
    assert full.decide("d2", "accept", suggested="loan").after == "loan"


def test_the_log_is_read_in_parts(full):
    made = [full.decide(f"d{i % 3}", "keep") for i in range(7)]
    undone = full.undo()
    everything = [*made, undone]
    assert full.decisions() == everything
    assert full.decisions(limit=3) == everything[-3:]
    assert full.decisions(item_id="d1") == [made[1], made[4]]
    assert full.decisions(item_id="d0", standing=True) == [made[0], made[3]]
    assert full.decisions(standing=True, limit=2) == made[4:6]
    now = datetime.now(timezone.utc)
    assert full.decisions(since=now - timedelta(hours=1)) == everything
    assert full.decisions(since=now + timedelta(hours=1)) == []
    with pytest.raises(ValueError, match="limit"):
        full.decisions(limit=0)


def test_clocks_that_stand_still_or_are_set_back_lose_no_decision(full, monkeypatch):
    times = iter([5_000_000, 5_000_000, 5_000_000, 3_000_000])
    monkeypatch.setattr("fg_search.index.decision_log.time.time_ns", lambda: next(times))
    made = [full.decide(f"d{i}", "keep").number for i in range(4)]
    assert made == sorted(set(made))
    assert [entry.id for entry in full.decisions()] == ["d0", "d1", "d2", "d3"]


# what was interrupted


def test_a_decision_is_there_with_its_entry_or_not_at_all(full, monkeypatch, points_of):
    def decide(index):
        index.decide("d1", "label", "food")

    interrupt(full, monkeypatch, "batch_update_points", decide)
    assert (full.decisions(), label_of(full, "d1", points_of)) == ([], "card")
    interrupt(full, monkeypatch, "batch_update_points", decide, after=True)
    assert [entry.after for entry in full.decisions()] == [label_of(full, "d1", points_of)] == ["food"]
    full.undo()
    assert label_of(full, "d1", points_of) == "card"


def test_an_undo_is_there_with_its_entry_or_not_at_all(full, monkeypatch, points_of):
    made = full.decide("d1", "label", "food")
    assert full.decisions() == [made]  # in the log, so that undo writes to the item alone
    interrupt(full, monkeypatch, "batch_update_points", lambda index: index.undo())
    assert label_of(full, "d1", points_of) == "food"
    interrupt(full, monkeypatch, "batch_update_points", lambda index: index.undo(), after=True)
    assert label_of(full, "d1", points_of) == "card"
    assert [entry.undoes for entry in full.decisions()] == [None, made.number]
    with pytest.raises(NothingToUndoError):
        full.undo()


def delete(index):
    return index.decide("d1", "delete")


def test_a_deletion_that_was_logged_and_interrupted_is_carried_out_later(full, monkeypatch, points_of):
    interrupt(full, monkeypatch, "delete", delete)
    assert "d1" in points_of(full)
    (entry,) = full.decisions()
    assert (entry.action, entry.failed) == ("delete", None)
    assert "d1" not in points_of(full)
    full.undo()
    assert label_of(full, "d1", points_of) == "card"


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.add(["pizza oven"], ids=["d1"], labels=["food"]),
        lambda index: index.relabel({"d1": "food"}),
        lambda index: index.decide("d1", "label", "food"),
    ],
)
def test_an_interrupted_deletion_does_not_delete_what_was_changed_since(full, monkeypatch, points_of, change):
    interrupt(full, monkeypatch, "delete", delete)
    change(full)
    assert "changed the item" in full.decisions()[0].failed
    assert label_of(full, "d1", points_of) == "food"
    assert works(full)


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_undo_of_a_deletion_brings_the_item_back_once(full, monkeypatch, points_of, after):
    whole = points_of(full)["d1"].payload
    made = full.decide("d1", "delete")
    interrupt(full, monkeypatch, "upsert", lambda index: index.undo(), after=after)
    if not after:
        assert full.decisions(standing=True) == [replace(made, point=None)]
        full.undo()
    assert [entry.action for entry in full.decisions()] == ["delete", "undo"]
    assert full.decisions(standing=True) == []
    assert without_history(points_of(full)["d1"].payload) == whole


def test_a_server_that_stumbles_while_one_decides(fake_server, encoder, rows, points_of, clock):
    with ConfidenceIndex(fake_server.url, encoder) as index:
        index.add(**rows)
        fake_server.fail("POST .*/points/batch", *[503] * 99)
        with pytest.raises(StorageError):
            index.decide("d1", "label", "food")
        fake_server.forget_failures()
        assert (index.decisions(), label_of(index, "d1", points_of)) == ([], "card")
        index.decide("d1", "label", "food")
        fake_server.fail("POST .*/points/batch", 503)
        assert index.decide("d2", "delete").failed is None
        assert [entry.id for entry in index.decisions(standing=True)] == ["d1", "d2"]
        assert label_of(index, "d1", points_of) == "food"
        index.undo()
        index.undo()
        assert label_of(index, "d1", points_of) == label_of(index, "d2", points_of) == "card"
        assert index.decisions(limit=1)[0].action == "undo"


DECIDER = """
import sys
from fg_search import ConfidenceIndex
with ConfidenceIndex(sys.argv[1]) as index:
    for i in range(1_000_000):
        item = f"d{i % 48}"
        made = index.decide(item, "label", f"label {i}") if i % 3 else index.decide(item, "delete")
        print(made.number, flush=True)
        if i % 3 != 1:
            print(index.undo().number, flush=True)
"""


@pytest.mark.parametrize("after", [20, 31, 44])
def test_a_killed_process_loses_no_decision_and_none_is_done_by_half(
    tmp_path, encoder, rows, points_of, programs, after
):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
    process = programs.start(DECIDER, tmp_path / "i")
    acknowledged = set()
    for line in process.stdout:
        acknowledged.add(int(line))
        if len(acknowledged) == after:
            process.kill()
            break
    acknowledged |= set(map(int, re.findall(r"\d+\n", process.stdout.read())))  # printed before the signal came
    assert process.wait() == -signal.SIGKILL
    with ConfidenceIndex(tmp_path / "i") as index:
        log = index.decisions()
        assert acknowledged <= {entry.number for entry in log}
        assert all(entry.failed is None for entry in log)
        undone = {entry.undoes for entry in log}
        standing = [entry for entry in log if entry.action != "undo" and entry.number not in undone]
        assert index.decisions(standing=True) == standing
        expected = dict(zip(rows["ids"], rows["labels"], strict=True))
        expected |= {entry.id: entry.after for entry in standing}
        deleted = {entry.id for entry in standing if entry.action == "delete"}
        found = {user_id: point.payload["fg"]["label"] for user_id, point in points_of(index).items()}
        assert found == {user_id: label for user_id, label in expected.items() if user_id not in deleted}
        while index.decisions(standing=True, limit=1):
            index.undo()
        found = {user_id: point.payload["fg"]["label"] for user_id, point in points_of(index).items()}
        assert found == dict(zip(rows["ids"], rows["labels"], strict=True))


# several at once


def test_threads_that_decide_and_undo_do_so_one_after_the_other(full, points_of):
    def work(_):
        for _ in range(5):
            full.decide("d1", "label", "food")
            full.undo()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    log = full.decisions()
    undone = [entry.undoes for entry in log if entry.undoes is not None]
    assert (len(log), len(undone), len(set(undone))) == (40, 20, 20)
    assert full.decisions(standing=True) == []
    assert label_of(full, "d1", points_of) == "card"


def test_tasks_that_decide_and_undo_do_so_one_after_the_other(tmp_path, encoder, rows):
    async def work():
        async with AsyncConfidenceIndex(tmp_path / "i", encoder) as index:
            await index.add(**rows)

            async def one():
                return await index.decide("d1", "label", "food"), await index.undo()

            pairs = await asyncio.gather(*(one() for _ in range(8)))
            log = await index.decisions()
            assert len({entry.number for pair in pairs for entry in pair}) == len(log) == 16
            assert await index.decisions(standing=True) == []
            with pytest.raises(DecisionConflictError):
                await index.undo(pairs[0][0].number)

    asyncio.run(work())


# cost


def test_entries_are_neither_read_as_a_whole_nor_with_deleted_points(full, monkeypatch):
    made = full.decide("d1", "delete")
    for i in range(2, 10):
        full.decide(f"d{i}", "keep")
    read = []
    scroll = type(full.client).scroll

    def watch(self, collection, **options):
        records, offset = scroll(self, collection, **options)
        if collection.endswith(".decisions"):
            read.extend(record.payload for record in records)
        return records, offset

    monkeypatch.setattr(type(full.client), "scroll", watch)
    full.decide("d11", "keep", latest=0)
    full.undo()
    full.decisions(limit=2)
    full.undo(made.number)
    assert len(read) <= 12
    assert len([payload for payload in read if payload.get("point")]) == 1  # to bring it back
    assert len(full) == 48
