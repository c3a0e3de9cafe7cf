import re
from html import unescape

import numpy as np

from fg_search.evaluation import risk_coverage_curve
from fg_search.report import charts
from fg_search.review.issues.confusion import confused_pairs
from fg_search.web.following import adapt_once


def test_without_a_calibration_it_says_how(browse, common):
    page = browse(common).get("/health")
    assert "fg-search calibrate" in page.text
    assert "Confidence of the items" in page.text
    assert "Does the chance come true?" not in page.text


def test_with_a_calibration_there_are_diagrams_and_their_tables(browse, calibrated):
    page = browse(calibrated).get("/health")
    assert page.text.count('class="chart"') == 3
    assert page.text.count("As a table") == 3
    for name in ("Reliability diagram", "Risk-coverage curve", "What can be promised?", "600"):
        assert name in page.text or name == "600"


def test_it_says_when_the_promise_no_longer_holds(browse, calibrated, questions, other_questions, caplog):
    page = browse(calibrated).get("/health").text
    assert "as of the judged ones" in page
    assert "The traffic is not what was judged" not in page
    calibrated.log_queries("all")
    calibrated.search_many(questions(200, 5)[0])
    adapt_once(calibrated)
    page = browse(calibrated).get("/health").text
    assert "In all else the queries are like those judged" in page
    assert "as estimated from" in page
    assert "no longer holds" not in caplog.text
    calibrated.search_many(other_questions * 4)
    adapt_once(calibrated)
    warning = unescape(browse(calibrated).get("/health").text).split("The traffic is not what was judged")[1]
    assert "The promise no longer holds, since queries are" in warning
    assert "the promise no longer holds, since queries are" in caplog.text


def test_labels_that_fall_short_are_named(browse, served, questions):
    texts, labels = questions(500, 3)
    meant = ["card" if label == "loan" and i % 3 else label for i, label in enumerate(labels)]
    served.calibrate(texts, meant, promise_by="label")
    page = browse(served).get("/health").text
    part = page.split("Which labels fall short?")[1].split("</section>")[0]
    assert re.search(r"loan.*never answered", part)
    assert "travel" not in part
    found = browse(served).get("/", params={"q": "my loan mortgage", "target_precision": 0.8}).text
    assert re.search(r'class="reason">Label loan falls short', found)
    served.calibrate(texts, meant)
    assert "Which labels fall short?" not in browse(served).get("/health").text


def test_what_was_not_looked_at_is_not_shown(browse, common):
    page = browse(common).get("/health")
    assert "Labels by confusion" not in page.text
    assert "Duplicates</h2>" not in page.text
    assert 'href="#jobs">score labels and items</a>' in page.text


def test_copies_and_confused_labels_are_those_of_the_lists(browse, served):
    served.add(["My  CARD was blocked", "pizza recipe please"], ids=["a", "c"], labels=["card", "food"])
    served.add(["my card was blocked!", "recipe pizza please"], ids=["b", "d"], labels=["loan", "card"])
    served.relabel({f"d{i}": "loan" for i in (0, 2, 4)} | {f"d{i}": "card" for i in (13, 15, 17)})
    served.score_items()
    served.score_labels()
    page = browse(served).get("/health").text
    assert "fg-search score" not in page
    duplicates = page.split("Duplicates</h2>")[1]
    assert "<code>a</code>" in duplicates
    assert "<code>b</code>" in duplicates
    conflicting = page.split("Near-duplicates with different labels</h2>")[1].split("</section>")[0]
    for text in ("pizza recipe please", "recipe pizza please"):
        assert conflicting.count(text) == 1
    (pair, *_) = served.confused_labels()
    assert f"labelled {pair.first}, read as {pair.second}" in page
    follow = re.search(r'href="(/review[^"]*)" aria-label="\d+ labelled ' + pair.first, page)[1]
    listed = browse(served).get(unescape(follow))
    count = int(re.search(r'<b id="left">(\d+)', listed.text)[1])
    assert count >= pair.first_as_second


def test_pairs_of_labels_are_ranked_by_the_share_that_is_surely_confused(monkeypatch, browse, common):
    counts = {("a", "b"): 1, ("c", "d"): 4, ("d", "c"): 3, ("e", "f"): 9, ("g", "h"): 1, ("h", "g"): 1}
    sizes = {"a": 40, "b": 40, "c": 900, "d": 900, "e": 40, "f": 40, "g": 40, "h": 40}
    monkeypatch.setattr(type(common), "confused_labels", lambda *_: confused_pairs(counts, sizes, limit=20))
    page = browse(common).get("/health").text.split("Labels by confusion</h2>")[1].split("</section>")[0]
    shown, folded = page.split("<details>")
    assert re.findall(r'aria-label="\d+ labelled (\w), read as (\w)', shown) == [
        ("e", "f"), ("g", "h"), ("h", "g"), ("c", "d"), ("d", "c")
    ]  # fmt: skip
    assert "labelled a, read as b" in folded
    assert "1 more pair" in folded


def test_an_empty_index(browse, empty):
    page = browse(empty).get("/health")
    assert page.status_code == 200
    assert "There are no items." in page.text


def test_charts_stay_inside_their_frame():
    histogram = charts.histogram([0, 3, 9, 0])
    for bar in histogram.bars:
        assert histogram.frame.left <= bar.x <= bar.x + bar.width <= histogram.frame.right
        assert histogram.frame.upper <= bar.y <= bar.y + bar.height <= histogram.frame.lower + 0.01
    assert charts.histogram([0, 0]).bars[0].height == 0


def test_a_risk_of_zero_or_one_can_be_drawn():
    for correct in ([True, True], [False, False]):
        curve = risk_coverage_curve(np.array([0.9, 0.1], dtype=np.float32), np.array(correct))
        assert charts.risk_coverage(curve).path.startswith("M")
