"""Fixtures of the page's tests: an index that is served, and a browser's way of sending forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from read_only import read_only

from fg_search import ConfidenceIndex
from fg_search.web.app import create_app

HOSTILE = {
    "text": "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> card blocked",
    "label": '"><b>bold</b>',
    "id": "<i>id</i>",
    "payload": {"note": "</pre><script>document.title='owned'</script>"},
}


@pytest.fixture
def hostile(served) -> ConfidenceIndex:
    """An index with an item that tries to be more than text."""
    served.add([HOSTILE["text"]], ids=[HOSTILE["id"]], labels=[HOSTILE["label"]], payloads=[HOSTILE["payload"]])
    return served


@pytest.fixture
def empty(tmp_path, encoder) -> Iterator[ConfidenceIndex]:
    """An index without items."""
    with ConfidenceIndex(tmp_path / "support", encoder) as index:
        yield index


@pytest.fixture
def served(empty, corpus) -> ConfidenceIndex:
    """An index with the corpus, ids d0, d1, …, not calibrated."""
    texts, labels = corpus
    empty.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
    return empty


@pytest.fixture
def calibrated(served, questions) -> ConfidenceIndex:
    """The same, calibrated."""
    served.calibrate(*questions(200, 3))
    return served


@pytest.fixture(scope="module")
def common(tmp_path_factory, encoder, corpus) -> Iterator[ConfidenceIndex]:
    """The same as ``served``, which the tests of a module share and none may change."""
    texts, labels = corpus
    with ConfidenceIndex(tmp_path_factory.mktemp("common") / "support", encoder) as index:
        index.add(texts, ids=[f"d{i}" for i in range(len(texts))], labels=labels)
        yield read_only(index)


class Browser(TestClient):
    """A client that sends forms as the page gives them."""

    def submit(self, page: str, form: str, which: int = 0, **fields: str) -> Any:
        """Send the form of this address, found on a page, the first by default, with all its hidden fields."""
        html = self.get(page).text
        wanted = re.findall(rf'<form[^>]*action="{re.escape(form)}".*?</form>', html, re.DOTALL)
        assert wanted, f"{page} has no form to {form}"
        inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', wanted[which])
        hidden = {name: unescape(value) for name, value in inputs}
        return self.post(form, data={**hidden, **fields}, follow_redirects=False)


@pytest.fixture
def browse() -> Iterator[Callable[..., Browser]]:
    """A browser at the page of an index."""
    opened: list[Browser] = []

    def open_page(index: ConfidenceIndex, **options: Any) -> Browser:
        client = Browser(create_app(index, **options), base_url="http://localhost:8000")
        opened.append(client)
        return client

    yield open_page
    for client in opened:
        client.close()
