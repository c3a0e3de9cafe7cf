"""Results in a notebook: short in a line, a table where they end a cell, a data frame on request."""

import re
from html.parser import HTMLParser

import pytest

from fg_search import ConfidenceIndex, IndexClosedError
from fg_search.html_table import html_facts, html_table


@pytest.fixture(scope="module")
def shown(encoder, corpus, questions):
    """Everything that shows itself, by name."""
    texts, labels = corpus
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts, labels=labels, payloads=[{"price": i} for i in range(len(texts))])
        calibration = index.calibrate(*questions(200, 3))
        yield {
            "answer": index.search("my card pin"),
            "abstention": index.search("zebra", target_precision=0.9, on_uncertain="abstain"),
            "choices": index.search("my card and the loan", target_precision=0.9, on_uncertain="clarify"),
            "evaluation": index.evaluate(*questions(60, 9)),
            "calibration": calibration,
            "description": encoder.describe(texts, labels),
            "info": index.info(),
            "index": index,
        }


class Tags(HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


NAMES = ["answer", "abstention", "choices", "evaluation", "calibration", "description", "info", "index"]


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_short_in_a_line_and_a_table_in_a_notebook(shown, name):
    assert len(repr(shown[name])) < 250
    assert "\n" not in repr(shown[name])
    html = shown[name]._repr_html_()
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "table" in tags.seen or name == "abstention"


def test_what_is_shown_is_what_was_found(shown):
    answer, html = shown["answer"], shown["answer"]._repr_html_()
    assert answer.hits[0].text in html
    assert f"{answer.hits[0].score:.3f}" in html
    assert "abstain" in shown["abstention"]._repr_html_()
    assert "chance to be right" in shown["evaluation"]._repr_html_()
    assert "95%" in shown["calibration"]._repr_html_()


def test_a_line_says_what_is_known_without_asking_the_engine(shown, encoder, tmp_path):
    assert re.fullmatch(
        r"Calibration\(199 queries, judged by label: a precision of \d+% can be promised, answering \d+%\)",
        repr(shown["calibration"]),
    )
    assert repr(shown["index"]) == "ConfidenceIndex(':memory:', collection='fg_search', calibrated on 199 queries)"
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        assert repr(index).endswith("i', collection='fg_search', not calibrated)")
    assert repr(index).endswith(", closed)")
    assert "closed" in index._repr_html_()
    for use in (lambda: index.search("my card"), lambda: len(index), lambda: index.calibration):
        with pytest.raises(IndexClosedError, match="the index 'fg_search' is closed; open it again"):
            use()


@pytest.mark.parametrize("name", ["answer", "evaluation", "description"])
def test_tables_are_data_frames_on_request(shown, name):
    pytest.importorskip("pandas")
    frame = shown[name].to_pandas()
    assert len(frame) == {"answer": 10, "evaluation": 3, "description": 4}[name]
    if name == "answer":
        assert list(frame["price"]) == [hit.payload["price"] for hit in shown[name].hits]


def test_texts_of_others_are_escaped_and_cut():
    evil = "<script>alert(1)</script>"
    html = html_table([{evil: evil, "n": 1.5, "long": "x" * 900}], title=evil, note=evil) + html_facts({evil: evil})
    assert "<script" not in html
    assert "1.500" in html
    assert "x" * 201 not in html
    assert "10 more rows" in html_table([{"a": 1}] * 60)
