import threading

import pytest
from qdrant_client import QdrantClient, models
from sentence_transformers import SentenceTransformer

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, ModelMismatchError, NotFittedError, NotScoredError
from fg_search.layout.settings import IndexSettings
from fg_search.model.progress import watched

QUESTION = "please help my card is stolen"


@pytest.fixture
def old(local, rows) -> ConfidenceIndex:
    """The corpus, embedded by the first encoder."""
    local.add(**rows)
    return local


@pytest.fixture(autouse=True)
def another_base_model(other_encoder):
    """Force texts to be encoded again: the other encoder has another base model."""
    other_encoder.model = SentenceTransformer(
        modules=list(other_encoder.model), prompts={"document": "Passage: "}, device="cpu"
    )


@pytest.fixture
def during(monkeypatch):
    """Make something happen while a migration encodes its n-th batch."""

    def arrange(*events):
        remaining = list(events)
        encode = FeatureGroupEncoder.encode

        def spy(self, texts, **options):
            out = encode(self, texts, **options)
            # what happens may encode, too
            if remaining and not arrange.busy:
                arrange.busy = True
                event = remaining.pop(0)
                if event is not None:
                    event()
                arrange.busy = False
            return out

        monkeypatch.setattr(FeatureGroupEncoder, "encode", spy)
        return remaining

    arrange.busy = False
    return arrange


def collections(index):
    return [collection.name for collection in index.client.get_collections().collections]


def assert_is_the_index_of(index, encoder, points_of):
    """Check that everything in the index is what this encoder makes of the texts."""
    points = points_of(index)
    with ConfidenceIndex(":memory:", encoder) as fresh:
        for user_id, point in points.items():
            features = point.payload["fg"]
            payload = {key: value for key, value in point.payload.items() if key != "fg"}
            fresh.add([features["text"]], ids=[user_id], labels=[features.get("label")], payloads=[payload])
        expected = points_of(fresh)
    for user_id, point in points.items():
        wanted, stored = expected[user_id].payload["fg"], point.payload["fg"]
        for key in ("id", "text", "model", "codes"):
            assert stored[key] == wanted[key]
        assert stored["confidence"] == pytest.approx(wanted["confidence"], abs=1e-5)
        assert sorted(point.vector["features"].indices) == sorted(expected[user_id].vector["features"].indices)


def test_everything_is_encoded_anew_and_found_as_before(old, other_encoder, points_of):
    before = points_of(old)
    old.migrate(other_encoder)
    after = points_of(old)
    assert after.keys() == before.keys()
    for user_id, point in after.items():
        features, was = point.payload["fg"], before[user_id].payload["fg"]
        assert features["model"] == other_encoder.fingerprint == old.metadata.fingerprint
        for key in ("id", "text", "label", "hash"):
            assert features[key] == was[key]
        assert point.payload["parity"] == before[user_id].payload["parity"]
    assert_is_the_index_of(old, other_encoder, points_of)
    with ConfidenceIndex(":memory:", other_encoder) as fresh:
        fresh.add([point.payload["fg"]["text"] for point in before.values()], ids=list(before))
        wanted = fresh.search(QUESTION, limit=48, rank_by="base").hits
    found = old.search(QUESTION, limit=48, rank_by="base").hits
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted], abs=1e-5)
    assert old.encoder is other_encoder


def test_the_old_collection_is_gone_and_the_index_opens_with_the_new_encoder(tmp_path, encoder, other_encoder, rows):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        before = collections(index)
        index.migrate(other_encoder)
        assert len(collections(index)) == len(before) == 1
        assert collections(index) != before
    with pytest.raises(ModelMismatchError):
        ConfidenceIndex(tmp_path / "i", encoder)
    with ConfidenceIndex(tmp_path / "i", other_encoder) as index:
        assert len(index) == 48
        assert index.search(QUESTION).hits


def test_an_encoder_may_be_a_folder_and_have_another_shape(old, tiny_model, corpus, tmp_path):
    texts, labels = corpus
    wide = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=5, hidden=8, steps=10)
    wide.save(tmp_path / "wide")
    old.migrate(tmp_path / "wide")
    assert (old.metadata.groups, old.metadata.codes_per_group) == (2, 5)
    assert len(old.search(QUESTION).hits[0].agreement) == 2


def test_adding_the_same_data_after_a_migration_writes_nothing(old, other_encoder, rows, encoded):
    old.relabel({"d3": "fraud"})
    rows["payloads"][5] = {"z": 0.1 + 0.2, "a": {"y": [1.5, 2**63], "b": None}}
    old.add(**rows)
    old.migrate(other_encoder)
    encoded.clear()
    assert old.add(**rows).written == 0
    assert encoded == []


def test_corrections_and_settings_survive_and_the_calibration_does_not(
    tmp_path, encoder, other_encoder, rows, questions
):
    settings = IndexSettings(base_vectors="float16")
    with ConfidenceIndex(tmp_path / "i", encoder, settings=settings) as index:
        index.add(**rows)
        index.relabel({"d0": "fraud", "d1": None})
        index.calibrate(*questions(100, 0))
        index.migrate(other_encoder)
        assert index.calibration is None
        info = index.info()
        assert (info.corrected, info.labelled, info.calibration) == (2, 47, None)
        assert index.metadata.settings == settings
        assert index.search(QUESTION).confidence is None
        assert index.add(**rows).written == 0
        assert index.relabel({"d0": rows["labels"][0], "d1": rows["labels"][1]}) == 2
        assert index.info().corrected == 0
    with ConfidenceIndex(tmp_path / "i", other_encoder) as index:
        assert index.calibration is None


def test_the_index_answers_with_the_old_encoder_until_the_switch(old, other_encoder, during, monkeypatch):
    monkeypatch.setattr("fg_search.index.migration.ITEMS_PER_WRITE", 20)
    before = old.search(QUESTION)
    answers = []
    during(*[lambda: answers.append(old.search(QUESTION))] * 3)
    old.migrate(other_encoder)
    assert answers == [before] * 3
    assert old.search(QUESTION) != before


def test_what_is_written_meanwhile_is_caught_up_with(old, other_encoder, during, points_of, monkeypatch):
    monkeypatch.setattr("fg_search.index.migration.ITEMS_PER_WRITE", 20)

    def change():
        old.add(["my new pizza", "my new loan"], ids=["new", "short-lived"], labels=["food", None])
        old.delete(["d0", "d30", "d47", "short-lived"])
        old.relabel({"d1": "fraud", "d40": None})
        old.add(["my other card"], ids=["d2"], payloads=[{"parity": 9}])
        old.client.set_payload(old.collection, {"parity": 7}, points=models.Filter(must=[of_id("d3")]))

    during(None, change)
    old.migrate(other_encoder)
    points = points_of(old)
    assert points.keys() == {*(f"d{i}" for i in range(48)), "new"} - {"d0", "d30", "d47"}
    payloads = {key: point.payload for key, point in points.items()}
    assert payloads["new"]["fg"]["label"] == "food"
    assert payloads["d1"]["fg"]["label"] == "fraud"
    assert payloads["d40"]["fg"].get("label") is None
    assert (payloads["d2"]["fg"]["text"], payloads["d2"]["parity"]) == ("my other card", 9)
    assert payloads["d3"]["parity"] == 7
    assert old.info().corrected == 2
    assert {payload["fg"]["model"] for payload in payloads.values()} == {other_encoder.fingerprint}
    assert_is_the_index_of(old, other_encoder, points_of)


def test_one_item_going_and_another_coming_is_noticed_although_the_count_stays(old, other_encoder, during, points_of):
    def change():
        old.delete(["d0"])
        old.add(["my new pizza"], ids=["new"])

    during(change)
    old.migrate(other_encoder)
    assert points_of(old).keys() == {*(f"d{i}" for i in range(1, 48)), "new"}


def test_an_interrupted_migration_leaves_the_index_and_goes_on(old, other_encoder, during, encoded, monkeypatch):
    monkeypatch.setattr("fg_search.index.migration.ITEMS_PER_WRITE", 20)
    before = old.search(QUESTION)

    def interrupt():
        raise KeyboardInterrupt

    during(None, interrupt)
    with pytest.raises(KeyboardInterrupt):
        old.migrate(other_encoder)
    during.busy = False
    assert old.search(QUESTION) == before
    assert old.metadata.fingerprint != other_encoder.fingerprint
    encoded.clear()
    old.migrate(other_encoder)
    assert len(encoded) == 28
    assert len(old) == 48
    assert len(collections(old)) == 1


def test_what_changed_since_an_interrupted_migration_is_caught_up_with(
    old, rows, other_encoder, points_of, monkeypatch
):
    old.relabel({"d0": "fraud", "d1": "fraud"})

    write = old.client.upsert

    def upsert(*arguments, **options):
        write(*arguments, **options)
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(old.client, "upsert", upsert)
        with pytest.raises(ConnectionError):
            old.migrate(other_encoder)
    assert old.search(QUESTION).hits
    old.relabel({"d0": rows["labels"][0]})  # the correction is taken back
    old.delete(["d2"])
    old.migrate(other_encoder)
    points = points_of(old)
    assert points["d0"].payload["fg"]["label"] == rows["labels"][0]
    assert points["d1"].payload["fg"]["label"] == "fraud"
    assert "d2" not in points
    assert old.info().corrected == 1


def test_an_index_that_never_stands_still_is_migrated_and_nothing_is_lost(old, other_encoder, points_of):
    added, stop = [], threading.Event()

    def add():
        while not stop.is_set():
            text = f"my pizza {len(added)}"
            old.add([text], ids=[text])
            added.append(text)

    writer = threading.Thread(target=add)
    writer.start()
    old.migrate(other_encoder)
    stop.set()
    writer.join()
    assert points_of(old).keys() == {*(f"d{i}" for i in range(48)), *added}
    assert_is_the_index_of(old, other_encoder, points_of)


def test_scores_from_other_base_embeddings_are_left_behind(old, other_encoder, points_of):
    old.score_labels()
    old.score_items()
    old.decide("d1", "keep")
    old.migrate(other_encoder)
    for kind in ("contradicted", "outlier"):
        with pytest.raises(NotScoredError):
            old.review(kind=kind)
    features = [point.payload["fg"] for point in points_of(old).values()]
    assert not any("review" in payload for payload in features)
    assert sum("reviewed" in payload for payload in features) == 1


def test_a_migration_that_was_given_up_is_cleared_away(
    old, encoder, other_encoder, tiny_model, corpus, during, tmp_path
):
    texts, labels = corpus
    third = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=20, seed=5)
    old.client.create_collection(
        f"{old.collection}.mine", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT)
    )
    old.log_queries("all")
    old.search("my card")
    old.decide("d0", "keep")
    others = len(collections(old))

    def interrupt():
        raise KeyboardInterrupt

    during(interrupt)
    with pytest.raises(KeyboardInterrupt):
        old.migrate(other_encoder)
    assert len(collections(old)) > others
    old.migrate(third)
    assert len(collections(old)) == others
    assert old.metadata.fingerprint == third.fingerprint
    assert len(old.decisions()) == len(old.logged_queries(only_open=False)) == 1


def test_killed_after_the_switch_it_leaves_nothing_that_holds_no_longer(
    tmp_path, encoder, other_encoder, rows, questions, monkeypatch
):
    def kill(*arguments, **options):
        raise KeyboardInterrupt

    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        index.score_labels()
        index.calibrate(*questions(100, 0))
        with monkeypatch.context() as patch:
            patch.setattr(index.client, "delete_collection", kill)
            with pytest.raises(KeyboardInterrupt):
                index.migrate(other_encoder)
    with ConfidenceIndex(tmp_path / "i", other_encoder) as index:
        assert len(collections(index)) > 1
        index.delete(["d0"])
        index.migrate(encoder)
        assert len(collections(index)) == 1
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert len(index) == 47
        assert index.calibration is None
        with pytest.raises(NotScoredError):
            index.review(kind="contradicted")


def test_migrating_to_the_same_encoder_changes_nothing(old, encoder, points_of, encoded):
    before = points_of(old)
    old.migrate(encoder)
    assert points_of(old) == before
    assert encoded == []


def test_back_and_forth(old, encoder, other_encoder, points_of):
    before = points_of(old)
    old.migrate(other_encoder)
    old.migrate(encoder)
    after = points_of(old)
    assert {key: point.payload for key, point in after.items()} == {k: point.payload for k, point in before.items()}


def test_an_unfitted_encoder_is_refused(old, tiny_model):
    with pytest.raises(NotFittedError):
        old.migrate(FeatureGroupEncoder(tiny_model))
    assert old.search(QUESTION).hits
    assert len(collections(old)) == 1


def test_progress_counts_every_item_of_the_first_pass(old, other_encoder):
    told = []
    with watched(lambda task, done, total: told.append((task, done, total))):
        old.migrate(other_encoder)
    assert told[0] == ("index", 0, 48)
    assert told[-1] == ("index", 48, 48)


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_whoever_has_the_index_open_and_cannot_load_the_new_encoder_is_told_and_mixes_nothing(
    kind, tmp_path, encoder, other_encoder, rows
):
    client = EdgeClient(tmp_path / "i") if kind == "edge" else QdrantClient(":memory:")
    first, second = ConfidenceIndex(client, encoder), ConfidenceIndex(client, encoder)
    first.add(**rows)
    assert second.search(QUESTION).hits
    first.migrate(other_encoder)
    for operation in (
        lambda: second.search(QUESTION),
        lambda: second.search(QUESTION, rank_by="base"),
        lambda: second.search_groups(QUESTION, group_by="parity"),
        lambda: second.add(["my new card"]),
        lambda: second.calibrate([QUESTION, "my loan"], ["card", "loan"]),
    ):
        with pytest.raises((ModelMismatchError, EncoderNotFoundError), match=r"re-encoded|never saved"):
            operation()
    assert len(first) == 48
    client.close()


@pytest.mark.parametrize("kind", ["edge", "memory"])
def test_whoever_has_the_index_open_takes_the_new_encoder_up(kind, tmp_path, encoder, other_encoder, rows, questions):
    other_encoder.save(tmp_path / "other")
    client = EdgeClient(tmp_path / "i") if kind == "edge" else QdrantClient(":memory:")
    with ConfidenceIndex(client, encoder) as first:
        first.add(**rows)
        seconds = [ConfidenceIndex(client, encoder) for _ in range(6)]
        first.migrate(tmp_path / "other")
        found = first.search(QUESTION)
        assert seconds[0].search(QUESTION) == found
        assert seconds[1].add(["my new card"], ids=["new"]).written == 1
        seconds[2].calibrate(*questions(100, 0))
        assert seconds[0].search(QUESTION, target_precision=0.5).confidence is not None
        assert seconds[3].relabel({"d1": "fraud"}) == 1
        assert seconds[4].delete(["new"]) == 1
        seconds[5].decide("d0", "keep")
        assert {index.metadata.fingerprint for index in seconds} == {other_encoder.fingerprint}
        assert first.labels_of(["d1", "new"]) == {"d1": "fraud"}
    client.close()


def test_threads_find_something_at_every_moment_of_a_migration(old, encoder, other_encoder):
    stop, errors, found = threading.Event(), [], []

    def search():
        while not stop.is_set():
            try:
                found.append(old.search(QUESTION, limit=3, rank_by="base").hits)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for target in (other_encoder, encoder, other_encoder):
            old.migrate(target)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert all(len(hits) == 3 for hits in found)


def of_id(user_id):
    return models.FieldCondition(key="fg.id", match=models.MatchValue(value=user_id))
