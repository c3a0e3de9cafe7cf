"""An adopted collection on an event loop, in strict mode, on the page, and under everything else that an index does."""

import asyncio

import numpy as np
import pytest
from adoption_data import check_same, made, point, state_of
from qdrant_client import models
from strict_mode import StrictClient

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, EdgeClient
from fg_search.errors import UnsupportedError


def test_on_an_event_loop(rows, how, tmp_path):
    with EdgeClient(tmp_path) as client:
        made(client, rows)
        before = state_of(client)

    async def use():
        plan = await AsyncConfidenceIndex.plan_adoption(tmp_path, **how)
        async with await AsyncConfidenceIndex.adopt(tmp_path, **how) as index:
            found = await index.search(rows[0][3], limit=1)
            report = await index.sync()
        await AsyncConfidenceIndex.undo_adoption(tmp_path, collection="shop")
        return plan.points, found.hits[0].id, report.written

    assert asyncio.run(use()) == (48, 3, 0)
    with EdgeClient(tmp_path) as client:
        check_same(client, state_of(client), before)


def test_in_strict_mode(rows, how):
    texts, labels, vectors = rows
    client = StrictClient()
    made(client, rows)
    with ConfidenceIndex.adopt(client, **how) as index:
        client.upsert("shop", [point(60, vectors[3], {"title": "new", "info": {"kind": "card"}})])
        assert index.info().unsynced == 1
        index.sync()
        assert index.search(texts[3], limit=1, min_confidence=0.1).hits[0].label == labels[3]
        index.score_labels()
        assert index.review(kind="contradicted", limit=1)
        index.relabel({60: "other"})
    ConfidenceIndex.undo_adoption(client, collection="shop")
    assert not client.get_collection("shop").payload_schema
    assert all("fg" not in payload for _, payload, _ in state_of(client)[0])
    client.upsert("shop", [point(61, vectors[3], {"fg": 1})])
    with pytest.raises(ValueError, match="somebody else's"):
        ConfidenceIndex.adopt(client, **how)
    client.close()


def test_a_copy_is_brought_up_to_date(edge, rows, how, tmp_path):
    made(edge, rows)
    with ConfidenceIndex.adopt(edge, **how) as index:
        index.copy_to(tmp_path / "copy")
        with ConfidenceIndex(tmp_path / "copy", index.encoder, collection="shop") as copy:
            edge.set_payload("shop", {"title": "my new card"}, [3])
            report = copy.pull(edge)
            assert (report.points, report.written, report.only_here) == (48, 1, 0)
            assert copy.items([3])[0].text == "my new card"
            assert copy.pull(edge).written == 0
            copy.decide(4, "label", "other")
            assert copy.push(edge).items == 1
        assert index.labels_of([4]) == {4: "other"}
        assert index.vectors_of([1])[1].shape == (index.encoder.dimension,)


def test_on_the_page(edge, rows, how):
    from fastapi.testclient import TestClient

    from fg_search.web.app import create_app

    texts, _, vectors = rows
    made(edge, rows)
    with ConfidenceIndex.adopt(edge, **how) as index:
        edge.upsert("shop", [point(60, vectors[3], {"title": "written since", "info": {"kind": "card"}})])
        with TestClient(create_app(index), base_url="http://127.0.0.1") as page:
            assert texts[3] in page.get("/", params={"q": texts[3]}).text
            assert "written since" in page.get("/", params={"q": texts[3], "rank_by": "base"}).text
            assert page.get("/review").status_code == 200
            assert page.get("/features").status_code == 200
            assert len(page.get("/map/points").content) == 10 * len(texts)  # the new one has no features yet
            assert page.get("/health").status_code == 200


def test_what_else_an_index_does(edge, rows, how, tmp_path):
    texts, labels, vectors = rows
    made(edge, (texts, ["food" if i % 9 == 0 else label for i, label in enumerate(labels)], vectors))
    before = state_of(edge)
    with ConfidenceIndex.adopt(edge, **how) as index:
        assert index.check().problems == ()
        index.score_labels()
        index.refit(tmp_path / "refitted", set_aside=0.2)
        aside = index.info().set_aside
        assert aside > 0
        assert aside == sum(bool(payload["fg"].get("set_aside")) for _, payload, _ in state_of(edge)[0])
        index.log_queries("all")
        index.search("never heard of")
        (logged,) = index.logged_queries()
        with pytest.raises(UnsupportedError, match="its owner's to write"):
            index.decide_queries([logged.id], "add", "card")
        index.decide_queries([logged.id], "dismiss")
        index.missing_labels()
        index.confused_labels()
        index.snapshot(tmp_path / "file")
        embedded = index.encoder.encode([texts[3]])
        assert np.isfinite(index.search(texts[3], embeddings=embedded).hits[0].score)
    with ConfidenceIndex.restore(tmp_path / "file", tmp_path / "elsewhere", collection="shop") as restored:
        assert texts[3] in [hit.text for hit in restored.search(texts[3], limit=5).hits]
        restored.client.upsert(restored.collection, [point(60, vectors[3], {"title": "new"})])
        assert restored.sync().written == 1
    ConfidenceIndex.undo_adoption(edge, collection="shop")
    check_same(edge, state_of(edge), before)


def test_others_may_use_an_alias(edge, rows, how):
    made(edge, rows)
    create = models.CreateAlias(collection_name="shop", alias_name="live")
    edge.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    with ConfidenceIndex.adopt(edge, **{**how, "collection": "live"}) as index:
        assert index.search(rows[0][3], limit=1).hits[0].id == 3
    with ConfidenceIndex(edge, collection="shop") as index:
        assert len(index) == 48
        index.decide(3, "label", label="food")
        assert len(index.decisions()) == 1
    ConfidenceIndex.undo_adoption(edge, collection="live")
    assert [one.name for one in edge.get_collections().collections] == ["shop"]
    assert edge.get_aliases().aliases[0].alias_name == "live"
