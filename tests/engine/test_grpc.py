"""A server is asked over gRPC as it is over HTTP: the same results, errors and patience."""

import asyncio

import grpc
import pytest
from qdrant_client import QdrantClient

from fg_search import AsyncConfidenceIndex, ConfidenceIndex
from fg_search.engine.blocking import drive
from fg_search.engine.connection import connect
from fg_search.errors import IndexNotFoundError, ServerError

Code = grpc.StatusCode
QUESTION = "please help my card is stolen"


def test_an_index_is_made_filled_searched_and_opened_again(fake_grpc_server, encoder, rows):
    with (
        ConfidenceIndex(fake_grpc_server.url, encoder) as remote,
        ConfidenceIndex(":memory:", encoder) as local,
    ):
        for index in (remote, local):
            assert index.add(**rows).written == 48
            assert index.add(**rows).unchanged == 48
            index.relabel({"d0": "fraud"})
            index.decide("d1", "label", "food")
        one, other = remote.search(QUESTION), local.search(QUESTION)
        assert [hit.id for hit in one.hits] == [hit.id for hit in other.hits]
        assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in other.hits], abs=1e-5)
        assert remote.labels_of(["d0", "d1"]) == {"d0": "fraud", "d1": "food"}
    with ConfidenceIndex(fake_grpc_server.url) as again:
        assert len(again) == 48


def test_coroutines_ask_over_grpc_too(fake_grpc_server, encoder, rows):
    async def go():
        async with AsyncConfidenceIndex(fake_grpc_server.url, encoder) as index:
            await index.add(**rows)
            return await index.search(QUESTION)

    assert asyncio.run(go()).hits[0].label == "card"


def test_a_client_of_ones_own_may_prefer_grpc(fake_grpc_server, encoder, rows):
    port = int(fake_grpc_server.url.rpartition(":")[2])
    client = QdrantClient(prefer_grpc=True, grpc_port=port, check_compatibility=False)
    with ConfidenceIndex(client, encoder) as index:
        index.add(**rows)
        assert len(index) == 48
    client.close()


def test_rankings_groups_and_filterable_fields_are_those_of_an_index_here(fake_grpc_server, encoder, rows):
    with (
        ConfidenceIndex(fake_grpc_server.url, encoder) as remote,
        ConfidenceIndex(":memory:", encoder) as local,
    ):
        found = []
        for index in (remote, local):
            index.add(**rows)
            assert index.make_filterable(["parity"]) == {"parity": "integer"}
            hits = [
                index.search(QUESTION, limit=20, rank_by=rank_by, confidence_weight=weight).hits
                for rank_by in ("features", "base", "both")
                for weight in (0.0, 1.0)
            ]
            groups = index.search_groups(QUESTION, group_by="parity", rank_by="both").groups
            # float32 there, float64 here: nearly equal scores may change places
            found.append(([sorted(hit.ranking_score for hit in page) for page in hits], groups))
        for there, here in zip(found[0][0], found[1][0], strict=True):
            assert there == pytest.approx(here, abs=2e-2)
        assert [group.value for group in found[0][1]] == [group.value for group in found[1][1]]


def test_an_index_that_is_not_there_is_not_found(fake_grpc_server):
    with pytest.raises(IndexNotFoundError, match="there is no index"):
        ConfidenceIndex(fake_grpc_server.url)


def test_a_busy_server_is_asked_again(fake_grpc_server, clock):
    engine = connect(fake_grpc_server.url)
    fake_grpc_server.fail("ListAliases", Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.ABORTED)
    fake_grpc_server.fail("ListAliases", Code.RESOURCE_EXHAUSTED, retry_after="7")
    fake_grpc_server.fail("ListAliases", Code.RESOURCE_EXHAUSTED, retry_after="0")
    assert drive(engine.get_aliases()) == {}
    assert len(clock.pauses) == 6
    assert clock.pauses[-2:] == [7, 0.1]
    engine.close()


@pytest.mark.parametrize(
    ("code", "details", "trailing", "message", "status"),
    [
        (Code.UNAUTHENTICATED, "no key", {}, "wants an API key", 401),
        (Code.PERMISSION_DENIED, "no", {}, "not one that may only read", 403),
        (Code.INVALID_ARGUMENT, "wrong", {}, "wrong", 400),
        (Code.ALREADY_EXISTS, "there", {}, "there", 409),
        (Code.RESOURCE_EXHAUSTED, "full", {"qdrant_insufficient_storage": "1"}, "no room left", 507),
        (Code.RESOURCE_EXHAUSTED, "please try to split your request", {}, "rate limit", 429),
        (Code.INTERNAL, "No space left on device", {}, "no room left", 507),
        (Code.UNIMPLEMENTED, "unknown", {}, "too old", 501),
    ],
)
def test_what_a_server_refuses_is_told_at_once(fake_grpc_server, clock, code, details, trailing, message, status):
    engine = connect(fake_grpc_server.url)
    fake_grpc_server.fail("ListAliases", code, details=details, **trailing)
    with pytest.raises(ServerError, match=message) as raised:
        drive(engine.get_aliases())
    assert raised.value.status == status
    assert clock.pauses == []
    engine.close()


def test_a_server_that_is_not_there_is_named(clock):
    with pytest.raises(
        ServerError, match=r"no Qdrant server answers at grpc://127\.0\.0\.1:9.*right\? It was asked for 60 s"
    ):
        connect("grpc://127.0.0.1:9")


def test_an_old_server_is_refused(fake_grpc_server):
    fake_grpc_server.version = "1.15.2"
    with pytest.raises(ServerError, match="too old"):
        connect(fake_grpc_server.url)


def test_a_web_server_is_no_grpc_server(fake_server):
    with pytest.raises(ServerError, match=fake_server.url.removeprefix("http://")):
        connect(fake_server.url.replace("http", "grpc"), retry_for=0)
