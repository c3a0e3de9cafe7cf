"""A forked child that uses its parent's index gets an error that says what to do, and does not hang."""

import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent("""
    import asyncio, os, sys, threading

    from fg_search import ConfidenceIndex
    from fg_search.edge import AsyncEdgeClient

    folder, url, other_folder, encoder = sys.argv[1:]


    def in_child(use):
        child = os.fork()
        if child == 0:
            threading.Timer(20, os._exit, [9]).start()
            try:
                use()
            except RuntimeError as error:
                print(error, flush=True)
                os._exit(0 if "forked" in str(error) else 2)
            except BaseException as error:
                print(repr(error), flush=True)
                os._exit(3)
            os._exit(4)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


    def blocking(location):
        with ConfidenceIndex(location, encoder) as index:
            index.add(["my card", "a loan"], ids=["a", "b"])
            index.search("card")
            codes = [
                in_child(use)
                for use in (
                    lambda: index.search("card"),
                    lambda: len(index),
                    lambda: index.add(["another"]),
                    lambda: index.encoder,
                    lambda: index.decide("a", "keep"),
                )
            ]
            assert len(index) == 2  # the parent goes on
        assert in_child_afterwards(location) == 0
        return codes


    def in_child_afterwards(location):
        child = os.fork()
        if child == 0:
            with ConfidenceIndex(location) as index:
                os._exit(0 if len(index) == 2 else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


    def edge_client(location):
        client = AsyncEdgeClient(location)
        asyncio.run(client.get_collections())
        code = in_child(lambda: asyncio.run(client.get_collections()))
        asyncio.run(client.close())
        return [code]


    codes = [blocking(folder), blocking(url), edge_client(other_folder)]
    print(codes)
    sys.exit(max(map(max, codes)))
""")


def test_a_forked_child_is_told_to_open_the_index_itself(tmp_path, saved_encoder, fake_server):
    """A folder, a server and a client alone, one after the other in one process."""
    where = [str(tmp_path / "index"), fake_server.url, str(tmp_path / "client"), str(saved_encoder)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *where],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("before the process was forked") == 11
