"""A calibration that follows the share of queries without an answer, through the index."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import NotCalibratedError
from fg_search.index import following

QUESTION = "please help my card is stolen"


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, encoder, corpus, questions):
    with ConfidenceIndex(tmp_path_factory.mktemp("adapted") / "i", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        index.calibrate(*questions(800, 0))
        yield index


@pytest.fixture
def traffic(questions):
    """Queries of which a share has no answer."""

    def draw(count: int, share: float, seed: int) -> list[str]:
        texts, labels = questions(40 * count, seed)
        known = [text for text, label in zip(texts, labels, strict=True) if label is not None]
        unknown = [text for text, label in zip(texts, labels, strict=True) if label is None]
        without = round(count * share)
        return [*known[: count - without], *unknown[:without]]

    return draw


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_confidence_and_thresholds_follow_the_queries(calibrated, traffic, share):
    adapted = calibrated.adapt(traffic(300, share, 3))
    assert adapted.share.value == pytest.approx(share, abs=0.12)
    result = calibrated.search(QUESTION, target_precision=0.8)
    assert result.unanswerable_share == adapted.share.value
    assert result.confidence == pytest.approx(calibrated.search_many([QUESTION])[0].confidence, abs=1e-6)
    assert f"if {adapted.share.value:.0%} of the queries have no answer" in result.reason


def test_a_stated_share_is_kept_with_the_index_until_it_is_calibrated_anew(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(300, 0))
        assert index.calibration.share.source == "judged"
        before = index.search(QUESTION).confidence
        index.adapt(expected_unanswerable=0.7)
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert (index.calibration.share.source, index.calibration.share.value) == ("stated", 0.7)
        assert index.search(QUESTION).confidence < before
        index.calibrate(*questions(300, 0))
        assert index.search(QUESTION).confidence == before
    with ConfidenceIndex(tmp_path / "i", encoder) as index:  # on the same queries as before, and kept
        assert index.calibration.share.source == "judged"
        assert index.search(QUESTION).confidence == before


def test_following_the_traffic_overwrites_no_calibration_of_somebody_else(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(300, 0))
        index.adapt(expected_unanswerable=0.5)
        before = index.client.get_collection(index.collection).config.metadata
        index.calibrate(*questions(400, 0))  # what was followed was another calibration's
        assert index.calibration.share.source == "judged"
        stale = {name: before[name] for name in ("fg_search_adaptation",)}
        index.client.update_collection(index.collection, metadata=stale)
        index.adapt(expected_unanswerable=0.3)
        assert index.calibration.queries == 400
        assert index.calibration.share.value == 0.3


def test_the_log_is_the_traffic_if_all_queries_were_logged(tmp_path, encoder, rows, questions, traffic):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(800, 0))
        index.log_queries("uncertain")
        index.search_many([QUESTION], min_query_confidence=1.0)
        with pytest.raises(ValueError, match=r"log all \(index.log_queries\('all'\)"):
            index.adapt()
        index.log_queries("all")  # as the error says
        texts = traffic(200, 0.5, 5)
        index.search_many(texts)
        learned = index.adapt()
        assert learned.share.value == pytest.approx(index.adapt(texts).share.value, abs=0.02)
        assert learned.share.queries == len(texts)
        index.search_many([QUESTION] * 600)
        assert index.adapt().share.value < learned.share.value - 0.1  # each as often as it was asked
        late = datetime.now(timezone.utc) + timedelta(hours=1)
        with pytest.raises(ValueError, match="holds no queries of a time"):
            index.adapt(since=late)
        with pytest.raises(ValueError, match="time zone"):
            index.adapt(since=datetime.now())


def test_what_cannot_be_followed_says_what_to_do(calibrated, local, rows):
    local.add(**rows)
    with pytest.raises(NotCalibratedError, match="calibrate it once on judged queries"):
        local.adapt(expected_unanswerable=0.2)
    for wrong in ({"queries": [QUESTION], "expected_unanswerable": 0.1}, {"expected_unanswerable": 1.5}):
        with pytest.raises(ValueError, match="expected_unanswerable"):
            calibrated.adapt(**wrong)
    with pytest.raises(ValueError, match="leave it out"):
        calibrated.adapt([QUESTION], since=datetime.now(timezone.utc))
    with pytest.raises(ValueError, match="leave it out to take those of the log"):
        calibrated.adapt([])
    with pytest.raises(ValueError, match="give at least 30"):
        calibrated.adapt([QUESTION] * 3)


def test_one_of_the_first_few_hits_may_be_what_is_right(local, rows, questions):
    local.add(**rows)
    texts, labels = questions(300, 0)
    first, three = (local.calibrate(texts, labels, relevant_within=k) for k in (1, 3))
    assert three.promise.judged.correct.sum() >= first.promise.judged.correct.sum()
    assert local.info().calibration.relevant_within == 3
    assert local.evaluate(texts, labels, relevant_within=3).precisions
    other = local.evaluate(texts, labels)  # another question than was calibrated
    assert (other.precisions, other.no_promise) == ((), "the index is calibrated for relevant_within=3, not 1")
    for wrong in (0, 11, 1.5):
        with pytest.raises(ValueError, match="from 1 to 10"):
            local.calibrate(texts, labels, relevant_within=wrong)
    assert np.isfinite(local.search(QUESTION).confidence)


def test_an_open_index_learns_what_others_calibrate_and_adapt(encoder, rows, questions, monkeypatch):
    client = QdrantClient(":memory:")
    with ConfidenceIndex(client, encoder) as ours, ConfidenceIndex(client, encoder) as theirs:
        ours.add(**rows)
        theirs.calibrate(*questions(300, 0))
        assert ours.search(QUESTION).confidence is None  # it is not looked at with every search
        monkeypatch.setattr(following, "LOOK_EVERY", 0.0)
        assert ours.search(QUESTION).confidence == theirs.search(QUESTION).confidence
        theirs.adapt(expected_unanswerable=0.7)
        assert ours.search(QUESTION).unanswerable_share == 0.7
    client.close()


def test_the_calibration_follows_the_traffic_of_all_tenants(tmp_path, encoder, rows, questions, traffic):
    settings = IndexSettings(tenant_key="shop")
    with ConfidenceIndex(tmp_path / "index", encoder, settings=settings) as index:
        views = {name: index.tenant(name) for name in ("north", "south")}
        for view in views.values():
            view.add(**rows)
        texts, labels = questions(200, 0)
        index.calibrate(texts, labels, tenants=["north"] * len(texts))
        for wrong in ({"expected_unanswerable": 0.2}, {"queries": texts[:50]}, {}):
            with pytest.raises(ValueError, match="adapt the index itself"):
                views["north"].adapt(**wrong)
        known, unknown = traffic(40, 0.0, 3), traffic(40, 1.0, 4)
        both = {"queries": [*known, *unknown], "tenants": ["north"] * 40 + ["south"] * 40}
        given = index.adapt(**both)
        views["north"].search_many(known, log="all")
        views["south"].search_many(unknown, log="all")
        logged = index.adapt()
        assert logged.share.value == pytest.approx(given.share.value, abs=0.02)
        assert 0.3 < logged.share.value < 0.7
        assert views["south"].check_traffic(unknown).queries == 40
        with pytest.raises(ValueError, match="say of which each query is"):
            index.adapt(texts)
        with pytest.raises(ValueError, match="tenants has 1 items, queries 200"):
            index.adapt(texts, tenants=["north"])
        with pytest.raises(ValueError, match="the log knows the tenants"):
            index.check_traffic(tenants=["north"])


def test_a_share_that_is_not_known_is_not_told(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        texts, labels = questions(400, 0)
        known = [i for i, label in enumerate(labels) if label is not None]
        calibration = index.calibrate([texts[i] for i in known], [labels[i] for i in known])
        assert (calibration.share.source, calibration.share.value) == ("unknown", None)
        result = index.search(QUESTION, target_precision=0.7)
        assert result.unanswerable_share is None
        assert "have no answer" not in result.reason
        assert "as many queries have no answer as of the judged ones" in calibration.threshold(0.7).reason
        assert index.info().calibration.share == calibration.share


def test_a_reason_says_of_how_many_hits_one_is_right(encoder, rows, questions):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(300, 0), relevant_within=3)
        assert (
            "a precision of 70.0% of one of the first 3 hits takes"
            in index.search(QUESTION, target_precision=0.7).reason
        )
