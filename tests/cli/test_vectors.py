"""Vectors that are there already, and what makes others, on the command line."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from fg_search import BroughtVectors, ConfidenceIndex, FeatureGroupEncoder


@pytest.fixture(scope="module")
def files(tiny_model, corpus, questions, tmp_path_factory):
    """The corpus and questions as JSONL, Parquet and numpy files, with and without texts."""
    import pyarrow as pa
    from pyarrow import parquet

    folder = tmp_path_factory.mktemp("vectors")
    texts, labels = corpus
    asked, right = questions(100, 3)
    for name, rows, answers in (("items", texts, labels), ("asked", asked, right)):
        vectors = tiny_model.encode(rows)
        np.save(folder / f"{name}.npy", vectors)
        table = {"key": [f"{name}-{i}" for i in range(len(rows))], "label": answers, "embedding": vectors.tolist()}
        lines = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        (folder / f"{name}-bare.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with_texts = [{"text": text, **line} for text, line in zip(rows, lines, strict=True)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in with_texts))
        parquet.write_table(pa.table({"text": rows, **table}), folder / f"{name}.parquet")
        for line in lines:
            del line["embedding"]
        (folder / f"{name}-keys.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def answers_of(run, files, folder, queries, vectors):
    code, out, err = run("search", "--index", folder / "idx", "--queries", queries, "--vectors", vectors, "--json")
    assert code == 0, err
    return [[hit["id"] for hit in json.loads(line)["hits"]] for line in out.splitlines()]


@pytest.fixture(scope="module")
def of_vectors(files):
    """Folder of an encoder of the vectors, which embeds no texts."""
    labels = [json.loads(line)["label"] for line in (files / "items.jsonl").read_text().splitlines()]
    encoder = FeatureGroupEncoder(BroughtVectors(24))
    encoder.fit(vectors=np.load(files / "items.npy"), labels=labels, groups=4, codes=4, hidden=16, steps=60)
    encoder.save(files / "enc")
    return files / "enc"


@pytest.mark.parametrize(
    ("kind", "vectors", "text"), [("{}.parquet", "embedding", True), ("{}-keys.jsonl", "{}.npy", False)]
)
def test_everything_goes_by_vectors(run, files, of_vectors, tmp_path, kind, vectors, text):
    def given(name):
        column = files / vectors.format(name) if vectors.endswith(".npy") else vectors
        return files / kind.format(name), column

    items, of_items = given("items")
    asked, of_asked = given("asked")
    idx = tmp_path / "idx"
    more = ("--label", "label", "--id", "key", "--encoder", of_vectors, "--index", idx)
    code, out, err = run("index", items, "--vectors", of_items, *more)
    assert code == 0, err
    assert "48 items written" in out
    assert "0 items written, 48 unchanged" in run("index", items, "--vectors", of_items, *more)[1]
    for command in () if text else ("calibrate", "evaluate"):
        code, _, err = run(command, "--index", idx, "--queries", asked, "--vectors", of_asked)
        assert code == 0, err
    with ConfidenceIndex(idx) as index:
        results = index.search_many(vectors=np.load(files / "asked.npy"))
        hit = index.search(vector=np.load(files / "items.npy")[0], rank_by="base").hits[0]
        assert (hit.id, hit.text == "items-0", hit.payload) == ("items-0", not text, {})
    assert answers_of(run, files, tmp_path, asked, of_asked) == [[hit.id for hit in found.hits] for found in results]
    code, _, err = run("search", "my card", "--index", idx)
    assert (code, "nothing embeds texts here" in " ".join(err.split())) == (1, True)


def test_an_encoder_is_fitted_on_vectors_with_and_without_a_model(run, files, tiny_model, tmp_path):
    tiny_model.save(str(tmp_path / "model"))
    command = ("fit", files / "items.jsonl", "--label", "label", "--groups", 2, "--codes", 2)
    model = ("--model", tmp_path / "model")
    for name, more in (("a", ("--vectors", files / "items.npy")), ("b", ("--vectors", "embedding", *model))):
        code, _, err = run(*command, "-o", tmp_path / name, *more)
        assert code == 0, err
        assert "fitted on 48 vectors" in err
    alone, with_model = (FeatureGroupEncoder.load(tmp_path / name) for name in "ab")
    assert with_model.base_fingerprint == FeatureGroupEncoder(tiny_model).base_fingerprint
    vectors = with_model.embed(["my card"])
    np.testing.assert_allclose(
        alone.features(vectors).probabilities, with_model.features(vectors).probabilities, atol=1e-4
    )


def test_wrong_vectors_are_named_by_file_and_line(run, files, tmp_path):
    def fails(rows, *more, vectors="v"):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        code, _, err = run(
            "fit", tmp_path / "rows.jsonl", "--label", "l", "--vectors", vectors, "-o", tmp_path / "enc", *more
        )
        assert code != 0
        return " ".join(err.replace("│", " ").split())

    good = [{"l": "ab"[i % 2], "v": [1.0, float(i)]} for i in range(6)]
    stop = ("--on-error", "stop")
    assert "rows.jsonl:2: 'v' is 'x', not a vector" in fails([good[0], {"l": "a", "v": "x"}], *stop)
    assert "rows.jsonl:2: 'v' is 7, not a vector" in fails([good[0], {"l": "a", "v": 7}], *stop)
    assert "'v' holds a number that is missing, NaN or infinite" in fails([{"l": "a", "v": [None, 1]}], *stop)
    assert "'v' holds zeros alone, which point nowhere" in fails([{"l": "a", "v": [0, 0]}], *stop)
    assert "rows.jsonl:3: 'v' has 3 numbers, that of" in fails([*good[:2], {"l": "a", "v": [1, 2, 3]}])
    assert "no column 'w'" in fails(good, vectors="w")
    np.save(tmp_path / "v.npy", np.ones((5, 2)))
    assert "v.npy holds an array of shape (5, 2), there are 6 good rows; give one vector for each row" in fails(
        good, vectors=tmp_path / "v.npy"
    )
    (tmp_path / "v.npy").write_bytes(b"no")
    assert "is no file of numpy" in fails(good, vectors=tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    assert "is no file of numpy" in fails(good, vectors=tmp_path / "v.npy")


@pytest.fixture
def endpoint(tiny_model):
    """Address of a server that embeds as OpenAI's API does, and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, self.headers["authorization"], body["model"], *body["input"]))
            vectors = tiny_model.encode(body["input"]).tolist()
            answer = json.dumps({"data": [{"index": i, "embedding": row} for i, row in enumerate(vectors)]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_api_embeds(run, files, endpoint, tmp_path, monkeypatch):
    url, asked = endpoint
    monkeypatch.setenv("FG_SEARCH_EMBEDDER_KEY", "secret")
    enc, idx = tmp_path / "enc", tmp_path / "idx"
    roles = ("--query-prompt", "please ", "--document-prompt", "the ")
    code, _, err = run(
        "fit", files / "items.jsonl", "--label", "label", "--embedder", url, "--model", "m", "-o", enc, *roles
    )  # fmt: skip
    assert code == 0, err
    assert {row[:3] for row in asked} == {("/v1/embeddings", "Bearer secret", "m")}
    assert "secret" not in (enc / "fg_search.json").read_text()
    assert run("index", files / "items.jsonl", "--encoder", enc, "--index", idx)[0] == 0
    asked.clear()
    assert run("search", "my card", "--index", idx)[0] == 0
    assert asked == [("/v1/embeddings", "Bearer secret", "m", "please my card")]
