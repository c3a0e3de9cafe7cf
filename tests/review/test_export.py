"""What annotators get, and what comes back, for any ids and texts."""

import csv
import io
import json
from dataclasses import replace
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fg_search.review import argilla, export
from fg_search.review.items import Example, Kind, ReviewItem

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
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


@given(items, words)
def test_a_filled_in_csv_comes_back(listed, label):
    rows = list(csv.DictReader(io.StringIO(export.to_csv(listed), newline="")))
    assert [row["text"] for row in rows] == [item.text for item in listed]
    for row in rows[::2]:
        row["corrected_label"] = label
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, rows[0] if rows else ["id", "corrected_label"])
    writer.writeheader()
    writer.writerows(rows)
    assert export.from_csv(target.getvalue()) == {item.id: label for item in listed[::2]}


@given(items, words)
def test_filled_in_json_lines_come_back(listed, label):
    lines = [json.loads(line) for line in export.to_jsonl(listed).split("\n") if line]
    assert [line["agreeing"][0]["text"] for line in lines] == [item.agreeing[0].text for item in listed]
    for line in lines[::2]:
        line["corrected_label"] = label
    text = "\n".join(json.dumps(line) for line in lines)
    assert export.from_jsonl(text) == {item.id: label for item in listed[::2]}


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
    assert export.from_label_studio(tasks) == {item.id: label for item in listed[::2]}


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
    assert [row["given_label"] for row in rows] == [item.label or "" for item in listed]
    for row, item in zip(rows, listed, strict=True):
        copies = json.loads(row["near_duplicate_sets"] or "[]")
        assert copies == ([item.agreeing[0].id] if item.kind in ("conflicting", "duplicate") else [])


def test_an_item_on_several_lists_has_all_its_issues_in_one_row():
    item = ReviewItem("a", "t", "x", "contradicted", 0.7, 0.5, (0.5,), "why", {}, "y", 0.6)
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
    """The records as Argilla writes them when every other one is completed."""
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
    assert argilla.from_argilla(answered(records, label)) == {item.id: label for item in listed[::2]}


def test_the_most_frequent_answer_counts_and_ties_do_not():
    def record(*values):
        return {"id": '"a"', "status": "completed", "responses": {"label": [{"value": value} for value in values]}}

    assert argilla.from_argilla([record("x", "y", "y")]) == {"a": "y"}
    assert argilla.from_argilla([record("x", "y")]) == argilla.from_argilla([record()]) == {}


@settings(max_examples=20, deadline=None)
@given(items, words)
def test_argilla_itself_reads_and_writes_the_records(listed, label):
    rg = pytest.importorskip("argilla", reason="needs argilla")
    written = []
    for i, record in enumerate(map(rg.Record.from_dict, argilla.to_argilla(listed))):
        record.responses.add(rg.Response("label", label, user_id=uuid4()))
        written.append({**record.to_dict(), "status": "pending" if i % 2 else "completed"})
    assert argilla.from_argilla(json.loads(json.dumps(written))) == {item.id: label for item in listed[::2]}


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (export.from_csv, "id,text\n1,a\n", "line 2: no column 'corrected_label'"),
        (export.from_csv, "id,corrected_label\nplain,a\n", "line 2: 'plain' is no id"),
        (export.from_jsonl, '{"id": 1}\n{', "line 2: not JSON"),
        (export.from_jsonl, "[1]", "line 1: a list"),
        (export.from_jsonl, '{"corrected_label": "x"}', "line 1: no column 'id'"),
        (export.from_jsonl, '{"id": 1, "corrected_label": 3}', "line 1: corrected_label is 3"),
        (export.from_label_studio, [{"data": {"text": "x"}}], "task 0 has no fg_id"),
        (argilla.from_argilla, [{"id": "plain", "responses": {}}], "record 0 has no id or responses"),
        (argilla.from_argilla, [{"id": "1", "label.responses": ["x"]}], "record 0 has no id or responses"),
    ],
)
def test_what_was_not_exported_from_here_is_named(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)
