"""The demo of label correction: wrong labels in the corpus are corrected on the page, then the head is refitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fg_search import demo
from fg_search.confidence_index import ConfidenceIndex
from fg_search.evaluation import SelectiveReport
from fg_search.ids import UserId
from fg_search.model.encoder import DEFAULT_MODEL, FeatureGroupEncoder

WRONG = 77  # of 384 labels


def run(console: Console, folder: Path, serve: Callable[[ConfidenceIndex], None]) -> None:
    """Index a corpus with wrong labels, have them corrected, and refit.

    Args:
        console: Console to print to.
        folder: Empty or missing folder for the encoders and the index.
        serve: Serves the page of an index until the reviewer is done.
    """
    right, queries = demo.corpus(), demo.queries()
    rows = demo.with_wrong_labels(WRONG)
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    asked, answers = [row["text"] for row in queries], [demo.right_labels(row) for row in queries]

    console.print(f"[bold]1. Fit and index[/bold] {len(rows)} support questions, {WRONG} of them with a wrong label")
    encoder = FeatureGroupEncoder(DEFAULT_MODEL)
    encoder.fit(texts, labels=labels).save(folder / "encoder")
    with ConfidenceIndex(folder / "index", encoder) as index:
        index.add(texts, ids=[row["id"] for row in rows], labels=labels)
        index.calibrate(asked[::2], answers[::2])
        index.log_queries()
        index.search_many([row["text"] for row in queries if row["label"] is None], target_precision=0.8)
        before = index.evaluate(asked, answers).reports["score"]
        console.print(f"   {before.recall_at_1:.0%} of the other questions that have an answer get a right one\n")

        console.print("[bold]2. Score[/bold] every label by a model that never saw it, and compare all items")
        console.print(f"   {index.score_labels()}\n   {index.score_items()}\n")

        console.print("[bold]3. Correct labels[/bold] on the page, view Review, list Contradicted:")
        console.print("   [bold]a[/bold] accepts the suggestion, [bold]k[/bold] keeps the label, [bold]z[/bold] undoes")
        serve(index)

        chosen = _chosen(index)
        if not chosen:
            console.print("\n   No label was decided: there is nothing to learn from.")
            return
        truth = {row["id"]: row["label"] for row in right}
        wrong = {row["id"] for row in rows if row["label"] != truth[row["id"]]}
        corrected = sum(chosen[item] == truth[item] for item in wrong & chosen.keys())
        spoiled = sum(chosen[item] not in (truth[item], None) for item in truth.keys() & chosen.keys() - wrong)
        console.print(
            f"\n   {len(chosen)} decisions: {corrected} of {WRONG} wrong labels were corrected, "
            f"{spoiled} right ones lost\n"
        )
        console.print("[bold]4. Learn[/bold] from the labels as they are now; no text is encoded again")
        index.refit(folder / "corrected-encoder")
        console.print(_compared(before, index.evaluate(asked, answers).reports["score"]))


def _chosen(index: ConfidenceIndex) -> dict[UserId, str | None]:
    """The labels chosen by decisions in effect, by item; ``None`` where the item was deleted."""
    return {decision.id: decision.after for decision in index.decisions(standing=True)}


def _compared(before: SelectiveReport, after: SelectiveReport) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim")
    table.add_column("")
    for name in ("R@1", "AURC·10³", "coverage at 95 %"):
        table.add_column(name, justify="right")
    for name, report in (("with the wrong labels", before), ("as they are now", after)):
        table.add_row(name, f"{report.recall_at_1:.3f}", f"{report.aurc * 1000:.1f}", f"{report.coverage_at_95:.3f}")
    return table
