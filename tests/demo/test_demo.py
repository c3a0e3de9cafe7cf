"""The demo and the examples: whole rounds with the real model, in this process, which embeds each text once."""

import collections
import os
import re
import runpy
import sys
from functools import partialmethod
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from fg_search import FeatureGroupEncoder, cli, demo
from fg_search.cli import demo as demo_command
from fg_search.cli.console import console

EXAMPLES = Path(__file__).parents[2] / "examples"


def normalised(text):
    return re.sub(r"\W+", " ", text.lower()).strip()


@pytest.fixture
def embedded_once(monkeypatch):
    """Every encoder keeps the model's embeddings, and finds those that another one kept."""
    plain = FeatureGroupEncoder.__init__
    cache = os.environ["FG_SEARCH_CACHE"]
    monkeypatch.setattr(FeatureGroupEncoder, "__init__", partialmethod(plain, cache_folder=cache))


@pytest.fixture
def run_demo(embedded_once, monkeypatch, capsys):
    """Run the command in this process, and give what it printed."""

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["fg-search", "demo", *map(str, options)])
        monkeypatch.setattr(console, "width", 140)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        assert not stopped.value.code, printed.err
        return printed.out

    return run


@pytest.fixture
def run_example(embedded_once, monkeypatch, tmp_path, capsys):
    """Run a script of the examples in a folder of its own, and give what it printed."""

    def run(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_corpus_is_what_it_says():
    corpus, queries = demo.corpus(), demo.queries()
    topics = collections.Counter(row["label"] for row in corpus)
    assert len(corpus) == 384
    assert set(topics.values()) == {16}
    assert collections.Counter(row["kind"] for row in queries) == {"clear": 120, "ambiguous": 30, "out_of_scope": 50}
    texts = [normalised(row["text"]) for row in corpus + queries]
    assert len(set(texts)) == len(texts)
    assert len({row["id"] for row in corpus + queries}) == len(texts)
    for row in queries:
        assert (row["label"] is None) == (row["kind"] == "out_of_scope")
        assert {row["label"], *row["also"]} - {None} <= topics.keys()


@pytest.mark.model
def test_the_demo_answers_abstains_and_lists_what_to_review(run_demo, tmp_path):
    out = run_demo("--folder", tmp_path / "kept")
    for step in ("1. Fit", "2. Index", "3. Calibrate", "4. Search", "5. Does abstaining help?", "6. Review"):
        assert step in out
    assert re.search(r"answer: chance to be right 0\.\d+ reaches", out)
    assert re.search(r"abstain: chance to be right 0\.\d+ is below", out)
    assert re.search(r"ranking +score", out)
    always, certain = (int(share) for share in re.findall(r"right \((\d+)%\)", out))
    assert certain > always
    assert (tmp_path / "kept" / "encoder" / "modules.json").is_file()


@pytest.mark.model
def test_the_examples_work_one_after_the_other(run_example):
    out = run_example("index_with_confidence.py")
    assert "384 points" in out
    assert '"confidence"' in out
    out = run_example("search_with_confidence.py")
    assert out.count("answer: ") >= 1
    assert out.count("abstain: ") >= 1
    out = run_example("review_low_confidence.py", "--limit", 3)
    confidences = [float(line.split()[0]) for line in out.splitlines() if re.match(r"0|1", line)]
    assert len(confidences) == 3
    assert confidences == sorted(confidences)


@pytest.fixture
def review_demo(run_demo, monkeypatch):
    """Review on the demo's page, which Ctrl-C leaves as it does in a process; what is said in the end."""

    def review(act):
        served = []

        def run_app(app, listener):
            host, port = listener.getsockname()
            served.append((host, port))
            with TestClient(app, base_url=f"http://{host}:{port}") as page:
                act(page)
            raise KeyboardInterrupt

        monkeypatch.setattr(demo_command, "run_app", run_app)
        said = run_demo("--review", "--port", 0)
        ((host, port),) = served
        assert f"http://{host}:{port}/review?kind=contradicted" in said
        return said

    return review


def answer(response):
    assert response.is_success, response.text
    return response.json()


@pytest.mark.model
def test_correcting_labels_on_the_page_makes_the_index_better(review_demo):
    truth = {row["id"]: row["label"] for row in demo.corpus()}
    wrong = {row["id"] for row in demo.with_wrong_labels(77) if row["label"] != truth[row["id"]]}
    assert len(wrong) == 77

    def correct(page):
        for item in answer(page.get("/api/review?kind=contradicted&limit=92")):
            decision = {"id": item["id"], "action": "label", "label": truth[item["id"]]}
            answer(page.post("/api/decisions", json=decision))
        assert answer(page.get("/api/queries"))

    said = review_demo(correct)
    corrected = int(re.search(r"92 decisions: (\d+) of 77 wrong labels were corrected, 0 right ones lost", said)[1])
    assert corrected > 45
    before, after = (
        float(re.search(rf"{row} +(\S+)", said)[1]) for row in ("with the wrong labels", "as they are now")
    )
    assert after > before


@pytest.mark.model
def test_without_a_decision_there_is_nothing_to_learn(review_demo, monkeypatch):
    rows = demo.corpus()
    few = sorted({row["label"] for row in rows})[:12]
    monkeypatch.setattr(demo, "corpus", lambda: [dict(row) for row in rows if row["label"] in few])
    monkeypatch.setattr(FeatureGroupEncoder, "fit", partialmethod(FeatureGroupEncoder.fit, steps=20))

    def look(page):
        assert answer(page.get("/api/decisions")) == []

    assert "nothing to learn from" in review_demo(look)
