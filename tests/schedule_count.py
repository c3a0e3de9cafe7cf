"""Says after the tests how many schedules were run in simulation."""

from __future__ import annotations

import pytest

SCHEDULES = "schedules"  # property of a test: how many it has run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    counts = [value for report in reports for name, value in report.user_properties if name == SCHEDULES]
    if counts:
        terminalreporter.write_line(f"{sum(counts):,} schedules run in simulation")
