"""The asynchronous face gives what the synchronous one gives, and leaves the event loop free."""

import asyncio
import threading

import pytest
from qdrant_client import AsyncQdrantClient, models

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, FeatureGroupEncoder, IndexSettings
from fg_search.errors import (
    EmptyIndexError,
    FolderLockedError,
    IndexClosedError,
    IndexNotFoundError,
    NotCalibratedError,
    StorageError,
    UncertainQueryError,
)

QUESTION = "please help my card is stolen"


@pytest.fixture(params=["edge", "memory"])
def location(request, tmp_path):
    return tmp_path / "index" if request.param == "edge" else AsyncQdrantClient(":memory:")


def test_every_method_gives_what_the_synchronous_one_gives(location, encoder, rows, tmp_path, tiny_model):
    like_items = [f"{text} please" for text in rows["texts"]]
    judged = [*like_items, *(f"zzz {i}" for i in range(12))], [*rows["labels"], *([None] * 12)]

    async def asynchronous():
        async with AsyncConfidenceIndex(location, encoder) as index:
            first = await index.add(**rows)
            again = await index.add(**rows)
            relabelled = await index.relabel({"d0": "another"}), await index.labels_of(["d0", "d1", "nobody"])
            deleted = (
                await index.delete(["d1"]),
                await index.delete(query_filter=models.Filter(must=[models.HasIdCondition(has_id=[1])])),
            )
            await index.calibrate(*judged)
            found = await index.search(QUESTION, limit=3, target_precision=0.8)
            many = await index.search_many([QUESTION, ["my card", "the pin"]], limit=2, rank_by="base")
            groups = await index.search_groups(QUESTION, group_by="fg.label", limit=2)
            return (
                (first, again, relabelled, deleted, await index.count()),
                (found, many, groups, await index.review(limit=5), await index.evaluate(*judged)),
                await index.info(),
            )

    with ConfidenceIndex(tmp_path / "other", encoder) as index:
        first, again = index.add(**rows), index.add(**rows)
        relabelled = index.relabel({"d0": "another"}), index.labels_of(["d0", "d1", "nobody"])
        deleted = (
            index.delete(["d1"]),
            index.delete(query_filter=models.Filter(must=[models.HasIdCondition(has_id=[1])])),
        )
        index.calibrate(*judged)
        found = index.search(QUESTION, limit=3, target_precision=0.8)
        many = index.search_many([QUESTION, ["my card", "the pin"]], limit=2, rank_by="base")
        groups = index.search_groups(QUESTION, group_by="fg.label", limit=2)
        expected = (
            (first, again, relabelled, deleted, len(index)),
            (found, many, groups, index.review(limit=5), index.evaluate(*judged)),
            index.info(),
        )
    got = asyncio.run(asynchronous())
    assert got[0] == expected[0]
    assert got[1][0].decision == expected[1][0].decision
    assert got[1][0].confidence == pytest.approx(expected[1][0].confidence, abs=1e-4)
    assert [hit.id for hit in got[1][0].hits][:1] == [hit.id for hit in expected[1][0].hits][:1]
    assert [one.hits[0].id for one in got[1][1]] == [one.hits[0].id for one in expected[1][1]]
    assert [group.value for group in got[1][2].groups] == [group.value for group in expected[1][2].groups]
    assert {item.id for item in got[1][3]} == {item.id for item in expected[1][3]}
    assert got[1][4].reports["score"].recall_at_1 == expected[1][4].reports["score"].recall_at_1
    assert got[2].confidence_histogram == expected[2].confidence_histogram
    assert got[2].calibration == expected[2].calibration


def test_it_knows_its_place_and_its_encoder(encoder, saved_encoder, tmp_path):
    async def work():
        async with AsyncConfidenceIndex(tmp_path / "index", saved_encoder) as index:
            assert index.location == str(tmp_path / "index")
        async with AsyncConfidenceIndex(tmp_path / "index") as index:
            assert index.encoder.fingerprint == encoder.fingerprint
        with pytest.raises(IndexClosedError, match="is closed; open it again"):
            _ = index.location

    asyncio.run(work())


def test_the_event_loop_is_free_while_the_encoder_works(location, encoder, rows, monkeypatch):
    loop_went_on = threading.Event()
    whole = encoder.encode

    def slow(texts, **options):
        assert loop_went_on.wait(timeout=30), "the event loop was blocked"
        return whole(texts, **options)

    monkeypatch.setitem(vars(encoder), "encode", slow)  # leaves nothing on the encoder of all tests

    async def work():
        async with AsyncConfidenceIndex(location, encoder) as index:
            adding = asyncio.create_task(index.add(**rows))
            await asyncio.sleep(0)
            loop_went_on.set()
            return await adding

    assert asyncio.run(work()).written == len(rows["texts"])


def test_lists_are_checked_beside_the_event_loop(location, encoder, rows):
    class Texts(list):
        def __iter__(self):
            read_by.add(threading.current_thread())
            return super().__iter__()

    read_by = set()

    async def work():
        async with AsyncConfidenceIndex(location, encoder) as index:
            return await index.add(Texts(rows["texts"]))

    assert asyncio.run(work()).written == len(rows["texts"])
    assert read_by
    assert threading.main_thread() not in read_by


def test_searches_run_side_by_side(location, encoder, rows):
    async def work():
        async with AsyncConfidenceIndex(location, encoder) as index:
            await index.add(**rows)
            return await asyncio.gather(*(index.search(text, limit=1) for text in rows["texts"]))

    assert [result.hits[0].label for result in asyncio.run(work())] == rows["labels"]


def test_errors_are_those_of_the_synchronous_index(location, encoder, rows, tmp_path):
    async def work():
        async with AsyncConfidenceIndex(location, encoder) as index:
            with pytest.raises(EmptyIndexError):
                await index.search("x")
            await index.add(**rows)
            with pytest.raises(NotCalibratedError, match=r"index\.calibrate"):
                await index.search("x", target_precision=0.9)
            with pytest.raises(UncertainQueryError):
                await index.search("zzz yyy", min_query_confidence=1.0, on_uncertain="raise")
            with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
                await index.add(["fine", ""])
        with pytest.raises(IndexClosedError, match="is closed; open it again"):
            await index.count()
        with pytest.raises(IndexNotFoundError):
            async with AsyncConfidenceIndex(tmp_path / "nothing"):
                pass

    asyncio.run(work())


def test_an_index_is_kept_in_a_file(encoder, rows, tmp_path):
    async def work():
        async with AsyncConfidenceIndex(tmp_path / "index", encoder) as index:
            await index.add(**rows)
            expected = await index.search(QUESTION)
            await index.snapshot(tmp_path / "kept")
        restored = await AsyncConfidenceIndex.restore(tmp_path / "kept", tmp_path / "back", encoder=encoder)
        async with restored as index:
            assert await index.search(QUESTION) == expected
        with pytest.raises(StorageError, match="there is no snapshot"):
            await AsyncConfidenceIndex.restore(tmp_path / "nothing", tmp_path / "new")
        assert not (tmp_path / "new").exists()

    asyncio.run(work())


def test_an_index_in_memory_is_kept_by_a_snapshot(encoder, tmp_path):
    async def work():
        async with AsyncConfidenceIndex(AsyncQdrantClient(":memory:"), encoder) as index:
            await index.add(["my card", "my loan"])
            await index.snapshot(tmp_path / "kept")

    asyncio.run(work())
    with ConfidenceIndex.restore(tmp_path / "kept", tmp_path / "restored", encoder=encoder) as index:
        assert len(index) == 2


def test_a_folder_is_locked_until_it_is_closed(encoder, tmp_path):
    async def work():
        index = await AsyncConfidenceIndex(tmp_path / "index", encoder).open()
        with pytest.raises(FolderLockedError):
            ConfidenceIndex(tmp_path / "index", encoder)
        await index.close()
        await index.close()
        ConfidenceIndex(tmp_path / "index", encoder).close()

    asyncio.run(work())


def test_a_client_that_was_handed_in_stays_open(encoder, rows):
    client = AsyncQdrantClient(":memory:")

    async def work():
        async with AsyncConfidenceIndex(client, encoder) as index:
            await index.add(**rows)
        async with AsyncConfidenceIndex(client) as index:
            return await index.count()

    assert asyncio.run(work()) == len(rows["texts"])


def test_tenants_and_migration(location, encoder, rows, tiny_model, corpus, tmp_path):
    texts, labels = corpus
    other = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=4, hidden=8, steps=20)

    async def work():
        settings = IndexSettings(tenant_key="owner")
        async with AsyncConfidenceIndex(location, encoder, settings=settings) as index:
            one, two = index.tenant("one"), index.tenant("two")
            await one.add(**rows)
            await two.add(["my card"], ids=["d0"])
            assert (await one.count(), await two.count()) == (len(texts), 1)
            other.save(tmp_path / "other")
            await index.migrate(tmp_path / "other")
            assert index.metadata.groups == 2
            two = index.tenant("two")
            return await two.count(), (await two.search("my card")).hits[0].payload

    assert asyncio.run(work()) == (1, {"owner": "two"})


def test_corrections_are_learned_from(location, encoder, rows, tmp_path):
    async def run():
        async with AsyncConfidenceIndex(location, encoder) as index:
            await index.add(**rows)
            await index.relabel({"d0": "another", "d1": "another"})
            refitted = await index.refit(tmp_path / "new")
            found = await index.search(rows["texts"][0], limit=1)
            return refitted.fingerprint, index.metadata.fingerprint, found.hits[0].label

    fitted, used, label = asyncio.run(run())
    assert fitted == used != encoder.fingerprint
    assert label == "another"
    assert FeatureGroupEncoder.load(tmp_path / "new").fingerprint == fitted
