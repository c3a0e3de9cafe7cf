"""README and docs say what is there: rooms, payload keys, commands; their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from types import ModuleType

import pytest
import yaml
from documentation import PAGES, ROOT

from fg_search import IndexSettings, cli
from fg_search.layout import keys, logs, schema
from fg_search.queries.entries import LoggedQuery
from fg_search.review.decisions import ReviewDecision

DOCS = ROOT / "docs"
MADE = {"changelog.md", "contributing.md", "reference/command_line.md", "reference/json.md"}  # when the site is built


def script(name: str) -> ModuleType:
    """A script of the docs."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 700
    assert re.search(r"^make test", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        path = (page.parent / target.partition("#")[0]).resolve()
        there = path.exists() or (path.is_relative_to(DOCS) and str(path.relative_to(DOCS)) in MADE)
        assert there, f"{page.relative_to(ROOT)} links to {target}"


def test_every_page_is_in_the_navigation():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def pages(entries: list) -> set[str]:
        found: set[str] = set()
        for entry in entries:
            value = entry if isinstance(entry, str) else next(iter(entry.values()))
            found |= pages(value) if isinstance(value, list) else {value}
        return found

    assert pages(site["nav"]) == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} | MADE
    assert site["theme"]["font"] is False  # nothing is loaded from elsewhere
    assert all("://" not in asset for asset in (*site["extra"]["polyfills"], *site["extra_css"]))


def test_the_picture_of_the_architecture_has_every_room():
    architecture = script("architecture")
    picture = (DOCS / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    drawn = set(re.findall(r'class="room"[^>]*>([^<]+)<', picture))
    assert drawn == {room for row in architecture.layers() for room in row}, "make pictures"


def test_files_named_in_the_architecture_exist():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_]+/[a-z_]+\.py)`", text):
        assert (ROOT / "fg_search" / name).is_file() or (ROOT / name).is_file(), name


def test_the_drawn_imports_imply_all_others():
    architecture = script("architecture")
    found = architecture.imports()
    drawn = architecture.needed(found)
    for room, used in found.items():
        assert used <= architecture._reached(drawn, room)


def test_the_reference_of_the_command_line_has_every_command_and_option():
    page = script("command_line").page()
    names = [command.name or command.callback.__name__.replace("_", "-") for command in cli.app.registered_commands]
    for name in names:
        assert f"\n### {name}\n" in page
        assert f"\n$ fg-search {name} " in page or f"\n$ fg-search {name}\n" in page, "give it an example"
    assert "`--target-precision` `<float>`" in page


def test_the_page_of_the_layout_names_all_that_is_stored():
    page = (DOCS / "reference" / "layout.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([^`\n]+)`", page))
    stored = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str)}
    stored |= {key for indexes in schema.SCORE_INDEXES.values() for key in indexes} | {*logs.DECISION_LOG_INDEXES}
    for kind in (schema.IndexMetadata, IndexSettings, ReviewDecision, LoggedQuery):
        stored |= {one.name for one in fields(kind)}
    assert stored - told <= {"review", "reviewed", "history", "id"}
    assert f"schema {schema.SCHEMA_VERSION}" in page
