"""What the model cannot read of a text is said: unknown tokens, and what is beyond its length."""

import logging

import numpy as np
import pytest

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder
from fg_search.errors import UncertainQueryError
from fg_search.model.reading import Reading
from fg_search.model.sources import EncodedTexts, source_of
from fg_search.model.text_tokenizer import KnownTokenizer

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 120}
LONG = "please help with my card the pin blocked stolen magnetic loan mortgage"


@pytest.fixture
def reader(transformer, corpus) -> FeatureGroupEncoder:
    return FeatureGroupEncoder(transformer()).fit(corpus[0], labels=corpus[1], **SIZES)


@pytest.fixture
def warnings_of(caplog):
    """The library's warnings so far."""
    caplog.set_level(logging.WARNING, "fg_search")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("fg_search")]


def read(model, texts, way):
    """What the model reads of texts, as it is found out in each of the three ways into a model."""
    if way == "encode":
        return EncodedTexts(model, texts, tf32=False).reading()
    with pytest.MonkeyPatch.context() as patch:
        if way == "preprocess":
            patch.setattr(KnownTokenizer, "of", lambda *_: None)
        source = source_of(model, texts, KnownTokenizer(), tf32=False)
    source.batch(np.arange(len(texts))[::2])
    return source.reading()


WAYS = ["tokenizer", "preprocess", "encode"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["transformer", "tiny"])
def test_the_share_of_unknown_tokens(transformer, tiny_model, kind, way):
    model = transformer() if kind == "transformer" else tiny_model
    texts = ["my card", "my 👍", "👍", "บัตร", "\u200bmy", "the pin zzz card"]
    for some in (texts, texts[:1]):
        found = read(model, some, way)
        np.testing.assert_allclose(found.unread, [0, 0.5, 1, 1, [0, 0.5][kind == "tiny"], 0.25][: len(some)])
    assert read(model, ["\u200b"], way).unread.tolist() == [1]


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_is_no_part_of_what_is_read(transformer, way):
    model = transformer(prompts={"document": "the pin 👎 "}, default_prompt_name="document")
    found = read(model, ["my card", "my 👍", "👍", "\u200b", "the"], way)
    np.testing.assert_allclose(found.unread, [0, 0.5, 1, 1, 0])
    assert found.tokens.tolist() == [4, 4, 3, 2, 3]
    joined = transformer(prompts={"document": "my"}, default_prompt_name="document")  # runs into the text
    np.testing.assert_allclose(read(joined, ["card", " card"], way).unread, [1, 0])


@pytest.mark.parametrize("way", WAYS)
def test_texts_are_cut_where_the_model_stops_reading(transformer, way):
    model = transformer()
    ten, eleven = "my " * 10, "my " * 11  # and two special tokens
    assert read(model, ["my", ten, eleven, LONG], way).cut.tolist() == [False, False, True, True]
    model.prompts["document"], model.default_prompt_name = "the ", "document"
    assert read(model, ["my", ten, ten[3:], eleven], way).cut.tolist() == [False, True, False, True]


def test_what_a_model_cannot_read_has_the_lowest_confidence(reader, corpus):
    out = reader.encode([corpus[0][0], "👍", "บัตร ของ", "my 👍", "\u2713 👎 card"])
    assert out.unread.tolist() == pytest.approx([0, 1, 1, 0.5, 2 / 3])
    np.testing.assert_allclose(out.confidence[[1, 2, 4]], 1 / 3)
    assert (out.confidence[[0, 3]] > 0.34).all()
    np.testing.assert_allclose(out.group_confidence.mean(axis=1), out.confidence, atol=1e-6)
    assert out[1:3].unread.tolist() == [1, 1]


def test_what_was_read_survives_saving(reader, tmp_path):
    out = reader.encode(["my card", "👍", LONG])
    out.save(tmp_path / "out.npz")
    loaded = FeatureEmbeddings.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(loaded.unread, out.unread)
    np.testing.assert_array_equal(loaded.reading.cut, [False, False, True])
    reader.features(out.base).save(tmp_path / "bare.npz")
    assert FeatureEmbeddings.load(tmp_path / "bare.npz").unread.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="reading is of 2 texts"):
        FeatureEmbeddings(out.base, out.probabilities, reading=Reading.unknown(2))


def test_an_unreadable_query_is_uncertain_for_that_reason(reader, corpus):
    texts, labels = corpus
    with ConfidenceIndex(":memory:", reader) as index:
        index.add(texts, labels=labels)
        flagged = index.search("👍")
        assert flagged.uncertain
        assert flagged.query_confidence == flagged.query_familiarity == 0
        assert reader.encode(["👍"]).confidence == pytest.approx(1 / 3)
        assert "the model can read nothing of the query" in flagged.reason
        assert "only 33%" in index.search("my ของ 👎").reason
        wanted = {"min_query_confidence": 0.1}
        assert index.search("👍", on_uncertain="abstain", **wanted).decision == "abstain"
        assert index.search_many(["my card", "👍"], on_uncertain="abstain", **wanted)[1].hits == ()
        with pytest.raises(UncertainQueryError, match="can read nothing"):
            index.search("👍", on_uncertain="raise", **wanted)
        assert index.search_groups("👍", group_by="fg.label").result.uncertain
        assert not index.search("my card is stolen").uncertain
        mixed = index.search(["my card", "👍"])
        assert "can read" not in mixed.reason  # the other phrasing counts more
        assert index.search(["👎", "👍"]).uncertain


def test_adding_says_which_items_are_read_in_part_only(reader, warnings_of):
    with ConfidenceIndex(":memory:", reader) as index:
        report = index.add(["my card", "👍", LONG, LONG + " rate"], ids=["a", "b", "c", "d"])
        assert (report.cut, report.unread) == (2, 1)
        cut, unread = warnings_of()
        assert "2 of 4 items are longer than the 12 tokens that the model reads" in cut
        assert f"'c' {LONG[:20]!r}"[:-1] in cut
        assert "'d'" in cut
        assert "1 of 4 items hold words or characters that the model does not know" in unread
        assert "'b' '👍'" in unread
        stored = {r.payload["fg"]["id"]: r.payload["fg"] for r in index.client.scroll(index.collection)[0]}
        assert stored["b"]["unread"] == 1
        assert stored["b"]["confidence"] == pytest.approx(1 / 3, abs=1e-5)
        assert "unread" not in stored["a"]
        assert stored["c"]["cut"]


def test_items_that_are_read_in_part_only_are_listed_and_counted(reader, corpus):
    other = FeatureGroupEncoder(reader.model).fit(corpus[0], labels=corpus[1], **{**SIZES, "groups": 2})
    with ConfidenceIndex(":memory:", reader) as index:
        index.add(["my card", "👍", LONG, "my 👎"], ids=["a", "b", "c", "d"])
        for _ in range(2):
            listed = index.review(kind="unread")
            assert [(item.id, item.score) for item in listed] == [("b", 1), ("d", 0.5), ("c", 0)]
            assert "does not know 100%" in listed[0].reason
            assert "longer than the model reads" in listed[2].reason
            assert [item.id for item in index.review(kind="unread", min_score=0.6)] == ["b"]
            assert index.info().unread == 3
            index.migrate(other)  # base vectors are kept, and what is known of the texts


def test_a_few_unknown_words_among_many_texts_are_no_warning(reader, corpus, warnings_of):
    with ConfidenceIndex(":memory:", reader) as index:
        index.add([*corpus[0], "my new card"])
        assert warnings_of() == []


def test_fitting_and_encoding_warn_too(transformer, corpus, warnings_of):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(transformer()).fit([*texts, LONG], labels=[*labels, "card"], **SIZES)
    assert f"1 of {len(texts) + 1} texts are longer" in warnings_of()[0]
    assert f"texts[{len(texts)}]" in warnings_of()[0]
    encoder.encode(["my card", "👍"])
    assert "texts[1] '👍'" in warnings_of()[-1]
    seen = len(warnings_of())
    encoder.encode(["👍"], warn=False)
    assert len(warnings_of()) == seen


def test_a_query_that_is_cut_is_a_warning(reader, corpus, warnings_of):
    with ConfidenceIndex(":memory:", reader) as index:
        index.add(corpus[0])
        index.search(LONG)
        assert "1 of 1 queries are longer" in warnings_of()[-1]


def test_another_head_keeps_what_was_not_read(reader, corpus, tmp_path):
    texts, labels = corpus
    with ConfidenceIndex(":memory:", reader) as index:
        index.add([*texts, "👍"], labels=[*labels, "card"])
        index.refit(tmp_path / "new")
        stored = [r.payload["fg"] for r in index.client.scroll(index.collection, limit=1000)[0]]
        (unread,) = [features for features in stored if features["text"] == "👍"]
        assert unread["unread"] == 1
        assert unread["confidence"] == pytest.approx(1 / 3, abs=1e-5)
