"""Errors of workers, as they were raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import RayTaskError, UserCodeException


@contextmanager
def as_raised() -> Iterator[None]:
    """Raise what a worker has raised, in place of Ray's error around it, which becomes its cause.

    Raises:
        Exception: What the worker has raised.
    """
    try:
        yield
    except RayTaskError as error:
        cause: BaseException = error
        while isinstance(cause, (RayTaskError, UserCodeException)):
            inner = cause.cause if isinstance(cause, RayTaskError) else cause.__cause__
            if not isinstance(inner, Exception):
                raise
            cause = inner
        raise cause from error
