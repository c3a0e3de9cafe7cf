"""Fixtures of tests on the command line."""

import io
import sys

import pytest

from fg_search import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process: its exit code, and what it printed."""

    def run(*arguments, stdin=None):
        monkeypatch.setattr(sys, "argv", ["fg-search", *map(str, arguments)])
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return run
