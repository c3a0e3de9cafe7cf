"""The examples in docs/edge_client.md and in the docstring run, and both list what the class has."""

import doctest
import re
from pathlib import Path

from qdrant_client.client_base import QdrantBase

from fg_search.edge import client as client_module
from fg_search.edge.client import EdgeClient

PAGE = Path(__file__).parents[2] / "docs" / "edge_client.md"


def test_the_examples_run() -> None:
    for failed, attempted in (doctest.testfile(str(PAGE), module_relative=False), doctest.testmod(client_module)):
        assert attempted > 2
        assert failed == 0


def test_the_page_lists_every_method() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## What it does")[1].split("\n\n")[1]
    listed = set(re.findall(r"`(\w+)`", table))
    methods = {
        name
        for cls in EdgeClient.__mro__
        if cls.__module__.startswith("fg_search.")
        for name, member in vars(cls).items()
        if callable(member) and not name.startswith("_")
    }
    assert listed == methods
    assert methods - {"optimize", "snapshot_path"} <= set(dir(QdrantBase))


def test_the_docstring_and_the_page_name_the_same_differences() -> None:
    page = PAGE.read_text(encoding="utf-8").split("## What differs")[1].split("\n## ")[0]
    docstring = str(EdgeClient.__doc__).split("What differs")[1].split("\n\n    A write")[0]

    def words(text: str) -> list[str]:
        return re.sub(r"`+|:meth:|\(collection\)|\.$", "", " ".join(text.split())).split()

    for on_page, in_docstring in zip(page.split("\n* ")[1:], docstring.split("\n    * ")[1:], strict=True):
        assert words(on_page) == words(in_docstring)
