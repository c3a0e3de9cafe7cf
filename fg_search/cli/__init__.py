"""The command line.

Exit codes: 0 done; 1 the command failed (the message says what was wrong and what to do); 2 the command line was
wrong; 3 ``check`` found something wrong; 4 nothing was found; 130 interrupted. Results go to stdout, as tables for
people or, with ``--json``, as one JSON object per line for programs. Progress, timings and bad rows go to stderr.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from fg_search.cli import (
    adapt,
    adopt,
    audit,
    decisions,
    demo,
    evaluate,
    exchange,
    fit,
    history,
    index,
    maintenance,
    mcp,
    queries,
    quickstart,
    review,
    schema,
    search,
    serve,
)
from fg_search.cli.command import Command
from fg_search.cli.console import LOGGED_WARNINGS, log, prepare_streams
from fg_search.cli.running_server import who_has_it_open
from fg_search.cli.version import print_version
from fg_search.errors import FgSearchError

_INTERRUPTED = 130  # exit code after Ctrl-C
# Threads that spin for long while they wait for one another keep each other from the cores that other processes leave.
# On two cores, a head on 400 texts took 11 s beside a busy process, and 5 s with so few turns; without one 2.5 s in
# both cases, and 3.3 s where threads sleep at once (OMP_WAIT_POLICY=PASSIVE).
_SPINS = "1000"

app = typer.Typer(
    name="fg-search",
    help="Vector search that knows when it does not know.",
    epilog="Begin with `fg-search quickstart FILE`, or with `fg-search demo`. Since loading a model takes seconds, "
    "`fg-search search` without a query stays open and answers line by line, `fg-search serve` keeps a warm process. "
    "Exit codes: 0 done, 1 the command failed, 2 the command line was wrong, 3 check found something wrong, 4 nothing "
    "was found, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

USE, IMPROVE, OPERATE = "Use", "Improve", "Operate"

COMMANDS: dict[str, dict[Callable[..., None], str]] = {
    USE: {
        quickstart.quickstart: "fg-search quickstart products.csv",
        fit.fit: "fg-search fit corpus.jsonl --label label -o encoder",
        index.index: "fg-search index corpus.jsonl --label label --id id --encoder encoder --index idx",
        search.search: "fg-search search 'my parcel is late' --index idx --target-precision 0.95",
        serve.serve: "fg-search serve --index idx",
        mcp.mcp: "fg-search mcp idx --target-precision 0.9",
        adopt.adopt: "fg-search adopt http://localhost:6333 --collection products --text title --encoder encoder",
        demo.demo: "fg-search demo --review",
    },
    IMPROVE: {
        search.calibrate: "fg-search calibrate --queries judged.jsonl --relevant label --index idx",
        evaluate.evaluate: "fg-search evaluate --queries judged.jsonl --relevant label --index idx",
        history.history: "fg-search history --index idx",
        adapt.adapt: "fg-search adapt --queries unjudged.jsonl --index idx",
        audit.audit: "fg-search audit --target 0.95 --index idx",
        review.score: "fg-search score --index idx",
        review.review: "fg-search review --kind contradicted --limit 5 --index idx",
        review.confused: "fg-search confused --index idx",
        decisions.decide: "fg-search decide label q004 --label gift_card --index idx",
        decisions.decisions: "fg-search decisions --standing --index idx",
        decisions.undo: "fg-search undo --index idx",
        index.relabel: "fg-search relabel corrections.csv --index idx",
        review.export: "fg-search export to-do.csv --kind contradicted --index idx",
        review.import_: "fg-search import to-do.csv --reviewer Ada --index idx",
        queries.missing_labels: "fg-search missing-labels --index idx",
        queries.decide_queries: "fg-search decide-queries dismiss 6c9f --index idx",
        queries.forget_queries: "fg-search forget-queries --older-than 90 --index idx",
        fit.describe: "fg-search describe corpus.jsonl --label label --encoder encoder",
    },
    OPERATE: {
        maintenance.info: "fg-search info --index idx",
        maintenance.check: "fg-search check --index http://localhost:6333",
        index.delete: "fg-search delete q004 q017 --index idx",
        adopt.sync: "fg-search sync --index http://localhost:6333 --collection products",
        index.migrate: "fg-search migrate new-encoder --index idx",
        maintenance.filterable: "fg-search filterable colour price:float --index idx",
        maintenance.optimize: "fg-search optimize --index idx",
        maintenance.copy: "fg-search copy idx http://localhost:6333",
        exchange.pull: "fg-search pull http://localhost:6333 --index idx",
        exchange.push: "fg-search push http://localhost:6333 --index idx",
        maintenance.snapshot: "fg-search snapshot idx.snap --index idx",
        maintenance.restore: "fg-search restore idx.snap --index idx",
        maintenance.recover: "fg-search recover --index http://localhost:6333",
        schema.schema: "fg-search schema search",
    },
}
"""Commands by group, each with an example."""

for group, examples in COMMANDS.items():
    for command, example in examples.items():
        name = command.__name__.rstrip("_").replace("_", "-")
        app.command(name, cls=Command, rich_help_panel=group, epilog=f"Example: `{example}`")(command)


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """Vector search that knows when it does not know."""


def main() -> None:
    """Run the command line. Errors that a user can act on are one line, without a traceback."""
    prepare_streams()
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers reads it on import
    logging.getLogger("fg_search").addHandler(LOGGED_WARNINGS)
    try:
        app()
    except (FgSearchError, ValueError, TypeError, OSError) as error:
        log.print(f"error: {who_has_it_open(error) or error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def run() -> None:
    """Run the command line as a process of its own: after Ctrl-C it ends at once, without unloading torch."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)  # torch reads it on import
    try:
        main()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # whatever was open has been closed
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        raise
