"""Checks of arguments, each done once at the edge; errors name the item and the remedy."""

from __future__ import annotations

import numbers
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, TypeGuard, cast

import numpy as np
import numpy.typing as npt

_INVISIBLE = {"Cf", "Me", "Mn", "Zl", "Zp", "Zs"}  # categories of Unicode; what is unassigned may be a new emoji
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that show nothing
_SHOWN = 5  # columns of a table that an error names
_SUM_TOLERANCE = 1e-3  # tolerance for sums of float32 probabilities


def check_texts(texts: Sequence[str], *, name: str = "texts") -> list[str]:
    """Check that all texts are non-empty strings and return them as a list.

    Args:
        texts: Texts to check.
        name: The caller's name for them, used in error messages.

    Raises:
        TypeError: If ``texts`` is a single string, or an item is not a string; the message names its position.
        ValueError: If an item is empty, only white space, or contains a lone surrogate.
    """
    check_list(texts, name, ordered=True)
    return [check_text(text, f"{name}[{i}]") for i, text in enumerate(texts)]


def check_text(text: object, name: str) -> str:
    """Check that a text is a non-empty string and return it as a plain ``str``.

    Raises:
        TypeError, ValueError: If it is not; the message starts with ``name``.
    """
    if not isinstance(text, str):
        text = native(text)
    if not isinstance(text, str):
        if is_missing(text):
            raise TypeError(f"{name} is missing ({text}); drop the item or give it a text")
        raise TypeError(f"{name} is {type(text).__name__}, not a string")
    if is_blank(text):
        invisible = " (it holds invisible characters alone)" if text.strip() else ""
        raise ValueError(f"{name} is empty{invisible}; drop the item or give it a text")
    _check_whole(text, name)
    return plain_text(text)


def check_labels(labels: Sequence[str | None] | None, *, name: str = "labels") -> list[str | None] | None:
    """Check that every label is a non-empty string or a whole number, or missing where unknown.

    Args:
        labels: Labels to check; ``None`` if there are none.
        name: The caller's name for them, used in error messages.

    Returns:
        The labels as plain strings, a number by its digits, ``None`` where unknown; ``None`` if there are none.

    Raises:
        TypeError: If a label has another type; the message names its position.
        ValueError: If a label is empty or contains a lone surrogate.
    """
    if labels is None:
        return None
    check_list(labels, name, ordered=True)
    return [check_label(label, f"{name}[{i}]") for i, label in enumerate(labels)]


def check_label(label: object, name: str) -> str | None:
    """Check that a label is a non-empty string, a whole number, or missing, and return it as a ``str`` or ``None``.

    A whole number is a label by its digits, as in files; data frames make floats of them beside missing values.

    Raises:
        TypeError, ValueError: If it is not; the message starts with ``name``.
    """
    if not isinstance(label, str):
        label = native(label)
        if is_missing(label):
            return None
        if _is_whole(label):
            return str(int(label))
    if not isinstance(label, str):
        raise TypeError(
            f"{name} is {type(label).__name__} {label!r}, labels are strings or whole numbers; use str(label)"
        )
    if is_blank(label):
        raise ValueError(f"{name} is empty; use None where the label is unknown")
    _check_whole(label, name)
    return plain_text(label)


def plain_text(text: str) -> str:
    """The text as a ``str`` itself: numpy's strings and members of string enums equal one."""
    return text if type(text) is str else str.__str__(text)  # str() of a member of an enum is its name


def native(value: Any) -> Any:
    """A value as Python has it: one of Arrow's columns is wrapped."""
    return value.as_py() if hasattr(value, "as_py") else value


def _is_whole(value: object) -> TypeGuard[float]:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and value == value // 1


def is_missing(value: object) -> bool:
    """Whether a value is ``None``, or what data frames have instead: NaN, pandas' ``NA`` and ``NaT``."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, numbers.Real) and value != value


def check_list(values: object, name: str, *, ordered: bool = False) -> None:
    """Check that an argument is a list of values, and not one value or a mapping.

    Args:
        values: List, array, column of a data frame, or generator.
        name: The caller's name for it, used in error messages.
        ordered: Whether the order counts, so that a set will not do.

    Raises:
        TypeError: If it is something else; the message says what to pass.
    """
    if isinstance(values, (list, tuple)):  # the usual case, without the slower checks below
        return
    if hasattr(type(values), "collect_schema") and not isinstance(values, Iterable):  # of polars
        raise TypeError(f"{name} must be a list, got a lazy table; compute it first: {name}.collect()")
    if hasattr(values, "columns") and hasattr(values, "shape"):
        known = ", ".join(map(repr, list(values.columns)[:_SHOWN]))
        raise TypeError(f"{name} must be a list, got a table; pass one of its columns: {known}")
    if isinstance(values, Mapping):
        raise TypeError(f"{name} must be a list, got a mapping; pass its keys or its values: list({name}.values())")
    if ordered and isinstance(values, (set, frozenset)):
        raise TypeError(f"{name} must be a list, got a set, which has no order; pass a list")
    if isinstance(values, (str, bytes, numbers.Number)) or not isinstance(values, Iterable):
        shown = repr(values[:20] if isinstance(values, (str, bytes)) else values)
        one = "one string" if isinstance(values, str) else f"{type(values).__name__} {shown}"
        raise TypeError(f"{name} must be a list, got {one}; wrap it: [{shown}]")


def check_mapping(values: object, name: str, *, example: str) -> None:
    """Check that an argument is a mapping.

    Raises:
        TypeError: If it is something else; the message shows the example.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a mapping such as {example}, got {type(values).__name__}")


def is_blank(text: str) -> bool:
    """Whether a text is empty, or holds white space, zero-width and other invisible characters alone."""
    rest = text.strip()
    if rest[:1].isascii():  # nearly every text; the rest is asked character by character
        return not rest
    return not any(_is_visible(character) for character in rest)


def _is_visible(character: str) -> bool:
    return not (character.isspace() or character in _FILLERS or unicodedata.category(character) in _INVISIBLE)


def _check_whole(text: str, name: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} holds half a character (a lone surrogate): {text[:60]!r}") from None


def check_vectors(vectors: npt.ArrayLike, *, name: str, dimension: int | None = None) -> npt.NDArray[np.float32]:
    """Check a batch of dense vectors and return it as a contiguous float32 array.

    Args:
        vectors: ``(n, d)`` numbers.
        name: The caller's name for them, used in error messages.
        dimension: Required dimension d, if any.

    Raises:
        ValueError: If the array is not a matrix, has another dimension, or contains NaN or infinity; the message names
            the first such row.
    """
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if not array.flags.writeable:  # torch warns of such arrays, as files that are mapped into memory are
        array = array.copy()
    if array.ndim != 2:
        raise ValueError(f"{name} must be a matrix of shape (n, d), got shape {array.shape}")
    if dimension is not None and array.shape[1] != dimension:
        raise ValueError(f"{name} has vectors of dimension {array.shape[1]}, the model needs {dimension}")
    finite = np.isfinite(array)
    if not finite.all():
        broken = np.flatnonzero(~finite.all(axis=1))
        raise ValueError(f"{name}[{broken[0]}] holds NaN or infinite numbers ({len(broken)} such row(s) in all)")
    return array


def check_brought(
    vectors: object, *, name: str = "vectors", dimension: int, count: int | None = None, of: str = "texts"
) -> npt.NDArray[np.float32]:
    """Check vectors that somebody brings along and return them as a contiguous float32 array.

    Args:
        vectors: ``(n, d)`` numbers: an array, a tensor, or a list or column of vectors.
        name: The caller's name for them, used in error messages.
        dimension: Required dimension d.
        count: Required number n of rows, if any.
        of: The caller's name for what they are the vectors of.

    Raises:
        ValueError: If the shape is wrong, or a row holds NaN, infinity or zeros alone; the message names the row.
    """
    array = as_matrix(vectors, name)
    if count is not None and len(array) != count:
        raise ValueError(f"{name} has {len(array)} rows, {of} has {count} items; give one vector for each")
    if not len(array):
        return np.empty((0, dimension), dtype=np.float32)
    array = check_vectors(array, name=name, dimension=dimension)
    zeros = np.flatnonzero(~array.any(axis=1))
    if len(zeros):
        raise ValueError(
            f"{name}[{zeros[0]}] holds zeros alone, which point nowhere ({len(zeros)} such row(s) in all); leave such "
            "items out, or embed them again"
        )
    return array


def as_matrix(vectors: object, name: str) -> npt.NDArray[np.float32]:
    """Numbers ``(n, d)`` of whatever holds vectors, those too large for float32 as infinity.

    Raises:
        TypeError, ValueError: If it holds something else; the message starts with ``name``.
    """
    if hasattr(vectors, "columns") and hasattr(vectors, "to_numpy"):  # a data frame with a column for each number
        vectors = vectors.to_numpy()
    vectors = _off_device(vectors)
    array: npt.NDArray[np.generic]
    if isinstance(vectors, np.ndarray) and vectors.dtype != object:
        array = vectors
    else:
        check_list(vectors, name, ordered=True)
        rows = [_row(row, f"{name}[{i}]") for i, row in enumerate(cast("Iterable[object]", vectors))]
        lengths = [len(row) for row in rows]
        if len(set(lengths)) > 1:
            odd = next(i for i, length in enumerate(lengths) if length != lengths[0])
            raise ValueError(f"{name}[{odd}] has {lengths[odd]} numbers, those before it {lengths[0]}")
        array = np.array(rows) if rows else np.empty((0, 0))
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        raise ValueError(f"{name} must hold numbers, got {array.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def one_or_more(vectors: object, name: str) -> Sized:
    """Vectors, of which there may be only one: ``(d,)`` as a list of it, anything else as it is.

    Raises:
        TypeError: If it is no list of anything; the message starts with ``name``.
    """
    found = _off_device(native(vectors))
    if isinstance(found, np.ndarray):
        return found if found.ndim > 1 else [found]
    check_list(found, name, ordered=True)
    rows = found if isinstance(found, Sized) else list(cast("Iterable[object]", found))
    first = native(next(iter(cast("Iterable[object]", rows)), None))
    return [rows] if is_number(first) or is_missing(first) else rows


def _off_device(values: object) -> object:
    """A tensor of torch as an array; anything else as it is."""
    detached = getattr(values, "detach", None)
    return values if detached is None else detached().cpu().float().numpy()


def _row(row: object, name: str) -> npt.NDArray[np.float64]:
    row = native(row)
    if is_missing(row):
        raise ValueError(f"{name} is missing ({row}); drop the item or give it a vector")
    try:
        found = np.asarray(_off_device(row), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no vector of numbers: {error}") from None
    if found.ndim != 1:
        raise ValueError(f"{name} is no vector of numbers, it has the shape {found.shape}")
    return found


def check_distributions(probabilities: npt.NDArray[np.float32], *, name: str) -> None:
    """Check that every group of every item is a distribution.

    Args:
        probabilities: ``(n, G, K)`` float32 array.
        name: The caller's name for it, used in error messages.

    Raises:
        ValueError: If a group does not sum to 1 or contains a negative number, NaN or infinity; the message names the
            first such item.
    """
    if not len(probabilities):
        return
    if np.minimum.reduce(probabilities, axis=None) >= 0:  # false for NaN, so that every sum is defined
        sums = np.add.reduce(probabilities, axis=-1)
        if (
            np.minimum.reduce(sums, axis=None) > 1 - _SUM_TOLERANCE
            and np.maximum.reduce(sums, axis=None) < 1 + _SUM_TOLERANCE
        ):
            return
    with np.errstate(invalid="ignore"):
        fits = (np.abs(probabilities.sum(axis=-1) - 1) < _SUM_TOLERANCE) & (probabilities >= 0).all(axis=-1)
    raise ValueError(f"{name}[{fits.all(axis=1).argmin()}] is no distribution: each group must sum to 1")


def is_number(value: object) -> bool:
    """Whether a value is a real number, of Python or numpy."""
    return isinstance(value, (float, int, numbers.Real))  # in this order: the abstract class is slow


def check_fraction(value: float, *, name: str) -> float:
    """Check that a number is in [0, 1] and return it as a float.

    Raises:
        ValueError: If it is not, or is NaN.
    """
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    return float(value)


def check_inner_fraction(value: float, *, name: str) -> float:
    """Check that a number is in (0, 1) and return it as a float.

    Raises:
        ValueError: If it is not, or is NaN.
    """
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(f"{name} must be greater than 0 and less than 1, got {value!r}")
    return float(value)


def check_count(value: int, *, name: str, least: int = 1) -> int:
    """Check that a value is an integer of at least ``least`` and return it as an int.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, numbers.Integral)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def check_same_length(expected: int, columns: Mapping[str, Sized | None]) -> None:
    """Check that every column has ``expected`` items; ``None`` columns are ignored.

    Raises:
        ValueError: If a column has another length.
    """
    for name, column in columns.items():
        if column is not None and len(column) != expected:
            raise ValueError(f"{name} has {len(column)} items, texts has {expected}; give one for each text")


def check_booleans(values: npt.ArrayLike, *, name: str) -> npt.NDArray[np.bool_]:
    """Check a list of booleans, or of zeros and ones, and return it as a boolean array ``(n,)``.

    Raises:
        ValueError: If it is not one-dimensional or contains anything else.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list of booleans, got shape {array.shape}")
    if len(array) and not np.isin(array, (0, 1)).all():
        odd = int((~np.isin(array, (0, 1))).argmax())
        raise ValueError(f"{name}[{odd}] is {array.tolist()[odd]!r}, not a boolean")
    return array.astype(bool)


def check_outcomes(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Check confidences and outcomes and return them as float64 and boolean arrays ``(n,)``, n >= 1.

    Raises:
        ValueError: If lengths differ or are zero, or a confidence is NaN or infinite.
    """
    scores, right = np.asarray(confidence, dtype=np.float64), check_booleans(correct, name="correct")
    if scores.shape != right.shape or not len(scores):
        raise ValueError(f"confidence and correct must be two equally long lists, got {scores.shape} and {right.shape}")
    if not np.isfinite(scores).all():
        position = int((~np.isfinite(scores)).argmax())
        found = "NaN" if np.isnan(scores[position]) else "infinite"
        raise ValueError(f"confidence[{position}] is {found}")
    return scores, right
