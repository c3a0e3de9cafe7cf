"""Fixtures of the tests of integrations. A framework that is not installed is skipped, with the reason."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from read_only import read_only

if TYPE_CHECKING:
    from fg_search import ConfidenceIndex


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need a framework, or an agent of one."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.frameworks)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Standard suites have tests that are coroutines; no plugin is needed to run them."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments: dict[str, Any] = {
        name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters
    }
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="module")
def calibrated(encoder, corpus, questions) -> Iterator[ConfidenceIndex]:
    """The corpus in memory, calibrated; none of the tests may change it."""
    from fg_search import ConfidenceIndex

    with ConfidenceIndex(":memory:", encoder) as index:
        texts, labels = corpus
        numbers = range(len(texts))
        index.add(texts, ids=[f"d{i}" for i in numbers], labels=labels, payloads=[{"parity": i % 2} for i in numbers])
        index.calibrate(*questions(200, 0))
        yield read_only(index)


@pytest.fixture
def _few_steps(monkeypatch) -> None:
    """What is asked is whether a head is fitted, not how well."""
    from fg_search.model import encoder

    fit_head = encoder.fit_head
    monkeypatch.setattr(encoder, "fit_head", lambda *a, **k: fit_head(*a, **{**k, "steps": 40}))
