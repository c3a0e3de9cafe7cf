"""Names that an index can have."""

from __future__ import annotations

_LOGS = (".decisions", ".queries", ".changes")  # endings of the collections beside an index
_OPERATION = ".op."  # in the aliases of what is being done to an index
# an index's collection has a name of its own: a dot, 16 digits and such an ending more
_MOST_BYTES = 255 - 1 - 16 - max(map(len, _LOGS))
_FORBIDDEN = '<>:"/\\|?*'  # a server puts collections into folders of their names, on any file system


def index_name(name: str) -> str:
    """Return a name that an index can have on every engine.

    Raises:
        TypeError: If it is no text.
        ValueError: If it cannot be one.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an index must be a text, got {type(name).__name__}")
    why = _objection(name)
    if why is not None:
        raise ValueError(f"an index cannot be called {_shown(name)}: {why}; choose another name")
    return name


def _objection(name: str) -> str | None:
    if not name.strip():
        return "the name is empty"
    if name.startswith("."):
        return "it starts with a dot"
    wrong = next((letter for letter in name if letter in _FORBIDDEN or not letter.isprintable()), None)
    if wrong is not None:
        return f"it contains {wrong!r}"
    if len(name.encode()) > _MOST_BYTES:
        return f"it is longer than {_MOST_BYTES} bytes"
    if name.endswith(_LOGS) or _OPERATION in name:
        return "names with this ending or part are kept for what belongs to another index"
    return None


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 60 else f"{name[:60]!r}…"
