"""The view Audit: answers are judged one by one, and the page says what that proves."""

import re

import pytest


@pytest.fixture
def audited(calibrated, questions):
    """A calibrated index with a log of all queries."""
    calibrated.search_many(questions(80, 8)[0], log="all")
    return calibrated


def judged_on(page):
    return int(re.search(r'<b id="judged">(\d+)</b>', page.text)[1])


def test_answers_are_judged_and_taken_back(browse, audited):
    client = browse(audited, reviewer="Ada")
    page = client.get("/audit?target=0.8")
    (first,) = audited.audit(target_precision=0.8).following
    assert first.query in page.text
    assert first.text in page.text
    assert judged_on(page) == 0
    response = client.submit("/audit?target=0.8", "/audit/judge", action="right")
    assert response.status_code == 303
    page = client.get(response.headers["location"])
    assert judged_on(page) == 1
    assert "is answered rightly" in page.text
    assert first.query_id not in re.findall(r'name="query_id" value="([^"]*)"', page.text)[1:]
    assert audited.judged_answers()[0].judgement.reviewer == "Ada"
    client.submit("/audit?target=0.8", "/audit/judge", action="reopen")
    assert judged_on(client.get("/audit?target=0.8")) == 0


def test_a_broken_promise_is_told(browse, audited):
    client = browse(audited)
    confidences = sorted(one.confidence for one in audited.audit(target_precision=0.8, limit=1000).following)
    middle = confidences[len(confidences) // 2]
    before = audited.calibration.threshold(0.8).threshold
    location = ""
    for _ in range(60):
        (answer,) = audited.audit(target_precision=0.8).following
        verdict = "right" if answer.confidence >= middle else "wrong"
        location = client.submit("/audit?target=0.8", "/audit/judge", -1, action=verdict).headers["location"]
        if "raised" in location:
            break
    assert "raised=1" in location
    assert "The promise was broken" in client.get(location).text
    assert audited.calibration.threshold(0.8).threshold > before


def test_what_has_changed_since_it_was_shown_is_not_judged(browse, audited):
    client = browse(audited)
    (answer,) = audited.audit(target_precision=0.8).following
    audited.judge_answer(answer, "right", target_precision=0.8)
    fields = {"query_id": answer.query_id, "turn": "0", "action": "wrong"}
    response = client.submit("/audit?target=0.8", "/audit/judge", -1, **fields)
    assert response.status_code == 409
    assert "Nothing was noted" in response.text
    assert [one.judgement.verdict for one in audited.judged_answers()] == ["right"]


def test_bad_judgements_are_refused(browse, audited):
    client = browse(audited)
    for fields, status in (
        ({"action": "good"}, 422),
        ({"action": "right", "item": "{"}, 422),
        ({"action": "right", "turn": "-1"}, 422),
        ({"action": "right", "target": "2"}, 422),
        ({"action": "right", "query_id": "nobody"}, 404),
        ({"action": "right", "csrf": "forged"}, 403),
    ):
        assert client.submit("/audit?target=0.8", "/audit/judge", **fields).status_code == status, fields
    assert audited.judged_answers() == []


def test_what_is_missing_is_said(browse, served, questions):
    client = browse(served)
    assert "has no calibration" in client.get("/audit").text
    served.calibrate(*questions(600, 3))
    page = client.get("/audit").text
    assert "Nothing to judge yet" in page
    assert "fg-search serve --log-all" in page
    for odd in ("x", "1", "0", "nan"):
        assert client.get("/audit", params={"target": odd}).status_code == 422


def test_hostile_answers_are_text(browse, hostile, questions):
    hostile.calibrate(*questions(600, 3))
    hostile.search("<script>alert(1)</script> card blocked", log="all")
    page = browse(hostile).get("/audit", params={"target": "0.1"}).text
    assert "<script>alert" not in page
    assert "onerror=" not in page.replace("&lt;img src=x onerror=", "")
