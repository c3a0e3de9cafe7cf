import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from html import unescape

import pytest

from fg_search.review.items import Example
from fg_search.web.review_view import LISTED


def item_on(page):
    return re.search(r'<h2[^>]*id="text"[^>]*>([^<]*)</h2>', page.text)[1]


def test_the_least_confident_item_comes_first_with_evidence_on_both_sides(browse, common):
    page = browse(common).get("/review")
    first = common.review(limit=1)[0]
    assert item_on(page) == first.text
    same, other = page.text.split("Nearest with other labels")
    assert f'<span class="label">{first.label}</span>' in same.split("Nearest with the same label")[1]
    assert f'<span class="label">{first.label}</span>' not in other.split("</section>")[0]
    assert "0</b> decided today" in page.text
    assert '<b id="left">48</b>' in page.text


def test_keep_takes_the_item_out_of_the_list_and_counts(browse, served):
    client = browse(served, reviewer="Ada")
    first, second = served.review(limit=2)
    response = client.submit("/review", "/review/decide", action="keep")
    assert response.status_code == 303
    page = client.get(response.headers["location"])
    assert item_on(page) == second.text
    assert '<b id="decided">1</b>' in page.text
    (entry,) = served.decisions()
    assert (entry.id, entry.action, entry.reviewer) == (first.id, "keep", "Ada")


def test_another_label_is_set_and_undone(browse, served):
    client = browse(served)
    first = served.review(limit=1)[0]
    client.submit("/review", "/review/decide", action="label", label=" brand new ")
    assert served.decisions()[0].after == "brand new"
    assert 'value="brand new"' in client.get("/review").text  # offered from now on
    page = client.get(client.submit("/review", "/review/undo").headers["location"])
    assert item_on(page) == first.text
    assert "was taken back" in page.text
    assert '<b id="decided">0</b>' in page.text


def test_a_deleted_item_comes_back(browse, served):
    client = browse(served)
    client.submit("/review", "/review/decide", action="delete", confirmed="1")
    assert len(served) == 47
    client.submit("/review", "/review/undo")
    assert len(served) == 48


def test_next_goes_on_without_a_decision_and_starts_again_at_the_end(browse, common):
    client = browse(common)
    items = common.review(limit=LISTED)
    page = client.get("/review?skip=1")
    assert item_on(page) == items[1].text
    assert 'href="/review?kind=ambiguous&amp;skip=2#item" data-key="n"' in page.text
    assert 'skip=0#item" data-key="n"' in client.get("/review?skip=47").text
    assert item_on(client.get("/review?skip=99999")) == items[47].text
    assert item_on(client.get("/review?skip=-1")) == item_on(client.get("/review?skip=²")) == items[0].text


def test_a_decision_stays_at_its_place_in_the_list(browse, served):
    client = browse(served)
    items = served.review(limit=4)
    response = client.submit("/review?skip=2", "/review/decide", action="unsure")
    assert item_on(client.get(response.headers["location"])) == items[3].text


def test_accept_is_offered_only_where_something_is_suggested(browse, served, monkeypatch):
    client = browse(served)
    assert 'value="accept"' not in client.get("/review").text
    item = served.review(limit=1)[0]
    point = served.client.scroll(served.collection, limit=100)[0]
    point_id = next(one.id for one in point if one.payload["fg"]["id"] == item.id)
    served.client.set_payload(served.collection, {"review": {"suggested": "loan"}}, points=[point_id], key="fg")
    suggesting = replace(
        item,
        suggested_label="loan",
        suggested_probability=0.91,
        agreeing=(Example("a", "one like it", item.label, 0.5),),
        contradicting=(Example("b", "one unlike it", "loan", 0.8),),
    )
    monkeypatch.setattr(served, "review", lambda **_: [suggesting])
    page = client.get("/review")
    assert "one like it" in page.text
    assert "one unlike it" in page.text
    assert "0.91" in page.text
    assert 'data-key="a"' in page.text
    assert client.submit("/review", "/review/decide", action="accept").status_code == 303
    assert (served.decisions()[0].action, served.decisions()[0].after) == ("accept", "loan")


def test_nothing_to_accept_and_nothing_to_undo_are_told(browse, served):
    client = browse(served)
    refused = client.submit("/review", "/review/decide", action="accept")
    assert refused.status_code == 422
    assert "no suggested label" in refused.text
    client.submit("/review", "/review/decide", action="keep")
    fields = form_of(client, "/review", "/review/undo")
    nothing = client.post("/review/undo", data=fields | {"number": "1"})
    assert nothing.status_code == 409
    assert "no decision 1" in nothing.text
    assert client.post("/review/undo", data=fields | {"number": ""}).status_code == 422
    assert client.post("/review/undo", data=fields | {"of": "{}"}).status_code == 422


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "burn"}, 422),
        ({"action": "undo"}, 422),
        ({"action": "label"}, 422),
        ({"action": "label", "label": "  "}, 422),
        ({"action": "label", "label": "x" * 201}, 422),
        ({"action": "keep", "item": '"nobody"'}, 404),
        ({"action": "keep", "item": "{}"}, 422),
        ({"action": "keep", "item": "true"}, 422),
        ({"action": "keep", "item": "not json"}, 422),
        ({"action": "keep", "item": "9" * 30}, 422),
    ],
)
def test_bad_decisions_are_refused_and_not_logged(browse, common, fields, status):
    refused = browse(common).submit("/review", "/review/decide", **fields)
    assert refused.status_code == status
    assert 'class="card problem"' in refused.text
    assert common.decisions() == []


def test_integer_ids_stay_integers(browse, empty, corpus):
    texts, labels = corpus
    empty.add(texts, ids=range(len(texts)), labels=labels)
    browse(empty).submit("/review", "/review/decide", action="keep")
    assert isinstance(empty.decisions()[0].id, int)


def test_items_without_a_label(browse, empty, corpus):
    empty.add(corpus[0][:5])
    page = browse(empty).get("/review")
    assert "no label" in page.text
    assert "The item has no label." in page.text


def test_an_unknown_list_is_not_there(browse, common):
    assert browse(common).get("/review?kind=nonsense").status_code == 404


def test_an_empty_index_and_a_finished_list(browse, empty, corpus):
    client = browse(empty)
    assert "Nothing to review" in client.get("/review").text
    empty.add(corpus[0][:1])
    client.submit("/review", "/review/decide", action="keep")
    page = client.get("/review")
    assert "Nothing to review" in page.text
    assert page.status_code == 200


def test_many_at_once(browse, served):
    client = browse(served)
    ids = [item.id for item in served.review(limit=24)]

    def work(item_id):
        client.post("/api/search", json={"query": "card"})
        return client.post("/api/decisions", json={"id": item_id, "action": "keep"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, ids)) == {201}
    assert sorted(entry.id for entry in served.decisions()) == sorted(ids)


@pytest.fixture
def scored(served):
    """The index with a copy of d0 that has another label, and an odd item; all lists are there."""
    first = served.review(limit=48)[0]
    served.add([f"{first.text}!", "zebra"], ids=["copy", "odd"], labels=["elsewhere", "card"])
    served.score_items()
    served.score_labels()
    return served


@pytest.mark.parametrize("kind", ["contradicted", "conflicting", "duplicate", "outlier"])
def test_every_kind_has_its_list_and_says_what_to_do_first(browse, served, kind):
    page = browse(served).get(f"/review?kind={kind}")
    assert page.status_code == 409
    assert "fg-search score" in page.text
    served.score_items()
    served.score_labels()
    page = browse(served).get(f"/review?kind={kind}")
    assert page.status_code == 200
    assert f'href="/review?kind={kind}" aria-current="page">{kind.capitalize()}</a>' in page.text


def test_an_empty_list_tells_which_labels_were_not_judged(browse, served, rows):
    served.relabel({user_id: f"label {i // 3}" for i, user_id in enumerate(rows["ids"])})
    served.score_labels()
    page = browse(served).get("/review?kind=contradicted")
    assert "48 items have a label with too few examples to judge" in page.text
    assert "too few examples" not in browse(served).get("/review?kind=unsure").text
    assert "Labels with too few examples to judge</dt><dd>48" in browse(served).get("/health").text


def test_a_conflict_shows_the_other_item_and_offers_its_label(browse, scored):
    client = browse(scored)
    page = client.get('/review?kind=conflicting&item="copy"')
    original = scored.review(kind="conflicting", label="elsewhere")[0].contradicting[0]
    assert original.text in page.text.split("Nearest with other labels")[1]
    assert f'name="label" value="{original.label}" data-key="1"' in page.text
    client.submit('/review?kind=conflicting&item="copy"', "/review/decide", action="label", label=original.label)
    assert "Nothing to review" in client.get("/review?kind=conflicting&label=elsewhere").text


def test_filters_stay_while_one_decides_and_goes_on(browse, scored):
    client = browse(scored)
    address = "/review?kind=duplicate&label=elsewhere&min_score=0.1&diverse=1"
    page = client.get(address)
    assert '<b id="left">1</b>' in page.text
    assert "<summary>Filtered</summary>" in page.text
    assert 'name="diverse" type="checkbox" value="1" checked' in page.text
    response = client.submit(address, "/review/decide", action="label", label="brand new")
    assert response.headers["location"].startswith(
        "/review?kind=duplicate&label=elsewhere&min_score=0.1&diverse=1&skip=0"
    )
    assert scored.decisions()[-1].after == "brand new"
    assert "No item of this list fits" in client.get(response.headers["location"]).text
    undone = client.submit(address, "/review/undo")
    assert "label=elsewhere" in undone.headers["location"]
    assert (
        'href="/review?kind=ambiguous&amp;label=card&amp;skip=1#item" data-key="n"'
        in client.get("/review?label=card").text
    )


@pytest.mark.parametrize("query", ["min_score=2", "min_score=x", "diverse=perhaps", f"label={'x' * 201}"])
def test_bad_filters_are_refused(browse, common, query):
    page = browse(common).get(f"/review?{query}")
    assert page.status_code == 422
    assert 'class="card problem"' in page.text


def test_the_api_has_the_same_lists_and_filters(browse, scored):
    client = browse(scored)
    listed = client.get("/api/review", params={"kind": "duplicate", "label": "elsewhere", "diverse": "true"}).json()
    assert [item["id"] for item in listed] == ["copy"]
    assert listed[0]["contradicting"]
    assert client.get("/api/review", params={"min_score": 3}).status_code == 422
    pairs = client.get("/api/confused-labels", params={"limit": 2}).json()
    assert len(pairs) == len(scored.confused_labels(2))


def form_of(client, page, action):
    """The hidden fields of a form, to be sent later."""
    form = re.search(rf'<form[^>]*action="{action}".*?</form>', client.get(page).text, re.DOTALL)[0]
    return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)}


def test_a_form_that_is_sent_twice_decides_once(browse, served):
    client = browse(served)
    second = served.review(limit=2)[1]
    fields = {**form_of(client, "/review", "/review/decide"), "action": "keep"}
    assert client.post("/review/decide", data=fields, follow_redirects=False).status_code == 303
    again = client.post("/review/decide", data=fields)
    assert again.status_code == 409
    assert "Nothing was changed" in again.text
    assert "meanwhile: keep" in again.text
    assert item_on(again) == second.text
    assert len(served.decisions()) == 1


def test_a_form_from_before_somebody_else_decided_is_refused(browse, served):
    client = browse(served)
    item = served.review(limit=1)[0]
    fields = {**form_of(client, "/review", "/review/decide"), "action": "delete", "confirmed": "1"}
    served.decide(item.id, "label", "food", reviewer="Ben")
    served.undo(reviewer="Ben")
    refused = client.post("/review/decide", data=fields)
    assert refused.status_code == 409
    assert "Ben took back a decision" in refused.text
    assert item_on(refused) == item.text  # it is shown again
    assert len(served) == 48
    assert client.submit("/review", "/review/decide", action="delete", confirmed="1").status_code == 303


def test_undo_takes_back_what_the_page_showed(browse, served):
    client = browse(served)
    first, second = served.review(limit=2)
    served.decide(first.id, "keep")
    fields = form_of(client, "/review", "/review/undo")
    later = served.decide(second.id, "label", "food", reviewer="Ben")
    assert client.post("/review/undo", data=fields, follow_redirects=False).status_code == 303
    assert served.decisions(standing=True) == [later]
    again = client.post("/review/undo", data=fields)
    assert again.status_code == 409
    assert "taken back already" in again.text
    served.relabel({second.id: "newer"})
    refused = client.submit("/review", "/review/undo", confirmed="1")
    assert refused.status_code == 409
    assert "&#39;newer&#39; by now" in refused.text
    assert client.post("/review/undo", data={**fields, "number": "x"}).status_code == 422


def test_z_takes_back_ones_own_decision_and_that_of_others_only_after_a_question(browse, served):
    client = browse(served)
    own, other = served.review(limit=2)
    client.cookies.set("fg_reviewer", "Ada")
    first = served.decide(own.id, "keep", reviewer="Ada")
    second = served.decide(other.id, "label", "food", reviewer="Ben")
    page = client.get("/review").text
    form = re.search(r'<form method="post" action="/review/undo">(?:(?!</form>).)*data-key="z"', page, re.DOTALL)[0]
    assert f'name="number" value="{first.number}"' in form  # not the latest, which is Ben's
    decided = page.partition(">Decided</h2>")[2]
    assert re.findall(r'<span class="hint">(\w+), ', decided) == ["Ben", "Ada"]
    assert f'keep: <span class="label">{own.label}</span>' in decided
    asked = client.submit("/review", "/review/undo", 1)
    assert (asked.status_code, "Take back what Ben decided?" in asked.text) == (200, True)
    assert other.text in unescape(asked.text)
    assert served.decisions(standing=True) == [first, second]
    sent = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', asked.text))
    confirmed = {name: unescape(value) for name, value in sent.items()}
    assert client.post("/review/undo", data=confirmed, follow_redirects=False).status_code == 303
    assert served.decisions(standing=True) == [first]
    client.cookies.set("fg_reviewer", "Ben")
    assert 'data-key="z"' not in client.get("/review").text


def test_accept_takes_the_suggestion_that_was_shown(browse, scored):
    client = browse(scored)
    (item,) = scored.review(kind="contradicted", limit=1)
    suggest = partial(suggested_for, scored, item.id)
    suggest("two\nlines")
    address = "/review?kind=contradicted"
    fields = {**form_of(client, address, "/review/decide"), "action": "accept"}
    suggest("loan")
    refused = client.post("/review/decide", data=fields)
    assert refused.status_code == 409
    assert "is no longer suggested, &#39;loan&#39; is" in refused.text
    assert item_on(refused) == item.text
    assert client.post("/review/decide", data={**fields, "suggested": "no JSON"}).status_code == 422
    suggest("two\nlines")
    assert client.submit(address, "/review/decide", action="accept").status_code == 303
    assert scored.decisions()[-1].after == "two\nlines"


def suggested_for(index, item_id, label, **scores):
    records = index.client.scroll(index.collection, limit=100)[0]
    point = next(one.id for one in records if one.payload["fg"]["id"] == item_id)
    index.client.set_payload(index.collection, {"suggested": label, **scores}, points=[point], key="fg.review")


def test_what_somebody_was_unsure_of_is_a_list_for_others(browse, served):
    item = served.review(limit=1)[0]
    browse(served, reviewer="Ada").submit("/review", "/review/decide", action="unsure")
    client = browse(served, reviewer="Ben")
    page = client.get("/review?kind=unsure")
    assert item_on(page) == item.text
    assert "Ada was not sure" in page.text
    assert 'value="unsure"' not in page.text.split("<article")[1]
    client.submit("/review?kind=unsure", "/review/decide", action="keep")
    assert "Nothing to review" in client.get("/review?kind=unsure").text


def test_a_decision_that_cannot_be_carried_out_does_not_stop_the_page(browse, served):
    client = browse(served)
    assert client.post("/api/decisions", json={"id": "d1", "action": "label", "label": "\x1c"}).status_code == 422
    served.decide("d1", "keep")
    served.delete(["d1"])
    assert client.submit("/review", "/review/undo").status_code == 409
    assert client.get("/review").status_code == 200
    assert client.submit("/review", "/review/decide", action="keep").status_code == 303


def test_a_reviewer_has_a_name(browse, common):
    with pytest.raises(ValueError, match="reviewer is empty"):
        browse(common, reviewer=" ")


def test_a_deletion_is_asked_about_and_can_be_left(browse, served):
    client = browse(served)
    item = served.review(limit=1)[0]
    asked = client.submit("/review", "/review/decide", action="delete")
    assert asked.status_code == 200
    assert "Delete this item?" in asked.text
    assert item.text in asked.text
    assert served.decisions() == []
    served.delete([item.id])
    gone = client.post("/review/decide", data={**_hidden(asked.text), "action": "delete"})
    assert gone.status_code in (404, 409)


def _hidden(page):
    """Fields of the form that asks."""
    form = page.split('class="actions"')[1]
    return {name: unescape(value) for name, value in re.findall(r'name="([^"]*)" value="([^"]*)"', form)}


def test_each_browser_keeps_the_name_of_its_reviewer(browse, served):
    ada, grace, nobody = (browse(served, reviewer="the team") for _ in range(3))
    assert (
        ada.submit("/review", "/reviewer", name=" Ada L\u00f6velace ", next="/review").headers["location"] == "/review"
    )
    grace.submit("/review", "/reviewer", name="Grace")
    for client in (ada, grace, nobody):
        client.submit("/review", "/review/decide", action="keep")
    assert [one.reviewer for one in served.decisions()] == ["Ada L\u00f6velace", "Grace", "the team"]
    assert "Ada L\u00f6velace" in ada.get("/items").text
    assert ada.submit("/", "/reviewer", name="x" * 61).status_code == 422
    assert ada.submit("/", "/reviewer", name="Ada", next="//elsewhere.example").headers["location"] == "/"
    ada.submit("/", "/reviewer", name="")
    ada.submit("/review", "/review/decide", action="keep")
    assert served.decisions()[-1].reviewer == "the team"
    nobody.cookies.set("fg_reviewer", "%FF%00")
    nobody.submit("/review", "/review/decide", action="keep")
    assert served.decisions()[-1].reviewer == "the team"


def test_the_score_of_a_list_stands_beside_its_name(browse, served):
    served.relabel({"d0": "loan"})
    served.score_labels()
    page = browse(served).get("/review?kind=contradicted").text
    assert "Label wrong" in page
    assert f'id="score">{served.review(kind="contradicted", limit=1)[0].score:.2f}<' in page


def test_a_list_of_contradicted_labels_says_how_many_are_likely_wrong(browse, served):
    served.score_labels()
    client = browse(served)
    suggested = partial(suggested_for, served)
    item, other = served.review(limit=2)
    for one in served.review(kind="contradicted"):
        suggested(one.id, "loan", score=0.001, probability=0.0)
    suggested(other.id, "loan", score=0.02, probability=0.01)
    suggested(item.id, "loan", score=0.05, probability=0.04)
    page = client.get("/review", params={"kind": "contradicted", "item": f'"{item.id}"'}).text
    left = served.count_review(kind="contradicted")
    assert f"None of these labels is more likely wrong than right; these {left} are contradicted the most." in page
    assert 'class="primary" name="action" value="keep"' in page
    assert page.index('value="keep"') < page.index('value="accept"')
    assert "Set loan" in page
    suggested(item.id, "loan", score=0.9, probability=0.8)
    page = client.get("/review?kind=contradicted").text
    assert f"1 of these {left} labels is more likely wrong than right." in page
    assert 'class="primary" name="action" value="accept"' in page


def test_a_long_list_says_how_many_are_left(browse, empty, corpus):
    empty.add([f"{text} {number}" for number in range(3) for text in corpus[0]], labels=corpus[1] * 3)
    client = browse(empty)
    assert '<b id="left">144</b>' in client.get("/review").text
    wanted = empty.review(limit=120)[119].score
    page = client.get("/review", params={"min_score": wanted, "diverse": "1"})
    assert f'<b id="left">{empty.count_review(min_score=wanted)}</b>' in page.text
    assert empty.count_review(min_score=wanted) >= 120


def test_a_second_reviewer_sees_the_item_without_the_first_decision(browse, served):
    client = browse(served)
    client.cookies.set("fg_reviewer", "Ada")
    client.submit("/review", "/review/decide", action="label", label="brand new")
    (first,) = served.decisions()
    assert "Nobody else has decided" in client.get("/review?kind=second").text
    client.cookies.set("fg_reviewer", "Ben")
    page = client.get("/review?kind=second")
    assert f'<span class="label">{first.before}</span>' in page.text
    assert "brand new" not in page.text.partition("</datalist>")[2]
    asked = client.submit("/review?kind=second", "/review/decide", action="delete")
    assert "Delete this item?" in asked.text
    assert "brand new" not in asked.text
    assert client.submit("/review?kind=second", "/review/decide", action="keep").status_code == 303
    second = served.decisions()[-1]
    assert (second.reviewer, second.after, second.opinion_on) == ("Ben", first.before, first.number)
    assert "Nobody else has decided" in client.get("/review?kind=second").text
    assert client.get("/api/review?kind=second").json() == []
    shown = client.get("/review/reviewers").text
    assert "Ada and Ben" in shown
    assert "too few items" in shown
    (address,) = re.findall(r'differ about <a href="([^"]*)">one item</a>', shown)
    assert first.id in client.get(unescape(address)).text
    assert '<a href="/review?kind=differ">Settle the item</a>' in shown
    client.cookies.set("fg_reviewer", "Cleo")
    page = client.get("/review?kind=differ").text
    assert f"Ada says brand new, Ben says {first.before}" in page
    assert re.findall(r'name="label" value="([^"]*)" data-key="[12]"', page) == ["brand new", first.before]
    both = client.get("/api/review?kind=differ").json()[0]["opinions"]
    assert both == [{"reviewer": "Ada", "label": "brand new"}, {"reviewer": "Ben", "label": first.before}]
    client.submit("/review?kind=differ", "/review/decide", action="label", label="brand new")
    assert "has been settled" in client.get("/review?kind=differ").text
    assert "Settle" not in client.get("/review/reviewers").text


def test_progress_is_counted_by_the_name_of_the_reviewer(browse, served):
    client = browse(served)
    assert "Nothing was decided yet" in client.get("/review/reviewers").text
    for name in ("Ada", "Ada", "Ben"):
        client.cookies.set("fg_reviewer", name)
        client.submit("/review", "/review/decide", action="keep")
    assert 'Ada <span class="number">2</span>' in client.get("/review").text
    page = client.get("/review/reviewers").text
    assert re.findall(r'<th scope="row">(\w+)</th><td class="figure">(\d)</td>', page) == [("Ada", "2"), ("Ben", "1")]
    assert "Nobody has given a" in page
