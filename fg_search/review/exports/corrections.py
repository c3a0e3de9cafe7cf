"""Labels that somebody chose elsewhere, read row by row: a bad row is told apart from the good ones around it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from fg_search.ids import UserId
from fg_search.validation import check_label

T = TypeVar("T")


class Correction(NamedTuple):
    """One chosen label.

    Attributes:
        number: Of the line, task or record that has it, counted from 1.
        id: Of the item.
        label: Not empty.
    """

    number: int
    id: UserId
    label: str


class Flaw(NamedTuple):
    """What is wrong with a line, task or record.

    Attributes:
        number: Counted from 1.
        problem: What was wrong, and what to do where that is not plain.
    """

    number: int
    problem: str


def read_each(
    rows: Iterable[tuple[int, T]], read: Callable[[T], tuple[UserId, str] | None]
) -> Iterator[Correction | Flaw]:
    """Read one row after the other; rows in which nothing was chosen are passed over.

    Args:
        rows: With their numbers.
        read: Gives id and label, ``None`` if nothing was chosen, or raises a ``ValueError`` that says what is wrong.
    """
    for number, row in rows:
        try:
            found = read(row)
        except ValueError as error:
            yield Flaw(number, str(error))
            continue
        if found is not None:
            yield Correction(number, *found)


def labels_by_id(corrections: Iterable[Correction | Flaw], unit: str) -> dict[UserId, str]:
    """The chosen labels; of several for one id the last.

    Args:
        corrections: As they were read.
        unit: What the numbers count, for the message.

    Raises:
        ValueError: At the first flaw.
    """
    chosen: dict[UserId, str] = {}
    for one in corrections:
        if isinstance(one, Flaw):
            raise ValueError(f"{unit} {one.number}: {one.problem}")  # noqa: TRY004  # the value is wrong
        chosen[one.id] = one.label
    return chosen


def parsed_id(text: Any) -> UserId:
    """An id as it was written by ``json.dumps``.

    Raises:
        ValueError: If it is none.
    """
    try:
        return checked_id(json.loads(text) if isinstance(text, str) else text)
    except (ValueError, RecursionError):
        raise ValueError(f"{reprlib.repr(text)} is no id as it was exported; leave the ids as they are") from None


def checked_id(value: Any) -> UserId:
    """An id as it stands in JSON.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{reprlib.repr(value)} is no id as it was exported; leave the ids as they are")  # noqa: TRY004
    return value


def checked_label(value: Any, name: str) -> str:
    """A label that was chosen.

    Raises:
        ValueError: If it is no text, empty, or not made of whole characters; the message begins with ``name``.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} is {reprlib.repr(value)}; a label is a text")  # noqa: TRY004
    if not value.strip():
        raise ValueError(f"{name} is empty; choose a label, or leave the item out")
    check_label(value, name)
    return value


def checked(value: Any, kind: type[T], name: str) -> T:
    """A value of the JSON type that it must have.

    Raises:
        ValueError: If it is of another one; the message begins with ``name``.
    """
    if not isinstance(value, kind):
        wanted = "a list" if kind is list else "an object"
        raise ValueError(f"{name} is {reprlib.repr(value)}, not {wanted}; leave what was exported as it is")  # noqa: TRY004
    return value
