"""Fields of one's own are made filterable from the command line."""

import json

import pytest

from fg_search import ConfidenceIndex


@pytest.fixture
def file(tmp_path):
    rows = [{"text": text, "shop": shop, "price": 2.5} for text, shop in (("my card", "Leeds"), ("my pizza", "Lisbon"))]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "items.jsonl"


@pytest.fixture
def indexed(run, file, saved_encoder, tmp_path):
    """Index a file with options, and return where."""

    def index(*options):
        place = tmp_path / "index"
        code, _, errors = run("index", file, "--index", place, "--encoder", saved_encoder, "--no-cache", *options)
        assert code == 0, errors
        return place

    return index


def known(place):
    """Fields that are said to be filterable, and the kinds of index that the engine has of them."""
    with ConfidenceIndex(place) as index:
        settings = index.metadata.settings.filterable
        schema = index.client.get_collection(index.collection).payload_schema
        return settings, {key: schema[key].data_type.value for key in settings}


def test_fields_are_named_when_an_index_is_made(indexed):
    kinds = {"shop": "keyword", "price": "float"}
    assert known(indexed("--filterable", "shop", "--filterable", "price:float")) == (kinds, kinds)


def test_fields_are_added_later_and_all_are_told(run, indexed):
    place = indexed("--filterable", "shop")
    code, out, _ = run("filterable", "price", "--index", place)
    assert (code, out.split("\n")[:2]) == (0, ["shop: keyword", "price: float"])
    assert known(place)[1] == {"shop": "keyword", "price": "float"}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("shop:colour", "the kind of 'shop' must be one of keyword"),
        ("nothing", 'no item has a value in "nothing"'),
        ("fg.label:keyword", "the index's own"),
    ],
)
def test_what_cannot_be_filterable_is_refused_in_one_line(run, indexed, field, message):
    place = indexed()
    code, _, errors = run("filterable", field, "--index", place)
    assert code == 1
    assert message in " ".join(errors.split())
    assert known(place) == ({}, {})
