import signal
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import FolderLockedError, StorageError

QUESTION = "please help my card is stolen"


def test_a_folder_open_in_another_process_is_refused(tmp_path, encoder, programs):
    script = textwrap.dedent("""
        import sys
        from fg_search import ConfidenceIndex
        from fg_search.errors import FolderLockedError
        try:
            ConfidenceIndex(sys.argv[1])
        except FolderLockedError as error:
            print(error)
    """)
    with ConfidenceIndex(tmp_path / "i", encoder):
        done = programs.run(script, tmp_path / "i")
        assert done.returncode == 0, done.stderr
        assert str(tmp_path / "i") in done.stdout
        with pytest.raises(FolderLockedError):
            ConfidenceIndex(tmp_path / "i")


def test_an_interrupted_creation_is_completed_when_the_index_is_opened(tmp_path, encoder, corpus, monkeypatch):
    texts, _ = corpus

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EdgeClient, "create_payload_index", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ConfidenceIndex(tmp_path / "i", encoder)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(texts)
        assert len(index.review(limit=5)) == 5


# a process that is killed; all texts have one embedding there, which needs no torch


@pytest.fixture
def embedded(tmp_path, encoder):
    """A new index, and a file with the embedding of one text."""
    with ConfidenceIndex(tmp_path / "i", encoder):
        encoder.encode(["my card"]).save(tmp_path / "embedding")
    return [str(tmp_path / "i"), str(tmp_path / "embedding")]


WRITER = """
import sys
from fg_search import ConfidenceIndex, FeatureEmbeddings
from fg_search.index import ingestion
from fg_search.index.state import IndexState
from fg_search.model import progress

embedding = FeatureEmbeddings.load(sys.argv[2])
IndexState.encode = lambda self, texts, batch_size, role, **_: embedding[[0] * len(texts)]
ingestion.ITEMS_PER_WRITE = 10

class Bar:
    def __init__(self, **_): self.done = 0
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def update(self, more):
        self.done += more
        if more: print(self.done, flush=True)

progress.tqdm = Bar
with ConfidenceIndex(sys.argv[1]) as index:
    index.add([f"my card number {i}" for i in range(40_000)], ids=range(40_000), labels=["card"] * 40_000)
"""


def test_a_killed_process_loses_no_acknowledged_item_and_the_next_one_goes_on(
    tmp_path, embedded, encoder, encoded, programs
):
    process = programs.start(WRITER, *embedded)
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 150:
            process.kill()
            break
    rest = [int(line) for line in process.stdout.read().split()]  # printed before the signal came
    acknowledged = max([acknowledged, *rest])
    assert process.wait() == -signal.SIGKILL
    assert 150 <= acknowledged < 40_000
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        there = len(index)
        records, _ = index.client.scroll(index.collection, limit=there + 1, with_payload=True, with_vectors=True)
        assert {record.id for record in records} >= set(range(acknowledged))
        assert {record.id for record in records} == set(range(there))
        for record in records:  # whole items, nothing but what was handed in
            assert record.payload["fg"]["text"] == f"my card number {record.id}"
            assert set(record.vector) == {"base", "features"}
        total = there + 37
        texts = [f"my card number {i}" for i in range(total)]
        report = index.add(texts, ids=range(total), labels=["card"] * total)
        assert (report.written, report.unchanged) == (37, there)
        assert encoded == texts[there:]
        assert len(index) == total


def test_nothing_of_a_killed_process_keeps_the_folder_locked(tmp_path, embedded, encoder, programs):
    script = """
import os, signal, sys
from fg_search import ConfidenceIndex, FeatureEmbeddings
index = ConfidenceIndex(sys.argv[1])
index.add(["my card"], embeddings=FeatureEmbeddings.load(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert programs.run(script, *embedded).returncode == -signal.SIGKILL
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert len(index) == 1
        assert index.search("my card").hits


# an engine that fails


class FailingClient:
    """Client whose writes fail beginning with the n-th, before or after they are done."""

    def __init__(self, client, fail_at, *, after=False):
        self._client, self._left, self._after = client, fail_at - 1, after

    def upsert(self, *arguments, **options):
        self._left -= 1
        if self._left >= 0:
            return self._client.upsert(*arguments, **options)
        if self._after and self._left == -1:
            self._client.upsert(*arguments, **options)
        raise ConnectionError("the engine went away")

    def __getattr__(self, name):
        return getattr(self._client, name)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fail_at", [1, 2, 4, 5])
@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_what_a_failing_engine_took_is_there_and_the_rest_is_added_the_next_time(
    kind, tmp_path, encoder, corpus, monkeypatch, encoded, fail_at, after
):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    texts, labels = corpus
    client = EdgeClient(tmp_path / "i") if kind == "edge" else QdrantClient(":memory:")
    index = ConfidenceIndex(FailingClient(client, fail_at, after=after), encoder)
    with pytest.raises(ConnectionError, match="went away"):
        index.add(texts, labels=labels, parallel=1)  # of several writes at once, the later ones may be there, too
    there = min(10 * (fail_at - 1 + after), 48)
    assert len(index) == there
    encoded.clear()
    report = ConfidenceIndex(client, encoder).add(texts, labels=labels)
    assert (report.written, report.unchanged) == (48 - there, there)
    assert encoded == texts[there:]
    client.close()


def test_a_failing_encoder_leaves_whole_batches(local, corpus, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    monkeypatch.setattr("fg_search.index.ingestion._LITTLE_TIME", 0)
    encode, calls = FeatureGroupEncoder.encode, []

    def failing(self, texts, **options):
        calls.append(len(texts))
        if len(calls) == 3:
            raise MemoryError("too much")
        return encode(self, texts, **options)

    monkeypatch.setattr(FeatureGroupEncoder, "encode", failing)
    with pytest.raises(MemoryError):
        local.add(corpus[0])
    assert len(local) == 20
    assert local.add(corpus[0]).written == 28


# threads


def test_threads_that_search_while_another_adds_see_whole_items_and_no_errors(local, corpus, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 5)
    texts, labels = corpus
    local.add(texts[:5], labels=labels[:5], payloads=[{"text": text} for text in texts[:5]])
    known = dict(zip(texts, labels, strict=True))
    errors, seen, stop = [], set(), threading.Event()

    def search(rank_by):
        while not stop.is_set():
            try:
                hits = local.search("my card", limit=48, rank_by=rank_by).hits
                assert len({hit.id for hit in hits}) == len(hits) >= 1
                for hit in hits:
                    assert hit.payload == {"text": hit.text}
                    assert hit.label == known[hit.text]
                    assert 0 < hit.confidence <= 1
                seen.add(len(hits))
                assert 5 <= len(local) <= 48
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=search, args=(rank_by,)) for rank_by in ("base", "both")]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            local.add(texts, labels=labels, payloads=[{"text": text} for text in texts])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len(local) == 48
    assert seen


def test_threads_that_add_the_same_items_add_them_once(local, corpus, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 7)
    texts, labels = corpus
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: local.add(texts, labels=labels), range(4)))
    assert len(local) == 48
    assert local.add(texts, labels=labels).unchanged == 48


# a server that fails


def test_an_index_on_a_server_does_what_the_others_do(fake_server, encoder, rows, questions, points_of):
    with (
        ConfidenceIndex(fake_server.url, encoder) as remote,
        ConfidenceIndex(":memory:", encoder) as local,
    ):
        for index in (local, remote):
            index.add(**rows)
            index.relabel({"d0": "fraud", "d1": None})
            index.delete(["d2"])
            index.calibrate(*questions(100, 0))
        assert len(remote) == len(local) == 47
        assert remote.add(**rows).written == local.add(**rows).written == 1
        one, other = remote.search(QUESTION), local.search(QUESTION)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in other.hits], abs=1e-5)
        assert remote.info().corrected == local.info().corrected == 2
    with ConfidenceIndex(fake_server.url) as again:
        assert again.calibration.queries == 100
        assert len(again) == 48


def test_a_server_that_stumbles_in_the_middle_of_adding_gets_everything_once(
    fake_server, encoder, rows, monkeypatch, clock
):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    with ConfidenceIndex(fake_server.url, encoder) as index:
        fake_server.fail("PUT .*/points$", 503, (429, {"Retry-After": "5"}), 502)
        fake_server.fail("PUT .*/points$", 503, lambda _: None, after=True)
        fake_server.fail("POST .*/points$", 500, 500)
        fake_server.fail("GET /collections/.+", 503)
        assert index.add(**rows).written == 48
        assert len(index) == 48
        fake_server.fail("POST .*/points/query/batch", 503, lambda _: None)
        assert index.search(QUESTION, limit=3).hits[0].label == "card"


def test_a_server_that_stays_away_keeps_what_it_took_and_a_rerun_goes_on(
    fake_server, encoder, rows, monkeypatch, clock, encoded
):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    with ConfidenceIndex(fake_server.url, encoder) as index:
        index.add(**{name: column[:20] for name, column in rows.items()})
        fake_server.fail("PUT .*/points$", *[503] * 99)
        with pytest.raises(StorageError, match=r"503.* was asked for \d+ s\. What was acknowledged before is kept"):
            index.add(**rows)
        fake_server.forget_failures()
        assert len(index) == 20
        encoded.clear()
        assert index.add(**rows).written == 28
        assert encoded == rows["texts"][20:]


def test_a_snapshot_that_the_server_does_not_hand_over_leaves_no_file(fake_server, encoder, tmp_path):
    with ConfidenceIndex(fake_server.url, encoder) as index:
        index.add(["my card"])
        with pytest.raises(StorageError, match="refused the request download"):
            index.snapshot(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_is_named(fake_server, encoder):
    fake_server.fail("GET /collections$", 401)
    with pytest.raises(StorageError, match=r"refused the request.*401.*API key"):
        ConfidenceIndex(fake_server.url, encoder)
