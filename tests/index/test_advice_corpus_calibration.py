"""A first calibration without a judged query, from the items themselves."""

from io import StringIO

import numpy as np
import pytest
from advising import Advice
from rich.console import Console

from fg_search import ConfidenceIndex, IndexSettings, display

UNKNOWN = "my quantum"


@pytest.fixture(scope="module")
def estimated(tmp_path_factory, encoder, corpus):
    with ConfidenceIndex(tmp_path_factory.mktemp("estimated") / "i", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate()
        yield index


def test_a_first_search_answers_what_is_known_and_says_that_it_is_an_estimate(estimated, questions):
    calibration = estimated.calibration
    assert calibration.pretended
    assert calibration.share.source == "pretended"
    assert "judge some hundreds of real ones" in calibration.threshold(0.7).reason
    printed = Console(width=200, record=True, file=StringIO())
    display.info(printed, estimated.info())
    assert f"on {calibration.queries} items taken for queries judged by label" in printed.export_text()
    texts, labels = questions(300, 1)
    results = estimated.search_many(texts, limit=1, target_precision=0.7, on_uncertain="abstain")
    right = [result.hits[0].label == label for result, label in zip(results, labels, strict=True) if result.hits]
    assert len(right) > 30
    assert np.mean(right) > 0.65  # an estimate


def test_the_estimate_is_kept_and_followed_until_queries_are_judged(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        learned = index.calibrate()
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert index.calibration.to_metadata() == learned.to_metadata()
        assert "judge some hundreds" in index.adapt(expected_unanswerable=0.3).threshold(0.5).reason
        assert not index.calibrate(*questions(200, 0)).pretended
        assert "judge some hundreds" not in index.calibration.threshold(0.5).reason


def test_the_estimate_is_for_the_ranking_that_was_asked_for(encoder, rows):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(**rows)
        assert index.calibrate(rank_by="base").rank_by == "base"
        assert index.search(UNKNOWN, target_precision=0.5).confidence is not None


def test_what_needs_judged_queries_says_so(encoder, rows, questions):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as index:
        index.add(rows["texts"][:20], labels=["one"] * 10 + ["two"] * 10)
        with Advice("… keeps no base embeddings to take items for queries; calibrate on judged queries").raised():
            index.calibrate()
        like_items = [f"{text} please" for text in rows["texts"][:20]]
        judged = index.calibrate([*like_items, "zzz", "my"], ["one"] * 10 + ["two"] * 10 + [None] * 2)
        assert not judged.pretended
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(rows["texts"][:20], labels=["one"] * 10 + ["two"] * 10)
        advice = Advice(
            "… labels are too few to pretend that some are unknown, or none has two items; calibrate on judged queries"
        )
        with advice.raised():
            index.calibrate()
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(**rows)
        for options in ({"relevant_by": "id"}, {"relevant_within": 2}):
            with pytest.raises(ValueError, match="all items are taken for queries"):
                index.calibrate(**options)
        with pytest.raises(ValueError, match="give queries and relevant, or neither"):
            index.calibrate(["a text"])
        advice = Advice(
            "without judged queries, only searches are calibrated that exclude and down-weight no points; give queries"
        )
        with advice.raised():
            index.calibrate(min_confidence=0.5)
        assert not index.calibrate(*questions(100, 0), min_confidence=0.2).pretended
