import logging
import sqlite3

import numpy as np
import pytest

from fg_search import FeatureGroupEncoder
from fg_search.errors import StorageError
from fg_search.model.cache import EmbeddingCache, default_cache_folder


def test_only_new_texts_reach_the_model(tiny_model, tmp_path, monkeypatch):
    encoder = FeatureGroupEncoder(tiny_model, cache_folder=tmp_path)
    encoded = []
    original = tiny_model.encode
    monkeypatch.setattr(
        tiny_model, "encode", lambda texts, **options: encoded.extend(texts) or original(texts, **options)
    )
    first = encoder.embed(["my card", "pizza"])
    second = encoder.embed(["hotel", "pizza", "my card", "hotel"])
    assert sorted(encoded) == ["hotel", "hotel", "my card", "pizza"]
    np.testing.assert_array_equal(second[[2, 1]], first)
    np.testing.assert_allclose(second, original(["hotel", "pizza", "my card", "hotel"]), atol=1e-6)


def test_a_second_fit_gives_the_same_head(tiny_model, corpus, tmp_path):
    texts, labels = corpus
    sizes = {"groups": 4, "codes": 3, "hidden": 16, "steps": 20}
    fingerprints = [
        FeatureGroupEncoder(tiny_model, cache_folder=tmp_path).fit(texts, labels=labels, **sizes).fingerprint
        for _ in range(2)
    ]
    assert fingerprints[0] == fingerprints[1]


def test_models_do_not_share_vectors(tmp_path):
    EmbeddingCache(tmp_path, "one", 2).put(["a"], np.ones((1, 2), np.float32))
    _, found = EmbeddingCache(tmp_path, "two", 2).get(["a"])
    assert not found.any()


def test_many_texts_are_found_at_once(tmp_path):
    cache = EmbeddingCache(tmp_path, "m", 3)
    texts = [f"text {i}" for i in range(1300)]
    vectors = np.random.default_rng(0).standard_normal((1300, 3)).astype(np.float32)
    cache.put(texts, vectors)
    read, found = cache.get([*reversed(texts), "new"])
    assert found.tolist() == [True] * 1300 + [False]
    np.testing.assert_array_equal(read[:-1], vectors[::-1])


WRITER = """
import sys
import numpy as np
from fg_search.model.cache import EmbeddingCache
cache = EmbeddingCache(sys.argv[1], "m", 2)
print("ready", flush=True)
sys.stdin.readline()
for i in range(30):
    cache.put([f"{sys.argv[2]} {i}"], np.full((1, 2), i, np.float32))
"""


def test_two_processes_write_at_the_same_time(tmp_path, programs):
    writers = [programs.start(WRITER, tmp_path, name) for name in "ab"]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    for writer in writers:
        writer.stdin.write("go\n")
    assert [writer.wait() for writer in writers] == [0, 0]
    _, found = EmbeddingCache(tmp_path, "m", 2).get([f"{name} {i}" for name in "ab" for i in range(30)])
    assert found.all()


def test_a_broken_file_says_what_to_do(tmp_path):
    (tmp_path / "m.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StorageError, match="delete it"):
        EmbeddingCache(tmp_path, "m", 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        EmbeddingCache(tmp_path / "file", "m", 2)


def test_vectors_of_another_size_are_not_used(tmp_path):
    cache = EmbeddingCache(tmp_path, "m", 2)
    cache.put(["a"], np.ones((1, 2), np.float32))
    with sqlite3.connect(tmp_path / "m.sqlite") as connection:
        connection.execute("UPDATE vectors SET vector = ?", (b"1234",))
    connection.close()
    assert not cache.get(["a"])[1].any()


def test_the_default_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("FG_SEARCH_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path
    monkeypatch.delenv("FG_SEARCH_CACHE")
    assert default_cache_folder().name == "fg_search"


@pytest.fixture
def warnings_of(caplog):
    caplog.set_level(logging.WARNING, "fg_search")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("fg_search")]


def test_a_cache_that_cannot_be_used_is_one_warning_and_no_error(tiny_model, tmp_path, warnings_of):
    (tmp_path / "file").write_text("")
    encoder = FeatureGroupEncoder(tiny_model, cache_folder=tmp_path / "file")
    for _ in range(3):
        np.testing.assert_allclose(encoder.embed(["my card"]), tiny_model.encode(["my card"]), atol=1e-6)
    (said,) = warnings_of()
    assert "cache_folder=None, --no-cache" in said
    encoder.cache_folder = tmp_path / "good"
    encoder.embed(["my card"])
    assert list((tmp_path / "good").iterdir())


@pytest.mark.parametrize("method", ["get", "put"])
def test_a_cache_that_fails_in_the_middle_does_not_stop_the_work(
    tiny_model, tmp_path, warnings_of, monkeypatch, method
):
    def full(*_):
        raise StorageError("the embedding cache cannot be used (disk full)")

    monkeypatch.setattr(EmbeddingCache, method, full)
    encoder = FeatureGroupEncoder(tiny_model, cache_folder=tmp_path)
    texts = [f"my card {i}" for i in range(1030)]
    np.testing.assert_allclose(encoder.embed(texts)[:2], tiny_model.encode(texts[:2]), atol=1e-6)
    assert sum("going on without it" in said for said in warnings_of()) == 1
