"""Every pair of writing operations, interleaved request by request."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import pytest
from exploration import drawn, explored, struck
from hypothesis import settings
from judgement import Beginning
from profiles import examples
from simulated_processes import Place
from simulation import Outcome, Simulation
from writing_operations import (
    COPY_INDEX,
    DECIDE_ABOUT_B,
    DECIDE_DELETE,
    DECIDE_KEEP,
    DECIDE_LABEL,
    LOG_QUERY,
    LOOK_AT_THE_LOG,
    MIGRATE,
    OPEN_AND_ADD,
    OPERATIONS,
    RESTORE,
    Operation,
)

EVERYTHING = settings.default.max_examples > 100  # in the nightly profile
SAMPLE = None if EVERYTHING else 3
HOUR = 3600.0
FIRST_IN_A_LOG = (
    DECIDE_KEEP,
    DECIDE_LABEL,
    DECIDE_ABOUT_B,
    DECIDE_DELETE,
    LOG_QUERY,
    LOOK_AT_THE_LOG,
    MIGRATE,
    COPY_INDEX,
)


def named(operation: Operation) -> str:
    return operation.name.replace(" ", "-")


def interleaved(
    simulation: Simulation, beginning: Beginning, pair: tuple[Operation, Operation], **options: Any
) -> Iterator[Outcome]:
    """Some schedules with one preemption.

    In the nightly profile all with up to two, and each one with less than two struck at each request.
    """
    perform = partial(simulation.perform, beginning, pair, **options)
    for outcome in explored(perform, len(pair), most=2 if EVERYTHING else 1, sample=SAMPLE):
        yield outcome
        if EVERYTHING and len(outcome.schedule.preemptions) < 2:
            yield from struck(perform, outcome)


@pytest.mark.parametrize("first", OPERATIONS, ids=named)
def test_two_operations_keep_every_promise_however_they_are_interleaved(first, simulation, old, check):
    others = OPERATIONS[OPERATIONS.index(first) :]
    check(outcome for other in others for outcome in interleaved(simulation, old, (first, other)))


@pytest.mark.parametrize("first", FIRST_IN_A_LOG, ids=named)
def test_the_first_entries_of_a_log_are_written_by_whoever_comes_first(first, simulation, young, check):
    others = FIRST_IN_A_LOG[FIRST_IN_A_LOG.index(first) :]
    check(outcome for other in others for outcome in interleaved(simulation, young, (first, other)))


@pytest.mark.parametrize("first", [OPEN_AND_ADD, RESTORE], ids=named)
def test_an_index_is_made_once_whoever_comes_first(first, simulation, empty, check):
    others = [OPEN_AND_ADD, RESTORE] if first is OPEN_AND_ADD else [RESTORE]
    check(outcome for other in others for outcome in interleaved(simulation, empty, (first, other)))


def test_decisions_depend_on_no_clock(simulation, old, check):
    pairs = combinations_with_replacement([DECIDE_LABEL, DECIDE_ABOUT_B, *OPERATIONS[:1]], 2)
    check(outcome for pair in pairs for outcome in interleaved(simulation, old, pair, skew=HOUR))


@pytest.mark.parametrize("seed", range(4))
def test_longer_schedules_of_two_and_three_operations_drawn_at_random(seed, simulation, old, check):
    generator = random.Random(seed if not EVERYTHING else None)

    def outcomes() -> Iterator[Outcome]:
        for _ in range(examples(12)):
            chosen = generator.choices(OPERATIONS, k=generator.choice([2, 3]))
            skew, place = generator.choice([0, HOUR]), generator.choice(list(Place))
            perform = partial(simulation.perform, old, chosen, skew=skew, place=place)
            yield from drawn(perform, len(chosen), generator, number=6, most=5)

    check(outcomes())
