"""What the messages of an audit advise, tried."""

import json

import pytest
from advising import Advice

from fg_search import ConfidenceIndex
from fg_search.errors import NotCalibratedError, NothingLoggedError

TARGET = {"target_precision": 0.8}


@pytest.fixture
def full(tmp_path, encoder, corpus):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        yield index


def test_before_an_audit_comes_a_calibration_of_first_hits_and_a_log_of_all_queries(full, questions):
    texts, labels = questions(400, 3)
    full.log_queries("all")
    with Advice(
        "has no calibration, and promises nothing that could be audited; give it one first: "
        "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
    ).raised(NotCalibratedError):
        full.audit(**TARGET)
    full.calibrate(texts, relevant=labels, relevant_within=2)
    with Advice(
        "and the log has the first alone, so that nobody can judge the others; calibrate with relevant_within=1"
    ).raised(NotCalibratedError):
        full.audit(**TARGET)
    full.calibrate(texts, relevant=labels, relevant_within=1)
    with pytest.raises(NothingLoggedError, match=r"log all queries for a while: index\.log_queries\('all'\)"):
        full.audit(**TARGET)
    full.search_many(texts[:40])
    assert full.audit(**TARGET).following


def test_after_a_refuted_promise_a_new_calibration_promises_again(full, questions):
    full.calibrate(*questions(400, 3))
    full.search_many(questions(60, 8)[0], log="all")
    while not full.calibration.audited:
        full.judge_answer(full.audit(**TARGET).following[0], "wrong", **TARGET)
    advice = Advice(", and no threshold agrees with them; calibrate again, on queries of this traffic")
    assert advice.is_in(str(full.audit(**TARGET)))
    full.calibrate(*questions(400, 4))
    assert full.calibration.threshold(0.8)


def test_right_answers_are_filled_in_before_a_calibration(
    tmp_path, saved_encoder, corpus, questions, monkeypatch, capsys
):
    from fg_search import cli

    folder, judged = tmp_path / "index", tmp_path / "judged.jsonl"
    with ConfidenceIndex(folder, saved_encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate(*questions(400, 3))
        index.search_many(questions(60, 8)[0], log="all")
        for verdict in ("right", "wrong"):
            index.judge_answer(index.audit(**TARGET).following[0], verdict, **TARGET)
    monkeypatch.setattr("sys.argv", ["fg-search", "audit", "--index", str(folder), "--export", str(judged)])
    with pytest.raises(SystemExit):
        cli.main()
    advice = Advice(" of them were wrong and have no right answer yet: fill in the … where there is one")
    assert advice.is_in(capsys.readouterr().err)
    rows = [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["label"] is None for row in rows) == [False, True]
    filled = [row["label"] or "card" for row in rows]
    with ConfidenceIndex(folder) as index:
        texts, labels = questions(400, 3)
        assert index.calibrate([*texts, *(row["text"] for row in rows)], [*labels, *filled]).queries > 400 - 5
