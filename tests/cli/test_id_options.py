"""Ids of files and of the command line: 2 and "2" are two items, and nobody finds that out by losing one."""

import csv
import json

import pytest

from fg_search import ConfidenceIndex
from fg_search.review.exports.formats import cell_id

IDS = [1, 2, "3", "faq_076", '"q"', "-5", -6, " x "]


@pytest.fixture
def made(tmp_path, saved_encoder, corpus):
    """Folder of a scored index whose first items have ids of all kinds."""
    texts, labels = corpus
    ids = [*IDS, *(f"d{i}" for i in range(len(IDS), len(texts)))]
    wrong = ["travel" if label == "card" else "card" for label in labels[: len(IDS)]]
    with ConfidenceIndex(tmp_path / "idx", str(saved_encoder)) as index:
        index.add(texts, ids=ids, labels=wrong + labels[len(IDS) :])
        index.score_labels()
    return tmp_path


def labels_of(made, ids):
    with ConfidenceIndex(made / "idx") as index:
        return index.labels_of(ids)


def table(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def test_relabel_says_that_an_id_is_there_as_a_number(run, made):
    file = table(made / "right.csv", [["id", "label"], ["2", "loan"], ["3", "loan"], ["nobody", "loan"]])
    code, out, err = run("relabel", file, "--index", made / "idx")
    assert code == 0
    assert "right.csv:2: the index has no item '2', but it has 2, a number; pass --ids json" in err
    assert "right.csv:4: the index has no item 'nobody'\n" in err
    assert "1 of 1 item has another label now, 2 bad row(s) left out" in out
    code, _, err = run("relabel", file, "--index", made / "idx", "--ids", "json")
    assert code == 0
    assert "the index has no item 3, but it has '3', a text; pass --ids text" in err
    assert labels_of(made, [2, "3"]) == {2: "loan", "3": "loan"}


def test_relabel_with_the_option(run, made):
    file = table(made / "right.csv", [["id", "label"], ["2", "loan"], ['"3"', "loan"], ["faq_076", "loan"]])
    code, out, _ = run("relabel", file, "--index", made / "idx", "--ids", "json")
    assert (code, out.startswith("3 of 3 items")) == (0, True)
    assert labels_of(made, [2, "3", "faq_076"]) == {2: "loan", "3": "loan", "faq_076": "loan"}
    lines = made / "right.jsonl"
    lines.write_text('{"id": 3, "label": "food"}\n', encoding="utf-8")
    code, _, err = run("relabel", lines, "--index", made / "idx")
    assert code == 1
    assert "the index has no item 3, but it has '3', a text; pass --ids text" in err
    assert run("relabel", lines, "--index", made / "idx", "--ids", "text")[0] == 0
    assert labels_of(made, ["3"]) == {"3": "food"}


def test_delete_says_what_it_did_not_find_and_fails_if_it_found_nothing(run, made):
    code, out, err = run("delete", "2", "--index", made / "idx")
    assert (code, out) == (1, "")
    assert err == "error: the index has no item '2', but it has 2, a number; pass --ids json; nothing removed\n"
    code, _, err = run("delete", "nobody", "--index", made / "idx", "--ids", "json")
    assert (code, err) == (1, "error: the index has no item 'nobody'; nothing removed\n")
    code, out, err = run("delete", "2", '"3"', "7", "--index", made / "idx", "--ids", "json")
    assert (code, err) == (0, "the index has no item 7\n")
    assert out.startswith("2 items removed")
    code, out, _ = run("delete", "1", "--index", made / "idx", "--integers")
    assert (code, out.startswith("1 item removed")) == (0, True)
    code, _, err = run("delete", "3", '"faq_076"', "--index", made / "idx")
    assert code == 1
    assert """'"faq_076"', but it has 'faq_076', a text; pass --ids json""" in err


def test_forgetting_queries_that_are_not_there_fails(run, made):
    code, _, err = run("forget-queries", "nobody", "--index", made / "idx")
    assert code == 1
    assert "the log has no query 'nobody'" in err
    assert run("forget-queries", "--older-than", "5", "--index", made / "idx")[0] == 0


@pytest.mark.parametrize(("first", "second", "option"), [("jsonl", "csv", "json"), ("csv", "jsonl", "text")])
def test_indexing_the_same_rows_from_csv_and_jsonl_says_that_they_are_others(
    run, tmp_path, saved_encoder, corpus, first, second, option
):
    rows = [[str(i), text] for i, text in enumerate(corpus[0])]
    table(tmp_path / "rows.csv", [["id", "text"], *rows])
    lines = (json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(corpus[0]))
    (tmp_path / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    common = ["--index", tmp_path / "idx", "--id", "id"]
    code, _, err = run("index", tmp_path / f"rows.{first}", *common, "--encoder", saved_encoder)
    assert (code, "another type" in err) == (0, False)
    code, out, err = run("index", tmp_path / f"rows.{second}", *common, "--ids", option)
    assert (code, "another type" in err) == (0, False)
    assert "48 in the index" in out
    code, out, err = run("index", tmp_path / f"rows.{second}", *common)
    assert f"48 ids of {tmp_path / f'rows.{second}'} are in the index as another type" in err.replace("\n", " ")
    assert f"pass --ids {option}" in err
    assert "96 in the index" in out
    code, _, err = run("index", tmp_path / f"rows.{second}", *common)
    assert "another type" not in err  # they are there now, on purpose


def exported(run, made, form, name):
    file = made / name
    code, _, err = run("export", file, "--index", made / "idx", "--format", form, "--kind", "ambiguous")
    assert code == 0, err
    return file


def test_what_export_writes_as_a_table_is_what_relabel_and_import_take(run, made):
    file = exported(run, made, "csv", "items.csv")
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 48
    for row in rows:
        row["corrected_label"] = "'-new" if cell_id(row["id"]) in IDS else ""
    table(file, [list(rows[0]), *(row.values() for row in rows)])
    code, out, err = run("relabel", file, "--index", made / "idx", "--new-label")
    assert (code, out) == (0, f"{len(IDS)} of {len(IDS)} items have another label now\n"), err
    assert labels_of(made, IDS) == dict.fromkeys(IDS, "-new")
    assert labels_of(made, ["d20"])["d20"] is not None
    code, out, _ = run("import", file, "--index", made / "idx")
    assert (code, out.startswith(f"{len(IDS)} decisions taken")) == (0, True)


@pytest.mark.parametrize(("form", "name"), [("csv", "items.csv"), ("jsonl", "items.jsonl")])
def test_an_export_without_corrections_takes_none_back(run, made, form, name):
    file = exported(run, made, form, name)
    with ConfidenceIndex(made / "idx") as index:
        index.relabel({"3": "loan"})
    code, _, err = run("relabel", file, "--index", made / "idx")
    assert (code, "'corrected_label'" in err) == (1, True)
    assert labels_of(made, ["3"]) == {"3": "loan"}
    assert run("relabel", file, "--index", made / "idx", "--label", "label")[0] == 0  # asked for by name
    assert labels_of(made, ["3"]) != {"3": "loan"}


def test_what_export_writes_as_lines_is_what_relabel_and_import_take(run, made):
    file = exported(run, made, "jsonl", "items.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["corrected_label"] = "new" if row["id"] in IDS else None
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, out, _ = run("relabel", file, "--index", made / "idx", "--new-label")
    assert (code, out) == (0, f"{len(IDS)} of {len(IDS)} items have another label now\n")
    assert labels_of(made, IDS) == dict.fromkeys(IDS, "new")
    assert run("import", file, "--index", made / "idx", "--format", "jsonl")[0] == 0


def test_import_takes_a_table_of_ones_own(run, made):
    file = table(made / "own.csv", [["id", "corrected_label"], ["3", "loan"], ["faq_076", "loan"]])
    code, out, err = run("import", file, "--index", made / "idx")
    assert (code, out) == (0, "1 decision taken, 1 bad row(s) left out\n")
    assert "the index has no item 3, but it has '3', a text; pass --ids text" in err
    code, out, _ = run("import", file, "--index", made / "idx", "--ids", "text")
    assert (code, out) == (0, "1 decision taken, 1 was taken before\n")
    assert labels_of(made, ["3", "faq_076"]) == {"3": "loan", "faq_076": "loan"}


def test_right_answers_of_a_table_may_be_numbers(run, made, corpus):
    texts = corpus[0]
    file = table(made / "queries.csv", [["text", "answer"], [f"{texts[0]} please", "1"], [f"{texts[1]} please", "2"]])
    options = ["--queries", file, "--relevant", "answer", "--index", made / "idx", "--json"]
    code, _, err = run("evaluate", *options)
    assert code == 1
    assert "it has 1, an integer" in err
    code, out, _ = run("evaluate", *options, "--ids", "json")
    assert code == 0
    assert json.loads(out)["relevant_by"] == "id"


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_ids_in_a_file_are_bad_rows(run, tmp_path, saved_encoder, blank):
    file = table(tmp_path / "rows.csv", [["id", "text"], ["a", "my card"], [blank, "my loan"]])
    code, out, err = run("index", file, "--index", tmp_path / "idx", "--encoder", saved_encoder, "--id", "id")
    assert code == 0
    assert "rows.csv:3: 'id' is" in err
    assert "1 in the index" in out
