"""A collection of others is adopted, used as an index, and is in the end what it was."""

import numpy as np
import pytest
from adoption_data import UUID_OF_LAST, VECTOR, check_same, made, point, state_of
from qdrant_client import QdrantClient, models

from fg_search import CallableEmbedder, ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import IndexNotFoundError, NoEmbedderError


def test_a_collection_is_used_as_an_index_and_is_what_it_was_once_that_is_undone(shop, how, rows):
    texts, labels, _ = rows
    before = state_of(shop)
    with ConfidenceIndex.adopt(shop, **how) as index:
        hit = index.search(texts[3], limit=1).hits[0]
        assert (hit.id, hit.text, hit.label, hit.payload["info"]["n"]) == (3, texts[3], labels[3], [3, 0.5])
        assert hit.score > 0.5
        assert index.search("unheard of", min_query_confidence=0.9, on_uncertain="abstain").hits == ()
        assert index.info().labelled == 48
        assert index.labels_of([UUID_OF_LAST]) == {UUID_OF_LAST: labels[47]}
        assert UUID_OF_LAST in [hit.id for hit in index.search(texts[47], limit=48).hits]
        index.score_labels()
        listed = index.review(kind="contradicted", limit=1)[0]
        index.decide(listed.id, "label", label="new", reviewer="ann")
        index.relabel({5: "other"})
        index.log_queries("all")
        index.search(texts[4])
        deleted = index.review(kind="ambiguous", limit=1)[0]
        index.decide(deleted.id, "delete", reviewer="ann")
        assert len(index) == 47
        index.undo(reviewer="ann")
        assert index.labels_of([5]) == {5: "other"}
        assert len(index.decisions()) == 3
    undone = ConfidenceIndex.undo_adoption(shop, collection="shop")
    assert undone.points == 48
    check_same(shop, state_of(shop), before)


def test_others_read_and_write_as_before(shop, how, rows):
    _, _, vectors = rows
    asked = {"collection_name": "shop", "query": vectors[7].tolist(), "using": VECTOR, "limit": 5}
    before = shop.query_points(**asked).points
    with ConfidenceIndex.adopt(shop, **how):
        pass
    after = shop.query_points(**asked).points
    assert [(one.id, round(one.score, 5)) for one in after] == [(one.id, round(one.score, 5)) for one in before]
    assert [{key: one.payload[key] for key in ("title", "info")} for one in after] == [one.payload for one in before]
    stored = shop.retrieve("shop", [7], with_vectors=True)[0]
    assert stored.vector["image"] == [8.0, 2.0]
    assert "text" not in stored.payload["fg"]
    assert "id" not in stored.payload["fg"]


def test_the_unnamed_vector(client, rows, how):
    texts, *_ = rows
    made(client, rows, name="")
    before = state_of(client)
    with ConfidenceIndex.adopt(client, **{**how, "vector": ""}) as index:
        for rank_by in ("base", "features", "both"):
            assert index.search(texts[3], rank_by=rank_by, limit=20).hits
        assert index.search(texts[3], rank_by="base", limit=1).hits[0].id == 3
        assert index.sync().written in ((0,) if isinstance(client, EdgeClient) else range(49))
    ConfidenceIndex.undo_adoption(client, collection="shop")
    check_same(client, state_of(client), before)


def test_a_plan_says_what_it_would_do_and_writes_nothing(shop, how):
    before = state_of(shop)
    plan = ConfidenceIndex.plan_adoption(shop, **how)
    assert (plan.points, plan.left, plan.labelled, plan.labels, plan.without_text) == (48, 48, 48, 4, 0)
    assert plan.bytes == 48 * plan.bytes_per_point > 0
    assert state_of(shop) == before


def test_what_the_plan_expects_is_about_what_is_written(edge, rows, how):
    made(edge, rows)
    plan = ConfidenceIndex.plan_adoption(edge, **how)
    ConfidenceIndex.adopt(edge, **how).close()
    stored = edge.scroll("shop", limit=100, with_vectors=True)[0]
    written = np.mean([8 * len(one.vector["features"].indices) + len(str(one.payload["fg"])) for one in stored])
    assert plan.bytes_per_point == pytest.approx(written, rel=0.2)


def test_a_sample_is_drawn_where_there_are_more_points_than_are_learned_from(shop, how):
    plan = ConfidenceIndex.plan_adoption(shop, max_learned=20, **how)
    assert (plan.points, plan.sampled, plan.labelled) == (48, 20, 20)
    assert 1 < plan.labels <= 4


def test_the_head_learns_from_the_collection_and_is_saved(edge, rows, how, tiny_model, tmp_path):
    made(edge, rows)
    texts, labels, _ = rows
    unfitted = {**how, "encoder": FeatureGroupEncoder(tiny_model)}
    with ConfidenceIndex.adopt(edge, folder=tmp_path / "head", attributes=["info.kind"], **unfitted) as index:
        assert index.encoder.attributes == ("info.kind",)
        assert index.search(texts[3], limit=1).hits[0].label == labels[3]
    with ConfidenceIndex(edge, collection="shop") as again:
        assert again.search(texts[3], limit=1).hits[0].id == 3


def test_what_embeds_texts_is_there_when_an_encoder_was_saved_before(edge, rows, how, tiny_model, tmp_path):
    made(edge, rows)
    texts, labels, _ = rows
    embedder = CallableEmbedder(tiny_model.encode, 24, name="ours")  # which no folder holds
    FeatureGroupEncoder(embedder).fit(texts, labels=labels, groups=2, codes=3, hidden=16, steps=5).save(tmp_path / "e")
    unfitted = {**how, "encoder": FeatureGroupEncoder(embedder)}
    with ConfidenceIndex.adopt(edge, folder=tmp_path / "e", **unfitted) as index:
        assert index.search(texts[3], limit=1).hits[0].text == texts[3]


def test_without_a_model_it_is_searched_by_vectors(edge, rows, how, tmp_path):
    texts, labels, vectors = rows
    made(edge, rows).upsert("shop", [point(60, 0 * vectors[0], {"title": "zeros alone", "info": {"kind": "card"}})])
    before = state_of(edge)
    adopted = ConfidenceIndex.adopt(edge, **{**how, "encoder": None}, folder=tmp_path / "head")
    with adopted as index:
        hit = index.search(vector=vectors[3], limit=1).hits[0]
        assert (hit.id, hit.label) == (3, labels[3])
        with pytest.raises(NoEmbedderError, match="nothing embeds texts here"):
            index.search(texts[3])
        assert index.items(ids=[60])[0].familiarity == 0
    ConfidenceIndex.undo_adoption(edge, collection="shop")
    assert state_of(edge) == before


def test_odd_points_are_taken_as_they_are(shop, how, rows):
    _, _, vectors = rows
    odd = {
        100: {"title": "no label at all"},
        101: {"title": "a number", "info": {"kind": 7}},
        102: {"title": "two", "info": {"kind": ["a", "b"]}},
        103: {"title": "one of a list", "info": {"kind": ["card"]}},
        104: {"title": "an object", "info": {"kind": {"deep": 1}}},
        105: {"title": ["several", "texts"], "info": "no object"},
        106: {"title": None, "info": {"kind": None}},
        107: {"title": 5, "info": {"kind": "  "}},
        108: None,
        109: {"info": {"kind": True}},
    }
    shop.upsert("shop", [point(i, vectors[0], payload) for i, payload in odd.items()])
    shop.upsert("shop", [point(200, None, {"title": "without its vector", "info": {"kind": "card"}})])
    before = state_of(shop)
    plan = ConfidenceIndex.plan_adoption(shop, **how)
    assert (plan.odd_labels, plan.without_text, plan.without_vector) == (3, 3, 1)
    with ConfidenceIndex.adopt(shop, **how) as index:
        known = index.labels_of([*odd, 200])
        assert known == {100: None, 101: "7", 102: None, 103: "card", 104: None, 105: None, 106: None, 107: None,
                         108: None, 109: "true"}  # fmt: skip
        hits = {hit.id: hit.text for hit in index.search("card", rank_by="base", limit=100).hits}
        assert {key: hits[key] for key in odd} == {
            100: "no label at all", 101: "a number", 102: "two", 103: "one of a list", 104: "an object",
            105: "several texts", 106: "106", 107: "5", 108: "108", 109: "109",
        }  # fmt: skip
        assert 200 not in hits
        assert index.info().unsynced == 0
        index.score_items()
        index.review(kind="duplicate")
    ConfidenceIndex.undo_adoption(shop, collection="shop")
    check_same(shop, state_of(shop), before)


@pytest.mark.parametrize(
    "write",
    [
        lambda index: index.relabel({1: "food"}),
        lambda index: index.decide(1, "label", label="food"),
        lambda index: index.delete([1]),
        lambda index: index.score_labels(),
    ],
)
def test_an_open_handle_writes_nothing_once_it_is_undone(edge, rows, how, write):
    made(edge, rows)
    with ConfidenceIndex.adopt(edge, **how) as index:
        ConfidenceIndex.undo_adoption(edge, collection="shop")
        before = state_of(edge)
        with pytest.raises(IndexNotFoundError):
            write(index)
        check_same(edge, state_of(edge), before)


def test_paths_that_lead_nowhere_are_warned_about(shop, how, caplog):
    ConfidenceIndex.adopt(shop, **{**how, "text": "titel", "label": "kind"}).close()
    assert "no point of 'shop' has a text at 'titel' (48 were read); ids are shown" in caplog.text
    assert "no point of 'shop' has a label at 'kind' (48 were read)" in caplog.text
    ConfidenceIndex.undo_adoption(shop, collection="shop")
    caplog.clear()
    ConfidenceIndex.adopt(shop, **how).close()
    assert "no point of" not in caplog.text


def test_a_whole_number_is_a_label_by_its_digits(shop, how):
    shop.set_payload("shop", {"info": {"kind": 3.0}}, points=[7])
    with ConfidenceIndex.adopt(shop, **how) as index:
        assert index.labels_of([7]) == {7: "3"}


def test_texts_of_several_keys_are_joined(edge, rows, how):
    made(edge, rows)
    texts, labels, _ = rows
    with ConfidenceIndex.adopt(edge, **{**how, "text": ["title", "info.kind"], "label": None}) as index:
        hit = index.search(texts[3], rank_by="base", limit=1).hits[0]
        assert (hit.text, hit.label) == (f"{texts[3]} · {labels[3]}", None)


def test_a_vector_of_theirs_that_is_called_like_ours(client, rows, how):
    texts, _, vectors = rows
    dense = models.VectorParams(size=24, distance=models.Distance.COSINE)
    client.create_collection(
        "shop",
        vectors_config={"mine": dense, "base": models.VectorParams(size=2, distance=models.Distance.DOT)},
        sparse_vectors_config={"features": models.SparseVectorParams()},
    )
    client.upsert(
        "shop",
        [
            models.PointStruct(
                id=i,
                vector={
                    "mine": vectors[i].tolist(),
                    "base": [i, 1.0],
                    "features": models.SparseVector(indices=[i], values=[1.0]),
                },
                payload={"title": texts[i]},
            )
            for i in range(20)
        ],
    )
    before = state_of(client)
    with ConfidenceIndex.adopt(client, **{**how, "vector": "mine", "label": None}) as index:
        assert index.metadata.source.features == "fg_features"
        assert index.search(texts[3], rank_by="both", limit=1).hits[0].id == 3
        index.score_items()
        item = index.review(kind="ambiguous", limit=1)[0]
        index.decide(item.id, "delete")
        index.undo()
    ConfidenceIndex.undo_adoption(client, collection="shop")
    check_same(client, state_of(client), before)


def test_an_adopted_collection_is_copied_into_an_index_of_its_own(shop, how, rows, tmp_path):
    texts, _, vectors = rows
    with ConfidenceIndex.adopt(shop, **how) as index, EdgeClient(tmp_path / "copy") as copy:
        shop.upsert("shop", [point(300, vectors[0], {"title": "not synced"})])
        assert index.copy_to(copy).points == 48
        with ConfidenceIndex(copy, how["encoder"], collection="shop") as own:
            assert own.metadata.source is None
            assert own.search(texts[3], limit=1).hits[0].text == texts[3]
            own.add(["one more"])


def test_calibrated_adapted_and_audited(edge, rows, how, questions):
    made(edge, rows)
    with ConfidenceIndex.adopt(edge, **how) as index:
        index.calibrate(*questions(200, 1))
        found = index.search_many(questions(50, 2)[0], target_precision=0.8, on_uncertain="abstain", log="all")
        assert {result.decision for result in found} == {"answer", "abstain"}
        index.adapt(expected_unanswerable=0.3)
        assert index.audit(target_precision=0.8).answers > 0
        index.evaluate(*questions(50, 3))
    ConfidenceIndex.undo_adoption(edge, collection="shop")
    assert edge.get_collection("shop").config.metadata == {"owner": {"team": 7}}
    assert [found.name for found in edge.get_collections().collections] == ["shop"]


def test_what_became_filterable_is_undone_but_not_what_was_before(edge, rows, how):
    made(edge, rows)
    edge.create_payload_index("shop", "title", models.PayloadSchemaType.KEYWORD)
    with ConfidenceIndex.adopt(edge, **how) as index:
        index.make_filterable({"title": "keyword", "info.kind": "keyword"})
    ConfidenceIndex.undo_adoption(edge, collection="shop")
    assert list(edge.get_collection("shop").payload_schema) == ["title"]


def test_local_mode_in_a_folder_keeps_the_adoption(tmp_path, rows, how):
    client = made(QdrantClient(path=str(tmp_path)), rows)
    ConfidenceIndex.adopt(client, **how).close()
    client.close()
    client = QdrantClient(path=str(tmp_path))
    with ConfidenceIndex(client, how["encoder"], collection="shop") as index:
        assert index.search(rows[0][3], limit=1).hits[0].id == 3
    client.close()


def test_over_grpc_it_is_what_it_is_over_http(fake_grpc_server, rows, how):
    made(fake_grpc_server.client, rows)
    before = state_of(fake_grpc_server.client)
    with ConfidenceIndex.adopt(fake_grpc_server.url, **how) as index:
        assert index.search(rows[0][3], limit=1).hits[0].id == 3
        assert index.info().unsynced == 0
        index.decide(3, "label", "food")
        fake_grpc_server.client.upsert("shop", [point(100, rows[2][3], {"title": "new", "info": {"kind": "card"}})])
        assert index.info().unsynced == 1
        index.sync()
        assert index.labels_of([3, 100]) == {3: "food", 100: "card"}
        assert index.delete([100]) == 1
    ConfidenceIndex.undo_adoption(fake_grpc_server.url, collection="shop")
    check_same(fake_grpc_server.client, state_of(fake_grpc_server.client), before)
