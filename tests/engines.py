"""Kinds of engine that the fixtures ``index``, ``own`` and ``filled`` open an index on."""

from __future__ import annotations

import pytest

ENGINES = [
    pytest.param("edge", id="edge"),
    pytest.param("memory", id="memory"),
    pytest.param("server", id="server", marks=pytest.mark.server),
]
_STRICT = pytest.param("strict", id="strict")


def in_strict_mode_too(fixture: str) -> pytest.MarkDecorator:
    """Run a test in strict mode as well: one whose requests other tests in strict mode do not make.

    Args:
        fixture: The one that opens the index: ``"filled"``, or ``"index"``, also for ``own``.
    """
    return pytest.mark.parametrize(fixture, [*ENGINES, _STRICT], indirect=True)
