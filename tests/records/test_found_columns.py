import gzip

import pytest

from fg_search.records import RecordError, read_records
from fg_search.records.column_types import ColumnTypes, chosen_types, typed
from fg_search.records.found_columns import find_columns
from fg_search.records.found_encoding import find_encoding


def table(folder, header, rows, name="file.csv", encoding="utf-8"):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return path


SHOP = [f"A{i},Tent {i},A tent for {i} people on tour,{('tents', 'boots')[i % 2]},{i}.50" for i in range(8)]


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("sku,title,description,category,price", SHOP, (("title", "description"), "category", "sku")),
        ("SKU,Product Title,Long Description,Product Category,x", SHOP, (("Product Title", "Long Description"),) * 0),
        ("a,b,c,d,e", SHOP, (("c",), "d", None)),
        ("text,label", ["my card,card", "the loan,loan"] * 3, (("text",), "label", None)),
        ("question,answer_id", ["where is it,7", "what is that,8"], (("question",), None, "answer_id")),
        ("name,colour,brand", ["a,red,x", "b,blue,y", "c,red,x", "d,blue,y"], (("name",), None, None)),
        ("name", ["one", "two"], (("name",), None, None)),
        ("文本,类别", ["我的包裹在哪里呢,物流", "请退还我的钱,付款"] * 2, (("文本",), "类别", None)),
    ],
)
def test_columns_are_found_by_their_names_and_values(tmp_path, header, rows, expected):
    found = find_columns(table(tmp_path, header, rows))
    expected = expected or (("Product Title", "Long Description"), "Product Category", "SKU")
    assert (found.text, found.label, found.id) == expected
    assert set(found.why) == {"text", "label", "id"}
    assert all(found.why.values())
    assert {*found.text, found.label, found.id, *found.others} - {None} == set(header.split(","))


def test_columns_that_are_named_are_taken(tmp_path):
    path = table(tmp_path, "sku,title,description,category,price", SHOP)
    found = find_columns(path, text=["description"], label="title", id="price")
    assert (found.text, found.label, found.id) == (("description",), "title", "price")
    assert found.others == ("sku", "category")
    with pytest.raises(RecordError, match="no column 'colour'; there are 'sku'"):
        find_columns(path, label="colour")


def test_a_file_without_texts_says_which_option_names_one(tmp_path):
    with pytest.raises(RecordError, match="--text COLUMN; there are 'x', 'y'"):
        find_columns(table(tmp_path, "x,y", ["1,2", "3,4"]))


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ("xx", "has one value only"),
        ("xy", "has 2 values in 2 rows, fewer than 2 rows each"),
        (["", ""], "has no value"),
    ],
)
def test_why_a_column_is_no_label_is_said(tmp_path, labels, why):
    found = find_columns(table(tmp_path, "text,label", [f"a text,{label}" for label in labels]))
    assert found.label is None
    assert found.why["label"].startswith(f"'label' is called so, but {why}.")


def test_types_are_those_of_all_cells():
    seen = ColumnTypes()
    rows = [
        {"n": "1", "price": "9.50", "stock": "TRUE", "day": "2026-01-31", "zip": "01234", "mixed": "1", "none": ""},
        {"n": "-7", "price": "3", "stock": "", "day": "2026-01-31T10:00Z", "zip": "99999", "mixed": "a", "none": ""},
    ]
    for row in rows:
        seen.add(row)
    types = seen.found()
    assert types == {"n": "integer", "price": "float", "stock": "bool", "day": "datetime"}
    assert typed(rows[1], types) == {
        "n": -7, "price": 3.0, "stock": None, "day": "2026-01-31T10:00Z", "zip": "99999", "mixed": "a", "none": ""
    }  # fmt: skip
    with pytest.raises(ValueError, match="'mixed' holds 'a', which is no integer"):
        typed(rows[1], {"mixed": "integer"})


@pytest.mark.parametrize(
    "cell", ["1,5", "0x1", "1_000", "١٢", "nan", "inf", ".", "e5", "2026-02-30", "26-01-01", "yes"]
)
def test_what_may_be_something_else_stays_a_text(cell):
    seen = ColumnTypes()
    seen.add({"x": cell})
    assert seen.found() == {}


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["15,90", "20", "-1.299,00", ",5"], "float with decimal commas", [15.9, 20.0, -1299.0, 0.5]),
        (["0,125", "1,234"], "float with decimal commas", [0.125, 1.234]),
        (["1,234", "20"], None, None),  # one thousand, or little more than one
        (["15,90", "15.90"], None, None),
        (["15,90", "1.299"], None, None),
        (["15,90", "n/a"], None, None),
        (["1,234,567", "15,90"], None, None),
        (["7", "8"], "integer", [7, 8]),
        (["7.5", "8"], "float", [7.5, 8.0]),
    ],
)
def test_decimal_commas_are_numbers_where_no_comma_separates_fields(cells, kind, values):
    apart, joined = ColumnTypes(decimal_commas=True), ColumnTypes()
    for cell in cells:
        apart.add({"x": cell})
        joined.add({"x": cell})
    assert apart.found().get("x") == kind
    assert joined.found().get("x") == (None if kind == "float with decimal commas" else kind)
    if kind is not None:
        assert [typed({"x": cell}, {"x": kind})["x"] for cell in cells] == values


def test_a_named_float_has_decimal_commas_where_the_cells_have_them():
    seen = ColumnTypes(decimal_commas=True)
    for row in [{"a": "1,5", "b": "1,234", "c": "1.5"}, {"a": "n/a", "b": "7", "c": "2,5"}]:
        seen.add(row)
    types = seen.as_written(dict.fromkeys("abc", "float"))
    assert types == {"a": "float with decimal commas", "b": "float", "c": "float"}
    assert typed({"a": "1,5"}, types) == {"a": 1.5}
    with pytest.raises(ValueError, match=r"'b' holds '1,234', .*no float; write it as 1234\.5, or --types b=text"):
        typed({"b": "1,234"}, types)


@pytest.mark.parametrize(
    ("again", "expected", "why"),
    [
        (SHOP[3], "sku", "1 row came twice"),
        ("A3,Tent,Another,tents,1", None, "'sku' would be one, but rows 5 and 14 have the same, 'A3', and differ"),
    ],
)
def test_an_id_may_come_twice_with_the_same_row(tmp_path, again, expected, why):
    shop = [f"A{i}{row[2:]}" for i, row in enumerate([*SHOP, *SHOP[:4]])]
    found = find_columns(table(tmp_path, "sku,title,description,category,price", [*shop, again]))
    assert found.id == expected
    assert why in found.why["id"]


def test_types_are_written_as_on_the_command_line():
    assert chosen_types(["text", "price=float", "a=b=text"]) == (False, {"price": "float", "a=b": "text"})
    assert chosen_types([]) == (True, {})
    for wrong in ("price", "price=money", "=float"):
        with pytest.raises(ValueError, match="is no type of columns"):
            chosen_types([wrong])


def test_several_columns_make_one_text_and_are_kept(tmp_path):
    rows = ["Dome tent,For two.,x", "What now?,,y", ",Alone,z"]
    path = table(tmp_path, "title,description,more", rows)
    records = read_records(path, text=["title", "description"])
    assert [record.text for record in records] == ["Dome tent. For two.", "What now?", "Alone"]
    assert records[0].payload == {"title": "Dome tent", "description": "For two.", "more": "x"}
    assert read_records(path, text=["more"])[0].payload == {"title": "Dome tent", "description": "For two."}
    with pytest.raises(RecordError, match="'title', 'description' are empty"):
        read_records(table(tmp_path, "title,description,more", [", ,x"]), text=["title", "description"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_an_encoding_is_found(tmp_path, encoding):
    path = table(tmp_path, "text,label", ["Größe | 5 €,x", "Schön,y"], encoding=encoding)
    assert read_records(path, text="text", encoding="auto")[0].text == "Größe | 5 €"
    packed = tmp_path / "file.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert find_encoding(packed) == find_encoding(path)


def test_an_encoding_is_latin_1_where_no_other_reads_it(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"text\ncaf\xe9 \x81\n")
    assert find_encoding(tmp_path / "x.csv") == "latin-1"
    with pytest.raises(RecordError, match="cannot be read"):
        find_encoding(tmp_path / "none.csv")
