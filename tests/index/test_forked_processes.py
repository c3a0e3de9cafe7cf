"""A forked child that uses its parent's index gets an error that says what to do, and does not hang."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = textwrap.dedent("""
    import asyncio, os, sys, threading

    from fg_search import ConfidenceIndex
    from fg_search.edge import AsyncEdgeClient

    location, encoder, case = sys.argv[1:]


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


    def blocking():
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
        assert in_child_afterwards() == 0
        return codes


    def in_child_afterwards():
        child = os.fork()
        if child == 0:
            with ConfidenceIndex(location) as index:
                os._exit(0 if len(index) == 2 else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


    def edge_client():
        client = AsyncEdgeClient(location)
        asyncio.run(client.get_collections())
        code = in_child(lambda: asyncio.run(client.get_collections()))
        asyncio.run(client.close())
        return [code]


    codes = globals()[case]()
    print(codes)
    sys.exit(max(codes))
""")


@pytest.mark.parametrize(("case", "kind"), [("blocking", "folder"), ("blocking", "server"), ("edge_client", "folder")])
def test_a_forked_child_is_told_to_open_the_index_itself(tmp_path, saved_encoder, fake_server, case, kind):
    location = str(tmp_path / "index") if kind == "folder" else fake_server.url
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, location, str(saved_encoder), case],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "before the process was forked" in done.stdout
