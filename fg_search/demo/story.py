"""The main job on the shipped corpus, told step by step in a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from fg_search import demo, display
from fg_search.encoder import DEFAULT_MODEL, FeatureGroupEncoder
from fg_search.index.confidence_index import ConfidenceIndex
from fg_search.search import SearchResult

MIN_QUERY_CONFIDENCE = 0.5
MIN_CONFIDENCE = 0.5

_CLEAR = "Can I see the courier's route for the parcel with the camping chairs?"
_UNCLEAR = "The zip is broken, what can you do for me?"
_OUT_OF_SCOPE = "Will it rain in Lisbon tomorrow?"


def run(console: Console, folder: Path) -> None:
    """Fit, index, search and review; encoder and index are written below ``folder``."""
    corpus, queries = demo.corpus(), demo.queries()
    texts = [row["text"] for row in corpus]
    labels = [row["label"] for row in corpus]

    console.print(f"[bold]1. Fit[/bold] a head on {len(texts)} support questions, {len(set(labels))} topics")
    encoder = FeatureGroupEncoder(DEFAULT_MODEL)
    encoder.fit(texts, labels=labels).save(folder / "encoder")
    console.print(f"   {encoder!r}\n")

    console.print("[bold]2. Index[/bold] them, each with the confidence of its embedding")
    with ConfidenceIndex(folder / "index", encoder) as index:
        index.add(texts, ids=[row["id"] for row in corpus], labels=labels)
        display.info(console, index.info())

        console.print("\n[bold]3. Search[/bold]: a clear question, an unclear one, and one about something else")
        for question in (_CLEAR, _UNCLEAR, _OUT_OF_SCOPE):
            found = index.search(
                question,
                limit=3,
                min_confidence=MIN_CONFIDENCE,
                min_query_confidence=MIN_QUERY_CONFIDENCE,
                on_uncertain="abstain",
            )
            display.result(console, found)

        console.print(f"[bold]4. Does abstaining help?[/bold] {len(queries)} held-out questions")
        results = index.search_many(
            [row["text"] for row in queries],
            limit=1,
            min_query_confidence=MIN_QUERY_CONFIDENCE,
            on_uncertain="flag",
        )
        _print_outcome(console, queries, results)

        console.print("\n[bold]5. Review[/bold]: the items the model is least sure of")
        display.review(console, index.review(limit=5))


def _print_outcome(console: Console, queries: list[dict[str, object]], results: list[SearchResult]) -> None:
    """How often the top hit is right, with and without abstaining."""
    right = [_is_right(row, result) for row, result in zip(queries, results, strict=True)]
    certain = [good for good, result in zip(right, results, strict=True) if not result.uncertain]
    console.print(f"   always answer:             {sum(right)} of {len(right)} right ({sum(right) / len(right):.0%})")
    console.print(
        f"   confidence {MIN_QUERY_CONFIDENCE} or more:    {sum(certain)} of {len(certain)} right "
        f"({sum(certain) / len(certain):.0%}), {len(right) - len(certain)} abstentions"
    )


def _is_right(row: dict[str, object], result: SearchResult) -> bool:
    accepted = [row["label"], *(row["also"] if isinstance(row["also"], list) else [])]
    return row["label"] is not None and result.hits[0].label in accepted
