"""Advice about whole indexes: opening, copying, snapshots, moving to another encoder, searching and judging."""

import logging

import pytest
from advising import Advice
from qdrant_client import QdrantClient, models

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, EdgeClient, FeatureGroupEncoder, IndexSettings
from fg_search.errors import (
    EmptyIndexError,
    EncoderNotFoundError,
    FormatVersionError,
    IndexNotFoundError,
    ModelMismatchError,
    NotCalibratedError,
    NotScoredError,
    ServerError,
    StorageError,
    UnsupportedError,
)
from fg_search.index import copies

_TEXTS = ["my card pin", "pizza oven"]


@pytest.fixture
def made(tmp_path, encoder):
    """A folder with an index of two items."""
    with ConfidenceIndex(tmp_path / "made", encoder) as index:
        index.add(_TEXTS, ids=["c", "f"], labels=["card", "food"])
    return tmp_path / "made"


@pytest.fixture
def empty(encoder):
    with ConfidenceIndex(":memory:", encoder) as index:
        yield index


@pytest.fixture
def full(empty, rows):
    empty.add(**rows)
    return empty


@pytest.mark.parametrize(
    ("advice", "location"),
    [
        (
            Advice("there is no index at …; make one by giving an encoder: ConfidenceIndex(location, encoder) or"),
            "nowhere",
        ),
        (
            Advice("there is no index … at …; make one by giving an encoder: ConfidenceIndex(location, encoder) or"),
            ":memory:",
        ),
    ],
)
def test_an_index_is_made_by_giving_an_encoder(tmp_path, encoder, advice, location):
    target = tmp_path / "i" if location == "nowhere" else location
    with advice.raised(IndexNotFoundError):
        ConfidenceIndex(target)
    ConfidenceIndex(target, encoder).close()


def test_another_name_is_chosen_beside_an_index_of_the_same_folder(made, encoder):
    advice = Advice("there is no index … at …; make one by giving an encoder: ConfidenceIndex(location, encoder)")
    with advice.raised(IndexNotFoundError):
        ConfidenceIndex(made, collection="another")
    ConfidenceIndex(made, encoder, collection="another").close()
    with EdgeClient(made) as client:
        client.create_collection("theirs", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    advice = Advice("was not made by fg_search (it has no … metadata); choose another collection name")
    with advice.raised(IndexNotFoundError):
        ConfidenceIndex(made, encoder, collection="theirs")
    ConfidenceIndex(made, encoder, collection="ours").close()


def test_settings_are_left_out_or_are_those_of_a_copy(made, encoder, tmp_path):
    settings = IndexSettings(base_vectors="float16")
    advice = Advice("; leave the settings out, or copy it into a new index with `fg-search copy`")
    with advice.raised():
        ConfidenceIndex(made, encoder, settings=settings)
    with ConfidenceIndex(made, encoder) as index:
        index.copy_to(tmp_path / "copy", settings=settings)
    ConfidenceIndex(tmp_path / "copy", encoder, settings=settings).close()


def test_an_index_that_lost_its_name_is_recovered(made, encoder):
    with EdgeClient(made) as client:
        gone = models.DeleteAlias(alias_name="fg_search")
        client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=gone)])
    advice = Advice("has lost its name, but a collection of it is there: … with … points; `fg-search recover`")
    with advice.raised(IndexNotFoundError):
        ConfidenceIndex(made, encoder)
    ConfidenceIndex.recover(made)
    with ConfidenceIndex(made, encoder) as index:
        assert len(index) == 2


def test_an_encoder_that_was_never_saved_is_passed(tmp_path, other_encoder):
    ConfidenceIndex(tmp_path / "i", other_encoder).close()
    with ConfidenceIndex(tmp_path / "i") as index:
        advice = Advice(" was filled by an encoder that was never saved; pass it as encoder=…")
        with advice.raised(EncoderNotFoundError):
            index.add(_TEXTS)
    with ConfidenceIndex(tmp_path / "i", encoder=other_encoder) as index:
        assert index.add(_TEXTS).written == 2


def test_of_two_encoders_the_right_one_is_used_or_the_index_moves_or_is_another(made, encoder, other_encoder):
    advice = Advice(
        "their vectors cannot be compared: use that encoder, re-encode with index.migrate(encoder), or make a new index"
    )
    with advice.raised(ModelMismatchError):
        ConfidenceIndex(made, other_encoder)
    ConfidenceIndex(made, encoder).close()
    ConfidenceIndex(made, other_encoder, collection="new").close()
    with ConfidenceIndex(made) as index:
        index.migrate(other_encoder)
    with ConfidenceIndex(made, other_encoder) as index:
        assert index.search(_TEXTS[0]).hits[0].id == "c"


def test_an_index_that_somebody_re_encoded_is_opened_again(tmp_path, encoder, other_encoder, rows):
    client = QdrantClient(":memory:")
    with ConfidenceIndex(client, encoder) as index, ConfidenceIndex(client) as late:
        index.add(**rows)
        assert late.search(_TEXTS[0]).hits
        index.migrate(other_encoder)
        with pytest.raises((ModelMismatchError, EncoderNotFoundError)):
            late.add(_TEXTS)
    with ConfidenceIndex(client, other_encoder) as again:
        assert again.add(_TEXTS, ids=["c", "f"]).written == 2


def test_what_is_asked_of_one_tenant_is_asked_of_the_index(tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "i", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        tenant = index.tenant("leeds")
        tenant.add(**rows)
        with Advice("an index is copied with all its tenants; call copy_to on the index itself").raised():
            tenant.copy_to(":memory:")
        assert index.copy_to(":memory:").points == 48
        with Advice("a head is fitted on the items of all tenants; call refit on the index itself").raised():
            tenant.refit(tmp_path / "refitted")
        index.refit(tmp_path / "refitted")


async def _use_without_opening(encoder):
    index = AsyncConfidenceIndex(":memory:", encoder)
    with Advice(" is not open; use `async with`, or await index.open()").raised():
        await index.add(_TEXTS)
    await index.open()
    assert (await index.add(_TEXTS)).written == 2
    await index.close()
    with Advice("the index … is closed; open it again").raised():
        await index.add(_TEXTS)
    assert (await (await index.open()).add(_TEXTS)).written == 2
    await index.close()
    async with AsyncConfidenceIndex(":memory:", encoder) as another:
        assert (await another.add(_TEXTS)).written == 2


def test_an_asynchronous_index_is_opened_in_one_of_two_ways(encoder):
    import asyncio

    asyncio.run(_use_without_opening(encoder))


def test_a_copy_without_base_vectors_has_settings_without(tmp_path, encoder):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as index:
        index.add(_TEXTS)
        with Advice(" has no base vectors to copy; choose settings with base_vectors='none'").raised():
            index.copy_to(tmp_path / "copy", settings=IndexSettings(on_disk=True))
        copied = index.copy_to(tmp_path / "copy", settings=IndexSettings(base_vectors="none"))
        assert copied.points == 2


def test_a_copy_beside_another_index_has_another_name_or_the_same_settings(made, encoder, other_encoder):
    with ConfidenceIndex(made, encoder) as index, ConfidenceIndex(":memory:", other_encoder) as another:
        advice = Advice("was filled by the encoder …, … by …; choose another collection name")
        with advice.raised(ModelMismatchError):
            index.copy_to(another.client)
        assert index.copy_to(another.client, collection="copy").points == 2
        settings = IndexSettings(base_vectors="float16")
        advice = Advice("has other settings (…); choose another collection name, or the same settings")
        with advice.raised():
            index.copy_to(another.client, collection="copy", settings=settings)
        assert index.copy_to(another.client, collection="small", settings=settings).points == 2
        assert index.copy_to(another.client, collection="copy").written == 0


def test_what_a_copy_has_too_much_is_deleted_there_or_copied_elsewhere(full, encoder):
    client = QdrantClient(":memory:")
    full.copy_to(client)
    full.delete(["d0"])
    advice = Advice("or was added to the copy, is not removed; delete it there, or copy to another collection")
    with advice.raised(StorageError):
        full.copy_to(client)
    assert full.copy_to(client, collection="another").points == 47
    with ConfidenceIndex(client, encoder) as copy:
        copy.delete(["d0"])
    assert full.copy_to(client).points == 47


@pytest.mark.parametrize(
    ("advice", "spoil"),
    [
        (
            Advice("something else writes to one of them; pause that and copy again, only what differs is written"),
            lambda client, name, ids: client.delete(name, ids),
        ),
        (
            Advice("the point … of the copy is not that of the source; copy again"),
            lambda client, name, ids: client.set_payload(name, {"parity": 7}, points=ids),
        ),
    ],
)
def test_a_copy_that_was_written_to_meanwhile_is_made_again(full, monkeypatch, advice, spoil):
    client = QdrantClient(":memory:")
    verify = copies._verify

    async def write_first(state, destination, new, metadata):
        records, _ = client.scroll(new, limit=48)
        spoil(client, new, [record.id for record in records[:40]])
        return await verify(state, destination, new, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(copies, "_verify", write_first)
        with advice.raised(StorageError):
            full.copy_to(client)
    report = full.copy_to(client)
    assert (report.points, report.written) == (48, 40)


def test_an_incomplete_copy_is_run_again(full, encoder, monkeypatch, caplog):
    client = QdrantClient(":memory:")
    full.copy_to(client)

    async def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(copies, "_verify", stop)
        with pytest.raises(KeyboardInterrupt):
            full.copy_to(client)

    def opened():
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="fg_search"):
            ConfidenceIndex(client, encoder).close()
        return caplog.text

    advice = Advice(" lacks a part of what was being copied from …; run the copy again")
    assert advice.is_in(opened())
    full.copy_to(client)
    assert opened() == ""


def test_a_snapshot_has_a_name_of_its_own(made, tmp_path):
    with ConfidenceIndex(made) as index:
        (tmp_path / "s.snapshot").write_text("")
        advice = Advice("there is a file … already; choose another name or remove it")
        with advice.raised(FileExistsError):
            index.snapshot(tmp_path / "s.snapshot")
        index.snapshot(tmp_path / "another.snapshot")
        (tmp_path / "s.snapshot").unlink()
        index.snapshot(tmp_path / "s.snapshot")
        with Advice("cannot write the snapshot …: …; check space and permissions").raised(StorageError):
            index.snapshot(tmp_path / "no folder" / "s.snapshot")


def test_an_index_is_restored_beside_a_collection_of_its_name_or_after_a_copy_of_that(made, tmp_path):
    with ConfidenceIndex(made) as index:
        index.snapshot(tmp_path / "s.snapshot")
    with EdgeClient(tmp_path / "old") as client:
        client.recover_snapshot("fg_search", str(tmp_path / "s.snapshot"))  # as release 0.1 named it
    advice = Advice(
        "is that of a collection, which nothing can take the place of; choose another name for the index, or copy that "
        "collection first with `fg-search copy`"
    )
    with advice.raised(StorageError):
        ConfidenceIndex.restore(tmp_path / "s.snapshot", tmp_path / "old")
    with ConfidenceIndex.restore(tmp_path / "s.snapshot", tmp_path / "old", collection="beside") as index:
        assert len(index) == 2
    with ConfidenceIndex(tmp_path / "old") as index:
        index.copy_to(tmp_path / "new")
    with ConfidenceIndex.restore(tmp_path / "s.snapshot", tmp_path / "new") as index:
        assert len(index) == 2


def test_a_collection_is_copied_before_an_index_can_move(made, tmp_path, other_encoder):
    with ConfidenceIndex(made) as index:
        index.snapshot(tmp_path / "s.snapshot")
    with EdgeClient(tmp_path / "old") as client:
        client.recover_snapshot("fg_search", str(tmp_path / "s.snapshot"))
    advice = Advice("so that nothing can take its place; copy it with `fg-search copy` into a new index first")
    with ConfidenceIndex(tmp_path / "old") as index:
        with advice.raised(StorageError):
            index.migrate(other_encoder)
        index.copy_to(tmp_path / "new")
    with ConfidenceIndex(tmp_path / "new") as index:
        index.migrate(other_encoder)


def test_a_snapshot_of_a_server_goes_to_the_url_of_one(fake_server, encoder, tmp_path):
    file = tmp_path / "server.snapshot"
    file.write_bytes(b"of a server")
    advice = Advice(" was made by a server for servers, and … cannot send it; give the URL of a server as location")
    with advice.raised(UnsupportedError):
        ConfidenceIndex.restore(file, QdrantClient(":memory:"))
    with pytest.raises(ServerError, match="not found"):  # the model of a server takes the file, and makes nothing of it
        ConfidenceIndex.restore(file, fake_server.url)
    assert fake_server.counted("snapshots/upload") == 1


def test_an_index_is_restored_to_a_client_in_memory(made, tmp_path):
    with ConfidenceIndex(made) as index:
        index.snapshot(tmp_path / "s.snapshot")
    advice = Advice("what is restored to ':memory:' is gone at once; give a folder, or QdrantClient(':memory:')")
    with advice.raised(UnsupportedError):
        ConfidenceIndex.restore(tmp_path / "s.snapshot", ":memory:")
    with ConfidenceIndex.restore(tmp_path / "s.snapshot", QdrantClient(":memory:")) as index:
        assert len(index) == 2


def test_points_of_others_are_deleted_or_moved_before_a_migration(made, other_encoder):
    with ConfidenceIndex(made) as index:
        points = [models.PointStruct(id=10**9, vector={}, payload={"theirs": 1})]
        index.client.upsert(index.collection, points)
        advice = Advice(" points that another client has written, which would be lost; delete them, or move them to")
        with advice.raised(StorageError):
            index.migrate(other_encoder)
        index.client.delete(index.collection, [10**9])
        index.migrate(other_encoder)


def test_a_head_of_clusters_gives_way_to_one_of_labels(tiny_model, corpus, tmp_path):
    texts, labels = corpus
    clusters = FeatureGroupEncoder(tiny_model).fit(texts, groups=4, codes=3, hidden=16, steps=20)
    with ConfidenceIndex(":memory:", clusters) as index:
        index.add(texts, labels=labels)
        advice = Advice(
            "learned from …, which corrected labels do not change; fit one on labels with "
            "encoder.fit(texts, labels=…) and call index.migrate"
        )
        with advice.raised():
            index.refit(tmp_path / "e")
        encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=20)
        index.migrate(encoder)
        index.refit(tmp_path / "e")


def test_a_refit_goes_into_another_folder(full, saved_encoder, tmp_path):
    advice = Advice("uses until it has moved to the new one; choose another folder")
    with advice.raised():
        full.refit(saved_encoder)
    full.refit(tmp_path / "e")


def test_an_empty_index_is_filled(empty):
    with Advice(" is empty; fill it with index.add(…) or `fg-search index`").raised(EmptyIndexError):
        empty.search("my card")
    empty.add(_TEXTS)
    assert empty.search("my card").hits


def test_a_filter_that_leaves_nothing_is_not_calibrated_for(in_memory):
    nothing = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=9))])
    with pytest.raises(ValueError, match="no query has a hit: do the filters leave anything"):
        in_memory.evaluate(["my card"], ["card"], query_filter=nothing)
    in_memory.evaluate(["my card"], ["card"])


def test_labels_and_items_are_scored_first(full):
    for kind, score in (("contradicted", full.score_labels), ("outlier", full.score_items)):
        with Advice(" were not scored yet; call index.…() or `fg-search score` first").raised(NotScoredError) as caught:
            full.review(kind=kind)
        assert f"index.{score.__name__}()" in str(caught.value)
        score()
        full.review(kind=kind)


def test_a_precision_is_asked_for_after_a_calibration_of_such_searches(full, questions):
    queries, relevant = questions(200, 1)
    advice = Advice(
        " has no calibration, and no threshold is guessed: give target_precision after "
        "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
    )
    with advice.raised(NotCalibratedError):
        full.search(queries[0], target_precision=0.6)
    full.calibrate(queries, relevant=relevant)
    full.search(queries[0], target_precision=0.6)
    advice = Advice(
        " was calibrated for searches with …; search with these, or calibrate with the options of this search: "
        "index.calibrate(queries, relevant=…, rank_by=…)"
    )
    with advice.raised(NotCalibratedError):
        full.search(queries[0], target_precision=0.6, rank_by="base")
    full.search(queries[0], target_precision=0.6, rank_by="both")
    full.calibrate(queries, relevant=relevant, rank_by="base")
    full.search(queries[0], target_precision=0.6, rank_by="base")


def test_labels_to_choose_from_take_a_calibration_on_right_labels(full, rows, questions):
    queries, relevant = questions(60, 1)
    asking = {"target_precision": 0.9, "on_uncertain": "clarify"}
    full.calibrate([*(f"{text} please" for text in rows["texts"]), *queries], [*rows["ids"], *[None] * 60])
    by_label = Advice(
        "was calibrated on right ids, and on_uncertain='clarify' asks for the right label; calibrate on right labels: "
        "index.calibrate(queries, relevant=labels, relevant_by='label')"
    )
    with by_label.raised(NotCalibratedError):
        full.search("my card", **asking)
    calibration = full.calibrate(queries, relevant=relevant, relevant_by="label")
    full.search("my card", **asking)
    earlier = calibration.to_metadata()
    del earlier["fg_search_calibration"]["promise"]["right_label"]
    full.client.update_collection(full.collection, metadata=earlier)
    again = Advice(
        "does not tell how probable right labels are, as on_uncertain='clarify' needs; calibrate again, with the "
        "encoder at hand: index.calibrate(held_out_queries, relevant=labels)"
    )
    with ConfidenceIndex(full.client, full.encoder) as opened:
        with again.raised(NotCalibratedError):
            opened.search("my card", **asking)
        opened.calibrate(queries, relevant=relevant)
        found = opened.search("my card", label_miss=0.001, target_precision=0.9999, on_uncertain="clarify")
    more = Advice("of them; calibrate on more, or allow more misses")
    assert more.is_in(found.reason)
    assert not more.is_in(full.search("my card", label_miss=0.5, **asking).reason)


def test_a_calibration_needs_wrong_answers_too(full, questions):
    queries, relevant = questions(100, 1)
    advice = Advice(
        "calibration needs at least 2 right and 2 wrong ones: add held-out queries, including some without an answer "
        "in the index"
    )
    with advice.raised():
        full.calibrate(["my card pin", "pizza oven"], ["card", "food"])
    full.calibrate(["my card pin", "pizza oven", *queries], ["card", "food", *relevant])


def test_a_calibration_of_a_newer_release_is_not_read(made, encoder, questions, rows):
    with ConfidenceIndex(made, encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(100, 1))
        physical = index.client.get_aliases().aliases[0].collection_name
        known = index.client.get_collection(physical).config.metadata["fg_search_calibration"]
        index.client.update_collection(physical, metadata={"fg_search_calibration": {**known, "format": 99}})
    advice = Advice("the index's calibration has format …, this release reads up to …; upgrade fg_search")
    with advice.raised(FormatVersionError):
        ConfidenceIndex(made, encoder)
    with EdgeClient(made) as client:  # the release that is upgraded to knows the format
        client.update_collection(physical, metadata={"fg_search_calibration": known})
    ConfidenceIndex(made, encoder).close()


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (Advice("relevant has …, queries has …; give one for each query"), ["card", "food"], ["card"]),
        (Advice("relevant[…] is …; give a label, an id, or a list of them"), [1.5], ["card"]),
        (Advice("relevant[…] is …; give a label, an id, or a list of them"), [{"card": 1}], ["d0"]),
        (Advice("relevant[…] is …; give a label, an id, or a list of them"), [[1.5]], [["card", "loan"]]),
    ],
)
def test_right_answers_are_given_as_the_message_says(in_memory, advice, wrong, right):
    with advice.raised():
        in_memory.evaluate(["my card"], wrong)
    assert in_memory.evaluate(["my card"], right).reports


@pytest.mark.parametrize("kind", ["label", "id"])
def test_labels_that_are_ids_as_well_are_said_to_be_one_of_them(empty, kind):
    empty.add(_TEXTS, ids=["card", "food"], labels=["card", "food"])
    advice = Advice("are labels and ids of …; say which is meant: relevant_by='label' or relevant_by='id'")
    with advice.raised():
        empty.evaluate(["my card"], ["card"])
    assert empty.evaluate(["my card"], ["card"], relevant_by=kind).reports


def test_a_copy_is_made_again_after_a_migration(tmp_path, encoder, other_encoder, rows, monkeypatch):
    verify = copies._verify
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)

        async def move_first(state, *arguments):
            found = await verify(state, *arguments)
            monkeypatch.setattr(copies, "_verify", verify)
            with ConfidenceIndex(index.client) as another:
                another.migrate(other_encoder)
            return found

        monkeypatch.setattr(copies, "_verify", move_first)
        with Advice("… was re-encoded while it was copied; copy again").raised(StorageError):
            index.copy_to(tmp_path / "copy")
        with ConfidenceIndex(index.client, other_encoder) as again:
            assert again.copy_to(tmp_path / "another").points == 48


def test_what_is_sliced_by_is_handed_in_or_named(in_memory):
    judged = (["my card", "pizza oven"], ["card", "food"])
    with Advice("slices[…] has a name that the evaluation uses itself; give it another").raised(ValueError):
        in_memory.evaluate(*judged, slices={"label": ["red", "blue"]})
    with Advice("slices[…] has … items, queries has …; give one for each query").raised(ValueError):
        in_memory.evaluate(*judged, slices={"colour": ["red"]})
    found = in_memory.evaluate(*judged)
    advice = Advice("to slice by, only …; hand its values in as slices, or name a payload key of the top hit: …")
    with advice.raised(ValueError):
        found.slices("parity")
    assert found.slices("hit.parity")
    assert in_memory.evaluate(*judged, slices={"parity": [0, 1]}).slices("parity")


def test_without_a_calibration_slices_have_no_target(in_memory):
    found = in_memory.evaluate(["my card", "pizza oven"], ["card", "food"])
    advice = Advice("the index is not calibrated for these searches, and no target can be kept; leave target out")
    with advice.raised(ValueError):
        found.slices("length", target=0.9)
    assert found.slices("length")


def test_items_are_listed_in_the_order_of_the_page_before(made):
    with ConfidenceIndex(made) as index:
        following = index.browse(order_by="confidence", limit=1).following
        with Advice("after=… is no place in this order; take `following` of a page in the same order").raised(
            ValueError
        ):
            index.browse(order_by="label", after=following)
        assert len(index.browse(order_by="confidence", after=following).items) == 1
        with Advice("items are ordered by id one way only; leave out descending").raised(ValueError):
            index.browse(order_by="id", descending=True)
        assert len(index.browse(order_by="id").items) == 2
