import datetime
import decimal
import gzip
import itertools
import json
import pickle
import subprocess
import sys
import tempfile
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
        ('{"text": "x", "n": ' + "[" * 101 + "]" * 101 + "}", r"'n' is nested more than 100 levels deep"),
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
        ({"text": "x", "label": 3, "id": 1}, "'label' is 3; a label is a text"),
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
        ("y" * 200_000 + ",1", "a.csv:3: not CSV: field larger than field limit (131072)"),
        (b"caf\xe9,1", "a.csv:3: not UTF-8"),
    ],
)
def test_a_bad_row_of_csv_stops_or_is_skipped(write, row, message):
    row = row if isinstance(row, bytes) else row.encode()
    path = write("a.csv", b"text,n\none,1\n" + row + b"\ntwo,2\n")
    assert skip_bad(path) == (["one", "two"], [message])
    with pytest.raises(RecordError, match=r"a\.csv:3: "):
        read_records(path, text="text")


def test_rows_that_a_quote_swallows_are_told(write):
    path = write("a.csv", 'text\none\n"two\nthree\n')
    assert skip_bad(path) == (["one"], ["a.csv:3: not CSV: unexpected end of data (up to line 4)"])


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
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 10)[:-5], r"a\.jsonl\.gz: cannot be read: Compressed file"),
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
