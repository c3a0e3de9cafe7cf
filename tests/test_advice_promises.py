"""Advice about promises: what a calibration needs before it can promise a precision or follow the traffic."""

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
from advising import Advice

from fg_search import Calibrator, ConfidenceIndex, IndexSettings, PrecisionGate
from fg_search.confidence.promise import PrecisionPromise
from fg_search.errors import FormatVersionError, NotCalibratedError, NotFittedError


def _judged(count, unanswerable, seed=0):
    rng = np.random.default_rng(seed)
    answerable = rng.uniform(size=count) >= unanswerable
    known = rng.normal(np.where(answerable, 2.0, -1.0))
    return {"known": known}, answerable & (rng.uniform(size=count) < 0.9), answerable


@pytest.fixture
def index(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "index", encoder) as new:
        new.add(**rows)
        new.calibrate(*questions(300, 0))
        yield new


def test_more_of_the_judged_queries_have_no_answer():
    advice = Advice(
        "fewer than … of the judged queries have no answer, so that it is not known what such queries look like; "
        "calibrate on queries that include more of them"
    )
    with advice.raised():
        PrecisionPromise.learn(*_judged(200, 0.01)).adapted(expected_unanswerable=0.2)
    assert PrecisionPromise.learn(*_judged(200, 0.2)).adapted(expected_unanswerable=0.2).share.value == 0.2


def test_the_share_is_estimated_from_enough_queries_or_stated():
    advice = Advice(
        "… different queries are too few to estimate the share of those without an answer; give at least …, or state "
        "it: expected_unanswerable=0.2"
    )
    promise = PrecisionPromise.learn(*_judged(200, 0.2))
    with advice.raised():
        promise.adapted(_judged(29, 0.2)[0])
    assert promise.adapted(_judged(30, 0.2)[0]).share.queries == 30
    assert promise.adapted(expected_unanswerable=0.2).share.queries == 0


def test_a_precision_that_cannot_be_promised_is_asked_for_lower_or_calibrated_on_more():
    advice = Advice(
        "no threshold reaches a precision of … with a certainty of … by these … queries, if …; the most that they can "
        "promise is …: ask for less, or calibrate on more queries, with more that have no answer"
    )
    few = PrecisionPromise.learn(*_judged(150, 0.1)).adapted(expected_unanswerable=0.6)
    found = few.threshold(0.85)
    assert advice.is_in(found.reason)
    assert few.threshold(float(found.reason.split("promise is ")[1].split("%")[0]) / 100)
    assert PrecisionPromise.learn(*_judged(3000, 0.3)).adapted(expected_unanswerable=0.6).threshold(0.85)


def test_a_promise_of_a_newer_release_is_read_by_a_release_that_knows_its_format():
    stored = PrecisionPromise.learn(*_judged(100, 0.2)).to_dict()
    with Advice("the promise has format …, this release reads up to …; upgrade fg_search").raised(FormatVersionError):
        PrecisionPromise.from_dict({**stored, "format": 99})
    assert PrecisionPromise.from_dict(stored).queries == 100


def test_a_gate_is_fitted_before_it_decides():
    gate, scores, relevant = PrecisionGate(), np.linspace(1, 0, 100), np.arange(100) < 70
    with Advice("this gate was not fitted; call fit(scores, relevant) with judged results").raised(NotFittedError):
        gate.decide(scores, 0.8)
    assert gate.fit(scores, relevant).decide(scores, 0.8).answer.any()


def test_queries_without_a_result_are_left_out_of_a_gate():
    scores, relevant = np.linspace(1, 0, 100), np.arange(100) < 70
    scores[50] = np.nan
    with Advice("scores[…] has no result; leave such queries out: abstain").raised():
        PrecisionGate().fit(scores, relevant)
    assert PrecisionGate().fit(np.delete(scores, 50), np.delete(relevant, 50)).threshold(0.8)


def test_evidence_of_a_gate_has_names_of_its_own():
    features, correct, answerable = _judged(200, 0.2)
    scores, options = features["known"], {"answerable": answerable}
    advice = Advice("evidence[…] has the name of a number that scores have themselves; rename it")
    with advice.raised(ValueError):
        PrecisionGate().fit(scores, correct, evidence={"score": scores}, **options)
    assert PrecisionGate().fit(scores, correct, evidence={"known": scores}, **options).threshold(0.7)


def test_what_follows_the_traffic_was_calibrated_once(index, encoder, rows, questions):
    advice = Advice(
        "… has no calibration that could follow the traffic; calibrate it once on judged queries: "
        "index.calibrate(held_out_queries, relevant=labels_or_ids) or `fg-search calibrate`"
    )
    with ConfidenceIndex(":memory:", encoder) as new:
        new.add(**rows)
        with advice.raised(NotCalibratedError):
            new.adapt(expected_unanswerable=0.2)
        new.calibrate(*questions(300, 0))
        assert new.adapt(expected_unanswerable=0.2).share.value == 0.2


def test_queries_are_compared_with_enough_that_were_judged():
    few = Advice("… different queries are too few to compare with those judged; give at least …")
    earlier = Advice(
        "an earlier release calibrated, and kept nothing of the judged queries to compare others with; calibrate again"
    )
    items = Advice(
        "the index was calibrated on its own items, which users' queries differ from in any case; calibrate on judged "
        "queries"
    )
    promise = PrecisionPromise.learn(*_judged(300, 0.2))
    with few.raised():
        promise.shift(_judged(29, 0.2)[0])
    with earlier.raised():
        replace(promise, judged_features=None).shift(_judged(30, 0.2)[0])
    with items.raised():
        PrecisionPromise.learn(*_judged(300, 0.2), pretended=True).shift(_judged(30, 0.2)[0])
    assert promise.shift(_judged(30, 0.2, seed=3)[0]).holds


def test_queries_of_another_kind_are_calibrated_on():
    advice = Advice(
        "the promise no longer holds, since queries are … than those judged…: … of them are where … were to be "
        "expected (…); calibrate again on queries of today"
    )
    other = {"known": np.random.default_rng(5).uniform(-0.5, 0.5, size=400)}
    found = PrecisionPromise.learn(*_judged(300, 0.2)).shift(other)
    assert advice.is_in(found.reason)
    again = PrecisionPromise.learn(other, other["known"] > -0.3, other["known"] > -0.4)
    assert again.shift({"known": np.random.default_rng(6).uniform(-0.5, 0.5, size=400)}).holds


def test_queries_that_are_given_are_not_chosen_by_their_time(index, questions):
    texts = questions(40, 3)[0]
    with Advice("since chooses queries from the log; leave it out where queries are given").raised():
        index.adapt(texts, since=datetime.now(timezone.utc))
    assert index.adapt(texts).share.queries == 40


def test_the_log_is_no_sample_of_the_traffic_unless_all_queries_are_logged(index, questions):
    texts = questions(40, 3)[0]
    with pytest.raises(ValueError, match=r"log all .*, give queries, or state the share"):
        index.adapt()
    assert index.adapt(expected_unanswerable=0.2).share.source == "stated"
    assert index.adapt(texts).share.queries == 40
    index.log_queries("all")
    index.search_many(texts)
    assert index.adapt().share.queries == 40


def test_what_is_promised_by_label_is_calibrated_so(index, questions):
    advice = Advice("nothing is promised by label or tenant; calibrate with promise_by='label' or 'tenant'")
    with advice.raised():
        index.calibration.groups(0.8)
    assert index.calibrate(*questions(300, 0), promise_by="label").groups(0.8)


def test_items_taken_for_queries_promise_nothing_by_label(index, questions):
    with Advice("items taken for queries promise nothing to single labels or tenants; give queries").raised():
        index.calibrate(promise_by="label")
    assert index.calibrate(*questions(300, 0), promise_by="label").promise_by == "label"


def test_a_promise_by_tenant_takes_the_tenant_of_each_query(tmp_path, encoder, rows, questions):
    texts, labels = questions(200, 0)
    with ConfidenceIndex(tmp_path / "index", encoder, settings=IndexSettings(tenant_key="owner")) as index:
        index.tenant("one").add(**rows)
        with Advice("promise_by='tenant' takes the tenant of each query; give tenants=[…]").raised():
            index.calibrate(texts, labels, promise_by="tenant")
        few = Advice("tenants has … items, relevant …, queries …; give one of each for each query")
        with few.raised():
            index.calibrate(texts, labels, promise_by="tenant", tenants=["one"])
        chosen = Advice("the tenant … was chosen already; give tenants to the index of all")
        with chosen.raised():
            index.tenant("one").calibrate(texts, labels, promise_by="tenant", tenants=["one"] * 200)
        calibration = index.calibrate(texts, labels, promise_by="tenant", tenants=["one"] * 200)
        assert [row.group for row in calibration.groups(0.8)] == ["one"]


def test_a_calibration_of_an_earlier_release_is_made_again_to_follow():
    advice = Advice(
        "an earlier release calibrated, and did not keep which of the judged queries have no answer; calibrate again"
    )
    features, correct, answerable = _judged(200, 0.2)
    earlier = PrecisionPromise.of_calibrator(Calibrator().fit(features, correct), np.full(200, 0.5), correct)
    with advice.raised():
        earlier.adapted(expected_unanswerable=0.2)
    assert PrecisionPromise.learn(features, correct, answerable).adapted(expected_unanswerable=0.2)


def test_queries_that_are_all_alike_are_given_once_beside_others():
    advice = Advice(
        "the … queries are all alike, which tells nothing of a share; give different ones, each once, and how often it "
        "was asked in counts"
    )
    rows = np.arange(200)
    gate = PrecisionGate().fit(np.linspace(0, 1, 200), (rows % 3 > 0) & (rows % 5 > 0), answerable=rows % 5 > 0)
    with advice.raised():
        gate.adapt(np.full(40, 0.5))
    counts = np.r_[40, np.ones(39)]
    assert gate.adapt(np.linspace(0, 1, 40), counts=counts).promise.share.queries == 79


def test_the_traffic_is_given_or_taken_from_the_log(index, questions):
    empty = Advice("queries is empty; give some hundreds, or leave it out to take those of the log")
    by_tenant = Advice("the log knows the tenants of its queries; leave tenants out, or give queries")
    texts = questions(60, 9)[0]
    index.search_many(texts, log="all")
    with empty.raised():
        index.adapt([])
    with by_tenant.raised():
        index.adapt(tenants=["north"])
    assert index.adapt(texts).share.queries == index.adapt().share.queries == 60


def test_queries_of_an_index_with_tenants_are_given_with_theirs(tmp_path, encoder, rows, questions):
    unnamed = Advice("… has tenants; say of which each query is: tenants=[…]")
    too_few = Advice("tenants has … items, queries …; give one for each query")
    with ConfidenceIndex(tmp_path / "index", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        index.tenant("north").add(**rows)
        texts, labels = questions(300, 0)
        of_each = ["north"] * 300
        index.calibrate(texts, labels, tenants=of_each)
        with unnamed.raised():
            index.adapt(texts)
        with too_few.raised():
            index.adapt(texts, tenants=of_each[:1])
        assert index.adapt(texts, tenants=of_each).share.queries == 300
