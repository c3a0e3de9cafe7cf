import asyncio
import threading

import httpx
import pytest
from fake_server import hang_up
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from fg_search.engine.asynchronous import AsyncEngine
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.engine.snapshot_transfer import download, upload

POINTS = [models.PointStruct(id=i, vector=[float(i), 1.0], payload={"n": i}) for i in range(3)]


async def write(engine):
    await engine.upsert("c", POINTS)
    return await engine.count("c")


# steps


def test_each_step_is_answered_with_what_came_of_it(runner, server):
    log = []

    async def everything(engine):
        log.append(await engine.work(lambda: "worked"))
        async with engine.background() as writing:
            writing.start(engine.upsert("c", POINTS))
            log.append(await engine.work(lambda: "worked meanwhile"))
            log.append(await writing.finish())
        return await engine.count("c")

    assert runner(everything) == 3
    assert log == ["worked", "worked meanwhile", None]


def test_an_operation_without_steps_has_its_result(runner):
    async def nothing(engine):
        return 7

    assert runner(nothing) == 7


def test_a_failed_step_is_thrown_where_it_was_asked_for_and_can_be_caught(runner, server):
    async def careful(engine):
        caught = []
        try:
            await engine.work(lambda: 1 / 0)
        except ZeroDivisionError as error:
            caught.append(error)
        async with engine.background() as writing:
            writing.start(engine.upsert("missing", POINTS))
            try:
                await writing.finish()
            except Exception as error:
                caught.append(error)
        return caught, await engine.work(lambda: "on it goes")

    (first, second), last = runner(careful)
    assert isinstance(first, ZeroDivisionError)
    assert "missing not found" in str(second)
    assert last == "on it goes"


def test_an_error_nobody_catches_comes_out_as_it_is(runner, server):
    async def careless(engine):
        await engine.work(lambda: {}["missing"])

    with pytest.raises(KeyError, match="missing"):
        runner(careless)


def test_an_error_in_the_background_comes_out_when_it_is_left(runner, server):
    async def careless(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("missing", POINTS))

    with pytest.raises(Exception, match="missing not found"):
        runner(careless)


def test_something_that_waits_for_an_event_loop_is_not_driven():
    with pytest.raises(RuntimeError, match="was suspended"):
        drive(asyncio.sleep(0))


def test_what_was_begun_is_finished_when_something_else_fails(runner, server):
    async def failing(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("c", POINTS))
            await engine.work(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        runner(failing)
    assert server.client.count("c").count == 3


def test_a_begun_call_runs_while_the_operation_works():
    reached, release = threading.Event(), threading.Event()

    written = []

    class Client:
        def upsert(self, *_, **__):
            reached.set()
            assert release.wait(10)
            written.append(True)

    async def overlapping(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("c", POINTS))
            await engine.work(lambda: reached.wait(10) and release.set())
            await writing.finish()
            return len(written)

    assert drive(overlapping(BlockingEngine(Client()))) == 1
    reached.clear()
    release.clear()
    assert asyncio.run(overlapping(AsyncEngine(Client()))) == 2


def test_begun_calls_run_beside_one_another_and_are_finished_in_order():
    both = threading.Barrier(2, timeout=10)

    class Client:
        def upsert(self, collection, **_):
            both.wait()
            if collection == "second":
                raise ValueError("second failed")

    async def both_at_once(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("first", POINTS))
            writing.start(engine.upsert("second", POINTS))
            await writing.finish()
            with pytest.raises(ValueError, match="second failed"):
                await writing.finish()
            await writing.finish()  # nothing is left
        return True

    assert drive(both_at_once(BlockingEngine(Client())))
    assert asyncio.run(both_at_once(AsyncEngine(Client())))


def test_an_interruption_reaches_the_operation_so_that_it_can_clean_up():
    cleaned = []

    class Client:
        def count(self, *_, **__):
            raise KeyboardInterrupt

        def delete(self, *_, **__):
            cleaned.append("deleted")

    async def careful(engine):
        try:
            await engine.count("c")
        except BaseException:
            await engine.delete("c", [1])
            raise

    with pytest.raises(KeyboardInterrupt):
        drive(careful(BlockingEngine(Client())))
    assert cleaned == ["deleted"]


# running beside others


def test_the_event_loop_goes_on_while_a_client_without_coroutines_is_asked():
    class Slow:
        def __init__(self):
            self.asked = threading.Event()

        def count(self, *_, **__):
            assert self.asked.wait(10)
            return models.CountResult(count=5)

    client = Slow()

    async def both():
        counted = asyncio.create_task(AsyncEngine(client).count("c"))
        await asyncio.sleep(0)
        client.asked.set()  # reached only if the loop was not blocked
        return await counted

    assert asyncio.run(both()) == 5


@pytest.mark.parametrize("at", ["work", "end"])
def test_a_cancelled_operation_waits_for_what_it_began_and_is_closed(at):
    began, release, done, closed = threading.Event(), threading.Event(), [], []

    class Client:
        def upsert(self, *_, **__):
            began.set()
            assert release.wait(10)
            done.append("written")

        async def count(self, *_, **__):
            await asyncio.Event().wait()

    async def write(engine):
        try:
            async with engine.background() as writing:
                writing.start(engine.upsert("c", POINTS))
                if at == "work":
                    await engine.count("c")
                await writing.finish()
                done.append("never reached")
        finally:
            closed.append(True)

    async def cancel():
        task = asyncio.create_task(write(AsyncEngine(Client())))
        await asyncio.to_thread(began.wait, 10)
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["written"]

    asyncio.run(cancel())
    assert closed == [True]


def test_many_operations_share_one_client(server):
    async def go():
        client = AsyncQdrantClient(url=server.url, check_compatibility=False)
        counts = await asyncio.gather(*[write(AsyncEngine(client)) for _ in range(8)])
        await client.close()
        return counts

    assert asyncio.run(go()) == [3] * 8


# snapshots


def test_a_snapshot_is_downloaded_as_it_is_on_the_server(server, tmp_path):
    content = bytes(range(256)) * 5000
    server.snapshots["/collections/a%2Fb/snapshots/c%20d"] = content
    download(server.url, "secret", "a/b", "c d", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert server.headers[-1]["api-key"] == "secret"


def test_a_snapshot_the_server_does_not_have_is_an_error(server, tmp_path):
    with pytest.raises(UnexpectedResponse, match=r"404"):
        download(server.url, None, "c", "missing", tmp_path / "file")
    assert "api-key" not in server.headers[-1]


def test_a_download_that_breaks_off_is_an_error(server, tmp_path):
    def break_off(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half of it")
        handler.wfile.flush()

    server.fail("GET /collections/c/snapshots", break_off)
    with pytest.raises(httpx.RemoteProtocolError):
        download(server.url, None, "c", "s", tmp_path / "file")


def test_a_file_that_cannot_be_written_is_the_callers_error(server, tmp_path):
    server.snapshots["/collections/c/snapshots/s"] = b"content"
    with pytest.raises(FileNotFoundError):
        download(server.url, None, "c", "s", tmp_path / "no" / "file")


def test_a_snapshot_is_uploaded_whole(server, tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    upload(server.url, "secret", "a/b", tmp_path / "file")
    body = server.snapshots["/collections/a%2Fb/snapshots/upload"]
    assert content in body
    assert b'name="snapshot"' in body
    assert server.headers[-1]["api-key"] == "secret"


def test_an_upload_that_is_refused_says_why(server, tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    server.fail("snapshots/upload", 400, hang_up)
    with pytest.raises(UnexpectedResponse, match=r"told to answer 400"):
        upload(server.url, None, "c", tmp_path / "file")
    with pytest.raises(httpx.RemoteProtocolError):
        upload(server.url, None, "c", tmp_path / "file")
    assert server.snapshots == {}
