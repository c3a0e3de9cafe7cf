import re

import pytest


def rows(page):
    """Cells of each row of the table, as texts."""
    found = re.findall(r"<tr>(.*?)</tr>", page.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in cells]


def ready(client, address="/labels"):
    page = client.get(address).text
    while "The items are being read" in page:
        page = client.get(address).text
    return page


def test_each_label_has_a_row_with_its_items_and_their_confidence(browse, served):
    served.add(["a new thing"], ids=["new"], labels=["brand new"])
    client = browse(served)
    page = ready(client)
    found = {row[0].split(" ")[0]: row for row in rows(page)}
    items = served.items()
    for name in ("card", "loan"):
        of_label = [item.confidence for item in items if item.label == name]
        assert found[name][1] == str(len(of_label))
        assert float(found[name][2]) == pytest.approx(sum(of_label) / len(of_label), abs=0.011)
    assert found["brand"][0] == "brand new 3 more examples needed"
    assert "fg-search score" in page
    by_items = [int(row[1]) for row in rows(ready(client, "/labels?sort=items"))]
    assert by_items == sorted(by_items)
    assert client.get("/labels?sort=colour").status_code == 422


def test_scores_promises_and_open_queries_have_columns(browse, served, questions):
    served.relabel({f"d{i}": "loan" if i % 2 else "card" for i in range(4)})
    served.score_labels()
    served.calibrate(*questions(200, 3), promise_by="label")
    served.log_queries()
    served.search_many(["zebra card"], min_query_confidence=1)
    page = ready(browse(served), "/labels?sort=-confused")
    for heading in ("Likely wrong", "Most confused with", "No sure answer", "Judged right"):
        assert heading in page
    pair = served.confused_labels(1)[0]
    row = next(row for row in rows(page) if row[0] == pair.first)
    assert pair.second in row[4]
    assert sum(int(row[5]) for row in rows(page)) == 1
    assert f"/items?label={pair.first}" in page


def test_without_labels_the_view_says_so(browse, empty):
    empty.add(["my card"])
    assert "No item has a label" in browse(empty).get("/labels").text
