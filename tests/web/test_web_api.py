import re
from dataclasses import fields

import pytest

from fg_search.index.search_options import SearchOptions
from fg_search.review.queue import ReviewOptions
from fg_search.web.parameters import ReviewRequest, SearchRequest


def test_search(browse, common):
    found = browse(common).post("/api/search", json={"query": "card blocked", "limit": 2}).json()
    wanted = common.search("card blocked", limit=2)
    assert found["decision"] == wanted.decision
    assert found["query_confidence"] == pytest.approx(wanted.query_confidence)
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in wanted.hits]
    assert found["hits"][0]["agreement"] == list(wanted.hits[0].agreement)


def test_the_old_name_of_the_ranking_score_is_there_for_one_release(browse, common):
    client = browse(common)
    (hit,) = client.post("/api/search", json={"query": "card blocked", "limit": 1}).json()["hits"]
    assert hit["weighted_score"] == hit["ranking_score"]
    described = client.get("/api/openapi.json").json()["components"]["schemas"]["HitBody"]["properties"]
    assert [name for name, field in described.items() if field.get("deprecated")] == ["weighted_score"]


def test_several_phrasings(browse, common):
    response = browse(common).post("/api/search", json={"query": ["card", "pin"]})
    assert response.json()["query"] == "card / pin"


def test_abstaining(browse, common):
    asked = {"query": "zebra", "min_query_confidence": 0.99, "on_uncertain": "abstain"}
    found = browse(common).post("/api/search", json=asked).json()
    assert (found["decision"], found["hits"]) == ("abstain", [])


def test_clarifying(browse, calibrated, questions):
    client = browse(calibrated)
    asked = {"target_precision": 0.9, "on_uncertain": "clarify", "label_miss": 0.2}
    kinds = set()
    for question in questions(40, 5)[0]:
        found = client.post("/api/search", json={"query": question, **asked}).json()
        expected = calibrated.search(question, **asked)
        assert (found["decision"], len(found["hits"])) == (expected.decision, len(expected.hits))
        told = [(one["label"], one["probability"], one["example"]["id"]) for one in found["choices"]]
        assert told == [(one.label, one.probability, one.example.id) for one in expected.choices]
        kinds.add(found["decision"])
    assert "clarify" in kinds
    assert client.post("/api/search", json={"query": "card", "on_uncertain": "clarify"}).status_code == 422


def test_review_decide_and_undo(browse, served):
    client = browse(served, reviewer="Ada")
    items = client.get("/api/review", params={"limit": 2}).json()
    assert [item["id"] for item in items] == [item.id for item in served.review(limit=2)]
    made = client.post("/api/decisions", json={"id": items[0]["id"], "action": "label", "label": "loan"})
    assert made.status_code == 201
    assert (made.json()["after"], made.json()["reviewer"]) == ("loan", "Ada")
    assert "point" not in made.json()
    undone = client.post("/api/undo", json={}).json()
    assert undone["undoes"] == made.json()["number"]
    log = client.get("/api/decisions").json()
    assert [entry["action"] for entry in log] == ["label", "undo"]
    assert len(client.get("/api/decisions", params={"limit": 1}).json()) == 1


def test_a_program_says_what_it_saw(browse, served):
    client = browse(served)
    wanted = {"id": "d0", "action": "keep", "latest": 0}
    number = client.post("/api/decisions", json=wanted).json()["number"]
    assert client.post("/api/decisions", json=wanted).status_code == 409
    client.post("/api/decisions", json={"id": "d1", "action": "keep"})
    assert client.post("/api/undo", json={"number": number}).json()["undoes"] == number
    assert client.post("/api/undo", json={"number": number}).status_code == 409
    assert client.post("/api/undo", json={"number": -1}).status_code == 422
    assert [entry.id for entry in served.decisions(standing=True)] == ["d1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/search", {}, 422),
        ("POST", "/api/search", {"query": ""}, 422),
        ("POST", "/api/search", {"query": "   "}, 422),
        ("POST", "/api/search", {"query": "x" * 2001}, 422),
        ("POST", "/api/search", {"query": ["x"] * 9}, 422),
        ("POST", "/api/search", {"query": []}, 422),
        ("POST", "/api/search", {"query": "x", "limit": 101}, 422),
        ("POST", "/api/search", {"query": "x", "limit": 0}, 422),
        ("POST", "/api/search", {"query": "x", "surprise": 1}, 422),
        ("POST", "/api/search", {"query": "x", "on_uncertain": "abstain"}, 422),
        ("POST", "/api/search", {"query": "x", "on_uncertain": "raise"}, 422),
        ("POST", "/api/search", {"query": "x", "target_precision": 0.9}, 409),
        ("POST", "/api/search", {"query": "\ud800"}, 422),
        ("POST", "/api/decisions", {"id": "nobody", "action": "keep"}, 404),
        ("POST", "/api/decisions", {"id": True, "action": "keep"}, 422),
        ("POST", "/api/decisions", {"id": "d0", "action": "accept"}, 422),
        ("POST", "/api/decisions", {"id": "d0", "action": "keep", "label": "x"}, 422),
        ("POST", "/api/decisions", {"id": "d0", "action": "label", "label": "x" * 201}, 422),
        ("POST", "/api/undo", {}, 409),
        ("GET", "/api/review?limit=201", None, 422),
        ("GET", "/api/review?kind=nonsense", None, 422),
        ("GET", "/api/review?kind=contradicted", None, 409),
        ("GET", "/api/review?kind=outlier", None, 409),
        ("GET", "/api/confused-labels", None, 409),
        ("GET", "/api/decisions?limit=0", None, 422),
        ("GET", "/api/nothing", None, 404),
    ],
)
def test_bad_requests_get_a_status_and_one_sentence(browse, common, method, path, body, status):
    import json

    # with surrogates as escapes, which is how they can reach a server
    content = None if body is None else json.dumps(body).encode()
    response = browse(common).request(method, path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert isinstance(response.json()["error"], str)


def test_an_empty_index(browse, empty):
    client = browse(empty)
    assert client.post("/api/search", json={"query": "x"}).status_code == 409
    assert client.get("/api/review").status_code == 409


def test_openapi_describes_the_api_and_no_documentation_loads_scripts_from_elsewhere(browse, common):
    client = browse(common)
    described = client.get("/api/openapi.json").json()
    assert set(described["paths"]) == {
        "/api/search",
        "/api/review",
        "/api/confused-labels",
        "/api/decisions",
        "/api/undo",
        "/api/queries",
        "/api/queries/decisions",
        "/api/missing-labels",
        "/api/jobs",
        "/api/jobs/stop",
        "/api/history",
        "/api/items",
        "/api/similar-items",
    }
    assert "SearchRequest" in described["components"]["schemas"]
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404


@pytest.mark.parametrize("path", ["/", "/?q=card", "/review", "/features", "/features/0", "/health", "/nothing"])
def test_pages_refer_to_nothing_elsewhere_and_have_no_script_or_style_inside(browse, calibrated, path):
    text = browse(calibrated).get(path).text
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', text)
    scripts = ["page", "search"] if path.split("?")[0] == "/" else ["page"]
    assert re.findall(r"<script[^>]*>", text) == [f'<script src="/static/{name}.js" defer>' for name in scripts]
    assert not re.findall(r"<style|\sstyle=|\son\w+=", text)


@pytest.mark.parametrize(("request_model", "options"), [(SearchRequest, SearchOptions), (ReviewRequest, ReviewOptions)])
def test_the_api_has_the_defaults_of_the_library(request_model, options):
    shared = request_model.model_fields.keys() & {field.name for field in fields(options)}
    assert request_model.model_fields.keys() - shared <= {"query", "where"}
    assert {name: request_model.model_fields[name].default for name in shared} == {
        name: getattr(options, name) for name in shared
    }


@pytest.mark.parametrize(
    "name",
    [
        "limit",
        "offset",
        "min_confidence",
        "confidence_weight",
        "min_familiarity",
        "familiarity_weight",
        "target_precision",
    ],
)
def test_the_api_and_the_library_refuse_the_same_numbers(name):
    for value in (-1, -0.1, 0, 0.5, 1, 1.1, 100, 100.5, float("nan")):
        outcomes = []
        for make in (lambda **given: SearchRequest(query="x", **given), SearchOptions):
            try:
                make(**{name: value})
                outcomes.append(True)
            except ValueError:
                outcomes.append(False)
        assert outcomes[0] == outcomes[1], value
