"""``schema``: the shape of what ``--json`` prints."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fg_search.cli.console import say


def schema(
    command: Annotated[
        str | None, typer.Argument(help="Name of a command, such as search.", show_default="all of them")
    ] = None,
) -> None:
    """Print the JSON Schema of what a command prints with --json: of one line, where it prints several."""
    from fg_search.cli.outputs import OUTPUTS, schema_of

    if command is not None and command not in OUTPUTS:
        raise typer.BadParameter(f"{command!r} prints no JSON; these do: {', '.join(OUTPUTS)}")
    wanted = schema_of(command) if command is not None else {name: schema_of(name) for name in OUTPUTS}
    say(json.dumps(wanted, indent=1, ensure_ascii=False))
