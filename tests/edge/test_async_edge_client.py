"""AsyncEdgeClient: EdgeClient's methods, awaited."""

import asyncio
import doctest
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from fg_search.edge import AsyncEdgeClient, EdgeClient, async_client
from fg_search.errors import FolderLockedError, UnsupportedError

C = "points"
PARAMS = models.VectorParams(size=2, distance=models.Distance.DOT)
POINTS = [models.PointStruct(id=number, vector=[1.0, number], payload={"n": number}) for number in range(10)]


def run(folder: Any, use: Callable[[AsyncEdgeClient], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with AsyncEdgeClient(folder) as client:
            return await use(client)

    return asyncio.run(main())


async def _filled(client: AsyncEdgeClient) -> None:
    await client.create_collection(C, PARAMS)
    await client.upsert(C, POINTS, True)


def test_the_example_runs() -> None:
    failed, attempted = doctest.testmod(async_client)
    assert attempted > 2
    assert failed == 0


def test_awaited_calls_do_what_blocking_ones_do(tmp_path: Path) -> None:
    async def use(client: AsyncEdgeClient) -> Any:
        await _filled(client)
        client.upload_points(C, [models.PointStruct(id=20, vector=[0.0, 50.0])])
        await client.create_payload_index(C, "n", models.PayloadSchemaType.INTEGER)
        snapshot = await client.create_snapshot(C)
        assert client.snapshot_path(C, snapshot.name).is_file()
        assert not await client.optimize(C)
        assert await client.collection_exists(C)
        return await asyncio.gather(
            client.query_points(C, [1.0, 1.0], limit=3),
            client.scroll(C, limit=20, with_vectors=True),
            client.count(C),
            client.facet(C, "n"),
        )

    answers = run(tmp_path, use)
    with EdgeClient(tmp_path) as client:
        assert answers == [
            client.query_points(C, [1.0, 1.0], limit=3),
            client.scroll(C, limit=20, with_vectors=True),
            client.count(C),
            client.facet(C, "n"),
        ]


def test_the_loop_goes_on_while_the_engine_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(self: EdgeClient, collection_name: str, **_: Any) -> models.CountResult:
        assert release.wait(10)
        return models.CountResult(count=7)

    monkeypatch.setattr(EdgeClient, "count", slow)

    async def use(client: AsyncEdgeClient) -> int:
        counting = asyncio.create_task(client.count(C))
        await asyncio.sleep(0.01)
        assert not counting.done()
        assert (await client.get_collections()).collections == []  # another thread
        release.set()
        return (await counting).count

    assert run(tmp_path, use) == 7


def test_errors_reach_the_caller(tmp_path: Path) -> None:
    async def use(client: AsyncEdgeClient) -> None:
        with pytest.raises(ValueError, match="not found"):
            await client.count(C)
        with pytest.raises(FolderLockedError):
            AsyncEdgeClient(tmp_path)
        with pytest.raises(TypeError, match="limits"):
            await client.scroll(C, limits=3)
        with pytest.raises(UnsupportedError, match=r"AsyncEdgeClient\.cluster_status"):
            await client.cluster_status()
        with pytest.raises(UnsupportedError, match="migrate"):
            client.migrate(None)

    run(tmp_path, use)


def test_a_closed_client_says_so_and_releases_the_folder(tmp_path: Path) -> None:
    async def main() -> None:
        client = AsyncEdgeClient(tmp_path)
        await _filled(client)
        await client.close()
        await client.close()
        assert client.closed
        with pytest.raises(RuntimeError, match="closed"):
            await client.count(C)

    asyncio.run(main())
    EdgeClient(tmp_path).close()


def test_an_open_client_is_shared(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as blocking:

        async def main() -> int:
            client = AsyncEdgeClient(blocking)
            await _filled(client)
            return (await client.count(C)).count

        assert asyncio.run(main()) == blocking.count(C).count == 10


def test_many_calls_at_once(tmp_path: Path) -> None:
    async def use(client: AsyncEdgeClient) -> set[int]:
        await _filled(client)
        answers = await asyncio.gather(
            *(client.query_points(C, [1.0, 1.0], limit=2) for _ in range(200)),
            *(client.set_payload(C, {"m": number}, [number % 10]) for number in range(100)),
        )
        return {answer.points[0].id for answer in answers[:200]}  # type: ignore[union-attr]

    assert run(tmp_path, use) == {9}
