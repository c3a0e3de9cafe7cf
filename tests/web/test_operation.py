"""What whoever runs the server reads: metrics, probes, spans."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families

from fg_search import cli
from fg_search.errors import FgSearchError, StorageError
from fg_search.web.app import create_app

QUESTION = "please help my card is stolen"
TOKEN = "correct horse battery staple"
DEPLOY = Path(__file__).parents[2] / "deploy"


def samples(text):
    """Values by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_searches_are_counted_by_decision(browse, calibrated):
    client = browse(calibrated, metrics=True)
    for options in ({"target_precision": 0.5}, {"target_precision": 0.5, "min_query_confidence": 1.0}):
        asked = {"query": QUESTION, "on_uncertain": "abstain", **options}
        assert client.post("/api/search", json=asked).status_code == 200
    assert client.get("/", params={"q": QUESTION}).status_code == 200
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    found = samples(response.text)
    decisions = {key[1:]: value for key, value in found.items() if key[0] == "fg_search_searches_total"}
    assert decisions == {("answer", "false"): 1, ("abstain", "true"): 2}  # the page holds it back at its own target
    assert found["fg_search_search_seconds_count",] == 3
    assert found["fg_search_result_confidence_count",] == 2  # the one held back by its query was not searched for
    assert found["fg_search_query_familiarity_count",] == 3
    assert found["fg_search_failed_searches_total",] == 0


def test_the_promise_is_told_with_every_reading(browse, served, questions):
    client = browse(served, metrics=True)
    assert samples(client.get("/metrics").text)["fg_search_calibrated",] == 0
    served.calibrate(*questions(200, 3))
    found = samples(client.get("/metrics").text)
    assert (found["fg_search_calibrated",], ("fg_search_promise_holds",) in found) == (1, False)
    assert found["fg_search_unanswerable_share", "judged"] == pytest.approx(served.calibration.share.value)
    served.adapt(questions(200, 5)[0])
    found = samples(client.get("/metrics").text)
    assert found["fg_search_unanswerable_share", "estimated"] == pytest.approx(served.calibration.share.value)
    assert found["fg_search_promise_holds",] == served.calibration.shift.holds


def test_a_search_that_fails_is_counted(browse, common, monkeypatch):
    client = browse(common, metrics=True)

    def fail(*_, **__):
        raise StorageError("the disk is gone")

    monkeypatch.setattr(common, "search", fail, raising=False)
    assert client.post("/api/search", json={"query": QUESTION}).status_code == 503
    assert samples(client.get("/metrics").text)["fg_search_failed_searches_total",] == 1


def test_metrics_are_read_with_the_token_and_only_if_asked_for(browse, common):
    assert browse(common).get("/metrics").status_code == 404
    client = browse(common, metrics=True, token=TOKEN)
    for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}):  # Prometheus is told so, not led to the login
        refused = client.get("/metrics", headers=header, follow_redirects=False)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    response = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert "fg_search_searches" in response.text


def test_without_the_extra_metrics_say_what_to_install(common, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "fg_search.web.metrics", raising=False)
    with pytest.raises(FgSearchError, match=r"pip install 'fg-search\[metrics\]'"):
        create_app(common, metrics=True)


def test_probes_need_no_token_and_no_name(browse, common, monkeypatch):
    client = browse(common, token=TOKEN)
    unknown = {"Host": "10.0.0.7:8000"}
    assert client.get("/healthz", headers=unknown).text == "alive\n"
    assert client.get("/readyz", headers=unknown).text == "ready\n"
    assert client.get("/api/review", headers=unknown).status_code == 421

    def fail(*_):
        raise StorageError("no answer")

    monkeypatch.setattr(type(common), "__len__", fail)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_program_with_opentelemetry_sees_the_steps_of_a_search(calibrated):
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    calibrated.search(QUESTION, target_precision=0.8)
    found = exporter.get_finished_spans()
    assert [one.name for one in found] == ["fg_search.encode", "fg_search.engine", "fg_search.decide"]
    assert found[1].attributes["fg_search.rank_by"] == "both"
    assert found[2].attributes["fg_search.calibrated"] is True
    assert QUESTION not in str([dict(one.attributes) for one in found])  # what people ask is no matter of traces


@pytest.mark.parametrize("name", ["fg-search.service", "Containerfile"])
def test_the_files_to_run_it_call_commands_that_exist(name):
    text = (DEPLOY / name).read_text(encoding="utf-8")
    known = typer.main.get_command(cli.app).commands["serve"]
    options = {option for parameter in known.params for option in parameter.opts}
    line = next(one for one in text.splitlines() if one.startswith(("ExecStart=", "ENTRYPOINT")))
    given = {word.strip('[]",') for word in line.split() if word.strip('[]",').startswith("--")}
    assert given
    assert given <= options
