import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fg_search.records import Record, RecordError, read_records

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_jsonl_rows_keep_other_columns_as_payload(write):
    path = write(
        "a.jsonl", '{"q": "one", "topic": "x", "key": 7, "extra": [1]}\n\n{"q": "two", "topic": null, "key": "b"}\n'
    )
    assert read_records(path, text="q", label="topic", id="key") == [
        Record("one", 7, "x", {"extra": [1]}),
        Record("two", "b", None, {}),
    ]


def test_csv_rows_may_hold_commas_quotes_and_line_breaks(write):
    path = write("a.csv", '\ufefftext,label,n\n"a, ""b""\nc",x,1\nd,,2\n')
    assert read_records(path, text="text", label="label") == [
        Record('a, "b"\nc', None, "x", {"n": "1"}),
        Record("d", None, None, {"n": "2"}),
    ]


@given(st.lists(words, min_size=1, max_size=5))
def test_any_text_survives_jsonl(texts):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        assert [record.text for record in read_records(path, text="text")] == texts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"other": "y"}\n', r"a.jsonl:2: no column 'text'; there are 'other'"),
        ("a.jsonl", '{"text": "x"}\n{"text": ""}\n', r"a.jsonl:2: 'text' is empty"),
        ("a.jsonl", '{"text": null}\n', r"a.jsonl:1: 'text' is empty"),
        ("a.jsonl", '{"text": "  "}\n', r"a.jsonl:1: 'text' is empty"),
        ("a.jsonl", '{"text": 5}\n', r"a.jsonl:1: 'text' is 5, not a text"),
        ("a.jsonl", '{"text": "x"}\n{oops\n', r"a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", r"a.jsonl:1: a list, not a JSON object"),
        ("a.jsonl", b'{"text": "\xff"}\n', "not UTF-8"),
        ("a.jsonl", "\n", "no rows"),
        ("a.csv", "text,n\nx,1\ny\n", r"a.csv:3: .*another number of fields"),
        ("a.csv", "text,n\nx,1,2\n", r"a.csv:2: .*another number of fields"),
        ("a.csv", 'text\n"x\n', r"a.csv:\d: not CSV"),
        ("a.csv", "text\n", "no rows"),
        ("a.xlsx", "", "'.xlsx' is not known"),
    ],
)
def test_a_bad_file_or_row_is_named(write, name, content, message):
    with pytest.raises(RecordError, match=message):
        read_records(write(name, content), text="text")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "label": 3, "id": 1}, "'label' is 3"),
        ({"text": "x", "label": "l", "id": 1.5}, "'id' is 1.5"),
        ({"text": "x", "label": "l", "id": ""}, "'id' is ''"),
        ({"text": "x", "id": 1}, "no column 'label'"),
    ],
)
def test_bad_labels_and_ids_are_named(write, row, message):
    path = write("a.jsonl", json.dumps(row))
    with pytest.raises(RecordError, match=message):
        read_records(path, text="text", label="label", id="id")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere\.jsonl"):
        read_records(tmp_path / "nowhere.jsonl", text="text")
