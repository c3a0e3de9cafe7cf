"""Advice of the command that serves agents."""

from __future__ import annotations

import sys

import pytest
from advising import Advice
from typer.testing import CliRunner

from fg_search.cli import app


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fg_search.integrations.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    done = CliRunner().invoke(app, ["mcp", str(tmp_path)])
    assert done.exit_code == 1
    assert Advice("agents need …; pip install 'fg-search[mcp]'").is_in(str(done.exception))


def test_with_it_the_command_goes_on(tmp_path):
    pytest.importorskip("mcp.server.mcpserver", reason="needs mcp 2: pip install 'fg-search[mcp]'")
    done = CliRunner().invoke(app, ["mcp", str(tmp_path / "nothing")])
    assert done.exit_code == 1
    assert "pip install" not in str(done.exception)
