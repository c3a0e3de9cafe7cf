"""Processes that take turns, one request at a time, as a schedule says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from simulated_engine import Killed, Mishap, Pause, Request, SimulatedEngine
from simulated_server import SimulatedServer

REQUEST_TAKES = 0.005  # seconds of virtual time
AWAY_FOR = 100.0  # seconds: longer than a server is asked again
FROZEN_FOR = 200.0  # seconds: longer than anybody waits for somebody who may be dead
_MOST_STEPS = 3000  # a run that takes more does not end
_ROUND = 3  # steps of somebody who waits: two requests and a pause


class Place(Enum):
    """Where processes run."""

    ONE_COMPUTER = "processes of one computer, on a server"
    MANY_COMPUTERS = "processes of different computers, on a server"
    CLUSTER = "processes of different computers, each at another node of a cluster"
    ONE_PROCESS = "handles in one process, on a folder"


class DoesNotEndError(Exception):
    """A run has taken so many steps that it will not end."""


@dataclass(frozen=True)
class Preemption:
    """At a step of a run, another process goes on than would have.

    Attributes:
        step: Number of the step.
        to: Number of the process that goes on.
        frozen: The one that is preempted stands still until the others are done or have waited for very long.
    """

    step: int
    to: int
    frozen: bool = False


@dataclass(frozen=True)
class Misfortune:
    """A mishap at a request of one process.

    Attributes:
        process: Number of the process.
        request: Number of the request among those of the process.
        mishap: What befalls it.
    """

    process: int
    request: int
    mishap: Mishap


@dataclass(frozen=True)
class Schedule:
    """Who goes first, who is preempted, what befalls whom, and which ids are drawn. It determines a run."""

    first: int = 0
    preemptions: tuple[Preemption, ...] = ()
    misfortune: Misfortune | None = None
    seed: int = 0

    def __str__(self) -> str:
        words = [f"{chr(ord('A') + self.first)} first", f"seed {self.seed}"]
        words += [
            f"at {one.step} {chr(ord('A') + one.to)}{' while the other is frozen' if one.frozen else ''}"
            for one in self.preemptions
        ]
        if self.misfortune is not None:
            struck = self.misfortune
            words.append(f"{chr(ord('A') + struck.process)} at its request {struck.request}: {struck.mishap.value}")
        return ", ".join(words)


@dataclass(frozen=True)
class Step:
    """A step of a run: a process made a request, or began to wait, or ended.

    Attributes:
        process: Number of the process.
        what: The request, or the pause that ends here.
        others: Processes that could have gone on instead.
    """

    process: int
    what: Request | Pause | None
    others: tuple[int, ...]


@dataclass
class Process:
    """A simulated process: an operation on an engine of its own.

    Attributes:
        number: Its number.
        engine: Its engine.
        skew: Seconds that its clock is ahead.
        host: Name of the computer it runs on.
        running: Ids of what runs in it, for those who ask.
        operation: What it does.
        pending: What the operation waits for.
        wakes: Time at which a pause ends.
        thaws: Time until which it stands still.
        cut_off: Time until which no server answers it.
        requests: Number of requests made.
        began: First step of the operation, -1 before.
        ended: First step after its last one, -1 before.
        result: What it returned.
        error: What it raised.
    """

    number: int
    engine: SimulatedEngine
    skew: float = 0.0
    host: str = "here"
    running: set[str] = field(default_factory=set)
    operation: Coroutine[Any, Any, Any] | None = None
    pending: Request | Pause | None = None
    wakes: float = 0.0
    thaws: float = 0.0
    cut_off: float = 0.0
    requests: int = 0
    began: int = -1
    ended: int = -1
    result: Any = None
    error: BaseException | None = None

    @property
    def is_over(self) -> bool:
        return self.ended >= 0

    @property
    def letter(self) -> str:
        return chr(ord("A") + self.number)

    def begin(self, operation: Coroutine[Any, Any, Any]) -> None:
        """Have an operation to run."""
        self.operation, self.pending, self.result, self.error = operation, None, None, None
        self.wakes = self.thaws = self.cut_off = 0.0
        self.requests, self.began, self.ended = 0, -1, -1

    def drop(self) -> None:
        """Forget an operation that has not ended."""
        if self.operation is not None and not self.is_over:
            self.engine.is_dead = True
            self.operation.close()


class Run:
    """A run of processes on one server.

    Args:
        server: The server.
        seed: Seed of the ids that processes draw.
        place: Where the processes run.

    Attributes:
        processes: The processes, by number.
        current: The one whose turn it is.
        steps: Steps that were made.
        time: Virtual time, in seconds since 1970.
        random: Source of ids.
    """

    def __init__(self, server: SimulatedServer, seed: int = 0, place: Place = Place.ONE_COMPUTER) -> None:
        self.server = server
        self.place = place
        self.processes: list[Process] = []
        self.steps: list[Step] = []
        self.time = 1_800_000_000.0
        self.random = random.Random(seed)
        self.current = Process(-1, SimulatedEngine(server))

    def process(self, *, skew: float = 0.0) -> Process:
        """A new process."""
        number = len(self.processes)
        is_shared, node = self.place is not Place.ONE_PROCESS, number if self.place is Place.CLUSTER else None
        made = Process(number, SimulatedEngine(self.server, is_shared=is_shared, node=node), skew)
        if self.place in (Place.MANY_COMPUTERS, Place.CLUSTER):
            made.host = f"computer {number}"
        elif self.place is Place.ONE_PROCESS and self.processes:
            made.running = self.processes[0].running
        self.processes.append(made)
        return made

    def alone(self, operation: Coroutine[Any, Any, Any], process: Process) -> Any:
        """Run an operation to its end, while nobody else does anything, and return what it returns."""
        process.begin(operation)
        step = len(self.steps)
        while not process.is_over:
            self._step(process, (), None)
        del self.steps[step:]
        if process.error is not None:
            raise process.error
        return process.result

    def together(self, processes: Sequence[Process], schedule: Schedule) -> None:
        """Run processes to their ends."""
        current = processes[schedule.first]
        preemptions = {preemption.step: preemption for preemption in schedule.preemptions}
        while any(not process.is_over for process in processes):
            current = self._next(processes, current)
            preemption = preemptions.pop(len(self.steps), None)
            if preemption is not None and not self.processes[preemption.to].is_over:
                if preemption.frozen:
                    current.thaws = self.time + FROZEN_FOR
                current = self.processes[preemption.to]
                current.thaws = 0.0
            others = tuple(other.number for other in processes if other is not current and not other.is_over)
            self._step(current, others, schedule.misfortune)

    def _next(self, processes: Sequence[Process], current: Process) -> Process:
        """The process that goes on by itself: the current one until it waits or ends, then the next that can."""
        start = processes.index(current)
        in_turn = [*processes[start:], *processes[:start]]
        alive = [process for process in in_turn if not process.is_over]
        for process in alive:
            if max(process.wakes, process.thaws) <= self.time:
                return process
        return min(alive, key=lambda process: max(process.wakes, process.thaws))

    def _step(self, process: Process, others: tuple[int, ...], misfortune: Misfortune | None) -> None:
        if len(self.steps) > _MOST_STEPS:
            raise DoesNotEndError(f"the run does not end after {len(self.steps)} steps")
        self.time = max(self.time, process.wakes) + REQUEST_TAKES
        self.current = process
        if process.began < 0:
            process.began = len(self.steps)
            self._resume(process, None)
            if process.is_over:
                self.steps.append(Step(process.number, None, others))
                return
        mishap = None
        if isinstance(process.pending, Request):
            if misfortune is not None and process.number == misfortune.process:
                mishap = self._mishap(process, misfortune)
            process.requests += 1
        self.steps.append(Step(process.number, process.pending, others))
        self._resume(process, mishap)

    def _mishap(self, process: Process, misfortune: Misfortune) -> Mishap | None:
        """What befalls a request. A process that has lost its server asks in vain for a while."""
        if process.requests == misfortune.request:
            if misfortune.mishap in (Mishap.REQUEST_LOST, Mishap.ANSWER_LOST, Mishap.HALF_DONE):
                process.cut_off = self.time + AWAY_FOR
            return misfortune.mishap
        return Mishap.REQUEST_LOST if self.time < process.cut_off else None

    def _resume(self, process: Process, mishap: Mishap | None) -> None:
        """Let an operation go on until it waits for something again."""
        assert process.operation is not None
        try:
            if mishap is Mishap.KILLED:
                process.engine.is_dead = True
                process.pending = process.operation.throw(Killed())
            else:
                process.pending = process.operation.send(mishap)
        except StopIteration as done:
            process.result, process.ended = done.value, len(self.steps)
        except (Exception, Killed, asyncio.CancelledError) as error:
            process.error, process.ended = error, len(self.steps)
        else:
            if isinstance(process.pending, Pause):
                process.wakes = self.time + process.pending.seconds
            return
        process.pending = None

    def is_polling(self, number: int) -> bool:
        """Whether a step is one of somebody who waits, and has been made like this the round before."""
        round_before, this = (
            self.steps[max(0, number - 2 * _ROUND + 1) : number - _ROUND + 1],
            self.steps[number - _ROUND + 1 : number + 1],
        )
        alike = [(step.process, step.what) for step in this] == [(step.process, step.what) for step in round_before]
        return alike and any(isinstance(step.what, Pause) for step in this)

    def story(self) -> str:
        """The steps, one a line. What somebody does again and again while waiting is told once."""
        told: list[str] = []
        skipped = 0
        for number, step in enumerate(self.steps):
            if self.is_polling(number):
                skipped += 1
                continue
            if skipped:
                told.append(f"        … {skipped} steps more")
                skipped = 0
            told.append(f"  {number:4}  {self.processes[step.process].letter}  {step.what or 'ends'}")
        return "\n".join(told)
