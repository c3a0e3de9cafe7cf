"""Reading all points of a large collection: in slices at once where the server has them, in order where not."""

import json

import pytest
from qdrant_client import models

from fg_search.engine.paging import SLICES, scanning
from fg_search.errors import ServerError

POINTS = 60


@pytest.fixture
def full(server):
    points = [models.PointStruct(id=i, vector=[i, 1], payload={"even": i % 2 == 0}) for i in range(POINTS)]
    server.client.upsert("c", points)
    return server


def ids_of(**options):
    async def read(engine):
        async with scanning(engine, "c", page_size=4, **options) as pages:
            return [record.id async for page in pages for record in page]

    return read


def scrolls(server):
    bodies = [
        json.loads(body)
        for asked, body in zip(server.requests, server.bodies, strict=True)
        if asked == "POST /collections/c/points/scroll"
    ]
    return [(body.get("filter") or {}).get("must") for body in bodies]


def test_each_point_is_read_once_in_slices_at_once(full, runner):
    full.version = "1.19.0"
    assert sorted(runner(ids_of())) == list(range(POINTS))
    sliced = [must[0]["slice"] for must in scrolls(full) if must]
    assert {(one["total"], one["index"]) for one in sliced} == {(SLICES, i) for i in range(SLICES)}


def test_a_condition_holds_in_each_slice(full, runner):
    full.version = "1.19.0"
    even = models.Filter(must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))])
    assert sorted(runner(ids_of(scroll_filter=even))) == list(range(0, POINTS, 2))


def test_a_server_without_slices_is_read_in_the_order_of_ids(full, runner):
    full.version = "1.18.1"
    assert runner(ids_of()) == list(range(POINTS))
    assert not any(scrolls(full))


def test_what_fits_into_a_page_takes_one_request(server, runner):
    server.version = "1.19.0"
    server.client.upsert("c", [models.PointStruct(id=1, vector=[1, 1])])
    before = len(server.requests)
    assert runner(ids_of()) == [1]
    assert len(server.requests) == before + 1


def test_an_error_of_one_slice_ends_the_reading(full, runner):
    full.version = "1.19.0"

    async def read(engine):
        async with scanning(engine, "c", page_size=4) as pages:
            async for _ in pages:
                full.fail("scroll", 400)

    with pytest.raises(ServerError):
        runner(read)


def test_reading_may_end_early(full, runner):
    full.version = "1.19.0"

    async def first(engine):
        async with scanning(engine, "c", page_size=4) as pages:
            await anext(pages)
            return {record.id for record in await anext(pages)}

    assert len(runner(first)) == 4
