"""Ids, labels and texts as arrays, enums and data frames have them, and arguments of the wrong shape."""

import enum
import logging
from datetime import date

import numpy as np
import pytest
from advising import Advice

from fg_search import FeatureGroupEncoder
from fg_search.errors import ItemNotFoundError


class Label(str, enum.Enum):
    CARD = "card"
    LOAN = "loan"


@pytest.fixture
def small(local):
    """Items with ids of both types, "a1" and 7."""
    local.add(np.array(["my card", "my loan"]), ids=[np.str_("a1"), np.int64(7)], labels=[Label.CARD, np.str_("loan")])
    return local


def test_arrays_and_enums_are_the_strings_and_integers_that_they_equal(small, points_of):
    features = [point.payload["fg"] for point in points_of(small).values()]
    assert sorted((type(one["id"]), one["id"], one["label"], one["text"]) for one in features if one["id"] != 7) == [
        (str, "a1", "card", "my card")
    ]
    again = small.add(["my card", "my loan"], ids=["a1", 7], labels=["card", "loan"])
    assert (again.written, len(small)) == (0, 2)
    assert small.labels_of(["a1", 7]) == small.labels_of(np.array(["a1", 7], dtype=object)) == {"a1": "card", 7: "loan"}
    assert small.labels_of(np.array([7])) == {7: "loan"}


def test_they_are_in_every_method(small):
    assert small.relabel({np.str_("a1"): Label.LOAN, np.int64(7): np.str_("card")}) == 2
    assert small.labels_of(["a1", 7]) == {"a1": "loan", 7: "card"}
    decision = small.decide(np.int64(7), "label", Label.LOAN)
    assert (type(decision.id), decision.id, type(decision.after), decision.after) == (int, 7, str, "loan")
    small.decide(np.str_("a1"), "keep")
    assert [entry.id for entry in small.decisions(item_id=np.str_("a1"))] == ["a1"]
    assert small.evaluate(["my card"], [np.int64(7)], relevant_by="id").reports
    assert small.search(np.str_("my card")).hits[0].id == "a1"
    assert small.delete(np.array([7])) == 1
    assert small.delete({np.str_("a1")}) == 1


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, np.float32("nan")])
def test_what_data_frames_have_for_a_missing_label_is_none(local, missing):
    local.add(["my card"], ids=["a"], labels=[missing])
    assert local.labels_of(["a"]) == {"a": None}
    local.relabel({"a": "card"})
    local.relabel({"a": missing})
    assert local.labels_of(["a"]) == {"a": None}
    with pytest.raises(ValueError, match="needs the label"):
        local.decide("a", "label", missing)


def test_data_frames_of_pandas(local):
    pandas = pytest.importorskip("pandas")
    columns = {"id": [1, 2, 3], "text": ["my card", "my loan", "my pin"], "label": ["card", None, pandas.NA]}
    frame = pandas.DataFrame(columns)
    local.add(frame["text"], ids=frame["id"], labels=frame["label"], payloads=frame[["id"]].to_dict("records"))
    assert local.labels_of(frame["id"]) == {1: "card", 2: None, 3: None}


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "datasets", "numpy"])
def test_columns_and_tables_are_taken_as_they_are(local, kind):
    columns = {
        "id": [1, 2, 3],
        "text": ["my card", "my loan", "my pin"],
        "label": [4, None, 5],
        "price": [1.5, None, 2.0],
        "day": [date(2026, 1, 2), None, date(2026, 1, 3)],
    }
    if kind == "pandas":
        table = pytest.importorskip("pandas").DataFrame(columns)
    elif kind == "polars":
        table = pytest.importorskip("polars").DataFrame(columns)
    elif kind == "arrow":
        table = pytest.importorskip("pyarrow").table(columns)
    elif kind == "datasets":
        table = pytest.importorskip("datasets").Dataset.from_dict(columns)
    else:
        table = {name: np.array(values, dtype=object) for name, values in columns.items()}
    payloads = [{"price": 1.5, "day": date(2026, 1, 2)}, {}, {"price": 2.0, "day": date(2026, 1, 3)}]
    if kind in ("pandas", "polars", "arrow"):
        payloads = table[["price", "day"]] if kind == "pandas" else table.select(["price", "day"])
    local.add(table["text"], ids=table["id"], labels=table["label"], payloads=payloads)
    assert local.labels_of([1, 2, 3]) == {1: "4", 2: None, 3: "5"}
    stored = {hit.id: hit.payload for hit in local.search("my card", limit=3).hits}
    assert stored == {1: {"price": 1.5, "day": "2026-01-02"}, 2: {}, 3: {"price": 2.0, "day": "2026-01-03"}}
    assert local.evaluate(table["text"], table["label"]).reports["score"].in_scope == 2
    assert local.search_many(table["text"])[2].query == "my pin"


def test_a_table_in_the_place_of_a_column_is_refused_by_name(local):
    frame = pytest.importorskip("pandas").DataFrame({"text": ["my card"], "label": ["card"]})
    with pytest.raises(TypeError, match=r"texts must be a list, got a table; pass one of its columns: 'text', 'label'"):
        local.add(frame)
    with pytest.raises(TypeError, match="queries must be a list, got a table"):
        local.search_many(frame)


def test_a_table_that_is_not_computed_yet_is_refused(local):
    frame = pytest.importorskip("polars").LazyFrame({"text": ["my card"], "n": [1]})
    with Advice("… must be a list, got a lazy table; compute it first: ….collect()").raised(TypeError):
        local.add(["my card"], payloads=frame)
    local.add(["my card"], payloads=frame.collect())
    with pytest.raises(TypeError, match="texts must be a list, got a lazy table"):
        local.add(frame.select("text"))


def test_whole_numbers_are_labels_by_their_digits(tiny_model):
    texts, numbers = ["my card", "my loan"] * 4, np.array([0, 1] * 4)
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=numbers, steps=2)
    assert encoder.codebook.labels == ("0", "1")


def test_missing_labels_teach_nothing(tiny_model):
    labels = ["card", "loan", float("nan")] * 4
    encoder = FeatureGroupEncoder(tiny_model).fit(["my card", "my loan", "my pizza"] * 4, labels=labels, steps=2)
    assert encoder.codebook.labels == ("card", "loan")


def test_payloads_may_hold_integers_of_arrays(local):
    local.add(
        ["my card"], ids=["a"], payloads=[{np.str_("n"): np.int64(3), "flag": np.bool_(True), "kind": Label.CARD}]
    )
    assert local.search("my card").hits[0].payload == {"n": 3, "flag": True, "kind": "card"}


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"ids": "ab"}, TypeError, r"ids must be a list, got one string; wrap it: \['ab'\]"),
        ({"labels": "ab"}, TypeError, "labels must be a list, got one string"),
        ({"payloads": {"a": 1, "b": 2}}, TypeError, "payloads must be a list, got a mapping"),
        ({"ids": {"a": 1, "b": 2}}, TypeError, r"list\(ids.values\(\)\)"),
        ({"ids": {"a", "b"}}, TypeError, "ids must be a list, got a set, which has no order"),
        ({"ids": 5}, TypeError, r"ids must be a list, got int 5; wrap it: \[5\]"),
        ({"ids": b"ab"}, TypeError, "ids must be a list, got bytes"),
        ({"texts": {"my card": 1, "my loan": 2}}, TypeError, "texts must be a list, got a mapping"),
        ({"texts": {"my card", "my loan"}}, TypeError, "texts must be a list, got a set"),
        ({"ids": ["a", ""]}, ValueError, r"ids\[1\] is blank: ''"),
        ({"ids": ["a", " "]}, ValueError, r"ids\[1\] is blank: ' '"),
        ({"ids": [1, True]}, TypeError, r"ids\[1\]: an id must be an int or a str, got bool"),
        ({"ids": [1, np.bool_(True)]}, TypeError, r"ids\[1\]: an id must be an int or a str, got bool"),
        ({"ids": [1, float("nan")]}, TypeError, r"ids\[1\]: an id must be an int or a str, got float: nan"),
        ({"labels": ["a", 3.5]}, TypeError, r"labels\[1\] is float 3.5, labels are strings or whole numbers; use str"),
        ({"labels": ["a", True]}, TypeError, r"labels\[1\] is bool True, labels are strings or whole numbers"),
    ],
)
def test_columns_of_another_shape_are_refused(local, columns, error, message):
    with pytest.raises(error, match=message):
        local.add(**{"texts": ["my card", "my loan"], **columns})
    assert len(local) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda index: index.relabel([("a1", "loan")]),
            r"labels must be a mapping such as \{\"id\": \"label\"\}, got list",
        ),
        (lambda index: index.relabel("a1"), "labels must be a mapping"),
        (lambda index: index.labels_of("a1"), "ids must be a list, got one string"),
        (lambda index: index.labels_of(7), "ids must be a list, got int 7"),
        (lambda index: index.labels_of({"a1": 1}), "ids must be a list, got a mapping"),
        (lambda index: index.delete("a1"), "wrap it"),
        (lambda index: index.delete(np.int64(7)), "wrap it"),
        (lambda index: index.delete({"a1": 1}), "got a mapping"),
        (lambda index: index.decide(["a1"], "keep"), "an id must be an int or a str, got list"),
        (lambda index: index.decisions(item_id=["a1"]), "an id must be an int or a str, got list"),
        (lambda index: index.search_many("my card"), "queries must be a list, got one string"),
        (lambda index: index.search_many({"my card": 1}), "queries must be a list, got a mapping"),
        (lambda index: index.search({"my card": 1}), r"queries\[0\] must be a string or a list of phrasings, got dict"),
        (lambda index: index.evaluate(["my card"], {"card": 1}), "relevant must be a list, got a mapping"),
        (lambda index: index.decide_queries("abc", "dismiss"), "ids must be a list, got one string"),
        (lambda index: index.forget_queries("abc"), "ids must be a list, got one string"),
        (lambda index: index.encoder.encode("my card"), "texts must be a list, got one string"),
        (lambda index: index.encoder.encode({"my card": 1}), "texts must be a list, got a mapping"),
        (lambda index: index.encoder.describe(["ab", "cd"], "ab"), "labels must be a list, got one string"),
        (lambda index: index.encoder.fit(["ab", "cd"], labels="ab"), "labels must be a list, got one string"),
        (lambda index: index.encoder.fit(["ab"], attributes=[["red"]]), "attributes must be a mapping"),
        (lambda index: index.encoder.fit(pairs={"question": "answer"}), "pairs must be a list, got a mapping"),
    ],
)
def test_one_value_or_a_list_for_a_mapping_is_refused(small, call, message):
    with pytest.raises(TypeError, match=message):
        call(small)
    assert small.labels_of(["a1", 7]) == {"a1": "card", 7: "loan"}


@pytest.fixture
def two(local):
    """An index with an item 2 and an item "3"."""
    local.add(["my card", "my loan"], ids=[2, "3"], labels=["card", "loan"])
    return local


@pytest.mark.parametrize(("given", "hint"), [("2", "it has 2, an integer"), (3, "it has '3', a string")])
def test_an_id_of_the_other_type_gets_a_hint(two, given, hint, caplog):
    for call in (
        lambda: two.relabel({given: "pin"}),
        lambda: two.decide(given, "keep"),
    ):
        with pytest.raises(ItemNotFoundError, match=f"no item {given!r}.*{hint}"):
            call()
    assert caplog.records == []
    assert two.labels_of([given]) == {}
    assert two.delete([given]) == 0
    assert [hint in record.getMessage() for record in caplog.records] == [True, True]
    with pytest.raises(ValueError, match=f"none of the relevant values.*{hint}"):
        two.evaluate(["my card"], [given])


def test_no_hint_for_what_is_in_no_form_there_or_was_asked_for_in_both(two, caplog):
    caplog.set_level(logging.INFO)
    assert two.labels_of(["5", 6, "x", '"3"', "3", "2", 2]) == {"3": "loan", 2: "card"}
    assert two.delete(["nobody"]) == 0
    with pytest.raises(ItemNotFoundError) as raised:
        two.relabel({"nobody": "x"})
    assert "it has" not in str(raised.value)
    assert [record for record in caplog.records if record.name.startswith("fg_search")] == []


def test_quotes_and_white_space_around_an_id_get_a_hint(two):
    with pytest.raises(ItemNotFoundError, match="it has '3', without the quotes or white space of"):
        two.relabel({'"3"': "x"})
