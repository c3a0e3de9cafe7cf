"""The command line says, and its exit code says, when a promise no longer holds for the traffic."""

import json

import pytest

from fg_search import ConfidenceIndex, FeatureGroupEncoder, IndexSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model, corpus, questions, other_questions):
    """A calibrated index, and queries like those judged and others."""
    folder = tmp_path_factory.mktemp("traffic")
    tiny_model.save(str(folder / "model"))
    encoder = FeatureGroupEncoder(str(folder / "model"))
    encoder.fit(corpus[0], labels=corpus[1], groups=4, codes=3, hidden=16, steps=60, seed=0)
    encoder.save(folder / "encoder")
    with ConfidenceIndex(folder / "index", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate(*questions(400, 0))
    for name, rows in (("alike", questions(200, 5)[0]), ("strange", other_questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return folder


def test_the_exit_code_tells_whether_the_promise_holds(run, folder):
    adapt, kept = ("adapt", "--index", folder / "index"), ("check", "--index", folder / "index")
    code, out, err = run(*adapt, "--queries", folder / "alike.jsonl", "--check")
    assert (code, "the queries are like those judged" in " ".join((out + err).split())) == (0, True)
    code, out, err = run(*adapt, "--queries", folder / "strange.jsonl", "--check", "--json")
    assert code == 3
    assert json.loads(out)["holds"] is False
    assert run(*kept)[0] == 0  # nothing was changed
    assert "promised if" in run("info", "--index", folder / "index")[1]

    code, out, err = run(*adapt, "--queries", folder / "strange.jsonl")
    assert code == 0
    assert "the promise no longer holds, since queries are" in " ".join((out + err).split())
    code, out, _ = run(*kept)
    assert code == 3
    assert "the promise no longer holds" in " ".join(out.split())
    code, out, _ = run(*kept, "--json")
    assert code == 3
    assert json.loads(out)["shift"]["p_value"] < 0.01
    assert "the promise no longer holds" in " ".join(run("info", "--index", folder / "index")[1].split())
    found = json.loads(run("info", "--index", folder / "index", "--json")[1])["calibration"]
    assert found["shift"]["holds"] is False
    assert found["share"]["source"] == "estimated"

    code, out, _ = run(*adapt, "--queries", folder / "alike.jsonl", "--json")
    assert json.loads(out)["shift"]["holds"] is True
    assert run(*kept)[0] == 0


def test_the_traffic_of_an_index_with_tenants_is_of_all_of_them(run, folder, corpus, questions):
    path, encoder = folder / "shared", FeatureGroupEncoder(str(folder / "encoder"))
    with ConfidenceIndex(path, encoder, settings=IndexSettings(tenant_key="shop")) as index:
        index.tenant("north").add(corpus[0], labels=corpus[1])
        texts, labels = questions(400, 0)
        index.calibrate(texts, labels, tenants=["north"] * len(texts))
    rows = [{"text": text, "of": "north"} for text in questions(60, 5)[0]]
    (folder / "shared.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    adapt = ("adapt", "--index", path, "--queries", folder / "shared.jsonl")
    code, out, _ = run(*adapt, "--tenants", "of", "--json")
    assert (code, json.loads(out)["unanswerable_share"]["queries"]) == (0, 60)
    for wrong, said in (
        (("--tenant", "north"), "`fg-search adapt` without --tenant"),
        ((), "say of which each query is"),
        (("--tenants", "nothing"), "has no tenant in the column"),
    ):
        code, _, err = run(*adapt, *wrong)
        assert (code != 0, said in " ".join(err.replace("│", " ").split())) == (True, True)
