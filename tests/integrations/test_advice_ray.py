"""Ray: an index that workers fill, audit and renew is what the plain loop makes of the same rows."""

from __future__ import annotations

import json
import logging
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'fg-search[ray]'")

import ray.data
from advising import Advice
from index_fixtures import without_history
from pyarrow import Table, parquet
from qdrant_client import models
from qdrant_client.local.siphash import point_id_slice

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, IndexNotFoundError, StorageError
from fg_search.integrations.ray import RayIndexer, Workers
from fg_search.integrations.ray.slices import point_hashes
from fg_search.records import RecordError


@pytest.fixture(scope="module")
def workers():
    """Two workers on two processors, which stay for all tests: to start one takes longer than most of them."""
    quiet = logging.CRITICAL
    ray.init(
        "local",
        num_cpus=2,
        num_gpus=1,  # which Ray shares out, whether or not there is one
        include_dashboard=False,
        log_to_driver=False,
        logging_level=quiet,
        object_store_memory=10**8,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(quiet)
    with Workers(2, gpus=0.25, items=16) as workers:
        yield workers
    ray.shutdown()


@pytest.fixture
def files(tmp_path, rows) -> Path:
    """The corpus in a folder of two files, one of each kind, and a third without rows."""
    folder = tmp_path / "items"
    folder.mkdir()
    columns = [rows["ids"], rows["texts"], rows["labels"], [payload["parity"] for payload in rows["payloads"]]]
    items = [dict(zip(("id", "text", "label", "parity"), row, strict=True)) for row in zip(*columns, strict=True)]
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in items[:20]), encoding="utf-8")
    rest = Table.from_pylist(items[20:])
    parquet.write_table(rest, folder / "b.parquet")
    parquet.write_table(rest.slice(0, 0), folder / "c.parquet")  # as Spark leaves behind
    return folder


def jsonl(path: Path, *items: dict) -> Path:
    path.write_text("".join(f"{json.dumps(item)}\n" for item in items), encoding="utf-8")
    return path


def test_workers_write_what_the_plain_loop_writes_even_if_one_is_killed(
    workers, files, tmp_path, rows, saved_encoder, points_of
):
    driver, was_killed = os.getpid(), tmp_path / "killed"

    def make() -> FeatureGroupEncoder:
        made = FeatureGroupEncoder.load(saved_encoder, device="cpu")
        if os.getpid() != driver and not was_killed.exists():
            made.encode = die  # type: ignore[method-assign]
        return made

    def die(*_: Any, **__: Any) -> Any:
        was_killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    indexer = RayIndexer(tmp_path / "index", workers=workers)
    report = indexer.add(files, encoder=make, id="id", label="label")
    assert was_killed.exists()
    assert (report.written + report.unchanged, report.bad) == (48, 0)
    assert report.audit.is_exact
    assert (report.audit.items, report.audit.sampled) == (48, 48)
    with ConfidenceIndex(":memory:", make()) as plain, ConfidenceIndex(tmp_path / "index") as index:
        plain.add(**rows)
        wanted, found = points_of(plain), points_of(index)
        assert {key: point.payload for key, point in found.items()} == {
            key: point.payload for key, point in wanted.items()
        }
        for key, point in found.items():
            np.testing.assert_allclose(point.vector["base"], wanted[key].vector["base"], atol=1e-6)
        index.relabel({"d3": "corrected"})
    again = indexer.add(files, id="id", label="label")
    assert (again.written, again.unchanged) == (0, 48)
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.labels_of(["d3"]) == {"d3": "corrected"}


def test_workers_get_the_share_that_was_asked_for_and_batch_by_tokens(workers, files, tmp_path, saved_encoder):
    seen = tmp_path / "seen"

    def make() -> FeatureGroupEncoder:
        made = FeatureGroupEncoder.load(saved_encoder, device="cpu")
        encode = made.encode

        def noted(texts: list[str], **options: Any) -> Any:
            share = ray.get_runtime_context().get_assigned_resources()
            with seen.open("a") as file:
                file.write(json.dumps([share, len(texts), options.get("batch_size")]) + "\n")
            return encode(texts, **options)

        made.encode = noted  # type: ignore[method-assign]
        return made

    RayIndexer(tmp_path / "index", workers=workers).add(files, encoder=make, id="id", label="label", sampled=0)
    noted = [json.loads(line) for line in seen.read_text().splitlines()]
    assert {tuple(sorted(share.items())) for share, _, _ in noted} == {(("CPU", 0.5), ("GPU", 0.25))}
    assert sum(count for _, count, _ in noted) == 48
    assert {batch_size for _, _, batch_size in noted} == {None}  # the encoder cuts its batches by their tokens
    assert max(count for _, count, _ in noted) <= workers.items


def test_vectors_that_are_there_are_added_as_the_plain_loop_adds_them(
    workers, tmp_path, rows, saved_encoder, points_of
):
    encoder = FeatureGroupEncoder.load(saved_encoder, device="cpu")
    vectors = 3 * encoder.embed(rows["texts"])
    items = {"id": rows["ids"], "text": rows["texts"], "label": rows["labels"], "vec": vectors.tolist()}
    parquet.write_table(Table.from_pydict(items), tmp_path / "items.parquet")
    named = {"id": "id", "label": "label", "vector": "vec"}
    indexer = RayIndexer(tmp_path / "index", workers=workers)
    report = indexer.add(tmp_path / "items.parquet", encoder=saved_encoder, **named)
    assert (report.written, report.audit.is_exact, report.audit.sampled) == (48, True, 48)
    with ConfidenceIndex(":memory:", encoder) as plain, ConfidenceIndex(tmp_path / "index") as index:
        plain.add(rows["texts"], ids=rows["ids"], labels=rows["labels"], vectors=vectors)
        wanted, found = points_of(plain), points_of(index)
        assert {key: one.payload for key, one in found.items()} == {key: one.payload for key, one in wanted.items()}
    items["vec"][0] = [-number for number in items["vec"][0]]
    audit = indexer.audit(ray.data.from_arrow(Table.from_pydict(items)), **named)
    assert (audit.changed, audit.missing, audit.extra, audit.other_vectors) == (1, 0, 0, 0)


def test_vectors_that_do_not_fit_are_named(workers, tmp_path, saved_encoder):
    indexer = RayIndexer(tmp_path / "index", workers=workers)
    bad = jsonl(tmp_path / "bad.jsonl", {"id": 1, "v": [1.0, 2.0]}, {"id": 2, "v": None}, {"id": 3, "v": [0.0] * 24})
    with pytest.raises(RecordError, match="3 bad rows; nothing was written") as raised:
        indexer.add(bad, encoder=saved_encoder, text=None, id="id", vector="v")
    for named in (":1: 'v' has 2 numbers, and the index takes 24", ":2: 'v' is None", ":3: 'v' holds zeros alone"):
        assert f"{bad}{named}" in str(raised.value)
    advice = Advice("without texts, vectors are the items, and ids are shown: name both columns, vector=… and id=…")
    with advice.raised(ValueError):
        indexer.add(bad, text=None, id="id")
    jsonl(bad, {"id": 1, "v": [1.0] * 24})
    assert indexer.add(bad, text=None, id="id", vector="v").written == 1
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.items([1])[0].text == "1"


def test_an_audit_of_a_server_counts_by_slice_and_names_what_is_missing(workers, fake_server, saved_encoder, rows):
    fake_server.version = "1.19.0"
    data = ray.data.from_items([{"text": text, "n": i} for i, text in enumerate(rows["texts"])])
    indexer = RayIndexer(fake_server.url, collection="served", workers=workers)
    report = indexer.add(data, encoder=saved_encoder)
    assert report.written == 48
    assert report.audit.is_exact
    assert report.audit.slices > 1
    with ConfidenceIndex(fake_server.url, collection="served") as index:
        ids = [item.id for item in index.items(limit=3)]
        index.delete(ids[:1])
        index.add([rows["texts"][0] + " changed"], ids=[ids[1]])
        index.add(["another"], ids=["another"])
        [turned] = index.client.retrieve("served", ids[2:], with_vectors=True)
    other = {"base": [-number for number in turned.vector["base"]]}
    fake_server.client.update_vectors("served", [models.PointVectors(id=turned.id, vector=other)])
    audit = indexer.audit(data)
    assert (audit.missing, audit.changed, audit.extra, audit.other_vectors) == (1, 1, 1, 1)
    assert not audit.is_complete
    assert f'the item "{ids[0]}" is missing' in "\n".join(audit.examples)
    advice = Advice("somebody else may write to the index; add the data again, only what differs is written")
    with advice.raised(StorageError):
        audit.check()
    assert indexer.add(data, sampled=0).written == 2


def test_bad_rows_are_named_before_anything_is_written(workers, tmp_path, saved_encoder):
    indexer = RayIndexer(tmp_path / "index", workers=workers)
    bad = jsonl(tmp_path / "bad.jsonl", {"id": 1, "txt": "b"}, {"id": 2, "text": " "}, {"id": 2.5, "text": "a"})
    with pytest.raises(RecordError, match="3 bad rows; nothing was written") as raised:
        indexer.add(bad, encoder=saved_encoder, id="id")
    for named in (":1: no column 'text'; there are 'id', 'txt'", ":2: 'text' is empty", ":3: 'id' is 2.5"):
        assert f"{bad}{named}" in str(raised.value)
    twins = jsonl(tmp_path / "twins.jsonl", {"id": 7, "text": "a"}, {"id": 7, "text": "b"})
    advice = Advice("… ids are shared by rows that differ; give each item its own id")
    with advice.raised(RecordError) as raised:
        indexer.add(twins, id="id")
    assert f"{twins}:1 and {twins}:2 share the id 7 but differ" in str(raised.value)
    with pytest.raises(RecordError, match="no row; nothing was written"):
        indexer.add(jsonl(tmp_path / "void.jsonl"), id="id")
    with Advice("the ending is not known; use one of …").raised(RecordError):
        indexer.add(twins.rename(tmp_path / "twins.json5"), id="id")
    advice = Advice("… is no file that every node has; let Ray read it: pass ray.data.read_parquet(…) in its place")
    with advice.raised(ValueError):
        indexer.add("s3://items/a.parquet", id="id")
    with ConfidenceIndex(tmp_path / "index") as index:
        assert index.count() == 0


def test_bad_rows_are_left_out_if_that_is_asked_for(workers, tmp_path, saved_encoder):
    data = jsonl(tmp_path / "rows.jsonl", {"text": "parcel"}, {"text": ""}, {"text": "parcel"})
    report = RayIndexer(tmp_path / "index", workers=workers).add(data, encoder=saved_encoder, on_error="skip")
    assert (report.written, report.unchanged, report.bad, report.audit.items) == (1, 1, 1, 1)


def test_an_encoder_that_a_worker_cannot_read_is_named(workers, tmp_path, encoder, tiny_model):
    with ConfidenceIndex(tmp_path / "index", encoder):
        pass
    data = jsonl(tmp_path / "rows.jsonl", {"text": "parcel"})
    indexer = RayIndexer(tmp_path / "index", workers=workers)
    advice = Advice(
        "the node … cannot read the encoder: …; put it where all nodes have it under the same path, or pass a "
        "function that makes it"
    )
    with advice.raised(EncoderNotFoundError):
        indexer.add(data, encoder=tmp_path / "gone")
    unsaved = FeatureGroupEncoder(tiny_model).fit(["my card", "my loan"], labels=["card", "loan"], steps=2)
    with ConfidenceIndex(tmp_path / "unsaved", unsaved):
        pass
    advice = Advice(
        "the index … was filled by an encoder that was never saved; pass its folder, or a function that makes it, as "
        "encoder=…"
    )
    with advice.raised(EncoderNotFoundError):
        RayIndexer(tmp_path / "unsaved", workers=workers).audit(data)


def test_refit_by_workers_is_refit(workers, tmp_path, rows, saved_encoder, points_of):
    for name in ("plain", "sliced"):
        with ConfidenceIndex(tmp_path / name, saved_encoder) as index:
            index.add(**rows)
            index.relabel({"d3": rows["labels"][20]})
    made = RayIndexer(tmp_path / "sliced", workers=workers).refit(tmp_path / "new")
    with ConfidenceIndex(tmp_path / "plain") as plain, ConfidenceIndex(tmp_path / "sliced") as sliced:
        same = plain.refit(tmp_path / "same")
        assert sliced.metadata.fingerprint == made.fingerprint == same.fingerprint
        found, wanted = points_of(sliced), points_of(plain)
        assert {key: without_history(point.payload) for key, point in found.items()} == {
            key: without_history(point.payload) for key, point in wanted.items()
        }


def test_a_collection_is_adopted_synced_and_refitted_by_workers(workers, tmp_path, corpus, encoder):
    texts, labels = corpus
    vectors = encoder.embed(texts)
    points = [
        models.PointStruct(id=i, vector=vector.tolist(), payload={"title": text, "kind": label})
        for i, (vector, text, label) in enumerate(zip(vectors, texts, labels, strict=True))
    ]
    params = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
    with EdgeClient(tmp_path / "theirs") as client:
        client.create_collection("shop", vectors_config=params)
        client.upsert("shop", points[:-1])
    indexer = RayIndexer(tmp_path / "theirs", collection="shop", workers=workers)
    assert indexer.adopt(text="title", label="kind", folder=tmp_path / "learned").written == 47
    with EdgeClient(tmp_path / "theirs") as client:
        client.upsert("shop", points[-1:])
    assert (indexer.sync().written, indexer.sync().written) == (1, 0)
    made = indexer.refit(tmp_path / "new")
    with ConfidenceIndex(tmp_path / "theirs", collection="shop") as index:
        assert (index.metadata.fingerprint, index.info().unsynced, index.count()) == (made.fingerprint, 0, 48)
        assert index.search(vector=vectors[5]).hits[0].label == labels[5]


def test_slices_are_those_of_qdrant():
    rng = np.random.default_rng(0)
    ids = [int(one) for one in rng.integers(0, 2**64, 20, dtype=np.uint64)] + [0, 2**64 - 1]
    ids += [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(20)]
    assert [int(one) % 7 for one in point_hashes([str(one) for one in ids])] == [point_id_slice(one, 7) for one in ids]


def test_what_workers_cannot_reach_is_refused(workers, tmp_path, encoder):
    with Advice("workers are processes of their own, which reach nothing in memory; give a folder or a URL").raised():
        RayIndexer(":memory:", workers=workers).sync()
    with Advice("workers open the index themselves: give a folder or a URL as location, not …").raised(TypeError):
        RayIndexer(EdgeClient(tmp_path), workers=workers).sync()
    with pytest.raises(IndexNotFoundError):
        RayIndexer(tmp_path / "none", workers=workers).refit(tmp_path / "new")
    advice = Advice(
        "encoder must be the folder of a saved encoder or a function that makes one in each worker, got "
        "…; save it with encoder.save(folder)"
    )
    with advice.raised(TypeError):
        RayIndexer(tmp_path / "index", workers=workers).migrate(encoder)
    advice = Advice(
        "… workers of … … each… need …, and the Ray cluster has …; take fewer workers or a smaller share: "
        "Workers(count, …s=…)"
    )
    with advice.raised(ValueError) as raised:
        RayIndexer(tmp_path / "index", workers=Workers(100)).add(tmp_path, encoder=encoder)
    assert "100 workers of 0.5 CPU each" in str(raised.value)
