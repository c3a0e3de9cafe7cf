"""The view Queries: what the page logs, and what one decides about it."""

import re

import pytest

OUTSIDE = ["zebra quilt", "quilt zebra", "zebra", "quilt", "zebra zebra quilt"]  # words that the model does not know
UNCLEAR = {"min_query_confidence": 1.0, "on_uncertain": "abstain"}


@pytest.fixture
def asked(served):
    """An index whose log has a cluster of five queries, one of which was asked twice, and two others."""
    served.log_queries()
    served.search_many([*OUTSIDE, OUTSIDE[0], "card blocked", "pizza oven"], **UNCLEAR)
    return served


def ids_on(page):
    return [value.split() for value in re.findall(r'name="ids" value="([^"]*)"', page.text)]


def test_the_page_logs_only_when_it_is_told_to(browse, served):
    client = browse(served)
    question = {"q": "card pin", "min_query_confidence": "1"}
    assert "are kept for" not in client.get("/", params=question).text
    assert served.logged_queries() == []
    page = client.get("/queries").text
    assert "does not log queries" in page
    assert "--log-queries" in page
    served.log_queries()
    page = client.get("/", params=question).text
    assert "are kept for" in page
    assert [query.text for query in served.logged_queries()] == ["card pin"]
    anyway = re.search(r'href="(/[^"]*)">Show the nearest', page)[1].replace("&amp;", "&")
    assert "Doubtful answer" in client.get(anyway).text
    client.post("/api/search", json={"query": "card pin", "min_query_confidence": 1})
    assert [query.count for query in served.logged_queries()] == [2]  # the same question, once more, is not
    foreign = client.get("/", params={**question, "q": "planted"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 200
    assert [query.text for query in served.logged_queries()] == ["card pin"]


def test_what_is_being_typed_gets_the_answer_alone_and_is_not_logged(browse, served):
    served.log_queries("all")
    client = browse(served)
    page = client.get("/", params={"q": "card blo", "doubtful": "show"}, headers={"Fg-Typing": "1"})
    assert page.text.count('class="card hit"') == 10
    assert "<form" not in page.text
    assert 'data-said="Doubtful answer, 10 hits"' in page.text
    assert served.logged_queries(only_open=False) == []
    client.get("/", params={"q": "card blocked"})
    assert [query.text for query in served.logged_queries(only_open=False)] == ["card blocked"]


def test_looking_at_the_neighbours_of_an_item_logs_nothing(browse, empty):
    empty.log_queries("all")
    empty.add(["my card", "my loan"], labels=["card", "loan"])
    browse(empty).get("/review")
    assert empty.logged_queries(only_open=False) == []


def test_candidates_come_first_and_every_query_is_listed(browse, asked):
    page = browse(asked).get("/queries")
    assert '<b id="open">7</b>' in page.text
    assert "5 queries, asked 6 times in all" in page.text
    assert "asked twice" in page.text
    candidates = [ids for ids in ids_on(page) if len(ids) > 1]
    assert {query.id for query in asked.logged_queries() if query.text in OUTSIDE} == set(candidates[0])
    for query in asked.logged_queries():
        assert [query.id] in ids_on(page)


def test_a_candidate_is_added_with_a_label_and_taken_back(browse, asked):
    client = browse(asked, reviewer="Ada")
    response = client.submit("/queries", "/queries/decide", action="add", label=" animal ")
    assert response.status_code == 303
    page = client.get(response.headers["location"])
    assert "5 queries added as" in page.text
    assert '<b id="open">2</b>' in page.text
    assert len(asked) == 53
    assert "animal" in asked.labels()
    entry = next(query for query in asked.logged_queries(only_open=False) if query.text in OUTSIDE)
    assert (entry.resolution.label, entry.resolution.reviewer) == ("animal", "Ada")
    client.submit("/queries", "/queries/decide", action="reopen")
    assert len(asked) == 48
    assert '<b id="open">7</b>' in client.get("/queries").text


def test_dismissed_queries_leave_the_list(browse, asked):
    client = browse(asked)
    client.submit("/queries", "/queries/decide", action="dismiss", label="never mind")
    assert {query.text for query in asked.logged_queries()} == {"card blocked", "pizza oven"}
    client.submit("/queries", "/queries/decide", action="reopen")
    assert len(asked.logged_queries()) == 7
    everything = " ".join(query.id for query in asked.logged_queries())
    client.submit("/queries", "/queries/decide", action="dismiss", ids=everything)
    assert "All done" in client.get("/queries").text
    assert len(asked) == 48


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "burn"}, 422),
        ({"action": "add", "label": "  "}, 422),
        ({"action": "add"}, 422),
        ({"action": "add", "label": "x" * 201}, 422),
        ({"action": "dismiss", "ids": ""}, 422),
        ({"action": "dismiss", "ids": "nobody"}, 404),
        ({"action": "dismiss", "ids": " ".join(["x"] * 1001)}, 422),
        ({"action": "dismiss", "csrf": "forged"}, 403),
    ],
)
def test_bad_decisions_are_refused(browse, asked, fields, status):
    assert browse(asked).submit("/queries", "/queries/decide", **fields).status_code == status
    assert len(asked.logged_queries()) == 7


def test_many_queries_come_in_pages(browse, served):
    served.search_many([f"card {i}" for i in range(110)], log="uncertain", **UNCLEAR)
    client = browse(served)
    page = client.get("/queries")
    assert 'href="/queries?skip=20#one-by-one"' in page.text
    last = client.get("/queries?skip=100")
    assert 'start="101"' in last.text
    assert "More queries" not in last.text
    for odd in ("-1", "x", "9" * 40, "²"):
        assert client.get("/queries", params={"skip": odd}).status_code == 200
    assert 'start="101"' in client.get("/queries?skip=109").text


def test_hostile_queries_are_text(browse, served):
    served.search("<script>alert(1)</script>", log="all", **UNCLEAR)
    page = browse(served).get("/queries").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_same_for_programs(browse, asked):
    client = browse(asked)
    listed = client.get("/api/queries", params={"limit": 3}).json()
    assert [query["count"] for query in listed] == [2, 1, 1]
    assert listed[0]["nearest"]["score"] >= 0
    (label, *_) = client.get("/api/missing-labels").json()
    assert (label["size"], len(label["queries"])) == (6, 5)
    ids = [query["id"] for query in label["queries"]]
    decided = client.post("/api/queries/decisions", json={"ids": ids, "action": "add", "label": "animal"})
    assert decided.status_code == 201
    assert {query["resolution"]["label"] for query in decided.json()} == {"animal"}
    assert len(asked) == 53
    for body, status in (
        ({"ids": ["nobody"], "action": "dismiss"}, 404),
        ({"ids": ids, "action": "add"}, 422),
        ({"ids": [], "action": "dismiss"}, 422),
    ):
        refused = client.post("/api/queries/decisions", json=body)
        assert refused.status_code == status
        assert refused.json()["error"]
    assert len(client.get("/api/queries", params={"only_open": False}).json()) == 7


def test_several_that_are_ticked_are_decided_about_together(browse, asked):
    client = browse(asked)
    open_ones = asked.logged_queries()
    chosen = [query.id for query in open_ones[:3]]
    form = re.search(r'<form[^>]*id="several".*?</form>', client.get("/queries").text, re.DOTALL)[0]
    csrf = re.search(r'name="csrf" value="([^"]*)"', form)[1]
    fields = {"csrf": csrf, "query": chosen, "action": "add", "label": "animal"}
    assert client.post("/queries/decide", data=fields, follow_redirects=False).status_code == 303
    decided = [query for query in asked.logged_queries(only_open=False) if query.resolution is not None]
    assert {query.id for query in decided} == set(chosen)
    assert len({query.resolution for query in decided}) == 1
    nothing = client.post("/queries/decide", data={"csrf": csrf, "action": "dismiss"})
    assert nothing.status_code == 422
    assert "Tick the queries" in nothing.text
