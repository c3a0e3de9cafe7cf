"""Requests are cut to what a server takes, and to what strict mode and rate limits of a collection allow."""

import json
import logging

import numpy as np
import pytest
from qdrant_client import models

from fg_search import ConfidenceIndex
from fg_search.errors import ServerError

PUT = "PUT .*/points$"
READ = "POST .*/points/query/batch$"


def points_of_size(count, size, dimension=2):
    return [
        models.PointStruct(id=i, vector=[1.0] * dimension, payload={"text": "x" * size, "even": i % 2 == 0})
        for i in range(count)
    ]


def sizes(server, pattern):
    return [len(body) for request, body in zip(server.requests, server.bodies, strict=True) if request == pattern]


def test_a_write_larger_than_a_server_takes_is_split(runner, server):
    runner(lambda engine: engine.upsert("c", points_of_size(90, 500_000)))
    assert server.client.count("c").count == 90
    sent = sizes(server, "PUT /collections/c/points")
    assert len(sent) == 2
    assert max(sent) <= 32 * 2**20


def test_several_operations_larger_than_a_server_takes_are_split_in_order(runner, server):
    def upsert(points):
        return models.UpsertOperation(upsert=models.PointsList(points=points))

    first, second = points_of_size(50, 500_000), points_of_size(50, 499_999)
    last = models.SetPayloadOperation(set_payload=models.SetPayload(payload={"even": "changed"}, points=[3]))
    runner(lambda engine: engine.batch_update_points("c", [upsert(first), upsert(second), last]))
    found = server.client.retrieve("c", list(range(50)))
    assert {len(record.payload["text"]) for record in found} == {499_999}
    assert found[3].payload["even"] == "changed"
    assert max(sizes(server, "POST /collections/c/points/batch")) <= 32 * 2**20


@pytest.mark.parametrize("largest", [1_000_000, 100_000])
def test_a_server_that_takes_less_is_told_less_from_then_on(runner, server, largest):
    server.largest = largest

    async def write(engine):
        await engine.upsert("c", points_of_size(60, 30_000))
        refused = server.counted("PUT /collections/c/points")
        await engine.upsert("c", points_of_size(60, 30_000))
        return server.counted("PUT /collections/c/points") - refused

    again = runner(write)
    assert server.client.count("c").count == 60
    assert again <= 2 * 60 * 30_000 / largest + 1


def test_a_proxy_that_takes_less_without_saying_how_much(runner, server):
    page = b"<html><h1>413 Request Entity Too Large</h1></html>"

    def small(handler):
        if int(handler.headers["Content-Length"]) > 200_000:
            return 413, {"Content-Type": "text/html"}, page
        return server._carry_out("PUT /collections/c/points", server.bodies[-1])

    server.fail("PUT /collections/c/points", *[small] * 99)
    runner(lambda engine: engine.upsert("c", points_of_size(60, 30_000)))
    assert server.client.count("c").count == 60


def test_a_point_that_is_too_large_by_itself_is_told(runner, server):
    server.largest = 100_000
    with pytest.raises(ServerError, match="a single item is larger than it takes at once") as raised:
        runner(lambda engine: engine.upsert("c", points_of_size(3, 150_000)))
    assert raised.value.status == 413


def test_numbers_are_sent_with_the_digits_of_float32(runner, server):
    rng = np.random.default_rng(0)
    dense = (rng.standard_normal(2000) * 10.0 ** rng.integers(-20, 20, 2000)).astype(np.float32)
    dense[:4] = [0.0, -0.0, np.finfo(np.float32).max, np.finfo(np.float32).tiny]
    sparse = models.SparseVector(indices=[1, 7], values=[0.1, float(np.float32(1 / 3))])
    point = models.PointStruct(id=1, vector={"dense": dense.tolist(), "sparse": sparse}, payload={"n": 1 / 3})
    server.fail(
        "PUT /collections/c/points", lambda _: (200, {}, b'{"result": {"status": "completed"}, "status": "ok"}')
    )
    server.fail("POST /collections/c/points/batch", lambda _: (200, {}, b'{"result": [], "status": "ok"}'))

    async def write(engine):
        await engine.upsert("c", [point])
        operation = models.UpsertOperation(upsert=models.PointsList(points=[point]))
        await engine.batch_update_points("c", [operation])

    runner(write)
    upserted, batch = (json.loads(body) for body in server.bodies[-2:])
    for sent in (upserted["points"][0], batch["operations"][0]["upsert"]["points"][0]):
        assert np.array_equal(np.array(sent["vector"]["dense"], dtype=np.float32), dense)
        assert np.array_equal(np.float32(sent["vector"]["sparse"]["values"]), np.float32([0.1, 1 / 3]))
        assert sent["payload"] == {"n": 1 / 3}
        assert max(len(f"{abs(number):e}".replace(".", "")) for number in sent["vector"]["dense"]) <= 13
    assert len(server.bodies[-2]) < 2000 * 16


@pytest.mark.parametrize("told", [True, False], ids=["in the configuration", "by a refusal"])
def test_writes_follow_the_strict_mode(runner, server, told):
    server.strict = {"upsert_max_batchsize": 7}

    async def write(engine):
        if told:
            await engine.get_collection("c")
        await engine.upsert("c", points_of_size(50, 1))

    runner(write)
    assert server.client.count("c").count == 50
    assert server.counted("PUT /collections/c/points") == 8 + (not told)


def test_a_write_larger_than_a_rate_limit_is_split_and_not_sent_in_vain(runner, server, clock):
    server.capacity = 20
    runner(lambda engine: engine.upsert("c", points_of_size(100, 1)))
    assert server.client.count("c").count == 100
    assert clock.pauses == []


def test_a_rate_limit_too_low_for_anything_is_told(runner, server, clock):
    server.capacity = 0
    with pytest.raises(ServerError, match="a rate limit of the collection is too low"):
        runner(lambda engine: engine.upsert("c", points_of_size(4, 1)))
    assert clock.pauses == []


def test_queries_and_their_hits_follow_the_strict_mode(runner, server):
    server.client.upsert("c", [models.PointStruct(id=i, vector=[float(i), 1.0], payload={}) for i in range(60)])
    requests = [models.QueryRequest(query=[sign, 0.0], limit=25, offset=3) for sign in (1.0, -1.0, 1.0)]
    expected = [[point.id for point in found.points] for found in server.client.query_batch_points("c", requests)]
    server.strict = {"max_query_limit": 10, "search_max_batchsize": 2}
    found = runner(lambda engine: engine.query_batch_points("c", requests))
    assert [[point.id for point in response.points] for response in found] == expected


def test_lists_follow_the_strict_mode(runner, server):
    server.client.upsert("c", [models.PointStruct(id=i, vector=[1.0, 1.0], payload={"n": i // 3}) for i in range(60)])
    server.strict = {"max_query_limit": 10}
    records, offset = runner(lambda engine: engine.scroll("c", limit=25))
    assert [record.id for record in records] == list(range(25))
    assert offset == 25
    values = runner(lambda engine: engine.facet("c", "n", limit=100))
    assert {hit.value: hit.count for hit in values} == dict.fromkeys(range(20), 3)
    assert len(runner(lambda engine: engine.facet("c", "n", limit=15))) == 15
    only = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=5))])
    few = runner(lambda engine: engine.facet("c", "n", limit=100, facet_filter=only))
    assert {hit.value for hit in few} == set(range(5))


def test_lists_in_an_order_follow_the_strict_mode(runner, server):
    server.client.upsert(
        "c", [models.PointStruct(id=i, vector=[1.0, 1.0], payload={"n": i * 7 % 60 // 4}) for i in range(60)]
    )
    server.strict = {"max_query_limit": 10}
    order = models.OrderBy(key="n", direction=models.Direction.DESC)
    records, _ = runner(lambda engine: engine.scroll("c", limit=50, order_by=order))
    values = [record.payload["n"] for record in records]
    assert values == sorted(values, reverse=True)
    assert len({record.id for record in records}) == 50


def test_an_index_works_in_strict_mode(fake_server, encoder, rows, caplog):
    fake_server.strict = {"max_query_limit": 15, "upsert_max_batchsize": 10, "search_max_batchsize": 3}
    with (
        ConfidenceIndex(fake_server.url, encoder) as strict,
        ConfidenceIndex(":memory:", encoder) as free,
        caplog.at_level(logging.WARNING, "fg_search"),
    ):
        assert strict.add(**rows).written == free.add(**rows).written == 48
        assert strict.relabel({f"d{i}": "x" for i in range(30)}) == 30
        free.relabel({f"d{i}": "x" for i in range(30)})
        assert strict.labels() == free.labels()
        one, other = (index.search("card pin", limit=40, rank_by="base").hits for index in (strict, free))
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], abs=1e-5)
        for options in ({"rank_by": "both"}, {"rank_by": "both", "confidence_weight": 1}, {"confidence_weight": 1}):
            one, other = (index.search("card pin", limit=30, **options).hits for index in (strict, free))
            assert [hit.id for hit in one] == [hit.id for hit in other]
        assert caplog.records == []
        assert len(strict.search_many(rows["texts"][:10])) == 10


def test_what_strict_mode_forbids_altogether_is_told(runner, server):
    def unindexed(_):
        error = 'Bad request: Index required but not found for \\"n\\". Help: Create an index for this key.'
        return 400, {}, f'{{"status": {{"error": "{error}"}}}}'.encode()

    server.fail("POST /collections/c/points/count", unindexed)
    with pytest.raises(ServerError, match=r"Index required .*`fg-search filterable n`"):
        runner(lambda engine: engine.count("c"))
    assert server.counted("POST /collections/c/points/count") == 1
