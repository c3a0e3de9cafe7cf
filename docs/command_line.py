"""The reference of the command line, from the commands themselves: a page of the site.

python docs/command_line.py
"""

from __future__ import annotations

import re
from typing import Any

import typer

from fg_search import cli

GROUPS = {
    "Learn and index": ["fit", "describe", "index", "adopt", "sync", "filterable", "info", "delete"],
    "Search": ["calibrate", "adapt", "search", "evaluate"],
    "Review": ["score", "review", "confused", "relabel", "export", "import"],
    "Logged queries": ["audit", "missing-labels", "decide-queries", "forget-queries"],
    "Copies": ["copy", "pull", "push", "snapshot", "restore", "recover"],
    "Operate": ["check", "migrate", "optimize", "serve", "mcp", "demo"],
}
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
| 130 | interrupted |
"""


def page() -> str:
    """The page, in Markdown."""
    program: Any = typer.main.get_command(cli.app)
    commands = dict(program.commands)
    parts = [INTRODUCTION]
    grouped = {title: [name for name in names if name in commands] for title, names in GROUPS.items()}
    others = [name for name in commands if not any(name in names for names in grouped.values())]
    for title, names in {**grouped, "More": others}.items():
        if names:
            parts += [f"## {title}", *(section(name, commands[name]) for name in names)]
    return "\n\n".join(parts) + "\n"


def section(name: str, command: Any) -> str:
    """One command: what it does, its arguments and options."""
    context = command.make_context(name, [], resilient_parsing=True)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["fg-search", name, *(usage_of(argument) for argument in arguments), "[OPTIONS]"])
    rows = [row(context, parameter) for parameter in (*arguments, *options)]
    return "\n".join(
        [f"### {name}", "", marked(command.help or ""), "", "```text", usage, "```", "", "| | |", "|---|---|", *rows]
    )


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
