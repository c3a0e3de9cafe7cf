import json
import re
import threading

import numpy as np
import pytest

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.layout.keys import MAP_KEY
from fg_search.web import item_map
from fg_search.web.item_map import ItemMap
from fg_search.web.kept_map import kept_map
from fg_search.web.map_view import legend_of


def drawn(client):
    """The map of a page, once it is there: the page, and what a browser draws."""
    page = client.get("/map").text
    while "being placed" in page:
        page = client.get("/map").text
    return page, client.get("/map/points").content


def columns(raw):
    count = len(raw) // 10
    words = np.frombuffer(raw[: 6 * count], "<u2").reshape(3, count)
    return words, np.frombuffer(raw[6 * count :], np.uint8).reshape(4, count)


def places(index):
    """Where a server that was just started has put the items."""
    placed = ItemMap(index, None).get(30, whole=True)
    return dict(zip(placed.ids, map(tuple, placed.places.tolist()), strict=True))


def test_the_picture_needs_no_script_and_the_data_say_the_same(browse, common):
    client = browse(common)
    page, raw = drawn(client)
    (x, _, label), (confidence, _, wrong, gone) = columns(raw)
    names = json.loads(re.search('data-names="([^"]*)"', page)[1].replace("&#34;", '"'))
    assert len(x) == len(common)
    assert sorted(names) == sorted(common.labels())
    assert page.count("M") >= 48
    stored = {item.id: item for item in common.items()}
    stamp = re.search('data-stamp="([0-9]+)"', page)[1]
    item = client.get(f"/map/items/{stamp}/7").json()
    assert item["text"] == stored[item["id"]].text
    assert names[label[7]] == stored[item["id"]].label
    assert confidence[7] == round(254 * stored[item["id"]].confidence)
    assert set(wrong) == {255}
    assert not gone.any()
    assert client.get(f"/map/items/{stamp}/48").status_code == 404
    assert client.get("/map/items/1/7").status_code == 409
    assert client.get("/map?colour=nonsense").status_code == 422
    assert "shade-none" in client.get("/map?colour=confidence&only=card").text
    assert "How likely the label is wrong" in page


def test_a_region_of_the_map_is_a_filter_of_items(browse, common, monkeypatch):
    client = browse(common)
    _, raw = drawn(client)
    (x, _, _), _ = columns(raw)
    found = client.get("/api/items?region=0,0,0.5,1&limit=100").json()
    assert found["total"] == int((x / 65535 <= 0.5).sum())
    assert 0 < found["total"] < 48
    assert client.get("/api/items?region=0,0,1,1").json()["total"] == 48
    assert client.get("/api/items?region=0,0,1").status_code == 422
    monkeypatch.setattr(item_map, "MAX_REGION", 10)
    assert "at most 10 can be listed" in client.get("/api/items?region=0,0,1,1").json()["error"]


def test_decisions_show_on_the_map_without_drawing_it_anew(browse, served):
    client = browse(served)
    _, before = drawn(client)
    client.post("/api/decisions", json={"id": "d3", "action": "delete"})
    client.post("/api/decisions", json={"id": "d4", "action": "label", "label": "brand new"})
    again, raw = drawn(client)
    words, numbers = columns(raw)
    assert numbers[3].sum() == 1
    assert '<b id="count">47</b>' in again
    assert "brand new" in again
    np.testing.assert_array_equal(words[:2], columns(before)[0][:2])
    client.post("/api/undo", json={"number": served.decisions()[0].number})
    assert columns(client.get("/map/points").content)[1][3].sum() == 0


def test_a_map_is_the_same_after_a_restart_and_new_items_move_no_other(browse, served, corpus):
    before = places(served)
    served.add([f"{text} indeed" for text in corpus[0][:9]], ids=[f"a{i}" for i in range(9)])
    after = places(served)
    assert len(after) == 57
    assert {name: after[name] for name in before} == before
    served.delete([f"d{i}" for i in range(20)])
    left = places(served)
    assert {name: left[name] for name in before if name in left} == {
        name: before[name] for name in before if name in left
    }


def test_a_map_is_drawn_anew_when_most_of_its_landmarks_are_gone_or_others_have_come(browse, served, corpus):
    drawn = kept_map(served, None)
    assert drawn is None
    places(served)
    first = kept_map(served, None)
    served.delete([f"d{i}" for i in range(30)])
    places(served)
    second = kept_map(served, None)
    assert (first.items, second.items) == (48, 18)
    served.add([f"{text} indeed" for text in corpus[0]], ids=[f"a{i}" for i in range(48)])
    places(served)
    assert kept_map(served, None).items == 66


def test_a_label_keeps_its_colour_when_others_become_more_frequent(browse, served):
    def colours():
        page = browse(served).get("/map").text.partition('data-legend="label"')[2].partition("</ul>")[0]
        return re.findall(r'swatch (hue-\d+)".*?data-only="([^"]*)"', page)

    before = colours()
    _, last = before[-1]
    served.relabel({f"d{i}": last for i in range(40)})
    after = colours()
    assert (dict(before)["hue-0"], after[-1]) == (before[0][1], before[-1])
    assert set(after) <= set(before)


def test_a_map_that_another_release_placed_in_another_way_is_laid_out_anew(served):
    places(served)
    drawn = kept_map(served, None)
    served.client.update_collection(
        served.collection, metadata={MAP_KEY: {**drawn.to_metadata(), "format": 1, "fingerprint": "of another"}}
    )
    assert kept_map(served, None) is None
    places(served)
    assert kept_map(served, None).fingerprint == drawn.fingerprint


def test_the_legend_says_what_has_no_colour(browse, served, monkeypatch):
    monkeypatch.setitem(legend_of.__globals__, "HUES", len(served.labels()) - 1)
    page = browse(served).get("/map?colour=wrong").text
    assert "<span>under 0.01, or not scored</span>" in page
    assert "<span>one other label</span>" in page


def test_a_copy_has_the_same_map(served, tmp_path):
    before = places(served)
    served.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy") as copied:
        assert places(copied) == before


def test_some_items_are_shown_while_all_others_are_being_placed(browse, common, monkeypatch):
    held = threading.Event()
    place = ItemMap._place
    monkeypatch.setattr(item_map, "_FIRST", 10)
    monkeypatch.setattr(
        ItemMap, "_place", lambda *given, is_whole: (not is_whole or held.wait(10)) and place(*given, is_whole=is_whole)
    )
    client = browse(common)
    page = client.get("/map").text
    assert "the others are being placed" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert len(client.get("/map/points").content) == 100
    assert client.get("/map/progress").json() == {"is_whole": False, "done": 0.0}
    monkeypatch.setattr(item_map, "_PATIENCE", 0.0)
    assert "still being drawn" in client.get("/api/items?region=0,0,1,1").json()["error"]
    held.set()
    while not client.get("/map/progress").json()["is_whole"]:
        pass
    assert len(client.get("/map/points").content) == 480
    assert "being placed" not in client.get("/map").text


def test_maps_of_a_few_tenants_are_kept(encoder, monkeypatch):
    monkeypatch.setitem(kept_map.__globals__, "_MOST_TENANTS", 2)
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(tenant_key="team")) as index:
        for name in ("a", "b", "c"):
            index.tenant(name).add([f"my card {name}", "a loan", "my pin"], ids=[1, 2, 3])
            ItemMap(index.tenant(name), name).get(30)
        assert [name for name in "abc" if kept_map(index, name)] == ["b", "c"]


def test_of_more_items_than_fit_a_sample_is_shown(browse, common, monkeypatch):
    monkeypatch.setattr(item_map, "MAX_ITEMS", 20)
    page, raw = drawn(browse(common))
    assert len(raw) == 200
    assert "a sample of" in page
    assert "of 48" in page


@pytest.mark.parametrize("count", [1, 3])
def test_few_items_and_items_without_labels_are_shown(encoder, count):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(["my card", "a loan", "my pin"][:count], ids=list(range(count)))
        placed = ItemMap(index, None).get(30)
        assert placed.labels == []
        assert set(placed.label) == {65535}
        assert sorted(placed.within(0, 0, 1, 1)) == list(range(count))
