"""Read labels chosen in another tool row by row, so that one bad row does not spoil the others."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from fg_search.ids import UserId
from fg_search.validation import check_label, is_blank

T = TypeVar("T")
_SHOWN = 12  # names in an error message


class Correction(NamedTuple):
    """One chosen label.

    Attributes:
        number: Number of the line, task or record, counted from 1.
        id: Id of the item.
        label: Chosen label, never empty.
    """

    number: int
    id: UserId
    label: str


class Flaw(NamedTuple):
    """A line, task or record that is invalid.

    Attributes:
        number: Number of the line, task or record, counted from 1.
        problem: Description of what is wrong and, where it is not obvious, what to do.
    """

    number: int
    problem: str


def read_each(
    rows: Iterable[tuple[int, T]], read: Callable[[T], tuple[UserId, str] | None]
) -> Iterator[Correction | Flaw]:
    """Read rows one at a time; rows without a chosen label are skipped.

    Args:
        rows: Pairs of number and row.
        read: Function that returns id and label, or ``None`` if no label was chosen, and raises ``ValueError`` for an
            invalid row.
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
    """Return the chosen label per id; the last one wins.

    Args:
        corrections: Corrections and flaws in the order they were read.
        unit: Name of what the numbers count, for the error message.

    Raises:
        ValueError: There is a flaw; the message describes the first.
    """
    chosen: dict[UserId, str] = {}
    for correction in corrections:
        if isinstance(correction, Flaw):
            raise ValueError(f"{unit} {correction.number}: {correction.problem}")  # noqa: TRY004  # the value is wrong
        chosen[correction.id] = correction.label
    return chosen


def parsed_id(text: Any) -> UserId:
    """Return an id from its JSON text.

    Raises:
        ValueError: The text is not a valid id.
    """
    try:
        return checked_id(json.loads(text) if isinstance(text, str) else text)
    except (ValueError, RecursionError):
        raise ValueError(f"{reprlib.repr(text)} is no id as it was exported; leave the ids as they are") from None


def checked_id(value: Any) -> UserId:
    """Return a decoded JSON value if it is a valid id.

    Raises:
        ValueError: The value is not a valid id.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{reprlib.repr(value)} is no id as it was exported; leave the ids as they are")  # noqa: TRY004
    return value


def checked_label(value: Any, name: str) -> str:
    """Return a chosen label without the spaces around it, if it is valid.

    Raises:
        ValueError: The value is not a string, is empty, or has lone surrogates; the message starts with ``name``.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} is {reprlib.repr(value)}; a label is a text")  # noqa: TRY004
    if is_blank(value):
        raise ValueError(f"{name} is empty; choose a label, or leave the item out")
    check_label(value, name)
    return value.strip()


def chosen_control(wanted: str | None, usual: str, found: Mapping[str, str], unit: str) -> str | None:
    """Name of the part of a task that holds the labels; ``None`` if nothing was answered.

    Args:
        wanted: Name that the caller gives, if any.
        usual: Name that our own configuration gives it.
        found: Kind by name of each part that was answered, such as ``choices``; empty for those that hold no label.
        unit: What the tool calls such a part.

    Raises:
        ValueError: None of the answers is of the part that was named, none holds a label, or several do and none has
            the usual name.
    """
    if wanted is not None:
        if found and wanted not in found:
            raise ValueError(f"no answer is of the {unit} {wanted!r}; there are {_names(found)}")
        return wanted
    labels = [name for name, kind in found.items() if kind]
    if usual in labels or (usual in found and not labels):  # the answers to it may be malformed: flaws of their tasks
        return usual
    if len(labels) > 1:
        raise ValueError(
            f"several {unit}s hold labels: {_names(labels)}; say which one counts (control=…, --control NAME)"
        )
    if found and not labels:
        raise ValueError(f"no {unit} holds labels; there are {_names(found)}")
    return labels[0] if labels else None


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(reprlib.repr, sorted(names)[:_SHOWN]))


def checked(value: Any, kind: type[T], name: str) -> T:
    """Return a value if it has the expected JSON type.

    Raises:
        ValueError: The value has another type; the message starts with ``name``.
    """
    if not isinstance(value, kind):
        wanted = "a list" if kind is list else "an object"
        raise ValueError(f"{name} is {reprlib.repr(value)}, not {wanted}; leave what was exported as it is")  # noqa: TRY004
    return value
