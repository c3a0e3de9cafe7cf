import numpy as np
import pytest
from engines import in_strict_mode_too
from qdrant_client import models

from fg_search import ConfidenceIndex
from fg_search.errors import ItemNotFoundError, NotScoredError

EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])


def walk(index, limit=7, **options):
    """All items of an order, read page by page."""
    found, after = [], None
    while True:
        page = index.browse(limit=limit, after=after, **options)
        found += page.items
        after = page.following
        if after is None:
            assert page.total == len(found)
            return found
        assert len(page.items) == limit


@in_strict_mode_too("index")
def test_pages_together_hold_every_item_once_and_in_order(own):
    for descending in (False, True):
        found = walk(own, order_by="confidence", descending=descending)
        values = [item.confidence for item in found]
        assert values == sorted(values, reverse=descending)
        assert {item.id for item in found} == {f"d{i}" for i in range(48)}
    assert {item.id for item in walk(own)} == {f"d{i}" for i in range(48)}
    assert len(walk(own, order_by="confidence", query_filter=EVEN)) == 24
    own.relabel({"d0": None, "d1": "Zebra", "d2": "aardvark"})
    for descending in (False, True):
        labels = [item.label for item in walk(own, limit=5, order_by="label", descending=descending)]
        assert labels[-1] is None
        assert labels[:-1] == sorted(labels[:-1], key=str.casefold, reverse=descending)
    with pytest.raises(NotScoredError):
        own.browse(order_by="wrong")
    own.score_labels()
    odds = [item.wrong for item in walk(own, order_by="wrong", descending=True) if item.wrong is not None]
    assert odds == sorted(odds, reverse=True) != []


def test_items_of_the_same_number_are_on_one_page_each(tmp_path, encoder, corpus):
    texts, labels = corpus
    same = [texts[0]] * 20 + [texts[1]] * 5
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(same, ids=list(range(25)), labels=labels[:25])
        for order_by in ("confidence", "familiarity"):
            for limit in (1, 4, 19, 20, 21, 25):
                found = [item.id for item in walk(index, limit=limit, order_by=order_by)]
                assert sorted(found) == list(range(25))
        values = [item.confidence for item in walk(index, limit=3, order_by="confidence", descending=True)]
        assert len(set(values)) == 2
        assert values == sorted(values, reverse=True)


def test_an_item_tells_what_is_suggested_and_decided(own):
    own.relabel({f"d{i}": "loan" if own.labels_of([f"d{i}"])[f"d{i}"] == "card" else "card" for i in (3, 4)})
    own.score_labels()
    own.decide("d3", "label", "elsewhere")
    item = own.items(["d3"])[0]
    assert (item.label, item.decided) == ("elsewhere", "label")
    other = own.items(["d4"])[0]
    assert other.decided is None
    assert other.suggested_label not in (None, other.label)
    assert other.wrong > 0.1


@in_strict_mode_too("index")
def test_similar_items_are_those_that_the_text_would_find(own, corpus):
    texts, _ = corpus
    base = own.encoder.encode(texts, show_progress=False).base
    found = own.similar_items("d5", limit=4, query_filter=None)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    cosines = base @ base[5]
    cosines[5] = -2.0
    assert found[0].similarity == pytest.approx(float(np.max(cosines)), abs=1e-3)
    assert "d5" not in {one.item.id for one in found}
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    assert {one.item.payload["parity"] for one in own.similar_items("d5", query_filter=EVEN)} == {0}


def test_wrong_arguments_are_named(in_memory):
    for after in ("nonsense", "W10", "WzEsMl0", "W251bGwsInJlZCJd", "WyJhIiwgMV0"):
        with pytest.raises(ValueError, match="no place in this order"):
            in_memory.browse(order_by="id", after=after)
    with pytest.raises(ValueError, match="order_by must be one of 'id'"):
        in_memory.browse(order_by="colour")
    with pytest.raises(ValueError, match="one way only"):
        in_memory.browse(descending=True)
    with pytest.raises(ValueError, match="limit"):
        in_memory.browse(limit=0)
    with pytest.raises(ItemNotFoundError, match="has no item"):
        in_memory.similar_items("nobody")
    with pytest.raises(ValueError, match="limit"):
        in_memory.similar_items("d0", limit=0)
