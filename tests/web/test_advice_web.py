"""Advice on the page and in the answers of the API."""

import re
from types import SimpleNamespace

import pytest
from advising import Advice

from fg_search.web import guesses

_TOKEN = "0123456789abcdef0123456789abcdef"
_KEY = {"authorization": f"Bearer {_TOKEN}"}


@pytest.fixture
def clock(monkeypatch):
    """The time that guesses go by; pauses pass at once."""
    now = [1000.0]

    async def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(guesses, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(guesses, "anyio", SimpleNamespace(sleep=sleep))
    return now


def test_after_wrong_tokens_one_tries_again_when_it_is_said(browse, common, clock):
    client = browse(common, token=_TOKEN)
    for _ in range(50):
        answer = client.get("/api/review", headers={"authorization": "Bearer a guess"})
        if answer.status_code == 429:
            break
    assert Advice("too many wrong tokens; try again in … s").is_in(answer.json()["error"])
    page = client.submit("/login", "/login", token=_TOKEN).text
    assert Advice("There were too many wrong tokens. Try again in … seconds.").is_in(page)
    clock[0] += int(re.search(r"Try again in (\d+) seconds", page)[1])
    assert client.submit("/login", "/login", token=_TOKEN).status_code == 303


def test_a_form_that_is_out_of_date_is_reloaded_and_sent_again(browse, common):
    client = browse(common, token=_TOKEN)
    client.get("/login")
    stale = client.post("/login", data={"token": _TOKEN, "csrf": "old"})
    assert Advice("This form is out of date. Go back, reload the page, and send it again.").is_in(stale.text)
    assert client.submit("/login", "/login", token=_TOKEN).status_code == 303


def test_another_host_name_is_served_when_it_is_allowed(browse, served):
    other = {"host": "search.example", **_KEY}
    refused = browse(served, token=_TOKEN, allowed_hosts={"localhost"}).get("/api/review", headers=other)
    assert Advice("this name is not served here; start the server with --allowed-host and the name").is_in(refused.text)
    allowed = browse(served, token=_TOKEN, allowed_hosts={"localhost", "search.example"})
    assert allowed.get("/api/review", headers=other).status_code == 200
