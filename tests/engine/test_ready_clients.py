"""Clients that are handed in ready, gRPC and asynchronous ones too, do all that a URL does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from every_method import EVEN, Called, walk
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client import grpc as q

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, IndexSettings
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.errors import ServerError, UnsupportedError

SETTINGS = IndexSettings(filterable={"parity": "integer"})
NO_SERVER = 9  # a port


class Waiting:
    """An asynchronous index whose coroutines are waited for."""

    def __init__(self, index: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._index, self._loop = index, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *arguments, **options: self._loop.run_until_complete(found(*arguments, **options))


class Grpc:
    """A ready client that asks over gRPC, of a server whose HTTP cannot be reached."""

    def __init__(self, server: Any) -> None:
        port = int(server.url.rpartition(":")[2])
        options = {"prefer_grpc": True, "grpc_port": port, "check_compatibility": False}
        self.client = QdrantClient(url=f"http://127.0.0.1:{NO_SERVER}", **options)

    def open(self, *arguments: Any, **options: Any) -> Any:
        return ConfidenceIndex(self.client, *arguments, **options)

    def restore(self, file: Any, **options: Any) -> Any:
        return ConfidenceIndex.restore(file, self.client, **options)

    def close(self) -> None:
        self.client.close()


class Coroutines:
    """A ready client whose methods are coroutines."""

    def __init__(self, server: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = AsyncQdrantClient(url=server.url, check_compatibility=False)

    def open(self, *arguments: Any, **options: Any) -> Any:
        opening = AsyncConfidenceIndex(self.client, *arguments, **options).open()
        return Waiting(self.loop.run_until_complete(opening), self.loop)

    def restore(self, file: Any, **options: Any) -> Any:
        restoring = AsyncConfidenceIndex.restore(file, self.client, **options)
        return Waiting(self.loop.run_until_complete(restoring), self.loop)

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


@pytest.fixture(params=[Grpc, Coroutines])
def ready(request: Any) -> Iterator[Any]:
    server = request.getfixturevalue("fake_grpc_server" if request.param is Grpc else "fake_server")
    found = request.param(server)
    yield found
    found.close()


def test_every_method_does_what_it_does_in_memory(
    fake_server, fake_grpc_server, encoder, other_encoder, rows, questions, tmp_path
):
    with ConfidenceIndex(":memory:", encoder, settings=SETTINGS) as local:
        wanted = walk(Called(local), other_encoder, rows, questions, tmp_path / "local", tmp_path / "copy")
    for kind, server in ((Grpc, fake_grpc_server), (Coroutines, fake_server)):
        folder, ready = tmp_path / kind.__name__, kind(server)
        called = Called(ready.open(encoder, settings=SETTINGS))
        assert walk(called, other_encoder, rows, questions, folder, folder / "copy") == wanted
        ready.close()
    public = {name for name, member in inspect.getmembers(ConfidenceIndex, callable) if not name.startswith("_")}
    of_adopted = {"adopt", "plan_adoption", "sync", "undo_adoption"}
    assert public - called.names - of_adopted == {"check", "close", "recover", "restore", "snapshot", "tenant"}


def test_a_label_of_more_items_than_candidates_is_ranked_as_in_memory(ready, encoder, corpus):
    cards = [text for text, label in zip(*corpus, strict=True) if label == "card"]
    items = {"texts": cards * 20, "ids": list(range(20 * len(cards))), "labels": ["card"] * 20 * len(cards)}
    index = ready.open(encoder)
    index.add(**items)
    with ConfidenceIndex(":memory:", encoder) as local:
        local.add(**items)
        for options in ({}, {"confidence_weight": 1.0}, {"offset": 60, "limit": 30}):
            wanted = local.search("please help my card is stolen", **options).hits
            found = index.search("please help my card is stolen", **options).hits
            assert [hit.id for hit in found] == [hit.id for hit in wanted]
            assert [hit.ranking_score for hit in found] == pytest.approx([hit.ranking_score for hit in wanted])


def test_snapshots_are_written_and_read_point_by_point(ready, encoder, rows, tmp_path):
    index = ready.open(encoder)
    index.add(**rows)
    index.relabel({"d0": "fraud"})
    index.snapshot(tmp_path / "index.snapshot")
    with ConfidenceIndex.restore(tmp_path / "index.snapshot", tmp_path / "folder") as local:
        assert local.labels_of(["d0", "d1"]) == index.labels_of(["d0", "d1"])
    restored = ready.restore(tmp_path / "index.snapshot", collection="restored")
    assert restored.info().points == 48
    assert restored.add(**rows).unchanged == 48
    (tmp_path / "server.snapshot").write_bytes(b"a server's own")
    with pytest.raises(UnsupportedError, match="give the URL of a server"):
        ready.restore(tmp_path / "server.snapshot", collection="other")


def test_health_and_tenants(ready, encoder, rows):
    index = ready.open(encoder, settings=IndexSettings(tenant_key="owner", filterable={"parity": "integer"}))
    one = index.tenant("one")
    if isinstance(index, Waiting):
        one = Waiting(one, ready.loop)
    one.add(**rows)
    assert len(one.search("my card", query_filter=EVEN).hits) == 10
    found = index.check()
    assert (found.problems, found.nodes) == ((), ())
    assert found.placements[0].points == (48, 48)


def test_counts_over_grpc_want_the_same_consistency(fake_grpc_server):
    client = Grpc(fake_grpc_server).client
    client.create_collection("c", vectors_config={})
    engine = BlockingEngine(client)
    engine.want(None, "majority")
    assert drive(engine.count("c")) == 0
    assert fake_grpc_server.asked[-1].read_consistency == q.ReadConsistency(type=q.ReadConsistencyType.Majority)
    client.close()


def test_what_needs_to_know_the_nodes_says_so_where_http_cannot_be_reached(fake_grpc_server, encoder):
    client = Grpc(fake_grpc_server).client
    settings = IndexSettings(tenant_key="owner", tenant_sharding=True)
    with pytest.raises(ServerError, match="nodes are told over http alone"):
        ConfidenceIndex(client, encoder, settings=settings)
    client.close()
