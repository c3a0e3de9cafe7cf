"""The main demo: every step from fitting to review on the demo corpus, explained in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from fg_search import demo, display
from fg_search.confidence_index import ConfidenceIndex
from fg_search.index.search_results import SearchResult
from fg_search.model.encoder import DEFAULT_MODEL, FeatureGroupEncoder

TARGET_PRECISION = 0.9

_CLEAR = "Can I see the courier's route for the parcel with the camping chairs?"
_UNCLEAR = "The zip is broken, what can you do for me?"
_OUT_OF_SCOPE = "Will it rain in Lisbon tomorrow?"


def run(console: Console, folder: Path) -> None:
    """Fit, index, calibrate, search and review. The encoder and the index are written to ``folder``."""
    corpus, queries = demo.corpus(), demo.queries()
    texts = [row["text"] for row in corpus]
    labels = [row["label"] for row in corpus]
    judged, fresh = queries[::2], queries[1::2]

    console.print(f"[bold]1. Fit[/bold] a head on {len(texts)} support questions, {len(set(labels))} topics")
    encoder = FeatureGroupEncoder(DEFAULT_MODEL)
    encoder.fit(texts, labels=labels).save(folder / "encoder")
    console.print(f"   {encoder!r}\n")

    console.print("[bold]2. Index[/bold] them, each with the confidence of its embedding")
    with ConfidenceIndex(folder / "index", encoder) as index:
        index.add(texts, ids=[row["id"] for row in corpus], labels=labels)
        display.info(console, index.info())

        console.print(f"\n[bold]3. Calibrate[/bold] on {len(judged)} other questions whose topic is known")
        learned = index.calibrate([row["text"] for row in judged], [demo.right_labels(row) for row in judged])
        threshold = learned.threshold(TARGET_PRECISION)
        console.print(f"   {threshold}\n")

        console.print(f"[bold]4. Search[/bold] for answers of which {TARGET_PRECISION:.0%} must be right")
        _search(console, index, "a clear question", _CLEAR)
        _search(console, index, "one about something else", _OUT_OF_SCOPE)
        console.print("   An unclear question, with less weight on hits of low confidence (confidence_weight=3)")
        unclear = index.search(_UNCLEAR, limit=3, confidence_weight=3)
        display.result(console, unclear)
        display.legend(console, unclear)
        console.print()

        console.print(f"[bold]5. Does abstaining help?[/bold] {len(fresh)} questions that nothing was learned from")
        results = index.search_many([row["text"] for row in fresh], limit=1, target_precision=TARGET_PRECISION)
        _print_outcome(console, fresh, results)

        console.print("\n[bold]6. Review[/bold]: the items the model is least sure of")
        display.review(console, index.review(limit=5))
    console.print("\nTo correct labels on a page, and see what that brings: [bold]fg-search demo --review[/bold]")


def _search(console: Console, index: ConfidenceIndex, what: str, question: str) -> None:
    console.print(f"   {what.capitalize()}:")
    found = index.search(question, limit=3, target_precision=TARGET_PRECISION, on_uncertain="abstain")
    display.result(console, found)


def _print_outcome(console: Console, queries: list[dict[str, Any]], results: list[SearchResult]) -> None:
    """Print how often the top hit is right, with and without abstention."""
    right = [result.hits[0].label in demo.right_labels(row) for row, result in zip(queries, results, strict=True)]
    certain = [good for good, result in zip(right, results, strict=True) if not result.uncertain]
    console.print(f"   always answer:         {sum(right)} of {len(right)} right ({sum(right) / len(right):.0%})")
    console.print(
        f"   at {TARGET_PRECISION:.0%} precision:      {sum(certain)} of {len(certain)} right "
        f"({sum(certain) / len(certain):.0%}), {len(right) - len(certain)} abstentions"
    )
