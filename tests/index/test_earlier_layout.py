"""An index whose payloads are of schema 2, as release 0.1 wrote them: lists of codes and of group confidences."""

from __future__ import annotations

import numpy as np
import pytest

from fg_search import ConfidenceIndex

QUESTION = "please help my card is stolen"


@pytest.fixture
def earlier(tmp_path, encoder, rows):
    """An index of schema 2 in a folder."""
    with ConfidenceIndex(tmp_path / "earlier", encoder) as index:
        metadata = index.metadata.to_payload()
        metadata["fg_search"]["schema"] = 2
        index.client.update_collection(index.collection, metadata=metadata)
    with ConfidenceIndex(tmp_path / "earlier", encoder) as index:
        index.add(**rows)
        yield index


def features(index):
    records, _ = index.client.scroll(index.collection, limit=100)
    return {record.payload["fg"]["id"]: record.payload["fg"] for record in records}


def assert_same(hits, others):
    for hit, other in zip(hits, others, strict=True):
        assert (hit.id, hit.label, hit.text, hit.agreement) == (other.id, other.label, other.text, other.agreement)
        assert (hit.score, hit.confidence) == pytest.approx((other.score, other.confidence), abs=2e-6)
        assert hit.payload == other.payload


def test_it_is_searched_and_reviewed_like_an_index_of_today(earlier, encoder, rows, tmp_path):
    with ConfidenceIndex(tmp_path / "today", encoder) as index:
        index.add(**rows)
        assert_same(earlier.search(QUESTION).hits, index.search(QUESTION).hits)
        old, new = earlier.review(), index.review()
    assert [item.id for item in old] == [item.id for item in new]
    for before, after in zip(old, new, strict=True):
        np.testing.assert_allclose(before.group_confidence, after.group_confidence, atol=1e-4)


def test_what_is_added_to_it_has_its_layout(earlier, encoder):
    earlier.add(["my card"], ids=["new"])
    stored, expected = features(earlier)["new"], encoder.encode(["my card"])
    assert stored["codes"] == expected.codes[0].tolist()
    assert stored["groups"] == pytest.approx(expected.group_confidence[0], abs=6e-5)


def test_migrating_to_its_own_encoder_brings_the_new_layout_and_keeps_the_rest(earlier, encoder, rows, monkeypatch):
    like_items = [f"{text} please" for text in rows["texts"]]
    earlier.calibrate(like_items, relevant=["nothing", *["card", "loan"] * 23, "nothing"][: len(rows["texts"])])
    earlier.relabel({"d1": "corrected"})
    before = earlier.search(QUESTION, limit=20)
    told = earlier.review(limit=5)
    monkeypatch.setitem(vars(encoder), "encode", None)  # base vectors are taken as they are
    earlier.migrate(encoder)
    monkeypatch.undo()
    assert earlier.metadata.schema == 3
    stored = features(earlier)
    assert all("groups" not in one and isinstance(one["codes"], str) for one in stored.values())
    after = earlier.search(QUESTION, limit=20)
    assert_same(after.hits, before.hits)
    assert after.confidence == pytest.approx(before.confidence)
    assert [item.id for item in earlier.review(limit=5)] == [item.id for item in told]
    earlier.migrate(encoder)  # does nothing
    assert features(earlier) == stored
    with ConfidenceIndex(earlier.client, encoder, collection=earlier.collection) as opened:
        assert opened.info().calibration == earlier.info().calibration


def test_a_copy_into_it_tells_earlier_releases_that_they_cannot_read_it(earlier, tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "today", encoder) as today:
        today.add(**rows)
        today.relabel({"d1": "corrected"})
        assert today.copy_to(earlier.client, collection=earlier.collection).written == len(rows["texts"])
    with ConfidenceIndex(earlier.client, encoder, collection=earlier.collection) as opened:
        assert opened.metadata.schema == 3
        assert opened.search(QUESTION).hits
