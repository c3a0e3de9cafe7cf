import pytest
import typer

from fg_search import ConfidenceIndex
from fg_search.cli.filters import SearchFilter


@pytest.fixture(scope="module")
def shop(encoder):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(
            ["my card", "the loan", "a flight", "pizza"],
            ids=["a", "b", "c", "d"],
            payloads=[
                {"colour": "red", "price": 10, "new": True, "day": "2026-01-31", "size.eu": "40"},
                {"colour": "blue", "price": 20.5, "new": False, "day": "2026-03-01T10:00:00Z"},
                {"colour": "red", "price": 30, "new": True, "day": "2025-01-01", "Product Type": "x"},
                {"colour": "5"},
            ],
        )
        yield index


def found(index, filter_):
    return {hit.id for hit in index.search("my card", query_filter=filter_).hits}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (["colour=red"], "ac"),
        (["colour != red"], "bd"),
        (["colour=5"], "d"),
        (["price<20.5"], "a"),
        (["price<=20.5"], "ab"),
        (["price=20.5"], "b"),
        (["price=10"], "a"),
        (["price!=10"], "bcd"),
        (["new=TRUE"], "ac"),
        (["new!=true"], "bd"),
        (["day>=2026-01-31"], "ab"),
        (["day=2026-01-31"], "a"),
        (["colour=red", "price>10"], "c"),
        (["Product Type=x"], "c"),
        (['"size.eu"=40'], "a"),
    ],
)
def test_conditions_are_met(shop, capsys, where, ids):
    assert "".join(sorted(found(shop, SearchFilter(where, None).of(shop)))) == ids
    assert capsys.readouterr().err == ""


def test_conditions_and_a_filter_go_together(shop):
    filter_ = SearchFilter(["price<25"], '{"must": [{"key": "colour", "match": {"value": "red"}}]}')
    assert found(shop, filter_.of(shop)) == {"a"}
    assert SearchFilter(None, None).of(shop) is None


@pytest.mark.parametrize(
    ("where", "warning"),
    [
        ("color=red", "no item has a value under 'color'; did you mean 'colour'?"),
        ("weight<5", "no item has a value under 'weight'; there are 'Product Type', 'colour'"),
        ("size.eu=40", "put it in quotes"),
        ("price=cheap", "'price' holds numbers, and 'cheap' is none: no item can meet price=cheap"),
        ("colour<5", "--types colour=float"),
        ("new>3", "'new' holds truth values"),
        ("day<5", "'day' holds dates, and '5' is none"),
    ],
)
def test_what_no_item_can_meet_is_told(shop, capsys, where, warning):
    filter_ = SearchFilter([where], None).of(shop)
    assert warning in capsys.readouterr().err
    assert found(shop, filter_) == set()


@pytest.mark.parametrize(
    ("written", "warning"),
    [
        ('{"must": [{"key": "colour", "range": {"lt": 5}}]}', "'colour' holds texts, which a range of numbers"),
        ('{"must": [{"key": "price", "match": {"value": "10"}}]}', "'price' holds numbers, which the value \"10\""),
        ('{"must": [{"key": "price", "range": {"lt": "2026-01-01T00:00:00Z"}}]}', "a range of dates"),
        ('{"should": [{"must": [{"key": "new", "match": {"value": "true"}}]}]}', "'new' holds truth values"),
        ('{"must": [{"key": "colour", "match": {"value": "red"}}]}', ""),
        ('{"must": [{"key": "new", "match": {"value": true}}, {"key": "day", "match": {"value": "x"}}]}', ""),
    ],
)
def test_a_filter_for_another_type_is_told(shop, capsys, written, warning):
    SearchFilter(None, written).of(shop)
    err = capsys.readouterr().err
    assert warning in err
    assert bool(err) == bool(warning)


@pytest.mark.parametrize("wrong", ["colour", "=red", "price<cheap", '"a"b=1'])
def test_what_is_no_condition_is_refused(shop, wrong):
    with pytest.raises(typer.BadParameter, match=r"write one as|a date such as|quotes go around"):
        SearchFilter([wrong], None).of(shop)
