import html
import re

import pytest

from fg_search import ConfidenceIndex


def shown(page):
    """What a person reads, without the marks."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.text)))


def test_the_first_page_asks(browse, common):
    page = browse(common).get("/")
    assert page.status_code == 200
    assert 'name="q"' in page.text
    assert "48 items" in shown(page)


def test_hits_have_label_confidence_and_agreement(browse, common):
    page = browse(common).get("/", params={"q": "card blocked", "limit": 3})
    text = shown(page)
    assert text.count("Groups agree") == 3
    assert "4 of 4" in text
    assert page.text.partition('<ol class="hits')[2].count('<span class="label">card</span>') == 3
    assert "Answer, not checked" in text  # nothing was asked for that it could fail


def test_the_question_is_in_its_field_again(browse, common):
    assert 'value="card &#34;blocked&#34;"' in browse(common).get("/", params={"q": 'card "blocked"'}).text


def test_a_clear_question_is_answered_and_one_about_nothing_is_not(browse, calibrated):
    client = browse(calibrated)
    clear = client.get("/", params={"q": "my card stolen pin", "target_precision": "0.8"})
    assert '<h2 id="decision">Answer</h2>' in clear.text
    for question, reason in (("please help my pizza flight loan", "below"), ("zebra", "read nothing of the query")):
        nothing = client.get("/", params={"q": question, "target_precision": "0.8"})
        assert '<h2 id="decision">No answer</h2>' in nothing.text
        assert reason in shown(nothing)
        assert 'class="card hit"' not in nothing.text


def test_an_abstention_leads_to_its_doubtful_hits(browse, calibrated):
    client = browse(calibrated)
    page = client.get("/", params={"q": "zebra", "target_precision": "0.8"})
    address = html.unescape(re.search(r'href="([^"]*)">Show the nearest items anyway', page.text)[1])
    doubtful = client.get(address)
    assert '<h2 id="decision">Doubtful answer</h2>' in doubtful.text
    assert 'class="card hit"' in doubtful.text


def test_a_precision_is_asked_for_unasked_but_none_is_a_choice(browse, calibrated):
    client = browse(calibrated)
    clear = client.get("/", params={"q": "my card stolen pin", "target_precision": ""})
    assert "Answer, not checked" in shown(clear)
    assert re.search(r'<option value="0.\d+" selected', client.get("/").text)


def test_where_no_usual_precision_can_be_promised_the_best_that_can_be_is_asked_for(browse, served, questions):
    served.calibrate(*questions(60, 3))
    best = served.calibration.best_precision
    client = browse(served)
    page = client.get("/")
    assert 0.5 < best < 0.8
    assert f'<option value="{best:g}" selected>{100 * best:g}%</option>' in page.text
    assert f"{100 * best:g}% of the answers are promised to be right" in shown(page)
    nothing = client.get("/", params={"q": "please help my pizza flight loan"})
    assert '<h2 id="decision">No answer</h2>' in nothing.text
    assert f"is below what a precision of {best:.1%}" in shown(nothing)


def test_where_nothing_is_promised_an_answer_more_likely_wrong_than_right_is_in_doubt(browse, served, questions):
    served.calibrate(*questions(20, 3))
    served.log_queries()
    client = browse(served)
    home = client.get("/")
    assert not re.search(r'<option value="0\.\d+" selected', home.text)
    assert "How often answers are right is not promised" in shown(home)
    question = "zebra pizza flight quartz loan"
    chance = served.search(question, log="none").confidence
    assert chance < 0.5
    held_back = client.get("/", params={"q": question})
    assert '<h2 id="decision">No answer</h2>' in held_back.text
    assert f"More likely wrong than right: chance {chance:.2f}" in shown(held_back)
    assert 'class="card hit"' not in held_back.text
    marked = client.get("/", params={"q": question, "doubtful": "show", "again": 1})
    assert '<h2 id="decision">Doubtful answer</h2>' in marked.text
    assert 'class="card hit"' in marked.text
    assert [query.text for query in served.logged_queries()] == [question]
    programs = client.post("/api/search", json={"query": question}).json()
    assert (programs["decision"], programs["uncertain"]) == ("answer", False)


def test_a_precision_of_a_kept_address_is_among_the_choices(browse, calibrated):
    page = browse(calibrated).get("/", params={"q": "card", "target_precision": "0.55"})
    assert '<option value="0.55" selected>55%</option>' in page.text


def test_an_index_that_is_not_calibrated_doubts_what_hardly_looks_answerable(browse, common):
    client = browse(common)
    assert common.search("zebra quartz").query_confidence < 0.2
    page = client.get("/", params={"q": "zebra quartz"})
    assert '<h2 id="decision">No answer</h2>' in page.text
    assert 'class="card hit"' not in page.text
    marked = client.get("/", params={"q": "zebra quartz", "doubtful": "show"})
    assert '<h2 id="decision">Doubtful answer</h2>' in marked.text


def test_settings_that_nothing_is_promised_for_say_so_and_show_hits(browse, calibrated):
    settings = {"target_precision": "0.8", "min_confidence": "0.3"}
    page = browse(calibrated).get("/", params={"q": "please help my card is stolen", **settings})
    assert "is not promised for these settings" in shown(page)
    assert "Answer, not checked" in shown(page)
    assert 'class="card hit"' in page.text


def test_the_least_confidence_of_items_reaches_the_engine(browse, common):
    page = browse(common).get("/", params={"q": "card", "min_confidence": "1"})
    assert "No point passes the filters" not in shown(page)
    assert '<h2 id="decision">No answer</h2>' in page.text


def test_familiarity_is_shown_and_asked_for(browse, common, encoder):
    client = browse(common)
    page = client.get("/", params={"q": "zebra my pizza", "limit": 3, "doubtful": "show"})
    familiarity = encoder.encode(["zebra my pizza"]).familiarity[0]
    assert f"Query familiarity {familiarity:.2f}" in shown(page)
    assert shown(page).count(" Familiarity 1.00") == 3
    least = client.get("/", params={"q": "card", "min_familiarity": "1", "familiarity_weight": "2"})
    assert 'value="2"' in least.text
    all_of_them = client.get("/", params={"q": "card", "min_familiarity": "0", "doubtful": "show"})
    assert len(re.findall('class="card hit"', all_of_them.text)) == 10


def test_a_question_without_an_answer_is_shown_what_it_is_nearest_to(browse, common):
    page = browse(common).get("/", params={"q": "zebra my pizza", "min_query_confidence": "1"})
    assert '<h2 id="decision">No answer</h2>' in page.text
    nearest = common.search("zebra my pizza", explain=True).nearest
    assert f"Nearest to {nearest.text} {nearest.label} cosine {nearest.score:.2f}" in shown(page)


def test_an_unclear_question_is_not_answered_where_clear_ones_are_asked_for(browse, common):
    page = browse(common).get("/", params={"q": "zebra", "min_query_confidence": "0.99"})
    assert '<h2 id="decision">No answer</h2>' in page.text


def test_pages_of_hits(browse, common):
    client = browse(common)
    first = client.get("/", params={"q": "card", "limit": 5, "target_precision": "", "doubtful": "show"})
    address = html.unescape(re.search(r'rel="next" href="([^"]*)"', first.text)[1])
    second = client.get(address)
    assert 'start="6"' in second.text
    assert 'rel="prev"' in second.text


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"min_confidence": "1.5"}, "min confidence"),
        ({"min_confidence": "nan"}, "min confidence"),
        ({"target_precision": "1"}, "target precision"),
        ({"rank_by": "luck"}, "rank by"),
        ({"confidence_weight": "-1"}, "confidence weight"),
        ({"min_familiarity": "2"}, "min familiarity"),
        ({"familiarity_weight": "x"}, "familiarity weight"),
        ({"offset": "1001"}, "offset"),
        ({"q": "x" * 2001}, "query"),
    ],
)
def test_bad_settings_are_named(browse, common, parameters, wrong):
    page = browse(common).get("/", params={"q": "card", **parameters})
    assert page.status_code == 422
    assert f"<li>{wrong}: " in page.text


def test_half_a_character_is_no_crash(browse, common):
    assert browse(common).get("/?q=%ED%A0%80").status_code in (200, 422)


def test_an_empty_index_says_how_to_fill_it(browse, empty):
    page = browse(empty).get("/", params={"q": "card"})
    assert page.status_code == 200
    assert "Nothing is indexed yet" in page.text
    assert f"fg-search index corpus.jsonl --index {empty.location} --id id --label label" in page.text
    assert f"fg-search serve --index {empty.location}" in page.text


def test_one_tenant_sees_its_own_items(browse, tmp_path, encoder, corpus):
    from fg_search import IndexSettings

    texts, labels = corpus
    with ConfidenceIndex(tmp_path / "i", encoder, settings=IndexSettings(tenant_key="customer")) as index:
        index.tenant("acme").add(texts[:12], labels=labels[:12])
        index.tenant("other").add(texts[12:], labels=labels[12:])
        client = browse(index, tenant="acme")
        assert "12 items" in shown(client.get("/"))
        for text in texts:
            page = client.get("/", params={"q": text, "limit": 50}).text
            assert page.count("acme") > page.count('class="card hit"')  # in each one's payload, and above
            assert "&#34;other&#34;" not in page
        assert re.findall(r'<option value="(\w+)"></option>', client.get("/review").text) == sorted(set(labels[:12]))
        assert "as shown by 12 items" in shown(client.get("/features"))


def test_an_index_with_tenants_needs_one(browse, tmp_path, encoder):
    from fg_search import IndexSettings

    with (
        ConfidenceIndex(tmp_path / "i", encoder, settings=IndexSettings(tenant_key="customer")) as index,
        pytest.raises(ValueError, match="tenants"),
    ):
        browse(index)


def test_a_question_in_doubt_is_asked_back_with_a_button_for_each_label(browse, calibrated, questions):
    client = browse(calibrated)
    assert "ask what is meant" in shown(client.get("/"))
    asking = {"target_precision": 0.9, "on_uncertain": "clarify"}
    texts = questions(60, 5)[0]
    both = zip(texts, calibrated.search_many(texts, **asking), strict=True)
    question, result = next((text, found) for text, found in both if found.decision == "clarify")
    page = client.get("/", params={"q": question, "target_precision": "0.9", "doubtful": "ask"})
    assert '<h2 id="decision">What do you mean?</h2>' in page.text
    assert 'class="card hit"' not in page.text
    buttons = re.findall(r'<a class="button" rel="nofollow" href="([^"]*)">([^<]*)</a>', page.text)
    assert [name for _, name in buttons] == [choice.label for choice in result.choices]
    for (address, label), choice in zip(buttons, result.choices, strict=True):
        chosen = client.get(html.unescape(address))
        hits = chosen.text.partition('<ol class="hits')[2]
        assert set(re.findall(r'<span class="label">([^<]*)</span>', hits)) == {label}
        assert choice.example.text in shown(chosen)
        assert f"Only items with the label {label}, which you chose." in shown(chosen)


def test_an_index_that_knows_no_right_labels_does_not_offer_to_ask(browse, served, rows, questions):
    assert "ask what is meant" not in shown(browse(served).get("/"))
    like_items = [f"{text} please" for text in rows["texts"]]
    served.calibrate([*like_items, *questions(30, 0)[0]], [*rows["ids"], *[None] * 30])
    assert "ask what is meant" not in shown(browse(served).get("/"))
