"""Exports and the corrections read back, for arbitrary ids and texts."""

import csv
import io
import json
from dataclasses import replace
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples

from fg_search.integrations import argilla
from fg_search.review.exports import formats as export
from fg_search.review.exports.spreadsheet import escape, unescape
from fg_search.review.items import Example, Kind, ReviewItem
from fg_search.validation import is_blank

FORMULA = "=+-@\t\r"
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(
    lambda text: not is_blank(text)
)
like_formulas = st.builds("{}{}{}".format, st.sampled_from(["", "'", "''"]), st.sampled_from(FORMULA), plain)
words = plain | like_formulas
items = st.lists(
    st.builds(
        ReviewItem,
        id=st.one_of(st.integers(-(2**63), 2**64 - 1), words),
        text=words,
        label=st.none() | words,
        kind=st.sampled_from(get_args(Kind)),
        score=st.floats(0, 1),
        confidence=st.floats(0, 1),
        group_confidence=st.just((0.5, 0.5)),
        reason=words,
        payload=st.dictionaries(words, st.integers() | words),
        suggested_label=st.none() | words,
        suggested_probability=st.floats(0, 1),
        agreeing=st.tuples(st.builds(Example, id=words, text=words, label=words, similarity=st.floats(0, 1))),
    ),
    unique_by=lambda item: (type(item.id), item.id),
    max_size=5,
)


def item_of(user_id):
    return ReviewItem(user_id, "t", "x", "contradicted", 0.7, 0.5, (0.5,), "why", {}, "y", 0.6)


def csv_rows(text):
    limit = csv.field_size_limit(len(text) + 1)
    try:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    finally:
        csv.field_size_limit(limit)


def table_of(rows):
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, rows[0] if rows else ["id", "corrected_label"])
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


@given(items, words)
def test_a_filled_in_csv_comes_back(listed, label):
    rows = csv_rows(export.to_csv(listed))
    assert [unescape(row["text"]) for row in rows] == [item.text for item in listed]
    for row in rows[::2]:
        row["corrected_label"] = escape(label)
    assert export.from_csv(table_of(rows)) == {item.id: label.strip() for item in listed[::2]}


@given(items)
def test_no_text_is_a_formula_in_a_spreadsheet(listed):
    for table in (export.to_csv(listed), export.to_cleanlab_csv(listed)):
        header, *rows = csv.reader(io.StringIO(table, newline=""))
        for row, item in zip(rows, listed, strict=True):
            number = str(item.id)  # a number is not a formula, whatever its sign
            for name, cell in zip(header, row, strict=True):
                assert not cell.startswith(tuple(FORMULA)) or (name, cell) == ("id", number)


@given(words)
def test_what_is_escaped_comes_back(text):
    assert unescape(escape(text)) == text
    assert escape(text) == text or escape(text) == f"'{text}"


@pytest.mark.parametrize("text", ["it's", "'quoted'", "a=b", "", "'"])
def test_other_texts_are_left_as_they_are(text):
    assert (escape(text), unescape(text)) == (text, text)


def test_ids_that_look_like_formulas_come_back():
    listed = [item_of(user_id) for user_id in (-5, "-5", "=1+1", "'=1", 7, "7")]
    rows = csv_rows(export.to_csv(listed))
    for row in rows:
        row["corrected_label"] = "x"
    assert list(export.from_csv(table_of(rows))) == [item.id for item in listed]


def test_texts_of_any_length_come_back():
    (row,) = csv_rows(export.to_csv([replace(item_of("a"), text="long " * 50_000)]))
    row["corrected_label"] = "x"
    limit = csv.field_size_limit()
    assert export.from_csv(table_of([row])) == {"a": "x"}
    assert csv.field_size_limit() == limit


def test_rows_that_a_spreadsheet_wrote_without_their_last_empty_cells_are_left_alone():
    assert export.from_csv('id,text,corrected_label\n"""a""",t\n"""b""",t,x\n') == {"b": "x"}


@given(items, words)
def test_filled_in_json_lines_come_back(listed, label):
    lines = [json.loads(line) for line in export.to_jsonl(listed).split("\n") if line]
    assert [line["agreeing"][0]["text"] for line in lines] == [item.agreeing[0].text for item in listed]
    for line in lines[::2]:
        line["corrected_label"] = label
    text = "\n".join(json.dumps(line) for line in lines)
    assert export.from_jsonl(text) == {item.id: label.strip() for item in listed[::2]}


@given(items, words)
def test_what_label_studio_exports_comes_back(listed, label):
    tasks = json.loads(json.dumps(export.to_label_studio(listed, ["a", "b"])))
    for task, item in zip(tasks, listed, strict=True):
        assert task["data"]["text"] == item.text
        if item.suggested_label is not None:
            assert task["predictions"][0]["result"][0]["value"]["choices"] == [item.suggested_label]
    chosen = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]
    for i, task in enumerate(tasks):
        task["annotations"] = [
            {"result": chosen, "updated_at": "2026-02-01", "was_cancelled": i % 2 == 1},
            {
                "result": [{**chosen[0], "value": {"choices": ["older"]}}],
                "updated_at": "2026-01-01",
                "was_cancelled": i % 2 == 1,
            },
        ]
    assert export.from_label_studio(tasks) == {item.id: label.strip() for item in listed[::2]}


@given(items)
def test_each_item_is_one_row_of_cleanlabs_issues(listed):
    frame = export.to_cleanlab([*listed, *listed])
    assert {len(column) for column in frame.values()} == {len(listed)}
    assert frame["id"] == [item.id for item in listed]
    for i, item in enumerate(listed):
        assert frame["is_label_issue"][i] == (item.kind == "contradicted" and item.score > 0.5)
        assert frame["is_outlier_issue"][i] == (item.kind == "outlier")
        assert frame["is_near_duplicate_issue"][i] == (item.kind in ("conflicting", "duplicate"))
        for name in ("label_score", "outlier_score", "near_duplicate_score"):
            assert frame[name][i] is None or 0 <= frame[name][i] <= 1
    rows = list(csv.DictReader(io.StringIO(export.to_cleanlab_csv(listed), newline="")))
    assert [unescape(row["given_label"]) for row in rows] == [item.label or "" for item in listed]
    for row, item in zip(rows, listed, strict=True):
        copies = json.loads(row["near_duplicate_sets"] or "[]")
        assert copies == ([item.agreeing[0].id] if item.kind in ("conflicting", "duplicate") else [])


def test_an_item_on_several_lists_has_all_its_issues_in_one_row():
    item = item_of("a")
    copies = (Example("b", "t", "x", 1.0), Example("c", "t", "y", 1.0))
    frame = export.to_cleanlab(
        [
            item,
            replace(item, kind="outlier", score=0.9),
            replace(item, kind="conflicting", score=0.95, contradicting=copies[1:]),
            replace(item, kind="duplicate", score=0.5, agreeing=copies[:1], contradicting=copies[1:]),
            replace(item, id="d", kind="contradicted", score=0.1, suggested_probability=0.05),
        ]
    )
    assert {name: column[0] for name, column in frame.items()} == {
        "id": "a",
        "is_label_issue": True,
        "label_score": 0.3,
        "given_label": "x",
        "predicted_label": "y",
        "is_outlier_issue": True,
        "outlier_score": 0.1,
        "is_near_duplicate_issue": True,
        "near_duplicate_score": 0.0,
        "near_duplicate_sets": ("c", "b"),
    }
    assert (frame["is_label_issue"][1], frame["predicted_label"][1]) == (False, "x")


def answered(records, label):
    """The records as Argilla writes them when every other record is completed."""
    for i, record in enumerate(records):
        record["responses"] = {"label": [{"value": label, "user_id": str(uuid4())}]}
        record["status"] = "pending" if i % 2 else "completed"
    return records


@given(items, words)
def test_what_argilla_exports_comes_back(listed, label):
    records = json.loads(json.dumps(argilla.to_argilla(listed)))
    for record, item in zip(records, listed, strict=True):
        assert record["fields"]["text"] == item.text
        assert (item.suggested_label is None) == (record["suggestions"] == {})
    assert argilla.from_argilla(answered(records, label)) == {item.id: label.strip() for item in listed[::2]}


def test_the_most_frequent_answer_counts_and_ties_do_not():
    def record(*values):
        return {"id": '"a"', "status": "completed", "responses": {"label": [{"value": value} for value in values]}}

    assert argilla.from_argilla([record("x", "y", "y")]) == {"a": "y"}
    assert argilla.from_argilla([record("x", "y")]) == argilla.from_argilla([record()]) == {}


@settings(max_examples=examples(20))
@given(items, words)
def test_argilla_itself_reads_and_writes_the_records(listed, label):
    rg = pytest.importorskip("argilla", reason="needs argilla")
    written = []
    for i, record in enumerate(map(rg.Record.from_dict, argilla.to_argilla(listed))):
        record.responses.add(rg.Response("label", label, user_id=uuid4()))
        written.append({**record.to_dict(), "status": "pending" if i % 2 else "completed"})
    assert argilla.from_argilla(json.loads(json.dumps(written))) == {item.id: label.strip() for item in listed[::2]}


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (export.from_csv, "", "line 1: no column 'id'; there are none"),
        (export.from_csv, "id,text\n1,a\n", "line 1: no column 'corrected_label'; there are 'id', 'text'"),
        (export.from_csv, "id;text\n1;a\n", "line 1: no column 'corrected_label'; there are .* separated by ';'"),
        (export.from_csv, "id,corrected_label,corrected_label\n", "line 1: 'corrected_label' twice"),
        (export.from_csv, 'id,"corrected_label\n', "line 1: not CSV"),
        (export.from_csv, 'id,"corrected_label\n1,a\n2,b\n', "line 1: the quote opened here takes in the 2 line"),
        (export.from_csv, 'id,text,corrected_label\n1,"a\nb\nc\n', "line 2: the quote opened here takes in the 2 line"),
        (export.from_csv, "id,corrected_label\n1.5,a\n", "line 2: '1.5' is no id"),
        (export.from_csv, "id,corrected_label\n1,a,b\n", "line 2: 3 cells, the header has 2"),
        (export.from_csv, 'id,corrected_label\n\n1,"a\n', "line 3: not CSV"),
        (export.from_csv, f"id,corrected_label\n{'[' * 100_000},x\n", "line 2: .* is no id"),
        (export.from_jsonl, '{"id": 1}\n{', "line 2: not JSON"),
        (export.from_jsonl, "[" * 100_000, "line 1: nested too deeply"),
        (export.from_jsonl, "[1]", r"line 1: the line is \[1\], not an object"),
        (export.from_jsonl, '{"corrected_label": "x"}', "line 1: no 'id'"),
        (export.from_jsonl, '{"id": 1.5, "corrected_label": "x"}', "line 1: 1.5 is no id"),
        (export.from_jsonl, '{"id": 1, "corrected_label": 3}', "line 1: corrected_label is 3"),
        (
            export.from_jsonl,
            '{"id": 1, "corrected_label": "\\ud800"}',
            "line 1: corrected_label holds half a character",
        ),
        (export.from_jsonl, '{"id": 1}\n{"id": 2}', "no line has a 'corrected_label'"),
        (export.from_label_studio, [{"data": {"text": "x"}}], "task 1: no fg_id"),
        (export.from_label_studio, [5], "task 1: no fg_id"),
        (export.from_label_studio, [{"data": None}], "task 1: no fg_id"),
        (export.from_label_studio, [{"data": {"fg_id": "plain"}}], "task 1: 'plain' is no id"),
        (argilla.from_argilla, [{"id": "plain", "responses": {}}], "record 1: 'plain' is no id"),
        (argilla.from_argilla, [{"id": "1", "label.responses": ["x"]}], "record 1: no id or responses"),
        (argilla.from_argilla, [{"id": "1", "responses": None}], "record 1: no id or responses"),
        (argilla.from_argilla, [None], "record 1: no id or responses"),
    ],
)
def test_what_was_not_exported_from_here_is_named(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (None, "annotations is None, not a list"),
        ([5], "an annotation is 5, not an object"),
        ([{"result": {"from_name": "label"}}], "result is {.*}, not a list"),
        ([{"result": ["x"]}], "a result is 'x', not an object"),
        ([{"result": [{"from_name": "label"}]}], "a result's value is None, not an object"),
        ([{"result": [{"from_name": "label", "value": {"choices": "x"}}]}], "choices is 'x', not a list"),
        ([{"result": [{"from_name": "label", "value": {"choices": [5]}}]}], "the choice is 5; a label is a text"),
        ([{"result": [{"from_name": "label", "value": {"choices": [" "]}}]}], "the choice is empty"),
        ([{"result": [{"from_name": "label", "value": {"choices": ["x", "y"]}}]}], "2 choices in one answer"),
    ],
)
def test_annotations_of_another_form_are_named(annotations, message):
    good = {"data": {"fg_id": "1"}}
    with pytest.raises(ValueError, match=f"^task 2: {message}"):
        export.from_label_studio([good, {"data": {"fg_id": "2"}, "annotations": annotations}])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("x", "responses.label is 'x', not a list"),
        (["x"], "a response is 'x', not an object"),
        ([{}], "a response's value is None; a label is a text"),
        ([{"value": ["x", "y"]}], r"a response's value is \['x', 'y'\]; a label is a text"),
        ([{"value": ""}], "a response's value is empty"),
    ],
)
def test_responses_of_another_form_are_named(answers, message):
    record = {"id": "1", "status": "completed", "responses": {"label": answers}}
    with pytest.raises(ValueError, match=f"^record 1: {message}"):
        argilla.from_argilla([record])
    assert argilla.from_argilla([{**record, "status": "pending"}]) == {}  # a draft


def task_of(number, *results, **more):
    return {"data": {"fg_id": str(number)}, "annotations": [{"result": list(results), **more}]}


def result_of(name, kind, value):
    return {"from_name": name, "to_name": "text", "type": kind, "value": {kind: value}}


def test_a_control_of_another_name_is_found():
    tasks = [
        task_of(1, result_of("intent", "choices", ["card"]), result_of("ner", "labels", ["PER"])),
        task_of(2, result_of("note", "text", ["x"]), result_of("intent", "choices", ["loan"])),
        task_of(3),
    ]
    assert export.from_label_studio(tasks) == {1: "card", 2: "loan"}


def test_a_taxonomy_is_read_by_its_last_level():
    tasks = [
        task_of(1, result_of("tree", "taxonomy", [["money", "card", " stolen "]])),
        task_of(2, result_of("tree", "taxonomy", [["money"]])),
        task_of(3, result_of("tree", "taxonomy", [])),
    ]
    assert export.from_label_studio(tasks) == {1: "stolen", 2: "money"}
    with pytest.raises(ValueError, match="task 1: 2 choices in one answer"):
        export.from_label_studio([task_of(1, result_of("tree", "taxonomy", [["a"], ["b"]]))])
    with pytest.raises(ValueError, match="task 1: a path of the taxonomy is 'a', not a list"):
        export.from_label_studio([task_of(1, result_of("tree", "taxonomy", ["a"]))])


def test_of_several_controls_the_one_called_label_counts_or_the_one_that_is_named():
    several = [task_of(1, result_of("intent", "choices", ["card"]), result_of("mood", "choices", ["angry"]))]
    with pytest.raises(ValueError, match=r"several controls hold labels: 'intent', 'mood'; say which .*--control"):
        export.from_label_studio(several)
    assert export.from_label_studio(several, control="mood") == {1: "angry"}
    with pytest.raises(ValueError, match="no answer is of the control 'typo'; there are 'intent', 'mood'"):
        export.from_label_studio(several, control="typo")
    usual = [task_of(1, result_of("label", "choices", ["card"]), result_of("mood", "choices", ["angry"]))]
    assert export.from_label_studio(usual) == {1: "card"}


def test_answers_without_any_label_are_told():
    with pytest.raises(ValueError, match="no control holds labels; there are 'ner'"):
        export.from_label_studio([task_of(1, result_of("ner", "labels", ["PER"]))])
    assert export.from_label_studio([task_of(1), task_of(2, result_of("x", "labels", ["y"]), was_cancelled=True)]) == {}


def record_of(number, **answers):
    responses = {name: [{"value": value}] for name, value in answers.items()}
    return {"id": str(number), "status": "completed", "responses": responses}


def test_a_question_of_another_name_is_found():
    assert argilla.from_argilla([record_of(1, intent="card", stars=5), record_of(2, intent=" loan ")]) == {
        1: "card",
        2: "loan",
    }
    several = [record_of(1, intent="card", mood="angry")]
    with pytest.raises(ValueError, match=r"several questions hold labels: 'intent', 'mood'; say which"):
        argilla.from_argilla(several)
    assert argilla.from_argilla(several, control="mood") == {1: "angry"}
    assert argilla.from_argilla([record_of(1, label="card", mood="angry")]) == {1: "card"}
    with pytest.raises(ValueError, match="no question holds labels; there are 'stars'"):
        argilla.from_argilla([record_of(1, stars=5)])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_that_a_spreadsheet_saved_with_another_delimiter_comes_back(delimiter):
    rows = csv_rows(export.to_csv([replace(item_of("a"), text="one; two, three"), item_of(7)]))
    rows[0]["corrected_label"], rows[1]["corrected_label"] = " x ", "y"
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    assert export.from_csv(target.getvalue()) == {"a": "x", 7: "y"}
    assert export.from_csv(target.getvalue(), delimiter=delimiter) == {"a": "x", 7: "y"}


def test_a_stray_quote_in_a_table_costs_its_own_row():
    lines = ["id,text,corrected_label", *[f"{i},text {i},x" for i in range(20)]]
    lines[5] = '4,"text,x'
    found = list(export.csv_corrections("\n".join(lines)))
    assert [row.number for row in found if hasattr(row, "problem")] == [6]
    assert len(found) == 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "data", "fg_id", "annotations", "result", "value", "choices", "taxonomy", "from_name"),
                    *("responses", "label", "status"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.lists(json_values, max_size=3))
def test_whatever_comes_back_is_read_or_named(values):
    shaped = [{"id": "1", "status": "completed", "responses": value} for value in values]
    shaped += [{"data": {"fg_id": "1"}, "annotations": value} for value in values]
    for read, unit in ((export.from_label_studio, "task"), (argilla.from_argilla, "record")):
        for row in (*values, *shaped):
            try:
                chosen = read([row])
            except ValueError as error:
                assert str(error).startswith((f"{unit} 1: ", "no ", "several "))  # noqa: PT017
            else:
                assert all(label.strip() for label in chosen.values())


@pytest.mark.parametrize(
    ("user_id", "cell"),
    [
        ("A50", "A50"),
        ("größe/3", "größe/3"),
        ("d0", "d0"),
        (7, "7"),
        ("7", '"7"'),
        ("007", '"007"'),
        ("=A1", '"=A1"'),
        ("a b", '"a b"'),
        ("-x", '"-x"'),
        ('a"b', '"a\\"b"'),
    ],
)
def test_ids_are_plain_where_they_begin_with_a_letter_and_come_back(user_id, cell):
    item = ReviewItem(user_id, "t", None, "ambiguous", 0.1, 0.9, (), "why", {})
    table = export.to_csv([item])
    (row,) = csv.DictReader(io.StringIO(table))
    assert row["id"] == cell
    filled = table.rstrip("\r\n") + "new\r\n"
    assert export.from_csv(filled) == {user_id: "new"}
