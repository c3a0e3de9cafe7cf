"""What depends on what is there does not believe one copy of a shard, and goes on or waits where copies are missing."""

import pytest
from qdrant_client import models

from fg_search.errors import ServerError

POINTS = [models.PointStruct(id=i, vector=[1.0, 2.0], payload={"n": i}) for i in range(4)]
FILTER = models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=1))])
SETTING = models.SetPayloadOperation(set_payload=models.SetPayload(payload={"n": 2}, filter=FILTER))


def collection_in_copies(server, copies):
    server.nodes = {node: f"http://node-{node}:6335" for node in (1, 2, 3)}
    server.created["c"] = {"shard_number": 1, "replication_factor": copies}
    server.placed["c"] = {0: dict.fromkeys([1, 2, 3][:copies], "Active")}
    server.client.upsert("c", POINTS)
    return server


@pytest.fixture
def two(server):
    return collection_in_copies(server, 2)


@pytest.fixture
def three(server):
    return collection_in_copies(server, 3)


def options(server, pattern, name):
    """Values of an option in the requests that match."""
    asked = zip(server.requests, server.options, strict=True)
    return [option.get(name) for request, option in asked if request.endswith(pattern)]


READS = {
    "/points": lambda engine, copies: engine.retrieve("c", [0, 1], copies=copies),
    "/points/scroll": lambda engine, copies: engine.scroll("c", limit=10, copies=copies),
    "/points/count": lambda engine, copies: engine.count("c", FILTER, copies=copies),
    "/points/query/batch": lambda engine, copies: engine.query_batch_points(
        "c", [models.QueryRequest(query=[1.0, 0.0], limit=3)], copies=copies
    ),
}
each_read = pytest.mark.parametrize("path", READS)


@each_read
def test_a_read_asks_as_many_copies_as_it_needs(runner, two, path):
    for copies, wanted in (("any", None), ("active", "all"), ("most", "majority")):
        runner(lambda engine, copies=copies: READS[path](engine, copies))
        assert options(two, path, "consistency")[-1] == wanted


@each_read
def test_a_collection_of_one_copy_is_read_as_ever(runner, server, path):
    collection_in_copies(server, 1)
    for copies in ("any", "active", "most"):
        runner(lambda engine, copies=copies: READS[path](engine, copies))
    assert set(options(server, path, "consistency")) == {None}


@each_read
def test_where_a_copy_is_dead_those_are_asked_that_are_there(runner, three, clock, path):
    three.placed["c"][0][3] = "Dead"
    found = runner(lambda engine: READS[path](engine, "active"))
    assert found
    assert options(three, path, "consistency")[:2] == ["all", "2"]
    assert not clock.pauses


@each_read
def test_a_read_that_wants_most_copies_waits_for_a_dead_one(runner, two, clock, path):
    two.placed["c"][0][2] = "Dead"
    come_back, clock.wait = clock.wait, lambda seconds: (come_back(seconds), two.placed["c"][0].update({2: "Active"}))
    assert runner(lambda engine: READS[path](engine, "most"))
    assert clock.pauses
    assert set(options(two, path, "consistency")) == {"majority"}


def test_a_dead_copy_that_stays_away_is_told(runner, two, clock):
    two.placed["c"][0][2] = "Dead"
    with pytest.raises(ServerError, match="does not have enough active replicas"):
        runner(lambda engine: engine.retrieve("c", [0], copies="most"))


def test_a_point_that_one_copy_alone_has_is_not_there(runner, two):
    two.unequal = {"c": {1}}
    found = runner(lambda engine: engine.retrieve("c", [0, 1], copies="active"))
    assert [record.id for record in found] == [0]
    assert runner(lambda engine: engine.count("c", copies="active")) == 3


def test_copies_that_are_about_to_agree_are_waited_for(runner, two, clock):
    two.unequal = {"c": {1}}
    agree, clock.wait = clock.wait, lambda seconds: (agree(seconds), two.unequal.clear())
    found = runner(lambda engine: engine.retrieve("c", [0, 1], copies="most"))
    assert sorted(record.id for record in found) == [0, 1]


WRITES = {
    "/points": lambda engine, copies: engine.upsert("c", POINTS, update_filter=FILTER, copies=copies),
    "/points/batch": lambda engine, copies: engine.batch_update_points("c", [SETTING], copies=copies),
}
each_write = pytest.mark.parametrize("path", WRITES)


@each_write
def test_conditional_writes_come_to_all_copies_in_one_order(runner, two, path):
    runner(lambda engine: WRITES[path](engine, "any"))
    assert options(two, path, "ordering") == ["strong"]


def test_other_conditional_writes_too(runner, two):
    runner(lambda engine: engine.upsert("c", POINTS, insert_only=True))
    runner(lambda engine: engine.delete("c", FILTER))
    assert options(two, "/points", "ordering") == options(two, "/points/delete", "ordering") == ["strong"]


def test_other_writes_are_ordered_as_ever(runner, two):
    runner(lambda engine: engine.upsert("c", POINTS))
    runner(lambda engine: engine.delete("c", [3]))
    assert options(two, "/points", "ordering") == options(two, "/points/delete", "ordering") == [None]


@each_write
def test_while_the_copy_that_orders_writes_is_away_another_one_does_where_that_will_do(runner, two, clock, path):
    two.placed["c"][0][2] = "Dead"
    runner(lambda engine: WRITES[path](engine, "active"))
    assert options(two, path, "ordering") == ["strong", "medium"]
    with pytest.raises(ServerError, match="ordering via leader peer"):
        runner(lambda engine: WRITES[path](engine, "any"))


def test_a_user_may_want_more_of_every_read_and_write(runner, two):
    async def use(engine):
        engine.want("medium", "quorum")
        await engine.retrieve("c", [0])
        await engine.count("c")
        await engine.upsert("c", POINTS)
        await engine.upsert("c", POINTS, update_filter=FILTER)

    runner(use)
    assert options(two, "/points/count", "consistency") == ["quorum"]
    assert options(two, "/points", "consistency")[0] == "quorum"
    assert options(two, "/points", "ordering")[1:] == ["medium", "strong"]
