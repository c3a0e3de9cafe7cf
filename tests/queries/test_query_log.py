"""Log of queries: off by default, counted, bounded, separate for tenants, and never at the cost of an answer."""

import asyncio
import itertools
import logging
import threading
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples
from read_only import read_only

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, FeatureGroupEncoder, IndexSettings
from fg_search.errors import EmptyIndexError, ItemNotFoundError, UncertainQueryError
from fg_search.ids import point_id
from fg_search.queries import log as query_log
from fg_search.queries import logged_search
from fg_search.review.issues.duplicates import earlier_normalised_text

UNCLEAR = {"min_query_confidence": 1.0}  # nothing is that clear
CLEAR = "my card blocked"
OUTSIDE = ["zebra quilt", "quilt zebra", "zebra", "quilt", "zebra zebra quilt"]  # words that the model does not know


@pytest.fixture
def full(local, rows):
    local.add(**rows)
    return local


def texts(queries):
    return [query.text for query in queries]


def test_nothing_is_logged_unless_asked_for(full):
    full.search(CLEAR, **UNCLEAR)
    full.search_many([CLEAR], **UNCLEAR)
    assert full.logged_queries(only_open=False) == []
    assert full.missing_labels() == []
    assert full.forget_queries() == 0
    assert not full.client.collection_exists(f"{full.collection}.queries")


def test_an_entry_says_what_came_of_the_query(full):
    full.log_queries()
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    result = full.search(CLEAR, **UNCLEAR)
    (entry,) = full.logged_queries()
    assert (entry.text, entry.count, entry.decision, entry.uncertain) == (CLEAR, 1, "answer", True)
    assert entry.reason == result.reason
    assert entry.query_confidence == pytest.approx(result.query_confidence)
    assert entry.confidence is None
    top = result.hits[0]
    assert (entry.nearest.id, entry.nearest.label) == (top.id, top.label)
    assert entry.nearest.score == pytest.approx(top.score)
    assert before < datetime.fromisoformat(entry.first) == datetime.fromisoformat(entry.last)
    assert entry.resolution is None


def test_queries_that_differ_in_a_sign_are_two_and_in_the_end_of_the_sentence_one(full):
    full.log_queries()
    for text in ("sort in C#?", "sort in C?", "Sort in C", "sort in  c!", "5 %", "5"):
        full.search(text, **UNCLEAR)
    assert {query.text: query.count for query in full.logged_queries()} == {
        "sort in C#?": 1,
        "sort in C?": 3,
        "5 %": 1,
        "5": 1,
    }


def test_entries_that_ignored_punctuation_go_on_as_those_of_their_text(full, monkeypatch):
    full.log_queries()
    with monkeypatch.context() as earlier:  # as a development version named them

        def earlier_id(text, tenant):
            return str(point_id(f"query:{earlier_normalised_text(text)}", tenant=tenant))

        earlier.setattr(query_log, "query_id_of", earlier_id)
        for text in ("sort in C#?", "sort in C", "zebra, quilt!"):  # the first two were one
            full.search(text, **UNCLEAR)
    before = {query.text: query for query in full.logged_queries()}
    assert {text: query.count for text, query in before.items()} == {"sort in C#?": 2, "zebra, quilt!": 1}
    full.decide_queries([before["zebra, quilt!"].id], "dismiss")
    for text in ("sort in c#", "sort in C", "zebra, quilt", "zebra quilt"):
        full.search(text, **UNCLEAR)
    after = {query.text: query for query in full.logged_queries(only_open=False)}
    assert {text: query.count for text, query in after.items()} == {
        "sort in C#?": 3,
        "sort in C": 1,
        "zebra, quilt!": 2,
        "zebra quilt": 1,
    }
    assert after["sort in C#?"].id == before["sort in C#?"].id
    assert after["zebra, quilt!"].resolution.action == "dismiss"


def test_only_uncertain_queries_are_logged_unless_all_are_wanted(full):
    full.log_queries()
    assert not full.search(CLEAR).uncertain
    assert full.logged_queries(only_open=False) == []
    full.log_queries("all")
    full.search(CLEAR)
    assert full.logged_queries() == []
    (entry,) = full.logged_queries(only_open=False)
    assert not entry.is_open
    full.log_queries("none")
    full.search("my loan", **UNCLEAR)
    assert len(full.logged_queries(only_open=False)) == 1


def test_one_call_can_differ_from_what_is_set(full):
    full.search(CLEAR, log="all")
    full.search_many(["my loan", "my pizza"], log="uncertain", **UNCLEAR)
    full.log_queries("all")
    full.search("my oven", log="none")
    assert set(texts(full.logged_queries(only_open=False))) == {CLEAR, "my loan", "my pizza"}


@pytest.mark.parametrize("on_uncertain", ["abstain", "raise"])
def test_what_was_held_back_is_logged_with_its_best_hit(full, on_uncertain):
    full.log_queries()
    shown = full.search(CLEAR).hits[0]
    if on_uncertain == "raise":
        with pytest.raises(UncertainQueryError):
            full.search(CLEAR, on_uncertain="raise", **UNCLEAR)
    else:
        assert full.search(CLEAR, on_uncertain="abstain", **UNCLEAR).hits == ()
    (entry,) = full.logged_queries()
    assert (entry.decision, entry.uncertain, entry.nearest.id) == ("abstain", True, shown.id)


def test_a_query_without_any_hit_is_logged(full):
    full.log_queries()
    full.search(CLEAR, min_confidence=1.0)
    (entry,) = full.logged_queries()
    assert (entry.decision, entry.uncertain, entry.nearest) == ("abstain", False, None)


def test_a_query_is_reported_as_missing_whatever_was_found(full):
    full.log_queries("all")
    full.search(CLEAR)
    assert full.logged_queries() == []
    full.report_missing(CLEAR, note=" the hits are about cards that were stolen ")
    full.report_missing(OUTSIDE[0])
    entries = {entry.text: entry for entry in full.logged_queries()}
    assert (entries[CLEAR].count, entries[CLEAR].sampled, entries[CLEAR].decision) == (2, 1, "abstain")
    assert entries[CLEAR].reason == "reported as missing: the hits are about cards that were stolen"
    assert entries[CLEAR].nearest.label == "card"
    assert (entries[OUTSIDE[0]].reason, entries[OUTSIDE[0]].sampled) == ("reported as missing", 0)


def test_the_same_query_is_counted(full):
    full.log_queries()
    full.search_many(["My  card blocked!", CLEAR, "my loan"], **UNCLEAR)
    full.search(CLEAR.upper(), **UNCLEAR)
    most, other = full.logged_queries()
    assert (most.text, most.count, other.count) == ("My  card blocked!", 3, 1)
    assert most.first <= most.last
    assert full.logged_queries(limit=1, offset=1) == [other]


def test_further_pages_and_groups(full):
    full.log_queries()
    full.search(CLEAR, offset=3, **UNCLEAR)
    assert full.logged_queries() == []
    grouped = full.search_groups(CLEAR, group_by="fg.label", on_uncertain="abstain", **UNCLEAR)
    assert grouped.groups == ()
    assert full.logged_queries()[0].decision == "abstain"
    plain = full.search_groups(CLEAR, group_by="fg.label", log="none")
    assert full.search_groups(CLEAR, group_by="fg.label", log="all") == plain


def test_phrasings_are_one_query(full):
    full.search(["my card", "the pin"], log="all")
    assert texts(full.logged_queries(only_open=False)) == ["my card / the pin"]


@pytest.fixture(scope="module")
def calibrated(encoder, corpus, questions):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate(*questions(300, 3))
        yield index


def outcome(search):
    try:
        return search()
    except UncertainQueryError as error:
        return str(error)


@settings(max_examples=examples(60), suppress_health_check=WITH_FIXTURES)
@given(
    seed=st.integers(0, 50),
    on_uncertain=st.sampled_from(["flag", "abstain", "raise"]),
    least=st.sampled_from([0.5, 0.9, 0.99]),
    target=st.sampled_from([None, 0.6, 0.95]),
    items=st.sampled_from([None, 0.9]),
)
def test_answers_do_not_depend_on_the_log(calibrated, questions, seed, on_uncertain, least, target, items):
    asked = questions(6, seed)[0]
    options = {
        "on_uncertain": on_uncertain,
        "min_query_confidence": least,
        "target_precision": None if items else target,
        "min_confidence": items,
        "limit": 3,
    }
    with_log, without = (
        outcome(lambda which=which: calibrated.search_many(asked, log=which, **options)) for which in ("all", "none")
    )
    assert with_log == without


def test_a_log_that_cannot_be_written_costs_no_answer(full, monkeypatch, caplog):
    full.log_queries()
    expected = full.search(CLEAR, log="none", **UNCLEAR)

    def full_disk(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(full.client, "batch_update_points", full_disk)
    with caplog.at_level(logging.WARNING, "fg_search"):
        assert full.search(CLEAR, **UNCLEAR) == expected
    assert "lacks queries (1) that were answered" in caplog.text
    assert "no space left on device" in caplog.text
    monkeypatch.undo()
    full.search(CLEAR, **UNCLEAR)
    assert full.logged_queries()[0].count == 1


def test_errors_of_a_search_are_those_without_a_log(local):
    local.log_queries()
    with pytest.raises(EmptyIndexError):
        local.search(CLEAR, **UNCLEAR)
    with pytest.raises(TypeError, match=r"queries\[0\]"):
        local.search(3)
    assert local.logged_queries(only_open=False) == []


def test_the_log_outlives_the_process_and_the_setting_does_not(tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        index.log_queries()
        index.search(CLEAR, **UNCLEAR)
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.search("my loan", **UNCLEAR)
        assert texts(index.logged_queries()) == [CLEAR]


def test_queries_of_a_batch_are_written_at_once(full, monkeypatch):
    written = []
    write = full.client.batch_update_points
    monkeypatch.setattr(
        full.client, "batch_update_points", lambda *args, **kwargs: written.append(1) or write(*args, **kwargs)
    )
    full.search_many([f"{word} {i}" for i in range(40) for word in ("card", "loan")], log="all")
    assert len(written) == 1
    assert len(full.logged_queries(limit=100, only_open=False)) == 80


def test_a_full_log_drops_what_was_not_asked_for_the_longest_time(full, monkeypatch):
    monkeypatch.setattr(query_log, "MOST_QUERIES", 6)
    monkeypatch.setattr(query_log, "_KEPT", 4)
    seconds = itertools.count()  # the log's clock has milliseconds, in which several queries may be asked
    monkeypatch.setattr(logged_search, "now", lambda: f"2026-01-01T00:00:{next(seconds):02}.000+00:00")
    full.log_queries("all")
    for i in range(6):
        full.search(f"card {i}")
    full.search("card 0")
    full.search("card 6")
    assert set(texts(full.logged_queries(only_open=False))) == {"card 0", "card 4", "card 5", "card 6"}


def test_threads_lose_no_query(full):
    full.log_queries("all")

    def ask(number):
        for i in range(5):
            full.search(f"card {number} {i}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(full.logged_queries(limit=100, only_open=False)) == 20


def test_a_query_becomes_an_item_and_is_found(full, corpus):
    full.log_queries()
    full.search_many(OUTSIDE, **UNCLEAR)
    before = len(full)
    ids = [query.id for query in full.logged_queries()]
    decided = full.decide_queries(ids, "add", "animal", reviewer="ann")
    assert {(query.resolution.action, query.resolution.label, query.resolution.reviewer) for query in decided} == {
        ("add", "animal", "ann")
    }
    assert len(full) == before + len(OUTSIDE)
    assert full.logged_queries() == []
    assert full.missing_labels(min_size=1) == []
    hit = full.search(OUTSIDE[0], rank_by="base", log="none").hits[0]
    assert hit.label == "animal"
    assert (hit.id, hit.text) in {(query.id, query.text) for query in decided}
    assert "animal" in full.labels()


def test_dismissed_queries_stay_so_when_they_are_asked_again(full):
    full.log_queries()
    full.search(CLEAR, **UNCLEAR)
    (entry,) = full.logged_queries()
    full.decide_queries([entry.id], "dismiss")
    full.search(CLEAR, **UNCLEAR)
    assert full.logged_queries() == []
    (again,) = full.logged_queries(only_open=False)
    assert (again.count, again.resolution.action) == (2, "dismiss")


@pytest.mark.parametrize("first", ["add", "dismiss"])
def test_decisions_are_taken_back(full, first):
    full.log_queries()
    full.search(CLEAR, **UNCLEAR)
    (entry,) = full.logged_queries()
    before = len(full)
    full.decide_queries([entry.id], first, "new" if first == "add" else None)
    full.decide_queries([entry.id], "reopen")
    assert len(full) == before
    assert full.logged_queries() == [entry]


def test_what_was_interrupted_between_index_and_log_is_done_again(full, monkeypatch):
    full.log_queries()
    full.search(CLEAR, **UNCLEAR)
    (entry,) = full.logged_queries()
    before = len(full)
    with monkeypatch.context() as patch:
        patch.setattr("fg_search.queries.decisions.settle_queries", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            full.decide_queries([entry.id], "add", "new")
    assert full.logged_queries() == [entry]
    full.decide_queries([entry.id], "add", "newer")
    assert len(full) == before + 1
    assert full.search(CLEAR, rank_by="base", log="none", limit=100).hits[0].label in {"newer", "card"}
    assert "newer" in full.labels()
    assert "new" not in full.labels()


@pytest.fixture(scope="module")
def asked(encoder, corpus):
    """An index in memory with one query in its log; no test changes it."""
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.search(CLEAR, log="all", **UNCLEAR)
        yield read_only(index)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["nobody"], "dismiss"), ItemNotFoundError, "has no query 'nobody'"),
        ((["0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d"], "dismiss"), ItemNotFoundError, "nothing changed"),
        (("a text", "dismiss"), TypeError, "ids must be a list"),
        (([3], "dismiss"), TypeError, "id of a query is a string"),
        (([], "burn"), ValueError, "action must be one of 'add', 'dismiss', 'reopen'"),
        (([], "add"), ValueError, "needs the label"),
        (([], "add", " "), ValueError, "label is empty"),
        (([], "dismiss", "x"), ValueError, "takes no label"),
    ],
)
def test_decisions_that_make_no_sense_are_refused(asked, arguments, error, message):
    with pytest.raises(error, match=message):
        asked.decide_queries(*arguments)
    assert len(asked.logged_queries()) == 1


def test_no_engine_decides_about_a_query_that_is_not_there(full):
    full.search(CLEAR, log="all", **UNCLEAR)
    with pytest.raises(ItemNotFoundError, match="has no query 'nobody'"):
        full.decide_queries([full.logged_queries()[0].id, "nobody"], "dismiss")
    assert len(full.logged_queries()) == 1


def test_bad_arguments(full):
    for bad in ("some", True, None):
        with pytest.raises(ValueError, match="queries to log must be 'none', 'uncertain', 'all'"):
            full.log_queries(bad)
    with pytest.raises(ValueError, match="queries to log must be"):
        full.search(CLEAR, log="sure")
    with pytest.raises(ValueError, match="limit"):
        full.logged_queries(limit=0)
    with pytest.raises(ValueError, match="similarity"):
        full.missing_labels(similarity=2)
    with pytest.raises(ValueError, match="time zone"):
        full.forget_queries(before=datetime(2020, 1, 1))


def test_queries_are_forgotten(full):
    full.log_queries("all")
    full.search_many(["card 1", "card 2", "card 3"])
    first = full.logged_queries(only_open=False)[0]
    assert full.forget_queries([first.id, "nobody"]) == 1
    moment = datetime.now(timezone.utc)
    assert full.forget_queries(before=moment - timedelta(days=1)) == 0
    assert full.forget_queries(before=(moment + timedelta(days=1)).astimezone(timezone(timedelta(hours=9)))) == 2
    assert full.logged_queries(only_open=False) == []


def test_tenants_see_their_own_queries(tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "i", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        index.log_queries("all")
        one, two = index.tenant("one"), index.tenant("two")
        two.log_queries("none")
        for tenant in (one, two):
            tenant.add(["my card"], labels=["card"])
            tenant.search("the zebra")
        two.search("my own", log="all")
        (mine,) = one.logged_queries(only_open=False)
        (theirs,) = two.logged_queries(only_open=False)
        assert (mine.text, theirs.text) == ("the zebra", "my own")
        for foreign in (
            lambda: two.decide_queries([mine.id], "add", "x"),
            lambda: two.decide_queries([mine.id], "dismiss"),
        ):
            with pytest.raises(ItemNotFoundError):
                foreign()
        assert two.forget_queries([mine.id]) == 0
        one.decide_queries([mine.id], "add", "animal")
        assert (len(one), len(two)) == (2, 1)
        assert two.forget_queries() == 1
        assert len(one.logged_queries(only_open=False)) == 1
        with pytest.raises(ValueError, match="choose one first"):
            index.logged_queries()


def test_clusters_of_open_queries_are_missing_labels(full):
    full.log_queries()
    full.search_many([*OUTSIDE, *OUTSIDE, "my card blocked", "card stolen"], **UNCLEAR)
    cards, others = sorted(full.missing_labels(min_size=1), key=lambda cluster: cluster.size)[-2:]
    found = sorted(full.missing_labels(min_size=1), key=lambda cluster: -cluster.nearest_similarity)
    assert found[0].nearest_label == "card"
    assert {query.text for cluster in (cards, others) for query in cluster.queries} <= {
        *OUTSIDE,
        "my card blocked",
        "card stolen",
    }
    assert full.missing_labels(min_size=1)[0].size == max(cluster.size for cluster in found)
    assert full.missing_labels(min_size=10**6) == []


def test_a_log_survives_the_move_to_another_base_model(full, encoded, tiny_model, corpus):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    full.log_queries()
    full.search_many(OUTSIDE, **UNCLEAR)
    same = full.missing_labels(min_size=1)
    module = tiny_model[0]
    other = SentenceTransformer(
        modules=[StaticEmbedding(module.tokenizer, embedding_weights=module.embedding.weight.detach().numpy()[:, :20])],
        device="cpu",
    )
    full.migrate(FeatureGroupEncoder(other).fit(corpus[0], labels=corpus[1], groups=4, codes=3, hidden=16, steps=20))
    encoded.clear()
    assert sum(cluster.size for cluster in full.missing_labels(min_size=1)) == sum(cluster.size for cluster in same)
    assert sorted(encoded) == sorted(OUTSIDE)
    encoded.clear()
    full.missing_labels(min_size=1)
    assert encoded == []


def test_clusters_without_base_vectors(encoder, rows):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as index:
        index.add(**rows)
        index.search_many(["my card blocked", "card stolen"], log="all", **UNCLEAR)
        assert index.missing_labels(min_size=1, similarity=0.0)[0].nearest_label == "card"


def test_copies_take_the_log_along_and_snapshots_leave_it_behind(tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        index.search(CLEAR, log="all")
        index.copy_to(tmp_path / "copy")
        index.snapshot(tmp_path / "file.snapshot")
    with ConfidenceIndex(tmp_path / "copy", encoder) as copy:
        assert [query.text for query in copy.logged_queries(only_open=False)] == [CLEAR]
    with ConfidenceIndex.restore(tmp_path / "file.snapshot", tmp_path / "restored", encoder=encoder) as restored:
        assert restored.logged_queries(only_open=False) == []


def test_the_same_as_coroutines(tmp_path, encoder, rows):
    async def whole():
        async with AsyncConfidenceIndex(tmp_path / "index", encoder) as index:
            await index.add(**rows)
            index.log_queries()
            await asyncio.gather(*(index.search(text, **UNCLEAR) for text in OUTSIDE))
            await index.search_many(OUTSIDE, **UNCLEAR)
            await index.search_groups(CLEAR, group_by="fg.label", **UNCLEAR)
            queries = await index.logged_queries()
            clusters = await index.missing_labels(min_size=1)
            await index.decide_queries([queries[0].id], "add", "animal")
            left = await index.logged_queries()
            return queries, clusters, left, await index.forget_queries()

    queries, clusters, left, forgotten = asyncio.run(whole())
    assert {query.text: query.count for query in queries} == {**dict.fromkeys(OUTSIDE, 2), CLEAR: 1}
    assert sum(cluster.size for cluster in clusters) == 11
    assert len(left) == 5
    assert forgotten == 6
