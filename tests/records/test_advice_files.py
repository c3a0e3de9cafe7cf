"""Advice about files: each flaw is mended as its message says, and then the rows are read."""

import gzip
import json
import sys

import pytest
from advising import Advice

from fg_search.records.read import read_records

_DEEP = "[" * 150 + "]" * 150


def _read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    flaws = []
    records = read_records(path, text="text", on_error=flaws.append, **options)
    return records, [str(flaw) for flaw in flaws]


@pytest.mark.parametrize(
    ("advice", "name", "wrong", "right"),
    [
        (
            Advice("not CSV: a quote is opened in this line and not closed; close it, or write it twice"),
            "a.csv",
            'text,label\nmy card,card\nmy "loan,loan\n"my pizza,food\nmy hotel,travel\n',
            'text,label\nmy card,card\nmy "loan,loan\n"my pizza",food\nmy hotel,travel\n',
        ),
        (
            Advice(
                "which look like rows; close it, or write it twice; if they are one text, hand the file in as JSONL"
            ),
            "a.csv",
            'text,label,a,b,c\n"x,y,1,2,3\nw",v,1,2,3\nmy hotel,travel,1,2,3\n',
            'text,label,a,b,c\n"x",y,1,2,3\n"""w",v,1,2,3\nmy hotel,travel,1,2,3\n',
        ),
        (
            Advice(" has no name, but holds …; name it in the header"),
            "a.csv",
            "text,label,\nmy card,card,1\nmy pizza,food,\n",
            "text,label,price\nmy card,card,1\nmy pizza,food,\n",
        ),
        (
            Advice("is nested more than … levels deep; flatten it, or write it as a text"),
            "a.jsonl",
            f'{{"text": "my card", "deep": {_DEEP}}}\n{{"text": "my pizza"}}\n',
            f'{{"text": "my card", "deep": {json.dumps(_DEEP)}}}\n{{"text": "my pizza"}}\n',
        ),
        (
            Advice("holds …, which is not JSON; use null"),
            "a.jsonl",
            '{"text": "my card", "price": NaN}\n{"text": "my pizza"}\n',
            '{"text": "my card", "price": null}\n{"text": "my pizza"}\n',
        ),
        (
            Advice("holds …, which does not fit into 64 bits; write it as a text"),
            "a.jsonl",
            '{"text": "my card", "price": 18446744073709551616}\n{"text": "my pizza"}\n',
            '{"text": "my card", "price": "18446744073709551616"}\n{"text": "my pizza"}\n',
        ),
        (
            Advice("the column name … is reserved; rename the column"),
            "a.jsonl",
            '{"text": "my card", "fg": 1}\n{"text": "my pizza"}\n',
            '{"text": "my card", "fg_": 1}\n{"text": "my pizza"}\n',
        ),
        (
            Advice(
                "not UTF-8; name the encoding of the file (encoding='cp1252', --encoding cp1252), or save it as UTF-8"
            ),
            "a.csv",
            "text\ncafé\nmy pizza\n".encode("cp1252"),
            "text\ncafé\nmy pizza\n",
        ),
    ],
)
def test_a_bad_row_is_mended_as_its_message_says(tmp_path, advice, name, wrong, right):
    _, flaws = _read(tmp_path / name, wrong)
    assert any(advice.is_in(flaw) for flaw in flaws), flaws
    records, flaws = _read(tmp_path / name, right)
    assert flaws == []
    assert len(records) >= 2


@pytest.mark.parametrize(
    ("advice", "name", "wrong", "right"),
    [
        (
            Advice(
                " line(s) behind it, rows or not; close it where its field ends, or write it twice if it is part of"
            ),
            "a.csv",
            'text\n"my card\nmy pizza\n',
            'text\n"""my card"\nmy pizza\n',
        ),
        (
            Advice(" line(s) behind it, rows or not; close it where its field ends"),
            "a.csv",
            'text\n"my card\nmy pizza\n',
            'text\n"my card"\nmy pizza\n',
        ),
        (
            Advice(" columns, the first of them column …, have no name; name them"),
            "a.csv",
            "text,,,label\nmy card,1,2,card\n",
            "text,a,b,label\nmy card,1,2,card\n",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_mended_as_the_message_says(tmp_path, advice, name, wrong, right):
    with advice.raised():
        _read(tmp_path / name, wrong)
    assert _read(tmp_path / name, right)[1] == []


def test_the_encoding_is_named_another_is_named_or_the_file_is_saved_as_utf_8(tmp_path):
    content = "text\ncafé\nmy pizza\n"
    assert len(_read(tmp_path / "a.csv", content.encode("cp1252"), encoding="cp1252")[0]) == 2
    advice = Advice("not …; name another encoding, or save the file as UTF-8")
    _, flaws = _read(tmp_path / "a.csv", content.encode("cp1252"), encoding="utf-8")
    assert advice.is_in(flaws[0])
    assert _read(tmp_path / "a.csv", content.encode("cp1252"), encoding="cp1252")[1] == []
    assert _read(tmp_path / "a.csv", content.encode(), encoding="utf-8")[1] == []


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_said_as_the_message_says(tmp_path, delimiter):
    content = delimiter.join(["text", "label"]) + "\n" + delimiter.join(["my card", "card"]) + "\n"
    advice = Advice("; its columns seem to be separated by …: say so (delimiter=…, --delimiter …)")
    with advice.raised() as caught:
        _read(tmp_path / "a.csv", content, delimiter=",")
    assert f"(delimiter={delimiter!r}, " in str(caught.value)
    assert len(_read(tmp_path / "a.csv", content, delimiter=delimiter)[0]) == 1


def test_rows_that_are_one_text_are_handed_in_as_jsonl(tmp_path):
    text = "x,y,1,2,3\nw"
    _, flaws = _read(tmp_path / "a.csv", f'text,label,a,b,c\n"{text}",l,1,2,3\nmy hotel,travel,1,2,3\n')
    assert "hand the file in as JSONL" in " ".join(flaws)
    records, flaws = _read(tmp_path / "a.jsonl", json.dumps({"text": text, "label": "l"}) + "\n")
    assert (records[0].text, flaws) == (text, [])


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".csv", ".tsv"])
def test_another_ending_is_used_also_with_gz(tmp_path, ending):
    advice = Advice("the ending … is not known; use one of …, all but the last also with .gz")
    with advice.raised() as caught:
        _read(tmp_path / "a.txt", "")
    assert f"{ending}," in str(caught.value)
    content = b'{"text": "my card"}\n' if "json" in ending else b"text\nmy card\n"
    assert len(_read(tmp_path / f"a{ending}", content)[0]) == 1
    assert len(_read(tmp_path / f"a{ending}.gz", gzip.compress(content))[0]) == 1


def test_what_a_file_has_no_use_for_is_left_out(tmp_path):
    with Advice("a delimiter is only for CSV and TSV files; leave it out").raised():
        _read(tmp_path / "a.jsonl", '{"text": "my card"}\n', delimiter=";")
    assert len(_read(tmp_path / "a.jsonl", '{"text": "my card"}\n')[0]) == 1


def test_parquet_files_have_no_encoding_and_columns_that_json_knows(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def read(columns, **options):
        parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
        return read_records(tmp_path / "a.parquet", text="text", **options)

    columns = {"text": ["my card"], "raw": pa.array([b"\x00"], pa.binary())}
    with Advice("the column … holds …, which JSON lacks; convert it or leave it out").raised():
        read(columns)
    assert len(read({**columns, "raw": ["00"]})) == 1
    assert len(read({"text": ["my card"]})) == 1
    with Advice("a Parquet file has no encoding to choose; leave it out").raised():
        read({"text": ["my card"]}, encoding="cp1252")
    assert len(read({"text": ["my card"]})) == 1


def test_parquet_is_read_once_pyarrow_is_there(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["my card"]}), tmp_path / "a.parquet")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        patch.delitem(sys.modules, "fg_search.records.parquet", raising=False)
        with Advice("Parquet needs pyarrow; pip install 'fg-search[parquet]'").raised():
            read_records(tmp_path / "a.parquet", text="text")
    assert len(read_records(tmp_path / "a.parquet", text="text")) == 1
