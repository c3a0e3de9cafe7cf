"""``demo``: search the corpus that comes with the package, or review it on the page."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.cli.console import console
from fg_search.cli.serve import address, check_installed, listen, run_app

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the encoder and the index in.", show_default="a temporary folder"),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Correct wrong labels on the page and see what that gains.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 picks a free one.")] = 8000,
) -> None:
    """Fit, index, calibrate, search and review the support questions that come with the package."""
    from fg_search.demo import correcting, story

    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fg-search-demo-")))
        if not review:
            story.run(console, folder)
            return
        check_installed()
        listener = stack.enter_context(listen("127.0.0.1", port))
        correcting.run(console, folder, partial(_serve, listener))


def _serve(listener: socket.socket, index: ConfidenceIndex) -> None:
    from fg_search.web.app import create_app

    app = create_app(index)
    console.print(
        f"   {address(listener)}review?kind=contradicted  Press Ctrl-C here when you are done.", soft_wrap=True
    )
    with contextlib.suppress(KeyboardInterrupt):
        run_app(app, listener)
