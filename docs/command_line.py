"""The reference of the command line, from the commands themselves: a page of the site.

python docs/command_line.py
"""

from __future__ import annotations

import json
import re
from typing import Any

import typer

from fg_search import cli
from fg_search.cli.outputs import OUTPUTS, schema_of

INTRODUCTION = """# Command line

`fg-search COMMAND --help` says the same in a terminal; `python -m fg_search` is the same program. This page is made
from the commands when the site is built.

Results go to stdout: tables for people, or one JSON object a line with `--json`. Progress, timings and bad rows go to
stderr. Wherever a command takes `--index`, a folder or the URL of a Qdrant server will do.

| exit code | |
|---|---|
| 0 | done |
| 1 | the work failed; one line says what was wrong and what to do |
| 2 | the command line was wrong |
| 3 | `check` found something wrong |
| 4 | `search` found nothing, or nothing that is sure enough to be an answer |
| 130 | interrupted |

`fg-search schema COMMAND` prints the JSON Schema of what a command prints with `--json`; [all of them](json.md).
"""


def page() -> str:
    """The page, in Markdown."""
    program: Any = typer.main.get_command(cli.app)
    commands = dict(program.commands)
    parts = [INTRODUCTION]
    for title in cli.COMMANDS:
        names = [name for name, command in commands.items() if command.rich_help_panel == title]
        parts += [f"## {title}", *(section(name, commands[name]) for name in names)]
    return "\n\n".join(parts) + "\n"


def section(name: str, command: Any) -> str:
    """One command: what it does, its arguments and options."""
    context = command.make_context(name, [], resilient_parsing=True)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["fg-search", name, *(usage_of(argument) for argument in arguments), "[OPTIONS]"])
    example = (command.epilog or "").removeprefix("Example: `").removesuffix("`")
    rows = [row(context, parameter) for parameter in (*arguments, *options)]
    return "\n".join(
        [
            *(f"### {name}", "", marked(command.help or ""), "", "```text", usage, "```", ""),
            *("```console", f"$ {example}", "```", "", "| | |", "|---|---|", *rows),
        ]
    )


def json_page() -> str:
    """The page of what commands print with ``--json``, in Markdown."""
    parts = [
        "# JSON of the command line\n\nWhat commands print with `--json`: one object, or one a line, as JSON Schema. "
        "More keys may be added; those that are here stay, as [what is public](../deprecation.md) does. "
        "`fg-search schema COMMAND` prints the same."
    ]
    for name in OUTPUTS:
        shape = json.dumps(schema_of(name), indent=1, ensure_ascii=False)
        parts.append(f"## {name}\n\n```json\n{shape}\n```")
    return "\n\n".join(parts) + "\n"


def usage_of(argument: Any) -> str:
    name = argument.opts[0].rstrip(".").upper()
    several = "..." if argument.nargs == -1 else ""
    return f"{name}{several}" if argument.required else f"[{name}{several}]"


def row(context: Any, parameter: Any) -> str:
    """One line of the table."""
    names, text = parameter.get_help_record(context) or (parameter.name, "")
    return f"| {escaped(code(names))} | {escaped(marked(text))} |"


def code(names: str) -> str:
    """Names as code, and what they take beside them: `-o` `--output` `<path>`."""
    words = names.replace(",", " ").split()
    known = [word for word in words if word.startswith("-")]
    return " ".join(f"`{part}`" for part in (*known, " ".join(words[len(known) :])) if part)


def marked(text: str) -> str:
    """Commands and options that a text mentions, as code."""
    return re.sub(r"(?<![`\w-])(fg-search [a-z-]+(?: --[a-z-]+ [a-z]+)?|--[a-z][a-z-]+)(?![`\w])", r"`\1`", text)


def escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page())
