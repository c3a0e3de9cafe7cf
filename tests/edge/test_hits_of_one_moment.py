"""A hit is as it was found: a write between the search and the reading of its payload does not show in it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from fg_search.edge import EdgeClient
from fg_search.edge.search.searcher import Searcher
from fg_search.edge.write_counter import WriteCounter

C = "points"
RED = models.Filter(must=[models.FieldCondition(key="colour", match=models.MatchValue(value="red"))])
SIZE = 40


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EdgeClient]:
    with EdgeClient(tmp_path) as opened:
        opened.create_collection(C, models.VectorParams(size=2, distance=models.Distance.DOT))
        opened.upsert(C, [_point(number, "red") for number in range(SIZE)])
        yield opened


def _point(number: int, colour: str) -> models.PointStruct:
    return models.PointStruct(id=number, vector=[1.0, number], payload={"colour": colour, "number": number})


@pytest.mark.parametrize("offset", [0, 20])
@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.set_payload(C, {"colour": "blue"}, [39, 15]),
        lambda client: client.upsert(C, [_point(39, "blue"), _point(15, "blue")]),
        lambda client: client.delete(C, [39, 15]),
    ],
    ids=["set_payload", "upsert", "delete"],
)
def test_a_write_after_the_search_is_seen_as_a_whole(
    client: EdgeClient, monkeypatch: pytest.MonkeyPatch, write: Any, offset: int
) -> None:
    reading = Searcher._contents

    def write_then_read(searcher: Searcher, *arguments: Any) -> Any:
        monkeypatch.undo()
        write(client)
        return reading(searcher, *arguments)

    monkeypatch.setattr(Searcher, "_contents", write_then_read)
    hits = client.query_points(C, [0.0, 1.0], query_filter=RED, limit=10, offset=offset).points
    left = [number for number in reversed(range(SIZE)) if number not in (39, 15)]
    assert [hit.id for hit in hits] == left[offset : offset + 10]
    assert {hit.payload["colour"] for hit in hits if hit.payload} == {"red"}


def test_searches_beside_writers_find_nothing_that_fails_the_filter(client: EdgeClient) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            colour = "blue" if client.count(C, RED).count == SIZE else "red"
            client.set_payload(C, {"colour": colour}, list(range(0, SIZE, 2)))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    end = time.monotonic() + 1
    try:
        while time.monotonic() < end:
            hits = client.query_points(C, [0.0, 1.0], query_filter=RED, limit=20).points
            assert {hit.payload["colour"] for hit in hits if hit.payload} == {"red"}
            assert len(hits) == 20
    finally:
        done.set()
        for writer in writers:
            writer.join()


@pytest.mark.parametrize("selection", [False, True, ["number"], models.PayloadSelectorExclude(exclude=["number"])])
@pytest.mark.parametrize("with_vectors", [False, True, [""]])
def test_hits_are_the_same_whether_a_write_goes_on_or_not(
    client: EdgeClient, selection: Any, with_vectors: Any
) -> None:
    client.upsert(C, [models.PointStruct(id=99, vector=[1.0, 99.0])])  # without a payload

    def search() -> list[models.ScoredPoint]:
        return client.query_points(C, [0.0, 1.0], with_payload=selection, with_vectors=with_vectors).points

    alone = search()
    with client._collection(C)._writes.write():
        beside = search()
    assert alone == beside
    assert alone[0].id == 99


def test_a_reader_can_tell_that_a_write_came_between() -> None:
    writes = WriteCounter()
    mark = writes.mark()
    assert mark is not None
    assert writes.is_unchanged(mark)
    with writes.write():
        assert writes.mark() is None
        assert not writes.is_unchanged(mark)
    assert not writes.is_unchanged(mark)
    assert writes.mark() != mark


def test_a_write_that_fails_ends_too() -> None:
    writes = WriteCounter()
    with pytest.raises(ValueError, match="full"), writes.write():
        raise ValueError("full")
    assert writes.mark() is not None
