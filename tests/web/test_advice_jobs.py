"""Jobs from the page (calibrate, evaluate, score, refit), and what it advises about them."""

import gzip
import json
import re
import shutil
import threading
import time

import pytest
from advising import Advice
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Host, Mount

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import FgSearchError
from fg_search.web import jobs, judged_queries, security
from fg_search.web.app import create_app

JUDGED = "/health/jobs/judged"


def ended(client):
    """The latest job, once it has ended."""
    while (job := client.get("/api/jobs").json()[0])["state"] == "running":
        time.sleep(0.005)
    return job


def lines(queries, right):
    return "".join(json.dumps({"text": q, "label": r}) + "\n" for q, r in zip(queries, right, strict=True)).encode()


def upload(client, content, name="judged.jsonl", **fields):
    """Send the form with a file, as a browser does."""
    csrf = re.search(r'name="csrf" value="([^"]*)"', client.get("/health").text)[1]
    data = {"csrf": csrf, "kind": "calibrate", "text": "text", "relevant": "label", "out_of_scope": "", **fields}
    return client.post(JUDGED, data=data, files={"files": (name, content)}, follow_redirects=False)


def test_uploaded_queries_calibrate_and_evaluate_and_the_history_compares_both(browse, served, questions):
    client = browse(served, reviewer="Ada")
    sent = upload(client, lines(*questions(200, 3)))
    assert (sent.status_code, sent.headers["location"]) == (303, "/health#jobs")
    job = ended(client)
    assert (job["state"], job["kind"], job["reviewer"]) == ("done", "calibrate", "Ada")
    assert served.calibration.queries in (199, 200)
    page = client.get("/health").text
    assert "Calibration on judged queries</b> is done" in page
    assert "Does the chance come true?" in page
    assert upload(client, lines(*questions(60, 5)), kind="evaluate").status_code == 303
    assert "The first hit is right" in ended(client)["said"][0]
    first, second = served.history()
    assert [first.action, second.action] == ["calibrate", "evaluate"]
    assert [one["id"] for one in client.get("/api/history").json()] == [first.id, second.id]
    page = client.get("/health/history", params={"first": first.id, "second": second.id}).text
    row = re.search(r"AUROC</th>(.*?)</tr>", page.split("Side by side")[1])[1]
    assert re.findall(r">([-+.\d]+)<", row) == [
        f"{first.auroc:.3f}",
        f"{second.auroc:.3f}",
        f"{second.auroc - first.auroc:+.3f}",
    ]
    assert client.get("/health/history", params={"first": "nobody", "second": second.id}).status_code == 404


def test_what_is_wrong_with_a_file_names_its_line(browse, served, questions):
    client = browse(served)
    sent = upload(client, b'{"text": "a"}\n')
    assert sent.status_code == 422
    assert "judged.jsonl:1: no column &#39;label&#39;" in sent.text
    assert "choose a file" in upload(client, b"").text
    assert "judged.xyz" in upload(client, b"a", name="/etc/judged.xyz").text
    good = lines(*questions(200, 3))
    assert upload(client, b"{nonsense\n" + good, name="C:\\mine\\judged.jsonl").status_code == 303
    job = ended(client)
    assert job["state"] == "done"
    assert re.match(r"Left out: judged.jsonl:1: ", job["said"][-1])
    few = upload(client, lines(["my card"], ["card"]))
    assert few.status_code == 303
    job = ended(client)
    assert job["state"] == "failed"
    assert job["said"][0] in client.get("/health").text.replace("&#39;", "'")


def test_a_small_file_that_holds_much_is_not_read_to_its_end(browse, common, monkeypatch):
    client = browse(common)
    monkeypatch.setattr(judged_queries, "MOST_JUDGED", 2)
    for rows in (['{"text": "a", "label": "b"}'] * 3, ['{"text": "a", "label": "b"}', *"{{"]):
        sent = upload(client, gzip.compress("\n".join(rows).encode()), name="judged.jsonl.gz")
        assert sent.status_code == 422
    assert "judged queries: there are more than the 2 rows that are taken" in sent.text
    monkeypatch.setattr(judged_queries, "MOST_TEXT", 1_000)
    long = json.dumps({"text": "a", "label": "b" * 2_000}).encode()
    sent = upload(client, gzip.compress(long), name="judged.jsonl.gz")
    assert "judged queries: they hold more than the 1,000 characters that are taken" in sent.text
    monkeypatch.setattr(judged_queries, "MOST_BYTES", 1_000)
    sent = upload(client, gzip.compress(b" " * 2_000), name="judged.jsonl.gz")
    assert "judged.jsonl.gz: it holds more than the 1,000 bytes that are taken" in sent.text
    monkeypatch.setattr(judged_queries, "MOST_LINES", 20)
    for name, pack in (("judged.jsonl.gz", gzip.compress), ("judged.csv", bytes)):
        sent = upload(client, pack(b"\n" * 21), name=name)
        assert f"{name}: it has more than the 20 lines that are taken" in sent.text
    assert client.get("/api/jobs").json() == []


def test_a_table_with_other_columns_and_a_word_for_no_answer(browse, served, questions):
    queries, right = questions(200, 3)
    rows = [f"{query};{label if i % 4 else 'oos'}" for i, (query, label) in enumerate(zip(queries, right, strict=True))]
    client = browse(served)
    columns = {"text": "question", "relevant": "intent", "out_of_scope": "oos, none"}
    assert (
        upload(client, "\n".join(["question;intent", *rows]).encode(), name="judged.csv", **columns).status_code == 303
    )
    assert ended(client)["state"] == "done"
    assert served.calibration.share.value == pytest.approx(0.25, abs=0.02)


def test_forms_score_and_estimate_and_the_page_shows_what_came_of_it(browse, served):
    client = browse(served)
    client.get("/features")
    assert client.submit("/health", "/health/jobs", which=1).status_code == 303
    assert ended(client)["kind"] == "score"
    page = client.get("/health").text
    assert "48 items compared" in page
    assert "score labels and items</a>" not in page
    client.submit("/health", "/health/jobs", which=0)
    assert ended(client)["kind"] == "estimate"
    assert served.calibration.pretended


def test_one_at_a_time_searches_go_on_and_it_can_be_stopped(browse, served, monkeypatch):
    client, begun, go = browse(served), threading.Event(), threading.Event()
    read = ConfidenceIndex.score_items

    def slow(index, **options):
        begun.set()
        go.wait(10)
        return read(index, **options)

    monkeypatch.setattr(ConfidenceIndex, "score_items", slow)
    assert client.post("/api/jobs", json={"kind": "score"}).status_code == 202
    begun.wait(10)
    refused = client.post("/api/jobs", json={"kind": "estimate"})
    assert refused.status_code == 409
    assert Advice("…, started by …, is running; wait until it is done, or stop it").is_in(refused.json()["error"])
    assert refused.json()["error"].startswith("Scores of labels and items, ")
    assert client.get("/", params={"q": "my card"}).status_code == 200
    page = client.get("/health").text
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "Score</button>" not in page
    assert client.submit("/health", "/health/jobs/stop").status_code == 303
    assert "It stops at the next place" in client.get("/health").text
    go.set()
    assert ended(client)["state"] == "stopped"
    assert "was stopped; nothing is lost" in client.get("/health").text
    assert client.post("/api/jobs/stop", json={}).status_code == 409
    assert client.post("/api/jobs", json={"kind": "score"}).status_code == 202
    assert ended(client)["state"] == "done"


def test_a_new_head_is_saved_beside_the_old_one(browse, tmp_path, saved_encoder, corpus, questions):
    kept, away = tmp_path / "kept", tmp_path / "away"
    shutil.copytree(saved_encoder, kept / "encoder")
    judged = [{"query": q, "relevant": r} for q, r in zip(*questions(200, 3), strict=True)]
    with ConfidenceIndex(tmp_path / "idx", kept / "encoder") as index:
        index.add(corpus[0], labels=corpus[1])
        client = browse(index)
        client.post("/api/jobs", json={"kind": "calibrate", "judged": judged})
        assert ended(client)["state"] == "done"
        before = index.metadata.fingerprint
        kept.rename(away)
        refused = client.post("/api/jobs", json={"kind": "refit"}).json()["error"]
        assert Advice(
            "there is no folder beside that of the encoder, …, for a new one; fit it on the command line: "
            "fg-search fit --refresh"
        ).is_in(refused)
        away.rename(kept)
        client.submit("/health", "/health/jobs", which=2)
        job = ended(client)
        assert job["state"] == "done", job
        assert index.metadata.fingerprint != before
        assert re.fullmatch(r"encoder-\d{8}-\d{6}", index.metadata.encoder.rpartition("/")[2])
        assert len(index.history()) == 1
        assert client.get("/", params={"q": "my card"}).status_code == 200
        assert Advice("Its calibration was for the old one: calibrate again.").is_in(job["said"][1])
        client.post("/api/jobs", json={"kind": "calibrate", "judged": judged})
        assert ended(client)["state"] == "done"
        assert index.calibration.fingerprint == index.metadata.fingerprint


def test_what_goes_wrong_unexpectedly_is_for_the_log_alone(browse, served, monkeypatch, caplog):
    def broken(index, **_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(ConfidenceIndex, "score_items", broken)
    client = browse(served)
    client.post("/api/jobs", json={"kind": "score"})
    assert ended(client)["said"] == ["Something unexpected went wrong; the server's log says what."]
    assert "a secret" in caplog.text


def test_programs_send_judged_queries_as_json(browse, served, questions):
    judged = [{"query": q, "relevant": r} for q, r in zip(*questions(700, 3), strict=True)]
    client = browse(served)
    assert len(json.dumps(judged)) > security.MAX_BODY // 2
    assert client.post("/api/jobs", json={"kind": "calibrate", "judged": judged}).status_code == 202
    assert ended(client)["state"] == "done"
    for wrong in ({"kind": "calibrate"}, {"kind": "score", "judged": judged[:1]}, {"kind": "sing"}):
        assert client.post("/api/jobs", json=wrong).status_code == 422


def test_forms_and_bodies_are_bounded_and_signed(browse, common, monkeypatch):
    client = browse(common)
    assert (
        client.post(JUDGED, data={"kind": "calibrate", "csrf": "x"}, files={"files": ("a.jsonl", b"{}")}).status_code
        == 403
    )
    many = client.post(JUDGED, content=b"a&" * 100, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert many.status_code == 415
    assert client.post("/health/jobs", data={"kind": "score"}).status_code == 403
    assert client.post("/health/jobs/stop", data={}).status_code == 403
    monkeypatch.setattr(security, "MAX_UPLOAD", 100_000)
    assert (
        client.post("/api/jobs", content=b" " * 100_001, headers={"Content-Type": "application/json"}).status_code
        == 413
    )
    assert (
        client.post("/api/search", content=b" " * 70_000, headers={"Content-Type": "application/json"}).status_code
        == 413
    )
    monkeypatch.setattr(security, "MOST_UPLOADS", 0)
    named = upload(client, b"{}", name="..")
    assert Advice("A file has no name that could be read; give it another one.").is_in(named.text)
    assert "no column" in upload(client, b'{"text": "a"}').text
    busy = client.post("/api/jobs", content=b" " * 70_000, headers={"Content-Type": "application/json"})
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert Advice("too many files are coming in; try again in a moment").is_in(busy.text)
    monkeypatch.setattr(security, "MOST_UPLOADS", 1)
    again = client.post("/api/jobs", content=b" " * 70_000, headers={"Content-Type": "application/json"})
    assert again.status_code == 422  # it was read


def test_the_page_of_a_tenant_changes_nothing_that_is_of_all(browse, encoder, corpus, questions):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="team")) as index:
        index.tenant("a").add(corpus[0], labels=corpus[1])
        client = browse(index, tenant="a")
        page = client.get("/health").text
        assert "those of all tenants" in page
        assert "Calibrate on" not in page
        for kind in ("estimate", "refit"):
            refused = client.post("/api/jobs", json={"kind": kind}).json()["error"]
            assert Advice(
                "calibration and head are those of all tenants, and this is the page of …; use the command line: "
                "fg-search calibrate, or fg-search fit --refresh"
            ).is_in(refused)
        assert index.tenant("a").calibrate(*questions(200, 3)).queries  # as that command does
        client.post("/api/jobs", json={"kind": "score"})
        assert ended(client)["state"] == "done"


def test_the_end_of_the_server_stops_a_job(served, monkeypatch):
    begun = threading.Event()

    def endless(index, **_):
        from fg_search.model.progress import progress_bar

        with progress_bar(None, None, "read") as advance:
            begun.set()
            while True:
                advance(1)

    monkeypatch.setattr(ConfidenceIndex, "score_items", endless)
    with TestClient(create_app(served), base_url="http://localhost") as client:
        client.post("/api/jobs", json={"kind": "score"})
        begun.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "fg-search-job"]


def test_a_job_that_does_not_stop_with_the_server_is_told(browse, served, monkeypatch, caplog):
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr(jobs, "_PATIENCE", 0.01)
    monkeypatch.setattr(ConfidenceIndex, "score_items", lambda *_: begun.set() or go.wait(10))
    app = create_app(served)
    client = TestClient(app, base_url="http://localhost")
    client.post("/api/jobs", json={"kind": "score"})
    begun.wait(10)
    app.close()
    assert "Scores of labels and items: not stopped within 0.01 seconds" in caplog.text
    go.set()
    ended(client)


def test_within_another_application_it_has_a_host_of_its_own(served):
    app = create_app(served)
    below = TestClient(Starlette(routes=[Mount("/search", app)]), base_url="http://localhost")
    with pytest.raises(FgSearchError, match="not below /search; mount it by a host name"):
        below.get("/search/")
    beside = TestClient(Starlette(routes=[Host("localhost", app)]), base_url="http://localhost")
    assert beside.get("/").status_code == 200


def test_judged_answers_are_taken_along(browse, calibrated, questions):
    calibrated.log_queries("all")
    calibrated.search_many(questions(40, 8)[0], target_precision=0.8)
    for action in ("right", "wrong"):
        calibrated.judge_answer(calibrated.audit(target_precision=0.8).following[0], action, target_precision=0.8)
    found = browse(calibrated).get("/audit/answers.jsonl")
    assert "attachment" in found.headers["Content-Disposition"]
    rows = {row["verdict"]: row for row in map(json.loads, found.text.splitlines())}
    assert rows["right"]["label"] == rows["right"]["answer"]
    assert rows["wrong"]["label"] is None
