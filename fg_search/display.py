"""Results as tables for people in a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from fg_search.index.changing import IndexInfo
    from fg_search.review.queue import ReviewItem
    from fg_search.search import SearchResult

_BAR_WIDTH = 10
_MIN_TEXT_WIDTH = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def result(console: Console, found: SearchResult) -> None:
    """One query's decision and hits."""
    console.print(f"[bold]{_shown(found.query)}[/bold]")
    style = "green" if found.decision == "answer" and not found.uncertain else "yellow"
    flag = " (uncertain)" if found.uncertain and found.decision == "answer" else ""
    console.print(f"  [{style}]{found.decision}{flag}[/{style}]: {_shown(found.reason)}")
    if found.hits:
        table = _table(
            ("score", "right"), ("confidence", "left"), ("agree", "right"), ("label", "left"), ("text", "left")
        )
        for hit in found.hits:
            table.add_row(
                f"{hit.weighted_score:.3f}",
                bar(hit.confidence),
                f"{sum(hit.agreement)}/{len(hit.agreement)}",
                _shown(hit.label or "-"),
                _shown(hit.text),
            )
        console.print(table)
    console.print()


def review(console: Console, items: Sequence[ReviewItem]) -> None:
    """What a person should look at."""
    table = _table(("id", "left"), ("confidence", "left"), ("label", "left"), ("text", "left"), ("why", "left"))
    for item in items:
        table.add_row(
            _shown(str(item.id)),
            bar(item.confidence),
            _shown(item.label or "-"),
            _shown(item.text),
            _shown(item.reason),
        )
    console.print(table)


def info(console: Console, found: IndexInfo) -> None:
    """What is in an index."""
    meta = found.metadata
    facts = _table(("", "left"), ("", "left"), header=False)
    facts.add_row("location", _shown(found.location))
    facts.add_row("collection", _shown(found.collection))
    facts.add_row("points", f"{found.points:,} ({found.labelled:,} with a label)")
    facts.add_row("encoder", _shown(meta.encoder or "(never saved)"))
    facts.add_row("model", f"{_shown(meta.model_name)}, dimension {meta.dimension}")
    facts.add_row("features", f"{meta.groups} groups of {meta.codes_per_group} codes, trained on {meta.supervision}")
    facts.add_row("fingerprint", meta.fingerprint)
    console.print(facts)
    most = max(found.confidence_histogram) or 1
    histogram = _table(("confidence", "left"), ("points", "right"), ("", "left"))
    for i, count in enumerate(found.confidence_histogram):
        width = round(count / most * 4 * _BAR_WIDTH)
        histogram.add_row(f"{i / 10:.1f} to {(i + 1) / 10:.1f}", f"{count:,}", "█" * width)
    console.print(histogram)


def bar(fraction: float) -> str:
    """A number in [0, 1] as a bar and in figures."""
    filled = round(fraction * _BAR_WIDTH)
    return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {fraction:.2f}"


def _shown(text: str) -> str:
    """A user's text, with nothing in it that rich or the terminal would take for an instruction."""
    return escape(_CONTROL.sub("\ufffd", text))


def _table(*columns: tuple[str, str], header: bool = True) -> Table:
    table = Table(box=None, pad_edge=True, show_header=header, header_style="dim")
    for name, justify in columns:
        table.add_column(
            name,
            justify="right" if justify == "right" else "left",
            no_wrap=name in ("score", "confidence", "agree", "points"),
            overflow="fold",
            min_width=_MIN_TEXT_WIDTH if name == "text" else None,
        )
    return table
