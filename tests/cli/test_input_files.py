"""Files and filters as people and strangers make them: read, or refused in one line that says what to do."""

import contextlib
import json
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples

from fg_search import ConfidenceIndex
from fg_search.cli.filters import SearchFilter
from fg_search.errors import FgSearchError


@pytest.fixture
def index(run, saved_encoder, tmp_path):
    """Index a file: exit code, what was printed, and the items that are there by their texts."""

    def index(name, content, *options):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        place = ("--index", tmp_path / "idx", "--encoder", saved_encoder, "--no-cache")
        code, out, err = run("index", tmp_path / name, *place, *options)
        items = {}
        if (tmp_path / "idx").is_dir():
            with ConfidenceIndex(tmp_path / "idx") as opened:
                points = opened.client.scroll(opened.collection, limit=1000)[0]
                items = {point.payload["fg"]["text"]: point.payload for point in points}
        return code, out + err.replace(str(tmp_path), ""), items

    return index


# delimiters and encodings


def test_a_spreadsheet_saved_with_semicolons_in_cp1252_is_indexed(index):
    content = 'text;label;Größe;;\n"Käse; Pizza";food;klein;;\nmy card;card;;;\n'.encode("cp1252")
    code, said, items = index("a.csv", content, "--label", "label")
    assert (code, items) == (1, {})
    assert "/a.csv:1: not UTF-8; name the encoding of the file" in said
    code, said, items = index("a.csv", content, "--label", "label", "--encoding", "cp1252")
    assert code == 0
    assert {text: (item["fg"]["label"], item["Größe"]) for text, item in items.items()} == {
        "Käse; Pizza": ("food", "klein"),
        "my card": ("card", ""),
    }


def test_decimal_commas_are_compared_as_the_advice_says(run, index, tmp_path):
    rows = "\n".join(f"my card {i};{i},90;1,{i:03}" for i in range(20))
    code, said, items = index("a.csv", f"text;price;sold\n{rows}", "--types", "text")
    assert (code, items["my card 3"]["price"]) == (0, "3,90"), said
    search = ("search", "my card", "--index", tmp_path / "idx", "--where", "price<3", "--json")
    code, _, err = run(*search)
    assert code == 4
    advice = re.search(r"--types price=float", err)[0].split()
    code, said, items = index("a.csv", f"text;price;sold\n{rows}", *advice)
    assert (code, items["my card 3"]["price"], items["my card 3"]["sold"]) == (0, 3.9, "1,003"), said
    assert "price float with decimal commas" in said
    assert len(json.loads(run(*search)[1])["hits"]) == 3


def test_rows_that_are_bad_for_one_reason_are_not_all_listed(index):
    rows = "\n".join(f"my card {i},cheap {i}" for i in range(40))
    code, said, _ = index("a.csv", f"text,price\n{rows}", "--types", "price=float")
    assert code == 1
    assert said.count("which is no float") == 1
    assert "/a.csv:2: 'price' holds 'cheap 0', which is no float; correct it, or --types price=text" in said
    assert "… and 39 more for the same reason\nerror: /a.csv: no good row among 40" in said
    code, said, items = index("a.csv", f"text,price\n{rows}\npizza,7\n,8", "--types", "price=float")
    assert (code, len(items), said.count("no float"), said.count("'text' is empty")) == (0, 1, 3, 1)
    assert "… and 37 more" in said
    assert "41 bad row(s) left out" in said


@pytest.mark.parametrize(("written", "given"), [(";", ";"), ("\t", "tab"), ("\t", "\\t"), ("/", "/")])
def test_a_delimiter_is_named(index, written, given):
    content = "text,x/label\nmy card,y/card\n".replace("/", written)
    code, _, items = index("a.csv", content, "--delimiter", given, "--label", "label")
    assert (code, list(items)) == (1, [])
    code, _, items = index("a.csv", content, "--delimiter", given, "--label", "label", "--text", "text,x")
    assert (code, list(items)) == (0, ["my card,y"])


@pytest.mark.parametrize("option", [("--delimiter", ";;"), ("--encoding", "nonsense"), ("--delimiter", '"')])
def test_what_is_no_delimiter_or_encoding_is_a_wrong_command_line(index, option):
    code, said, _ = index("a.csv", "text\nmy card\n", *option)
    assert code == 2
    assert "is not possible" in said or "there is no encoding" in said


def test_every_command_that_reads_files_takes_both_options(run):
    for command in ("fit", "describe", "index", "relabel", "search", "calibrate", "evaluate", "import"):
        _, out, _ = run(command, "--help")
        assert "--delimiter" in out, command
        assert "--encoding" in out, command


def test_labels_queries_and_corrections_may_have_another_form(run, index, tmp_path):
    _, _, items = index("a.csv", "id,text,label\na,my card,card\nb,pizza oven,food\n", "--id", "id", "--label", "label")
    assert len(items) == 2
    (tmp_path / "new.csv").write_bytes("id;label\na;Käse\n".encode("cp1252"))
    code, out, err = run(
        "relabel", tmp_path / "new.csv", "--index", tmp_path / "idx", "--encoding", "cp1252", "--new-label"
    )
    assert (code, err.strip()) == (0, "'Käse' is a new label")
    (tmp_path / "corrected.csv").write_bytes('id;corrected_label\n"""b""";Grüße \n'.encode("cp1252"))
    place = (tmp_path / "corrected.csv", "--index", tmp_path / "idx")
    code, _, err = run("import", *place)
    assert code == 1
    assert "not UTF-8: byte 0xfc in line 2; save it as UTF-8, or name its encoding" in err
    code, out, _ = run("import", *place, "--encoding", "cp1252", "--delimiter", ";")
    assert (code, out.strip()) == (0, "1 decision taken")
    with ConfidenceIndex(tmp_path / "idx") as opened:
        assert opened.labels_of(["a", "b"]) == {"a": "Käse", "b": "Grüße"}
    (tmp_path / "q.csv").write_bytes("n;text\n1;Käse card\n".encode("cp1252"))
    code, out, _ = run(
        "search", "--queries", tmp_path / "q.csv", "--index", tmp_path / "idx", "--encoding", "cp1252", "--json"
    )
    assert json.loads(out)["query"] == "Käse card"


# quotes, long fields, deep rows, labels


def test_a_stray_quote_costs_its_own_row_only(index):
    rows = [f"my card {i},{i}" for i in range(50)]
    rows[7] = '"my card 7,7'
    code, said, items = index("a.csv", "\n".join(["text,n", *rows]))
    assert (code, len(items)) == (0, 49)
    assert "/a.csv:9: not CSV: a quote is opened in this line and not closed" in said
    assert "1 bad row(s) left out" in said


def test_a_stray_quote_whose_rows_cannot_be_told_stops(index):
    rows = [f"my card {i}" for i in range(50)]
    rows[7] = '"my card 7'
    code, said, items = index("a.csv", "\n".join(["text", *rows]))
    assert (code, items) == (1, {})
    assert "error: /a.csv:9: the quote opened here takes in the 42 line(s) behind it" in said


def test_a_long_text_is_one_item(index):
    text = "my card " * 30_000
    code, _, items = index("a.csv", f'text,n\n"{text}\n{text}",1\npizza,2\n')
    assert (code, sorted(map(len, items))) == (0, [5, 2 * len(text) + 1])


@pytest.mark.parametrize("levels", [63, 64, 70, 100, 101, 5000])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_a_row_that_is_nested_too_deep_is_left_out(index, levels, kind):
    deep = "[" * levels + "]" * levels if kind == "list" else '{"a":' * levels + "1" + "}" * levels
    rows = ['{"text": "my card"}', '{"text": "pizza oven", "deep": ' + deep + "}", '{"text": "flight"}']
    code, said, items = index("a.jsonl", "\n".join(rows))
    assert code == 0
    assert len(items) == (3 if levels < 64 else 2)
    if levels >= 64:
        assert "/a.jsonl:2: " in said
        assert "deep" in said
    code, said, _ = index("a.jsonl", "\n".join(rows), "--on-error", "stop")
    assert code == (0 if levels < 64 else 1)


def test_whole_numbers_are_labels_from_index_to_evaluation(run, index, tmp_path):
    rows = [{"text": f"{word} {i}", "label": n} for n, word in enumerate(["card", "pizza"]) for i in range(12)]
    code, said, items = index("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows), "--label", "label")
    assert (code, "bad row" in said) == (0, False)
    assert {item["fg"]["label"] for item in items.values()} == {"0", "1"}
    queries = "".join(json.dumps({"text": f"my {word}", "label": n}) + "\n" for n, word in enumerate(["card", "pizza"]))
    (tmp_path / "q.jsonl").write_text(queries)
    code, out, err = run("evaluate", "--queries", tmp_path / "q.jsonl", "--index", tmp_path / "idx", "--json")
    assert (code, json.loads(out)["relevant_by"]) == (0, "label"), err


# standard input


def test_a_line_of_another_encoding_on_stdin_is_reported_and_left_out(run, index, tmp_path):
    index("a.csv", "text\nmy card\npizza oven\n")
    arguments = ("search", "--index", tmp_path / "idx", "--json", "--limit", 1)
    lines = "my card\nKäse\n\npizza\n".encode("cp1252")
    code, out, err = run(*arguments, stdin=lines)
    assert code == 0
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["my card", "pizza"]
    assert "standard input:2: not UTF-8; name its encoding" in err
    code, out, err = run(*arguments, "--on-error", "stop", stdin=lines)
    assert (code, len(out.splitlines())) == (1, 1)
    assert "error: standard input:2: not UTF-8" in err
    code, out, _ = run(*arguments, "--encoding", "cp1252", stdin=lines)
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["my card", "Käse", "pizza"]


# Label Studio


def tasks_of(*answers):
    """Label Studio's export of items t0, t1, …: for each, values by control name and kind."""
    return json.dumps(
        [
            {
                "data": {"fg_id": json.dumps(f"t{i}")},
                "annotations": [
                    {"result": [{"from_name": name, "type": kind, "value": {kind: value}} for name, kind, value in one]}
                ],
            }
            for i, one in enumerate(answers)
        ]
    )


def test_answers_of_other_controls_are_taken_or_told(run, index, tmp_path):
    index("a.csv", "id,text,label\nt0,my card,card\nt1,pizza,food\n", "--id", "id", "--label", "label")
    file = tmp_path / "tasks.json"
    arguments = ("import", file, "--index", tmp_path / "idx", "--format", "label-studio")
    file.write_text(tasks_of([("intent", "choices", ["food"])], [("intent", "choices", [" card "])]))
    code, out, _ = run(*arguments)
    assert (code, out.strip()) == (0, "2 decisions taken")
    file.write_text(tasks_of([("tree", "taxonomy", [["all", "card"]])], []))
    assert run(*arguments)[1].strip() == "1 decision taken"
    file.write_text(tasks_of([("a", "choices", ["food"]), ("b", "choices", ["card"])], []))
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert "several controls hold labels: 'a', 'b'; say which one counts (control=…, --control NAME)" in err
    assert run(*arguments, "--control", "a")[1].strip() == "1 decision taken"
    file.write_text(tasks_of([("ner", "labels", ["PER"])]))
    code, _, err = run(*arguments)
    assert (code, "no control holds labels; there are 'ner'" in err) == (1, True)
    with ConfidenceIndex(tmp_path / "idx") as opened:
        assert opened.labels_of(["t0", "t1"]) == {"t0": "food", "t1": "card"}
    assert run("import", file, "--index", tmp_path / "idx", "--control", "a")[0] == 2


# snapshots


def test_a_refused_restore_leaves_nothing(run, tmp_path):
    (tmp_path / "x.snapshot").write_bytes(b"no snapshot" * 1000)
    code, _, err = run("restore", tmp_path / "x.snapshot", "--index", tmp_path / "new" / "idx")
    assert code == 1
    assert "is damaged" in err
    assert [path.name for path in tmp_path.iterdir()] == ["x.snapshot"]


# filters


@pytest.fixture
def shop(index, run, tmp_path):
    """Search an index of items with odd columns."""
    rows = [
        {"text": "my card", "Product Type": "a", "size.eu": 40, "nested": {"eu": 1, "x y": 2}},
        {"text": "pizza oven", "Product Type": "b", "size.eu": 41, "nested": {"eu": 2}},
    ]
    index("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def search(key, value):
        condition = {"must": [{"key": key, "match": {"value": value}}]}
        code, out, err = run("search", "card", "--index", tmp_path / "idx", "--json", "--filter", json.dumps(condition))
        return code, [hit["payload"]["Product Type"] for hit in json.loads(out)["hits"]] if out else [], err

    return search


@pytest.mark.parametrize(
    ("key", "quoted", "value", "found"),
    [
        ("Product Type", '"Product Type"', "a", ["a"]),
        ("nested.x y", 'nested."x y"', 2, ["a"]),
        ("no such column!", '"no such column!"', 2, []),
    ],
)
def test_a_key_that_is_no_path_is_told_with_its_quotes(shop, key, quoted, value, found):
    code, _, err = shop(key, value)
    assert code == 2
    shown = " ".join(err.replace("│", " ").split())
    assert f"the key {key!r} of the filter is no path" in shown
    assert json.dumps(quoted) in shown
    assert shop(quoted, value)[:2] == (0 if found else 4, found)


def test_a_column_with_a_dot_that_is_filtered_without_quotes_is_told(shop):
    code, found, err = shop("size.eu", 40)
    assert (code, found) == (4, [])
    assert "no item has 'size.eu' as a path, but there is a column of this name" in err
    assert '"\\"size.eu\\""' in err
    assert shop('"size.eu"', 40) == (0, ["a"], "")
    for key, value in (("nested.eu", 1), ("nested.eu", 99)):
        assert shop(key, value)[2] == ""
    assert "no item has a value under 'no.where'" in shop("no.where", 1)[2]


@pytest.mark.parametrize("key", ["", '"', 'a"b', "a..b", "a[x]", ".", '"a"b'])
def test_other_keys_that_are_no_path_are_told(shop, key):
    code, _, err = shop(key, 1)
    assert (code, "is no path" in err) == (2, True)


json_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(2**70)
WORDS = """must should must_not min_should key match range value any text gt lte has_id is_empty is_null nested filter
conditions min_count values_count except phrase price geo_radius center lat lon radius has_vector slice total index"""
keys = st.sampled_from(WORDS.split())
json_filters = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, 2**70, 1e308, -0.0])
bounds = st.sampled_from(["gt", "gte", "lt", "lte"])
paths = st.sampled_from(["price", "a.b", "a[]", "a[0].b", '"a b"', "fg.confidence", "a b", ""]) | st.text(max_size=4)
conditions = st.fixed_dictionaries(
    {"key": paths},
    optional={
        "match": st.fixed_dictionaries({"value": json_scalars})
        | st.fixed_dictionaries({"any": st.lists(json_scalars, max_size=3)})
        | st.fixed_dictionaries({"text": st.text(max_size=5)}),
        "range": st.dictionaries(
            st.sampled_from(["gt", "gte", "lt", "lte"]), numbers | st.text(max_size=10), max_size=2
        ),
        "values_count": st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), numbers, max_size=2),
        "is_null": st.booleans(),
        "geo_radius": st.fixed_dictionaries(
            {"center": st.fixed_dictionaries({"lat": numbers, "lon": numbers}), "radius": numbers}
        ),
    },
) | st.fixed_dictionaries({"has_id": st.lists(numbers | st.text(max_size=5), max_size=3)})
nearly_filters = st.dictionaries(
    st.sampled_from(["must", "should", "must_not"]), conditions | st.lists(conditions, max_size=3), max_size=2
)


@pytest.fixture(scope="module", params=["edge", "memory"])
def opened(request, encoder, tmp_path_factory):
    location = tmp_path_factory.mktemp("filters") / "idx" if request.param == "edge" else ":memory:"
    with ConfidenceIndex(location, encoder) as opened:
        opened.add(["my card", "pizza oven"], payloads=[{"price": 1, "a": [{"b": 1}]}, {"price": "x", "a b": None}])
        yield opened


def search_or_refuse(opened, written):
    import typer

    with contextlib.suppress(typer.BadParameter, ValueError, FgSearchError):
        found = opened.search("my card", query_filter=SearchFilter(None, written).written)
        assert len(found.hits) <= 2


@given(st.text(max_size=60) | json_filters.map(json.dumps) | nearly_filters.map(json.dumps))
def test_any_filter_is_searched_with_or_refused(opened, written):
    search_or_refuse(opened, written)


@pytest.mark.parametrize("depth", [10, 60, 150, 250, 1000, 100_000])
def test_a_deep_filter_is_searched_with_or_refused(opened, depth):
    search_or_refuse(opened, '{"must": [' * depth + '{"key": "price", "match": {"value": 1}}' + "]}" * depth)


# any bytes


@settings(max_examples=examples(10), suppress_health_check=WITH_FIXTURES)
@given(st.binary(max_size=60) | st.sampled_from([b"text\nmy card\n", b'{"text": "x"}\n', b"text;label\nx;y\n"]))
def test_any_bytes_in_files_and_on_stdin_end_a_command_by_its_exit_code(run, opened, saved_encoder, tmp_path, content):
    folder = tmp_path / "any"
    folder.mkdir()
    try:
        for name in ("a.csv", "a.jsonl", "a.snapshot", "a.json", "a.parquet"):
            (folder / name).write_bytes(content)
        place = ("--index", folder / "idx")
        for arguments in (
            ("index", folder / "a.csv", *place, "--encoder", saved_encoder, "--no-cache"),
            ("relabel", folder / "a.jsonl", *place, "--id", "text"),
            ("import", folder / "a.csv", *place),
            ("import", folder / "a.json", *place, "--format", "label-studio"),
            ("search", "--queries", folder / "a.parquet", *place),
            ("restore", folder / "a.snapshot", "--index", folder / "restored"),
        ):
            assert run(*arguments)[0] in (0, 1, 2)
        assert not (folder / "restored").exists()
        assert run("search", *place, "--json", stdin=content)[0] in (0, 1, 2)
    finally:
        shutil.rmtree(folder)
