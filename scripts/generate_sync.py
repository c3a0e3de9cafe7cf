"""Generate ``fg_search/confidence_index.py`` from ``fg_search/async_confidence_index.py``.

The asynchronous face of the index is written, the blocking one is generated: ``async def`` becomes ``def``, and an
operation that was awaited is driven to its end. What cannot be derived is said in comments of the source:

* ``# sync: CODE`` alone on a line becomes ``CODE``; behind a statement, it takes the statement's place;
* a line with ``# async only`` behind it is left out;
* ``# sync name: NAME`` behind a function's first line names the function;
* paragraphs of docstrings that mention the event loop are left out.

``async for`` and asynchronous comprehensions are refused.

Usage::

    python scripts/generate_sync.py            # write the file
    python scripts/generate_sync.py --check    # fail if it is out of date
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "fg_search" / "async_confidence_index.py"
TARGET = ROOT / "fg_search" / "confidence_index.py"

MODULE_DOCSTRING = '''"""ConfidenceIndex: a corpus in Qdrant whose points know how sure their embedding is.

Generated from ``async_confidence_index.py`` by ``scripts/generate_sync.py``: edit that file.
"""
'''
REPLACEMENTS = {
    "import asyncio\n": "from threading import Lock\n",
    "engine.asynchronous import AsyncEngine": "engine.blocking import BlockingEngine, drive",
    "asyncio.Lock()": "Lock()",
    "asynccontextmanager": "contextmanager",
    "AsyncIterator": "Iterator",
    "AsyncConfidenceIndex": "ConfidenceIndex",
    "AsyncEngine": "BlockingEngine",
    "AsyncLocation": "Location",
    "connect_async": "connect",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "Several tasks may share": "Several threads may share",
    "; use `async with`, or await index.open()": "",
}

Edit = tuple[int, int, str]  # from, to, and what takes the place of the text between


class Converter(ast.NodeVisitor):
    """Collects the edits that make blocking code of asynchronous code."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.edits: list[Edit] = []
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        start = self._start(node)
        self.edits.append((start, start + len("async "), ""))
        line = self.source[start : self._starts[node.body[0].lineno - 1]]
        renamed = re.search(r"  # sync name: (\w+)\n", line)
        if renamed is not None:
            name = start + len("async def ")
            self.edits.append((name, name + len(node.name), renamed.group(1)))
            self.edits.append((start + renamed.start(), start + renamed.end() - 1, ""))
        self.generic_visit(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.edits.append((self._start(node), self._start(node) + len("async "), ""))
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        _refuse_loop(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            _refuse_loop(node)
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        start, value = self._start(node), self._start(node.value)
        if _is_operation(node.value):
            self.edits.append((start, value, "drive("))
            self.edits.append((self._end(node), self._end(node), ")"))
        else:
            self.edits.append((start, value, ""))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) == "asyncio.to_thread":
            function, *arguments = node.args
            self.edits.append((self._start(node), self._start(function), ""))
            end = self._start(arguments[0]) if arguments else self._end(function)
            self.edits.append((self._end(function), end, "("))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "\n" in node.value:
            text = self.source[self._start(node) : self._end(node)]
            self.edits.append((self._start(node), self._end(node), _docstring(text)))

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + self._characters(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None  # noqa: S101  nodes of parsed source have it
        assert node.end_col_offset is not None  # noqa: S101
        return self._starts[node.end_lineno - 1] + self._characters(node.end_lineno, node.end_col_offset)

    def _characters(self, line: int, offset: int) -> int:
        """Columns are counted in bytes of UTF-8."""
        text = self.source[self._starts[line - 1] : self._starts[line]]
        return len(text.encode()[:offset].decode())


def _refuse_loop(node: ast.AsyncFor | ast.comprehension) -> None:
    loop = f"async for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
    raise ValueError(f"cannot convert `{loop}`: asynchronous loops and comprehensions have no blocking form")


def _is_operation(call: ast.expr) -> bool:
    """Whether what is awaited is an operation on the engine, and not a method of the index that blocks by itself."""
    if not isinstance(call, ast.Call):
        return True
    function = ast.unparse(call.func)
    if function in ("asyncio.to_thread", "connect_async") or function.endswith(".close"):
        return False
    return not (function.startswith(("self.", "index.")) and function.count(".") == 1)


def _docstring(text: str) -> str:
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if "event loop" not in paragraph]
    kept = "\n\n".join(paragraphs)
    if not kept.endswith('"""'):
        kept = f'{kept.rstrip()}"""'
    return kept.replace("async with", "with").replace("await ", "")


def convert(source: str) -> str:
    """Return the blocking face of the index."""
    source = re.sub(r"^.*  # async only\n", "", source, flags=re.MULTILINE)
    source = re.sub(r"^(\s*)# sync: (.*)$", r"\1\2", source, flags=re.MULTILINE)
    source = re.sub(r"^(\s*)\S.*  # sync: (.*)$", r"\1\2", source, flags=re.MULTILINE)
    converter = Converter(source)
    tree = ast.parse(source)
    converter.visit(tree)
    for start, end, text in sorted(converter.edits, reverse=True):
        source = source[:start] + text + source[end:]
    for old, new in REPLACEMENTS.items():
        source = source.replace(old, new)
    return MODULE_DOCSTRING + source.split('"""\n', 1)[1]


def formatted(source: str) -> str:
    """Sort the imports and format the code as ``make lint`` wants them."""
    for command in (["check", "--fix", "--quiet", "--select", "I"], ["format"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--stdin-filename", str(TARGET), "-"]
        source = subprocess.run(ruff, input=source, capture_output=True, text=True, check=True, cwd=ROOT).stdout  # noqa: S603
    return source


def main() -> None:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="fail if the file is out of date, and write nothing")
    check = parser.parse_args().check
    code = formatted(convert(SOURCE.read_text(encoding="utf-8")))
    if not check:
        TARGET.write_text(code, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != code:
        sys.exit(f"{TARGET.relative_to(ROOT)} is out of date: run python scripts/generate_sync.py")


if __name__ == "__main__":
    main()
