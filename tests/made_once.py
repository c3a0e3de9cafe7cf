"""What libraries make anew each time and never change, made once for all tests: it took a fifth of their time."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _commands(patch)
        _certificates(patch)
        _schemas(patch)
        yield


def _commands(patch: pytest.MonkeyPatch) -> None:
    """Typer reads the signatures of all commands each time one of them is run."""
    import typer

    made = functools.cache(typer.main.get_command)
    patch.setattr("typer.main.get_command", made)
    patch.setattr("typer.testing._get_command", made)


def _certificates(patch: pytest.MonkeyPatch) -> None:
    """Httpx reads the certificates of all authorities for each client, also for one that asks without TLS."""
    from httpx._transports import default

    patch.setattr(default, "create_ssl_context", functools.cache(default.create_ssl_context))


def _schemas(patch: pytest.MonkeyPatch) -> None:
    """Each client of Qdrant copies what all of them know of the models that they send, twice."""
    from qdrant_client.embed.schema_parser import ModelSchemaParser

    known = vars(ModelSchemaParser())
    patch.setattr(ModelSchemaParser, "__init__", lambda self: vars(self).update(known))
