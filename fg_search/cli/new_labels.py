"""Labels that a command would introduce: a typing error would become a class that the next fit learns."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.cli.console import counted, log, warn

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

_MOST = 100_000

NewLabel = Annotated[
    bool,
    typer.Option(
        "--new-label", help="Make labels that the index does not have yet. Without, you are asked, or it is refused."
    ),
]


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def check_new_labels(index: ConfidenceIndex, labels: Iterable[str | None], *, allowed: bool) -> None:
    """Make sure that labels which the index does not have are meant, and suggest the known ones closest to them.

    An index without any label may get its first ones.

    Args:
        index: The index.
        labels: Labels that items are to get, ``None`` where one is taken away.
        allowed: Whether new ones were allowed (``--new-label``). If not, somebody at a terminal is asked.

    Raises:
        ValueError: If there are new ones, and neither was said yes.
        Abort: If somebody at a terminal said no.
    """
    known = set(index.labels(_MOST))
    new = sorted({label for label in labels if label is not None} - known)
    if not new or not known:
        return
    for label in new:
        near = difflib.get_close_matches(label, sorted(known), n=1, cutoff=0.75)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        warn(f"{label!r} is a new label{guess}")
    if allowed:
        return
    if not at_terminal():
        raise ValueError(f"nothing was changed: {counted(len(new), 'label is', 'labels are')} new; pass --new-label")
    log.print(f"Make {counted(len(new), 'new label', 'new labels')}?", end="")
    typer.confirm("", abort=True, err=True)
