"""A collection is adopted, synced and left from the command line."""

import json

import pytest
from advising import Advice
from qdrant_client import models

from fg_search import BroughtVectors, EdgeClient, FeatureGroupEncoder


@pytest.fixture
def folder(tmp_path, corpus, tiny_model):
    texts, labels = corpus
    with EdgeClient(tmp_path / "shop") as client:
        client.create_collection(
            "products", vectors_config={"e": models.VectorParams(size=24, distance=models.Distance.COSINE)}
        )
        vectors = tiny_model.encode(texts).tolist()
        client.upsert(
            "products",
            [
                models.PointStruct(id=i, vector={"e": vectors[i]}, payload={"title": texts[i], "kind": labels[i]})
                for i in range(48)
            ],
        )
    return tmp_path / "shop"


def test_from_a_plan_to_undoing(run, folder, saved_encoder, corpus):
    what = ["--collection", "products"]
    how = [*what, "--vector", "e", "--text", "title", "--label", "kind", "--encoder", saved_encoder]
    code, out, _ = run("adopt", folder, *how, "--dry-run")
    assert code == 0
    assert "bytes a point" in out
    code, out, _ = run("adopt", folder, *how, "--dry-run", "--json")
    assert json.loads(out)["points"] == 48
    code, out, errors = run("adopt", folder, *how)
    assert (code, "an index of 48 points" in " ".join(out.split())) == (0, True), errors
    with EdgeClient(folder) as client:
        client.upsert("products", [models.PointStruct(id=99, vector={"e": [1.0] * 24}, payload={"title": "new"})])
    code, out, _ = run("info", "--index", folder, *what)
    assert "1 points that others have written" in " ".join(out.split())
    code, out, _ = run("sync", "--index", folder, *what)
    assert (code, out.strip()) == (0, "1 of 49 points brought up to date")
    code, out, _ = run("search", corpus[0][3], "--index", folder, *what)
    assert (code, corpus[1][3] in out) == (0, True)
    code, out, _ = run("adopt", folder, *what, "--undo")
    assert (code, "49 points" in out) == (0, True)
    with EdgeClient(folder) as client:
        assert client.get_collection("products").config.metadata in (None, {})


def test_what_is_missing_is_asked_for(run, folder):
    code, _, errors = run("adopt", folder, "--collection", "products")
    assert (code, "--text title" in errors) == (2, True)
    code, _, errors = run("adopt", folder, "--collection", "products", "--text", "title", "--vector", "e")
    assert (code, "--encoder FOLDER" in errors) == (2, True)
    code, _, errors = run("sync", "--index", folder, "--collection", "products")
    assert (code, "was not made by fg_search" in errors) == (1, True)


def test_a_folder_with_an_encoder_of_another_model_is_refused(run, folder, saved_encoder, tiny_model, tmp_path):
    what = ["--collection", "products", "--vector", "e", "--text", "title", "--dry-run"]
    tiny_model.save(str(tmp_path / "model"), create_model_card=False)
    code, out, errors = run("adopt", folder, *what, "--encoder", saved_encoder, "--model", tmp_path / "model")
    assert (code, "bytes a point" in out) == (0, True), errors
    FeatureGroupEncoder(BroughtVectors(24, "e")).fit(
        vectors=tiny_model.encode(["a", "b"]), labels=["a", "b"], steps=2
    ).save(tmp_path / "head")
    code, _, errors = run("adopt", folder, *what, "--encoder", tmp_path / "head", "--model", tmp_path / "model")
    advice = Advice(
        "… has an encoder of … already, which is not overwritten; choose another folder, or leave out --model to use "
        "that one"
    )
    assert (code, advice.is_in(errors.replace("│", " "))) == (2, True)
    code, _, errors = run("adopt", folder, *what, "--encoder", tmp_path / "head")
    assert code == 0, errors
