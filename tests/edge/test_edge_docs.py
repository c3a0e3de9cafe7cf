"""The examples in docs/edge_client.md and in the docstring run, and both list what the class has."""

import doctest
import re
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from fg_search.edge import client as client_module
from fg_search.edge.client import EdgeClient
from fg_search.errors import UnsupportedError

PAGE = Path(__file__).parents[2] / "docs" / "edge_client.md"
TABLE = PAGE.read_text(encoding="utf-8").split("## All methods")[1].split("\n## ")[0]
ROWS = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", TABLE, re.MULTILINE))


def methods(client: type) -> set[str]:
    members = {name: getattr(client, name) for name in dir(client) if not name.startswith("_")}
    return {name for name, member in members.items() if callable(member) and not isinstance(member, type)}


def test_the_examples_run() -> None:
    for failed, attempted in (doctest.testfile(str(PAGE), module_relative=False), doctest.testmod(client_module)):
        assert attempted > 2
        assert failed == 0


def test_the_table_lists_every_method_once() -> None:
    assert len(re.findall(r"^\| `", TABLE, re.MULTILINE)) == len(ROWS)
    assert set(ROWS) == methods(QdrantClient) | methods(EdgeClient)
    assert {name for name, kind in ROWS.items() if kind == "more"} == methods(EdgeClient) - methods(QdrantClient)
    assert set(ROWS.values()) == {"same", "differs", "refused", "more"}


@pytest.mark.parametrize("name", [name for name, kind in ROWS.items() if kind == "refused"])
def test_what_the_table_calls_refused_is_refused(name: str, tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client, pytest.raises(UnsupportedError, match=name):
        getattr(client, name)()


@pytest.mark.parametrize("name", [name for name, kind in ROWS.items() if kind != "refused"])
def test_what_the_table_does_not_call_refused_is_there(name: str) -> None:
    assert "Not supported" not in str(getattr(EdgeClient, name).__doc__)


def test_the_docstring_and_the_page_name_the_same_differences() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## What differs")[1].split("\n## ")[0]
    docstring = str(EdgeClient.__doc__).split("What differs")[1].split("\n\n    A write")[0]

    def words(text: str) -> list[str]:
        return re.sub(r"`+|:meth:|\(collection\)|\.$", "", " ".join(text.split())).split()

    for on_page, in_docstring in zip(page.split("\n* ")[1:], docstring.split("\n    * ")[1:], strict=True):
        assert words(on_page) == words(in_docstring)
