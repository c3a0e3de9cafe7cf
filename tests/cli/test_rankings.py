import json

import pytest

from fg_search import ConfidenceIndex
from fg_search.cli.rankings import Ranking, advice, compared


def ranking(rank_by, aurc):
    return Ranking(rank_by, 0.9, aurc, 0.5, 10)


def test_the_better_way_is_recommended():
    found = [ranking("base", 0.01), ranking("both", 0.05)]
    assert "--rank-by base calibrates for it" in advice(found, "both")
    assert advice(found, "base") == "ranking by base is as good as any on these queries"
    assert "as good as any" in advice([ranking("base", 0.0499), ranking("both", 0.05)], "both")
    assert advice(found[:1], "base") == ""


@pytest.mark.parametrize("vectors", ["float32", "none"])
def test_the_ways_of_an_index_are_compared(tmp_path, encoder, corpus, questions, vectors, caplog):
    from fg_search import IndexSettings

    texts, labels = corpus
    with ConfidenceIndex(tmp_path / "index", encoder, settings=IndexSettings(base_vectors=vectors)) as index:
        index.add(texts, labels=labels)
        index.calibrate(*questions(200, 3))
        found = compared(index, *questions(60, 3), {})
    assert {each.rank_by for each in found} == ({"features", "base", "both"} if vectors == "float32" else {"features"})
    assert [each.aurc for each in found] == sorted(each.aurc for each in found)
    assert "evaluate on others" not in caplog.text


def test_calibrate_says_what_is_missing_and_which_way_to_rank(run, encoder, corpus, questions, tmp_path):
    texts, labels = corpus
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(texts, labels=labels)
    queries, right = questions(80, 3)
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(queries, right, strict=True)]
    (tmp_path / "judged.jsonl").write_text("\n".join(rows), encoding="utf-8")
    judged = ("--queries", tmp_path / "judged.jsonl", "--index", tmp_path / "idx")
    code, out, err = run("calibrate", *judged)
    assert code == 0, err
    assert "99.0% " in out
    assert "ranking by " in out
    found = json.loads(run("calibrate", *judged, "--json")[1])
    assert [each["target"] for each in found["outlooks"]][-1] == 0.99
    assert len(found["rankings"]) == 3
    assert json.loads(run("calibrate", *judged, "--rank-by", "base", "--json")[1])["rankings"] == []
    assert "calibrated on 79 of the 79 queries" in run("evaluate", *judged)[2]
