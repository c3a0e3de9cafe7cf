"""Several nodes: requests go on with the next one that answers. Without a majority of nodes, one line says so."""

import asyncio

import pytest
from fake_server import FakeServer, hang_up
from qdrant_client import models

from fg_search import AsyncConfidenceIndex, ConfidenceIndex
from fg_search.engine.blocking import drive
from fg_search.engine.connection import connect, connect_async
from fg_search.errors import ServerError

POINTS = [models.PointStruct(id=i, vector=[1.0, 2.0], payload={"n": i}) for i in range(4)]


@pytest.fixture
def nodes(server):
    """Two nodes of one cluster, which have the same data."""
    other = FakeServer()
    other.client = server.client
    yield server, other
    other.stop()


@pytest.fixture(params=["blocking", "async"])
def use(request, nodes):
    """Runs an operation on both nodes."""

    def blocking(operation):
        engine = connect([node.url for node in nodes])
        try:
            return drive(operation(engine))
        finally:
            engine.close()

    async def coroutines(operation):
        engine = await connect_async([node.url for node in nodes])
        try:
            return await operation(engine)
        finally:
            await engine.close()

    return blocking if request.param == "blocking" else lambda operation: asyncio.run(coroutines(operation))


def test_requests_go_to_the_first_node(use, nodes):
    use(lambda engine: engine.count("c"))
    assert nodes[0].requests
    assert not nodes[1].requests


def test_a_node_that_is_away_is_passed_over(use, nodes, clock):
    nodes[0].stop()
    assert use(lambda engine: engine.count("c")) == 0
    assert not clock.pauses


def test_a_node_that_goes_away_is_left(use, nodes, clock):
    async def write(engine):
        await engine.upsert("c", POINTS[:2])
        nodes[0].stop()
        await engine.upsert("c", POINTS[2:])
        return await engine.count("c")

    assert use(write) == 4
    assert len(clock.pauses) <= 1  # a connection that was open had to be found broken


def test_what_may_be_repeated_is_when_the_answer_was_lost(use, nodes, clock):
    nodes[0].fail("PUT .*/points$", hang_up, after=True)
    use(lambda engine: engine.upsert("c", POINTS))
    assert [node.counted("PUT .*/points$") for node in nodes] == [1, 1]


def test_what_may_not_be_repeated_is_looked_after_on_the_next_node(use, nodes, clock):
    nodes[0].fail("PUT /collections/new$", hang_up, after=True)
    use(lambda engine: engine.create_collection("new", vectors_config={}, sparse_vectors_config={}))
    assert [node.counted("PUT /collections/new$") for node in nodes] == [1, 1]
    assert nodes[0].client.collection_exists("new")


def test_a_node_behind_a_proxy_that_cannot_reach_it_is_left(use, nodes, clock):
    nodes[0].fail("POST .*/count", 503)
    use(lambda engine: engine.count("c"))
    assert [node.counted("POST .*/count") for node in nodes] == [1, 1]


def test_a_refusal_is_that_of_the_cluster(use, nodes):
    nodes[0].fail("POST .*/count", 403)
    with pytest.raises(ServerError, match="403"):
        use(lambda engine: engine.count("c"))
    assert not nodes[1].requests


def test_an_error_names_all_nodes(use, nodes, clock):
    async def stop(engine):
        for node in nodes:
            node.stop()
        await engine.count("c")

    with pytest.raises(ServerError) as raised:
        use(stop)
    assert all(node.url in str(raised.value) for node in nodes)
    assert "\n" not in str(raised.value)


def test_each_node_sees_its_own_name(use, nodes):
    nodes[0].stop()
    use(lambda engine: engine.count("c"))
    assert nodes[1].headers[-1]["host"] == nodes[1].url.removeprefix("http://")


def test_an_index_is_opened_on_several_nodes(nodes, encoder, rows):
    urls = [node.url for node in nodes]
    with ConfidenceIndex(urls, encoder) as index:
        index.add(**rows)
        assert index.location == ",".join(urls)
        nodes[0].stop()
        assert index.search("please help my card is stolen").hits
    with ConfidenceIndex(f"{urls[0]}, {urls[1]}") as index:
        assert len(index) == 48

    async def count():
        async with AsyncConfidenceIndex(tuple(urls)) as index:
            return await index.count()

    assert asyncio.run(count()) == 48


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://a:6333,folder", "'folder' is no URL"),
        ("http://a:6333,", "'' is no URL"),
        ("grpc://a:6334,grpc://b:6334", "over http alone"),
        ("http://a/one,http://b/two", "the same path"),
    ],
)
def test_nodes_that_cannot_be_used_together_are_refused(location, message):
    with pytest.raises(ValueError, match=message):
        connect(location)


@pytest.mark.parametrize("location", [[], [1]])
def test_a_list_that_holds_no_urls_is_refused(location):
    with pytest.raises(TypeError, match="a list as location holds the URLs of nodes"):
        connect(location)


def test_without_a_majority_one_line_says_so_at_once(runner, server, clock):
    # the words of consensus_manager.rs, as a server answers them after ten seconds
    said = b'{"status": {"error": "Service internal error: Waiting for consensus operation commit failed. '
    said += b'Timeout set at: 10 seconds"}}'
    server.fail("PUT /collections/new$", *[lambda _: (500, {}, said)] * 9)
    with pytest.raises(ServerError, match="the nodes of the cluster did not agree") as raised:
        runner(lambda engine: engine.create_collection("new", vectors_config={}, sparse_vectors_config={}))
    assert "\n" not in str(raised.value)
    assert not clock.pauses
    assert server.counted("PUT /collections/new$") == 1


def test_what_a_cluster_without_a_majority_does_later_is_cleared_away(fake_server, encoder, rows, other_encoder):
    said = b'{"status": {"error": "Service internal error: Waiting for consensus operation commit failed."}}'
    with ConfidenceIndex(fake_server.url, encoder) as index:
        index.add(**rows)
        fake_server.fail("PUT /collections/[^/]+$", lambda _: (500, {}, said), after=True)
        with pytest.raises(ServerError, match="did not agree"):
            index.migrate(other_encoder)
        left = {collection.name for collection in fake_server.client.get_collections().collections}
        index.migrate(other_encoder)
    names = {collection.name for collection in fake_server.client.get_collections().collections}
    assert len(left) == 2
    assert len(names) == 1
    assert not names & left
