"""Lookup of the engine's counterparts of ``qdrant_client.models`` types and enum members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.errors import UnsupportedError

T = TypeVar("T")
_MEMORY = {
    models.Memory.COLD: edge.Memory.Cold,
    models.Memory.CACHED: edge.Memory.Cached,
    models.Memory.PINNED: edge.Memory.Pinned,
}


def dispatch(table: Mapping[type, Callable[..., T]], value: object, what: str) -> Callable[..., T]:
    """Return the conversion for the type of ``value``.

    Args:
        table: Type → conversion; a conversion also serves subclasses.
        value: Value to convert.
        what: Kind of value, for the error message.

    Raises:
        UnsupportedError: The embedded engine has no counterpart of this qdrant-client model.
        ValueError: The value is not a qdrant-client model.
    """
    for cls in type(value).__mro__:
        convert = table.get(cls)
        if convert is not None:
            return convert
    name = type(value).__name__
    if type(value).__module__.startswith("qdrant_client."):
        raise UnsupportedError(f"{what} {name} is not supported by Qdrant Edge; use a Qdrant server for it")
    known = ", ".join(sorted(cls.__name__ for cls in table))
    raise ValueError(f"Unknown {what} of type {name}: {value!r}; expected one of {known}")


def enum_member(table: Mapping[Any, Any], value: Any, what: str) -> Any:
    """Return the engine's counterpart of an enum member from a table; None stays None."""
    if value is None:
        return None
    if value not in table:
        raise UnsupportedError(f"{what} {value.value!r} is not supported by Qdrant Edge")
    return table[value]


def enum_named(engine_enum: Any, value: Any, what: str) -> Any:
    """Return the engine's enum member named like the value in CamelCase (``one_bit`` → ``OneBit``); None stays None."""
    if value is None:
        return None
    name = "".join(part.capitalize() for part in str(value.value).split("_"))
    if not hasattr(engine_enum, name):
        raise UnsupportedError(f"{what} {value.value!r} is not supported by Qdrant Edge")
    return getattr(engine_enum, name)


def convert_memory(value: models.Memory | None) -> Any:
    """Convert a memory placement; None stays None."""
    return enum_member(_MEMORY, value, "memory placement")
