import collections
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fg_search import demo

EXAMPLES = Path(__file__).parents[2] / "examples"


def normalised(text):
    return re.sub(r"\W+", " ", text.lower()).strip()


def run(*arguments, cwd):
    environment = {**os.environ, "COLUMNS": "140"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
def test_the_demo_answers_abstains_and_lists_what_to_review(tmp_path):
    out = run("-m", "fg_search", "demo", "--folder", tmp_path / "kept", cwd=tmp_path)
    for step in ("1. Fit", "2. Index", "3. Calibrate", "4. Search", "5. Does abstaining help?", "6. Review"):
        assert step in out
    assert re.search(r"answer: confidence 0\.\d+ reaches", out)
    assert re.search(r"abstain: confidence 0\.\d+ is below", out)
    assert re.search(r"weighted +score", out)
    always, certain = (int(share) for share in re.findall(r"right \((\d+)%\)", out))
    assert certain > always
    assert (tmp_path / "kept" / "encoder" / "modules.json").is_file()


@pytest.mark.model
def test_the_examples_work_one_after_the_other(tmp_path):
    out = run(EXAMPLES / "index_with_confidence.py", cwd=tmp_path)
    assert "384 points" in out
    assert '"confidence"' in out
    out = run(EXAMPLES / "search_with_confidence.py", cwd=tmp_path)
    assert out.count("answer: ") >= 1
    assert out.count("abstain: ") >= 1
    out = run(EXAMPLES / "review_low_confidence.py", "--limit", 3, cwd=tmp_path)
    confidences = [float(line.split()[0]) for line in out.splitlines() if re.match(r"0|1", line)]
    assert len(confidences) == 3
    assert confidences == sorted(confidences)


@pytest.fixture
def reviewing(tmp_path):
    """The demo's page while it is served, and what is said afterwards when it is stopped."""
    command = [sys.executable, "-m", "fg_search", "demo", "--review", "--port", "0"]
    environment = {**os.environ, "COLUMNS": "140", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = iter(process.stdout.readline, "")
        address = next(found[0] for line in lines if (found := re.search(r"http://\S+?:\d+", line)))

        def stop():
            process.send_signal(signal.SIGINT)
            said = process.stdout.read()
            assert process.wait() == 0, said
            return said

        try:
            yield address, stop
        finally:
            process.kill()


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.mark.model
def test_correcting_labels_on_the_page_makes_the_index_better(reviewing):
    address, stop = reviewing
    truth = {row["id"]: row["label"] for row in demo.corpus()}
    wrong = {row["id"] for row in demo.with_wrong_labels(77) if row["label"] != truth[row["id"]]}
    assert len(wrong) == 77
    for item in ask(f"{address}/api/review?kind=contradicted&limit=92"):
        ask(f"{address}/api/decisions", {"id": item["id"], "action": "label", "label": truth[item["id"]]})
    assert ask(f"{address}/api/queries")
    said = stop()
    corrected = int(re.search(r"92 decisions: (\d+) of 77 wrong labels were corrected, 0 right ones lost", said)[1])
    assert corrected > 45
    before, after = (
        float(re.search(rf"{row} +(\S+)", said)[1]) for row in ("with the wrong labels", "as they are now")
    )
    assert after > before


@pytest.mark.model
def test_without_a_decision_there_is_nothing_to_learn(reviewing):
    address, stop = reviewing
    assert ask(f"{address}/api/decisions") == []
    assert "nothing to learn from" in stop()
