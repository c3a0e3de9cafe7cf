"""The command line.

Exit codes: 0 done; 1 the work failed (the message says what was wrong and what to do); 2 the command line
itself was wrong; 130 interrupted. Results go to stdout, as tables for people or with ``--json`` as one JSON object a
line for programs; progress, timings and bad rows go to stderr.
"""

from __future__ import annotations

import os
import sys

import typer

from fg_search.cli import demonstrating, indexing, operating, reviewing, searching, serving, traffic, training
from fg_search.cli.console import log
from fg_search.errors import FgSearchError

app = typer.Typer(
    name="fg-search",
    help="Vector search that knows when it does not know.",
    epilog="Exit codes: 0 done, 1 the work failed, 2 the command line was wrong, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (
    training.fit,
    indexing.index,
    searching.calibrate,
    searching.search,
    searching.evaluate,
    reviewing.score,
    reviewing.review,
    reviewing.confused,
    reviewing.export,
    traffic.missing_labels,
    traffic.decide_queries,
    traffic.forget_queries,
    indexing.relabel,
    training.describe,
    operating.info,
    indexing.delete,
    indexing.migrate,
    operating.copy,
    operating.snapshot,
    operating.restore,
    serving.serve,
    demonstrating.demo,
):
    app.command()(command)
app.command("import")(reviewing.import_)


def main() -> None:
    """Run the command line; an error that a user can act on is one line, without a traceback."""
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read by transformers when it is imported
    try:
        app()
    except (FgSearchError, ValueError, TypeError, OSError) as error:
        log.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
