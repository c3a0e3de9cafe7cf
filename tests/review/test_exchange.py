"""Two copies of an index, on a device and on a server, both of which people work on."""

import json
from uuid import NAMESPACE_URL, uuid5

import pytest
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex
from fg_search.errors import IndexNotFoundError, ServerError
from fg_search.ids import point_id
from fg_search.layout.history import History
from fg_search.review import deletions, giving
from fg_search.review.exchange_reports import PullReport, PushReport
from fg_search.review.lineage import order_of


@pytest.fixture
def client():
    new = QdrantClient(":memory:")
    yield new
    new.close()


@pytest.fixture
def server(client, encoder, corpus):
    texts, labels = corpus
    with ConfidenceIndex(client, encoder) as index:
        index.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
        yield index


@pytest.fixture
def device(server, client, tmp_path, encoder):
    """A copy of it in a folder."""
    server.copy_to(tmp_path / "device")
    with ConfidenceIndex(tmp_path / "device", encoder) as index:
        yield index


@pytest.fixture
def twin(server, client, encoder):
    """A copy of it in memory, which is made sooner."""
    server.copy_to(client, collection="twin")
    with ConfidenceIndex(client, encoder, collection="twin") as index:
        yield index


def items(index):
    """Label, user's label and decision of every item."""
    records, _ = index.client.scroll(index.collection, limit=1000)
    return {
        record.payload["fg"]["id"]: (
            record.payload["fg"].get("label"),
            record.payload["fg"].get("given_label"),
            (record.payload["fg"].get("reviewed") or {}).get("action"),
        )
        for record in records
    }


def log(index):
    return [(entry.number, entry.id, entry.action, entry.reviewer) for entry in index.decisions(limit=100)]


def test_what_is_new_and_newer_is_taken(server, device, client, questions):
    server.add(["a card in the pizza"], ids=["new"], labels=["food"], payloads=[{"n": 1}])
    server.add(["my other text"], ids=["d1"], labels=["loan"])
    server.relabel({"d0": "loan"})
    server.decide("d2", "label", "food", reviewer="Ada")
    server.calibrate(*questions(200, 3))
    report = device.pull(client)
    assert (report.points, report.written, report.removed, report.conflicts) == (49, 4, 0, ())
    assert items(device) == items(server)
    assert log(device) == log(server)
    assert device.calibration.key == server.calibration.key
    assert device.search("a card in the pizza").hits[0].payload == {"n": 1}
    assert device.pull(client).written == 0
    assert "0 of 49 items were newer" in str(device.pull(client))


def test_what_people_decided_is_given(server, device, client, encoded):
    device.decide("d0", "label", "food", reviewer="Bo")
    device.decide("d1", "keep", reviewer="Bo")
    device.decide("d2", "label", "loan", reviewer="Bo")
    device.undo(reviewer="Bo")
    device.decide("d3", "delete", reviewer="Bo")
    device.relabel({"d4": "loan"})
    report = device.push(client)
    assert (report.items, report.deleted, report.conflicts) == (4, 1, ())
    assert items(server) == items(device)
    assert "d3" not in items(server)
    assert log(server) == log(device)
    assert device.push(client) == PushReport(0, 0)
    encoded.clear()
    assert server.undo(log(server)[-1][0], reviewer="Cy").id == "d3"  # what was deleted is brought back there
    assert encoded == []
    assert device.pull(client).written == 1
    assert items(device) == items(server)


def test_what_both_decided_stays_and_is_named(server, device, client):
    server.decide("d0", "label", "loan", reviewer="Ada")
    device.decide("d0", "label", "food", reviewer="Bo")
    server.decide("d1", "keep", reviewer="Ada")
    device.decide("d1", "delete", reviewer="Bo")
    device.decide("d2", "keep", reviewer="Bo")
    before = items(server), items(device)
    pulled = device.pull(client)
    assert {(one.id, one.here, one.there) for one in pulled.conflicts} == {("d0", "food", "loan"), ("d1", None, "card")}
    assert (pulled.ahead, pulled.written) == (1, 0)
    pushed = device.push(client)
    assert [one.id for one in pushed.conflicts] == ["d0", "d1"]
    assert "2 were left as they are in both, as people decided otherwise there: 'd0', 'd1'" in str(pushed)
    assert items(server) == {**before[0], "d2": before[1]["d2"]}
    assert items(device)["d0"] == before[1]["d0"]


def test_what_was_deleted_there_and_decided_about_here_is_named_each_time(server, device, client):
    server.decide("d0", "delete", reviewer="Ada")
    device.decide("d0", "label", "food", reviewer="Bo")
    for remove_extra in (False, True):
        (conflict,) = device.pull(client, remove_extra=remove_extra).conflicts
        assert (conflict.id, conflict.here, conflict.there) == ("d0", "food", None)
        assert conflict.reason == "it was deleted there, and people decided about it here"
    assert items(device)["d0"][0] == "food"
    device.delete(["d0"])
    assert device.pull(client).conflicts == ()
    assert [entry[1:] for entry in log(device)] == [("d0", "label", "Bo"), ("d0", "delete", "Ada")][::-1]


def test_a_conflict_is_over_once_the_item_is_removed_here_and_pulled(server, device, client):
    server.decide("d0", "label", "loan", reviewer="Ada")
    number = device.decide("d0", "label", "food", reviewer="Bo").number
    assert len(device.pull(client).conflicts) == 1
    device.undo(number, reviewer="Bo")  # what was decided there, and not taken, is not in the way
    assert [one.here for one in device.pull(client).conflicts] == ["card"]
    server.decide("d0", "label", "food", reviewer="Ada")
    assert len(device.pull(client).conflicts) == 1
    device.delete(["d0"])
    assert device.pull(client) == PullReport(48, 1, 0, 0, 0)
    assert items(device) == items(server)
    assert {entry[3] for entry in log(device)} == {"Ada", "Bo"}
    assert (device.push(client).conflicts, device.pull(client).conflicts) == ((), ())
    assert log(server) == log(device)


def test_a_decision_there_in_the_same_moment_wins(server, device, client, monkeypatch):
    device.decide("d0", "label", "food", reviewer="Bo")
    change = giving.change_item

    async def late(*given):
        server.decide("d0", "label", "loan", reviewer="Ada")
        return await change(*given)

    monkeypatch.setattr(giving, "change_item", late)
    (conflict,) = device.push(client).conflicts
    assert conflict.id == "d0"
    assert items(server)["d0"][0] == "loan"


def test_what_was_deleted_by_a_decision_goes_and_what_is_here_alone_stays(server, device, client):
    server.decide("d0", "delete", reviewer="Ada")
    server.delete(["d1", "d2"])
    device.add(["a card of mine"], ids=["mine"], labels=["card"])
    device.decide("d2", "keep", reviewer="Bo")
    report = device.pull(client)
    assert (report.removed, report.only_here) == (1, 3)
    assert {"d1", "d2", "mine"} <= items(device).keys()
    assert "d0" not in items(device)
    report = device.pull(client, remove_extra=True)
    assert (report.removed, report.only_here) == (2, 1)
    assert items(device).keys() - items(server).keys() == {"d2"}  # somebody decided about it here
    (conflict,) = device.push(client).conflicts
    assert (conflict.id, conflict.reason) == ("d2", "people decided about it here, and it is not there")


def test_what_add_has_changed_here_is_no_decision(server, device, client):
    server.decide("d1", "label", "food", reviewer="Ada")
    device.pull(client)
    server.decide("d2", "label", "food", reviewer="Ada")
    before = items(server)
    device.add(["my other text"] * 3, ids=["d0", "d1", "d2"], labels=["loan"] * 3)
    for text in ("my pizza", "my loan"):
        device.add([text], ids=["mine"])  # twice, so that it has a history
    assert device.push(client) == PushReport(0, 0)
    assert items(server) == before
    report = device.pull(client)
    assert (report.written, report.ahead, report.only_here, report.conflicts) == (3, 0, 1, ())
    assert {**items(server), "mine": (None, None, None)} == items(device)
    assert {item.text for item in device.items(["d0", "d1", "d2"])}.isdisjoint({"my other text"})


def test_items_are_compared_whatever_their_ids(server, device, client):
    ids = [0, 7, 2**40, "name", *(str(uuid5(NAMESPACE_URL, str(i))) for i in range(5))]
    for index, own, other in ((server, ids, "there"), (device, reversed(ids), "here")):
        chosen = [one for i, one in enumerate(own) if i % 3]
        index.add([f"my card {one}" for one in chosen], ids=chosen, payloads=[{"from": other}] * len(chosen))
    report = device.pull(client)
    here, there = set(items(device)), set(items(server))
    assert (report.written, report.only_here, report.points) == (6, len(here - there), len(there))
    assert there < here == {f"d{i}" for i in range(48)} | set(ids)
    assert device.pull(client, remove_extra=True).removed == len(here - there)
    assert items(device) == items(server)


def test_what_is_the_same_is_not_moved(server, device, client, fake_server):
    fake_server.client = client
    server.relabel({"d3": "loan"})
    client.set_payload(server.collection, {"price": 3}, [point_id("d5")])  # the digest is as it was
    assert device.pull(fake_server.url).written == 2
    asked = [json.loads(body) for body in fake_server.bodies if body]
    assert [len(one["ids"]) for one in asked if one.get("with_vector")] == [2]
    assert fake_server.counted("POST .*/points/scroll") == sum(b"fg.text" in body for body in fake_server.bodies) == 1
    assert {hit.id for hit in device.search("my card", limit=48).hits if "price" in hit.payload} == {"d5"}


def test_a_key_that_may_only_read_is_enough_to_pull(server, device, client, fake_server):
    fake_server.client, fake_server.keys = client, {"reader": False}
    server.decide("d2", "label", "food", reviewer="Ada")  # its entry is in the item, and nobody there moves it
    assert device.pull(fake_server.url, api_key="reader").written == 1
    assert device.pull(fake_server.url, api_key="reader").written == 0
    assert [entry.id for entry in device.decisions()] == ["d2"]
    assert (device.pull(client).written, log(device)) == (0, log(server))
    device.decide("d4", "keep", reviewer="Bo")
    with pytest.raises(ServerError, match="Forbidden"):
        device.push(fake_server.url, api_key="reader")


def test_another_copy_has_to_be_there(device, client):
    for call in (device.pull, device.push):
        with pytest.raises(IndexNotFoundError):
            call(client, collection="nothing")


@pytest.mark.parametrize("writers", [0, 3, 20])
def test_histories_are_compared_by_their_tokens(writers):
    history = History()
    for i in range(writers):
        history = history.changed(f"common{i}")
    here, there = history.changed("here"), history.changed("there")
    assert order_of(history, history) == "same"
    assert order_of(here, history) == "ahead"
    assert order_of(history, here) == "behind"
    assert order_of(here, there) == "apart"
    assert order_of(here.changed("more"), there) == "apart"
    assert order_of(here.changed("more"), here) == "ahead"


SETTLED = {  # what is done there and here, and the label and decision of the item once one of them is chosen
    "both labelled it": (("label", "loan"), ("label", "food"), ("loan", "food")),
    "it was deleted there": (("delete",), ("label", "food"), (None, "food")),
    "it was deleted here": (("label", "loan"), ("delete",), ("loan", None)),
}


@pytest.mark.parametrize("call", ["pull", "push"])
@pytest.mark.parametrize("name", SETTLED)
def test_one_call_ends_a_conflict(server, twin, client, call, name):
    there, here, labels = SETTLED[name]
    server.decide("d0", *there, reviewer="Ada")
    twin.decide("d0", *here, reviewer="Bo")
    assert (
        [one.id for one in twin.pull(client, collection=server.collection).conflicts]
        == [one.id for one in twin.push(client, collection=server.collection).conflicts]
        == ["d0"]
    )
    chosen = getattr(twin, call)(client, collection=server.collection, overwrite=["d0"], reviewer="Cy")
    assert chosen.conflicts == ()
    assert (
        twin.push(client, collection=server.collection).conflicts,
        twin.pull(client, collection=server.collection).conflicts,
    ) == ((), ())
    label = labels[call == "push"]
    assert items(server) == items(twin)
    assert items(server).get("d0", [None])[0] == label
    assert log(server) == log(twin)
    assert sorted(entry[2:] for entry in log(server)) == sorted([(there[0], "Ada"), (here[0], "Bo"), ("undo", "Cy")])
    kept = server.decisions(standing=True)
    assert [entry.reviewer for entry in kept] == ["Bo" if call == "push" else "Ada"]
    latest = twin.decisions(item_id="d0", limit=1)[0].number
    if label is not None:  # whoever saw the log on the page may go on
        twin.decide("d0", "keep", reviewer="Bo", latest=latest)
        assert twin.push(client, collection=server.collection).items == 1
    else:
        assert server.undo(kept[0].number, reviewer="Cy").id == "d0"
        assert (twin.pull(client, collection=server.collection).written, items(twin)) == (1, items(server))


def test_a_deletion_that_is_not_pushed_yet_is_not_undone_by_pull(server, twin, client):
    twin.decide("d0", "delete", reviewer="Bo")
    report = twin.pull(client, collection=server.collection)
    assert (report.written, report.ahead, "d0" in items(twin)) == (0, 1, False)
    assert twin.push(client, collection=server.collection).deleted == 1
    assert "d0" not in items(server)


@pytest.mark.parametrize("deletes", ["device", "server"])
def test_an_undo_of_a_deletion_that_the_other_knows_travels(server, twin, client, encoded, deletes):
    twin.decide("d0", "label", "food", reviewer="Bo")
    {"device": twin, "server": server}[deletes].decide("d0", "delete", reviewer="Bo")
    if deletes == "server":
        twin.pull(client, collection=server.collection, overwrite=["d0"])
    twin.push(client, collection=server.collection)
    assert "d0" not in items(server)
    twin.undo(twin.decisions(standing=True)[-1].number, reviewer="Bo")
    assert (twin.pull(client, collection=server.collection).ahead, "d0" in items(server)) == (1, False)
    encoded.clear()
    assert twin.push(client, collection=server.collection) == PushReport(1, 0)
    assert (encoded, items(server), log(server)) == ([], items(twin), log(twin))
    assert server.search("my card", limit=48).hits[0].score == twin.search("my card", limit=48).hits[0].score
    assert (
        twin.push(client, collection=server.collection),
        twin.pull(client, collection=server.collection).written,
    ) == (PushReport(0, 0), 0)


def test_what_was_deleted_in_both_is_deleted_once(server, twin, client):
    for index, name in ((server, "Ada"), (twin, "Bo")):
        index.decide("d0", "delete", reviewer=name)
    assert twin.push(client, collection=server.collection) == PushReport(0, 0)
    twin.pull(client, collection=server.collection)
    (standing,) = twin.decisions(standing=True)
    twin.undo(standing.number, reviewer="Bo")
    assert twin.push(client, collection=server.collection).items == 1
    assert (server.decisions(standing=True), items(server)) == ([], items(twin))


def test_what_is_not_there_is_given_if_it_is_chosen(server, twin, client):
    twin.add(["a card of mine"], ids=["mine"], labels=["card"])
    twin.decide("mine", "label", "loan", reviewer="Bo")
    (conflict,) = twin.push(client, collection=server.collection).conflicts
    assert (conflict.id, conflict.reason) == ("mine", "people decided about it here, and it is not there")
    assert twin.push(client, collection=server.collection, overwrite=["mine"]) == PushReport(1, 0)
    assert server.search("a card of mine").hits[0].id == "mine"
    assert items(server) == items(twin)


def test_a_label_is_not_given_to_another_text(server, twin, client):
    twin.add(["my other text", "my other text"], ids=["d0", "d1"], labels=["card", "card"])
    twin.relabel({"d0": "food"})
    twin.decide("d1", "delete")
    before = items(server)
    reasons = {one.id: one.reason for one in twin.push(client, collection=server.collection).conflicts}
    assert reasons == {
        "d0": "people decided about it here, where it was added with another text",
        "d1": "it was deleted here, and added with other content there",
    }
    assert items(server) == before
    assert twin.push(client, collection=server.collection, overwrite=["d0", "d1"]) == PushReport(1, 1)
    assert server.items(["d0"])[0].text == "my other text"


def test_decisions_are_given_to_a_copy_with_another_encoder(server, twin, client, other_encoder):
    server.migrate(other_encoder)
    twin.decide("d0", "label", "food", reviewer="Bo")
    twin.decide("d1", "delete", reviewer="Bo")
    assert twin.push(client, collection=server.collection) == PushReport(1, 1)
    assert (items(server), log(server)) == (items(twin), log(twin))
    twin.undo(reviewer="Bo")
    (conflict,) = twin.push(client, collection=server.collection).conflicts
    assert (conflict.id, conflict.reason) == ("d1", "its vectors here are another encoder's: add it there")


def test_an_interrupted_deletion_is_carried_out(server, twin, client, monkeypatch):
    twin.decide("d0", "delete", reviewer="Bo")
    twin.decide("d1", "delete", reviewer="Bo")
    append = deletions.append_waiting

    async def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(deletions, "append_waiting", dies)  # the item there is marked, and nothing is logged
    with pytest.raises(KeyboardInterrupt):
        twin.push(client, collection=server.collection)
    monkeypatch.setattr(deletions, "append_waiting", append)
    monkeypatch.setattr(giving, "delete_item", dies)  # it is logged, and not carried out
    with pytest.raises(KeyboardInterrupt):
        twin.push(client, collection=server.collection)
    monkeypatch.undo()
    report = twin.push(client, collection=server.collection)
    assert (report.deleted, report.conflicts) == (1, ())
    assert (items(server), log(server)) == (items(twin), log(twin))


def test_an_empty_index_is_filled_and_gives_nothing(server, client, tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "empty", encoder) as empty:
        assert empty.push(client) == PushReport(0, 0)
        assert empty.pull(client).written == 48
        assert items(empty) == items(server)
