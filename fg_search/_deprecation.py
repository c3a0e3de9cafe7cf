"""Support for renamed parameters and attributes: old names keep working for one release."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_R = TypeVar("_R")


def renamed_parameters(**new_names: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function or method still accept keyword arguments under their old names.

    An old name raises a ``DeprecationWarning`` that points at the caller and names the new one. The function keeps its
    signature, type hints and docstring, so editors and type checkers see only the new names.

    Args:
        new_names: New name of each parameter, by its old name.

    Raises:
        TypeError: When the function is called with both the old and the new name of a parameter.

    Example:
        >>> @renamed_parameters(count="limit")
        ... def search(query: str, *, limit: int = 10) -> int:
        ...     return limit
        >>> search("card", count=3)  # doctest: +SKIP
        DeprecationWarning: search(count=…) is now search(limit=…); the old name goes with the next release
        3
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        called = function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")

        def rename(kwargs: dict[str, Any]) -> None:
            for old, new in new_names.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise TypeError(f"{called}() got both {new}= and its old name {old}=; give {new}= alone")
                warnings.warn(
                    f"{called}({old}=…) is now {called}({new}=…); the old name goes with the next release",
                    DeprecationWarning,
                    stacklevel=3,
                )
                kwargs[new] = kwargs.pop(old)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                rename(kwargs)
                return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", coroutine)

        @wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            rename(kwargs)
            return function(*args, **kwargs)

        return wrapper

    return decorate


def warn_renamed(old: str, new: str) -> None:
    """Warn, from within a method or property under its old name, whoever uses it."""
    warnings.warn(f"{old} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=3)
