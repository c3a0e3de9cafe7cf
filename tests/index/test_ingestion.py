import json
import math
from types import MappingProxyType

import numpy as np
import pytest
from engines import in_strict_mode_too
from hypothesis import example, given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder
from fg_search.errors import (
    ModelMismatchError,
)

QUESTION = "please help my card is stolen"


def test_points_carry_vectors_confidence_and_the_users_own_payload(filled, encoder, corpus, points_of):
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
        assert features["codes"] == " ".join(map(str, expected.codes[i]))
        sparse = stored[f"d{i}"].vector["features"]
        dense = np.zeros(12)
        dense[sparse.indices] = sparse.values
        np.testing.assert_allclose(dense, expected.sparse()[[i]].toarray()[0], atol=1e-6)
        base = expected.base[i] / np.linalg.norm(expected.base[i])
        np.testing.assert_allclose(stored[f"d{i}"].vector["base"], base, atol=1e-5)


@in_strict_mode_too("index")
def test_adding_twice_is_adding_once(own, corpus, points_of):
    texts, labels = corpus
    before = points_of(own)
    own.add(
        texts,
        ids=[f"d{i}" for i in range(len(texts))],
        labels=labels,
        payloads=[{"parity": i % 2} for i in range(len(texts))],
    )
    after = points_of(own)
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


def test_precomputed_embeddings_give_the_same_points(encoder, corpus, points_of):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as first, ConfidenceIndex(":memory:", encoder) as second:
        first.add(texts)
        second.add(texts, embeddings=encoder.encode(texts))
        one, two = points_of(first), points_of(second)
        assert {k: p.payload["fg"]["codes"] for k, p in one.items()} == {
            k: p.payload["fg"]["codes"] for k, p in two.items()
        }


def test_many_writes_give_the_same_index_as_one(encoder, monkeypatch, corpus, points_of):
    texts, _ = corpus
    with ConfidenceIndex(":memory:", encoder) as whole, ConfidenceIndex(":memory:", encoder) as parts:
        whole.add(texts)
        monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 7)
        parts.add(texts)
        assert points_of(whole).keys() == points_of(parts).keys()


@pytest.mark.parametrize("parallel", [1, 3])
def test_of_several_writes_at_once_what_was_acknowledged_is_counted(encoder, monkeypatch, corpus, parallel):
    texts, _ = corpus
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 5)
    with ConfidenceIndex(QdrantClient(":memory:"), encoder) as index:
        index.add(texts[:7])
        upsert, left = index.client.upsert, iter(range(4))

        def failing(*args, **kwargs):
            if next(left, None) is None:
                raise ValueError("the disk is full")
            return upsert(*args, **kwargs)

        monkeypatch.setattr(index.client, "upsert", failing)
        with pytest.raises(ValueError, match="the disk is full"):
            index.add([*texts, *texts], parallel=parallel)
        monkeypatch.setattr(index.client, "upsert", upsert)
        there, all_of_them = len(index), len(set(texts))
        assert 7 < there < all_of_them
        report = index.add([*texts, *texts], parallel=parallel)
        assert (report.written, report.written + report.unchanged) == (all_of_them - there, 2 * len(texts))
        with pytest.raises(ValueError, match="parallel"):
            index.add(texts, parallel=0)


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
        ({"texts": ["a", "b"], "labels": ["x", 3.5]}, TypeError, r"labels\[1\] is float"),
        ({"texts": ["a", "b"], "payloads": [{}, {"fg": 1}]}, ValueError, r"payloads\[1\] uses the key 'fg'"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": {1, 2}}]}, ValueError, r"payloads\[1\] cannot be stored as JSON"),
        ({"texts": ["a", "b"], "payloads": [{}, {"x": float("nan")}]}, ValueError, r"payloads\[1\]"),
        ({"texts": ["a", "b"], "payloads": [{}, [1]]}, TypeError, r"payloads\[1\] is list"),
    ],
)
def test_a_bad_item_is_named_and_nothing_is_written(in_memory, arguments, error, message):
    before = len(in_memory)
    with pytest.raises(error, match=message):
        in_memory.add(**arguments)
    assert len(in_memory) == before


def test_no_engine_gets_any_of_the_items_one_of_which_is_bad(filled):
    with pytest.raises(ValueError, match=r"texts\[1\] is empty"):
        filled.add(["fine", ""])
    assert len(filled) == 48


def test_embeddings_of_another_shape_are_refused(filled, encoder, tiny_model, corpus):
    texts, labels = corpus
    with pytest.raises(ValueError, match="embeddings has 2 items, texts has 1"):
        filled.add(["a"], embeddings=encoder.encode(["a", "b"]))
    wide = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=5, hidden=8, steps=2)
    with pytest.raises(ModelMismatchError, match=r"\(24, 2, 5\), this index needs \(24, 4, 3\)"):
        filled.add(["a"], embeddings=wide.encode(["a"]))


def test_broken_or_foreign_embeddings_are_refused_before_anything_is_written(filled, encoder, other_encoder, corpus):
    texts, _ = corpus
    good = encoder.encode(texts)
    base, probabilities = good.base.copy(), good.probabilities * 7
    base[40, 3] = np.inf
    with pytest.raises(ValueError, match=r"embeddings\.base\[40\] holds NaN or infinite"):
        filled.add(texts, embeddings=FeatureEmbeddings(base, good.probabilities))
    with pytest.raises(ValueError, match=r"embeddings\.probabilities\[0\] is no distribution"):
        filled.add(texts, embeddings=FeatureEmbeddings(good.base, probabilities))
    with pytest.raises(TypeError, match=r"must be FeatureEmbeddings, got ndarray.*pass them as vectors=…"):
        filled.add(texts, embeddings=good.base)
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.add(texts, embeddings=other_encoder.encode(texts))
    with pytest.raises(ModelMismatchError, match=other_encoder.fingerprint):
        filled.search_many(texts, embeddings=other_encoder.encode(texts)[:])
    assert len(filled) == 48


class NAType:  # as pandas calls the type of its NA
    """A missing value that cannot be compared."""

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), np.float64("nan"), np.float32("nan"), NAType()],
    ids=lambda value: type(value).__name__,
)
def test_a_missing_value_of_a_data_frame_is_no_label(local, missing):
    local.add(["my card", "pizza oven"], ids=["a", "b"], labels=["card", missing])
    assert local.labels_of(["a", "b"]) == {"a": "card", "b": None}
    assert local.add(["pizza oven"], ids=["b"], labels=[None]).written == 0
    local.relabel({"a": missing, "b": "food"})
    assert local.labels_of(["a", "b"]) == {"a": None, "b": "food"}
    assert local.labels() == ["food"]


def test_labels_may_be_an_array(index, corpus):
    texts, labels = corpus
    index.add(texts, labels=np.array(labels))
    assert index.info().labelled == 48
    assert index.search(QUESTION, limit=1).hits[0].label == "card"


def test_ids_that_spell_one_uuid_differently_are_two(index):
    index.add(["my card", "my loan"], ids=["A" * 32, "a" * 32])
    assert len(index) == 2


def test_items_that_are_there_unchanged_are_not_encoded_again(local, rows, encoded):
    assert str(local.add(**rows)) == "48 items written, 0 unchanged"
    encoded.clear()
    report = local.add(**rows)
    assert (report.written, report.unchanged) == (0, 48)
    assert encoded == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("texts", "my passport"),
        ("labels", "food"),
        ("labels", None),
        ("payloads", {"parity": 1, "new": True}),
        ("payloads", {"parity": 1.0}),
        ("payloads", None),
    ],
)
def test_only_an_item_that_changed_is_written_again(local, rows, encoded, points_of, column, value):
    local.add(**rows)
    encoded.clear()
    changed = [*rows[column]]
    changed[7] = value
    assert local.add(**{**rows, column: changed}).written == 1
    assert len(encoded) == 1
    after = points_of(local)["d7"].payload
    stored = {"texts": after["fg"]["text"], "labels": after["fg"]["label"], "payloads": without_ours(after) or None}
    assert json.dumps(stored[column]) == json.dumps(value)
    assert len(local) == 48


def test_the_order_of_a_payloads_keys_is_no_change(local, encoded):
    local.add(["my card"], payloads=[{"b": 1, "a": {"y": 1, "x": 2}}])
    encoded.clear()
    assert local.add(["my card"], payloads=[{"a": {"x": 2, "y": 1}, "b": 1}]).unchanged == 1
    assert encoded == []


def test_new_embeddings_of_the_same_text_are_written(local, encoder, points_of):
    embeddings = encoder.encode(["my card", "my loan"])
    assert local.add(["my card"], embeddings=embeddings[:1]).written == 1
    assert local.add(["my card"], embeddings=embeddings[:1]).unchanged == 1
    assert local.add(["my card"], embeddings=embeddings[1:]).written == 1
    (point,) = points_of(local).values()
    base = embeddings.base[1] / np.linalg.norm(embeddings.base[1])
    np.testing.assert_allclose(point.vector["base"], base, atol=1e-6)


def test_precomputed_embeddings_stay_with_their_items_when_some_are_there_already(local, encoder, corpus, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    texts, _ = corpus
    local.add(texts[5:9], embeddings=encoder.encode(texts[5:9]))
    local.add([*texts, *texts[:3]], embeddings=encoder.encode([*texts, *texts[:3]]))
    for i, text in enumerate(texts):
        hit = local.search(text, limit=1, rank_by="base", query_filter=of_text(text)).hits[0]
        assert hit.score == pytest.approx(1, abs=1e-5), i


def test_generators_give_the_same_index_as_lists(local, rows, points_of, encoder, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    report = local.add(**{name: (value for value in column) for name, column in rows.items()})
    assert (report.written, report.unchanged) == (48, 0)
    with ConfidenceIndex(":memory:", encoder) as whole:
        whole.add(**rows)
        expected = {key: point.payload for key, point in points_of(whole).items()}
    assert {key: point.payload for key, point in points_of(local).items()} == expected


@pytest.mark.parametrize(("slow", "read"), [(True, 5), (False, 10)])
def test_a_generator_is_read_batch_by_batch(local, monkeypatch, encoded, slow, read):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 5)
    monkeypatch.setattr("fg_search.index.ingestion._MOST_AT_ONCE", 10)
    if slow:
        monkeypatch.setattr("fg_search.index.ingestion._LITTLE_TIME", 0)
    ahead, unread = [], []

    def texts():
        for i in range(40):
            ahead.append(i - len(local))
            unread.append(i - len(encoded))
            yield f"my card {i}"

    local.add(texts())
    assert len(local) == 40
    assert max(unread) == read - 1
    assert max(ahead) < read + 5  # one batch is read while the last write of the one before is in progress


def test_a_generator_that_breaks_leaves_what_was_written_and_can_be_run_again(local, monkeypatch, encoded):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 5)

    def texts(broken):
        for i in range(23):
            if broken and i == 17:
                raise OSError("the source went away")
            yield f"my card {i}"

    with pytest.raises(OSError, match="the source went away"):
        local.add(texts(broken=True))
    assert len(local) == 15
    encoded.clear()
    report = local.add(texts(broken=False))
    assert (report.written, report.unchanged) == (8, 15)
    assert encoded == [f"my card {i}" for i in range(15, 23)]


def test_a_bad_item_in_a_generator_is_named_and_what_came_before_its_batch_is_kept(local, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 5)
    monkeypatch.setattr("fg_search.index.ingestion._LITTLE_TIME", 0)
    with pytest.raises(ValueError, match=r"texts\[12\] is empty"):
        local.add(text if i != 12 else " " for i, text in enumerate(f"my card {i}" for i in range(20)))
    assert len(local) == 10


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"texts": 3, "ids": 2}, r"ids ends before texts\[2\]"),
        ({"texts": 2, "ids": 3}, r"ids goes on after the last of 2 texts"),
        ({"texts": 3, "ids": 3, "labels": 2}, r"labels ends before texts\[2\]"),
        ({"texts": 3, "ids": 3, "payloads": 4}, r"payloads goes on after the last of 3 texts"),
        ({"texts": 0, "labels": 1}, r"labels goes on after the last of 0 texts"),
    ],
)
def test_a_generator_of_another_length_is_named(local, lengths, message):
    make = {"texts": "my card {}".format, "ids": str, "labels": "label {}".format, "payloads": lambda i: {"i": i}}
    generators = {name: map(make[name], range(length)) for name, length in lengths.items()}
    with pytest.raises(ValueError, match=message):
        local.add(**generators)
    generators = {name: map(make[name], range(length)) for name, length in lengths.items()}
    with pytest.raises(ValueError, match=message):
        local.add(**{**generators, "texts": list(generators["texts"])})
    assert len(local) == 0


def test_twins_are_written_once_wherever_they_come(local, encoded, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 4)
    texts = ["my card", "my loan", "my card", "my pizza", "my card", "my flight", "my oven", "my rate", "my oven"]
    report = local.add(text for text in texts)
    assert (report.written, report.unchanged) == (6, 3)
    assert sorted(encoded) == sorted(set(texts))
    assert len(local) == 6


def test_different_items_with_one_id_are_named_across_batches(local, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 2)
    ids = [*range(6), 1]
    with pytest.raises(ValueError, match="items 1 and 6 share the id 1"):
        local.add((f"my card {i}" for i in range(7)), ids=ids)
    with pytest.raises(ValueError, match="items 0 and 1 share the id 'x' but differ"):
        local.add(["my card", "my card"], ids=["x", "x"], labels=["card", None])


def test_progress_counts_every_item_once(local, rows, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 10)
    bars, seen = [], []

    class Bar:
        def __init__(self, *, total, disable, desc, **_):
            self.total, self.disable, self.done = total, disable, 0
            if desc == "index":  # not those of the encoder, within it
                bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, more):
            self.done += more
            seen.append(more)

    monkeypatch.setattr("fg_search.model.progress.tqdm", Bar)
    local.add(rows["texts"][:13])
    local.add(rows["texts"], show_progress=True)
    local.add((text for text in rows["texts"]), total=48, show_progress=False)
    local.add([])
    assert [(bar.total, bar.done) for bar in bars] == [(13, 13), (48, 48), (48, 48), (0, 0)]
    assert [bar.disable for bar in bars[1:3]] == [False, True]
    seen.clear()
    local.add([f"my card {i}" for i in range(10)], batch_size=2)  # one write
    assert [more for more in seen if more] == [2] * 5


def test_nothing_at_all_may_be_added(local):
    assert (local.add([]).written, local.add(iter(())).written, len(local)) == (0, 0, 0)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
payload_lists = st.lists(
    st.dictionaries(st.text(max_size=8).filter(lambda key: key != "fg"), json_values, max_size=4), max_size=3
)


@pytest.fixture(scope="module", params=["edge", "memory"])
def engine(request, tmp_path_factory, encoder):
    with ConfidenceIndex(
        tmp_path_factory.mktemp("engine") / "index" if request.param == "edge" else ":memory:", encoder
    ) as index:
        yield index


@settings(max_examples=examples(60), suppress_health_check=WITH_FIXTURES)
@given(payloads=payload_lists)
@example(payloads=[{"": {"": []}, "a.b": {"c[0]": [[], {}]}, '"': "\x00\x1f\u2028😀"}])
@example(payloads=[{"i": [2**64 - 1, -(2**63), 2**53 + 1, 0], "f": [1.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1]}])
def test_any_json_payload_comes_back_as_it_was(engine, encoder, payloads):
    texts = [f"my card {i}" for i in range(len(payloads))]
    before = json.dumps(payloads, sort_keys=True)
    embeddings = encoder.encode(["my card"])[[0] * len(payloads)]
    engine.add(texts, ids=range(len(payloads)), payloads=payloads, embeddings=embeddings)
    if not payloads:
        return
    assert json.dumps(payloads, sort_keys=True) == before  # our key is not added to what was handed in
    records = engine.client.retrieve(engine.collection, ids=[*range(len(payloads))])
    stored = {record.id: without_ours(record.payload) for record in records}
    assert all(are_same(stored[i], payload) for i, payload in enumerate(payloads))
    again = engine.add(texts, ids=range(len(payloads)), payloads=payloads, embeddings=embeddings)
    assert again.written == 0


def test_a_hits_payload_is_the_users_own(local):
    payload = {"a.b": [1, {"c": None}], "ü": "ß", "n": 1.5, "deep": {"x": {"y": [True, False]}}}
    local.add(["my card"], payloads=[payload])
    assert local.search("my card").hits[0].payload == payload
    assert local.review()[0].payload == payload


def test_a_payload_may_be_any_mapping_and_changing_it_afterwards_changes_nothing(local, points_of):
    inner = {"x": [1, 2]}
    local.add(["my card"], ids=[1], payloads=[MappingProxyType({"a": MappingProxyType(inner), "t": (1, 2)})])
    inner["x"].append(3)
    assert without_ours(points_of(local)[1].payload) == {"a": {"x": [1, 2]}, "t": [1, 2]}


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), ValueError, "cannot be stored as JSON"),
        ([{"x": float("inf")}], ValueError, "cannot be stored as JSON"),
        ({"x": -float("inf")}, ValueError, "cannot be stored as JSON"),
        ({1: "x"}, TypeError, "has the key 1"),
        ([{None: "x"}], TypeError, "has the key None"),
        (2**64, ValueError, "64 bits"),
        ([-(2**63) - 1], ValueError, "64 bits"),
        ("half \ud800", ValueError, "half a character"),
        ({"half \udc00": 1}, ValueError, "half a character"),
        ({"x": b"bytes"}, ValueError, "holds bytes"),
        ({"x": np.zeros(2)}, ValueError, "holds ndarray"),
    ],
)
def test_a_payload_that_would_not_come_back_is_refused_by_position(in_memory, value, error, message):
    with pytest.raises(error, match=rf"payloads\[2\].*{message}"):
        in_memory.add(["my card", "my loan", "my pizza"], payloads=[{}, None, {"key": value}])
    assert len(in_memory) == 48


def test_a_payload_nested_deeper_than_the_engine_can_read_is_refused(tmp_path, encoder, points_of):
    def nested(levels):
        return [] if levels == 1 else {"x": nested(levels - 1)}

    endless = {}
    endless["x"] = [endless]
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        for payload in (endless, nested(65), nested(130)):
            with pytest.raises(ValueError, match=r"payloads\[1\] is nested more than 64 levels deep"):
                index.add(["my loan", "my card"], payloads=[{}, payload])
        assert len(index) == 0
        index.add(["my card"], ids=[1], payloads=[nested(64)])
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert without_ours(points_of(index)[1].payload) == nested(64)


@pytest.mark.parametrize("column", ["texts", "ids", "labels"])
def test_half_a_character_is_refused_by_position(in_memory, column):
    columns = {"texts": ["my card", "my loan"], "ids": ["a", "b"], "labels": ["x", "y"]}
    columns[column][1] = "half \ud800"
    with pytest.raises(ValueError, match=rf"{column}\[1\].*half a character"):
        in_memory.add(**columns)
    assert len(in_memory) == 48


@pytest.mark.parametrize("price", [None, 9])
def test_what_is_there_is_looked_up_once(local, rows, price, monkeypatch):
    local.add(**rows)
    local.decide("d0", "keep")
    asked = []
    retrieve = local.client.retrieve

    def watch(*arguments, **options):
        asked.append(options["ids"])
        return retrieve(*arguments, **options)

    monkeypatch.setattr(local.client, "retrieve", watch)
    payloads = rows["payloads"] if price is None else [{"price": price}] * 48
    assert local.add(**{**rows, "payloads": payloads}).written == (0 if price is None else 48)
    # replaced items are looked up again, to see that nobody changed them meanwhile
    assert [len(ids) for ids in asked] == [48] if price is None else [48, 48]


def test_embeddings_need_a_list_of_texts(local, encoder):
    with pytest.raises(TypeError, match="embeddings need a list of texts"):
        local.add((text for text in ["my card"]), embeddings=encoder.encode(["my card"]))
    with pytest.raises(TypeError, match="vectors need a list of texts"):
        local.add((text for text in ["my card"]), vectors=encoder.embed(["my card"]))


def are_same(stored, given):
    """Equal in value and type; the embedded engine reads the last digit of long floats a little differently."""
    if type(stored) is not type(given):
        return False
    if isinstance(given, dict):
        return stored.keys() == given.keys() and all(are_same(stored[key], part) for key, part in given.items())
    if isinstance(given, list):
        return len(stored) == len(given) and all(map(are_same, stored, given))
    if isinstance(given, float):
        return abs(stored - given) <= 2 * math.ulp(given) and math.copysign(1, stored) == math.copysign(1, given)
    return stored == given


def without_ours(payload):
    return {key: value for key, value in payload.items() if key != "fg"}


def of_text(text):
    return models.Filter(must=[models.FieldCondition(key="fg.text", match=models.MatchValue(value=text))])


def test_unchanged_items_that_come_twice_are_counted_twice_whatever_the_batches(local, rows, monkeypatch):
    monkeypatch.setattr("fg_search.index.ingestion.ITEMS_PER_WRITE", 16)
    local.add(**rows)
    twice = {name: [*values, *values] for name, values in rows.items()}
    report = local.add(**twice)
    assert (report.written, report.unchanged) == (0, 2 * len(rows["texts"]))
