"""What once went wrong between two processes, each by its name and in its shortest form."""

from __future__ import annotations

from functools import partial

import pytest
from exploration import explored, misfortunes
from judgement import handle, look
from simulated_engine import Mishap, Request
from simulated_processes import Misfortune, Place, Preemption, Schedule
from simulation import Outcome
from writing_operations import (
    ADD_LABEL,
    ADD_NEW,
    ADD_PAYLOAD,
    CALIBRATE,
    COPY,
    COPY_INDEX,
    DECIDE_ABOUT_B,
    DECIDE_ACCEPT,
    DECIDE_DELETE,
    DECIDE_KEEP,
    DECIDE_LABEL,
    DECIDE_QUERY,
    DELETE,
    LOG_QUERY,
    LOOK_AT_THE_LOG,
    MIGRATE,
    MIGRATE_TO_ANOTHER_BASE,
    NAME,
    OPEN_AND_ADD,
    RELABEL,
    RESTORE,
    SCORE,
    UNDO,
    Operation,
)

from fg_search.errors import DecisionConflictError, FgSearchError

HOUR = 3600.0
ONE_AFTER_THE_OTHER = Schedule()
SEALING, SWITCHING = f"rename_alias {NAME}.op.", f".sealed {NAME}"


def named(operation: Operation) -> str:
    return operation.name.replace(" ", "-")


def request_of(outcome: Outcome, process: int, text: str) -> int:
    """Step of the first request of a process that has this text in it."""
    return next(i for i, step in enumerate(outcome.run.steps) if step.process == process and text in str(step.what))


@pytest.mark.parametrize("correction", [RELABEL, DECIDE_LABEL, DECIDE_KEEP, UNDO], ids=named)
def test_adding_an_item_again_does_not_undo_a_correction(correction, simulation, old, check):
    check(explored(partial(simulation.perform, old, [ADD_PAYLOAD, correction]), 2, most=1))


@pytest.mark.parametrize(
    "write", [ADD_NEW, RELABEL, DELETE, DECIDE_LABEL, DECIDE_DELETE, UNDO, CALIBRATE, DECIDE_QUERY], ids=named
)
def test_a_write_just_before_the_switch_of_a_migration_is_not_left_behind(write, simulation, old, check):
    check(explored(partial(simulation.perform, old, [write, MIGRATE]), 2, most=1))


@pytest.mark.parametrize("other", [MIGRATE, MIGRATE_TO_ANOTHER_BASE, RESTORE], ids=named)
def test_two_that_move_an_index_do_not_delete_it(other, simulation, old, check):
    check(explored(partial(simulation.perform, old, [MIGRATE, other]), 2, most=1))


def test_a_migration_that_was_taken_over_does_not_break_the_seal_of_its_successor(simulation, old, check):
    """A stands still where it would seal the index, B takes over and seals it, A goes on, and C writes."""
    a, b, c = range(3)
    perform = partial(simulation.perform, old, [MIGRATE, MIGRATE, ADD_PAYLOAD])
    c_waits = Preemption(1, a, frozen=True)

    a_waits = Preemption(request_of(perform(Schedule(c, (c_waits,))), a, SEALING), b, frozen=True)
    taken_over = perform(Schedule(c, (c_waits, a_waits)))
    sealed, switched = request_of(taken_over, b, SEALING), request_of(taken_over, b, SWITCHING)
    check(
        perform(Schedule(c, (c_waits, a_waits, Preemption(step, a), Preemption(step + 1, c))))
        for step in range(sealed + 1, switched + 1)
    )


@pytest.mark.parametrize("write", [ADD_PAYLOAD, RELABEL, DECIDE_DELETE], ids=named)
def test_a_write_through_a_node_that_is_late_is_not_left_behind(write, simulation, old, check):
    check(explored(partial(simulation.perform, old, [write, MIGRATE], place=Place.CLUSTER), 2, most=1))


def before_the_old_one_is_removed(perform, mover, to, beginning, first):
    """Schedules in which an index has moved, and others, with handles of before, still find the old collection."""
    alone = perform(Schedule(first))
    moved = request_of(alone, mover, SWITCHING) + 1
    removes = request_of(alone, mover, f"delete_collection {beginning.photograph.aliases[NAME]}")
    return (perform(Schedule(first, (Preemption(step, to),))) for step in range(moved, removes + 1))


def test_an_item_that_was_deleted_is_not_corrected_where_it_was_before(simulation, young, check):
    perform = partial(simulation.perform, young, [DECIDE_DELETE, RELABEL, MIGRATE])
    check(before_the_old_one_is_removed(perform, 2, 0, young, first=2))


def test_an_item_is_deleted_where_the_index_is_although_a_decision_was_not_logged_where_it_was(
    simulation, young, check
):
    perform = partial(simulation.perform, young, [DECIDE_KEEP, MIGRATE, DELETE])
    check(before_the_old_one_is_removed(perform, 1, 2, young, first=0))


def test_two_that_make_an_index_make_the_same_one(simulation, empty, check):
    check(explored(partial(simulation.perform, empty, [OPEN_AND_ADD, OPEN_AND_ADD]), 2, most=1))


def test_an_index_that_was_made_and_moved_while_it_was_being_opened_has_not_lost_its_name(simulation, empty, check):
    a, b, c = range(3)
    perform = partial(simulation.perform, empty, [OPEN_AND_ADD, OPEN_AND_ADD, RESTORE])
    has_found_none = Preemption(3, b)
    one_after_the_other = perform(Schedule(a, (has_found_none,)))
    switched = request_of(one_after_the_other, c, SWITCHING)
    ends = max(i for i, step in enumerate(one_after_the_other.run.steps) if step.process == c)
    check(perform(Schedule(a, (has_found_none, Preemption(step, a)))) for step in range(switched + 1, ends + 1))


def test_a_deletion_that_another_one_has_carried_out_does_not_count_as_failed(simulation, old, check):
    """A and B mark the item, and B is the later. C finds that A's cannot be carried out, and B deletes the item."""
    a, b, c = range(3)
    perform = partial(simulation.perform, old, [DECIDE_DELETE, DECIDE_DELETE, LOOK_AT_THE_LOG])
    logging = f"batch_update_points {NAME}.decisions"
    a_waits = Preemption(request_of(perform(Schedule(a)), a, logging), b)
    b_waits = Preemption(request_of(perform(Schedule(a, (a_waits,))), b, logging), a)
    deleted = request_of(perform(Schedule(a, (a_waits, b_waits))), a, f"delete {NAME}.") + 1
    check([perform(Schedule(a, (a_waits, b_waits, Preemption(deleted, c, frozen=True))))])


@pytest.mark.parametrize("moving", [MIGRATE, RESTORE], ids=named)
def test_a_server_that_dies_at_the_switch_still_has_the_index(moving, simulation, old, check):
    alone = simulation.perform(old, [moving], ONE_AFTER_THE_OTHER)
    made = [step.what.method for step in alone.run.steps if isinstance(step.what, Request)]
    check(
        simulation.perform(old, [moving], Schedule(misfortune=misfortune))
        for misfortune in misfortunes(alone)
        if made[misfortune.request] == "update_collection_aliases"
    )


@pytest.mark.parametrize("after", [ADD_NEW, RELABEL, LOG_QUERY, CALIBRATE, COPY_INDEX, SCORE, DECIDE_LABEL], ids=named)
@pytest.mark.parametrize("moving", [MIGRATE, RESTORE], ids=named)
def test_a_handle_that_was_open_before_the_index_moved_goes_on(moving, after, simulation, old, check):
    check([simulation.perform(old, [moving, after], ONE_AFTER_THE_OTHER)])


@pytest.mark.parametrize("other", [DECIDE_LABEL, DECIDE_ABOUT_B], ids=named)
def test_decisions_of_processes_whose_clocks_differ_are_all_in_the_log(other, simulation, old, check):
    check(explored(partial(simulation.perform, old, [DECIDE_ABOUT_B, other], skew=HOUR), 2, most=1))


@pytest.mark.parametrize("second", [DECIDE_KEEP, DECIDE_LABEL, DECIDE_ACCEPT, DECIDE_DELETE, UNDO], ids=named)
@pytest.mark.parametrize("first", [DECIDE_KEEP, DECIDE_LABEL, UNDO], ids=named)
def test_of_two_decisions_about_an_item_at_once_one_is_refused(first, second, simulation, old, check):
    check(explored(partial(simulation.perform, old, [first, second]), 2, most=1))


def test_an_item_that_is_added_after_a_deletion_was_interrupted_stays(simulation, young, check):
    alone = simulation.perform(young, [DECIDE_DELETE], ONE_AFTER_THE_OTHER)
    check(
        simulation.perform(young, [DECIDE_DELETE, ADD_LABEL], Schedule(misfortune=misfortune), again=False)
        for misfortune in misfortunes(alone)
        if misfortune.mishap in (Mishap.KILLED, Mishap.CANCELLED)
    )


def test_a_copy_that_was_killed_does_not_pass_for_an_index(simulation, old, check):
    killed = [Misfortune(0, request, Mishap.KILLED) for request in range(40)]

    def opens_if_complete(misfortune):
        outcome = simulation.perform(old, [COPY_INDEX], Schedule(misfortune=misfortune), again=False)
        run = outcome.run
        try:
            run.alone(handle(run.process(), name=COPY).open(), run.processes[-1])
        except FgSearchError:
            return outcome
        found = look(run, COPY)
        missing = [register for register in old.registers if register[0] == "own" and register not in found.registers]
        outcome.wrong += [f"the copy opens without {register}" for register in missing]
        return outcome

    check(map(opens_if_complete, killed))


@pytest.mark.parametrize("decision", [DECIDE_DELETE, DECIDE_LABEL, UNDO], ids=named)
def test_a_decision_just_after_a_restore_is_in_the_log(decision, simulation, old, check):
    check(explored(partial(simulation.perform, old, [decision, RESTORE]), 2, most=1))


def test_a_decision_made_after_the_snapshot_does_not_block_undo_for_ever(simulation, old, check):
    outcome = simulation.perform(old, [DECIDE_LABEL, RESTORE, UNDO], ONE_AFTER_THE_OTHER)
    check([outcome])
    assert not isinstance(outcome.run.processes[2].error, DecisionConflictError)
