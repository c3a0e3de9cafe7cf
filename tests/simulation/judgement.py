"""Judgement of a run: what is there in the end, against what was promised."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from promises import GONE, Register, Write, broken
from qdrant_client import models
from simulated_encoders import ENCODERS, SimulatedEncoder
from simulated_processes import Process, Run
from simulated_server import Photograph
from writing_operations import COPY, COPY_INDEX, DECIDE_DELETE, DECIDED, LOG_QUERY, NAME, QUESTION, UNDO, Operation, own

from fg_search import AsyncConfidenceIndex
from fg_search.errors import ServerError, StorageError
from fg_search.review.decisions import ReviewDecision

_DAYS = 200_000.0  # seconds after which nobody is waited for, not even on another computer


@dataclass(frozen=True)
class Beginning:
    """What is there before the operations.

    Attributes:
        name: Its name.
        photograph: The server.
        registers: Values of registers.
        snapshot: File of a snapshot.
        kept: Values of registers in the snapshot.
    """

    name: str
    photograph: Photograph
    registers: Mapping[Register, Hashable]
    snapshot: Path
    kept: Mapping[Register, Hashable]

    @property
    def is_empty(self) -> bool:
        return not self.registers

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Performed:
    """An operation that was performed.

    Attributes:
        operation: The operation.
        process: Process it ran in.
        by: What tells it from others like it.
        index: Handle of the index.
        repeats: The same operation, which was struck before.
    """

    operation: Operation
    process: Process
    by: str
    index: AsyncConfidenceIndex
    repeats: Performed | None = None

    @property
    def began(self) -> int:
        """Step at which it was begun for the first time."""
        return self.process.began if self.repeats is None else self.repeats.process.began

    @property
    def is_acknowledged(self) -> bool:
        return self.process.error is None

    def is_refused(self, others: Sequence[Performed]) -> bool:
        """Whether it was refused, and there was somebody to give way to."""
        kinds = {kind for other in others if other is not self for kind in other.operation.kinds}
        error = self.process.error
        is_refusal = isinstance(error, self.operation.refusals) and not isinstance(error, ServerError)
        return is_refusal and bool(kinds & self.operation.yields_to)


@dataclass
class Found:
    """What is there under one name.

    Attributes:
        registers: Values of registers.
        log: Decisions, the oldest first.
        standing: Those that stand.
        wrong: What cannot be right, whatever has happened.
    """

    registers: dict[Register, Hashable] = field(default_factory=dict)
    log: list[ReviewDecision] = field(default_factory=list)
    standing: list[ReviewDecision] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def handle(process: Process, encoder: SimulatedEncoder | None = None, name: str = NAME) -> AsyncConfidenceIndex:
    """Handle of an index, in a process. It is not open yet."""
    location: Any = process.engine
    known: Any = encoder
    return AsyncConfidenceIndex(location, known, collection=name)


def judged(run: Run, beginning: Beginning, performed: Sequence[Performed], struck: Performed | None) -> list[str]:
    """What was promised and is not so.

    Args:
        run: The run.
        beginning: What was there before.
        performed: What was done.
        struck: The operation that met with a misfortune, if one did.
    """
    wrong = [
        f"{one.process.letter} ({one.operation}) raised {one.process.error!r}"
        for one in performed
        if one is not struck and not one.is_acknowledged and not one.is_refused(performed)
    ]
    writes = _writes(beginning, performed, struck)
    try:
        found = look(run)
        wrong += found.wrong
        wrong += broken(beginning.registers, writes, found.registers)
        wrong += _log_and_labels(beginning, performed, found)
        wrong += _copies(run, beginning, performed, writes)
        wrong += _leftovers(run)
    except Exception as error:
        wrong.append(f"the index cannot be looked at: {error!r}")
    return wrong


def _writes(beginning: Beginning, performed: Sequence[Performed], struck: Performed | None) -> list[Write]:
    """Writes of the operations that were acknowledged, and those that may have come to pass."""
    writes: list[Write] = []
    counting = [one for one in performed if not one.is_refused(performed)]
    for one in counting:
        began, ended = one.began, one.process.ended
        # what cannot be logged is answered all the same
        is_certain = one.is_acknowledged and not (one is struck and one.operation is LOG_QUERY)
        written = one.operation.written(one.process.result, one.by)
        writes += [Write(register, value, began, ended, is_certain) for register, value in written.items()]
        possible = one.operation.possible(one.process.result, one.by)
        writes += [Write(register, value, began, ended) for register, values in possible.items() for value in values]
    if any({"scores", "decides about b"} & one.operation.kinds for one in performed):  # are labels doubtful or not?
        writes += [
            Write(("set aside", item), value, -1) for item in ("a", "b", "n", QUESTION) for value in (True, GONE)
        ]
    for one in counting:
        if one.operation is UNDO:  # what was deleted comes back as it was, whatever that is
            writes += [replace(write, began=one.began, ended=one.process.ended, is_certain=False) for write in writes]
    known = {*beginning.registers, *beginning.kept, *(write.register for write in writes)}
    for one in counting:
        if "restores" in one.operation.kinds:
            # the logs of what had the name before are about other items
            kept = {
                register: GONE if register[0] == "query" else beginning.kept.get(register, GONE) for register in known
            }
            writes += [
                Write(register, value, one.began, one.process.ended, one.is_acknowledged)
                for register, value in kept.items()
            ]
    return writes


# --- what is there ----------------------------------------------------------------------------------------


def look(run: Run, name: str = NAME) -> Found:
    """What is there under a name, asked for by a new process, and read from the server itself."""
    found = Found()
    process = run.process()
    index = handle(process, name=name)
    run.alone(index.open(), process)
    found.log = run.alone(index.decisions(), process)
    found.standing = run.alone(index.decisions(standing=True), process)
    for query in run.alone(index.logged_queries(only_open=False), process):
        resolution = query.resolution
        found.registers["query", query.text] = "open" if resolution is None else resolution.label or "dismissed"
    physical = run.server.physical(name)
    if physical == name:
        found.wrong.append(f"{name} is no alias")
    metadata = run.server.get_collection(physical).config.metadata or {}
    fingerprint = metadata["fg_search"]["fingerprint"]
    (encoder,) = [known for known in ENCODERS.values() if known.fingerprint == fingerprint]
    found.registers["encoder",] = encoder.name
    calibration = metadata.get("fg_search_calibration")
    if calibration and calibration["fingerprint"] == fingerprint:
        found.registers["calibration",] = calibration["promise"]["queries"]
    for record in run.server.records(physical):
        _look_at(record, encoder, found)
    return found


def _look_at(record: models.Record, encoder: SimulatedEncoder, found: Found) -> None:
    """Note what is known of an item, and whether its vectors are those that it should have."""
    payload = dict(record.payload or {})
    ours = payload.pop("fg")
    text, label = ours["text"], ours.get("label")
    user_id = text if ours["id"] == record.id else ours["id"]  # a query that was added has the id of its entry
    found.registers["own", user_id] = own(text, payload)
    found.registers["label", user_id] = label
    found.registers["given label", user_id] = ours.get("given_label", label)
    if "score" in (ours.get("review") or {}):
        found.registers["scores", user_id] = ours["review"]["suggested"]
    if ours.get("set_aside"):
        found.registers["set aside", user_id] = True
    wanted = encoder.encode([text])
    vectors: Any = record.vector
    if ours["model"] != encoder.fingerprint or not np.allclose(vectors["base"], wanted.base[0], atol=1e-5):
        found.wrong.append(f"the vectors of {user_id} are another encoder's")
    values, columns, _ = wanted.sparse_parts()
    features = dict(zip(vectors["features"].indices, vectors["features"].values, strict=True))
    if features.keys() != set(columns.tolist()) or not np.allclose(
        [features[column] for column in columns.tolist()], values, atol=1e-4
    ):
        found.wrong.append(f"the features of {user_id} are another encoder's")


# --- what is promised beyond registers --------------------------------------------------------------------


def _log_and_labels(beginning: Beginning, performed: Sequence[Performed], found: Found) -> Iterator[str]:
    """Each acknowledged decision is in the log once, and the item's label is that of the last one that stands."""
    if any("restores" in one.operation.kinds for one in performed):
        yield from _not_in_the_log(performed, found)
        return
    for by in {one.by for one in performed if one.operation.decides}:
        asked = [one for one in performed if one.by == by]
        done = sum(one.is_acknowledged for one in asked)
        most = sum(not one.is_refused(performed) for one in asked)
        logged = sum(entry.reviewer == by and entry.failed is None for entry in found.log)
        if not done <= logged <= most:
            yield f"the log has {logged} decisions of {by}, not {done}"
    for item, given in (("a", "x"), ("b", "y")):
        if ("own", item) not in beginning.registers:
            continue
        before, others = given, item == "a" and any({"labels", "removes"} & one.operation.kinds for one in performed)
        for entry in found.log:
            if entry.failed is not None or entry.id != item:
                continue
            if not others and entry.before != before:
                yield f"{entry.action} by {entry.reviewer} is about the label {entry.before!r}, not {before!r}"
            before = str(entry.after)
        last = [entry for entry in found.standing if entry.id == item][-1:]
        label = found.registers.get(("label", item), GONE)
        wanted = given if not last else GONE if last[0].action == "delete" else last[0].after
        if not others and label != wanted:
            yield f"the label of {item} is {label!r}, that of the last standing decision {wanted!r}"


def _not_in_the_log(performed: Sequence[Performed], found: Found) -> Iterator[str]:
    """A decision about an index that was replaced is gone with it, or it is there as a whole: item and log."""
    last = {entry.id: entry for entry in found.standing}
    for (kind, *item), label in found.registers.items():
        if kind == "label" and str(label).startswith(DECIDED):
            by = str(label).removeprefix(DECIDED)
            if item[0] not in last or last[item[0]].reviewer != by:
                yield f"the decision of {by} about {item[0]} is not in the log"
    brings_back = {"adds", "labels"} & {kind for one in performed for kind in one.operation.kinds}
    for item, entry in last.items():
        if entry.action == "delete" and ("own", item) in found.registers and not brings_back:
            yield f"{item} is there, and the decision to delete it stands"
    removing = {one.operation for one in performed if "removes" in one.operation.kinds}
    if removing == {DECIDE_DELETE} and ("own", "a") not in found.registers and "a" not in last:
        yield "the decision to delete a is not in the log"


def _copies(run: Run, beginning: Beginning, performed: Sequence[Performed], writes: Sequence[Write]) -> Iterator[str]:
    """A copy that was acknowledged has what was there at some moment while it was made."""
    copied = [one for one in performed if one.operation is COPY_INDEX and one.is_acknowledged]
    if not copied:
        return
    found = look(run, COPY)
    began, ended = min(one.began for one in copied), max(one.process.ended for one in copied)
    for sentence in found.wrong:
        yield f"in the copy, {sentence}"
    in_time = [write for write in writes if write.began < ended]
    until = [write if write.ended <= began else replace(write, is_certain=False) for write in in_time]
    for sentence in broken(beginning.registers, until, found.registers):
        if not sentence.startswith("query"):  # logged queries stay behind
            yield f"in the copy, {sentence}"


def _leftovers(run: Run) -> Iterator[str]:
    """What is left after a last migration and, if something was copied, a last copy."""
    left = _unexpected(run)
    if not left:
        return
    run.time += _DAYS
    process = run.process()
    location: Any = process.engine
    encoder: Any = ENCODERS["Z"]
    index, its_copy = handle(process), handle(process, name=COPY)
    run.alone(index.open(), process)
    if any(name.startswith(COPY) for name in left):
        with suppress(StorageError):  # something was deleted since: there is a copy
            run.alone(index.copy_to(location, collection=COPY), process)
        run.alone(its_copy.open(), process)
        run.alone(its_copy.migrate(encoder), process)
    run.alone(index.migrate(encoder), process)
    left = _unexpected(run)
    if left:
        yield f"after a last migration there is {', '.join(sorted(left))}"


def _unexpected(run: Run) -> set[str]:
    """Collections and aliases that are neither an index nor a log of one."""
    aliases = run.server.aliases_now()
    logs = {f"{name}.{log}" for name in (NAME, COPY) for log in ("decisions", "queries")}
    named = {physical for name, physical in aliases.items() if name in (NAME, COPY)}
    return (run.server.names() - logs - named) | (aliases.keys() - {NAME, COPY})
