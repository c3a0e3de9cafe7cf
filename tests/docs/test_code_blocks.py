"""The code in README and docs works: Python and the README's shell are run, other command lines are parsed."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from documentation import PAGES, ROOT, Block, blocks, commands

from fg_search import FeatureGroupEncoder, cli, demo
from fg_search.model import encoder as encoder_module

BY_PAGE = {str(page.relative_to(ROOT)): blocks(page) for page in PAGES}
PYTHON = [
    name
    for name, found in BY_PAGE.items()
    if any(one.language == "python" and one.skipped is None and ">>>" not in one.code for one in found)
]


# modules that only some who use fg_search have, by the extra or package that brings them
FRAMEWORKS = {
    "agents": "openai-agents",
    "daft": "daft daft-qdrant",
    "dspy": "dspy",
    "haystack": "fg-search[haystack]",
    "langchain_core": "fg-search[langchain]",
    "llama_index": "fg-search[llama-index]",
    "mcp": "fg-search[mcp]",
    "fastmcp": "pydantic-ai-slim[mcp]",
    "pydantic_ai": "pydantic-ai-slim[mcp]",
    "ray": "fg-search[ray]",
}
SLOW = {
    "daft": " (100 MB; nightly runs have it)",
    "dspy": " (half a minute to install, with litellm; nightly runs have it)",
}


def frameworks(block: Block) -> set[str]:
    """Frameworks that a block imports, itself or through an integration."""
    imported = {
        name
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    return {
        module
        for module in FRAMEWORKS
        for name in imported
        if name.partition(".")[0] == module or name == f"fg_search.integrations.{module.removesuffix('_core')}"
    }


def _marks(name: str) -> list[pytest.MarkDecorator]:
    """A page about a framework is run with the tests of integrations."""
    needs_one = any(frameworks(one) for one in BY_PAGE[name] if one.language == "python" and one.skipped is None)
    return [pytest.mark.frameworks] if needs_one else []


@pytest.fixture(scope="module")
def program() -> Any:
    """The commands."""
    return typer.main.get_command(cli.app)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A folder with the files that the pages start from."""
    folder = tmp_path_factory.mktemp("pages")
    questions = demo.queries()
    files = {"corpus": demo.corpus(), "queries": questions, "judged": questions[::2], "fresh": questions[1::2]}
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "corrections.csv").write_text("id,label\nq004,gift_card\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(shipped) -> Path:
    """The same folder, after the README's shell has run in it: encoder and index are what other pages go on from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shipped)
        _save_time(patch)
        for block in BY_PAGE["README.md"]:
            for words in commands(block):
                run_command(words, patch)
    return shipped


@pytest.mark.model
def test_the_shell_of_the_readme_runs(made):
    written = {path.name for path in made.iterdir()}
    assert {"support-encoder", "support-index", "support.snap"} <= written


@pytest.mark.model
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in PYTHON])
def test_the_python_of_a_page_runs_from_top_to_bottom(name, made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, copy_function=_copy_without_holes, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # where fg-search is
    _save_time(monkeypatch)
    if name == "README.md":  # it makes its own
        shutil.rmtree("support-encoder")
        shutil.rmtree("support-index")
    namespace = {"__name__": name}
    for block in BY_PAGE[name]:
        if block.language == "python" and block.skipped is None and ">>>" not in block.code:
            for module in frameworks(block):
                if importlib.util.find_spec(module) is None:
                    why = SLOW.get(module, "")
                    pytest.skip(
                        f"from line {block.line} on, it needs {module}{why}: pip install '{FRAMEWORKS[module]}'"
                    )
            run_python(block, namespace)


@pytest.mark.parametrize("name", BY_PAGE)
def test_every_command_line_is_one(name, program):
    for block in BY_PAGE[name]:
        for words in commands(block):
            command = program.commands.get(words[0])
            assert command is not None, f"{name}:{block.line}: fg-search has no command {words[0]!r}"
            try:
                command.make_context(words[0], list(words[1:]))
            except Exception as error:
                pytest.fail(f"{name}:{block.line}: fg-search {' '.join(words)}: {error}")


@pytest.mark.parametrize("name", BY_PAGE)
def test_commands_and_options_in_running_text_exist(name, program):
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    for said in re.findall(r"`fg-search ([^`|\n]+)`", text):
        words = said.split()
        if not re.fullmatch(r"[a-z][a-z-]+", words[0]):
            continue  # such as COMMAND
        command = program.commands.get(words[0])
        assert command is not None, f"{name}: `fg-search {said}`"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, f"{name}: `fg-search {said}`"


def test_what_is_not_run_says_why():
    for found in BY_PAGE.values():
        for block in found:
            assert block.skipped is None or len(block.skipped) > 5
    skipped = [block for found in BY_PAGE.values() for block in found if block.skipped is not None]
    assert len(skipped) <= 3  # a page of code that nobody runs is soon a page of wrong code


def _copy_without_holes(source: str, target: str) -> None:
    """Files of an index are a hundred times as long as what is in them."""
    nothing = bytes(2**20)
    with Path(source).open("rb") as read, Path(target).open("wb") as written:
        while chunk := read.read(len(nothing)):
            if chunk == nothing[: len(chunk)]:
                written.seek(len(chunk), os.SEEK_CUR)
            else:
                written.write(chunk)
        written.truncate(read.tell())


@pytest.mark.model
def test_the_notebook_runs_from_top_to_bottom(monkeypatch, capsys):
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    _save_time(monkeypatch)
    notebook = json.loads((ROOT / "examples" / "first_look.ipynb").read_text(encoding="utf-8"))
    namespace: dict[str, object] = {"__name__": "first_look"}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert (cell["outputs"], cell["execution_count"]) == ([], None)  # kept without what a run has left
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "first_look.ipynb", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "first_look.ipynb", "eval"), namespace)
            shown.append(type(value).__name__)
            forms = [getattr(value, form) for form in ("_repr_html_", "_repr_png_") if hasattr(value, form)]
            assert not forms or any(form() for form in forms)
    assert {"ConfidenceIndex", "Calibration", "SearchResult", "IndexEvaluation", "Figure", "DataFrame"} <= set(shown)
    namespace["index"].close()
    assert "Loading weights" not in capsys.readouterr().err


def _save_time(patch: pytest.MonkeyPatch) -> None:
    """What is asked here is whether the code runs: train for a few steps, encode the shipped questions once."""
    fit_head = encoder_module.fit_head
    patch.setattr(encoder_module, "fit_head", lambda *a, **k: fit_head(*a, **{**k, "steps": k.get("steps") or 40}))
    for method in (FeatureGroupEncoder.__init__, FeatureGroupEncoder.load):
        patch.setitem(method.__kwdefaults__, "cache_folder", os.environ["FG_SEARCH_CACHE"])


def run_python(block: Block, namespace: dict[str, object]) -> None:
    code = "\n" * (block.line - 1) + block.code  # so that a traceback names the line of the page
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, ROOT / block.page, "exec", dont_inherit=True), namespace)


def run_command(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run fg-search in this process: to load torch ten times would take longer than all of it."""
    patch.setattr(sys, "argv", ["fg-search", *words])
    said = io.StringIO()
    with (
        pytest.raises(SystemExit) as stopped,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
    ):
        cli.main()
    assert not stopped.value.code, f"fg-search {' '.join(words)}\n{said.getvalue()}"
