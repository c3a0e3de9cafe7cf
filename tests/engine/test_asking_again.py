"""A server that is busy or out of reach is asked again for a time, by every method."""

import logging
import threading

import httpx
import pytest
from fake_server import hang_up
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException

from fg_search import ConfidenceIndex
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.engine.connection import connect
from fg_search.errors import ServerError, StorageError

POINTS = [models.PointStruct(id=i, vector=[float(i), 1.0], payload={"n": i}) for i in range(3)]
PUT_POINTS = "PUT /collections/c/points$"


async def write(engine):
    await engine.upsert("c", POINTS)
    return await engine.count("c")


def create(name):
    return lambda engine: engine.create_collection(
        name, vectors_config={"v": models.VectorParams(size=2, distance="Dot")}, sparse_vectors_config={}
    )


def alias(*operations):
    return lambda engine: engine.update_collection_aliases(operations)


def point_to(collection, name):
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=name))


def rename(old, new):
    return models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name=old, new_alias_name=new))


def forget(name):
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))


@pytest.mark.parametrize("failure", [408, 429, 500, 502, 503, 504, hang_up])
def test_a_busy_server_is_asked_again_until_it_answers(runner, server, clock, failure):
    server.fail(PUT_POINTS, *[failure] * 9)
    assert runner(write) == 3
    assert server.counted(PUT_POINTS) == 10
    assert all(0.1 <= pause <= 5 for pause in clock.pauses)


def test_the_pauses_grow_to_a_few_seconds(runner, server, clock, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)  # the longest that chance allows
    server.fail(PUT_POINTS, *[503] * 7)
    runner(write)
    assert clock.pauses == [0.25, 0.5, 1, 2, 4, 5, 5]


def test_a_server_that_stays_busy_is_asked_for_the_time_that_was_given(server, clock):
    server.fail(PUT_POINTS, *[503] * 999)
    for seconds in (0, 7, 60):
        asked, begin = server.counted(PUT_POINTS), clock.now
        engine = connect(server.url, retry_for=seconds)
        with pytest.raises(StorageError, match="What was acknowledged before is kept, so run it again"):
            drive(write(engine))
        assert clock.now - begin == pytest.approx(seconds, abs=0.2)
        assert (server.counted(PUT_POINTS) - asked == 1) == (seconds == 0)
        engine.close()


@pytest.mark.parametrize("wrong", [-1, "soon", float("nan"), True])
def test_a_time_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="retry_for must be a number of seconds"):
        connect(":memory:", retry_for=wrong)


def test_the_time_comes_from_the_environment(server, clock, monkeypatch):
    monkeypatch.setenv("FG_SEARCH_RETRY_FOR", "11")
    server.fail("GET /collections$", *[503] * 999)
    begin = clock.now
    with pytest.raises(StorageError, match="503"):
        connect(server.url)
    assert clock.now - begin == pytest.approx(11, abs=0.2)
    monkeypatch.setenv("FG_SEARCH_RETRY_FOR", "long")
    with pytest.raises(ValueError, match="FG_SEARCH_RETRY_FOR"):
        connect(server.url)


def test_a_write_whose_answer_got_lost_is_repeated_and_done_once(runner, server, clock):
    server.fail(PUT_POINTS, hang_up, 503, after=True)
    assert runner(write) == 3
    assert server.counted(PUT_POINTS) == 3


def test_a_timeout_in_the_middle_of_a_write_is_repeated(runner, server, clock):
    release = threading.Event()
    server.fail(PUT_POINTS, lambda _: release.wait(10) and None)
    assert runner(write) == 3
    release.set()
    assert server.counted(PUT_POINTS) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_how_long_to_wait_is_believed(runner, server, clock, status):
    date = "Fri, 01 Jan 1999 00:00:00 GMT"  # long ago
    server.fail(PUT_POINTS, *[(status, {"Retry-After": after}) for after in ("7", "31", "0", date)])
    assert runner(write) == 3
    assert clock.pauses == [7, 31, 0.1, 0.1]


def test_a_server_that_wants_to_be_left_alone_for_longer_is_given_up_at_once(runner, server, clock):
    server.fail(PUT_POINTS, (429, {"Retry-After": "3600"}))
    with pytest.raises(StorageError, match="429"):
        runner(write)
    assert clock.pauses == []


def test_a_server_that_was_down_is_found_when_it_is_back(server, clock):
    engine = connect(server.url)
    server.stop()
    wait = clock.wait

    def come_back(seconds):
        wait(seconds)
        if len(clock.pauses) == 5:
            server.start()

    clock.wait = come_back
    assert drive(write(engine)) == 3
    assert len(clock.pauses) == 5
    engine.close()


def test_while_it_waits_it_says_so_once(server, clock, caplog):
    engine = connect(server.url)
    server.fail("POST /collections/c/points/count", 503)
    server.fail(PUT_POINTS, *[hang_up] * 9)
    with caplog.at_level(logging.WARNING, "fg_search"):
        drive(write(engine))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"the server at {server.url} does not answer, trying until ")
    engine.close()


def test_opening_waits_too(server, encoder, clock):
    for pattern in (
        "GET /collections$",
        "GET /$",
        "GET /collections/",
        "PUT /collections/",
        "POST /collections/aliases",
    ):
        server.fail(pattern, 503, hang_up)
    with ConfidenceIndex(server.url, encoder) as index:
        assert len(index) == 0
    assert len(clock.pauses) == 10


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 422, 501, 507])
def test_a_request_that_is_wrong_is_not_repeated(runner, server, clock, status):
    server.fail(PUT_POINTS, status)
    with pytest.raises(ServerError, match=str(status)) as raised:
        runner(lambda engine: engine.upsert("c", POINTS[:1]))
    assert raised.value.status == status
    assert server.counted(PUT_POINTS) == 1
    assert clock.pauses == []


def test_a_full_disk_is_no_reason_to_wait(runner, server, clock):
    def full(_):
        return (
            500,
            {},
            b'{"status": {"error": "Service internal error: No space left on device: WAL buffer size exceeds"}}',
        )

    server.fail(PUT_POINTS, full)
    with pytest.raises(ServerError, match="no room left; make some there"):
        runner(write)
    assert clock.pauses == []


def test_what_is_wrong_here_is_not_the_servers_fault():
    class Client:
        def count(self, *_, **__):
            raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        drive(BlockingEngine(Client()).count("items"))


def test_what_was_interrupted_is_not_repeated():
    class Client:
        asked = 0

        def count(self, *_, **__):
            self.asked += 1
            raise KeyboardInterrupt if self.asked == 2 else ResponseHandlingException(httpx.ConnectError("refused"))

    client = Client()
    with pytest.raises(KeyboardInterrupt):
        drive(BlockingEngine(client).count("items"))
    assert client.asked == 2


@pytest.mark.parametrize(
    ("step", "pattern"),
    [
        (lambda engine: engine.get_collections(), "GET /collections$"),
        (lambda engine: engine.count("c"), "POST /collections/c/points/count"),
        (lambda engine: engine.retrieve("c", [1]), "POST /collections/c/points$"),
        (lambda engine: engine.scroll("c", limit=1), "POST /collections/c/points/scroll"),
        (lambda engine: engine.facet("c", "n", limit=3), "POST /collections/c/facet"),
        (
            lambda engine: engine.query_batch_points("c", [models.QueryRequest(query=[1.0, 0.0], limit=1)]),
            "POST /collections/c/points/query/batch",
        ),
        (lambda engine: engine.delete("c", [1]), "POST /collections/c/points/delete"),
        (lambda engine: engine.set_payload("c", {"a": 1}, points=[1]), "POST /collections/c/points/payload$"),
        (lambda engine: engine.delete_payload("c", ["a"], points=[1]), "POST /collections/c/points/payload/delete"),
        (lambda engine: engine.get_collection("c"), "GET /collections/c"),
        (lambda engine: engine.get_aliases(), "GET /aliases"),
        (lambda engine: engine.update_collection("c", metadata={"a": 1}), "PATCH /collections/c"),
        (
            lambda engine: engine.batch_update_points(
                "c", [models.SetPayloadOperation(set_payload=models.SetPayload(payload={"a": 1}, points=[1]))]
            ),
            "POST /collections/c/points/batch",
        ),
        (lambda engine: engine.create_payload_index("c", "n", "integer"), "PUT /collections/c/index"),
        (lambda engine: engine.create_snapshot("c"), "POST /collections/c/snapshots"),
        (create("new"), "PUT /collections/new"),
        (lambda engine: engine.delete_collection("c"), "DELETE /collections/c"),
        (alias(point_to("c", "new")), "POST /collections/aliases"),
        (alias(rename("old", "new")), "POST /collections/aliases"),
        (alias(forget("old")), "POST /collections/aliases"),
        (alias(forget("old"), point_to("c", "old")), "POST /collections/aliases"),
    ],
)
@pytest.mark.parametrize("failure", [503, hang_up])
@pytest.mark.parametrize("after", [False, True], ids=["not-done", "done"])
def test_every_method_asks_again_and_takes_what_was_done_for_done(runner, server, clock, step, pattern, failure, after):
    server.client.upsert("c", POINTS)
    server.client.update_collection_aliases([point_to("c", "old")])
    server.fail(pattern, failure, failure, after=after)
    runner(step)
    assert server.counted(pattern) in (2, 3)  # where the second failure shows that it was done, nobody asks again


def test_a_collection_that_somebody_else_made_is_no_success(runner, server, clock):
    for failure in (None, 429):
        if failure:
            server.fail("PUT /collections/c", failure)
        with pytest.raises(ServerError, match="already exists") as raised:
            runner(create("c"))
        assert raised.value.status == 409


def test_an_alias_that_somebody_else_took_away_is_no_success(runner, server, clock):
    server.client.update_collection_aliases([point_to("c", "mine")])

    def taken(_):
        server.client.update_collection_aliases([forget("mine")])

    server.fail("POST /collections/aliases", taken)
    with pytest.raises(ServerError, match="mine"):
        runner(alias(rename("mine", "index")))
    assert server.client.get_aliases().aliases == []


@pytest.mark.parametrize("failure", [503, hang_up])
def test_a_snapshot_is_fetched_and_sent_again(server, clock, tmp_path, failure):
    path = "/collections/c/snapshots/s"
    server.snapshots[path] = b"content"
    engine = connect(server.url)
    server.fail("GET /collections/c/snapshots/s", failure, failure)
    drive(engine.fetch_snapshot("c", "s", tmp_path / "file"))
    server.fail("POST /collections/c/snapshots/upload", failure, failure)
    drive(engine.recover_snapshot("c", tmp_path / "file"))
    assert b"content" in server.snapshots["/collections/c/snapshots/upload"]
    assert len(clock.pauses) == 4
    engine.close()


def test_a_client_of_ones_own_is_asked_again_too(server, clock):
    client = QdrantClient(url=server.url, check_compatibility=False)
    server.fail(PUT_POINTS, 503, 503)
    assert drive(write(connect(client))) == 3
    client.close()
