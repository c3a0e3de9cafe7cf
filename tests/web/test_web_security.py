import re
import time

import pytest

from fg_search.web.app import create_app
from fg_search.web.login import local_path
from fg_search.web.security import MAX_BODY, host_name
from fg_search.web.tokens import CSRF_COOKIE, SESSION_COOKIE, Signer

TOKEN = "correct horse battery staple"
VIEWS = ["/", "/?q=card", "/review", "/features", "/features/0", "/health"]


def csrf_of(page):
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


# what every response carries


@pytest.mark.parametrize("path", [*VIEWS, "/nothing", "/static/page.css", "/api/openapi.json"])
def test_every_response_has_the_headers(browse, served, path):
    headers = browse(served).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_an_unexpected_error_tells_nothing_and_has_the_headers(served, monkeypatch):
    from fastapi.testclient import TestClient

    def fail(*_, **__):
        raise RuntimeError("secret of the house")

    client = TestClient(create_app(served), base_url="http://localhost", raise_server_exceptions=False)
    monkeypatch.setattr(served, "review", fail)
    for path in ("/review", "/api/review"):
        response = client.get(path)
        assert response.status_code == 500
        assert "secret" not in response.text
        assert "content-security-policy" in response.headers


# escaping


@pytest.mark.parametrize(
    "path", ["/?q=card+blocked&target_precision=", "/?q=<script>alert(1)</script>", "/review", "/health"]
)
def test_texts_labels_ids_payloads_and_questions_are_escaped(browse, hostile, path):
    page = browse(hostile).get(path).text
    assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/page.js" defer>']
    assert "<img" not in page
    assert "<b>bold" not in page
    assert "<i>" not in page


def test_a_hostile_item_is_shown_as_text_with_its_payload(browse, hostile):
    page = browse(hostile).get("/", params={"q": "card blocked", "limit": 100, "target_precision": ""}).text
    assert "&lt;script&gt;document.title=" in page
    assert "&lt;b&gt;bold" in page
    assert "&lt;i&gt;id" in page
    assert "&lt;/pre&gt;&lt;script&gt;" in page  # in the payload


def test_a_hostile_item_can_be_decided_about(browse, hostile):
    client = browse(hostile)
    place = next(i for i, item in enumerate(hostile.review(limit=100)) if item.id == "<i>id</i>")
    client.submit(f"/review?skip={place}", "/review/decide", action="label", label='"><script>')
    assert hostile.decisions()[0].id == "<i>id</i>"
    assert "<script>" not in client.get("/review").text


# forms of other sites


@pytest.mark.parametrize("path", ["/review/decide", "/review/undo"])
def test_a_form_without_its_token_is_refused(browse, served, path):
    client = browse(served)
    item = '"d0"'
    assert client.post(path, data={"item": item, "action": "keep"}).status_code == 403
    token = csrf_of(client.get("/review"))
    assert client.post(path, data={"item": item, "action": "keep", "csrf": token + "0"}).status_code == 403
    client.cookies.clear()
    assert client.post(path, data={"item": item, "action": "keep", "csrf": token}).status_code == 403
    client.cookies.set(CSRF_COOKIE, "x" * 32)  # one that another site might plant
    assert client.post(path, data={"item": item, "action": "keep", "csrf": "x" * 32}).status_code == 403
    assert served.decisions() == []


def test_the_cookie_of_a_form_is_hidden_from_scripts_and_other_sites(browse, served):
    cookie = browse(served).get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
    ],
)
def test_requests_that_a_browser_says_come_from_elsewhere_are_refused(browse, served, headers):
    client = browse(served)
    fields = {"csrf": csrf_of(client.get("/review")), "item": '"d0"', "action": "keep"}
    assert client.post("/review/decide", data=fields, headers=headers).status_code == 403
    assert client.post("/api/decisions", json={"id": "d0", "action": "keep"}, headers=headers).status_code == 403
    own = {"origin": "http://localhost:8000"}
    assert client.post("/api/decisions", json={"id": "d0", "action": "keep"}, headers=own).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_the_api_takes_nothing_that_a_form_can_send(browse, served, kind):
    body = b'{"id": "d0", "action": "keep"}'
    response = browse(served).post("/api/decisions", content=body, headers={"content-type": kind})
    assert response.status_code == 415
    assert browse(served).post("/api/undo").status_code == 415
    assert served.decisions() == []


# whom a request is for


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[::2]"])
def test_another_name_is_not_served(browse, served, host):
    for path in ("/", "/api/review", "/static/page.css"):
        assert browse(served).get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "localhost."])
def test_the_own_names_are(browse, served, host):
    assert browse(served).get("/", headers={"host": host}).status_code == 200


def test_other_names_can_be_allowed(browse, served):
    client = browse(served, token=TOKEN, allowed_hosts={"search.example"})
    assert client.get("/login", headers={"host": "search.example"}).status_code == 200
    assert client.get("/login").status_code == 421
    assert browse(served, token=TOKEN, allowed_hosts=None).get("/login", headers={"host": "any"}).status_code == 200


def test_names_in_a_host_header():
    assert [host_name(host) for host in ("A.b:80", "[::1]:80", "[::1]", "a.", "")] == ["a.b", "::1", "::1", "a", ""]


# the token


def test_nothing_but_the_way_in_is_open(browse, served):
    client = browse(served, token=TOKEN)
    for path in VIEWS:
        response = client.get(path, follow_redirects=False)
        assert response.status_code == 303
        assert response.headers["location"].startswith("/login?next=%2F")
    for path in ("/api/review", "/api/openapi.json", "/api/nothing"):
        response = client.get(path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
    assert client.post("/review/undo", follow_redirects=False).headers["location"] == "/login"
    assert client.get("/static/page.css").status_code == 200


def test_programs_send_the_token(browse, served):
    client = browse(served, token=TOKEN)
    assert client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer", "Bearer ", f"Basic {TOKEN}", "", "Bearer \xe9"):
        assert client.get("/api/review", headers={"authorization": wrong.encode("latin-1")}).status_code == 401


def test_people_log_in_and_out(browse, served):
    client = browse(served, token=TOKEN)
    client.get("/review?skip=3")
    refused = client.submit("/login", "/login", token="guess")
    assert refused.status_code == 403
    assert "not the token" in refused.text
    entered = client.submit("/login?next=%2Freview%3Fskip%3D3", "/login", token=TOKEN)
    assert entered.headers["location"] == "/review?skip=3"
    cookie = next(one for one in entered.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert client.get("/review").status_code == 200
    assert TOKEN not in str(client.cookies)
    client.submit("/review", "/logout")
    assert client.get("/review", follow_redirects=False).status_code == 303


def test_the_way_in_leads_nowhere_else(browse, served):
    client = browse(served, token=TOKEN)
    entered = client.submit("/login?next=//evil.example", "/login", token=TOKEN)
    assert entered.headers["location"] == "/"


@pytest.mark.parametrize("wanted", ["//evil", "/\\evil", "http://evil", "evil", "", "/a\r\nb", "\\\\evil"])
def test_only_paths_of_this_page_are_gone_to(wanted):
    assert local_path(wanted) == "/"


def test_logging_in_takes_the_forms_own_token(browse, served):
    assert browse(served, token=TOKEN).post("/login", data={"token": TOKEN}).status_code == 403


def test_a_session_ends_and_is_of_one_process(monkeypatch):
    signer = Signer()
    session = signer.new_session()
    assert signer.session_stands(session)
    assert not Signer().session_stands(session)
    expires, _, signature = session.partition(".")
    for forged in (None, "", ".", f"{int(expires) + 1}.{signature}", signature, f"²{expires}.{signature}"):
        assert not signer.session_stands(forged)
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert not signer.session_stands(session)


@pytest.mark.parametrize("token", ["", "short", f"short{' ' * 20}", "ümläuts do not fit a header", "a\nb" * 9])
def test_a_token_that_is_short_or_fits_no_header_is_refused(served, token):
    with pytest.raises(ValueError, match="at least 16"):
        create_app(served, token=token)


def test_white_space_around_a_token_is_not_part_of_it(browse, served):
    client = browse(served, token=f"{TOKEN}\n")
    assert client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


# bounds


def test_a_long_body_is_refused_however_it_is_sent(browse, served):
    client = browse(served)

    def pieces():
        for _ in range(MAX_BODY // 1000 + 2):
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    assert client.post("/api/search", content=b"x" * (MAX_BODY + 1), headers=headers).status_code == 413
    assert client.post("/api/search", content=pieces(), headers=headers).status_code == 413
    assert client.post("/api/search", content=b"x" * MAX_BODY, headers=headers).status_code == 422


def test_refusals_of_the_api_are_json(browse, served):
    headers = {"content-type": "application/json"}
    assert "bytes" in browse(served).post("/api/search", content=b"x" * (MAX_BODY + 1), headers=headers).json()["error"]
    assert browse(served).get("/api/review", headers={"host": "evil.example"}).json()["error"]


def test_long_texts_and_payloads_are_shown_in_part(browse, empty):
    empty.add(["card " * 5000], payloads=[{"notes": "n" * 50_000, "ä": "ü"}])
    client = browse(empty)
    for path in ("/?q=card", "/review", "/features/0", "/health"):
        assert len(client.get(path).text) < 40_000
    assert "(25,000 characters)" in client.get("/review").text


def test_many_fields_are_refused(browse, served):
    client = browse(served)
    fields = {f"f{i}": "x" for i in range(30)}
    assert client.post("/review/decide", data=fields).status_code == 422


def test_methods_that_there_are_not(browse, served):
    assert browse(served).delete("/review").status_code == 405
    assert browse(served).get("/review/decide").status_code == 405
