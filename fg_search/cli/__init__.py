"""The command line.

Exit codes: 0 done; 1 the command failed (the message says what was wrong and what to do); 2 the command line was
wrong; 3 ``check`` found something wrong; 130 interrupted. Results go to stdout, as tables for people or, with
``--json``, as one JSON object per line for programs. Progress, timings and bad rows go to stderr.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from fg_search.cli import (
    adapt,
    adopt,
    audit,
    demo,
    evaluate,
    exchange,
    fit,
    index,
    maintenance,
    mcp,
    queries,
    review,
    search,
    serve,
)
from fg_search.cli.console import LOGGED_WARNINGS, log, prepare_streams
from fg_search.errors import FgSearchError

_INTERRUPTED = 130  # exit code after Ctrl-C

app = typer.Typer(
    name="fg-search",
    help="Vector search that knows when it does not know.",
    epilog="Exit codes: 0 done, 1 the command failed, 2 the command line was wrong, 3 check found something wrong, "
    "130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (
    fit.fit,
    index.index,
    adopt.adopt,
    adopt.sync,
    search.calibrate,
    adapt.adapt,
    search.search,
    evaluate.evaluate,
    review.score,
    review.review,
    review.confused,
    review.export,
    review.import_,
    audit.audit,
    queries.missing_labels,
    queries.decide_queries,
    queries.forget_queries,
    index.relabel,
    fit.describe,
    maintenance.info,
    maintenance.check,
    index.delete,
    index.migrate,
    maintenance.filterable,
    maintenance.optimize,
    maintenance.copy,
    exchange.pull,
    exchange.push,
    maintenance.snapshot,
    maintenance.restore,
    maintenance.recover,
    serve.serve,
    mcp.mcp,
    demo.demo,
):
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)


def main() -> None:
    """Run the command line. Errors that a user can act on are one line, without a traceback."""
    prepare_streams()
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers reads it on import
    logging.getLogger("fg_search").addHandler(LOGGED_WARNINGS)
    try:
        app()
    except (FgSearchError, ValueError, TypeError, OSError) as error:
        log.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def run() -> None:
    """Run the command line as a process of its own: after Ctrl-C it ends at once, without unloading torch."""
    try:
        main()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # whatever was open has been closed
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        raise
