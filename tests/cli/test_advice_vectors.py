"""Advice about vectors and models on the command line."""

import json

import numpy as np
import pytest
from advising import Advice


@pytest.fixture
def rows(tmp_path):
    """Six rows with vectors and no texts."""
    lines = [{"key": i, "label": "ab"[i % 2], "v": [1.0, float(i)]} for i in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "rows.jsonl"


@pytest.fixture
def asks(run, rows, tmp_path):
    """Run a command in which FILE is the rows, ENC and IDX are folders; what it prints on stderr, without a frame."""
    places = {"FILE": rows, "ENC": tmp_path / "enc", "IDX": tmp_path / "idx"}

    def asks(*arguments):
        code, _, err = run(*(places.get(argument, argument) for argument in arguments))
        return code, " ".join(err.replace("│", " ").split())

    return asks


def _fails(asks, advice, *arguments):
    code, err = asks(*arguments)
    assert code in (1, 2)
    assert advice.is_in(err), err


def test_vectors_are_given_with_what_they_are_of(asks, tmp_path):
    fit = ("fit", "FILE", "--label", "label", "-o", "ENC", "--groups", 2, "--codes", 2)
    np.save(tmp_path / "v.npy", np.ones((5, 2)))
    advice = Advice(
        "… holds an array of shape …, there are … good rows; give one vector for each row, and correct bad rows "
        "(--on-error stop shows the first)"
    )
    _fails(asks, advice, *fit, "--vectors", tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((6, 2)))
    assert asks(*fit, "--vectors", tmp_path / "v.npy")[0] == 0
    index = ("index", "FILE", "--label", "label", "--encoder", "ENC", "--index", "IDX", "--vectors", "v")
    _fails(asks, Advice("… has no column … to show; name one (--text), or that of the id (--id)"), *index)
    assert asks(*index, "--id", "key")[0] == 0
    assert asks(*index, "--text", "label", "--id", "key")[0] == 0
    advice = Advice("--vectors are those of --queries FILE; give that, too")
    _fails(asks, advice, "search", "a", "--index", "IDX", "--vectors", "v")
    _fails(asks, advice, "calibrate", "--index", "IDX", "--vectors", "v")
    assert asks("search", "--index", "IDX", "--queries", "FILE", "--vectors", "v")[0] == 0
    advice = Advice("--vectors are there already, and --images are embedded; give one of them")
    for command in (fit, index):
        _fails(asks, advice, *command, "--vectors", "v", "--images", "key")


def test_a_model_is_run_in_one_way(asks):
    fit = ("fit", "FILE", "--text", "label", "-o", "ENC")
    advice = Advice("--backend runs a model here, --embedder asks for it elsewhere; give one of them")
    _fails(asks, advice, *fit, "--embedder", "http://a/v1", "--backend", "fastembed")
    advice = Advice("… cannot be chosen with …; leave it out")
    _fails(asks, advice, *fit, "--embedder", "http://a/v1", "--dtype", "float16")
    _fails(asks, advice, *fit, "--backend", "fastembed", "--truncate-dim", 3)
    _fails(asks, advice, *fit, "--backend", "model2vec", "--query-prompt", "a")
    code, err = asks(*fit, "--backend", "fastembed", "--query-prompt", "a", "--symmetric")
    assert code == 2
    assert "with --symmetric and --backend fastembed, give --query-prompt and --document-prompt alike" in err
    code, err = asks("fit", "--refresh", "IDX", "-o", "ENC", "--symmetric")
    assert "--symmetric does not go with --refresh" in err


def test_items_are_vectors_or_pictures(asks):
    advice = Advice("--vectors are there already, and --images are embedded; give one of them")
    both = ("--vectors", "v", "--images", "key", "--label", "label")
    fit = ("fit", "FILE", "-o", "ENC", "--groups", 2, "--codes", 2)
    _fails(asks, advice, *fit, *both)
    _fails(asks, advice, "index", "FILE", "--index", "IDX", *both)
    code, err = asks("index", "FILE", "--index", "IDX", "--images", "label", "--id", "key", "--encoder", "ENC")
    assert code == 1  # there is no encoder yet
    assert asks(*fit, *both[:2], *both[4:])[0] == 0
    code, err = asks("index", "FILE", "--index", "IDX", "--images", "key", "--id", "key", "--encoder", "ENC")
    assert (code, "no file of a picture in the column 'key'" in err) == (1, True)
