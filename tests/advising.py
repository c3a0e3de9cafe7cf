"""Messages that tell their reader what to do: which the package has, and how a test expects one.

As they are written here, … stands for whatever a message fills in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fg_search

_VERBS = (
    "add|ask|append|await|call|calibrate|change|check|choose|close|convert|copy|delete|download|drop|encode|fill|fit"
    "|flatten|free|give|go|hand|import|install|keep|leave|look|make|move|name|open|pass|pause|pip|put|raise|recover"
    "|relabel|rename|restore|run|save|say|search|see|send|set|share|shorten|split|start|take|try|update|upgrade|use|wait"
    "|wrap|write"
)
_ADVICE = re.compile(rf"(?:[;:]|(?<!\d)\.) (?:(?:if|to) [^,;.]+, )?(?:(?:{_VERBS})\b|`fg-search )", re.IGNORECASE)


@dataclass(frozen=True)
class Advice:
    """A message, or the end of one, that a test provokes and then follows."""

    text: str

    def raised(self, error: type[Exception] = Exception) -> Any:
        """Expect that the block fails with it."""
        return pytest.raises(error, match=self._pattern)

    def is_in(self, printed: str) -> bool:
        """Whether it is part of what was printed or logged, however that is broken into lines."""
        return re.search(self._pattern, " ".join(printed.split())) is not None

    @property
    def _pattern(self) -> str:
        return r"[\s\S]*?".join(map(re.escape, self.text.split("…")))


def messages(folder: Path | None = None) -> Iterator[tuple[str, str]]:
    """Place and text of every message of the package that gives advice."""
    root = Path(fg_search.__file__).parent if folder is None else folder
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, text in _texts(tree):
            if _ADVICE.search(text):
                yield f"{path.relative_to(root).as_posix()}:{line}", text


def tried(path: Path) -> Iterator[str]:
    """Texts that a file of tests expects as an :class:`Advice`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Advice":
            yield from (text for argument in node.args for _, text in _texts(argument))


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings below a node, but no docstring, and no help of an option or description of a field."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.keyword) and node.arg in ("help", "description"):
        return
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield node.lineno, "".join(map(str, parts))
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _texts(part.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, re.sub(r"%[srd]", "…", node.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)
