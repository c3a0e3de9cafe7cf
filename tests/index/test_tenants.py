import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples
from qdrant_client import models

from fg_search import ConfidenceIndex
from fg_search.errors import EmptyIndexError, ItemNotFoundError
from fg_search.layout.schema import IndexSettings

QUESTION = "please help my card is stolen"
TEXTS = ["my card", "my loan", "my pizza", "my flight", "my oven"]


@pytest.fixture(params=["edge", "memory"])
def shared(request, tmp_path, encoder):
    """An empty index with tenants."""
    with ConfidenceIndex(
        tmp_path / "i" if request.param == "edge" else ":memory:", encoder, settings=IndexSettings(tenant_key="owner")
    ) as index:
        yield index


def contents(index, limit=100):
    try:
        hits = index.search(QUESTION, limit=limit, rank_by="base").hits
    except EmptyIndexError:
        return {}
    return {hit.id: (hit.text, hit.label) for hit in hits}


def add(index, mine, embeddings, key, text, label):
    index.add([text], ids=[key], labels=[label], embeddings=embeddings[text])
    corrected = key in mine and mine[key][2] == label
    mine[key] = (text, mine[key][1] if corrected else label, label)


def delete(index, mine, _, key):
    assert index.delete([key]) == (mine.pop(key, None) is not None)


def delete_labelled(index, mine, _, label):
    is_label = models.FieldCondition(key="fg.label", match=models.MatchValue(value=label))
    gone = [key for key, item in mine.items() if item[1] == label]
    assert index.delete(query_filter=models.Filter(should=[is_label])) == len(gone)
    for key in gone:
        del mine[key]


def delete_everything(index, mine, _):
    assert index.delete(query_filter=models.Filter()) == len(mine)
    mine.clear()


def relabel(index, mine, _, key, label):
    if key not in mine:
        with pytest.raises(ItemNotFoundError):
            index.relabel({key: label})
        return
    index.relabel({key: label})
    mine[key] = (mine[key][0], label, mine[key][2])


ids = st.sampled_from([0, 1, "1", "x", "0d2a8f8c-7a3a-4a56-9a8f-3f7a9e1b2c4d"])
steps = st.one_of(
    st.tuples(st.just(add), ids, st.sampled_from(TEXTS), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just(delete), ids),
    st.tuples(st.just(delete_labelled), st.sampled_from(["a", "b"])),
    st.tuples(st.just(delete_everything)),
    st.tuples(st.just(relabel), ids, st.sampled_from([None, "a", "c"])),
)


@settings(max_examples=examples(40), suppress_health_check=WITH_FIXTURES)
@given(history=st.lists(st.tuples(st.sampled_from(["one", "two"]), steps), max_size=14))
def test_tenants_with_the_same_ids_never_touch_each_others_items(shared, encoder, history):
    tenants = {name: shared.tenant(name) for name in ("one", "two")}
    expected = {name: {} for name in tenants}  # by id: text, label, and the user's own label
    for tenant in tenants.values():
        tenant.delete(query_filter=models.Filter())
    embeddings = dict(zip(TEXTS, map(encoder.encode, ([text] for text in TEXTS)), strict=True))
    for name, step in history:
        take, *arguments = step
        take(tenants[name], expected[name], embeddings, *arguments)
    for name, index in tenants.items():
        assert len(index) == index.info().points == len(expected[name])
        assert contents(index) == {key: item[:2] for key, item in expected[name].items()}
        if expected[name]:
            assert {item.id for item in index.review()} == expected[name].keys()


def test_no_filter_leads_to_another_tenants_items(shared):
    one, two = shared.tenant("one"), shared.tenant("two")
    one.add(TEXTS, ids=range(5))
    two.add(TEXTS[:2], ids=range(2))
    foreign = [record.id for record in shared.client.scroll(shared.collection, limit=100)[0]]
    theirs = models.FieldCondition(key="owner", match=models.MatchValue(value="one"))
    for reaching in (
        models.Filter(),
        models.Filter(must=[models.HasIdCondition(has_id=foreign)]),
        models.Filter(should=[theirs]),
        models.Filter(must_not=[models.FieldCondition(key="owner", match=models.MatchValue(value="two"))]),
    ):
        result = two.search(QUESTION, limit=100, rank_by="base", query_filter=reaching)
        assert {hit.payload["owner"] for hit in result.hits} <= {"two"}
        assert {item.payload["owner"] for item in two.review(query_filter=reaching)} <= {"two"}
    assert two.delete(query_filter=models.Filter(should=[theirs])) == 0
    assert two.delete(query_filter=models.Filter(must=[models.HasIdCondition(has_id=foreign)])) == 2
    assert (len(one), len(two)) == (5, 0)


def test_an_index_with_tenants_does_nothing_before_one_is_chosen(shared):
    shared.tenant("one").add(["my card"], ids=[1])
    for operation in (
        lambda: shared.add(["my card"]),
        lambda: shared.search("my card"),
        lambda: shared.search_many(["my card"]),
        lambda: shared.delete([1]),
        lambda: shared.delete(query_filter=models.Filter()),
        lambda: shared.relabel({1: "x"}),
        lambda: shared.review(),
        lambda: shared.info(),
        lambda: len(shared),
        lambda: shared.calibrate(["my card"], [1]),
    ):
        with pytest.raises(ValueError, match=r"has tenants; choose one first: index\.tenant"):
            operation()
    assert len(shared.tenant("one")) == 1


def test_a_payload_that_names_another_tenant_is_refused(shared):
    one = shared.tenant("one")
    one.add(["my card"], payloads=[{"owner": "one"}])
    for other in ("two", None, 1, ["one"]):
        with pytest.raises(ValueError, match=r"payloads\[1\]\['owner'\] is .*, but this is the tenant 'one'"):
            one.add(["my loan", "my pizza"], payloads=[{}, {"owner": other}])
    assert len(one) == 1
    assert one.add(["my card"]).unchanged == 1  # the key is there, whether it was given or not


def test_tenants_need_an_index_that_has_some(local, shared):
    with pytest.raises(ValueError, match="made without tenants"):
        local.tenant("one")
    for name in ("", None, 3):
        with pytest.raises(ValueError, match="a tenant is a non-empty string"):
            shared.tenant(name)


def test_tenants_names_do_not_run_into_ids(shared):
    first, second = shared.tenant("a"), shared.tenant("a:int")
    first.add(["my card"], ids=["int:1"])
    second.add(["my loan"], ids=["1"])
    shared.tenant("1:a").add(["my pizza"], ids=[1])
    assert (len(first), len(second), len(shared.tenant("1:a"))) == (1, 1, 1)


def test_what_one_tenant_calibrates_all_of_them_have(shared, questions, corpus):
    texts, labels = corpus
    shared.tenant("one").add(texts, labels=labels)
    shared.tenant("one").calibrate(*questions(200, 3), relevant_by="label")
    assert shared.tenant("one").search(QUESTION).confidence is not None
    assert shared.calibration is not None
    shared.tenant("two").add(texts[:20], labels=labels[:20])
    assert shared.tenant("two").search(QUESTION, rank_by="both").confidence is not None


def test_relevant_ids_are_those_of_the_tenant(shared, corpus, questions):
    texts, _ = corpus
    one, two = shared.tenant("one"), shared.tenant("two")
    one.add(texts, ids=range(48))
    two.add(texts[:30], ids=range(100, 130))
    like_items = [f"{text} please" for text in texts]
    calibration = two.calibrate([*like_items, *questions(40, 1)[0]], [*range(100, 148), *[None] * 40])
    assert calibration.relevant_by == "id"
    with pytest.raises(ValueError, match="none of the relevant values"):
        two.calibrate(like_items, [*range(48)])


def test_migrating_one_tenants_index_migrates_all(shared, other_encoder, corpus):
    texts, labels = corpus
    one, two = shared.tenant("one"), shared.tenant("two")
    one.add(texts, ids=range(48), labels=labels)
    two.add(texts[:7], ids=range(7))
    shared.migrate(other_encoder)
    for index in (shared, one, two, shared.tenant("one")):
        assert index.metadata.fingerprint == other_encoder.fingerprint
    assert (len(one), len(two)) == (48, 7)
    scores = two.search(texts[3], limit=1, rank_by="features").hits[0]
    itself = other_encoder.encode([texts[3]]).sparse()
    assert scores.score >= (itself @ itself.T).toarray()[0, 0] - 1e-5


def test_an_index_with_tenants_is_copied_refitted_and_scored_as_a_whole(shared, rows, encoder, tmp_path):
    half = {name: column[::2] for name, column in rows.items()}
    shared.tenant("acme").add(**rows)
    shared.tenant("bell").add(**half)
    before = {name: contents(shared.tenant(name)) for name in ("acme", "bell")}
    assert shared.score_labels().items == len(rows["texts"]) + len(half["texts"])
    shared.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy", encoder) as copied:
        assert {name: contents(copied.tenant(name)) for name in ("acme", "bell")} == before
    shared.refit(tmp_path / "refitted")
    assert shared.metadata.fingerprint != encoder.fingerprint
    assert {name: contents(shared.tenant(name)) for name in ("acme", "bell")} == before
