import csv
import io
import json
import re
from datetime import datetime
from html import unescape

import pytest
from qdrant_client import models

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.web import item_list, items_view
from fg_search.web.facets import find_facets
from fg_search.web.item_filter import condition_of


@pytest.fixture(scope="module")
def shop(tmp_path_factory, encoder, corpus):
    """The corpus with prices, colours and days, which no test changes."""
    texts, labels = corpus
    with ConfidenceIndex(tmp_path_factory.mktemp("shop") / "shop", encoder) as index:
        payloads = [
            {
                "colour": ("red", "blue")[i % 2],
                "price": i,
                "weight": i / 4,
                "new": i % 3 == 0,
                "day": f"2026-01-{1 + i % 28:02}",
                "tags": ["a", "b"],
            }
            for i in range(len(texts))
        ]
        index.add(texts, ids=list(range(len(texts))), labels=labels, payloads=payloads)
        yield index


def ids(client, **parameters):
    return [item["id"] for item in client.get("/api/items", params={"limit": 100, **parameters}).json()["items"]]


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        ("colour=red", lambda i: i % 2 == 0),
        ("colour!=red", lambda i: i % 2 == 1),
        (" price = 7 ", lambda i: i == 7),
        ("price<=7", lambda i: i <= 7),
        ("price>40.5", lambda i: i > 40.5),
        ("weight=0.25", lambda i: i == 1),
        ("new=true", lambda i: i % 3 == 0),
        ("new!=True", lambda i: i % 3),
        ("day>=2026-01-27", lambda i: i % 28 >= 26),
        ("tags=b", lambda i: True),
        ("nobody=has it", lambda i: False),
    ],
)
def test_conditions_on_the_payload(browse, shop, condition, fits):
    assert ids(browse(shop), where=condition) == [i for i in range(48) if fits(i)]


def test_conditions_are_compared_as_what_they_can_be():
    assert len(condition_of("a=7").should) == 2
    assert len(condition_of("a=true").should) == 2
    assert len(condition_of("a=nan").should) == len(condition_of("a=1e400").should) == 1
    assert condition_of("a<2026-01-31").range == models.DatetimeRange(lt=datetime(2026, 1, 31))
    for text in ("colour", "=red", "colour=", "a<b", "fg.label=card", "fg=1"):
        with pytest.raises(ValueError, match="where"):
            condition_of(text)


def test_searches_take_the_same_conditions(browse, shop):
    client = browse(shop)
    asked = {"query": "card blocked", "limit": 5, "where": ["colour=red", "price<20"]}
    found = client.post("/api/search", json=asked).json()
    assert {hit["payload"]["colour"] for hit in found["hits"]} == {"red"}
    assert all(hit["payload"]["price"] < 20 for hit in found["hits"])
    assert found["warnings"] == []
    unmet = client.post("/api/search", json={**asked, "where": ["color=red"]}).json()
    assert unmet["hits"] == []
    assert "did you mean 'colour'?" in unmet["warnings"][0]
    refused = client.post("/api/search", json={**asked, "where": ["colour"]})
    assert (refused.status_code, "is no condition" in refused.json()["error"]) == (422, True)


def chips(page):
    """Names and addresses of the chips on the Search view."""
    found = re.findall(r'<a class="chip[^"]*" rel="nofollow" href="([^"]*)">(.*?)</a>', page.text)
    return {
        re.sub(r"<span aria-hidden.*?</span>|<[^>]*>", "", name).strip(): unescape(address) for address, name in found
    }


def test_a_chip_filters_the_search_and_is_dropped_again(browse, shop):
    client = browse(shop)
    page = client.get("/", params={"q": "card blocked", "target_precision": ""})
    offered = chips(page)
    assert list(offered) == ["Only colour red", "Only colour blue", "Only new false", "Only new true"]
    page = client.get(offered["Only colour red"])
    assert "colour=red" in page.text
    assert "&#34;colour&#34;: &#34;blue&#34;" not in page.text
    assert '<input type="hidden" name="where" value="colour=red">' in page.text
    assert 'value="card blocked"' in page.text
    both = client.get(chips(page)["Only new true"])
    assert {"Drop colour=red", "Drop new=true"} <= set(chips(both))
    instead = client.get(chips(both)["Only colour blue"])  # in place of red, since nothing is both
    assert {"Drop colour=blue", "Drop new=true"} <= set(chips(instead))
    assert "Only colour red" in chips(client.get(chips(instead)["Drop colour=blue"]))


def test_a_condition_that_no_item_can_meet_is_told_and_nonsense_refused(browse, shop):
    client = browse(shop)
    page = client.get("/", params={"q": "card", "where": ["price=cheap", " "]})
    assert "&#39;price&#39; holds numbers, and &#39;cheap&#39; is none" in page.text
    assert 'class="card hit"' not in page.text
    refused = client.get("/", params={"q": "card", "where": "colour"})
    assert refused.status_code == 422
    assert "is no condition" in refused.text


def test_fields_with_an_index_are_counted_by_the_engine(shop, encoder):
    assert [facet.key for facet in find_facets(shop, None)] == ["colour", "new"]
    settings = IndexSettings(tenant_key="team", filterable={"size": "keyword", "price": "integer", "about": "keyword"})
    with ConfidenceIndex(":memory:", encoder, settings=settings) as index:
        payloads = [{"size": "SMLXY"[i % 5], "price": i, "about": "long" * (i % 2 + 20)} for i in range(10)]
        index.tenant("a").add([f"card {i}" for i in range(10)], payloads=payloads)
        index.tenant("b").add(["card"], payloads=[{"size": "secret", "price": 1}])
        (facet,) = find_facets(index.tenant("a"), "a")
        assert (facet.key, set(facet.values)) == ("size", set("SMLXY"))


def test_all_filters_hold_at_once(browse, shop):
    client = browse(shop)
    found = client.get("/api/items", params={"label": "card", "where": ["colour=red", "price<20"]}).json()
    assert found["total"] == len(found["items"]) > 0
    assert all(item["label"] == "card" and item["payload"]["colour"] == "red" for item in found["items"])
    middle = sorted(item["confidence"] for item in client.get("/api/items", params={"limit": 100}).json()["items"])[24]
    low = client.get("/api/items", params={"max_confidence": middle, "limit": 100}).json()["items"]
    assert {item["confidence"] <= middle for item in low} == {True}
    assert ids(client, min_familiarity=1.0, max_familiarity=0.0) == []
    assert ids(client, id=["3", "1", '"3"', "nobody"]) == [1, 3]
    assert ids(client, unlabelled=True) == []
    assert ids(client, min_wrong=0.5) == []


def test_a_walk_through_the_pages_of_the_api(browse, shop):
    client = browse(shop)
    found, after = [], None
    while True:
        page = client.get("/api/items", params={"sort": "-confidence", "limit": 20, "after": after or ""}).json()
        found += page["items"]
        after = page["following"]
        if after is None:
            break
    assert page["total"] == len({item["id"] for item in found}) == 48
    assert client.get("/api/items", params={"sort": "label", "after": "nonsense"}).status_code == 422
    assert client.get("/api/items", params={"sort": "-wrong"}).status_code == 409
    similar = client.get("/api/similar-items", params={"id": "5", "limit": 3}).json()
    assert len(similar) == 3
    assert 5 not in {one["item"]["id"] for one in similar}
    assert client.get("/api/similar-items", params={"id": "nobody"}).status_code == 404


def test_the_view_has_the_same_list_and_keeps_its_filter_in_every_address(browse, shop):
    client = browse(shop)
    page = client.get("/items?where=colour%3Dred&where=price%3C20&sort=-confidence&label=card").text
    total = client.get("/api/items?where=colour%3Dred&where=price%3C20&label=card").json()["total"]
    assert f'<b id="total">{total}</b> match' in page
    assert 'aria-sort="descending"' in page
    assert "/items?label=card&amp;where=colour%3Dred&amp;where=price%3C20&amp;sort=confidence" in page
    assert "/items?label=card&amp;where=price%3C20&amp;sort=-confidence" in page  # without the first condition
    assert client.get("/items?where=colour").status_code == 409
    assert "is no condition" in client.get("/items?where=colour").text
    assert client.get("/items?min_confidence=2").status_code == 422
    assert "No item fits" in client.get("/items?label=nobody").text
    assert client.get("/items?like=nobody").status_code == 409


def test_the_next_page_begins_where_the_first_ends(browse, served, monkeypatch):
    monkeypatch.setattr(items_view, "LISTED", 20)
    client = browse(served)
    first = client.get("/items?sort=label").text
    assert "1 to 20 of 48" in first
    address = first.split('rel="next"')[1].split('href="')[1].split('"')[0].replace("&amp;", "&")
    second = client.get(address).text
    assert "21 to 40 of 48" in second
    assert "First page" in second


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_listed_comes_as_a_file_that_relabel_takes_back(browse, shop, form, monkeypatch):
    from fg_search.review.exports.csv_table import from_csv
    from fg_search.review.exports.jsonl import from_jsonl

    monkeypatch.setattr(item_list, "_EXPORTED", 7)
    answer = browse(shop).get("/items/export", params={"form": form, "where": "colour=red", "sort": "-confidence"})
    assert answer.headers["content-disposition"] == f'attachment; filename="items.{form}"'
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert json.loads(rows[0]["payload"])["colour"] == "red"
        filled = answer.text.replace(",\r\n", ",loan\r\n")
        assert set(from_csv(filled)) == set(range(0, 48, 2))
    else:
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert set(from_jsonl("".join(json.dumps({**row, "corrected_label": "loan"}) + "\n" for row in rows))) == set(
            range(0, 48, 2)
        )
    assert len(rows) == 24
    assert browse(shop).get("/items/export?form=xml").status_code == 422


def test_several_items_are_decided_about_at_once(browse, served):
    client = browse(served, reviewer="Ada")
    answer = client.submit(
        "/items?sort=label", "/items/act", item=['"d1"', '"d2"', '"gone"'], action="label", label="new"
    )
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/items?sort=label&done=")
    assert answer.headers["location"].endswith("&made=2&missed=1")
    assert served.labels_of(["d1", "d2"]) == {"d1": "new", "d2": "new"}
    served.decide("d3", "keep", reviewer="Grace")
    undone = client.submit(answer.headers["location"], "/items/undo")
    assert undone.headers["location"] == "/items?sort=label&undone=2"
    assert "new" not in served.labels()
    assert [entry.id for entry in served.decisions(standing=True)] == ["d3"]


def test_all_that_match_are_deleted_after_a_question(browse, served):
    client = browse(served)
    count = served.labels_of([f"d{i}" for i in range(48)])
    cards = [user_id for user_id, label in count.items() if label == "card"]
    asked = client.submit("/items?label=card", "/items/act", scope="all", action="delete")
    assert asked.status_code == 200
    assert f"Delete {len(cards)} items?" in asked.text
    assert len(served) == 48
    client.submit("/items?label=card", "/items/act", scope="all", action="delete", confirmed="1")
    assert len(served) == 48 - len(cards)
    assert served.labels_of(cards) == {}


def test_bad_forms_are_refused(browse, served, monkeypatch):
    client = browse(served)
    for fields in (
        {"item": "d1", "action": "keep"},
        {"item": '"d1"', "action": "fly"},
        {"item": '"d1"', "action": "label", "label": " "},
        {"item": '"d1"', "action": "label", "label": "x" * 201},
    ):
        assert client.submit("/items", "/items/act", **fields).status_code == 422
    nothing = client.submit("/items", "/items/act", action="keep")
    assert "tick some items first" in client.get(nothing.headers["location"]).text
    assert client.post("/items/act", data={"item": '"d1"', "action": "keep"}).status_code == 403
    monkeypatch.setattr(item_list, "MAX_DECIDED", 5)
    assert (
        "at most 5 can be decided about at once"
        in client.submit("/items", "/items/act", scope="all", action="keep").text
    )
    assert served.decisions() == []


def test_a_tenant_sees_its_own_items_alone(browse, encoder):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="shop")) as index:
        index.tenant("a").add(["my card"], ids=[1])
        index.tenant("b").add(["my loan"], ids=[1])
        client = browse(index, tenant="a")
        assert [item["text"] for item in client.get("/api/items?id=1").json()["items"]] == ["my card"]
        assert client.get("/api/similar-items?id=1").json() == []
        assert "my loan" not in client.get("/map").text + client.get("/items").text


def test_a_hostile_item_is_text_on_items_and_map(browse, hostile):
    client = browse(hostile)
    for address in ("/items", "/items?like=%3Ci%3Eid%3C%2Fi%3E", "/map"):
        page = client.get(address).text
        assert "<b>bold" not in page
        assert "<script>document" not in page
        assert "<i>id" not in page
