import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex, EdgeClient, FeatureEmbeddings, FeatureGroupEncoder
from fg_search.errors import (
    EmptyIndexError,
    EncoderNotFoundError,
    FolderLockedError,
    FormatVersionError,
    IndexNotFoundError,
    ModelMismatchError,
    NotFittedError,
    StorageError,
    UncertainQueryError,
)

QUESTION = "please help my card is stolen"
UNKNOWN = "quantum chromodynamics lattice"


@pytest.fixture
def other_encoder(tiny_model, corpus):
    texts, labels = corpus
    return FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=20, seed=9)


def points_of(index):
    records, _ = index.client.scroll(index.collection, limit=1000, with_payload=True, with_vectors=True)
    return {record.payload["fg"]["id"]: record for record in records}


# adding


def test_points_carry_vectors_confidence_and_the_users_own_payload(filled, encoder, corpus):
    texts, labels = corpus
    expected = encoder.encode(texts)
    stored = points_of(filled)
    assert len(stored) == len(texts) == len(filled)
    for i, text in enumerate(texts):
        payload = stored[f"d{i}"].payload
        features = payload["fg"]
        assert payload["parity"] == i % 2
        assert features["text"] == text
        assert features["label"] == labels[i]
        assert features["model"] == encoder.fingerprint
        assert features["confidence"] == pytest.approx(expected.confidence[i], abs=1e-6)
        assert features["codes"] == expected.codes[i].tolist()
        np.testing.assert_allclose(features["groups"], expected.group_confidence[i], atol=6e-5)
        sparse = stored[f"d{i}"].vector["features"]
        dense = np.zeros(12)
        dense[sparse.indices] = sparse.values
        np.testing.assert_allclose(dense, expected.sparse()[[i]].toarray()[0], atol=1e-6)
        base = expected.base[i] / np.linalg.norm(expected.base[i])
        np.testing.assert_allclose(stored[f"d{i}"].vector["base"], base, atol=1e-5)


def test_adding_twice_is_adding_once(filled, corpus):
    texts, labels = corpus
    before = points_of(filled)
    filled.add(
        texts,
        ids=[f"d{i}" for i in range(len(texts))],
        labels=labels,
        payloads=[{"parity": i % 2} for i in range(len(texts))],
    )
    after = points_of(filled)
    assert {key: point.payload for key, point in after.items()} == {key: point.payload for key, point in before.items()}


def test_without_ids_the_same_text_is_the_same_item(index):
    assert index.add(["my card", "my loan", "my card"]).written == 2
    index.add(["my card"], labels=["card"])
    assert len(index) == 2
    assert index.search("my card", limit=1).hits[0].label == "card"


def test_any_int_or_string_is_an_id_and_comes_back_as_it_was(index):
    ids = [0, 2**64 - 1, -5, "7", "a/b c", "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d", "ünïcode", -(2**63)]
    texts = ["my card", "my loan", "my flight", "my pizza", "the card", "the loan", "the flight", "the pizza"]
    index.add(texts, ids=ids)
    assert {item.text: item.id for item in index.review(limit=20)} == dict(zip(texts, ids, strict=True))


def test_precomputed_embeddings_give_the_same_points(encoder, corpus):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as first, ConfidenceIndex(":memory:", encoder) as second:
        first.add(texts)
        second.add(texts, embeddings=encoder.encode(texts))
        one, two = points_of(first), points_of(second)
        assert {k: p.payload["fg"]["codes"] for k, p in one.items()} == {
            k: p.payload["fg"]["codes"] for k, p in two.items()
        }


def test_many_writes_give_the_same_index_as_one(encoder, monkeypatch, corpus):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as whole, ConfidenceIndex(":memory:", encoder) as parts:
        whole.add(texts)
        monkeypatch.setattr("fg_search.index.adding.ITEMS_PER_WRITE", 7)
        parts.add(texts)
        assert points_of(whole).keys() == points_of(parts).keys()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": ["fine", ""]}, ValueError, r"texts\[1\] is empty"),
        ({"texts": ["fine", None]}, TypeError, r"texts\[1\] is missing"),
        ({"texts": "fine"}, TypeError, "wrap it"),
        ({"texts": ["a", "b"], "ids": [1]}, ValueError, "ids has 1 items, texts has 2"),
        ({"texts": ["a", "b"], "ids": [1, 1.5]}, TypeError, r"ids\[1\]"),
        ({"texts": ["a", "b"], "ids": [1, True]}, TypeError, r"ids\[1\]"),
        ({"texts": ["a", "b"], "ids": [1, 2**64]}, ValueError, r"ids\[1\].*64 bits"),
        ({"texts": ["a", "b"], "ids": ["x", "x"]}, ValueError, "items 0 and 1 share the id 'x'"),
        ({"texts": ["a", "a"], "labels": ["x", "y"]}, ValueError, r"texts\[0\] and texts\[1\] are the same text"),
        ({"texts": ["a", "b"], "labels": ["x", ""]}, ValueError, r"labels\[1\] is empty"),
        ({"texts": ["a", "b"], "labels": ["x", 3]}, TypeError, r"labels\[1\] is int"),
        ({"texts": ["a", "b"], "payloads": [{}, {"fg": 1}]}, ValueError, r"payloads\[1\] uses the key 'fg'"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": {1, 2}}]}, ValueError, r"payloads\[1\] cannot be stored as JSON"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": float("nan")}]}, ValueError, r"payloads\[1\]"),
        ({"texts": ["a", "b"], "payloads": [{}, [1]]}, TypeError, r"payloads\[1\] is list"),
    ],
)
def test_a_bad_item_is_named_and_nothing_is_written(filled, arguments, error, message):
    before = len(filled)
    with pytest.raises(error, match=message):
        filled.add(**arguments)
    assert len(filled) == before


def test_embeddings_of_another_shape_are_refused(filled, encoder, tiny_model, corpus):
    texts, labels = corpus
    with pytest.raises(ValueError, match="embeddings has 2 items, texts has 1"):
        filled.add(["a"], embeddings=encoder.encode(["a", "b"]))
    wide = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=5, hidden=8, steps=2)
    with pytest.raises(ModelMismatchError, match=r"\(24, 2, 5\), this index needs \(24, 4, 3\)"):
        filled.add(["a"], embeddings=wide.encode(["a"]))


# searching


def test_search_finds_the_label_and_describes_each_hit(filled, encoder, corpus):
    texts, labels = corpus
    result = filled.search(QUESTION, limit=5)
    query = encoder.encode([QUESTION])
    assert result.decision == "answer"
    assert result.query_confidence == pytest.approx(query.confidence[0])
    assert len(result.hits) == 5
    for hit in result.hits:
        i = texts.index(hit.text)
        point = encoder.encode([hit.text])
        assert hit.label == labels[i] == "card"
        assert hit.id == f"d{i}"
        assert hit.payload == {"parity": i % 2}
        assert hit.confidence == pytest.approx(point.confidence[0], abs=1e-5)
        assert (
            hit.score
            == hit.weighted_score
            == pytest.approx((query.sparse() @ point.sparse().T).toarray()[0, 0], abs=1e-5)
        )
        assert hit.agreement == tuple((query.codes[0] == point.codes[0]).tolist())
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
    assert QUESTION in str(result)
    assert result.hits[0].text in str(result)


def test_search_excludes_points_below_min_confidence(filled):
    confidences = sorted(hit.confidence for hit in filled.search(QUESTION, limit=48, rank_by="base").hits)
    middle = confidences[24]
    hits = filled.search(QUESTION, limit=48, rank_by="base", min_confidence=middle).hits
    assert [hit.confidence >= middle for hit in hits] == [True] * 24


@pytest.mark.parametrize("rank_by", ["features", "base", "both"])
def test_confidence_weight_orders_by_the_weighted_score(filled, rank_by):
    plain = {hit.id: hit for hit in filled.search(QUESTION, limit=12, rank_by=rank_by).hits}
    weighted = filled.search(QUESTION, limit=12, rank_by=rank_by, confidence_weight=2.0).hits
    assert [hit.weighted_score for hit in weighted] == sorted((h.weighted_score for h in weighted), reverse=True)
    for hit in weighted:
        assert hit.weighted_score == pytest.approx(hit.score * hit.confidence**2, abs=1e-5)
        if hit.id in plain and rank_by != "both":  # ranks are fused among more candidates when weighting
            assert hit.score == pytest.approx(plain[hit.id].score, abs=1e-4)


def test_rank_by_base_is_the_cosine(filled, encoder, corpus):
    texts, _ = corpus
    base = encoder.embed([QUESTION, *texts])
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    cosine = base[1:] @ base[0]
    hits = filled.search(QUESTION, limit=10, rank_by="base").hits
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosine)[::-1][:10], atol=1e-5)


def test_auto_ranks_by_features_with_labels_and_by_base_without(tiny_model, corpus, encoder):
    texts, _ = corpus
    unsupervised = FeatureGroupEncoder(tiny_model).fit(texts, groups=4, codes=3, hidden=16, steps=30)
    for used, expected in ((encoder, "features"), (unsupervised, "base")):
        with ConfidenceIndex(":memory:", used) as index:
            index.add(texts)
            auto = [hit.score for hit in index.search(QUESTION, rank_by="auto").hits]
            assert auto == pytest.approx([hit.score for hit in index.search(QUESTION, rank_by=expected).hits])


def test_query_filter_joins_min_confidence(filled):
    odd = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=1))])
    hits = filled.search(QUESTION, limit=48, rank_by="base", query_filter=odd, min_confidence=0.4).hits
    everything = filled.search(QUESTION, limit=48, rank_by="base").hits
    wanted = {hit.id for hit in everything if hit.payload["parity"] == 1 and hit.confidence >= 0.4}
    assert {hit.id for hit in hits} == wanted


def test_an_uncertain_query_is_flagged_abstained_or_raised(filled):
    assert filled.search(QUESTION, min_query_confidence=0.7).uncertain is False
    flagged = filled.search(UNKNOWN, min_query_confidence=0.9)
    assert flagged.uncertain
    assert flagged.decision == "answer"
    assert flagged.hits
    abstained = filled.search(UNKNOWN, min_query_confidence=0.9, on_uncertain="abstain")
    assert abstained.decision == "abstain"
    assert abstained.hits == ()
    assert "below 0.90" in abstained.reason
    with pytest.raises(UncertainQueryError, match="quantum"):
        filled.search(UNKNOWN, min_query_confidence=0.9, on_uncertain="raise")


def test_a_filter_that_nothing_passes_is_an_abstention(filled):
    nothing = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=5))])
    result = filled.search(QUESTION, query_filter=nothing)
    assert result.decision == "abstain"
    assert "no point passes" in result.reason


def test_more_hits_than_points_gives_all(filled):
    assert len(filled.search(QUESTION, limit=500, rank_by="base").hits) == 48


def test_search_many_answers_in_order_across_requests(filled, monkeypatch, encoder):
    monkeypatch.setattr("fg_search.index.searching.QUERIES_PER_REQUEST", 2)
    questions = ["my card", UNKNOWN, "pizza oven", "flight hotel", "loan rate"]
    results = filled.search_many(questions, limit=1, min_query_confidence=0.8, on_uncertain="abstain")
    assert [result.query for result in results] == questions
    assert results[1].hits == ()
    assert [results[i].hits[0].label for i in (0, 2, 3, 4)] == ["card", "food", "travel", "loan"]
    same = filled.search_many(
        questions, embeddings=encoder.encode(questions), limit=1, min_query_confidence=0.8, on_uncertain="abstain"
    )
    assert same == results


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_confidence": 1.5}, "min_confidence must be between 0 and 1, got 1.5"),
        ({"min_confidence": -0.1}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"min_query_confidence": 2}, "min_query_confidence"),
        ({"confidence_weight": -1}, "confidence_weight"),
        ({"confidence_weight": float("inf")}, "confidence_weight"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"rank_by": "magic"}, "'auto', 'features', 'base', 'both'"),
        ({"on_uncertain": "cry"}, "'flag', 'abstain', 'raise'"),
        ({"on_uncertain": "abstain"}, "needs target_precision or min_query_confidence"),
    ],
)
def test_options_out_of_range_are_refused(filled, options, message):
    with pytest.raises(ValueError, match=message):
        filled.search(QUESTION, **options)


def test_a_query_must_be_a_text(filled):
    with pytest.raises(TypeError, match="must be a string or a list of phrasings, got int"):
        filled.search(3)
    with pytest.raises(ValueError, match="holds no phrasing"):
        filled.search([])
    with pytest.raises(ValueError, match=r"\[0\] is empty"):
        filled.search("  ")


def test_an_empty_index_says_so(index):
    with pytest.raises(EmptyIndexError, match="is empty"):
        index.search(QUESTION)
    with pytest.raises(EmptyIndexError, match="is empty"):
        index.review()
    assert index.info().points == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    limit=st.integers(1, 60),
    min_confidence=st.none() | st.floats(0, 1),
    weight=st.floats(0, 3),
    rank_by=st.sampled_from(["features", "base"]),
    question=st.sampled_from(["my card", "loan pizza", "flight hotel help", UNKNOWN]),
)
def test_the_engine_ranks_as_brute_force_does(
    engine, encoder, corpus, limit, min_confidence, weight, rank_by, question
):
    texts, _ = corpus
    hits = engine.search(
        question, limit=limit, min_confidence=min_confidence, confidence_weight=weight, rank_by=rank_by
    ).hits
    points, query = encoder.encode(texts), encoder.encode([question])
    if rank_by == "features":
        scores = (points.sparse() @ query.sparse().T).toarray()[:, 0]
    else:
        scores = points.base @ query.base[0]
        scores /= np.linalg.norm(points.base, axis=1) * np.linalg.norm(query.base[0])
    confidence = points.confidence.astype(float).round(6)
    scores = scores * confidence**weight
    allowed = confidence >= (min_confidence or 0)
    if rank_by == "features":  # the inverted index only finds points that share a code with the query
        allowed &= scores > 0
    expected = np.sort(scores[allowed])[::-1][:limit]
    found = [hit.weighted_score for hit in hits]
    if rank_by == "base" and weight and (expected < 0).any():
        return  # down-weighting moves negative cosines up: the order among them is not specified
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture(scope="module")
def engine(tmp_path_factory, encoder, corpus):
    texts, labels = corpus
    with ConfidenceIndex(tmp_path_factory.mktemp("engine"), encoder) as index:
        index.add(texts, labels=labels)
        yield index


# reviewing


def test_review_lists_the_least_confident_first(filled, encoder, corpus):
    texts, labels = corpus
    items = filled.review(kind="ambiguous", limit=7)
    confidence = encoder.encode(texts).confidence
    np.testing.assert_allclose([item.confidence for item in items], np.sort(confidence)[:7], atol=1e-5)
    for item in items:
        i = texts.index(item.text)
        assert (item.id, item.label, item.payload) == (f"d{i}", labels[i], {"parity": i % 2})
        assert "groups" in item.reason


def test_review_takes_a_filter_and_refuses_nonsense(filled):
    card = models.Filter(must=[models.FieldCondition(key="fg.label", match=models.MatchValue(value="card"))])
    assert {item.label for item in filled.review(query_filter=card)} == {"card"}
    with pytest.raises(ValueError, match="kind"):
        filled.review(kind="funny")
    with pytest.raises(ValueError, match="limit"):
        filled.review(limit=0)


# opening


def test_info_counts_and_names_the_encoder(filled, encoder, saved_encoder):
    filled.add(["a text without a label"], ids=["extra"])
    info = filled.info()
    assert info.points == sum(info.confidence_histogram) == 49
    assert info.labelled == 48
    assert info.metadata.fingerprint == encoder.fingerprint
    assert info.metadata.encoder == str(saved_encoder.resolve())
    assert (info.metadata.groups, info.metadata.codes_per_group, info.metadata.dimension) == (4, 3, 24)


def test_an_index_remembers_its_encoder(tmp_path, encoder, corpus):
    texts, labels = corpus
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(texts, labels=labels)
        expected = index.search(QUESTION)
    with ConfidenceIndex(tmp_path / "i") as index:
        assert index.search(QUESTION) == expected


def test_another_model_is_refused(tmp_path, encoder, other_encoder):
    ConfidenceIndex(tmp_path / "i", encoder).close()
    with pytest.raises(ModelMismatchError, match=encoder.fingerprint):
        ConfidenceIndex(tmp_path / "i", other_encoder)
    ConfidenceIndex(tmp_path / "i", encoder).close()  # the refusal did not leave the folder locked


def test_an_encoder_folder_that_changed_or_went_is_refused(tmp_path, tiny_model, corpus, other_encoder):
    texts, labels = corpus
    own = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=5)
    own.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i", own) as index:
        index.add(texts)
    other_encoder.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(ModelMismatchError):
        index.search(QUESTION)
    (tmp_path / "e").rename(tmp_path / "moved")
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(EncoderNotFoundError, match="does not exist"):
        index.search(QUESTION)


def test_an_encoder_that_was_never_saved_has_to_be_handed_in(tmp_path, other_encoder, corpus):
    texts, _ = corpus
    with ConfidenceIndex(tmp_path / "i", other_encoder) as index:
        index.add(texts)
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(EncoderNotFoundError, match="never saved"):
        index.search(QUESTION)
    other_encoder.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i", tmp_path / "e") as index:
        assert index.search(QUESTION).hits


def test_no_index_is_made_by_looking_for_one(tmp_path):
    with pytest.raises(IndexNotFoundError, match="no index"):
        ConfidenceIndex(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_unfitted_encoder_leaves_nothing_behind(tmp_path, tiny_model):
    with pytest.raises(NotFittedError):
        ConfidenceIndex(tmp_path / "i", FeatureGroupEncoder(tiny_model))
    assert not (tmp_path / "i").exists()


def test_an_unknown_encoder_folder_is_named(tmp_path):
    with pytest.raises(EncoderNotFoundError, match="no-such-encoder"):
        ConfidenceIndex(tmp_path / "i", tmp_path / "no-such-encoder")
    assert not (tmp_path / "i").exists()


def test_a_collection_of_somebody_else_is_refused(encoder):
    client = QdrantClient(":memory:")
    client.create_collection("theirs", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    with pytest.raises(IndexNotFoundError, match="not made by fg_search"):
        ConfidenceIndex(client, encoder, collection="theirs")


def test_a_newer_schema_is_refused(tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        newer = index.metadata.to_payload()
        newer["fg_search"]["schema"] = 99
        index.client.update_collection(index.collection, metadata=newer)
    with pytest.raises(FormatVersionError, match="upgrade"):
        ConfidenceIndex(tmp_path / "i", encoder)


def test_a_clients_owner_closes_it(tmp_path, encoder, corpus):
    texts, _ = corpus
    with EdgeClient(tmp_path / "i") as client:
        with ConfidenceIndex(client, encoder, collection="a") as first:
            first.add(texts[:5])
        with ConfidenceIndex(client, encoder, collection="b") as second:
            second.add(texts)
        assert client.count("a").count == 5


def test_a_folder_open_in_another_process_is_refused(tmp_path, saved_encoder, encoder):
    script = textwrap.dedent("""
        import sys
        from fg_search import ConfidenceIndex
        from fg_search.errors import FolderLockedError
        try:
            ConfidenceIndex(sys.argv[1])
        except FolderLockedError as error:
            print(error)
    """)
    with ConfidenceIndex(tmp_path / "i", encoder):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "i")], capture_output=True, text=True, check=True
        )
        assert str(tmp_path / "i") in done.stdout
        with pytest.raises(FolderLockedError):
            ConfidenceIndex(tmp_path / "i")


def test_a_server_that_does_not_answer_is_named(encoder):
    with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9"):
        ConfidenceIndex("http://127.0.0.1:9", encoder)


def test_payload_is_kept_as_it_was(index):
    payload = {"a.b": [1, {"c": None}], "ü": "ß", "n": 1.5, "deep": {"x": {"y": [True, False]}}}
    index.add(["my card"], payloads=[payload])
    assert json.dumps(index.search("my card").hits[0].payload, sort_keys=True) == json.dumps(payload, sort_keys=True)


def test_broken_or_foreign_embeddings_are_refused_before_anything_is_written(filled, encoder, other_encoder, corpus):
    texts, _ = corpus
    good = encoder.encode(texts)
    base, probabilities = good.base.copy(), good.probabilities * 7
    base[40, 3] = np.inf
    with pytest.raises(ValueError, match=r"embeddings\.base\[40\] holds NaN or infinite"):
        filled.add(texts, embeddings=FeatureEmbeddings(base, good.probabilities))
    with pytest.raises(ValueError, match=r"embeddings\.probabilities\[0\] is no distribution"):
        filled.add(texts, embeddings=FeatureEmbeddings(good.base, probabilities))
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.add(texts, embeddings=other_encoder.encode(texts))
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.search_many(texts, embeddings=other_encoder.encode(texts)[:])
    assert len(filled) == 48


def test_an_interrupted_creation_is_completed_when_the_index_is_opened(tmp_path, encoder, corpus, monkeypatch):
    texts, _ = corpus

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EdgeClient, "create_payload_index", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ConfidenceIndex(tmp_path / "i", encoder)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(texts)
        assert len(index.review(limit=5)) == 5


def test_labels_may_be_an_array(index, corpus):
    texts, labels = corpus
    index.add(texts, labels=np.array(labels))
    assert index.info().labelled == 48
    assert index.search(QUESTION, limit=1).hits[0].label == "card"


def test_ids_that_spell_one_uuid_differently_are_two(index):
    index.add(["my card", "my loan"], ids=["A" * 32, "a" * 32])
    assert len(index) == 2
