import re
import time
from types import SimpleNamespace

import anyio
import pytest

from fg_search.web import guesses
from fg_search.web.app import create_app
from fg_search.web.login import local_path
from fg_search.web.security import MAX_BODY, host_name
from fg_search.web.tokens import CSRF_COOKIE, SESSION_COOKIE, Sessions

TOKEN = "correct horse battery staple"
VIEWS = ["/", "/?q=card", "/review", "/features", "/features/0", "/health"]


def csrf_of(page):
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


# what every response carries


@pytest.mark.parametrize("path", [*VIEWS, "/nothing", "/static/page.css", "/api/openapi.json"])
def test_every_response_has_the_headers(browse, common, path):
    headers = browse(common).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_an_unexpected_error_tells_nothing_and_has_the_headers(common, monkeypatch):
    from fastapi.testclient import TestClient

    def fail(*_, **__):
        raise RuntimeError("secret of the house")

    client = TestClient(create_app(common), base_url="http://localhost", raise_server_exceptions=False)
    monkeypatch.setattr(common, "review", fail)
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
    assert set(re.findall(r"<script[^>]*>", page)) <= {
        '<script src="/static/page.js" defer>',
        '<script src="/static/search.js" defer>',
    }
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
def test_a_form_without_its_token_is_refused(browse, common, path):
    client = browse(common)
    item = '"d0"'
    assert client.post(path, data={"item": item, "action": "keep"}).status_code == 403
    token = csrf_of(client.get("/review"))
    assert client.post(path, data={"item": item, "action": "keep", "csrf": token + "0"}).status_code == 403
    client.cookies.clear()
    assert client.post(path, data={"item": item, "action": "keep", "csrf": token}).status_code == 403
    client.cookies.set(CSRF_COOKIE, "x" * 32)  # one that another site might plant
    assert client.post(path, data={"item": item, "action": "keep", "csrf": "x" * 32}).status_code == 403
    assert common.decisions() == []


def test_the_cookie_of_a_form_is_hidden_from_scripts_and_other_sites(browse, common):
    cookie = browse(common).get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "http://[::"},
        {"origin": "http://[::1"},
        {"origin": "http://["},
        {"origin": "//[v"},
        {"origin": ""},
    ],
)
def test_requests_that_a_browser_says_come_from_elsewhere_are_refused(browse, served, headers):
    client = browse(served)
    fields = {"csrf": csrf_of(client.get("/review")), "item": '"d0"', "action": "keep"}
    assert client.post("/review/decide", data=fields, headers=headers).status_code == 403
    assert client.post("/api/decisions", json={"id": "d0", "action": "keep"}, headers=headers).status_code == 403
    own = {"origin": "http://localhost:8000"}
    assert client.post("/api/decisions", json={"id": "d0", "action": "keep"}, headers=own).status_code == 201


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/jsonp",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ],
)
def test_the_api_takes_nothing_that_a_form_can_send(browse, common, kind):
    body = b'{"id": "d0", "action": "keep"}'
    response = browse(common).post("/api/decisions", content=body, headers={"content-type": kind})
    assert response.status_code == 415
    assert browse(common).post("/api/undo").status_code == 415
    assert common.decisions() == []


# whom a request is for


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[::2]"])
def test_another_name_is_not_served(browse, common, host):
    for path in ("/", "/api/review", "/static/page.css"):
        assert browse(common).get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "localhost."])
def test_the_own_names_are(browse, common, host):
    assert browse(common).get("/", headers={"host": host}).status_code == 200


def test_other_names_can_be_allowed(browse, common):
    client = browse(common, token=TOKEN, allowed_hosts={"Search.example"})
    assert client.get("/login", headers={"host": "search.example"}).status_code == 200
    assert client.get("/login").status_code == 421
    assert browse(common, token=TOKEN, allowed_hosts=None).get("/login", headers={"host": "any"}).status_code == 200


@pytest.mark.parametrize("host", ["[::", "[", "a]b", "[::1]x:y", "a:b:c", ":"])
@pytest.mark.parametrize("path", ["/login", "/review", "/api/review", "/nothing", "/api/nothing", "/review/"])
def test_odd_host_names_are_no_error_where_all_are_served(browse, common, host, path):
    client = browse(common, token=TOKEN, allowed_hosts=None)
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert client.get(path, headers=headers, follow_redirects=False).status_code in (200, 307, 404)


def test_names_in_a_host_header():
    assert [host_name(host) for host in ("A.b:80", "[::1]:80", "[::1]", "a.", "")] == ["a.b", "::1", "::1", "a", ""]


# the token


def test_nothing_but_the_way_in_is_open(browse, common):
    client = browse(common, token=TOKEN)
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


def test_programs_send_the_token(browse, common):
    client = browse(common, token=TOKEN)
    assert client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer", "Bearer ", f"Basic {TOKEN}", "", "Bearer \xe9"):
        assert client.get("/api/review", headers={"authorization": wrong.encode("latin-1")}).status_code == 401


def test_people_log_in_and_out(browse, common):
    client = browse(common, token=TOKEN)
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


def test_the_way_in_leads_nowhere_else(browse, common):
    client = browse(common, token=TOKEN)
    entered = client.submit("/login?next=//evil.example", "/login", token=TOKEN)
    assert entered.headers["location"] == "/"


@pytest.mark.parametrize("wanted", ["//evil", "/\\evil", "http://evil", "evil", "", "/a\r\nb", "\\\\evil"])
def test_only_paths_of_this_page_are_gone_to(wanted):
    assert local_path(wanted) == "/"


def test_logging_in_takes_the_forms_own_token(browse, common):
    assert browse(common, token=TOKEN).post("/login", data={"token": TOKEN}).status_code == 403


def test_a_session_ends_and_is_of_one_process(monkeypatch):
    sessions = Sessions()
    session = sessions.start()
    assert sessions.stands(session)
    assert not Sessions().stands(session)
    for forged in (None, "", ".", f"{session}x", session[:-1], "\ud800"):
        assert not sessions.stands(forged)
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert not sessions.stands(session)


def test_logging_out_ends_the_session_and_no_other(browse, common):
    client = browse(common, token=TOKEN)
    cookies = []
    for _ in range(2):  # in the same second
        client.submit("/login", "/login", token=TOKEN)
        cookies.append(client.cookies[SESSION_COOKIE])
        del client.cookies[SESSION_COOKIE]
    assert cookies[0] != cookies[1]
    client.cookies.set(SESSION_COOKIE, cookies[0])
    assert client.get("/api/review").status_code == 200
    client.submit("/review", "/logout")
    for cookie, status in zip(cookies, (401, 200), strict=True):
        client.cookies.clear()
        client.cookies.set(SESSION_COOKIE, cookie)
        assert client.get("/api/review").status_code == status


def test_logging_in_again_ends_the_session_before(browse, common):
    client = browse(common, token=TOKEN)
    client.submit("/login", "/login", token=TOKEN)
    before = client.cookies[SESSION_COOKIE]
    client.submit("/login", "/login", token=TOKEN)
    assert client.get("/api/review").status_code == 200
    client.cookies.clear()
    client.cookies.set(SESSION_COOKIE, before)
    assert client.get("/api/review").status_code == 401


# wrong tokens


def test_wrong_tokens_are_logged_without_being_told(browse, common, caplog):
    client = browse(common, token=TOKEN)
    client.get("/api/review", headers={"authorization": "Bearer a guess"})
    client.submit("/login", "/login", token="another guess")
    assert [record.getMessage() for record in caplog.records if record.name == "fg_search.web"] == [
        "wrong token from testclient, number 1",
        "wrong token from testclient, number 2",
    ]
    assert not any("guess" in record.getMessage() for record in caplog.records)


@pytest.fixture
def clock(monkeypatch):
    """The time that guesses go by; pauses pass at once."""
    now = [1000.0]

    async def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(guesses, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(guesses, "anyio", SimpleNamespace(sleep=sleep))
    return now


def test_wrong_tokens_are_slowed_and_then_refused_unread(browse, common, monkeypatch, clock):
    monkeypatch.setattr(guesses, "FIRST_PAUSE", 0.3)
    client = browse(common, token=TOKEN)
    wrong = {"authorization": "Bearer a guess"}
    assert [client.get("/api/review", headers=wrong).status_code for _ in range(3)] == [401] * 3
    assert clock[0] == pytest.approx(1000.9)
    refused = client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "2"
    assert "try again in 2 s" in refused.json()["error"]
    page = client.submit("/login", "/login", token=TOKEN)
    assert page.status_code == 429
    assert page.headers["retry-after"]
    assert "Try again in" in page.text
    clock[0] += 0.4
    assert client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/review", headers=wrong).status_code == 401  # the right one ended the pauses


def test_sessions_are_not_slowed_by_others_guesses(browse, common):
    client = browse(common, token=TOKEN)
    client.submit("/login", "/login", token=TOKEN)
    cookies = dict(client.cookies)
    other = browse(common, token=TOKEN)
    for _ in range(4):
        other.get("/api/review", headers={"authorization": "Bearer a guess"})
    client.cookies.update(cookies)
    assert client.get("/api/review").status_code == 200


def test_many_guesses_at_once_win_nothing(monkeypatch):
    monkeypatch.setattr(guesses, "FIRST_PAUSE", 0.2)
    found = {"wrong": 0, "refused": 0}

    async def guess(checks, port):
        try:
            assert not await checks.is_right("a guess", {"client": ("203.0.113.5", port)})
            found["wrong"] += 1
        except guesses.TooManyGuessesError:
            found["refused"] += 1

    async def attack():
        checks = guesses.Guesses(TOKEN)
        async with anyio.create_task_group() as group:
            for port in range(100):
                group.start_soon(guess, checks, port)
        return await checks.is_right(TOKEN, {"client": ("203.0.113.6", 1)})

    started = time.monotonic()
    assert anyio.run(attack)
    assert found["wrong"] <= 7
    assert found["refused"] >= 93
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 5), "192.0.2.7"),
        (("::1", 5), "::1"),
        (("testclient", 5), "testclient"),
        (None, "unknown"),
    ],
)
def test_addresses_of_guesses(client, name):
    assert guesses.address_of({"client": client}) == name


def test_guesses_are_forgotten(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(guesses.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(guesses, "_MOST_ADDRESSES", 3)
    checks = guesses.Guesses(TOKEN)

    async def attack():
        for i in range(5):
            await checks.is_right("a guess", {"client": (f"192.0.2.{i}", 1)})
        assert list(checks._addresses) == ["192.0.2.2", "192.0.2.3", "192.0.2.4"]
        clock[0] += 1000
        await checks.is_right("a guess", {"client": ("192.0.2.4", 1)})
        return checks._addresses["192.0.2.4"].wrong

    assert anyio.run(attack) == 1


@pytest.mark.parametrize("token", ["", "short", f"short{' ' * 20}", "ümläuts do not fit a header", "a\nb" * 9])
def test_a_token_that_is_short_or_fits_no_header_is_refused(common, token):
    with pytest.raises(ValueError, match="at least 16"):
        create_app(common, token=token)


def test_white_space_around_a_token_is_not_part_of_it(browse, common):
    client = browse(common, token=f"{TOKEN}\n")
    assert client.get("/api/review", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


# bounds


def test_a_long_body_is_refused_however_it_is_sent(browse, common):
    client = browse(common)

    def pieces():
        for _ in range(MAX_BODY // 1000 + 2):
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    assert client.post("/api/search", content=b"x" * (MAX_BODY + 1), headers=headers).status_code == 413
    assert client.post("/api/search", content=pieces(), headers=headers).status_code == 413
    assert client.post("/api/search", content=b"x" * MAX_BODY, headers=headers).status_code == 422


def test_refusals_of_the_api_are_json(browse, common):
    headers = {"content-type": "application/json"}
    assert "bytes" in browse(common).post("/api/search", content=b"x" * (MAX_BODY + 1), headers=headers).json()["error"]
    assert browse(common).get("/api/review", headers={"host": "evil.example"}).json()["error"]


def test_long_texts_and_payloads_are_shown_in_part(browse, empty):
    empty.add(["card " * 5000], payloads=[{"notes": "n" * 50_000, "ä": "ü"}])
    client = browse(empty)
    for path in ("/?q=card", "/review", "/features/0", "/health"):
        assert len(client.get(path).text) < 40_000
    assert "(25,000 characters)" in client.get("/review").text


def test_many_fields_are_refused(browse, common):
    client = browse(common)
    fields = {f"f{i}": "x" for i in range(30)}
    assert client.post("/review/decide", data=fields).status_code == 422


def test_methods_that_there_are_not(browse, common):
    assert browse(common).delete("/review").status_code == 405
    assert browse(common).get("/review/decide").status_code == 405
