"""Runs of operations by a schedule, from the same beginning each time, and what was wrong in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from judgement import Beginning, Performed, handle, judged, look
from simulated_encoders import ENCODERS
from simulated_machine import begin
from simulated_processes import DoesNotEndError, Place, Run, Schedule
from simulated_server import Photograph, SimulatedServer
from writing_operations import QUESTION, TEXT, Operation

LATE = 10_000.0  # seconds after which whoever was interrupted counts as dead


@dataclass
class Outcome:
    """A run by a schedule.

    Attributes:
        operations: Operations, by the numbers of their processes.
        schedule: The schedule.
        run: The run.
        wrong: What was promised and is not so.
    """

    operations: Sequence[Operation]
    schedule: Schedule
    run: Run
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        processes = self.run.processes[: len(self.operations)]
        lines = [f"{one.letter} {operation}" for one, operation in zip(processes, self.operations, strict=True)]
        ends = [f"  {one.letter} raised {one.error!r}" for one in processes if one.error is not None]
        wrong = [f"  wrong: {line}" for line in self.wrong]
        title = f"{', '.join(lines)}; {self.schedule}; {self.run.place.value}"
        return "\n".join([title, *wrong, *ends, self.run.story()])


class Simulation:
    """Runs operations on one server, which is as in the beginning for each run.

    Args:
        folder: Folder for snapshots.
    """

    def __init__(self, folder: Path) -> None:
        self.server = SimulatedServer()
        self.folder = folder
        self.runs = 0

    # --- beginnings ---------------------------------------------------------------------------------------

    def empty(self) -> Beginning:
        """No index, but the snapshot of one."""
        young = self.young()
        return replace(young, name="empty", photograph=Photograph({}, {}), registers={})

    def young(self) -> Beginning:
        """An index in which nobody has decided anything yet."""
        return self._filled("young", work=False)

    def old(self) -> Beginning:
        """An index with a decision and a logged query."""
        return self._filled("old", work=True)

    def _filled(self, name: str, *, work: bool) -> Beginning:
        self.server.become(Photograph({}, {}))
        run = begin(Run(self.server, seed=1000))
        process = run.process()
        index = handle(process, ENCODERS["A"])
        run.alone(index.open(), process)
        given: Any = {"ids": ["a", "b"], "labels": ["x", "y"], "payloads": [{"v": 1}, {"v": 2}]}
        run.alone(index.add([TEXT["a"], TEXT["b"]], **given), process)
        run.alone(index.score_labels(), process)
        if work:
            run.alone(index.decide("a", "label", "S", reviewer="set-up"), process)
            run.alone(index.search(QUESTION, rank_by="base", log="all"), process)
            run.alone(index.decisions(), process)
        file = self.folder / f"{name}.snapshot"
        file.unlink(missing_ok=True)
        run.alone(index.snapshot(file), process)
        found = look(run)
        assert not found.wrong
        photograph = self.server.photograph()
        assert len(photograph.aliases) == 1
        return Beginning(name, photograph, found.registers, file, found.registers)

    # --- runs ---------------------------------------------------------------------------------------------

    def perform(
        self,
        beginning: Beginning,
        operations: Sequence[Operation],
        schedule: Schedule,
        *,
        skew: float = 0.0,
        place: Place = Place.ONE_COMPUTER,
        again: bool = True,
    ) -> Outcome:
        """Run operations by a schedule, and judge what came of it.

        Args:
            beginning: What is there before.
            operations: One for each process.
            schedule: The schedule.
            skew: Seconds by which the clock of each process is behind that of the one before, the first one's behind
                that of who was there before them.
            place: Where the processes run.
            again: What was struck by a misfortune is done again much later.
        """
        self.runs += 1
        self.server.become(beginning.photograph)
        self.server.kept = beginning.snapshot
        run = begin(Run(self.server, schedule.seed, place))
        outcome = Outcome(operations, schedule, run)
        performed = []
        for i, operation in enumerate(operations):
            process = run.process(skew=-skew * (i + 1))
            index = handle(process)
            if not beginning.is_empty:
                run.alone(index.open(), process)
            performed.append(Performed(operation, process, f"p{i}", index))
        for one in performed:
            one.process.begin(one.operation.act(one.index, one.by))
        try:
            run.together([one.process for one in performed], schedule)
            struck = None if schedule.misfortune is None else performed[schedule.misfortune.process]
            if again and struck is not None and struck.process.error is not None:
                performed.append(_again(run, beginning, struck))
            outcome.wrong += judged(run, beginning, performed, struck)
        except DoesNotEndError as error:
            outcome.wrong.append(str(error))
        finally:
            for process in run.processes:
                process.drop()
        return outcome


def _again(run: Run, beginning: Beginning, struck: Performed) -> Performed:
    """Do what was struck once more, in a new process and much later."""
    run.time += LATE
    process = run.process()
    repeated = Performed(struck.operation, process, struck.by, handle(process), struck)

    async def operation() -> Any:
        if not beginning.is_empty:
            await repeated.index.open()
        return await repeated.operation.act(repeated.index, repeated.by)

    process.begin(operation())
    run.together([process], Schedule())
    return repeated
