"""What annotators get, and what comes back, for any ids and texts."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.review import export
from fg_search.review.items import Example, ReviewItem

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
items = st.lists(
    st.builds(
        ReviewItem,
        id=st.one_of(st.integers(-(2**63), 2**64 - 1), words),
        text=words,
        label=st.none() | words,
        kind=st.sampled_from(["ambiguous", "contradicted"]),
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
def test_the_columns_for_cleanlab_are_of_one_length(listed):
    frame = export.to_cleanlab(listed)
    assert {len(column) for column in frame.values()} == {len(listed)}
    for item, issue in zip(listed, frame["is_label_issue"], strict=True):
        assert issue == (item.kind == "contradicted" and item.score > 0.5)


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
    ],
)
def test_what_was_not_exported_from_here_is_named(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)
