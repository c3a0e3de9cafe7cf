"""Method signatures taken from qdrant-client, so that every call that it accepts binds in the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from itertools import takewhile
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from qdrant_client import QdrantClient

P = ParamSpec("P")
R = TypeVar("R")

# The class, for type checkers an instance: the methods that they see have no ``self``, which would have to be a
# QdrantClient.
THEIRS = cast("QdrantClient", QdrantClient)


def public_methods(client: type) -> dict[str, Any]:
    """Return name → method of a client class, with class methods and static methods."""
    return {
        name: member
        for name, member in inspect.getmembers(client, callable)
        if not name.startswith("_") and not inspect.isclass(member)
    }


def _positional(signature: inspect.Signature) -> list[str]:
    """Names of the parameters that can be positional, without ``self``."""
    by_position = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [name for name, parameter in signature.parameters.items() if parameter.kind is by_position][1:]


def signature_of(theirs: Callable[P, Any]) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the signature of a qdrant-client method: names, order, defaults, positional and keyword arguments.

    The decorated method declares the arguments that it uses and takes the others as keywords. It receives only what the
    caller has given.

    Args:
        theirs: The method, from :data:`THEIRS`.
    """
    signature = inspect.signature(theirs)
    names = _positional(signature)

    def decorate(method: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        own = _positional(inspect.signature(method))
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(names, own, strict=False)))

        @wraps(method)
        def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) <= shared:
                return method(self, *args, **kwargs)
            if len(args) > len(names):
                raise TypeError(
                    f"{method.__name__}() takes {len(names)} positional arguments but {len(args)} were given"
                )
            given = dict(zip(names, args, strict=False))
            for name in given:
                if name in kwargs:
                    raise TypeError(f"{method.__name__}() got multiple values for argument {name!r}")
            return method(self, **given, **kwargs)

        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorate
