"""Advice on the way to a first answer: columns, types and conditions are given as the messages say."""

import sys

import pytest
import typer
from advising import Advice

from fg_search import ConfidenceIndex
from fg_search.cli.filters import SearchFilter
from fg_search.html_table import to_frame
from fg_search.records import RecordError
from fg_search.records.column_types import chosen_types
from fg_search.records.found_columns import find_columns


@pytest.fixture(scope="module")
def shop(encoder):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(["my card", "the loan"], payloads=[{"price": 1, "size eu": "40"}, {"price": 2, "a.b": 3}])
        yield index


def _meets(index, condition):
    return len(index.search("my card", query_filter=SearchFilter([condition], None).of(index)).hits)


def test_a_condition_is_written_as_the_message_shows(shop):
    with Advice("… is no condition; write one as …").raised(typer.BadParameter):
        SearchFilter(["price"], None)
    assert _meets(shop, "price<2") == 1
    with Advice("… is neither a number nor a date such as 2026-01-31; write a condition as …").raised():
        _meets(shop, "price<cheap")
    assert _meets(shop, "price>=2026-01-31") == 0


def test_a_type_is_one_of_those_named():
    with Advice("… is no type of columns: write auto, text, or COLUMN=TYPE (…)").raised(ValueError):
        chosen_types(["price=money"])
    for right in ("auto", "text", "price=float"):
        chosen_types([right])


def test_a_column_is_named_where_none_is_found(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    with Advice("no column looks like a text; say which is one: --text COLUMN; there are …").raised(RecordError):
        find_columns(tmp_path / "a.csv")
    assert find_columns(tmp_path / "a.csv", text=["x"]).text == ("x",)
    (tmp_path / "b.csv").write_text("text,colour,brand\nmy card,red,x\nmy loan,red,y\nmy food,blue,x\nme,blue,y\n")
    found = find_columns(tmp_path / "b.csv")
    assert Advice("… could be one: say which (--label). Without, groups of like texts are learned").is_in(
        found.why["label"]
    )
    assert find_columns(tmp_path / "b.csv", label="brand").label == "brand"


def test_a_first_row_is_not_taken_for_names_of_columns(tmp_path):
    rows = "where is my parcel,post\nI lost my card,card\n" * 3
    (tmp_path / "a.csv").write_text(rows)
    with Advice(
        "the first line looks like a row: …, …; put a line with the names of the columns before it, such as text,label"
    ).raised(RecordError):
        find_columns(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}")
    assert find_columns(tmp_path / "a.csv").label == "label"


def test_columns_of_judged_queries_are_named(run, tmp_path):
    (tmp_path / "asked.csv").write_text("nr;Question;right\n1;my card pin;card\n2;zebra;\n")
    command = ("calibrate", "--queries", tmp_path / "asked.csv", "--index", tmp_path / "idx")
    code, _, err = run(*command)
    advice = Advice("no column … for …; there are …: say which it is, …")
    assert (code, advice.is_in(err)) == (1, True)
    options = err.strip().rpartition("which it is, ")[2]
    assert options == "--text Question --relevant right"
    code, _, err = run(*command, *options.split())
    assert (code, advice.is_in(err)) == (1, False)  # there is no such index


def test_another_folder_is_named_for_a_quickstart(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-search").mkdir()
    (tmp_path / "a.csv").write_text("text\nmy card\n")
    advice = Advice("there is … already; name another folder: --output FOLDER")
    assert advice.is_in(run("quickstart", "a.csv")[2].replace("│", " "))
    assert not advice.is_in(run("quickstart", "a.csv", "--output", "b", "--model", tmp_path / "none")[2])


def test_a_decision_is_taken_back_as_the_message_says(run, encoder, tmp_path):
    with ConfidenceIndex(tmp_path / "idx", encoder) as index:
        index.add(["my card", "pizza"], ids=["a", "b"], labels=["card", "food"])
    place = ("--index", tmp_path / "idx")
    out = run("decide", "keep", "a", *place)[1]
    assert Advice("… …; `fg-search undo …` takes it back").is_in(out)
    assert run("undo", out.partition("undo ")[2].partition("`")[0], *place)[0] == 0


def test_a_data_frame_is_made_once_its_extra_is_there(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with Advice("a data frame needs pandas; pip install 'fg-search[notebook]'").raised(ModuleNotFoundError):
            to_frame([{"a": 1}])
    pytest.importorskip("pandas")
    assert len(to_frame([{"a": 1}])) == 1
