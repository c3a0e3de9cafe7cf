"""An index tells whether its promise holds for the traffic."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from fg_search import AsyncConfidenceIndex, ConfidenceIndex
from fg_search.errors import NotCalibratedError
from fg_search.layout.keys import CALIBRATION_KEY


@pytest.fixture
def empty(tmp_path, encoder):
    """An empty index in a folder."""
    with ConfidenceIndex(tmp_path / "empty", encoder) as index:
        yield index


def test_traffic_is_compared_with_the_judged_queries_and_nothing_is_changed(local, rows, questions, other_questions):
    local.add(**rows)
    with pytest.raises(NotCalibratedError, match="calibrate it once"):
        local.check_traffic(other_questions)
    local.calibrate(*questions(400, 0))
    before = local.client.get_collection(local.collection).config.metadata
    fine, wrong = local.check_traffic(questions(300, 2)[0]), local.check_traffic(other_questions)
    assert fine.holds
    assert "queries are like those judged" in str(fine)
    assert not wrong.holds
    assert "the promise no longer holds, since queries are" in wrong.reason
    assert local.client.get_collection(local.collection).config.metadata == before
    with pytest.raises(ValueError, match="leave it out"):
        local.check_traffic(other_questions, since=datetime.now(timezone.utc))
    with pytest.raises(ValueError, match="2 different queries are too few to compare"):
        local.check_traffic(other_questions[:2] * 300)


def test_what_was_found_out_is_kept_with_the_index(local, rows, questions, other_questions):
    local.add(**rows)
    local.calibrate(*questions(400, 0))
    known = local.info().calibration
    assert (known.share.source, known.followed_at, known.shift) == ("judged", None, None)
    assert local.check().shift is None
    local.log_queries("all")
    local.search_many(other_questions)
    found = local.check_traffic()
    assert found.p_value == pytest.approx(local.check_traffic(other_questions).p_value, abs=0.01)
    adapted = local.adapt()
    known = local.info().calibration
    assert known.shift == adapted.shift == found
    assert datetime.now(timezone.utc) - datetime.fromisoformat(known.followed_at) < timedelta(minutes=5)
    assert known.share == adapted.share
    health = local.check()
    assert health.shift == found
    assert health.problems == (f"{local.collection}: {found}",)
    late = datetime.now(timezone.utc) + timedelta(hours=1)
    with pytest.raises(ValueError, match="holds no queries of a time"):
        local.check_traffic(since=late)
    local.calibrate(*questions(400, 0))
    assert local.check().problems == ()


def test_a_calibration_of_an_earlier_release_says_what_to_do(empty, rows, questions, other_questions):
    empty.add(**rows)
    empty.calibrate(*questions(400, 0))
    metadata = dict(empty.client.get_collection(empty.collection).config.metadata)
    kept = metadata[CALIBRATION_KEY]
    earlier = {name: value for name, value in kept["promise"].items() if name != "judged_features"}
    empty.client.update_collection(empty.collection, metadata={CALIBRATION_KEY: {**kept, "promise": earlier}})
    assert empty.adapt(other_questions).shift is None
    with pytest.raises(ValueError, match="kept nothing of the judged queries to compare others with; calibrate again"):
        empty.check_traffic(other_questions)
    empty.calibrate(*questions(400, 0))
    assert not empty.check_traffic(other_questions).holds


def test_both_faces_say_the_same(tmp_path, encoder, rows, questions, other_questions, empty):
    async def compare():
        async with AsyncConfidenceIndex(tmp_path / "asynchronous", encoder) as index:
            await index.add(**rows)
            await index.calibrate(*questions(400, 0))
            return await index.check_traffic(other_questions)

    empty.add(**rows)
    empty.calibrate(*questions(400, 0))
    found, expected = asyncio.run(compare()), empty.check_traffic(other_questions)
    assert (found.holds, found.feature, found.queries) == (expected.holds, expected.feature, expected.queries)
    assert found.unanswerable == pytest.approx(expected.unanswerable, abs=0.001)
