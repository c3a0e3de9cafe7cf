"""Advice on the page and in the answers of the API."""

import re
import threading
from types import SimpleNamespace

import pytest
from advising import Advice

from fg_search.web import guesses, item_list, item_map, map_view

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


def test_a_condition_that_cannot_be_read_is_written_as_it_is_said(browse, common):
    client = browse(common)
    refused = client.get("/api/items?where=colour").json()["error"]
    assert Advice("… is no condition; write one as …").is_in(refused)
    nothing = client.get("/api/items?where=colour=").json()["error"]
    assert Advice("where: … compares with nothing; write such as colour=red").is_in(nothing)
    for condition in ("colour=red", "colour!=red", "price<50", "added>=2026-01-31"):
        assert client.get("/api/items", params={"where": condition}).status_code == 200


def test_too_large_a_region_becomes_smaller(browse, common, monkeypatch):
    monkeypatch.setattr(item_map, "MAX_REGION", 40)
    client = browse(common)
    refused = client.get("/api/items?region=0,0,1,1").json()["error"]
    assert Advice("the region has … items, at most … can be listed; choose less").is_in(refused)
    assert client.get("/api/items?region=0,0,0.5,0.5").status_code == 200


def test_too_many_items_are_filtered_further(browse, served, monkeypatch):
    monkeypatch.setattr(item_list, "MAX_DECIDED", 40)
    client = browse(served)
    refused = client.submit("/items", "/items/act", scope="all", action="keep").text
    assert Advice("at most … can be decided about at once; choose fewer").is_in(refused)
    assert client.submit("/items?label=card", "/items/act", scope="all", action="keep").status_code == 303


def test_a_map_that_is_still_drawn_is_there_in_a_moment(browse, common, monkeypatch):
    monkeypatch.setattr(item_map, "_PATIENCE", 0.0)
    monkeypatch.setattr(map_view, "_PATIENCE", 0.0)
    slow, kept_map = threading.Event(), item_map.kept_map
    monkeypatch.setattr(item_map, "kept_map", lambda *given: slow.wait(10) and kept_map(*given))
    client = browse(common)
    error = client.get("/api/items?region=0,0,1,1").json()["error"]
    assert Advice("the map is still being drawn; try again in a moment").is_in(error)
    assert Advice("The map is still being drawn; ask again.").is_in(client.get("/map/points").text)
    slow.set()
    monkeypatch.setattr(item_map, "_PATIENCE", 10.0)
    assert client.get("/api/items?region=0,0,1,1").json()["total"] == 48
    assert client.get("/map/points").status_code == 200
