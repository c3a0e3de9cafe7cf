"""Queries that the head has learned from are no evidence of how it does on others."""

from copy import copy

import numpy as np
import pytest
from advising import Advice

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.model.learned_texts import LearnedTexts


def test_queries_that_the_head_has_learned_from_are_left_out_and_named(
    tmp_path, encoder, rows, corpus, questions, caplog
):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        texts, labels = questions(200, 0)
        alone = index.calibrate(texts, labels)
        mixed = index.calibrate([*corpus[0], *texts], [*corpus[1], *labels])
        assert (alone.queries, mixed.queries) == (200, 200)
        assert mixed.to_metadata() == alone.to_metadata()
        assert (
            f"48 of 248 queries are left out, since the encoder has learned from them: {corpus[0][0]!r}" in caplog.text
        )
        both = [corpus[0][0].upper(), texts[0]]
        asked, right = [texts[1], both, *texts[2:]], [labels[1], labels[0], *labels[2:]]
        embeddings = encoder.encode([texts[1], *both, *texts[2:]])
        assert index.calibrate(asked, right, embeddings=embeddings).queries == 199
        found = index.evaluate([*corpus[0], *texts], [*corpus[1], *labels])
        assert found.reports == index.evaluate(texts, labels).reports


def test_learned_queries_alone_are_refused(tmp_path, encoder, rows, corpus, questions):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        advice = Advice(
            "the encoder has learned from all … queries, such as …; they tell nothing of new ones: judge others"
        )
        with advice.raised():
            index.calibrate(*corpus)
        assert index.calibrate(*questions(100, 0)).queries == 100


def test_what_was_learned_is_saved_with_the_encoder(encoder, corpus, tmp_path):
    copy(encoder).save(tmp_path / "encoder")  # the fixture is not to point to this folder
    loaded = FeatureGroupEncoder(tmp_path / "encoder")
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.learned.among([*corpus[0], "something new"]).tolist() == [True] * len(corpus[0]) + [False]
    assert len(loaded.learned) == len(set(corpus[0]))


@pytest.mark.parametrize(("text", "known"), [("My  CARD\tis lost", True), ("my card is lost!", False), ("", False)])
def test_case_and_white_space_make_no_other_text(text, known):
    assert LearnedTexts.of(["my card is lost"]).among([text]).tolist() == [known]
    assert not LearnedTexts.of([]).among([text]).any()
    assert LearnedTexts.of(["a", "b"]).among([]).shape == (0,)
    assert LearnedTexts.of(["a"]).hashes.dtype == np.uint64


def test_evaluating_on_the_queries_of_the_calibration_is_noticed(own, questions, caplog):
    own.calibrate(*questions(200, 3))
    own.evaluate([f"{text} once more, and longer" for text in questions(20, 9)[0]], questions(20, 9)[1])
    assert "was calibrated on" not in caplog.text
    queries, relevant = questions(200, 3)
    own.evaluate([*queries[:5], "quite another question about a card"], [*relevant[:5], "card"])
    assert "calibrated on 5 of the 6 queries" in caplog.text
    assert "evaluate on others" in caplog.text
