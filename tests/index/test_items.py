import numpy as np
import pytest
from engines import in_strict_mode_too
from qdrant_client import models

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.arrays import unit_rows

EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])


def test_items_are_read_by_id_in_the_order_of_the_ids(own, corpus, monkeypatch):
    monkeypatch.setattr("fg_search.engine.paging.IDS_PER_REQUEST", 2)
    texts, labels = corpus
    found = own.items(["d3", "nobody", "d1", "d3", "d2"])
    assert [item.id for item in found] == ["d3", "d1", "d2"]
    first = found[0]
    assert (first.text, first.label, first.payload) == (texts[3], labels[3], {"parity": 1})
    (hit,) = [hit for hit in own.search(texts[3], limit=48).hits if hit.id == "d3"]
    assert (first.confidence, first.familiarity) == (hit.confidence, hit.familiarity)
    assert own.items([]) == []
    assert [item.id for item in own.items(["d3", "d1"], limit=1)] == ["d3"]


@in_strict_mode_too("index")
def test_items_are_read_by_a_filter_page_by_page(own, monkeypatch):
    monkeypatch.setattr("fg_search.index.items._PAGE", 7)
    assert {item.id for item in own.items()} == {f"d{i}" for i in range(48)}
    assert {item.id for item in own.items(query_filter=EVEN)} == {f"d{i}" for i in range(0, 48, 2)}
    assert len(own.items(query_filter=EVEN, limit=10)) == 10
    own.relabel({"d0": None})
    assert own.items(["d0"])[0].label is None


def test_points_of_other_clients_are_no_items_and_tenants_see_their_own(encoder):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        index.tenant("a").add(["my card"], ids=[1])
        index.tenant("b").add(["my loan"], ids=[1])
        index.client.upsert(index.collection, [models.PointStruct(id=9, vector={}, payload={"shop": "a"})])
        for tenant, text in (("a", "my card"), ("b", "my loan")):
            assert [item.text for item in index.tenant(tenant).items()] == [text]
            assert [item.text for item in index.tenant(tenant).items([1])] == [text]


def test_vectors_are_those_of_the_texts(own, corpus, encoder):
    found = own.vectors_of(["d3", "nobody", "d1"])
    assert list(found) == ["d3", "d1"]
    embedded = encoder.embed([corpus[0][3], corpus[0][1]])
    np.testing.assert_allclose([found["d3"], found["d1"]], unit_rows(embedded), atol=1e-6)
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        index.tenant("a").add(["my card"], ids=[1])
        index.tenant("b").add(["my loan"], ids=[1])
        first, second = (index.tenant(tenant).vectors_of([1])[1] for tenant in "ab")
        assert not np.allclose(first, second)
    settings = IndexSettings(base_vectors="none")
    with (
        ConfidenceIndex(":memory:", encoder, settings=settings) as index,
        pytest.raises(ValueError, match=r"keeps no base vectors \(base_vectors='none'\)"),
    ):
        index.vectors_of(["d0"])


def test_wrong_arguments_are_named(in_memory):
    with pytest.raises(ValueError, match="exclude each other"):
        in_memory.items(["d0"], query_filter=EVEN)
    with pytest.raises(ValueError, match="limit"):
        in_memory.items(limit=0)
