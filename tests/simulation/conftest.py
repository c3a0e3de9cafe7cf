"""The simulation, what is there in the beginning, and the check that nothing was wrong in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from judgement import Beginning
from schedule_count import SCHEDULES
from simulated_machine import simulated_machine
from simulation import Outcome, Simulation


@pytest.fixture(scope="module")
def simulation(tmp_path_factory) -> Iterator[Simulation]:
    """A simulation. As long as it is there, clocks, process numbers and encoders are simulated."""
    with simulated_machine():
        yield Simulation(tmp_path_factory.mktemp("simulation"))


@pytest.fixture(scope="module")
def old(simulation) -> Beginning:
    """An index with a decision and a logged query."""
    return simulation.old()


@pytest.fixture(scope="module")
def young(simulation) -> Beginning:
    """An index in which nobody has decided anything yet."""
    return simulation.young()


@pytest.fixture(scope="module")
def empty(simulation) -> Beginning:
    """No index."""
    return simulation.empty()


@pytest.fixture
def check(record_property) -> Callable[[Iterable[Outcome]], None]:
    """Checks that all promises were kept, and shows the simplest run in which one was not."""

    def all_right(outcomes: Iterable[Outcome]) -> None:
        number, wrong = 0, []
        for outcome in outcomes:
            number += 1
            if outcome.wrong:
                wrong.append(outcome)
        record_property(SCHEDULES, number)
        simplest = min(wrong, key=lambda one: (len(one.schedule.preemptions), len(one.run.steps)), default=None)
        if simplest is not None:
            pytest.fail(f"{len(wrong)} of {number} runs are wrong, such as\n{simplest}", pytrace=False)

    return all_right
