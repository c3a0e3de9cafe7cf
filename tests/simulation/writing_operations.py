"""Operations that write, each with what it has written once it is acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from promises import GONE, Register
from simulated_encoders import ENCODERS
from simulated_machine import SUGGESTED

from fg_search import AsyncConfidenceIndex
from fg_search.errors import (
    DecisionConflictError,
    ItemNotFoundError,
    ModelMismatchError,
    NothingToUndoError,
    NotScoredError,
    StorageError,
)

NAME, COPY = "index", "copy"
DECIDED = "decided by "  # label of a decision, with what tells it from others
TEXT = {"a": "text of a", "b": "text of b"}
QUESTION, ANOTHER_QUESTION = "what was asked before", "what is asked now"

Values: TypeAlias = Mapping[Register, Hashable]


@dataclass(frozen=True)
class Operation:
    """An operation on an index.

    Attributes:
        name: What it does.
        act: Does it, on a handle. The second argument tells it from others like it.
        written: Values of registers once it is acknowledged, from what it returned and what tells it from others.
        possible: Values that it may leave in other registers, depending on what it finds.
        refusals: Errors that say that it did nothing, since somebody else was there first.
        kinds: What it does to others: ``"moves"`` the index to another collection, ``"writes"`` points, ``"decides"``
            about the item a, ``"labels"`` it without a decision, ``"removes"`` it, changes ``"scores"`` …
        yields_to: Kinds of operations that it may be refused beside.
        needs_work: Somebody must have decided something before, or logged a query.
    """

    name: str
    act: Callable[[AsyncConfidenceIndex, str], Awaitable[Any]]
    written: Callable[[Any, str], Values] = lambda result, by: {}
    possible: Callable[[Any, str], Mapping[Register, Sequence[Hashable]]] = lambda result, by: {}
    refusals: tuple[type[Exception], ...] = ()
    kinds: frozenset[str] = frozenset()
    yields_to: frozenset[str] = frozenset()
    needs_work: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def decides(self) -> bool:
        """Whether it makes an entry in the log of decisions."""
        return bool({"decides", "decides about b"} & self.kinds)


def own(text: str, payload: Mapping[str, Any]) -> Hashable:
    """Value of the register of what an item's owner says of it, its label apart."""
    return text, *sorted(payload.items())


def removed(item: str) -> Values:
    return {(register, item): GONE for register in ("own", "label", "given label", "scores")}


def _of(operation: Callable[[AsyncConfidenceIndex, str], Awaitable[Any]], **about: Any) -> Operation:
    for kinds in ("kinds", "yields_to"):
        about[kinds] = frozenset(about.get(kinds, ()))
    name = operation.__name__.removeprefix("_").replace("_", " ")
    return Operation(name, operation, **about)


async def _look_at_the_log(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decisions()


async def _open(index: AsyncConfidenceIndex, by: str) -> Any:
    return await AsyncConfidenceIndex(index._given, collection=NAME).open()


async def _add_new(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.add([f"new by {by}"], ids=["n"], labels=["x"], payloads=[{"by": by}])


async def _add_payload(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.add([TEXT["a"]], ids=["a"], labels=["x"], payloads=[{"by": by}])


async def _add_text(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.add([f"other text by {by}"], ids=["a"], labels=["x"], payloads=[{"v": 1}])


async def _add_label(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.add([TEXT["a"]], ids=["a"], labels=[f"given by {by}"], payloads=[{"v": 1}])


async def _relabel(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.relabel({"a": f"corrected by {by}"})


async def _decide_keep(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decide("a", "keep", reviewer=by)


async def _decide_label(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decide("a", "label", DECIDED + by, reviewer=by)


async def _decide_about_b(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decide("b", "label", DECIDED + by, reviewer=by)


async def _decide_accept(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decide("a", "accept", reviewer=by)


async def _decide_delete(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.decide("a", "delete", reviewer=by)


async def _undo(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.undo(reviewer=by)


async def _delete(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.delete(["a"])


async def _calibrate(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.calibrate(["text", "of b"], ["S", "y"], relevant_by="label", seed=int(by[1:]) + 1)


async def _score(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.score_labels()


async def _migrate(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.migrate(ENCODERS["B"])  # type: ignore[arg-type]


async def _migrate_to_another_base(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.migrate(ENCODERS["C"])  # type: ignore[arg-type]


async def _refit_and_set_aside(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.refit("anywhere", set_aside=0.5)


async def _restore(index: AsyncConfidenceIndex, by: str) -> Any:
    location: Any = index._given
    return await AsyncConfidenceIndex.restore(location.server.kept, location, collection=NAME)


async def _copy(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.copy_to(index._given, collection=COPY)


async def _log_query(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.search(ANOTHER_QUESTION, rank_by="base", log="all")


async def _decide_query(index: AsyncConfidenceIndex, by: str) -> Any:
    (query,) = [query for query in await index.logged_queries(only_open=False) if query.text == QUESTION] or [None]
    if query is None:
        raise ItemNotFoundError
    return await index.decide_queries([query.id], "add", f"answered by {by}", reviewer=by)


async def _forget(index: AsyncConfidenceIndex, by: str) -> Any:
    return await index.forget_queries()


async def _open_and_add(index: AsyncConfidenceIndex, by: str) -> Any:
    handle = await AsyncConfidenceIndex(index._given, ENCODERS["A"], collection=NAME).open()  # type: ignore[arg-type]
    return await handle.add([f"new by {by}"], ids=[by], labels=["x"])


def _undone(entry: Any, by: str) -> Values:
    return {} if entry is None else {("label", entry.id): entry.after}


def _taken_back(entry: Any, by: str) -> Mapping[Register, Sequence[Hashable]]:
    """An item that was deleted comes back as it was. If nobody knows what was taken back, any decision may be."""
    back = {("own", "a"): [own(TEXT["a"], {"v": 1})], ("given label", "a"): ["x"], ("scores", "a"): [SUGGESTED]}
    return back if entry is not None else {**back, ("label", "a"): ["x", "S"], ("label", "b"): ["y"]}


_TOUCHES_A = ("moves all", "decides", "labels", "removes", "adds")
_CONFLICT = (DecisionConflictError, ItemNotFoundError)

LOOK_AT_THE_LOG = _of(_look_at_the_log)
OPEN = _of(_open)
ADD_NEW = _of(
    _add_new,
    written=lambda _, by: {
        ("own", "n"): own(f"new by {by}", {"by": by}),
        ("label", "n"): "x",
        ("given label", "n"): "x",
    },
    kinds=["writes"],
)
ADD_PAYLOAD = _of(
    _add_payload,
    written=lambda _, by: {("own", "a"): own(TEXT["a"], {"by": by})},
    possible=lambda _, by: {
        ("label", "a"): ["x", "S"],
        ("given label", "a"): ["x"],
        ("scores", "a"): [SUGGESTED, GONE],
    },
    kinds=["adds", "writes"],
)
ADD_TEXT = _of(
    _add_text,
    written=lambda _, by: {("own", "a"): own(f"other text by {by}", {"v": 1})},
    possible=lambda _, by: {("label", "a"): ["x", "S"], ("given label", "a"): ["x"], ("scores", "a"): [GONE]},
    kinds=["adds", "writes"],
)
ADD_LABEL = _of(
    _add_label,
    written=lambda _, by: {
        ("own", "a"): own(TEXT["a"], {"v": 1}),
        ("label", "a"): f"given by {by}",
        ("given label", "a"): f"given by {by}",
    },
    possible=lambda _, by: {("scores", "a"): [GONE]},
    kinds=["adds", "labels", "writes"],
)
RELABEL = _of(
    _relabel,
    written=lambda _, by: {("label", "a"): f"corrected by {by}"},
    possible=lambda _, by: {("scores", "a"): [GONE]},
    kinds=["labels", "writes"],
    refusals=(ItemNotFoundError,),
    yields_to=["moves all", "removes"],
)
DECIDE_KEEP = _of(_decide_keep, kinds=["decides", "writes"], refusals=_CONFLICT, yields_to=_TOUCHES_A)
DECIDE_LABEL = _of(
    _decide_label,
    written=lambda _, by: {("label", "a"): DECIDED + by},
    kinds=["decides", "writes"],
    refusals=_CONFLICT,
    yields_to=_TOUCHES_A,
)
DECIDE_ABOUT_B = _of(
    _decide_about_b,
    written=lambda _, by: {("label", "b"): DECIDED + by},
    kinds=["decides about b", "writes"],
    refusals=_CONFLICT,
    yields_to=["moves all", "decides about b"],
)
DECIDE_ACCEPT = _of(
    _decide_accept,
    written=lambda entry, by: {("label", "a"): SUGGESTED},
    kinds=["decides", "writes"],
    refusals=(*_CONFLICT, ValueError),
    yields_to=[*_TOUCHES_A, "scores"],
)
DECIDE_DELETE = _of(
    _decide_delete,
    written=lambda _, by: removed("a"),
    kinds=["decides", "removes", "writes"],
    refusals=_CONFLICT,
    yields_to=_TOUCHES_A,
)
UNDO = _of(
    _undo,
    written=_undone,
    possible=_taken_back,
    kinds=["decides", "decides about b", "writes"],
    refusals=(*_CONFLICT, NothingToUndoError),
    yields_to=[*_TOUCHES_A, "decides about b"],
    needs_work=True,
)
DELETE = _of(_delete, written=lambda _, by: removed("a"), kinds=["removes", "writes"])
CALIBRATE = _of(
    _calibrate,
    written=lambda _, by: {("calibration",): int(by[1:]) + 1},
    refusals=(ModelMismatchError, ValueError),  # a ValueError if all items are set aside
    yields_to=["moves"],
)
SCORE = _of(
    _score,
    written=lambda _, by: {("scores", "a"): SUGGESTED, ("scores", "b"): SUGGESTED},
    possible=lambda _, by: {("scores", item): [SUGGESTED, GONE] for item in ("a", "b", "n", QUESTION)},
    kinds=["scores", "writes"],
)
MIGRATE = _of(
    _migrate,
    written=lambda _, by: {("encoder",): "B"},
    possible=lambda _, by: {("calibration",): [GONE]},  # unless the index was there already
    kinds=["moves"],
    refusals=(StorageError,),
    yields_to=["moves"],
)
MIGRATE_TO_ANOTHER_BASE = _of(
    _migrate_to_another_base,
    written=lambda _, by: {("encoder",): "C"},
    possible=lambda _, by: {("calibration",): [GONE], ("scores", "a"): [GONE], ("scores", "b"): [GONE]},
    kinds=["moves", "scores"],
    refusals=(StorageError,),
    yields_to=["moves"],
)
REFIT_AND_SET_ASIDE = _of(
    _refit_and_set_aside,
    written=lambda _, by: {("encoder",): "R", ("set aside", "b"): True},
    possible=lambda _, by: {("calibration",): [GONE], ("set aside", "a"): [GONE, True]},
    kinds=["moves"],
    refusals=(StorageError, NotScoredError),
    yields_to=["moves", "scores"],
)
RESTORE = _of(
    _restore, kinds=["moves", "moves all", "restores", "writes"], refusals=(StorageError,), yields_to=["moves"]
)  # what it has written is the beginning
COPY_INDEX = _of(_copy, refusals=(StorageError, ModelMismatchError), yields_to=["writes", "moves"])
LOG_QUERY = _of(_log_query, written=lambda _, by: {("query", ANOTHER_QUESTION): "open"})
DECIDE_QUERY = _of(
    _decide_query,
    written=lambda _, by: {
        ("query", QUESTION): f"answered by {by}",
        ("own", QUESTION): own(QUESTION, {}),
        ("label", QUESTION): f"answered by {by}",
        ("given label", QUESTION): f"answered by {by}",
    },
    kinds=["writes", "decides about a query"],
    refusals=_CONFLICT,
    yields_to=["forgets", "moves all", "decides about a query"],
    needs_work=True,
)
FORGET = _of(
    _forget,
    written=lambda _, by: {("query", QUESTION): GONE, ("query", ANOTHER_QUESTION): GONE},
    kinds=["forgets"],
)
OPEN_AND_ADD = _of(
    _open_and_add,
    written=lambda _, by: {
        ("own", by): own(f"new by {by}", {}),
        ("label", by): "x",
        ("given label", by): "x",
        ("encoder",): "A",
    },
)

OPERATIONS = (
    LOOK_AT_THE_LOG,
    OPEN,
    ADD_NEW,
    ADD_PAYLOAD,
    ADD_TEXT,
    ADD_LABEL,
    RELABEL,
    DECIDE_KEEP,
    DECIDE_LABEL,
    DECIDE_ABOUT_B,
    DECIDE_ACCEPT,
    DECIDE_DELETE,
    UNDO,
    DELETE,
    CALIBRATE,
    SCORE,
    MIGRATE,
    MIGRATE_TO_ANOTHER_BASE,
    REFIT_AND_SET_ASIDE,
    RESTORE,
    COPY_INDEX,
    LOG_QUERY,
    DECIDE_QUERY,
    FORGET,
)
