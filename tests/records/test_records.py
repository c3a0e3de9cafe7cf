import csv
import datetime
import decimal
import gzip
import itertools
import json
import pickle
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from fg_search.records import Record, RecordError, SkippedRows, iterate_records, read_records
from fg_search.validation import is_blank

texts = st.text(st.characters(exclude_categories=["Cs"]))
words = texts.filter(lambda text: not is_blank(text))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=10,
)
payloads = st.dictionaries(texts.filter(lambda key: key not in {"text", "fg"}), json_values, max_size=4)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path):
    def write_parquet(columns, **options):
        path = tmp_path / "a.parquet"
        parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
        return path

    return write_parquet


def skip_bad(path, **columns):
    """Return the texts of the good rows and the messages about the others."""
    skipped = SkippedRows()
    found = [record.text for record in iterate_records(path, text="text", on_error=skipped, **columns)]
    return found, [message.replace(f"{path.parent}/", "") for message in skipped.messages]


# formats


def test_jsonl_rows_keep_other_columns_as_payload(write):
    path = write(
        "a.jsonl", '{"q": "one", "topic": "x", "key": 7, "extra": [1]}\n\n{"q": "two", "topic": null, "key": "b"}\n'
    )
    assert read_records(path, text="q", label="topic", id="key") == [
        Record("one", 7, "x", {"extra": [1]}, f"{path}:1"),
        Record("two", "b", None, {}, f"{path}:3"),
    ]


def test_csv_rows_may_hold_commas_quotes_and_line_breaks(write):
    path = write("a.csv", '\ufefftext,label,n\n"a, ""b""\nc",x,1\n\nd,,2\n')
    assert read_records(path, text="text", label="label") == [
        Record('a, "b"\nc', None, "x", {"n": "1"}, f"{path}:2"),
        Record("d", None, None, {"n": "2"}, f"{path}:5"),
    ]


def test_tsv_fields_are_between_tabs(write):
    path = write("a.tsv", 'text\tn\na, b\t1\r\n"c\td"\t2\r\n')
    assert [(record.text, record.payload) for record in read_records(path, text="text")] == [
        ("a, b", {"n": "1"}),
        ("c\td", {"n": "2"}),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ndjson", '{"text": "é"}\n'),
        ("A.JSONL", '{"text": "é"}'),
        ("a.b.jsonl.gz", '{"text": "é"}\n'),
        ("a.csv.gz", "text\r\né\r\n"),
        ("a.tsv.GZ", "text\né\n"),
    ],
)
def test_the_ending_says_the_format(write, name, content):
    content = content.encode()
    path = write(name, gzip.compress(content) if name.lower().endswith("gz") else content)
    assert [record.text for record in iterate_records(path, text="text")] == ["é"]


@given(st.lists(st.tuples(words, payloads), min_size=1, max_size=5), st.booleans())
def test_any_json_survives_jsonl(rows, ascii_only):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        lines = [json.dumps({"text": text, **payload}, ensure_ascii=ascii_only) + "\n" for text, payload in rows]
        path.write_text("".join(lines), encoding="utf-8", newline="")
        records = read_records(path, text="text")
    assert [(record.text, record.payload) for record in records] == rows
    assert [repr(record.payload) for record in records] == [repr(payload) for _, payload in rows]  # True is not 1


def test_parquet_values_become_json(write_parquet):
    moment = datetime.datetime(2024, 2, 29, 12, 30, 0, 250000)
    key = uuid.UUID("c2ab5a1e-4e8a-4b0c-9d0f-8d4c5a3f2b10")
    path = write_parquet(
        {
            "text": ["one", "two"],
            "id": pa.array([7, 2**64 - 1], pa.uint64()),
            "label": pa.array(["x", None]).dictionary_encode(),
            "whole": pa.array([1, None], pa.int32()),
            "fraction": [0.5, float("nan")],
            "yes": [True, False],
            "when": pa.array([moment, None], pa.timestamp("us")),
            "instant": pa.array([moment, None], pa.timestamp("ms", "UTC")),
            "day": [datetime.date(2024, 2, 29), None],
            "time": [datetime.time(12, 30), None],
            "price": [decimal.Decimal("12.30"), None],
            "key": pa.array([key.bytes, None], pa.uuid()),
            "tags": [["a", None], []],
            "pair": pa.array([[1.0, float("nan")], [2.0, 3.0]], pa.list_(pa.float32(), 2)),
            "inner": [{"days": [datetime.date(2024, 1, 1)]}, None],
            "map": pa.array([[("k", 5)], None], pa.map_(pa.string(), pa.int64())),
            "nothing": pa.nulls(2),
        }
    )
    first, second = iterate_records(path, text="text", id="id", label="label")
    assert first == Record(
        "one",
        7,
        "x",
        {
            "whole": 1,
            "fraction": 0.5,
            "yes": True,
            "when": "2024-02-29T12:30:00.250000",
            "instant": "2024-02-29T12:30:00.250000+00:00",
            "day": "2024-02-29",
            "time": "12:30:00",
            "price": "12.30",
            "key": str(key),
            "tags": ["a", None],
            "pair": [1.0, None],
            "inner": {"days": ["2024-01-01"]},
            "map": {"k": 5},
            "nothing": None,
        },
        f"{path}:row 1",
    )
    assert (second.text, second.id, second.label, second.place) == ("two", 2**64 - 1, None, f"{path}:row 2")
    assert second.payload == {**dict.fromkeys(first.payload), "yes": False, "tags": [], "pair": [2.0, 3.0]}


def test_parquet_nanoseconds_are_cut_off_at_any_depth(write_parquet):
    moment, time = pa.timestamp("ns", "UTC"), pa.time64("ns")
    path = write_parquet(
        {
            "text": ["a"],
            "when": pa.array([1_123_456_789], pa.timestamp("ns")),
            "often": pa.array([1_123_456_789], pa.timestamp("ns")).dictionary_encode(),
            "inner": pa.array([{"times": [86_399_123_456_789]}], pa.struct({"times": pa.large_list(time)})),
            "map": pa.array([[("k", 1_123_456_789)]], pa.map_(pa.string(), moment)),
        }
    )
    [record] = iterate_records(path, text="text")
    assert record.payload == {
        "when": "1970-01-01T00:00:01.123456",
        "often": "1970-01-01T00:00:01.123456",
        "inner": {"times": ["23:59:59.123456"]},
        "map": {"k": "1970-01-01T00:00:01.123456+00:00"},
    }


# bad rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", r"not JSON: Expecting"),
        ('{"text": "x"} {}', r"not JSON: Extra data"),
        ("[1]", r"a list, not a JSON object"),
        ("null", r"a NoneType, not a JSON object"),
        (b'{"text": "\xff"}', r"not UTF-8"),
        ('{"other": "y"}', r"no column 'text'; there are 'other'"),
        ("{}", r"no column 'text'; there are none"),
        ('{"text": ""}', r"'text' is empty"),
        ('{"text": null}', r"'text' is empty"),
        ('{"text": " \\u3000"}', r"'text' is empty"),
        ('{"text": 5}', r"'text' is 5, not a text"),
        ('{"text": NaN}', r"'text' is nan, not a text"),
        ('{"text": "\\ud83d"}', r"'text' holds a lone surrogate, which is no character: '\ud83d'"),
        ('{"text": "x", "n": NaN}', r"'n' holds nan, which is not JSON; use null"),
        ('{"text": "x", "n": [{"m": -Infinity}]}', r"'n' holds -inf, which is not JSON; use null"),
        ('{"text": "x", "n": 1e999}', r"'n' holds inf, which is not JSON; use null"),
        ('{"text": "x", "n": "\\udc80"}', r"'n' holds a lone surrogate"),
        ('{"text": "x", "n": {"\\udc80": 1}}', r"'n' holds a lone surrogate"),
        ('{"text": "x", "\\udc80": 1}', r"'\udc80' holds a lone surrogate"),
        (
            '{"text": "x", "n": 18446744073709551616}',
            r"'n' holds 18446744073709551616, which does not fit into 64 bits",
        ),
        ('{"text": "x", "n": [-9223372036854775809]}', r"'n' holds -9223372036854775809, which does not fit"),
        ('{"text": "x", "n": ' + "9" * 5000 + "}", r"not JSON: Exceeds the limit"),
        ('{"text": "x", "n": ' + "[" * 64 + "]" * 64 + "}", r"'n' is nested more than 64 levels deep; flatten it"),
        ('{"text": "x", "n": ' + "[" * 200_000, r"nested too deeply"),
        ('{"text": "x", "fg": 1}', r"the column name 'fg' is reserved; rename the column"),
    ],
)
def test_a_bad_line_of_jsonl_stops_or_is_skipped(write, line, message):
    lines = [b'{"text": "one"}', line if isinstance(line, bytes) else line.encode(), b'{"text": "two"}']
    path = write("a.jsonl", b"\n".join(lines))
    found, messages = skip_bad(path)
    assert found == ["one", "two"]
    assert [said[: len(f"a.jsonl:2: {message}")] for said in messages] == [f"a.jsonl:2: {message}"]
    with pytest.raises(RecordError) as caught:
        read_records(path, text="text")
    assert caught.value.place == f"{path}:2"
    assert str(caught.value) == f"{path}:2: {caught.value.problem}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "label": 3.5, "id": 1}, "'label' is 3.5; a label is a text or a whole number"),
        ({"text": "x", "label": True, "id": 1}, "'label' is True; a label is a text or a whole number"),
        ({"text": "x", "label": "\ud800", "id": 1}, "'label' holds a lone surrogate"),
        ({"text": "x", "label": "l", "id": 1.5}, "'id' is 1.5; an id is an integer or a text"),
        ({"text": "x", "label": "l", "id": True}, "'id' is True"),
        ({"text": "x", "label": "l", "id": None}, "'id' is None"),
        ({"text": "x", "label": "l", "id": ""}, "'id' is ''"),
        ({"text": "x", "label": "l", "id": 2**64}, "'id' holds 18446744073709551616, which does not fit"),
        ({"text": "x", "id": 1}, "no column 'label'"),
        ({"text": "x", "label": None}, "no column 'id'"),
    ],
)
def test_bad_labels_and_ids_stop_or_are_skipped(write, row, message):
    path = write("a.jsonl", '{"text": "one", "label": " ", "id": "1"}\n' + json.dumps(row))
    found, [said] = skip_bad(path, label="label", id="id")
    assert found == ["one"]
    assert said.startswith(f"a.jsonl:2: {message}")
    with pytest.raises(RecordError, match=message):
        read_records(path, text="text", label="label", id="id")


def test_reserved_is_the_payload_key_not_the_column_of_the_text(write):
    assert read_records(write("a.jsonl", '{"fg": "x"}'), text="fg")[0].text == "x"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("y", "a.csv:3: another number of fields (1) than in the header (2)"),
        ("y,1,2", "a.csv:3: another number of fields (3) than in the header (2)"),
        (" ,1", "a.csv:3: 'text' is empty"),
        ('"y"y,1', "a.csv:3: not CSV: ',' expected after '\"'"),
        ('"y\n"y,1', "a.csv:3: not CSV: ',' expected after '\"' (up to line 4)"),
        (
            b"caf\xe9,1",
            "a.csv:3: not UTF-8; name the encoding of the file (encoding='cp1252', --encoding cp1252), "
            "or save it as UTF-8",
        ),
    ],
)
def test_a_bad_row_of_csv_stops_or_is_skipped(write, row, message):
    row = row if isinstance(row, bytes) else row.encode()
    path = write("a.csv", b"text,n\none,1\n" + row + b"\ntwo,2\n")
    assert skip_bad(path) == (["one", "two"], [message])
    with pytest.raises(RecordError, match=r"a\.csv:3: "):
        read_records(path, text="text")


@pytest.mark.parametrize("length", [131_072, 131_073, 1_000_000])
@pytest.mark.parametrize("inside", ["y", "y,\n", '""'])
def test_a_long_field_is_a_field(write, length, inside):
    field = (inside * length)[:length] if inside != '""' else inside * length
    path = write("a.csv", f'text,n\none,1\n"{field}",2\ntwo,3\n')
    records = read_records(path, text="text")
    assert [record.text.count("y") for record in records] == [0, field.count("y"), 0]
    assert [record.payload for record in records] == [{"n": "1"}, {"n": "2"}, {"n": "3"}]
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize("good", [0, 1, 20])
@pytest.mark.parametrize("tail", ["", "no end of line"])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(write, good, tail):
    before = [f"{i},text {i},label{i}" for i in range(good)]
    behind = [f"{i},text {i},label{i}" for i in range(100, 140)]
    content = "\n".join(["id,text,label", *before, '50,"stray,x', *behind]) + ("" if tail else "\n")
    found, messages = skip_bad(write("a.csv", content), id="id", label="label")
    assert found == [*(f"text {i}" for i in range(good)), *(f"text {i}" for i in range(100, 140))]
    assert messages == [
        f"a.csv:{good + 2}: not CSV: a quote is opened in this line and not closed; close it, or write it twice"
    ]


def test_a_quote_that_the_next_quoted_field_seems_to_close_costs_its_own_row_only(write):
    rows = [f"{i},text {i},label{i}" for i in range(30)]
    rows[3] = '3,"stray,x'
    rows[20] = '20,"a text, with a comma",y'
    found, [message] = skip_bad(write("a.csv", "\n".join(["id,text,label", *rows])), id="id")
    assert found == [*(f"text {i}" for i in range(30) if i not in (3, 20))][:19] + ["a text, with a comma"] + [
        f"text {i}" for i in range(21, 30)
    ]
    assert message.startswith("a.csv:5: not CSV: a quote is opened in this line")


@pytest.mark.parametrize(("columns", "rows"), [(2, 5), (3, 3), (5, 2)])
def test_rows_between_two_stray_quotes_are_counted(write, columns, rows):
    names = ["text", "b", "c", "d", "e"][:columns]
    lines = [",".join([f"t{i}", *"bcde"[: columns - 1]]) for i in range(20)]
    lines[4] = lines[4].replace("t4", '"t4')
    end = 3 + rows
    lines[end] = lines[end].replace(f"t{end}", f't{end}"')
    found, messages = skip_bad(write("a.csv", "\n".join([",".join(names), *lines])))
    assert found == [f"t{i}" for i in range(20) if not 4 <= i <= end]
    assert messages[0].startswith(f"a.csv:6: the quote opened here takes in the lines up to {end + 2}, which look like")
    assert messages[1:] == [f"a.csv:{i}: taken in by the quote that is opened in line 6" for i in range(7, end + 3)]


@pytest.mark.parametrize(
    "text",
    [
        "Hi,\nmy card is lost",
        "it costs 1,5 EUR\nthat is much",
        "one, two\nthree, four\nfive, six\nseven, eight",
        "a\nb\nc\nd",
        "no\n\ncomma\n",
        'she said ""yes""\nand left',
    ],
)
@pytest.mark.parametrize("columns", ["text", "text,label", "label,text", "id,text,label"])
def test_texts_of_several_lines_are_texts(write, text, columns):
    row = columns.replace("text", f'"{text}"')
    path = write("a.csv", f"{columns}\n{row}\n{columns}\n{row}\n")
    assert [record.text for record in read_records(path, text="text")] == [
        text.replace('""', '"'),
        "text",
        text.replace('""', '"'),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('text\none\n"two\nthree\n', 3),
        ('text\none\n"two\nthree" x\nfour\n', 3),
        ('text\none\n"two\n' + "three\n" * 5000, 3),
        ('text,label\none,a\n"two\nwords\nwithout\nend', 3),
        ('"text,label\none,a\n', 1),
        ('"text,label\none","a" b\n', 1),
    ],
)
def test_a_quote_that_takes_in_lines_that_may_be_rows_always_stops(write, content, line):
    path = write("a.csv", content)
    with pytest.raises(RecordError, match=rf"a\.csv:{line}: the quote opened here takes in .* close it") as caught:
        read_records(path, text="text", on_error=SkippedRows())
    assert caught.value.place == f"{path}:{line}"


def test_a_quote_in_the_last_line_is_a_bad_row(write):
    path = write("a.csv", 'text\none\n"two')
    assert skip_bad(path) == (["one"], ["a.csv:3: not CSV: a quote is opened and never closed"])


def test_a_quote_before_a_large_rest_does_not_fill_the_memory(write, monkeypatch):
    monkeypatch.setattr("fg_search.csv_rows.MAX_ROW", 1000)
    path = write("a.csv", 'text\n"two\n' + "three\n" * 5000)
    with pytest.raises(RecordError, match=r"a\.csv:2: the quote opened here takes in the 166 line"):
        read_records(path, text="text", on_error=SkippedRows())
    path = write("a.csv", 'text,n\n"two,1\n' + "three,2\n" * 5000)
    found, messages = skip_bad(path)
    assert (len(found), len(messages)) == (5000, 1)
    path = write("a.csv", "text\none\n" + "x" * 2000)
    with pytest.raises(RecordError, match=r"a\.csv:3: the line has more than 1,000 characters"):
        read_records(path, text="text", on_error=SkippedRows())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_without_line_breaks_is_refused(write, monkeypatch, name):
    monkeypatch.setattr("fg_search.records.text_file.MAX_LINE", 1000)
    with pytest.raises(RecordError, match=rf"{name}:1: the line has more than 1,000 characters"):
        read_records(write(name, "x" * 2000), text="text", on_error=SkippedRows())


# delimiters, encodings, columns without a name


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_delimiter_is_found_in_the_header(write, name, delimiter):
    path = write(name, 'text|label|n\n"a, b; c"|x|1\n'.replace("|", delimiter))
    assert read_records(path, text="text", label="label") == [Record("a, b; c", None, "x", {"n": "1"}, f"{path}:2")]


def test_a_header_with_commas_is_separated_by_them_unless_another_delimiter_is_named(write):
    path = write("a.csv", "text;a,label\nx;y,z\n")
    assert [record.payload for record in read_records(path, text="label")] == [{"text;a": "x;y"}]
    assert [record.text for record in read_records(path, text="text", delimiter=";")] == ["x"]


def test_one_column_needs_no_delimiter(write):
    assert [record.text for record in read_records(write("a.csv", "text\na; b\nc\n"), text="text")] == ["a; b", "c"]


def test_a_wrong_delimiter_is_told_with_the_right_one(write):
    path = write("a.csv", "text;label\nx;y\n")
    with pytest.raises(RecordError, match=r"no column 'text'; there are 'text;label'; .* --delimiter ';'\)"):
        read_records(path, text="text", delimiter=",")


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", " ", "\0"])
def test_what_cannot_be_a_delimiter_is_refused(write, delimiter):
    with pytest.raises(ValueError, match=r"the delimiter .* is not possible; give one character"):
        iterate_records(write("a.csv", "text\nx\n"), text="text", delimiter=delimiter)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-8", "cp437", "shift_jis"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_a_file_in_another_encoding_is_read_if_it_is_named(write, name, encoding):
    text = "日本" if encoding == "shift_jis" else "Käse"
    content = (f"text\r\n{text}\r\n" if "csv" in name else f'{{"text": "{text}"}}\n').encode(encoding)
    path = write(name, gzip.compress(content) if name.endswith("gz") else content)
    assert [record.text for record in read_records(path, text="text", encoding=encoding)] == [text]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "ascii", "shift_jis"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_bytes_that_are_not_of_the_encoding_are_told(write, name, encoding):
    path = write(name, b"text\n\x81\xff\x00 x\n" if name == "a.csv" else b'{"text": "\x81\xff\x00"}\n')
    with pytest.raises(RecordError, match=rf"not {encoding}|no good row|not CSV|no column|not JSON"):
        read_records(path, text="text", encoding=encoding)


@pytest.mark.parametrize("encoding", ["nonsense", "", "base64", "hex", "x\0"])
def test_an_encoding_that_does_not_exist_is_refused(write, encoding):
    with pytest.raises(ValueError, match="there is no encoding"):
        iterate_records(write("a.csv", "text\nx\n"), text="text", encoding=encoding)


def test_options_that_a_file_has_no_use_for_are_refused(write, write_parquet):
    with pytest.raises(RecordError, match="a delimiter is only for CSV"):
        iterate_records(write("a.jsonl", "{}"), text="text", delimiter=";")
    with pytest.raises(RecordError, match="a delimiter is only for CSV"):
        iterate_records(write_parquet({"text": ["x"]}), text="text", delimiter=";")
    with pytest.raises(RecordError, match="a Parquet file has no encoding"):
        iterate_records(write_parquet({"text": ["x"]}), text="text", encoding="utf-8")


@pytest.mark.parametrize("header", ["text,label,,", "text,label, ,", "text,label,"])
def test_empty_columns_without_a_name_at_the_end_are_left_out(write, header):
    empty = header.count(",") - 1
    path = write("a.csv", f"{header}\none,x{',' * empty}\ntwo,y\n{'three,z' + ',' * empty}v\n")
    found, messages = skip_bad(path)
    assert found == ["one", "two"]
    assert messages == [f"a.csv:4: column {2 + empty} has no name, but holds 'v'; name it in the header"]
    assert [record.payload for record in iterate_records(path, text="text", on_error=SkippedRows())] == [
        {"label": "x"},
        {"label": "y"},
    ]


def test_columns_without_a_name_among_others_are_told(write):
    with pytest.raises(RecordError, match=r"a\.csv: 2 columns, the first of them column 1, have no name"):
        read_records(write("a.csv", ",text,,n\n1,x,2,3\n"), text="text")


def test_a_header_of_many_columns_is_checked_at_once(write, write_parquet):
    names = [f"c{i}" for i in range(40_000)]
    begin = time.process_time()
    [record] = read_records(write("a.csv", ",".join(names) + "\n" + ",".join(names) + "\n"), text="c7")
    assert len(record.payload) == 39_999
    for path in (write("b.csv", ",".join(names) + "\n" + ",".join(names) + "\n"), write("c.csv", "c0,c1," * 20_000)):
        with pytest.raises(RecordError) as caught:
            read_records(path, text="text")
        assert len(str(caught.value)) < 500
    table = pa.table([pa.array(["x"])] * 2000, names=names[:2000])
    read_records(write_parquet(table), text="c7")
    assert time.process_time() - begin < 8


# labels


def test_whole_numbers_are_labels_by_their_digits(write, write_parquet):
    lines = [{"text": "a", "label": label} for label in (3, 0, -1, 2**63, 4.0, "5", " six ", None, "", " ")]
    path = write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    labels = [record.label for record in read_records(path, text="text", label="label")]
    assert labels == ["3", "0", "-1", "9223372036854775808", "4", "5", "six", None, None, None]
    for column in (pa.array([1, None, 3]), pa.array([1.0, float("nan"), 3.0]), pa.array([1, None, 3], pa.uint8())):
        records = read_records(write_parquet({"text": ["a", "b", "c"], "label": column}), text="text", label="label")
        assert [record.label for record in records] == ["1", None, "3"]
    path = write("a.csv", "text,label\na,1\nb,\nc, 3 \n")
    assert [record.label for record in read_records(path, text="text", label="label")] == ["1", None, "3"]


def test_nan_is_no_label(write):
    path = write("a.jsonl", '{"text": "a", "label": NaN}\n{"text": "b", "label": "nan"}\n')
    assert [record.label for record in read_records(path, text="text", label="label")] == [None, "nan"]


# any bytes

bits = st.sampled_from(
    [b",", b";", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"a", b"1", b" ", b"\t", b"\xe4", b"\xef\xbb\xbf"]
)
texts_of_bits = st.lists(bits, max_size=40).map(b"".join)


def read_or_refuse(path, **options):
    """Reading ends with records or with an error of ours, and the same texts come from both handlers of bad rows."""
    try:
        records = read_records(path, on_error=SkippedRows(), **options)
    except ValueError as error:
        assert isinstance(error, RecordError)  # noqa: PT017
        return []
    assert all(record.text.strip() for record in records)
    return records


@given(
    texts_of_bits | st.binary(max_size=200),
    st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.parquet"]),
    st.sampled_from([None, "cp1252", "utf-16", "utf-8", "utf-7", "shift_jis"]),
    st.booleans(),
)
def test_any_bytes_are_read_or_refused(content, name, encoding, has_header):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        content = b"text,label,a\n" + content if has_header else content
        path.write_bytes(gzip.compress(content) if name.endswith("gz") and has_header else content)
        read_or_refuse(path, text="text", label="label", encoding=None if name == "a.parquet" else encoding)
        read_or_refuse(path, text="text")
        assert [each.name for each in Path(folder).iterdir()] == [name]


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5), st.sampled_from([",", ";", "\t", "|"]))
def test_what_the_module_csv_writes_comes_back(rows, delimiter):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(["n", "text", "label"])
            writer.writerows([["1", f"t{text}", label] for text, label in rows])
        try:
            found = read_records(path, text="text", label="label")
        except RecordError as error:
            assert "look like rows" in str(error)  # noqa: PT017
            return
    assert [(record.text, record.label) for record in found] == [
        (f"t{text}", label.strip() or None) for text, label in rows
    ]


@given(st.data())
def test_a_changed_parquet_file_is_read_or_refused(data):
    target = pa.BufferOutputStream()
    table = pa.table({"text": ["one", "two"], "label": [1.0, float("nan")], "n": [[1], [2, None]]})
    parquet.write_table(table, target, compression=data.draw(st.sampled_from(["none", "snappy"])))
    content = bytearray(target.getvalue().to_pybytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        path.write_bytes(content)
        read_or_refuse(path, text="text", label="label")


@given(st.lists(st.recursive(json_values | st.floats(), lambda inner: st.lists(inner, max_size=2)), max_size=4))
def test_any_json_lines_are_read_or_refused(values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        rows = [value if isinstance(value, dict) else {"text": "x", "label": value, "id": value} for value in values]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        read_or_refuse(path, text="text", label="label", id="id")


def test_bad_rows_of_parquet_stop_or_are_skipped(write_parquet):
    path = write_parquet(
        {
            "text": ["one", None, "three", "four", "five"],
            "n": [1.0, 1.0, float("inf"), 1.0, 1.0],
            "when": pa.array([0, 0, 0, 2**60, 0], pa.timestamp("us")),
        }
    )
    assert skip_bad(path) == (
        ["one", "five"],
        [
            "a.parquet:row 2: 'text' is empty",
            "a.parquet:row 3: 'n' holds inf, which is not JSON; use null",
            "a.parquet:row 4: 'when' cannot be read: date value out of range",
        ],
    )
    with pytest.raises(RecordError, match=r"a\.parquet:row 2: 'text' is empty"):
        read_records(path, text="text")


# files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "\n", r"a\.jsonl: the file has no rows"),
        ("a.jsonl", "", r"a\.jsonl: the file has no rows"),
        ("a.jsonl", "oops\n\nno\n", r"a\.jsonl: no good row among 2"),
        ("a.jsonl", 'oops\n{"other": "y"}\n{"text": "x"}\n', r"a\.jsonl:2: no column 'text'; there are 'other'"),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16"), r"a\.jsonl: no good row among 1"),
        ("a.csv", "", r"a\.csv: the file has no rows"),
        ("a.csv", "text\n", r"a\.csv: the file has no rows"),
        ("a.csv", "other\ny\n", r"a\.csv:2: no column 'text'; there are 'other'"),
        ("a.csv", b"text,\xe9\n", r"a\.csv:1: not UTF-8"),
        ("a.csv", '"text"x\n', r"a\.csv:1: not CSV"),
        ("a.csv", "text,n,n\nx,1,2\n", r"a\.csv: the header names 'n' twice"),
        ("a.jsonl.gz", '{"text": "x"}', r"a\.jsonl\.gz: cannot be read: Not a gzipped file"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "x"}\n' * 10, mtime=0)[:-5],
            r"a\.jsonl\.gz: cannot be read: Compressed file",
        ),
        ("a.parquet", "PAR1", r"a\.parquet: not a Parquet file, or a damaged one"),
        ("a.xlsx", "", r"a\.xlsx: the ending '\.xlsx' is not known; use one of \.jsonl"),
        ("a.parquet.gz", "", r"a\.parquet\.gz: the ending '\.parquet' is not known"),
        ("a", "", r"the ending '' is not known"),
    ],
)
def test_a_bad_file_always_stops(write, name, content, message):
    path = write(name, content)
    with pytest.raises(RecordError, match=message):
        read_records(path, text="text", on_error=SkippedRows())


def test_no_file_and_no_known_ending_are_told_before_reading(tmp_path):
    with pytest.raises(RecordError, match=r"nowhere\.jsonl: there is no file of this name"):
        iterate_records(tmp_path / "nowhere.jsonl", text="text")
    (tmp_path / "a.txt").touch()
    with pytest.raises(RecordError, match=r"'\.txt' is not known"):
        iterate_records(tmp_path / "a.txt", text="text")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([b"x"]), "the column 'n' holds binary, which JSON lacks"),
        (pa.array([[{"m": b"x"}]]), "the column 'n' holds binary, which JSON lacks"),
        (pa.array([1], pa.duration("us")), r"the column 'n' holds duration\[us\], which JSON lacks"),
        (pa.array([[(1, 2)]], pa.map_(pa.int64(), pa.int64())), r"the column 'n' holds map<int64, int64.*>, which"),
    ],
)
def test_a_parquet_column_that_json_has_no_type_for_is_named(write_parquet, column, message):
    path = write_parquet({"text": ["x"], "n": column})
    with pytest.raises(RecordError, match=rf"a\.parquet: {message}"):
        read_records(path, text="text", on_error=SkippedRows())


def test_a_parquet_file_says_its_columns_and_that_it_is_empty(write_parquet):
    with pytest.raises(RecordError, match=r"no column 'text'; there are 'a', 'b'"):
        read_records(write_parquet({"a": ["x"], "b": [1]}), text="text", on_error=SkippedRows())
    with pytest.raises(RecordError, match="the file has no rows"):
        read_records(write_parquet({"text": pa.array([], pa.string())}), text="text")
    twice = pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    with pytest.raises(RecordError, match="the schema names 'text' twice"):
        read_records(write_parquet(twice), text="text")


def test_a_parquet_file_damaged_in_the_middle_stops_there(write_parquet):
    path = write_parquet(
        {"text": [f"text {i}" for i in range(20_000)]}, use_dictionary=False, data_page_size=4096, row_group_size=10_000
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 1000] = b"\xff" * 1000
    path.write_bytes(content)
    records = iterate_records(path, text="text", on_error=SkippedRows())
    assert next(records).text == "text 0"
    with pytest.raises(RecordError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        list(records)


def test_without_pyarrow_parquet_says_what_to_install(write_parquet, monkeypatch):
    path = write_parquet({"text": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "fg_search.records.parquet", raising=False)
    with pytest.raises(RecordError, match=r"pip install 'fg-search\[parquet\]'"):
        iterate_records(path, text="text")


# streams


def test_rows_are_read_when_they_are_asked_for(write):
    records = iterate_records(write("a.jsonl", '{"text": "one"}\n{"text": "two"}\noops\n'), text="text")
    assert [record.text for record in itertools.islice(records, 2)] == ["one", "two"]
    with pytest.raises(RecordError, match=r"a\.jsonl:3"):
        next(records)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        pytest.param({"text": ["a"] * 600 + ["b" * 500_000] * 300}, 610, id="texts after short ones"),
        pytest.param({"text": ["a"] * 300, "more": [["b" * 50_000] * 10] * 300}, 20, id="texts in lists"),
        pytest.param({"text": ["a"] * 900, "more": [[0.5]] * 600 + [[0.5] * 50_000] * 300}, 605, id="lists of numbers"),
    ],
)
def test_a_small_parquet_file_of_repeated_values_takes_little_memory(write_parquet, columns, rows):
    path = write_parquet(columns, compression="zstd")
    assert path.stat().st_size < 5000
    pool = pa.proxy_memory_pool(before := pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        assert sum(1 for _ in itertools.islice(iterate_records(path, text="text"), rows)) == rows
        taken = pool.max_memory() + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)
    assert taken < 90 << 20  # all at once they are 120 to 150 MB to pyarrow, and as much again, or more, to Python


def test_parquet_is_read_in_batches(write_parquet):
    path = write_parquet({"text": [f"text {i}" for i in range(5000)] + [""]}, row_group_size=3000)
    records = iterate_records(path, text="text")
    assert [(record.text, record.place) for record in itertools.islice(records, 5000)] == [
        (f"text {i}", f"{path}:row {i + 1}") for i in range(5000)
    ]
    with pytest.raises(RecordError, match="row 5001: 'text' is empty"):
        next(records)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, ending):
    rows, text = 10_000, "a text that is long enough to fill the memory of a list " * 80
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        parquet.write_table(
            pa.table({"text": [f"{i} {text}" for i in range(rows)]}),
            path,
            use_dictionary=False,
            compression="none",
            row_group_size=rows,
        )
    else:
        with path.open("w") as file:
            file.write("text\n" if ending == "csv" else "")
            file.writelines(f"{i} {text}\n" if ending == "csv" else f'{{"text": "{i} {text}"}}\n' for i in range(rows))
    assert path.stat().st_size > 40_000_000
    script = f"""if True:
        import resource
        from pathlib import Path
        from fg_search.records import iterate_records
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        records = iterate_records(Path({str(path)!r}), text="text")
        next(records)
        before = peak()
        print(sum(1 for _ in records), peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    read, grown = done.stdout.split()
    assert int(read) == rows - 1
    assert float(grown) < 20


# handling of bad rows


def test_skipped_rows_are_counted_and_the_first_are_kept(write):
    told = []
    skipped = SkippedRows(told.append, keep=2)
    path = write("a.jsonl", '{"text": "one"}\n' + "oops\n" * 5)
    assert [record.text for record in read_records(path, text="text", on_error=skipped)] == ["one"]
    assert skipped.count == len(told) == 5
    assert skipped.messages == told[:2]
    assert told[4].startswith(f"{path}:6: not JSON")


def test_whatever_on_error_raises_comes_out(write):
    def give_up(error):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_records(write("a.jsonl", "oops\n"), text="text", on_error=give_up)


def test_an_error_survives_being_pickled():
    error = pickle.loads(pickle.dumps(RecordError("a.jsonl:2", "not JSON")))
    assert (error.place, error.problem, str(error)) == ("a.jsonl:2", "not JSON", "a.jsonl:2: not JSON")
