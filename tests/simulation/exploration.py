"""Schedules of a few processes: all with a limited number of preemptions, all misfortunes, or some drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from simulated_engine import Mishap, Pause, Request
from simulated_processes import Misfortune, Place, Preemption, Schedule, Step
from simulation import Outcome


def explored(
    perform: Callable[[Schedule], Outcome], processes: int, *, most: int, seed: int = 0, sample: int | None = None
) -> Iterator[Outcome]:
    """Outcomes of all schedules with at most so many preemptions, depth first.

    A schedule is carried out to see where it could have gone on otherwise: at each later step, with each other process.
    Where somebody waits afterwards, there is another schedule in which the one that was preempted stands still.

    Args:
        perform: Runs a schedule.
        processes: Number of processes.
        most: Most preemptions.
        seed: Seed of all schedules.
        sample: Number of preemptions that are tried in each schedule, drawn at random. By default all are.
    """
    generator = random.Random(seed)
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
        preemptions = [
            Preemption(number, other) for number in _places(outcome) if number > after for other in steps[number].others
        ]
        if sample is not None and len(preemptions) > sample:
            preemptions = generator.sample(preemptions, sample)
        waiting += [replace(schedule, preemptions=(*schedule.preemptions, preemption)) for preemption in preemptions]


def struck(perform: Callable[[Schedule], Outcome], outcome: Outcome, *, share: float = 1.0) -> Iterator[Outcome]:
    """Outcomes of the schedule of an outcome, with each misfortune that there can be.

    Args:
        perform: Runs a schedule.
        outcome: Outcome without a misfortune.
        share: Share of the misfortunes that happen, in (0, 1]. Processes are killed at each request in any case.
    """
    generator = random.Random(outcome.schedule.seed)
    for misfortune in misfortunes(outcome):
        if misfortune.mishap is Mishap.KILLED or generator.random() < share:
            yield perform(replace(outcome.schedule, misfortune=misfortune))


def misfortunes(outcome: Outcome) -> list[Misfortune]:
    """Misfortunes that can befall the processes of a run, each at each of their requests."""
    made = dict.fromkeys(range(len(outcome.operations)), 0)
    found = []
    for step in outcome.run.steps:
        if step.process in made and isinstance(step.what, Request):
            mishaps = [Mishap.KILLED] if _is_indexing(step) else list(_mishaps(step.what))
            if outcome.run.place is Place.ONE_PROCESS and len(made) > 1:  # all die together
                mishaps = [mishap for mishap in mishaps if mishap is not Mishap.KILLED]
            found += [Misfortune(step.process, made[step.process], mishap) for mishap in mishaps]
            made[step.process] += 1
    return found


def _places(outcome: Outcome) -> list[int]:
    """Steps of a run at which it matters who goes on."""
    return [
        number
        for number, step in enumerate(outcome.run.steps)
        if number and not _is_indexing(step) and not outcome.run.is_polling(number)
    ]


def _is_indexing(step: Step) -> bool:
    """Whether a payload index is made: there are many of them in a row, and none of them depends on what others do."""
    return isinstance(step.what, Request) and step.what.method == "create_payload_index"


def _mishaps(request: Request) -> Iterator[Mishap]:
    for mishap in Mishap:
        if request.parts > 1 or mishap not in (Mishap.HALF_DONE, Mishap.HALF_DONE_AND_ASKED_AGAIN):
            yield mishap


def drawn(
    perform: Callable[[Schedule], Outcome], processes: int, generator: random.Random, *, number: int, most: int
) -> Iterator[Outcome]:
    """Outcomes of schedules that are drawn: up to so many preemptions each, and a misfortune in every third."""
    first = generator.randrange(processes)
    known = perform(Schedule(first, seed=generator.randrange(1000)))
    yield known
    for _ in range(number - 1):
        at = sorted(generator.sample(_places(known), min(len(_places(known)), generator.randint(1, most))))
        preemptions = tuple(
            Preemption(step, generator.randrange(processes), frozen=generator.random() < 0.2) for step in at
        )
        misfortune = generator.choice(misfortunes(known) or [None]) if generator.random() < 1 / 3 else None
        schedule = Schedule(generator.randrange(processes), preemptions, misfortune, generator.randrange(1000))
        known = perform(schedule)
        yield known
