import csv
import io
import json
import re
import shutil
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fg_search import ConfidenceIndex, IndexSettings, cli, display
from fg_search.edge.client import EdgeClient
from fg_search.errors import StorageError
from fg_search.review.items import ReviewItem


@pytest.fixture(scope="module")
def files(tiny_model, corpus, tmp_path_factory):
    """A model folder, a corpus and queries as files."""
    folder = tmp_path_factory.mktemp("cli")
    tiny_model.save(str(folder / "model"))
    texts, labels = corpus
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
            file.write(json.dumps({"key": f"d{i}", "text": text, "label": label, "price": i}) + "\n")
    (folder / "queries.csv").write_text("text,label,no\nmy card pin,card,1\npizza oven,food,2\n", encoding="utf-8")
    (folder / "more.jsonl").write_text('{"text": "flight hotel", "label": "travel"}\n', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(files):
    """Encoder and index, made by the commands of the README."""

    def call(*arguments):
        done = CliRunner().invoke(cli.app, [*map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    corpus = (files / "corpus.jsonl", "--label", "label")
    call("fit", *corpus, "--model", files / "model", "-o", files / "enc", "--groups", 4)
    call("index", *corpus, "--encoder", files / "enc", "--index", files / "idx", "--id", "key")
    return files


def test_in_a_process_of_its_own_it_loads_no_more_than_it_needs(made):
    script = "import runpy, sys\ntry: runpy.run_module('fg_search', run_name='__main__', alter_sys=True)\n"
    large = ["torch", "sentence_transformers", "scipy", "sklearn"]
    script += f"finally: print([name for name in {large} if name in sys.modules])"
    command = [sys.executable, "-c", script, "info", "--index", str(made / "idx"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found, loaded = done.stdout.splitlines()
    assert json.loads(found)["points"] == 48
    assert loaded == "[]"


def test_search_prints_a_table_for_people(run, made):
    code, out, _ = run("search", "my card pin", "--index", made / "idx", "--limit", 3)
    assert code == 0
    assert "answer" in out
    assert out.count("card") >= 3


def test_search_prints_json_for_programs(run, made):
    code, out, err = run("search", "my card pin", "--index", made / "idx", "--limit", 3, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["query"] == "my card pin"
    assert result["decision"] == "answer"
    assert len(result["hits"]) == 3
    hit = result["hits"][0]
    assert hit["label"] == "card"
    assert hit["id"].startswith("d")
    assert hit["payload"] == {"price": int(hit["id"][1:])}
    assert len(hit["agreement"]) == 4
    assert err == ""


def test_files_of_queries_are_searched_in_one_call(run, made):
    code, out, err = run(
        "search", "--queries", made / "queries.csv", "--queries", made / "more.jsonl", "--index", made / "idx", "--json"
    )
    assert code == 0
    results = [json.loads(line) for line in out.splitlines()]
    assert [result["query"] for result in results] == ["my card pin", "pizza oven", "flight hotel"]
    assert [result["hits"][0]["label"] for result in results] == ["card", "food", "travel"]
    assert results[0]["row"] == {"label": "card", "no": "1"}
    assert "encoded 3 queries" in err
    assert "searched 3 queries" in err


def test_confidence_options_reach_the_search(run, made):
    _, out, _ = run(
        "search",
        "xyzzy",
        "--index",
        made / "idx",
        "--json",
        "--min-query-confidence",
        0.99,
        "--on-uncertain",
        "abstain",
    )
    assert json.loads(out)["decision"] == "abstain"
    _, out, _ = run("search", "my card", "--index", made / "idx", "--json", "--min-confidence", 0.5, "--limit", 48)
    confidences = [hit["confidence"] for hit in json.loads(out)["hits"]]
    assert confidences
    assert min(confidences) >= 0.5
    _, out, _ = run(
        "search", "my card", "--index", made / "idx", "--json", "--confidence-weight", 2, "--rank-by", "base"
    )
    hit = json.loads(out)["hits"][0]
    assert hit["ranking_score"] == pytest.approx(hit["score"] * hit["confidence"] ** 2)
    assert hit["weighted_score"] == hit["ranking_score"]  # its old name


def test_search_tells_and_weighs_familiarity(run, made):
    asked = ("search", "my card", "--index", made / "idx", "--explain")
    _, out, _ = run(*asked, "--json", "--rank-by", "base", "--familiarity-weight", 2, "--min-familiarity", 0.9)
    result = json.loads(out)
    hit = result["hits"][0]
    assert hit["ranking_score"] == pytest.approx(hit["score"] * hit["familiarity"] ** 2)
    assert min(hit["familiarity"] for hit in result["hits"]) >= 0.9
    assert 0 < result["query_familiarity"] <= 1
    _, out, _ = run(*asked)
    assert re.search(rf"familiarity +\S+ {result['query_familiarity']:.2f}\n", out)
    assert f"nearest to: {result['nearest']['text']} (" in out
    assert "familiar" in out.splitlines()[4]


def test_review_lists_the_least_confident_first(run, made):
    code, out, _ = run("review", "--index", made / "idx", "--limit", 4, "--json")
    assert code == 0
    items = [json.loads(line) for line in out.splitlines()]
    assert len(items) == 4
    confidences = [item["confidence"] for item in items]
    assert confidences == sorted(confidences)
    code, out, _ = run("review", "--index", made / "idx", "--limit", 4)
    assert items[0]["id"] in out


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_column_runs_out_of_the_terminal(width):
    item = ReviewItem(
        id="q212",
        text="alpha beta gamma delta " * 5,
        label="stock_availability",
        kind="ambiguous",
        score=0.1,
        confidence=0.9,
        group_confidence=(),
        reason="undecided " * 8,
        payload={},
    )
    shown = io.StringIO()
    display.review(Console(file=shown, width=width), [item])
    words = shown.getvalue().split()
    assert words.count("undecided") == 8
    assert words.count("delta") == 5
    *table, legend = shown.getvalue().splitlines()
    assert max(map(len, table)) <= width
    assert legend.startswith("item conf.: ")


def test_info_tells_the_encoder_and_the_counts(run, made):
    code, out, _ = run("info", "--index", made / "idx", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["points"] == found["labelled"] == 48
    assert found["metadata"]["groups"] == 4
    code, out, _ = run("info", "--index", made / "idx")
    assert found["metadata"]["fingerprint"] in out


def test_indexing_again_changes_nothing(run, made):
    code, out, _ = run("index", made / "corpus.jsonl", "--index", made / "idx", "--id", "key", "--label", "label")
    assert code == 0
    assert "48 in the index" in out


def test_fit_without_labels_learns_clusters(run, files, tmp_path):
    code, out, _ = run(
        "fit", files / "corpus.jsonl", "--model", files / "model", "-o", tmp_path / "e", "--groups", 2, "--codes", 4
    )
    assert code == 0
    assert "2x4" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "{files}/corpus.jsonl", "--label", "nope", "-o", "{tmp}/e"], "corpus.jsonl:1: no column 'nope'"),
        (["fit", "{files}/corpus.jsonl", "--text", "nope", "-o", "{tmp}/e"], "corpus.jsonl:1: no column 'nope'"),
        (["fit", "{files}/none.jsonl", "-o", "{tmp}/e"], "there is no file"),
        (
            ["fit", "{files}/more.jsonl", "--label", "label", "--model", "{files}/model", "-o", "{tmp}/e"],
            "at least 2 distinct",
        ),
        (["fit", "{files}/corpus.jsonl", "--model", "{tmp}/no-model", "-o", "{tmp}/e"], "no-model"),
        (["fit", "{files}/corpus.jsonl", "--model", "{tmp}/never-read", "-o", "{files}"], "is not a saved encoder"),
        (["index", "{files}/corpus.jsonl", "--index", "{tmp}/i"], "no index"),
        (["search", "x", "--index", "{tmp}"], "no index"),
        (["index", "{files}/corpus.jsonl", "--index", "{tmp}/i", "--encoder", "{tmp}/none"], "does not exist"),
        (["search", "x", "--index", "{tmp}/i"], "no index"),
        (["search", "x", "--index", "{files}/idx", "--target-precision", "0.9"], "no calibration"),
        (["search", "  ", "--index", "{files}/idx"], "is empty"),
        (["search", "x", "--index", "http://127.0.0.1:9", "--retry-for", "0"], "no Qdrant server answers"),
        (["review", "--index", "{files}/corpus.jsonl"], "corpus.jsonl"),
    ],
)
def test_errors_are_one_line_that_says_what_was_wrong(run, made, tmp_path, arguments, message):
    code, out, err = run(*(argument.format(files=made, tmp=tmp_path) for argument in arguments))
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []  # nothing was left half made


def test_a_filter_reaches_the_search(run, made):
    cheap = {"must": [{"key": "price", "range": {"lt": 5}}]}
    code, out, _ = run("search", "card", "--index", made / "idx", "--json", "--filter", json.dumps(cheap))
    assert code == 0
    assert sorted(hit["payload"]["price"] for hit in json.loads(out)["hits"]) == [0, 1, 2, 3, 4]
    for wrong, message in (
        ("{", "Invalid JSON"),
        ('{"mst": 1}', "mst"),
        ('{"must": [{"key": "p", "match": 3}]}', "match"),
    ):
        code, _, err = run("search", "pizza", "--index", made / "idx", "--filter", wrong)
        assert code == 2
        assert "not a Qdrant filter" in err
        assert message in err


def test_a_wrong_command_line_is_told_apart(run, made):
    for options in (("--min-confidence", 1.5), ("--rank-by", "magic"), ("--target-precision", 1), ("--limit", 0)):
        assert run("search", "x", "--index", made / "idx", *options)[0] == 2
    assert run("search", "x", "--queries", made / "queries.csv", "--index", made / "idx")[0] == 2
    assert run("nonsense")[0] == 2


def test_a_location_that_would_keep_nothing_is_refused(run, made):
    for location in (":memory:", "localhost:6333"):
        code, _, err = run("info", "--index", location)
        assert code == 2
        assert "give a folder" in err or "http://localhost:6333" in err


def test_a_damaged_encoder_is_named(run, made, tmp_path):
    shutil.copytree(made / "enc", tmp_path / "enc")
    (tmp_path / "enc" / "fg_search.json").write_text("{}")
    code, _, err = run("search", "x", "--index", made / "idx", "--encoder", tmp_path / "enc")
    assert code == 1
    assert "is damaged" in err


def test_tables_show_texts_as_they_are(run, made, tmp_path):
    odd = "time 10:key:20 [bold]x[/b] \x1b[31m"
    (tmp_path / "odd.jsonl").write_text(json.dumps({"text": odd, "label": "a:warning:b"}), encoding="utf-8")
    run("index", tmp_path / "odd.jsonl", "--encoder", made / "enc", "--index", tmp_path / "i", "--label", "label")
    code, out, _ = run("search", odd, "--index", tmp_path / "i", "--rank-by", "base")
    assert code == 0
    assert "a:warning:b" in out
    assert "10:key:20" in out
    assert "\x1b" not in out.replace(odd, "")


@pytest.fixture
def own_index(run, made, corpus, tmp_path):
    """An index that a test may change, its corpus, and judged queries as files."""
    code, _, err = run(
        *("index", made / "corpus.jsonl", "--encoder", made / "enc", "--index", tmp_path / "idx"),
        *("--id", "key", "--label", "label"),
    )
    assert code == 0, err
    with (tmp_path / "judged.jsonl").open("w", encoding="utf-8") as file:
        for text, label in zip(*corpus, strict=True):
            file.write(json.dumps({"text": " ".join(text.split()[:3]), "label": label, "also": []}) + "\n")
        for i in range(20):
            file.write(json.dumps({"text": f"zzz {i}", "label": "none of these", "also": []}) + "\n")
    return tmp_path


def test_calibrate_then_search_at_a_precision_then_evaluate(run, own_index, corpus):
    judged = ("--queries", own_index / "judged.jsonl", "--out-of-scope", "none of these", "--index", own_index / "idx")
    code, out, err = run("calibrate", *judged, "--json")
    assert code == 0, err
    learned = json.loads(out)
    assert learned["queries"] == 68
    assert learned["relevant_by"] == "label"
    assert [one["target"] for one in learned["thresholds"]] == [0.9, 0.95, 0.99]
    code, out, _ = run("calibrate", *judged, "--relevant", "label", "--relevant", "also")
    assert code == 0
    assert "68 queries judged by label" in out
    search = ("--index", own_index / "idx", "--target-precision", 0.9, "--on-uncertain", "abstain", "--json")
    decisions = [json.loads(run("search", text, *search)[1])["decision"] for text in corpus[0][::12]]
    assert decisions.count("answer") >= 2
    refused = json.loads(run("search", "please zzz", *search)[1])
    assert refused["decision"] == "abstain"
    assert refused["hits"] == []
    assert 0 <= refused["confidence"] < 0.5
    refused = json.loads(run("search", "zzz", *search)[1])
    assert (refused["decision"], refused["confidence"]) == ("abstain", None)
    assert "the model can read nothing of the query" in refused["reason"]
    code, out, _ = run("evaluate", *judged, "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["reports"]) == {"confidence", "score", "query confidence"}
    assert found["reports"]["confidence"]["queries"] == 68
    assert found["reports"]["confidence"]["auroc"] > 0.9
    code, out, _ = run("evaluate", *judged)
    assert "expected calibration error" in out


def test_calibrate_by_label_names_those_that_fall_short(run, own_index, corpus, questions):
    texts, labels = questions(600, 0)
    with (own_index / "confused.jsonl").open("w", encoding="utf-8") as file:
        for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
            meant = "card" if label == "loan" and i % 3 else label
            file.write(json.dumps({"text": text, "label": meant, "owner": "all"}) + "\n")
    judged = ("--queries", own_index / "confused.jsonl", "--index", own_index / "idx", "--promise-by")
    code, out, err = run("calibrate", *judged, "label", "--json")
    assert code == 0, err
    learned = json.loads(out)
    assert learned["promise_by"] == "label"
    short = {row["group"] for row in learned["groups"] if row["falls_short"] and row["threshold"]["target"] == 0.9}
    assert "loan" in short
    code, out, _ = run("calibrate", *judged, "label")
    assert code == 0
    assert "labels fall short" in out
    assert "loan" in out
    assert "none, never answered" in out
    code, _, err = run("calibrate", *judged, "tenant")
    assert code == 1
    assert "give tenants" in err
    code, _, err = run("calibrate", *judged, "tenant", "--tenants", "owner")
    assert code == 1
    assert "was made without tenants" in err


def test_evaluate_slices_and_writes_a_report(run, own_index, tmp_path):
    lines = (own_index / "judged.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{**json.loads(line), "colour": ("red", "blue")[i % 2]} for i, line in enumerate(lines)]
    (tmp_path / "judged.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    evaluate = ("evaluate", "--queries", tmp_path / "judged.jsonl", "--out-of-scope", "none of these")
    evaluate += ("--index", own_index / "idx", "--slice", "colour", "--slice", "length")
    code, out, _ = run(*evaluate, "--json", "--report", tmp_path / "new" / "report.html")
    assert code == 0
    found = json.loads(out)
    assert set(found["intervals"]["score"]) == {"auroc", "aurc", "abstention_nauc"}
    assert found["reports"]["score"]["in_scope"] < found["reports"]["score"]["queries"] == 68
    counts = {(each["by"], each["value"]): each["queries"] for each in found["slices"]}
    assert (counts["colour", "red"], counts["colour", "blue"]) == (34, 34)
    assert "Precision by colour" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    run("calibrate", *evaluate[1:-4])
    code, out, err = run(*evaluate)
    assert code == 0, err
    assert "R@1 is over the" in out
    for name in ("nAUC", "unanswerable are the shares", "Brier score the mean squared", "by colour", "blue"):
        assert name in out
    assert "short of" in out
    targets = {each["target"] for each in json.loads(run(*evaluate, "--json")[1])["slices"]}
    assert targets == {None, 0.9, 0.95, 0.99}
    code, _, err = run(*evaluate[:-4], "--slice", "shape")
    assert code == 1
    assert "judged.jsonl:1: no column 'shape'" in err


def test_a_column_of_numbers_in_a_table_is_sliced_as_numbers(run, own_index, tmp_path):
    rows = [f"my card,card,{age}" for age in range(20, 40)]
    (tmp_path / "judged.csv").write_text("\n".join(["text,label,age", *rows, "pizza oven,food,"]), encoding="utf-8")
    evaluate = ("evaluate", "--queries", tmp_path / "judged.csv", "--index", own_index / "idx", "--slice", "age")
    code, out, err = run(*evaluate, "--json")
    assert code == 0, err
    values = [each["value"] for each in json.loads(out)["slices"] if each["target"] is None]
    assert values == ["20 to 24", "25 to 29", "30 to 34", "35 to 39", None]


def test_a_query_in_doubt_is_asked_back(run, own_index, questions):
    with ConfidenceIndex(own_index / "idx") as index:
        index.calibrate(*questions(300, 3))
        texts = questions(60, 5)[0]
        both = zip(texts, index.search_many(texts, target_precision=0.9, on_uncertain="clarify"), strict=True)
        question, result = next((text, found) for text, found in both if found.decision == "clarify")
    asked = ["search", question, "--index", own_index / "idx", "--target-precision", "0.9", "--on-uncertain", "clarify"]
    code, out, _ = run(*asked)
    assert code == 0
    assert "clarify: " in out
    assert "Did you mean:" in out
    for choice in result.choices:
        assert choice.example.text in out
    found = json.loads(run(*asked, "--json")[1])
    assert found["decision"] == "clarify"
    assert [choice["label"] for choice in found["choices"]] == [choice.label for choice in result.choices]
    assert found["choices"][0]["example"]["id"] == result.choices[0].example.id
    assert len(json.loads(run(*asked, "--json", "--label-miss", "0.9")[1])["choices"]) < len(result.choices)


def test_a_calibration_without_right_answers_says_what_is_missing(run, own_index):
    code, _, err = run("calibrate", "--queries", own_index / "judged.jsonl", "--relevant", "no", "--index", "x")
    assert code == 1
    assert "judged.jsonl:1: no column 'no'" in err


def test_a_judged_query_without_its_answer_is_a_bad_row(run, own_index):
    with (own_index / "judged.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "my card pin"}\n')
    evaluate = ("evaluate", "--queries", own_index / "judged.jsonl", "--index", own_index / "idx", "--json")
    code, out, err = run(*evaluate)
    assert code == 0, err
    assert json.loads(out)["reports"]["score"]["queries"] == 68
    assert "judged.jsonl:69: no column 'label'" in err
    assert "1 bad row(s) left out" in err
    code, _, err = run(*evaluate, "--on-error", "stop")
    assert code == 1
    assert "judged.jsonl:69: no column 'label'" in err


def test_questions_are_read_from_a_pipe(run, made, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("my card pin\n\npizza oven\n"))
    code, out, _ = run("search", "--index", made / "idx", "--limit", 1, "--json")
    assert code == 0
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["my card pin", "pizza oven"]


def test_phrasings_are_searched_as_one(run, made):
    code, out, _ = run("search", "my card", "--also", "the pin", "--index", made / "idx", "--limit", 1, "--json")
    assert code == 0
    assert json.loads(out)["query"] == "my card / the pin"
    assert run("search", "--also", "the pin", "--index", made / "idx")[0] == 2


def test_bad_rows_are_reported_and_left_out_unless_they_are_to_stop(run, made, tmp_path):
    rows = [{"key": "n1", "text": "the hotel"}, {"key": "n2", "text": " "}, {"key": "n1", "text": "another hotel"}]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "some.jsonl").write_text("\n".join([*lines, "{", lines[0]]), encoding="utf-8")
    index = ("index", tmp_path / "some.jsonl", "--encoder", made / "enc", "--index", tmp_path / "idx", "--id", "key")
    code, out, err = run(*index, "--on-error", "stop")
    assert code == 1
    assert "some.jsonl:2: 'text' is empty" in err
    assert not (tmp_path / "idx").exists()
    code, out, err = run(*index)
    assert code == 0
    assert "1 item written, 1 unchanged, 1 in the index" in out
    for problem in ("some.jsonl:2: 'text' is empty", "some.jsonl:3: it has the id 'n1' of", "some.jsonl:4: not JSON"):
        assert problem in err
    assert "3 bad row(s) left out" in err


def test_corrected_labels_survive_indexing_the_old_data_again(run, own_index, made):
    (own_index / "right.csv").write_text("id,text,label\nd0,whatever,food\n", encoding="utf-8")
    code, out, _ = run("relabel", own_index / "right.csv", "--index", own_index / "idx")
    assert code == 0
    assert "1 of 1 item has" in out
    _, out, _ = run("index", made / "corpus.jsonl", "--index", own_index / "idx", "--id", "key", "--label", "label")
    assert "0 items written, 48 unchanged" in out
    assert json.loads(run("info", "--index", own_index / "idx", "--json")[1])["corrected"] == 1
    (own_index / "right.csv").write_text("id,text,label\nnobody,whatever,food\n", encoding="utf-8")
    code, _, err = run("relabel", own_index / "right.csv", "--index", own_index / "idx")
    assert code == 1
    assert "no item 'nobody'" in err


def test_corrections_need_no_texts(run, own_index):
    (own_index / "right.csv").write_text("id,label\nd0,food\n", encoding="utf-8")
    code, out, err = run("relabel", own_index / "right.csv", "--index", own_index / "idx")
    assert code == 0, err
    assert "1 of 1 item has" in out


def test_items_are_deleted_by_id(run, own_index):
    code, out, _ = run("delete", "d0", "d1", "nobody", "--index", own_index / "idx")
    assert code == 0
    assert "2 items removed, 46 in the index" in out


def test_an_index_is_copied_and_kept_in_a_file(run, own_index, made):
    code, out, _ = run("copy", own_index / "idx", own_index / "copy", "--base-vectors", "none")
    assert code == 0
    assert "48 of 48 points written, 48 read back and found equal" in out
    _, out, _ = run("copy", own_index / "idx", own_index / "copy", "--base-vectors", "none")
    assert "0 of 48 points written" in out
    code, out, _ = run("snapshot", own_index / "kept", "--index", own_index / "idx")
    assert code == 0
    code, out, _ = run("restore", own_index / "kept", "--index", own_index / "back")
    assert code == 0
    assert "48 items" in out
    found = json.loads(run("info", "--index", own_index / "back", "--json")[1])
    assert found["points"] == 48
    assert found["metadata"]["encoder"] == str(made / "enc")


def test_an_index_moves_to_another_encoder(run, own_index, made):
    fit = ("fit", made / "corpus.jsonl", "--label", "label", "--model", made / "model", "--groups", 2)
    assert run(*fit, "-o", own_index / "other")[0] == 0
    code, _, err = run("migrate", own_index / "other", "--index", own_index / "idx")
    assert code == 0, err
    assert json.loads(run("info", "--index", own_index / "idx", "--json")[1])["metadata"]["groups"] == 2
    assert json.loads(run("search", "my card", "--index", own_index / "idx", "--json")[1])["hits"]


def test_tenants_see_their_own_items(run, made, tmp_path):
    index = ("index", made / "more.jsonl", "--encoder", made / "enc", "--index", tmp_path / "idx")
    assert run(*index, "--tenant-key", "customer", "--tenant", "acme")[0] == 0
    search = ("search", "flight", "--index", tmp_path / "idx", "--json")
    assert len(json.loads(run(*search, "--tenant", "acme")[1])["hits"]) == 1
    code, _, err = run(*search, "--tenant", "other")
    assert code == 1
    assert "is empty" in err
    code, _, err = run(*search)
    assert code == 1
    assert "choose one first" in err


def test_describe_says_what_codes_mean(run, made):
    describe = ("describe", made / "corpus.jsonl", "--encoder", made / "enc", "--label", "label")
    code, out, _ = run(*describe)
    assert code == 0
    assert "4 groups on 48 items" in out
    found = json.loads(run(*describe, "--json")[1])
    assert len(found["groups"]) == 4


def test_an_interrupted_command_says_so_by_its_exit_code(run, made, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fg_search.confidence_index.ConfidenceIndex.info", interrupted)
    assert run("info", "--index", made / "idx")[0] == 130


def test_refreshing_learns_the_corrections_and_moves_the_index(run, own_index, made):
    (own_index / "right.csv").write_text("id,text,label\nd0,whatever,food\n", encoding="utf-8")
    run("relabel", own_index / "right.csv", "--index", own_index / "idx")
    code, out, err = run("fit", "--refresh", own_index / "idx", "-o", own_index / "new")
    assert code == 0, err
    assert "has moved to it" in out
    found = json.loads(run("info", "--index", own_index / "idx", "--json")[1])
    assert found["metadata"]["encoder"] == str(own_index / "new")
    assert found["corrected"] == 1
    assert run("fit", "-o", own_index / "x")[0] == 2
    assert run("fit", made / "corpus.jsonl", "--refresh", own_index / "idx", "-o", own_index / "x")[0] == 2


def test_refreshing_says_that_the_calibration_is_gone(run, own_index, questions):
    refresh = ("fit", "--refresh", own_index / "idx", "-o", own_index / "new")
    assert "calibrate" not in run(*refresh)[1]
    with ConfidenceIndex(own_index / "idx") as index:
        index.calibrate(*questions(200, 3))
    code, out, err = run("fit", "--refresh", own_index / "idx", "-o", own_index / "newer")
    assert code == 0, err
    assert "run `fg-search calibrate` again" in out


def test_refreshing_moves_the_items_of_all_tenants(run, made, corpus, tmp_path):
    texts, labels = corpus
    settings = IndexSettings(tenant_key="owner")
    with ConfidenceIndex(tmp_path / "idx", made / "enc", settings=settings) as index:
        index.tenant("one").add(texts, labels=labels)
    code, _, err = run("fit", "--refresh", tmp_path / "idx", "-o", tmp_path / "new")
    assert code == 0, err
    with ConfidenceIndex(tmp_path / "idx", tmp_path / "new") as index:
        assert len(index.tenant("one")) == len(texts)


@pytest.mark.parametrize(
    "option",
    [
        ("--groups", 2),
        ("--codes", 3),
        ("--model", "other"),
        ("--label", "label"),
        ("--attribute", "price"),
        ("--text", "text"),
        ("--on-error", "stop"),
    ],
)
def test_refreshing_refuses_what_it_would_ignore(run, own_index, option):
    code, _, err = run("fit", "--refresh", own_index / "idx", "-o", own_index / "new", *option)
    assert code == 2
    assert f"{option[0]} does not go with" in " ".join(err.split())
    assert not (own_index / "new").exists()


@pytest.mark.parametrize("option", [("--set-aside", 0.9), ("--collection", "other"), ("--api-key", "key")])
def test_fitting_rows_refuses_what_is_of_an_index(run, own_index, made, option):
    code, _, err = run("fit", made / "corpus.jsonl", "-o", own_index / "new", *option)
    assert code == 2
    assert f"{option[0]} needs --refresh" in " ".join(err.split())
    assert not (own_index / "new").exists()


def test_refreshing_sets_aside_what_is_doubtful(run, own_index, made):
    refresh = ("fit", "--refresh", own_index / "idx", "-o", own_index / "new", "--set-aside", 0.001)
    code, _, err = run(*refresh)
    assert code == 1
    assert "fg-search score" in err
    assert run("score", "--index", own_index / "idx")[0] == 0
    listed = run("review", "--index", own_index / "idx", "--kind", "contradicted", "--limit", 100, "--json")[1]
    scores = [json.loads(line)["score"] for line in listed.splitlines()]
    code, out, err = run(*refresh[:-1], scores[0])
    assert code == 0, err
    aside = sum(score >= scores[0] for score in scores)
    assert f"{aside} items are set aside" in out
    assert json.loads(run("info", "--index", own_index / "idx", "--json")[1])["set_aside"] == aside
    assert "not found until they are reviewed" in run("info", "--index", own_index / "idx")[1]
    code, out, err = run("fit", "--refresh", own_index / "idx", "-o", own_index / "newer")
    assert code == 0, err
    assert f"the {aside} that were set aside are back" in " ".join(out.split())


@pytest.mark.parametrize("form", ["csv", "jsonl", "label-studio"])
def test_what_is_exported_and_filled_in_is_imported(run, own_index, form):
    assert run("score", "--index", own_index / "idx")[0] == 0
    file = own_index / "todo"
    export = ("export", file, "--index", own_index / "idx", "--format", form, "--limit", 3, "--kind", "ambiguous")
    code, out, err = run(*export)
    assert code == 0, err
    assert "3 items written" in out
    assert run(*export)[0] == 2  # nothing is overwritten
    text = file.read_text(encoding="utf-8")
    if form == "csv":
        head, first, *rest = text.splitlines()
        text = "\n".join([head, first + "brand new", *rest])
    elif form == "jsonl":
        first, *rest = text.splitlines()
        text = "\n".join([json.dumps({**json.loads(first), "corrected_label": "brand new"}), *rest])
    else:
        tasks = json.loads(text)
        assert {one["value"] for one in tasks[0]["data"]["labels"]} == {"card", "loan", "travel", "food"}
        tasks[0]["annotations"] = [{"result": [{"from_name": "label", "value": {"choices": ["brand new"]}}]}]
        text = json.dumps(tasks)
    file.write_text(text, encoding="utf-8")
    code, out, err = run("import", file, "--index", own_index / "idx", "--format", form)
    assert code == 0, err
    assert "1 decision taken" in out
    assert json.loads(run("info", "--index", own_index / "idx", "--json")[1])["corrected"] == 1


def decisions_in(index):
    """What was decided, from the log."""
    with ConfidenceIndex(index) as opened:
        return [(entry.id, entry.action, entry.after) for entry in opened.decisions()]


BAD_ROWS = {
    "csv": (
        'id,text,corrected_label\n"""d0""",t,new\n"""nobody""",t,new\n1.5,t,new\n"""d1""",t,new,t\n'
        '"""d2""",t,\n"""d0""",t,other\n36893488147419103232,t,new\n"""d3""",t,new\n',
        {
            ":3": "no item 'nobody'",
            ":4": "'1.5' is no id",
            ":5": "4 cells, the header has 3",
            ":7": "it has the id 'd0' of {file}:2 and another label",
            ":8": "does not fit into 64 bits",
        },
    ),
    "jsonl": (
        '{"id": "d0", "corrected_label": "new"}\n{\n{"id": "nobody", "corrected_label": "new"}\n{"id": "d1"}\n'
        '{"id": "d2", "corrected_label": 5}\n{"id": "d3", "corrected_label": "new"}\n',
        {":2": "not JSON", ":3": "no item 'nobody'", ":5": "corrected_label is 5"},
    ),
    "label-studio": (
        json.dumps(
            [
                {"data": {"fg_id": f'"{name}"'}, "annotations": annotations}
                for name, annotations in {
                    "d0": [{"result": [{"from_name": "label", "value": {"choices": ["new"]}}]}],
                    "nobody": [{"result": [{"from_name": "label", "value": {"choices": ["new"]}}]}],
                    "d1": None,
                    "d2": [{"result": [{"from_name": "label", "value": {"choices": [""]}}]}],
                    "d3": [{"result": [{"from_name": "label", "value": {"choices": ["new"]}}]}],
                }.items()
            ]
        ),
        {":task 2": "no item 'nobody'", ":task 3": "annotations is None", ":task 4": "the choice is empty"},
    ),
    "argilla": (
        json.dumps(
            [
                {"id": f'"{name}"', "status": "completed", "responses": {"label": [{"value": value}]}}
                for name, value in {"d0": "new", "nobody": "new", "d1": ["x"], "d3": "new"}.items()
            ]
        ),
        {":record 2": "no item 'nobody'", ":record 3": "a response's value is ['x']"},
    ),
}


@pytest.mark.parametrize("form", BAD_ROWS)
def test_bad_rows_of_an_imported_file_are_reported_and_left_out(run, own_index, form):
    text, problems = BAD_ROWS[form]
    file = own_index / "filled"
    file.write_text(text, encoding="utf-8")
    command = ("import", file, "--index", own_index / "idx", "--format", form)
    code, out, err = run(*command, "--on-error", "stop")
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert decisions_in(own_index / "idx") == []
    code, out, err = run(*command)
    assert code == 0, err
    for place, problem in problems.items():
        assert any(
            line.startswith(f"{file}{place}: ") and problem.format(file=file) in line for line in err.split("\n")
        )
    assert out == f"2 decisions taken, {len(problems)} bad row(s) left out\n"
    taken = [("d0", "label", "new"), ("d3", "label", "new")]
    assert decisions_in(own_index / "idx") == taken
    code, out, err = run(*command)
    assert out == f"0 decisions taken, 2 were taken before, {len(problems)} bad row(s) left out\n"
    assert decisions_in(own_index / "idx") == taken


def test_what_was_decided_otherwise_meanwhile_is_imported_again(run, own_index):
    file = own_index / "filled.csv"
    file.write_text('id,corrected_label\n"""d0""",food\n"""d1""",food\n"""d2""",food\n"""d3""",food\n"""d4""",card\n')
    command = ("import", file, "--index", own_index / "idx")
    with ConfidenceIndex(own_index / "idx") as index:
        assert index.labels_of(["d4"]) == {"d4": "card"}  # already, but nobody decided so
    assert run(*command)[1] == "5 decisions taken\n"
    with ConfidenceIndex(own_index / "idx") as index:
        index.decide("d0", "keep")
        index.decide("d1", "unsure")
        index.decide("d2", "label", "travel")
        index.relabel({"d3": "travel"})
    assert run(*command)[1] == "3 decisions taken, 2 were taken before\n"


def test_an_interrupted_import_goes_on_where_it_was(run, own_index, monkeypatch):
    file = own_index / "filled.csv"
    file.write_text('id,corrected_label\n"""d0""",food\n"""d1""",food\n"""d2""",food\n', encoding="utf-8")
    command = ("import", file, "--index", own_index / "idx")
    whole, fields = EdgeClient.set_payload, []

    def full_disk(self, collection_name, payload, *arguments, **options):
        fields.append(payload)
        if sum("label" in one for one in fields) == 2:  # the second decision
            raise StorageError("no space left on device")
        return whole(self, collection_name, payload, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(EdgeClient, "set_payload", full_disk)
        code, _, err = run(*command)
    assert code == 1
    assert "no space left" in err
    assert run(*command)[1] == "2 decisions taken, 1 was taken before\n"
    assert decisions_in(own_index / "idx") == [(name, "label", "food") for name in ("d0", "d1", "d2")]


def test_a_tenant_imports_what_is_its_own(run, made, tmp_path):
    index = ("index", made / "corpus.jsonl", "--encoder", made / "enc", "--index", tmp_path / "idx", "--id", "key")
    assert run(*index, "--tenant-key", "owner", "--tenant", "one")[0] == 0
    file = tmp_path / "filled.csv"
    file.write_text('id,corrected_label\n"""d0""",food\n', encoding="utf-8")
    command = ("import", file, "--index", tmp_path / "idx")
    assert run(*command, "--tenant", "one")[1] == "1 decision taken\n"
    code, _, err = run(*command, "--tenant", "two")
    assert code == 1
    assert "no item 'd0'" in err
    code, _, err = run(*command)
    assert code == 1
    assert "choose one first" in err


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("csv", b"", "the file is empty"),
        ("jsonl", b" \n", "the file is empty"),
        ("argilla", b"", "the file is empty"),
        ("csv", "id,corrected_label\n1,stra\xdfe\n".encode("latin-1"), "not UTF-8: byte 0xdf in line 2; save it as"),
        ("csv", "id,corrected_label\n".encode("utf-16"), "not UTF-8: byte 0xff in line 1; save it as UTF-8"),
        ("csv", b"id,text\n1,a\n", "line 1: no column 'corrected_label'; there are 'id', 'text'"),
        ("jsonl", b'{"id": "d0"}\n', "no line has a 'corrected_label'"),
        ("label-studio", b"id,corrected_label\n", "not JSON: "),
        ("label-studio", b"[" * 100_000, "nested too deeply"),
        ("argilla", b"{}", "a dict, not a list"),
        ("csv", b"id,corrected_label\n1,x\n", "all 1 row(s) with a label are bad; nothing changed"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_in_one_line(run, own_index, form, content, message):
    file = own_index / "filled"
    file.write_bytes(content)
    code, out, err = run("import", file, "--index", own_index / "idx", "--format", form)
    assert (code, out) == (1, "")
    assert err.split("\n")[-2].startswith(f"error: {file}: {message}")


def test_a_file_to_import_that_is_not_there_is_named(run, own_index):
    code, _, err = run("import", own_index / "nothing", "--index", own_index / "idx")
    assert (code, err) == (1, f"error: {own_index / 'nothing'}: cannot be read: No such file or directory\n")


def test_bad_corrections_are_reported_and_left_out(run, own_index):
    file = own_index / "right.csv"
    file.write_text("id,label\nd0,food\nnobody,food\nd1,food,x\nd0,loan\nd2,\nd3,card\n", encoding="utf-8")
    command = ("relabel", file, "--index", own_index / "idx")
    code, out, err = run(*command, "--on-error", "stop")
    assert (code, out) == (1, "")
    assert err == f"error: {file}:4: another number of fields (3) than in the header (2)\n"
    assert json.loads(run("info", "--index", own_index / "idx", "--json")[1])["corrected"] == 0
    code, out, err = run(*command)
    assert code == 0, err
    assert f"{file}:3: the index has no item 'nobody'" in err
    assert f"{file}:5: it has the id 'd0' of {file}:2 and another label" in err
    assert "3 bad row(s) left out; --on-error stop would have stopped at the first" in err
    assert out == "2 of 3 items have another label now, 3 bad row(s) left out\n"
    with ConfidenceIndex(own_index / "idx") as index:
        assert index.labels_of(["d0", "d1", "d2", "d3"]) == {"d0": "food", "d1": "card", "d2": None, "d3": "card"}


def test_contradicted_labels_are_listed_after_scoring(run, own_index):
    review = ("review", "--index", own_index / "idx", "--kind", "contradicted", "--json", "--evidence", 2)
    code, _, err = run(*review)
    assert code == 1
    assert "fg-search score" in err
    (own_index / "wrong.csv").write_text("id,text,label\nd0,whatever,food\n", encoding="utf-8")
    run("relabel", own_index / "wrong.csv", "--index", own_index / "idx")
    code, out, _ = run("score", "--index", own_index / "idx", "--json")
    assert code == 0
    assert json.loads(out)["labelled"] == 48
    first = json.loads(run(*review)[1].splitlines()[0])
    assert first["id"] == "d0"
    assert first["suggested_label"] == "card"
    assert len(first["agreeing"]) == len(first["contradicting"]) == 2


@pytest.fixture
def with_copies(run, own_index):
    """The index with two more items, scored: a copy of d0 with another label, and one far from everything."""
    text = json.loads(run("review", "--index", own_index / "idx", "--json", "--limit", 1)[1])["text"]
    rows = [{"id": "copy", "text": f"{text}?", "label": "new"}, {"id": "odd", "text": "zebra", "label": "card"}]
    file = own_index / "more.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run("index", file, "--index", own_index / "idx", "--id", "id", "--label", "label")
    code, out, err = run("score", "--index", own_index / "idx")
    assert code == 0, err
    assert "50 items compared: 2 with near-duplicates of another label, 2 with the same text as others" in out
    assert "49 labels scored" in out
    assert "1 item has a label with too few examples to judge (fewer than 4)" in out
    return own_index / "idx"


def test_every_kind_is_listed(run, with_copies):
    for kind in ("conflicting", "duplicate"):
        code, out, _ = run("review", "--index", with_copies, "--kind", kind, "--json", "--diverse", "--min-score", 0.1)
        assert code == 0
        assert "copy" in {json.loads(line)["id"] for line in out.splitlines()}
    code, out, _ = run("review", "--index", with_copies, "--kind", "conflicting")
    assert "the same text" in " ".join(out.split())
    code, out, _ = run("review", "--index", with_copies, "--kind", "duplicate", "--label", "nothing")
    assert out.strip() == "nothing to review"
    assert run("review", "--index", with_copies, "--min-score", 2)[0] == 2


def test_labels_that_were_not_judged_are_told(run, with_copies):
    code, _, err = run("review", "--index", with_copies, "--kind", "contradicted")
    assert (code, err.strip()) == (0, "1 item has a label with too few examples to judge (fewer than 4)")
    assert "too few" not in run("review", "--index", with_copies)[2]
    assert "1 item has a label with too few examples" in " ".join(run("info", "--index", with_copies)[1].split())
    assert json.loads(run("info", "--index", with_copies, "--json")[1])["unscored"] == 1
    assert json.loads(run("score", "--index", with_copies, "--json")[1])["unscored"] == 1


def test_what_a_reviewer_was_unsure_of_is_listed(run, with_copies):
    with ConfidenceIndex(with_copies) as index:
        index.decide("copy", "unsure", reviewer="Ada")
    code, out, _ = run("review", "--index", with_copies, "--kind", "unsure", "--json")
    (item,) = map(json.loads, out.splitlines())
    assert (code, item["id"]) == (0, "copy")
    assert "Ada was not sure" in " ".join(run("review", "--index", with_copies, "--kind", "unsure")[1].split())


def test_confused_labels_are_listed(run, with_copies):
    code, out, _ = run("confused", "--index", with_copies, "--json", "--limit", 3)
    assert code == 0
    for line in out.splitlines():
        pair = json.loads(line)
        assert pair["first"] < pair["second"]
        assert pair["first_as_second"] + pair["second_as_first"] > 0
    assert run("confused", "--index", with_copies)[0] == 0


def test_scoring_without_labels_says_so(run, made, tmp_path):
    file = tmp_path / "bare.jsonl"
    file.write_text("".join(json.dumps({"text": f"card {word}"}) + "\n" for word in ("pin", "PIN", "stolen")))
    run("index", file, "--index", tmp_path / "bare", "--encoder", made / "enc")
    code, out, err = run("score", "--index", tmp_path / "bare")
    assert code == 0, err
    assert "2 with the same text as others" in out
    assert "no labels to score" in out
    assert json.loads(run("score", "--index", tmp_path / "bare", "--json")[1])["duplicates"] == 2


def test_issues_as_cleanlab_has_them(run, with_copies, tmp_path):
    file = tmp_path / "issues.csv"
    code, out, err = run("export", file, "--index", with_copies, "--format", "cleanlab")
    assert code == 0, err
    with file.open(encoding="utf-8", newline="") as opened:
        rows = {row["id"]: row for row in csv.DictReader(opened)}
    assert f"{len(rows)} items written" in out
    copy = rows["copy"]
    assert (copy["is_near_duplicate_issue"], copy["near_duplicate_score"]) == ("True", "0.0")
    assert copy["given_label"] == "new"
    assert run("import", file, "--index", with_copies, "--format", "cleanlab")[0] == 2


def test_to_argilla_and_back(run, with_copies, tmp_path):
    file = tmp_path / "records.json"
    code, out, err = run("export", file, "--index", with_copies, "--format", "argilla", "--kind", "duplicate")
    assert code == 0, err
    assert "settings of the dataset: rg.Settings(" in out
    records = json.loads(file.read_text(encoding="utf-8"))
    for record in records:
        record["status"], record["responses"] = "completed", {"label": [{"value": "brand new", "user_id": "u"}]}
    file.write_text(json.dumps(records), encoding="utf-8")
    code, out, err = run("import", file, "--index", with_copies, "--format", "argilla")
    assert code == 0, err
    assert f"{len(records)} decisions taken" in out
    file.write_text("{}")
    code, _, err = run("import", file, "--index", with_copies, "--format", "argilla")
    assert code == 1
    assert "a dict, not a list" in err


def test_new_labels_are_named(run, own_index):
    rows = own_index / "new.csv"
    rows.write_text("id,label\nd0,crad\nd1,brand new\nd2,card\n", encoding="utf-8")
    relabel = ("relabel", rows, "--index", own_index / "idx")
    code, out, err = run(*relabel)
    assert (code, out) == (1, "")
    assert "'brand new' is a new label\n" in err
    assert "'crad' is a new label; did you mean 'card'?" in err
    assert err.count("is a new label") == 2
    assert "nothing was changed: 2 labels are new" in err
    code, out, err = run(*relabel, "--new-label")
    assert (code, err.count("is a new label")) == (0, 2)
    assert "new label" not in run(*relabel)[2]


def test_somebody_at_a_terminal_is_asked_for_a_new_label(run, own_index, monkeypatch):
    rows = own_index / "new.csv"
    rows.write_text("id,label\nd0,brand new\n", encoding="utf-8")
    relabel = ("relabel", rows, "--index", own_index / "idx")
    answers = iter("ny")
    monkeypatch.setattr("fg_search.cli.new_labels.at_terminal", lambda: True)
    for code, changed in ((1, ""), (0, "1 of 1 item has another label now\n")):
        found = run(*relabel, stdin=next(answers).encode() + b"\n")
        assert (found[0], found[1].lstrip()) == (code, changed)


def test_queries_are_logged_listed_clustered_decided_about_and_forgotten(run, own_index):
    place = ("--index", own_index / "idx")
    unclear = ("--min-query-confidence", 1, "--on-uncertain", "abstain")
    asked = own_index / "asked.csv"
    asked.write_text("text\nzebra quilt\nquilt zebra\nzebra\nZebra!\nquilt\npizza oven\n", encoding="utf-8")
    run("search", "pizza oven", *place, *unclear)
    assert "no open queries" in run("review", *place, "--kind", "abstained")[1]
    code, _, err = run("search", "--queries", asked, *place, *unclear, "--log")
    assert code == 4, err  # none of them was answered
    code, out, err = run("review", *place, "--kind", "abstained", "--json")
    assert code == 0, err
    listed = [json.loads(line) for line in out.splitlines()]
    assert (listed[0]["text"], listed[0]["count"]) == ("zebra", 2)
    assert len(listed) == 5
    assert listed[0]["id"] in run("review", *place, "--kind", "abstained", "--limit", 1)[1]

    code, out, err = run("missing-labels", *place, "--json")
    assert code == 0, err
    (label,) = (json.loads(line) for line in out.splitlines())
    assert (label["size"], len(label["queries"])) == (5, 4)
    assert label["name"] in run("missing-labels", *place)[1]
    assert "no cluster" in run("missing-labels", *place, "--min-size", 99)[1]
    code, out, err = run("missing-labels", *place, "--least-size", 99)
    assert (code, "no cluster" in out) == (0, True)
    assert "--least-size is now --min-size" in err

    ids = [query["id"] for query in label["queries"]]
    code, out, err = run("decide-queries", "add", *ids, *place, "--label", "animal", "--reviewer", "Ada")
    assert code == 0, err
    assert "4 queries added with the label 'animal'" in out
    assert json.loads(run("info", *place, "--json")[1])["points"] == 52
    assert len(run("review", *place, "--kind", "abstained", "--json")[1].splitlines()) == 1
    assert "4 queries open again" in run("decide-queries", "reopen", *ids, *place)[1]
    assert json.loads(run("info", *place, "--json")[1])["points"] == 48
    assert "0 queries removed" in run("forget-queries", *place, "--older-than", 1)[1]
    assert "1 query removed" in run("forget-queries", ids[0], *place)[1]
    assert "4 queries removed" in run("forget-queries", *place, "--all")[1]


@pytest.mark.parametrize(
    "wrong",
    [
        ["decide-queries", "add", "x"],
        ["decide-queries", "dismiss", "x", "--label", "y"],
        ["decide-queries", "burn", "x"],
        ["forget-queries"],
        ["forget-queries", "x", "--all"],
        ["missing-labels", "--similarity", "2"],
        ["review", "--kind", "abstained", "--label", "card"],
        ["review", "--kind", "abstained", "--evidence", "2"],
        ["review", "--kind", "abstained", "--diverse"],
        ["review", "--kind", "abstained", "--min-score", "0.5"],
    ],
)
def test_wrong_command_lines_about_queries(run, made, wrong):
    assert run(*wrong, "--index", made / "idx")[0] == 2


def test_a_query_that_is_not_in_the_log_is_an_error(run, made):
    code, _, err = run("decide-queries", "dismiss", "nobody", "--index", made / "idx")
    assert code == 1
    assert "has no query 'nobody'" in err


@pytest.fixture
def audited(run, own_index, corpus, questions):
    """A calibrated index with a log of all queries."""
    place = ("--index", own_index / "idx")
    queries, judged = own_index / "asked.csv", own_index / "judged.jsonl"
    texts, labels = questions(400, 3)
    rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
    judged.write_text("\n".join(rows), encoding="utf-8")
    assert run("calibrate", *place, "--queries", judged, "--relevant", "label")[0] == 0
    queries.write_text("\n".join(["text", *questions(80, 8)[0]]), encoding="utf-8")
    assert run("search", "--queries", queries, *place, "--log-all", "--json")[0] == 0
    return place


def test_answers_are_judged_by_one_key_each(run, audited, own_index):
    code, out, err = run("audit", *audited, "--target", 0.8, stdin=b"y\nx\n\ny\nn\nz\ny\ns\nq\n")
    assert code == 0, err
    assert "chance to be right" in out
    assert "2 of 2 judged answers are right" in out
    assert "2 of 3 judged answers are right" in out
    assert out.count("3 of 3 judged answers are right") >= 2  # after the third and in the end
    assert "1 answers were skipped" in out
    code, out, _ = run("audit", *audited, "--target", 0.8, "--json", stdin=b"")
    status = json.loads(out)
    assert (code, status["bounds"]["judged"], status["is_proved"]) == (0, 3, False)
    assert status["following"][0]["query"]

    judged = own_index / "audited.jsonl"
    code, out, err = run("audit", *audited, "--export", judged, stdin=b"")
    assert (code, "3 judged answers written" in out) == (0, True)
    rows = [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]
    assert {row["verdict"] for row in rows} == {"right"}
    assert all(row["label"] == row["answer"] for row in rows)
    assert run("audit", *audited, "--export", judged, stdin=b"")[0] == 2
    both = ("--queries", own_index / "judged.jsonl", "--queries", judged)
    code, _, err = run("calibrate", *audited, *both, "--relevant", "label", stdin=b"")
    assert code == 0, err


def test_an_audit_ends_with_its_limit_and_says_when_the_promise_is_broken(run, audited):
    code, out, err = run("audit", *audited, "--target", 0.8, "--limit", 2, stdin=b"z\ny\ny\n")
    assert "1 of 1 judged" in out
    assert "2 of 2" not in out
    assert "nothing was judged that could be taken back" in err
    code, out, err = run("audit", *audited, "--target", 0.8, stdin=b"n\n" * 30)
    assert code == 0, err
    assert "nothing is answered at a precision of 80.0%" in out
    assert "calibrate again" in out
    assert run("audit", *audited, "--target", 1.5, stdin=b"")[0] == 1


def test_an_audit_without_a_log_says_how_to_make_one(run, own_index, questions):
    code, _, err = run("audit", "--index", own_index / "idx")
    assert (code, "has no calibration" in err) == (1, True)


def test_two_copies_are_exchanged(run, own_index):
    device = own_index / "device"
    run("copy", own_index / "idx", device)
    with ConfidenceIndex(device) as index:
        index.relabel({"d0": "loan"})
    code, out, _ = run("push", own_index / "idx", "--index", device)
    assert (code, "the newer decisions about 1 items are given" in out) == (0, True)
    for place, label in ((device, "food"), (own_index / "idx", "card")):
        with ConfidenceIndex(place) as index:
            index.relabel({"d0": label})
    code, out, err = run("pull", own_index / "idx", "--index", device)
    assert (code, "1 were left as they are in both" in " ".join(out.split())) == (3, True)
    assert "here food, there card" in " ".join(err.split())
    code, out, _ = run("push", own_index / "idx", "--index", device, "--json")
    assert (code, json.loads(out)["conflicts"][0]["id"]) == (3, "d0")
    code, out, _ = run("pull", own_index / "idx", "--index", device, "--overwrite", "d0", "--reviewer", "Ada")
    assert (code, "1 of 48 items were newer" in out) == (0, True)
    with ConfidenceIndex(device) as index:
        index.relabel({"d0": "loan"})
    with ConfidenceIndex(own_index / "idx") as index:
        index.relabel({"d0": "food"})
    assert run("push", own_index / "idx", "--index", device, "--overwrite", '"d0"', "--ids", "json")[0] == 0
    with ConfidenceIndex(own_index / "idx") as index:
        assert index.labels_of(["d0"]) == {"d0": "loan"}
