"""Whatever is sent to the API, it answers as its schema says."""

import json
import math

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from profiles import examples

from fg_search import ConfidenceIndex
from fg_search.web.app import create_app

TOKEN = "correct horse battery staple"
PATHS = {
    "/api/search": "post",
    "/api/decisions": "post",
    "/api/undo": "post",
    "/api/queries/decisions": "post",
    "/api/review": "get",
    "/api/confused-labels": "get",
    "/api/queries": "get",
    "/api/missing-labels": "get",
    "/api/history": "get",
    "/api/items": "get",
    "/api/similar-items": "get",
}
NAMES = ["query", "limit", "offset", "min_confidence", "confidence_weight", "target_precision", "min_query_confidence"]
NAMES += [
    "min_familiarity",
    "familiarity_weight",
    "explain",
    "on_uncertain",
    "label_miss",
    "rank_by",
    "id",
    "action",
    "label",
    "suggested",
    "latest",
    "number",
    "ids",
    "kind",
    "min_score",
]
NAMES += ["diverse", "only_open", "where", "sort", "after", "decided", "region", "unlabelled", "max_confidence"]
VALUES = [
    "card",
    "d0",
    "flag",
    "clarify",
    "auto",
    "keep",
    "label",
    "accept",
    "delete",
    "unsure",
    "add",
    "dismiss",
    "reopen",
    "both",
    "colour=red",
    "price<5",
    "-wrong",
    "0,0,1,1",
]
VALUES += [
    "",
    " ",
    "\0",
    "\ud800",
    "ambiguous",
    "duplicate",
    0,
    1,
    -1,
    2**63,
    2**64,
    10**400,
    0.5,
    1.5,
    math.nan,
    math.inf,
]
VALUES += [True, None]

scalars = st.one_of(st.sampled_from(VALUES), st.text(max_size=8), st.integers(), st.floats())
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
)
bodies = st.one_of(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), values, max_size=5), values)


@pytest.fixture(scope="module")
def api(tmp_path_factory, encoder, corpus):
    """A client of the API that reports unexpected errors as responses, and its schema."""
    with ConfidenceIndex(tmp_path_factory.mktemp("schema") / "index", encoder) as index:
        index.add(corpus[0], ids=[f"d{i}" for i in range(len(corpus[0]))], labels=corpus[1])
        app = create_app(index, token=TOKEN)
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client, client.get("/api/openapi.json").json()


def check(schema, path, method, response):
    """Make sure that the schema has this response."""
    known = schema["paths"][path][method]["responses"]
    assert response.status_code != 500
    assert str(response.status_code) in known, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(known[str(response.status_code)]["content"]) == ["application/json"]
    if response.status_code >= 400:
        assert isinstance(response.json()["error"], str)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from([path for path, method in PATHS.items() if method == "post"]), body=bodies)
def test_any_json_gets_a_documented_answer(api, path, body):
    assume(path != "/api/queries/decisions" or not isinstance(body, dict) or body.get("action") != "add")
    client, schema = api
    response = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    check(schema, path, "post", response)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from([path for path, method in PATHS.items() if method == "get"]),
    query=st.dictionaries(st.sampled_from(NAMES), scalars.map(lambda value: str(value)[:50]), max_size=4),
)
def test_any_parameters_get_a_documented_answer(api, path, query):
    client, schema = api
    assume(not any("\ud800" <= letter <= "\udfff" for value in query.values() for letter in value))
    check(schema, path, "get", client.get(path, params=query))


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"1" * 5_000, "application/json", 422),
        (b'{"\\ud800": 1}', "application/json", 422),
        (b'{"id": "d0", "action": "label", "label": "\\ud800"}', "application/json", 422),
        (b"", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"x" * 70_000, "application/json", 413),
    ],
)
@pytest.mark.parametrize("path", [path for path, method in PATHS.items() if method == "post"])
def test_any_content_gets_a_documented_answer(api, path, content, kind, status):
    client, schema = api
    response = client.post(path, content=content, headers={"content-type": kind})
    check(schema, path, "post", response)
    assert response.status_code in (status, 400, 422) if status in (400, 422) else response.status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "[::", "origin": "http://[::"}, 421),
        ({"origin": "http://[::"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer \xff"}, 401),
    ],
)
@pytest.mark.parametrize(("path", "method"), PATHS.items())
def test_refusals_are_documented(api, path, method, headers, status):
    client, schema = api
    given = {name: value.encode("latin-1") for name, value in {"content-type": "application/json", **headers}.items()}
    response = client.request(method, path, content=b"{}", headers=given)
    client.get("/api/review")  # the right token ends the pause after a wrong one
    if method == "post" or status != 403:
        check(schema, path, method, response)
        assert response.status_code == status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_methods_that_there_are_not_say_which_there_are(api, path, method):
    client, schema = api
    known = schema["paths"][path]
    if method not in known:
        response = client.request(method, path)
        assert response.status_code == 405
        assert {name.lower() for name in response.headers["allow"].split(", ")} == set(known)


def test_the_schema_says_that_the_token_is_needed(api, browse, common):
    _, schema = api
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert all(route["security"] for routes in schema["paths"].values() for route in routes.values())
    assert "securitySchemes" not in browse(common).get("/api/openapi.json").json()["components"]
