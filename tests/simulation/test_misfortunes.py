"""Each operation, struck at each of its requests, and done again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from exploration import struck
from hypothesis import settings
from judgement import Beginning
from simulated_processes import Schedule
from simulation import Outcome, Simulation
from writing_operations import DECIDE_LABEL, LOG_QUERY, OPEN_AND_ADD, OPERATIONS, RESTORE, Operation

EVERYTHING = settings.default.max_examples > 100  # in the nightly profile


def named(operation: Operation) -> str:
    return operation.name.replace(" ", "-")


def at_each_request(simulation: Simulation, beginning: Beginning, operation: Operation) -> Iterator[Outcome]:
    perform = partial(simulation.perform, beginning, [operation])
    alone = perform(Schedule())
    yield alone
    yield from struck(perform, alone, share=1.0 if EVERYTHING else 0.2)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_an_operation_struck_anywhere_completes_when_it_is_done_again(operation, simulation, old, check):
    check(at_each_request(simulation, old, operation))


@pytest.mark.parametrize("operation", [DECIDE_LABEL, LOG_QUERY], ids=named)
def test_a_log_struck_while_it_is_made_completes_when_it_is_done_again(operation, simulation, young, check):
    check(at_each_request(simulation, young, operation))


@pytest.mark.parametrize("operation", [OPEN_AND_ADD, RESTORE], ids=named)
def test_an_index_struck_while_it_is_made_completes_when_it_is_done_again(operation, simulation, empty, check):
    check(at_each_request(simulation, empty, operation))
