"""A forked child that uses its parent's index gets an error that says what to do, and does not hang."""

import textwrap

from fg_search import ConfidenceIndex

SCRIPT = textwrap.dedent("""
    import asyncio, os, signal, sys, threading

    from fg_search import ConfidenceIndex, FeatureEmbeddings
    from fg_search.edge import AsyncEdgeClient

    signal.alarm(100)  # rather than hang
    folder, url, other_folder, embeddings = sys.argv[1:]
    embedded = FeatureEmbeddings.load(embeddings)  # of two texts: nothing here needs torch


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
        with ConfidenceIndex(location) as index:
            index.add(["my card", "a loan"], ids=["a", "b"], embeddings=embedded)
            index.search_many(["card"], embeddings=embedded[:1])
            codes = [
                in_child(use)
                for use in (
                    lambda: index.search("card"),
                    lambda: index.search_many(["card"], embeddings=embedded[:1]),
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


def test_a_forked_child_is_told_to_open_the_index_itself(tmp_path, encoder, fake_server, programs):
    """A folder, a server and a client alone, one after the other in one process."""
    encoder.encode(["my card", "a loan"]).save(tmp_path / "embeddings")
    for location in (tmp_path / "index", fake_server.url):
        ConfidenceIndex(location, encoder).close()
    done = programs.run(SCRIPT, tmp_path / "index", fake_server.url, tmp_path / "client", tmp_path / "embeddings")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("before the process was forked") == 13
