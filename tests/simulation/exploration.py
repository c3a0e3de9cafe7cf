"""Schedules of a few processes, all of them with a limited number of preemptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from simulated_engine import Pause
from simulated_processes import Preemption, Schedule
from simulation import Outcome


def explored(perform: Callable[[Schedule], Outcome], processes: int, *, most: int, seed: int = 0) -> Iterator[Outcome]:
    """Outcomes of all schedules with at most so many preemptions, depth first.

    A schedule is carried out to see where it could have gone on otherwise: at each later step, with each other process.
    Where somebody waits afterwards, there is another schedule in which the one that was preempted stands still.

    Args:
        perform: Runs a schedule.
        processes: Number of processes.
        most: Most preemptions.
        seed: Seed of all schedules.
    """
    waiting = [Schedule(first, seed=seed) for first in range(processes)]
    while waiting:
        schedule = waiting.pop()
        outcome = perform(schedule)
        yield outcome
        steps, last = outcome.run.steps, schedule.preemptions[-1:]
        after = last[0].step if last else 0
        if last and not last[0].frozen and any(isinstance(step.what, Pause) for step in steps[after:]):
            frozen = replace(last[0], frozen=True)
            waiting.append(replace(schedule, preemptions=(*schedule.preemptions[:-1], frozen)))
        if len(schedule.preemptions) == most:
            continue
        waiting += [
            replace(schedule, preemptions=(*schedule.preemptions, Preemption(number, other)))
            for number, step in enumerate(steps)
            if number > after
            for other in step.others
        ]
