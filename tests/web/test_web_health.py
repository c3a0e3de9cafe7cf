import numpy as np

from fg_search.evaluation import risk_coverage_curve
from fg_search.web import charts
from fg_search.web.survey import Confusion, confusions


def test_without_a_calibration_it_says_how(browse, served):
    page = browse(served).get("/health")
    assert "fg-search calibrate" in page.text
    assert "Confidence of the items" in page.text
    assert "Does the chance come true?" not in page.text


def test_with_a_calibration_there_are_diagrams_and_their_tables(browse, calibrated):
    page = browse(calibrated).get("/health")
    assert page.text.count('class="chart"') == 3
    assert page.text.count("As a table") == 3
    for name in ("Reliability diagram", "Risk-coverage curve", "What can be promised?", "600"):
        assert name in page.text or name == "600"


def test_what_was_not_looked_at_is_not_shown(browse, served):
    page = browse(served).get("/health")
    assert "Labels by confusion" not in page.text
    assert "Duplicates" not in page.text


def test_duplicates_and_confusions_are_shown_where_there_are_some(browse, served):
    served.add(["My  CARD was blocked"], ids=["a"], labels=["card"])
    served.add(["my card was blocked"], ids=["b"], labels=["loan"])
    records, _ = served.client.scroll(served.collection, limit=3)
    for record in records:
        suggestion = {"review": {"suggested": "somewhere"}}
        served.client.set_payload(served.collection, suggestion, points=[record.id], key="fg")
    page = browse(served).get("/health").text
    assert "Labels by confusion" in page
    assert "somewhere" in page
    duplicates = page.split("Duplicates</h2>")[1]
    assert "<code>a</code>" in duplicates
    assert "<code>b</code>" in duplicates


def test_an_empty_index(browse, empty):
    page = browse(empty).get("/health")
    assert page.status_code == 200
    assert "There are no items." in page.text


def test_confusions_are_counted_by_pair():
    labels = ["a", "a", "a", "b", None, "c"]
    suggested = ["b", "b", "a", "a", "a", None]
    assert confusions(labels, suggested) == [Confusion("a", "b", 2), Confusion("b", "a", 1)]
    assert confusions(labels, suggested, most=1) == [Confusion("a", "b", 2)]


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
