"""Ctrl-C ends a command within a second, wherever it waits for a server."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from fake_server import never_answer

SCRIPT = textwrap.dedent("""
    import asyncio, sys, time
    from qdrant_client import models

    from fg_search.engine.connection import connect, connect_async
    from fg_search.engine.blocking import drive

    POINTS = [models.PointStruct(id=1, vector=[1.0, 0.0], payload={})]

    async def write(engine):
        await engine.upsert("c", POINTS)

    async def write_in_the_background(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("c", POINTS))
            await writing.finish()

    async def write_while_working(engine):
        async with engine.background() as writing:
            writing.start(engine.upsert("c", POINTS))
            if sys.argv[2] == "blocking":
                await engine.work(lambda: time.sleep(60))
            await asyncio.sleep(60)

    async def run_async(operation):
        await operation(await connect_async(sys.argv[1]))

    def run(operation):
        try:
            if sys.argv[2] == "blocking":
                drive(operation(connect(sys.argv[1])))
            else:
                asyncio.run(run_async(operation))
        except KeyboardInterrupt:
            print(time.time(), flush=True)
        else:
            sys.exit("it was not interrupted")

    for line in sys.stdin:
        run(globals()[line.strip()])
    sys.exit(130)
""")
PUT = "PUT /collections/c/points"


def interrupt_when(process, happens):
    """Send Ctrl-C once something has happened, and return when."""
    deadline = time.monotonic() + 60
    while not happens():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    begin = time.time()
    process.send_signal(signal.SIGINT)
    return begin


OPERATIONS = [
    ("write", "hangs"),
    ("write_in_the_background", "hangs"),
    ("write_while_working", "hangs"),
    ("write_in_the_background", "is busy"),
    ("write", "is gone"),  # last: no other can begin
]


@pytest.mark.parametrize("face", ["blocking", "async"])
def test_an_operation_ends_within_a_second(server, face):
    """One after the other in one process, which ends at once after the last."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, server.url, face],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        for operation, state in OPERATIONS:
            server.forget_failures()
            server.requests.clear()
            server.fail(PUT, *([never_answer] if state == "hangs" else [503] * 999))
            if state == "is gone":
                server.forget_failures()
                server.fail(PUT, lambda _: threading.Thread(target=server.stop).start())
            process.stdin.write(f"{operation}\n")
            least = int(state == "is busy")
            begin = interrupt_when(process, lambda least=least: server.counted(PUT) > least)
            assert float(process.stdout.readline()) - begin < 1, (operation, state)
        process.stdin.close()
        assert process.wait(10) == 130, process.stderr.read()  # a busy machine needs seconds to unload Python


def test_the_command_line_ends_within_a_second(fake_server, saved_encoder, corpus, tmp_path):
    (tmp_path / "rows.csv").write_text("text\n" + "\n".join(corpus[0]))
    fake_server.fail("PUT .*/points$", never_answer)
    command = ["-m", "fg_search", "index", str(tmp_path / "rows.csv"), "--index", fake_server.url]
    with subprocess.Popen(
        [sys.executable, *command, "--encoder", str(saved_encoder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FG_SEARCH_CACHE": str(tmp_path / "cache")},
    ) as process:
        begin = interrupt_when(process, lambda: fake_server.counted("PUT .*/points$"))
        process.wait(10)  # a busy machine needs seconds to unload Python
        assert time.time() - begin < 1.2
        assert process.returncode == 130
        assert "Traceback" not in process.stderr.read()
