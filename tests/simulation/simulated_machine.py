"""Clocks, process numbers, random numbers and encoder folders, as the process sees them whose turn it is."""

from __future__ import annotations

import datetime as dates
import importlib
import logging
import pkgutil
import random
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from simulated_encoders import load_encoder
from simulated_processes import Process, Run

import fg_search
from fg_search.confidence import Calibrator
from fg_search.confidence.promise import PrecisionPromise
from fg_search.index.calibration import Calibration
from fg_search.review.issues.label_errors import LabelIssues

SUGGESTED = "suggested"


class _Present:
    """The run that takes place, if one does."""

    run: Run

    @property
    def process(self) -> Process:
        return self.run.current

    def time(self) -> float:
        return self.run.time + self.process.skew


_PRESENT = _Present()


def begin(run: Run) -> Run:
    """Let everything in this interpreter be part of a run."""
    _PRESENT.run = run
    return run


class _Datetime(dates.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return dates.datetime.fromtimestamp(_PRESENT.time(), tz)


_TIME = SimpleNamespace(
    **{
        **vars(time),
        "time": _PRESENT.time,
        "time_ns": lambda: int(_PRESENT.time() * 1e9),
        "monotonic": lambda: _PRESENT.run.time,
    }
)
_RANDOM = SimpleNamespace(uniform=lambda low, high: _PRESENT.run.random.uniform(low, high))
_SECRETS = SimpleNamespace(randbelow=lambda end: _PRESENT.run.random.randrange(end))


class _OwnOfEachProcess:
    """A set that each process has for itself."""

    def __contains__(self, item: object) -> bool:
        return item in _PRESENT.process.running

    def add(self, item: str) -> None:
        _PRESENT.process.running.add(item)

    def discard(self, item: str) -> None:
        _PRESENT.process.running.discard(item)


def _kill(number: int, signal: int) -> None:
    """Only asks whether there is such a process."""
    if number >= len(_PRESENT.run.processes) or _PRESENT.run.processes[number].is_over:
        raise ProcessLookupError


class _NoLock:
    """Lock of a handle that nobody shares."""

    async def __aenter__(self) -> None:
        """Nobody else has it."""

    async def __aexit__(self, *_: object) -> None:
        """Nobody waits for it."""


async def _inline(function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


async def _connect(location: Any, **_: Any) -> Any:
    return location


def _calibrate(
    features: Any, correct: Any, answerable: Any, *, groups: Any, right_label: Any, seed: int, **about: Any
) -> Calibration:
    """A calibration that takes no time to learn, told from others by its number of queries."""
    named = {field.name: about[field.name] for field in fields(Calibration) if field.name in about}
    return Calibration(promise=replace(_PROMISE, queries=seed), **named)


async def _right_label_weights(*_: Any) -> None:
    """Nothing is known of labels: there is no head."""


_CALIBRATOR = Calibrator().fit({"x": np.array([0.0, 1.0, 2.0, 3.0])}, np.array([False, True, False, True]))
_PROMISE = PrecisionPromise.of_calibrator(_CALIBRATOR, [0.5], [True])


def _find_label_issues(base: Any, labels: Any, *, seed: int) -> Any:
    """Every label is doubtful."""
    count = len(labels)
    found = LabelIssues(
        score=np.full(count, 0.8),
        suggested=(SUGGESTED,) * count,
        probability=np.full(count, 0.7),
        change=np.ones(count, dtype=bool),
        predicted=(SUGGESTED,) * count,
        margin=np.full(count, 0.4),
        scored=np.ones(count, dtype=bool),
    )
    model = SimpleNamespace(noise=SimpleNamespace(share=SimpleNamespace(estimate=0.5, low=0.4, high=0.6)))
    return found, model


def _modules() -> list[ModuleType]:
    """Modules of operations, all of them imported."""
    for package in ("engine", "index", "layout", "queries", "review"):
        for module in pkgutil.walk_packages(
            importlib.import_module(f"fg_search.{package}").__path__, f"fg_search.{package}."
        ):
            importlib.import_module(module.name)
    importlib.import_module("fg_search.async_confidence_index")
    return [module for name, module in sys.modules.items() if name.startswith("fg_search.") and module is not None]


@contextmanager
def simulated_machine() -> Iterator[None]:
    """Context in which the operations of an index see the simulated machine."""
    replaced = {
        id(time): _TIME,
        id(random): _RANDOM,
        id(secrets): _SECRETS,
        id(dates.datetime): _Datetime,
        id(uuid4): _uuid4,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("fg_search"), "disabled", True)  # who waits says so
        for child in ("index", "engine", "queries.logged_search"):
            patch.setattr(logging.getLogger(f"fg_search.{child}"), "disabled", True)
        for module in _modules():
            for name, value in list(vars(module).items()):
                if id(value) in replaced:
                    patch.setattr(module, name, replaced[id(value)])
                elif name == "load_encoder":
                    patch.setattr(module, name, load_encoder)
        faces = fg_search.async_confidence_index
        patch.setattr(faces, "asyncio", SimpleNamespace(to_thread=_inline, Lock=_NoLock))
        patch.setattr(faces, "connect_async", _connect)
        patch.setattr("fg_search.index.relevance.calibrate", _calibrate)
        patch.setattr("fg_search.index.relevance.right_label_weights", _right_label_weights)
        patch.setattr("fg_search.review.issues.label_errors.find_label_issues", _find_label_issues)
        saved = ModuleType("fg_search.model.saved_encoder")
        saved.check_target = lambda folder: None  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "fg_search.model.saved_encoder", saved)
        rights = sys.modules.get("fg_search.index.rights")
        if rights is not None:
            patch.setattr(rights, "_RUNNING", _OwnOfEachProcess())
            patch.setattr(rights, "os", SimpleNamespace(getpid=lambda: _PRESENT.process.number, kill=_kill))
            patch.setattr(rights, "socket", SimpleNamespace(gethostname=lambda: _PRESENT.process.host))
        yield


def _uuid4() -> UUID:
    return UUID(int=_PRESENT.run.random.getrandbits(128), version=4)
