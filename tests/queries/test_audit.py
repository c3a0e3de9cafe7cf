"""Judging on the way: answers drawn from the log, what they prove, and a promise that is broken."""

import asyncio
import math
import shutil
import threading
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, IndexSettings
from fg_search.confidence.precision_audit import PrecisionAudit
from fg_search.errors import DecisionConflictError, ItemNotFoundError, NotCalibratedError, NothingLoggedError
from fg_search.queries import audit

TARGET = {"target_precision": 0.8}


@pytest.fixture(scope="module")
def asked_about(questions):
    """Queries of a traffic, with the labels of their answers."""
    texts, labels = questions(120, 8)
    return {"my card blocked pin": "card", **dict(zip(texts, labels, strict=True))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, encoder, corpus, questions, asked_about):
    """Folder of a calibrated index with a log of all queries, of which the first was asked 20 times."""
    folder = tmp_path_factory.mktemp("audited") / "index"
    texts, labels = corpus
    with ConfidenceIndex(folder, encoder) as index:
        index.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
        index.calibrate(*questions(400, 3))
        asked = list(asked_about)
        index.search_many([*asked, *asked[:1] * 19], log="all")
    return folder


@pytest.fixture
def logged(folder, tmp_path, encoder):
    """A copy of that index, to judge in."""
    shutil.copytree(folder, tmp_path / "index")
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        yield index


def truth(asked_about):
    return lambda answer: "right" if asked_about[answer.query] == answer.label else "wrong"


def judge(index, count, verdict, **options):
    """Judge as many answers as that, and return the audit and what was judged."""
    found, judged = index.audit(**TARGET, **options), []
    for _ in range(count):
        (answer,) = found.following
        judged.append(answer)
        found = index.judge_answer(answer, verdict(answer), **TARGET, **options)
    return found, judged


def test_answers_are_those_of_the_log_that_reach_the_threshold(logged):
    found = logged.audit(**TARGET, limit=1000)
    threshold = logged.calibration.threshold(0.8).threshold
    known = {query.id: query for query in logged.logged_queries(limit=1000, only_open=False)}
    expected = {query.id for query in known.values() if query.confidence >= threshold}
    assert {answer.query_id for answer in found.following} == expected
    assert 0 < len(expected) < len(known)
    assert (found.answers, found.asked) == (len(expected), sum(known[one].count for one in expected))
    for answer in found.following:
        assert (answer.item, answer.label) == (known[answer.query_id].nearest.id, known[answer.query_id].nearest.label)
        assert answer.text
    assert (found.is_proved, found.is_refuted) == (False, False)
    assert "no answer was judged yet" in str(found)


def test_each_comes_once_in_an_order_of_its_own_for_every_seed(logged):
    first = [answer.query_id for answer in logged.audit(**TARGET, limit=1000).following]
    assert [answer.query_id for answer in logged.audit(**TARGET, limit=1000).following] == first
    assert len(set(first)) == len(first)
    other = [answer.query_id for answer in logged.audit(**TARGET, limit=1000, seed=1).following]
    assert other != first
    assert sorted(other) == sorted(first)


def test_what_is_asked_often_comes_early(logged):
    places = []
    for seed in range(15):
        following = logged.audit(**TARGET, limit=1000, seed=seed).following
        places.append(next(i for i, answer in enumerate(following) if answer.count == 20))
    assert sum(place < 10 for place in places) >= 12  # by chance alone it would be 2


def test_bounds_are_those_of_the_judged_answers_by_their_weight(logged, asked_about):
    found, judged = judge(logged, 12, truth(asked_about))
    expected = PrecisionAudit(total=found.asked)
    for answer in judged:
        expected.add(asked_about[answer.query] == answer.label, answer.count)
    assert found.bounds == expected.bounds
    assert found.bounds.judged == 12
    assert logged.audit(**TARGET).bounds == found.bounds
    assert "of 12 judged answers are right" in str(found)
    assert found.latest.query_id == judged[-1].query_id


def test_a_judgement_says_who_when_and_of_which_answer(logged):
    (answer,) = logged.audit(**TARGET).following
    logged.judge_answer(answer, "wrong", reviewer="Ada", **TARGET)
    entry = next(one for one in logged.logged_queries(limit=500, only_open=False) if one.id == answer.query_id)
    noted = entry.judgement
    assert (noted.verdict, noted.item, noted.label, noted.reviewer) == ("wrong", answer.item, answer.label, "Ada")
    assert (noted.target, noted.threshold) == (0.8, logged.calibration.threshold(0.8).threshold)
    assert noted.time >= entry.last
    logged.search(answer.query, log="all")  # asked again, with the same answer
    assert logged.audit(**TARGET).bounds.judged == 1


def test_enough_right_answers_prove_the_promise_and_a_higher_one_reuses_them(logged):
    found, _ = judge(logged, 25, lambda _: "right")
    assert found.is_proved
    assert "80.0% is proved" in str(found)
    higher = logged.audit(target_precision=0.85)
    assert 0 < higher.bounds.judged <= 25
    assert higher.bounds.right == higher.bounds.judged


def test_once_all_is_judged_the_precision_is_known(logged, asked_about):
    found = logged.audit(**TARGET)
    while found.following:
        found = logged.judge_answer(found.following[0], "right", **TARGET)
    assert found.bounds.lower == pytest.approx(1, abs=1e-5)
    assert found.bounds.judged == found.answers


def test_skipped_answers_are_left_out(logged):
    found, (answer, *_) = judge(logged, 3, lambda _: "skip")
    assert (found.skipped, found.bounds.judged) == (3, 0)
    assert answer.query_id not in {one.query_id for one in logged.audit(**TARGET, limit=1000).following}
    assert "3 answers were skipped" in str(found)


def test_a_judgement_counts_no_more_once_the_answer_is_another(logged):
    _, (first, second, third, _) = judge(logged, 4, lambda _: "right")
    logged.relabel({first.item: "renamed"})
    gone = next(answer.item for answer in (second, third) if answer.item != first.item)
    logged.delete([gone])
    found = logged.audit(**TARGET, limit=1000)
    assert found.outdated >= 2
    assert f"{found.outdated} judgements do not count any more" in str(found)
    again = next(answer for answer in found.following if answer.query_id == first.query_id)
    assert (again.label, again.judgement.label) == ("renamed", first.label)
    assert gone not in {answer.item for answer in found.following}
    assert found.bounds.judged + found.waiting + found.outdated == 4


def test_a_query_that_comes_later_but_was_drawn_earlier_is_judged_before_the_others_count(logged):
    found, judged = judge(logged, 10, lambda _: "right")
    late = judged[3]
    logged.judge_answer(found.latest if found.latest.query_id == late.query_id else _again(logged, late), "reopen")
    found = logged.audit(**TARGET)
    assert (found.bounds.judged, found.waiting) == (3, 6)
    assert found.following[0].query_id == late.query_id
    assert "6 judgements count once" in str(found)
    assert logged.judge_answer(found.following[0], "right", **TARGET).bounds.judged == 10


def _again(index, answer):
    """The answer as it is known after it was judged once."""
    return replace(answer, turn=answer.turn + 1)


def test_a_broken_promise_raises_the_threshold_and_says_so(logged):
    before = logged.calibration.threshold(0.8)
    confidences = sorted(answer.confidence for answer in logged.audit(**TARGET, limit=1000).following)
    middle = confidences[len(confidences) // 2]
    found, count = logged.audit(**TARGET), 0
    while not found.was_raised:
        (answer,) = found.following
        found = logged.judge_answer(answer, "right" if answer.confidence >= middle else "wrong", **TARGET)
        count += 1
    assert count >= 20  # so many it takes to choose another threshold
    after = logged.calibration.threshold(0.8)
    assert after.threshold > before.threshold
    assert found.threshold == after
    assert after.coverage < before.coverage
    assert "the promise was broken, and the threshold is higher now" in str(found)
    assert "judged answers were right" in after.reason
    assert not found.is_refuted
    (audited,) = logged.calibration.audited
    assert (audited.target, audited.threshold) == (0.8, after.threshold)
    entry = logged.history()[-1]
    assert (entry.action, entry.queries) == ("raise", audited.judged)
    assert next(kept.threshold for kept in entry.precisions if kept.target == 0.8) == after.threshold
    # searches for this precision and for higher ones follow, those for lower ones do not
    assert logged.calibration.threshold(0.85).threshold >= after.threshold
    assert logged.calibration.threshold(0.5).threshold < after.threshold
    lost = next(
        q
        for q in logged.logged_queries(limit=500, only_open=False)
        if before.threshold <= q.confidence < after.threshold
    )
    assert logged.search(lost.text, **TARGET, on_uncertain="abstain").decision == "abstain"


def test_a_new_calibration_starts_anew_even_on_the_same_queries(logged, questions):
    while not logged.calibration.audited:
        logged.judge_answer(logged.audit(**TARGET).following[0], "wrong", **TARGET)
    assert logged.calibration.threshold(0.8).threshold is None
    assert "no threshold agrees with them" in str(logged.audit(**TARGET))
    assert logged.search("my card blocked", **TARGET).uncertain
    logged.calibrate(*questions(400, 3))
    assert logged.calibration.audited == ()
    assert logged.calibration.threshold(0.8)


def test_taking_a_judgement_back_takes_back_what_it_raised(logged):
    found = logged.audit(**TARGET)
    while not found.was_raised:
        found = logged.judge_answer(found.following[0], "wrong", **TARGET)
    found = logged.judge_answer(found.latest, "reopen", **TARGET)
    assert not found.was_raised
    assert logged.calibration.audited == ()
    assert found.following
    assert found.bounds.right == 0


def test_a_raised_threshold_is_kept_with_the_index_and_goes_along(logged, tmp_path):
    while not logged.calibration.audited:
        logged.judge_answer(logged.audit(**TARGET).following[0], "wrong", **TARGET)
    audited = logged.calibration.audited
    logged.copy_to(tmp_path / "copy")
    logged.close()
    for name in ("index", "copy"):
        with ConfidenceIndex(tmp_path / name) as again:
            assert again.calibration.audited == audited
            assert again.audit(**TARGET).threshold.threshold is None


def test_of_two_judges_one_is_told(logged):
    (answer,) = logged.audit(**TARGET).following
    logged.judge_answer(answer, "right", reviewer="Ada", **TARGET)
    with pytest.raises(DecisionConflictError, match="somebody else has judged it; nothing was noted"):
        logged.judge_answer(answer, "wrong", reviewer="Bob", **TARGET)
    assert [one.judgement.reviewer for one in logged.judged_answers()] == ["Ada"]


def test_judges_at_the_same_time_overwrite_nothing(logged):
    shown = logged.audit(**TARGET, limit=8).following
    noted = {"Ada": [], "Bob": []}

    def work(judge):
        for answer in shown:
            try:
                logged.judge_answer(answer, "right", reviewer=judge, **TARGET)
                noted[judge].append(answer.query_id)
            except DecisionConflictError:
                pass

    threads = [threading.Thread(target=work, args=(judge,)) for judge in noted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(noted["Ada"] + noted["Bob"]) == sorted(answer.query_id for answer in shown)
    for answer in logged.judged_answers():
        assert answer.query_id in noted[answer.judgement.reviewer]


def test_judgements_and_decisions_about_a_query_do_not_disturb_each_other(logged):
    (answer,) = logged.audit(**TARGET).following
    logged.decide_queries([answer.query_id], "dismiss")
    logged.judge_answer(answer, "right", **TARGET)
    (entry,) = logged.decide_queries([answer.query_id], "reopen")
    assert (entry.resolution, entry.judgement.verdict) == (None, "right")
    assert logged.audit(**TARGET).bounds.judged == 1


def test_what_was_made_an_item_is_not_answered_as_it_was(logged):
    (answer,) = logged.audit(**TARGET).following
    logged.judge_answer(answer, "right", **TARGET)
    logged.decide_queries([answer.query_id], "add", "card")
    found = logged.audit(**TARGET)
    assert (found.bounds.judged, found.outdated) == (0, 1)


def test_a_share_that_is_followed_changes_nothing_about_what_was_judged(logged):
    while not logged.calibration.audited:
        logged.judge_answer(logged.audit(**TARGET).following[0], "wrong", **TARGET)
    audited = logged.calibration.audited
    logged.adapt(expected_unanswerable=0.3)
    assert logged.calibration.audited == audited
    assert logged.audit(**TARGET).outdated == 0
    assert logged.calibration.threshold(0.8).threshold is None


def test_an_answer_that_has_changed_since_it_was_shown_is_not_judged(logged):
    (answer,) = logged.audit(**TARGET).following
    logged.relabel({answer.item: "renamed"})
    with pytest.raises(DecisionConflictError, match="has changed since it was shown"):
        logged.judge_answer(answer, "right", **TARGET)
    logged.delete([answer.item])
    with pytest.raises(DecisionConflictError):
        logged.judge_answer(answer, "right", **TARGET)
    logged.forget_queries([answer.query_id])
    with pytest.raises(ItemNotFoundError, match="nothing was noted"):
        logged.judge_answer(answer, "right", **TARGET)
    assert logged.judged_answers() == []


def test_no_threshold_is_raised_for_a_calibration_that_was_replaced(encoder, rows, questions, asked_about, monkeypatch):
    client = QdrantClient(":memory:")
    with ConfidenceIndex(client, encoder) as ours, ConfidenceIndex(client, encoder) as theirs:
        ours.add(**rows)
        ours.calibrate(*questions(400, 3))
        ours.search_many(list(asked_about), log="all")
        found = ours.audit(**TARGET)
        for _ in range(19):
            found = ours.judge_answer(found.following[0], "wrong", **TARGET)
        assert found.is_refuted
        assert "refuted, and a higher threshold is chosen from 20 judged answers on" in str(found)
        note = audit.note_judgement

        async def note_late(*given):
            theirs.calibrate(*questions(400, 4))
            return await note(*given)

        monkeypatch.setattr(audit, "note_judgement", note_late)
        with pytest.raises(NotCalibratedError, match="the judgement is noted"):
            ours.judge_answer(found.following[0], "wrong", **TARGET)
        assert len(ours.judged_answers()) == 20
        with pytest.raises(DecisionConflictError, match="was calibrated again since"):
            ours.judge_answer(replace(found.following[0], turn=1), "right", **TARGET)
        assert len(ours.judged_answers()) == 20
    with ConfidenceIndex(client, encoder) as again:
        assert again.calibration.audited == ()
        assert again.calibration.key == theirs.calibration.key
    client.close()


@pytest.mark.parametrize("share", [0.02, 0.8])
def test_answers_are_those_for_the_share_that_is_followed_now(logged, asked_about, share):
    logged.adapt(expected_unanswerable=share)
    results = logged.search_many(list(asked_about), target_precision=0.8)
    answered = {result.query for result in results if not result.uncertain}
    found = logged.audit(**TARGET, limit=1000)
    assert {answer.query for answer in found.following} == answered
    of_query = {result.query: result.confidence for result in results}
    assert all(answer.confidence == pytest.approx(of_query[answer.query]) for answer in found.following)


def test_a_raised_threshold_is_one_for_the_share_that_is_followed_now(logged, asked_about):
    before = logged.calibration.threshold(0.8).threshold
    judge(logged, 25, lambda answer: "right" if answer.confidence > (1 + before) / 2 else "wrong")
    raised = logged.calibration.threshold(0.8).threshold
    assert raised > before
    rarer = logged.adapt(expected_unanswerable=0.02)
    assert rarer.promise.threshold(0.8).threshold < rarer.threshold(0.8).threshold
    often = logged.adapt(expected_unanswerable=0.5)
    calibrated, lifted = often.promise.threshold(0.8).threshold, often.threshold(0.8).threshold
    assert log_odds(lifted) - log_odds(calibrated) == pytest.approx(log_odds(raised) - log_odds(before))
    assert log_odds(lifted) > log_odds(calibrated)
    results = logged.search_many(list(asked_about), target_precision=0.8)
    assert {result.threshold for result in results} == {lifted}
    assert logged.audit(**TARGET).threshold.threshold == lifted
    assert logged.audit(**TARGET, limit=1000).answers == sum(not result.uncertain for result in results)


def log_odds(probability):
    return math.log(probability / (1 - probability))


def test_judged_answers_are_listed_the_latest_first(logged, asked_about):
    verdicts = iter(["right", "wrong", "skip", "right"])
    _, judged = judge(logged, 4, lambda _: next(verdicts))
    listed = logged.judged_answers()
    assert {one.query_id: one.judgement.verdict for one in listed} == {
        judged[0].query_id: "right",
        judged[1].query_id: "wrong",
        judged[3].query_id: "right",
    }
    assert listed == sorted(listed, key=lambda one: one.judgement.time, reverse=True)


def test_without_a_calibration_or_a_log_there_is_nothing_to_audit(local, rows, questions):
    local.add(**rows)
    with pytest.raises(NotCalibratedError, match="promises nothing that could be audited"):
        local.audit()
    local.search("my card blocked", log="all")
    local.calibrate(*questions(400, 3))
    with pytest.raises(NothingLoggedError, match="no answer of its present calibration"):
        local.audit()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_precision": 1}, "target_precision must be greater than 0 and less than 1"),
        ({"target_precision": None}, "target_precision must be"),
        ({"limit": -1}, "limit"),
    ],
)
def test_numbers_out_of_range_are_refused(in_memory, arguments, message):
    with pytest.raises(ValueError, match=message):
        in_memory.audit(**arguments)


def test_an_unknown_verdict_is_refused(logged):
    (answer,) = logged.audit(**TARGET).following
    with pytest.raises(ValueError, match="action must be one of 'right', 'wrong', 'skip', 'reopen', got 'good'"):
        logged.judge_answer(answer, "good", **TARGET)
    with pytest.raises(ValueError, match="reviewer is empty"):
        logged.judge_answer(answer, "right", reviewer=" ", **TARGET)
    assert logged.judged_answers() == []


def test_tenants_judge_their_own_answers(tmp_path, encoder, rows, questions, asked_about):
    settings = IndexSettings(tenant_key="owner")
    with ConfidenceIndex(tmp_path / "i", encoder, settings=settings) as index:
        ours, theirs = index.tenant("ours"), index.tenant("theirs")
        for tenant in (ours, theirs):
            tenant.add(rows["texts"], ids=rows["ids"], labels=rows["labels"])
        ours.calibrate(*questions(400, 3))
        ours.search_many(list(asked_about)[:60], log="all")
        theirs.search_many(list(asked_about)[60:], log="all")
        (answer,) = ours.audit(**TARGET).following
        with pytest.raises(ItemNotFoundError):
            theirs.judge_answer(answer, "right", **TARGET)
        assert ours.judge_answer(answer, "right", **TARGET).bounds.judged == 1
        assert theirs.audit(**TARGET).bounds.judged == 0
        known = {one.query_id for one in ours.audit(**TARGET, limit=1000).following}
        assert known.isdisjoint(one.query_id for one in theirs.audit(**TARGET, limit=1000).following)


def test_the_same_as_coroutines(encoder, rows, questions):
    async def work():
        async with AsyncConfidenceIndex(":memory:", encoder) as index:
            await index.add(**rows)
            await index.calibrate(*questions(400, 3))
            await index.search_many(questions(40, 8)[0], log="all")
            (answer,) = (await index.audit(**TARGET)).following
            found = await index.judge_answer(answer, "right", **TARGET)
            return found, await index.judged_answers()

    found, judged = asyncio.run(work())
    assert (found.bounds.judged, len(judged)) == (1, 1)


def test_what_one_tenants_answers_have_shown_raises_no_other_tenants_threshold(tmp_path, encoder, rows, questions):
    with ConfidenceIndex(tmp_path / "index", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        north, south = index.tenant("north"), index.tenant("south")
        for view in (north, south):
            view.add(**rows)
        texts, labels = questions(300, 3)
        index.calibrate(texts, labels, tenants=["north"] * 300)
        asked = questions(60, 8)[0]
        for view in (north, south):
            view.search_many(asked, log="all")
        judge(north, 20, lambda _: "wrong")
        before = index.calibration.threshold(0.8).threshold
        assert index.calibration.threshold(0.8, tenant="south").threshold == before
        assert index.calibration.threshold(0.8, tenant="north").threshold != before
        answered = {
            view: sum(not result.uncertain for result in view.search_many(asked, **TARGET)) for view in (north, south)
        }
        assert answered[north] < answered[south]
        assert north.audit(**TARGET, limit=100).answers == answered[north]
        assert south.audit(**TARGET, limit=100).answers == answered[south]
