"""A person's way through the page, in a real browser: Chromium, from the distribution."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from fg_search import ConfidenceIndex
from fg_search.model.progress import progress_bar
from fg_search.web.app import create_app

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}
TOKEN = "correct horse battery staple"
LOGGED = ["zebra quilt", "quilt zebra", "zebra", "quilt", "zebra zebra quilt"]  # words that the model does not know

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium, or its path in CHROMIUM"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for all tests of this file; it ends with them, since its event loop would disturb others."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # CI runs as root, under which Chromium has no sandbox; it sees nothing but our own page
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves an index on a port of its own, and tells the address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(index: ConfidenceIndex, **options: Any) -> str:
        app = create_app(index, reviewer="Ada", **options)
        config = uvicorn.Config(app, port=0, log_level="error", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        listener = config.bind_socket()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def open_page(chromium) -> Iterator[Callable[..., Any]]:
    """Opens an address; whatever the browser complains about or asks of others fails the test."""
    contexts, complaints = [], []

    def start(address: str, **options: Any) -> Any:
        context = chromium.new_context(base_url=address, **{"viewport": DESK, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
        page.on("request", lambda request: request.url.startswith(address) or complaints.append(request.url))
        page.goto("/")
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(message: Any) -> bool:
    # that a page came with the status of an error is what some tests are about
    return message.type == "error" and not message.text.startswith("Failed to load resource: the server responded")


def follow(page: Any, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("link", name=name, exact=True).click()


def ask(page: Any, question: str) -> None:
    follow(page, "Search")
    page.get_by_text("More settings").click()
    page.get_by_label("Hits", exact=True).fill("100")
    page.get_by_label("In doubt").select_option("show")
    page.get_by_label("Question", exact=True).fill(question)
    press(page, "Enter")


def press(page: Any, key: str) -> None:
    """A key that leads to another page."""
    with page.expect_navigation():
        page.keyboard.press(key)


def click(page: Any, name: str) -> None:
    """A button that leads to another page."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def mark_copies(index: ConfidenceIndex) -> None:
    """Add a copy of an item, with another label, and something odd, and let every list be there."""
    text = index.review(limit=1)[0].text
    index.add([f"{text}!", "zebra"], ids=["copy", "odd"], labels=["elsewhere", "card"])
    index.score_items()
    index.score_labels()


def test_a_whole_round(serve, open_page, calibrated):
    """Search, abstain, review five items, undo one, and see the label change in search."""
    page = open_page(serve(calibrated))
    page.get_by_label("Right answers, at least").select_option("0.8")
    page.get_by_label("Question", exact=True).fill("my card stolen pin")
    click(page, "Search")
    assert page.locator("#decision").inner_text() == "Answer"
    assert page.locator(".hit .label").first.inner_text() == "card"

    page.get_by_label("Question", exact=True).fill("zebra")
    page.keyboard.press("Enter")
    page.wait_for_selector(".decision.abstain")
    assert page.locator("#decision").inner_text() == "No answer"
    assert page.locator(".hit").count() == 0
    page.get_by_role("link", name="Show the nearest items anyway").click()
    page.wait_for_selector(".decision.doubt")
    assert page.locator(".hit").count() > 0

    follow(page, "Review")
    reviewed = []
    for decide in ("k", "u", "d", "label", "n", "k"):
        reviewed.append(page.locator("#text").inner_text())
        if decide == "label":
            page.keyboard.press("l")
            page.keyboard.type("looked at")
            press(page, "Enter")
        else:
            press(page, decide)
            if decide == "d":
                assert page.get_by_role("heading").inner_text() == "Delete this item?"
                press(page, "d")
    assert page.locator("#decided").inner_text() == "5"
    assert len(set(reviewed)) == 6
    assert [entry.action for entry in calibrated.decisions()] == ["keep", "unsure", "delete", "label", "keep"]
    assert {entry.reviewer for entry in calibrated.decisions()} == {"Ada"}

    press(page, "z")
    assert page.locator("#decided").inner_text() == "4"
    assert page.locator("#text").inner_text() == reviewed[5]
    assert "taken back" in page.get_by_role("status").inner_text()

    ask(page, reviewed[3])
    changed = page.locator(".hit", has_text=reviewed[3]).first
    assert changed.locator(".label").first.inner_text() == "looked at"
    ask(page, reviewed[2])
    assert page.locator(".hit .text", has_text=reviewed[2]).count() == 0  # it was deleted


def test_a_conflict_is_settled_by_keys(serve, open_page, served):
    mark_copies(served)
    page = open_page(serve(served))
    follow(page, "Health")
    page.get_by_role("link", name="Review them").first.click()
    page.wait_for_url("**/review?kind=conflicting")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Label", exact=True).fill("elsewhere")
    press(page, "Enter")
    assert page.locator("#left").inner_text() == "1"
    other = page.locator(".choices button").first.get_attribute("value")
    press(page, "1")
    assert "No item of this list fits" in page.locator(".empty").inner_text()
    entry = served.decisions()[-1]
    assert (entry.id, entry.before, entry.after) == ("copy", "elsewhere", other)
    press(page, "z")
    assert page.locator("#left").inner_text() == "1"
    with page.expect_navigation():
        page.get_by_role("link", name="Show all").click()
    assert page.locator("#left").inner_text() == "2"


def test_a_hostile_item_is_only_text(serve, open_page, hostile):
    page = open_page(serve(hostile))
    ask(page, "card blocked")
    page.get_by_text("<script>document.title='owned'</script><img").first.wait_for()
    page.locator(".hit", has_text="<script>").locator("summary").click()
    assert "</pre><script>" in page.locator(".hit", has_text="<script>").locator("pre").inner_text()
    place = next(i for i, item in enumerate(hostile.review(limit=100)) if item.id == "<i>id</i>")
    page.goto(f"/review?skip={place}")
    assert page.locator("#text").inner_text().startswith("<script>")
    assert page.locator("main script, main img, main b b, .label b").count() == 0
    page.keyboard.press("k")
    page.wait_for_url("**#item")
    page.goto("/health")
    assert "owned" not in page.title()


def test_keys_do_nothing_while_one_types_or_when_they_are_off(serve, open_page, served):
    page = open_page(serve(served))
    page.goto("/review")
    first = page.locator("#text").inner_text()
    page.keyboard.press("l")
    page.keyboard.type("kund")
    assert page.locator("#label").input_value() == "kund"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") != "label"
    page.keyboard.press("?")
    page.get_by_label("Single keys work outside of fields").uncheck()
    page.locator("h1").click()
    page.keyboard.press("k")
    page.reload()
    page.keyboard.press("k")
    assert page.locator("#text").inner_text() == first
    assert served.decisions() == []
    page.keyboard.press("Control+k")
    page.locator("#keys summary").click()
    page.get_by_label("Single keys work outside of fields").check()
    page.locator("h1").click()
    press(page, "k")
    assert [entry.action for entry in served.decisions()] == ["keep"]


def test_everything_can_be_reached_with_the_tab_key(serve, open_page, served):
    page = open_page(serve(served))
    page.goto("/review")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))
    names = " ".join(reached)
    assert reached[0] == "Skip to the content"
    for name in ("Search", "Keep label", "Unsure", "Delete", "Next", "label", "Keys"):
        assert name in names


def test_the_slider_shows_its_number(serve, open_page, served):
    page = open_page(serve(served))
    slider = page.get_by_label("Confidence of items, at least")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("output").inner_text() == "0.03"
    page.get_by_label("Question", exact=True).fill("card")
    press(page, "Enter")
    assert "min_confidence=0.03" in page.url
    assert slider.input_value() == "0.03"


def test_one_searches_while_typing(serve, open_page, served):
    """The answer follows the field, which keeps the focus; the address can be shared; the log gets the question."""
    served.log_queries("all")
    page = open_page(serve(served))
    page.locator("#doubtful").select_option("show")
    page.locator("#q").press_sequentially("card bloc")
    page.wait_for_selector(".hit")
    page.locator("#q").press_sequentially("ked")
    page.wait_for_url("**/?q=card+blocked&**")
    assert page.evaluate("document.activeElement.id") == "q"
    assert "10 hits" in page.locator("#said").inner_text()
    assert served.logged_queries(only_open=False) == []
    with page.expect_response(lambda response: "card+blocked" in response.url):
        page.locator(".hit summary").first.click()
    page.wait_for_timeout(50)
    assert [(query.text, query.count) for query in served.logged_queries(only_open=False)] == [("card blocked", 1)]
    held = []
    page.route("**/?q=card+blockedx&**", lambda route: held.append(route))
    with page.expect_request("**/?q=card+blockedx&**"):
        page.locator("#q").press("End")
        page.keyboard.press("x")
    page.keyboard.press("Backspace")
    page.wait_for_timeout(350)
    held[0].fulfill(body='<div data-said="too late" data-title="too late"></div>')
    page.wait_for_timeout(50)
    assert "10 hits" in page.locator("#said").inner_text()
    page.locator("#q").fill("card stolen")
    with page.expect_response(lambda one: "card+stolen" in one.url and "fg-typing" not in one.request.headers):
        page.locator("#q").blur()  # at once, before anything was searched for
    page.wait_for_timeout(50)
    assert {query.text for query in served.logged_queries(only_open=False)} == {"card blocked", "card stolen"}
    page.get_by_text("More settings").click()
    page.get_by_label("Search while typing").uncheck()
    page.locator("#q").fill("loan")
    page.wait_for_timeout(350)
    assert "card+stolen" in page.url
    press(page, "Enter")
    assert page.locator(".hit .label").first.inner_text() == "loan"


def test_a_round_without_javascript(serve, open_page, served):
    page = open_page(serve(served), java_script_enabled=False)
    page.locator("#q").fill("card blocked")
    click(page, "Search")
    assert page.locator(".hit").count() == 10
    follow(page, "Review")
    first = page.locator("#text").inner_text()
    click(page, "Keep label")
    assert page.locator("#text").inner_text() != first
    click(page, "Undo your last")
    assert page.locator("#text").inner_text() == first
    follow(page, "Features")
    page.locator(".groups").get_by_role("link", name=re.compile("^Groups? 0")).click()
    page.get_by_role("link", name="Code").first.click()
    page.get_by_text("Surest").wait_for()


def test_several_items_get_a_label_and_it_is_taken_back(serve, open_page, served):
    """Tick items by mouse and keyboard, set a label, take it back, and delete after a question."""
    page = open_page(serve(served))
    follow(page, "Items")
    assert page.locator("#total").inner_text() == "48"
    page.locator("#item-1").check()
    page.locator("#item-3").click(modifiers=["Shift"])
    assert page.locator("#scope option").first.inner_text() == "3 ticked items"
    page.locator("h1").click()
    page.keyboard.press("l")
    page.keyboard.type("brand new")
    press(page, "Enter")
    assert "3 decisions were made" in page.get_by_role("status").inner_text()
    assert {entry.after for entry in served.decisions()} == {"brand new"}
    assert {entry.reviewer for entry in served.decisions()} == {"Ada"}
    press(page, "z")
    assert "3 decisions were taken back" in page.get_by_role("status").inner_text()
    assert "brand new" not in served.labels()
    page.get_by_label("Tick all items on this page").check()
    click(page, "Delete…")
    assert page.get_by_role("heading").inner_text() == "Delete 48 items?"
    follow(page, "Cancel")
    assert len(served) == 48
    page.locator("#item-1").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "items.csv"
    click(page, "Delete…")  # a file that came does not keep the page from sending more
    click(page, "Delete it")
    assert len(served) == 47


def test_the_map_leads_to_the_table_by_mouse_and_by_keyboard(serve, open_page, served):
    page = open_page(serve(served))
    follow(page, "Map")
    canvas = page.locator("#map")
    canvas.wait_for()
    size = canvas.bounding_box()
    page.mouse.move(size["x"] + 2, size["y"] + 2)
    page.mouse.down()
    page.mouse.move(size["x"] + size["width"] - 2, size["y"] + size["height"] - 2, steps=3)
    page.mouse.up()
    page.get_by_role("link", name="Show 48 in the table").wait_for()
    assert "label" not in page.locator("#open").get_attribute("href")
    canvas.focus()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Show all in the table").wait_for()
    page.keyboard.press("i")
    page.locator("#here .text").wait_for()
    read = page.locator("#here .text").inner_text()
    follow(page, "In the table")
    assert page.locator("#total").inner_text() == "1"
    assert page.locator(".items .text").inner_text() == read
    page.go_back()
    canvas.wait_for()
    canvas.focus()
    page.keyboard.press("b")
    for key in ("ArrowLeft", "Shift+ArrowRight", "+", "-"):
        page.keyboard.press(key)
    page.get_by_label("Colour by").select_option("confidence")
    page.wait_for_url("**/map?colour=confidence**")
    canvas.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/items?region=*")
    shown = int(page.locator("#total").inner_text())
    assert 0 < shown < 48


def test_items_and_map_without_javascript(serve, open_page, served):
    page = open_page(serve(served), java_script_enabled=False)
    follow(page, "Map")
    assert page.locator("#picture path").count() > 1
    assert not page.locator("#map").is_visible()
    page.get_by_role("link", name="card", exact=True).click()
    page.get_by_role("link", name="Items with this label").click()
    page.get_by_role("link", name="Similar").first.click()
    page.get_by_text("by its stored vector").wait_for()
    follow(page, "Items")
    page.locator("#item-2").check()
    click(page, "Delete…")
    click(page, "Delete it")
    assert len(served) == 47
    click(page, "Take it back")
    assert len(served) == 48


def test_logging_in(serve, open_page, served):
    page = open_page(serve(served, token=TOKEN))
    page.get_by_label("Token").fill(TOKEN)
    click(page, "Log in")
    follow(page, "Review")
    press(page, "k")
    assert served.decisions()[0].action == "keep"
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()


def test_queries_without_an_answer_become_a_label(serve, open_page, calibrated):
    """Ask, see that it is kept, name the missing label by keys, find it in search, and take it back."""
    calibrated.log_queries()
    page = open_page(serve(calibrated))
    for question in LOGGED:
        page.get_by_label("Question", exact=True).fill(question)
        press(page, "Enter")
        assert page.locator("#decision").inner_text() == "No answer"
    page.get_by_role("link", name="review", exact=True).click()
    page.locator("#open").wait_for()
    assert page.locator("#open").inner_text() == "5"
    page.keyboard.press("l")
    page.keyboard.press("Control+A")
    page.keyboard.type("animal")
    press(page, "Enter")
    assert page.locator("#open").inner_text() == "0"
    assert "5 queries added as animal" in " ".join(page.get_by_role("status").inner_text().split())
    assert {query.resolution.reviewer for query in calibrated.logged_queries(only_open=False)} == {"Ada"}
    ask(page, "zebra quilt")
    assert "animal" in page.locator(".hit .label").all_inner_texts()
    follow(page, "Queries")
    press(page, "z")
    assert page.locator("#open").inner_text() == "5"
    both = page.get_by_role("form", name="Ticked queries")
    assert both.get_by_role("button", name="Dismiss").is_disabled()
    page.get_by_label("Tick zebra quilt").check()
    assert both.get_by_role("button", name="Dismiss").is_enabled()
    both.get_by_label("1 ticked query").wait_for()
    press(page, "d")
    assert page.locator("#open").inner_text() == "0"
    assert "5 queries dismissed" in page.get_by_role("status").inner_text()


def test_queries_without_javascript(serve, open_page, calibrated):
    calibrated.log_queries()
    calibrated.search_many(LOGGED, min_query_confidence=1)
    page = open_page(serve(calibrated), java_script_enabled=False)
    follow(page, "Queries")
    with page.expect_navigation():
        page.get_by_role("button", name="Dismiss zebra quilt", exact=True).click()
    assert page.locator("#open").inner_text() == "4"


def test_answers_are_judged_by_keys(serve, open_page, calibrated):
    calibrated.search_many(["my card blocked", "my card pin", "the loan rate", "pizza oven"], log="all")
    page = open_page(serve(calibrated))
    page.goto(page.url.rstrip("/") + "/audit?target=0.8")
    for key in "ysn":
        press(page, key)
    assert page.locator("#judged").inner_text() == "2"
    assert {one.judgement.verdict for one in calibrated.judged_answers()} == {"right", "wrong"}
    press(page, "z")
    assert page.locator("#judged").inner_text() == "1"


@pytest.mark.parametrize(
    "look",
    [
        pytest.param({"color_scheme": "light", "viewport": DESK}, id="light desk"),  # colours know no width, nor
        pytest.param({"color_scheme": "dark", "viewport": PHONE}, id="dark phone"),  # widths colours
    ],
)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(serve, open_page, calibrated, look, monkeypatch):
    import axe_playwright_python.sync_playwright as axe

    page = open_page(serve(calibrated), **look)
    first = calibrated.decide("d1", "label", "brand new")
    calibrated.decide("d1", "keep", reviewer="Ben", opinion_on=first.number)
    mark_copies(calibrated)
    calibrated.log_queries()
    calibrated.search_many([*LOGGED, "my card"], min_query_confidence=1)
    calibrated.decide_queries([calibrated.logged_queries()[-1].id], "add", "brand new")
    served = ["/", "/?q=card+stolen+pin&target_precision=0.8", "/?q=zebra&target_precision=0.8"]
    served += [
        "/?q=zebra&target_precision=0.8&doubtful=show",
        "/?q=card&target_precision=&where=colour%3Dred",
        "/review",
    ]
    served += [f"/review?kind={kind}&diverse=1" for kind in ("contradicted", "conflicting", "duplicate", "outlier")]
    calibrated.search_many(["my card blocked", "the loan", "pizza oven"], log="all")
    calibrated.judge_answer(calibrated.audit(target_precision=0.8).following[0], "right", target_precision=0.8)
    served += ["/items?min_wrong=0&where=colour%3Dred", "/items?sort=-wrong", "/items?like=d1", "/items?where=nonsense"]
    served += ["/map", "/map?colour=wrong&only=card", "/labels", "/review/reviewers"]
    served += ["/queries", "/audit?target=0.8", "/features", "/features/0", "/features/0/0", "/health"]
    (kept,) = (entry.id for entry in calibrated.history() if entry.action == "calibrate")
    served += [f"/health/history?first={kept}&second={kept}"]
    for address in served:
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        violations = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == [], address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address


def test_a_job_is_started_by_keyboard_and_its_bar_moves_until_it_is_done(serve, open_page, served, monkeypatch):
    import axe_playwright_python.sync_playwright as axe

    go, score = threading.Event(), ConfidenceIndex.score_items

    def slow(index: ConfidenceIndex, **options: Any) -> Any:
        with progress_bar(40, None, "read") as advance:
            advance(10)
            go.wait(10)
        return score(index, **options)

    monkeypatch.setattr(ConfidenceIndex, "score_items", slow)
    page = open_page(serve(served))
    page.goto("/health")
    page.get_by_text("Score labels and items", exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    press(page, "Enter")
    page.get_by_text("Reading items: 10 of 40").wait_for()
    assert page.get_by_role("progressbar").evaluate("(bar) => bar.value / bar.max") == 0.25
    assert axe.Axe().run(page).violations_count == 0
    go.set()
    page.locator(".ended.done").wait_for()
    assert "48 items compared" in page.locator(".ended").inner_text()


def test_the_report_of_an_evaluation_is_accessible_and_needs_no_network(chromium, calibrated, questions, tmp_path):
    import axe_playwright_python.sync_playwright as axe

    texts, labels = questions(120, 4)
    colours = [("red", "blue", None)[i % 3] for i in range(120)]
    page_file = tmp_path / "report.html"
    page_file.write_text(calibrated.evaluate(texts, labels, slices={"colour": colours}).to_html(), encoding="utf-8")
    for look in ({"color_scheme": "light", "viewport": DESK}, {"color_scheme": "dark", "viewport": PHONE}):
        context = chromium.new_context(offline=True, **look)
        page, complaints = context.new_page(), []
        page.on("console", lambda message, seen=complaints: seen.append(message.text))
        page.on("request", lambda request, seen=complaints: seen.append(request.url))
        page.goto(page_file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        violations = axe.Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.get_by_role("heading", name="Precision by colour").is_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('.charts')).display") == "grid"  # has its styles
        assert complaints == [page_file.as_uri()]
        context.close()


def test_the_pages_of_errors_and_of_nothing_are_accessible_too(serve, open_page, empty):
    import axe_playwright_python.sync_playwright as axe

    page = open_page(serve(empty, token=TOKEN))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert axe.Axe().run(page).violations_count == 0, page.url
    page.get_by_label("Token").fill(TOKEN)
    click(page, "Log in")
    for address in (
        "/?q=card",
        "/?q=card&limit=999",
        "/review",
        "/queries",
        "/audit",
        "/features",
        "/health",
        "/items",
        "/map",
        "/labels",
        "/review?kind=nonsense",
    ):
        response = page.goto(address)
        assert axe.Axe().run(page).violations_count == 0, (address, response.status)


def test_the_browser_that_is_used_is_the_one_that_is_installed():
    assert CHROMIUM is not None
    assert Path(CHROMIUM).exists()
