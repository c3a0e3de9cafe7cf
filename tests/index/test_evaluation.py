"""What an evaluation says of parts of the queries, and its page."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from fg_search import ConfidenceIndex

COLOURS = ("red", "<b>blue</b>", None)


@pytest.fixture(scope="module")
def asked(questions):
    return questions(300, 2)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, encoder, corpus, questions, asked):
    """An index's evaluation on 300 queries, each with a colour."""
    texts, labels = corpus
    with ConfidenceIndex(tmp_path_factory.mktemp("evaluated"), encoder) as index:
        index.add(texts, labels=labels, payloads=[{"parity": i % 2, "name": {"of": "it"}} for i in range(len(texts))])
        index.calibrate(*questions(800, 1))
        colours = [COLOURS[i % 3] for i in range(300)]
        return index.evaluate(*asked, slices={"colour": colours, "number": np.arange(300)})


@pytest.fixture(scope="module")
def uncalibrated(encoder, corpus, asked):
    """The same without a calibration."""
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        return index.evaluate(*asked)


def test_in_a_line_it_is_short(calibrated, uncalibrated):
    assert re.fullmatch(r"IndexEvaluation\(300 queries, .*, ece=0\.\d{3}\)", repr(calibrated))
    assert repr(uncalibrated).endswith("ece=None)")


def test_a_target_tells_who_is_answered(calibrated, asked):
    outcomes = calibrated.outcomes
    assert calibrated.lowest_promise == 0.9
    for reached in calibrated.precisions:
        given = [
            reached.threshold is not None and value >= reached.threshold for value in outcomes.rankings["confidence"]
        ]
        right = [ok for ok, answered in zip(outcomes.correct, given, strict=True) if answered]
        assert (reached.answered.count, reached.answered.total) == (sum(given), 300)
        assert (reached.right.count, reached.right.total) == (sum(right), len(right))
        assert reached.coverage == reached.answered.share
        assert reached.precision == reached.right.share or math.isnan(reached.precision)
        for part, has_answer in ((reached.answerable, True), (reached.unanswerable, False)):
            rows = [i for i, label in enumerate(asked[1]) if (label is not None) is has_answer]
            assert (part.count, part.total) == (sum(given[i] for i in rows), len(rows))
    assert calibrated.precisions[0].answerable.share > calibrated.precisions[0].unanswerable.share


def test_slices_are_by_label_length_handed_in_values_and_the_payload_of_the_hit(calibrated, asked):
    outcomes = calibrated.outcomes
    by_label = {each.value: each.queries for each in calibrated.slices()}
    assert by_label == {label: outcomes.found.count(label) for label in set(outcomes.found)}
    words = [len(text.split()) for text in asked[0]]
    lengths = calibrated.slices("length", target=0.9)
    assert sum(each.queries for each in lengths) == 300
    for each in lengths:
        low, _, high = str(each.value).partition(" to ")
        assert each.queries == sum(float(low) <= count <= float(high or low) for count in words)
    assert {each.value: each.queries for each in calibrated.slices("colour")} == dict.fromkeys(COLOURS, 100)
    assert [each.queries for each in calibrated.slices("number")] == [75, 75, 75, 75]
    parity = {each.value: each.queries for each in calibrated.slices("hit.parity")}
    hits = [hit.payload["parity"] for hit in outcomes.top if hit is not None]
    assert {value: parity[value] for value in (0, 1)} == {value: hits.count(value) for value in (0, 1)}


def test_slices_at_a_target_answer_as_the_target_does(calibrated):
    for reached in calibrated.precisions:
        found = calibrated.slices("colour", target=reached.target)
        assert sum(each.coverage.count for each in found) == reached.answered.count
        assert sum(each.precision.count for each in found) == reached.right.count
        assert {each.target for each in found} == {reached.target}
    every = calibrated.slices("colour")
    assert all(each.coverage.share == 1 for each in every)
    assert sum(each.precision.count for each in every) == calibrated.outcomes.correct.sum()


def test_what_falls_short_is_named_at_each_target(calibrated):
    assert calibrated.falling_short(["colour"]) == ()
    outcomes = calibrated.outcomes
    right = ["yes" if ok else "no" for ok in outcomes.correct]
    found = replace(calibrated, outcomes=replace(outcomes, attributes={**outcomes.attributes, "right": right}))
    short = found.falling_short(["right", "length"])
    named = [each for each in short if each.by == "right"]
    assert {each.value for each in named} == {"no"}
    assert {each.target for each in named} <= {each.target for each in found.precisions}
    assert all(each.falls_short for each in short)


def test_a_tenant_is_a_slice(tmp_path, encoder, corpus):
    from fg_search import IndexSettings

    with ConfidenceIndex(tmp_path, encoder, settings=IndexSettings(tenant_key="shop")) as index:
        leeds = index.tenant("leeds")
        leeds.add(corpus[0], labels=corpus[1])
        (slice_,) = leeds.evaluate(["my card", "pizza oven"], ["card", "food"]).slices("tenant")
    assert (slice_.value, slice_.queries) == ("leeds", 2)


def test_names_and_values_that_cannot_be_sliced_by_are_refused(calibrated, encoder, corpus):
    with pytest.raises(ValueError, match=r"target must be one of 0\.9, 0\.95, 0\.99, got 0\.5"):
        calibrated.slices(target=0.5)
    with pytest.raises(ValueError, match="no top hit has the payload key 'size'"):
        calibrated.slices("hit.size")
    with pytest.raises(TypeError, match=r"hit\.name\[\d+\] is dict, neither a text nor a number"):
        calibrated.slices("hit.name")
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        with pytest.raises(TypeError, match=r"slices\['x'\]\[0\] is dict"):
            index.evaluate(["my card"], ["card"], slices={"x": [{"a": 1}]})
        with pytest.raises(TypeError, match="slices must be a mapping such as"):
            index.evaluate(["my card"], ["card"], slices=["red"])


def test_the_page_has_the_figures_and_loads_nothing(calibrated):
    page = calibrated.to_html(title="Index <i>&</i>")
    assert "<title>Index &lt;i&gt;&amp;&lt;/i&gt;</title>" in page
    assert not re.search(r"(?:src|href)=|url\(|@import|<script", page)
    answerable = calibrated.reports["score"].in_scope
    assert f"R@1 of {answerable} answerable queries" in page
    for reached in calibrated.precisions:
        if reached.threshold is not None:
            assert f"{100 * reached.unanswerable.share:.1f}% (" in page
    for by in ("label", "length", "colour", "number"):
        assert f"<h2>Precision by {by}</h2>" in page
    assert "&lt;b&gt;blue&lt;/b&gt;" in page
    assert "<b>blue</b>" not in page


def test_the_page_slices_by_what_is_asked_for(calibrated):
    page = calibrated.to_html(by=["hit.parity"], target=0.95)
    assert re.findall("<h2>Precision by (.*)</h2>", page) == ["hit.parity"]
    assert "At a target of 95%" in page


def test_the_page_without_a_calibration_answers_everything(uncalibrated):
    page = uncalibrated.to_html()
    assert "Nothing is promised for these searches: the index is not calibrated" in page
    assert "Every query counts as answered" in page
    assert "Reliability diagram" not in page
    assert "falls short" not in page


def test_intervals_are_those_of_the_reports(uncalibrated):
    found = uncalibrated.intervals
    assert set(found) == set(uncalibrated.reports)
    for name, report in uncalibrated.reports.items():
        assert found[name].auroc.estimate == report.auroc
        assert found[name].aurc.low <= report.aurc <= found[name].aurc.high


def test_an_index_that_is_always_right_has_a_page(encoder, corpus):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        found = index.evaluate([f"{text} card" for text in corpus[0][:3]], corpus[1][:3])
    assert found.outcomes.correct.all()
    assert "100.0%" in found.to_html()


def test_slices_are_those_of_the_queries_that_were_not_learned_from(encoder, corpus, caplog):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(corpus[0], labels=corpus[1])
        queries = ["my card", corpus[0][0], "pizza oven", corpus[0][1], "the loan"]
        found = index.evaluate(queries, ["card", "card", "food", "card", "loan"], slices={"nth": list("abcde")})
    assert "2 of 5 queries are left out" in caplog.text
    assert [each.value for each in found.slices("nth")] == ["a", "c", "e"]
    assert [each.queries for each in found.slices("length")] == [3]


def test_columns_of_a_data_frame_are_paired_in_their_order(local, rows, questions):
    pandas = pytest.importorskip("pandas")
    local.add(**rows)
    texts, labels = questions(60, 1)
    local.calibrate(*questions(200, 0))
    frame = pandas.DataFrame({"text": texts, "label": labels, "at": range(60)}, dtype=object)
    shuffled = frame.sample(frac=1, random_state=0)
    expected = local.evaluate(texts, labels).reports["score"]
    found = local.evaluate(shuffled["text"], shuffled["label"], slices={"at": shuffled["at"]})
    assert found.reports["score"].recall_at_1 == expected.recall_at_1
    assert list(found.outcomes.attributes["at"]) == list(shuffled["at"])
    later = frame[30:]  # its index does not begin at 0
    assert local.evaluate(later["text"], later["label"]).reports["score"].queries == 30
    assert local.calibrate(iter(texts), iter(labels)).queries == 60
    with pytest.raises(TypeError, match="relevant must be a list"):
        local.evaluate(texts, None)
