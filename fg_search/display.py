"""Results as tables for a terminal."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from fg_search.evaluation import foremost
from fg_search.evaluation.agreement import MIN_ITEMS
from fg_search.review.issues.reasons import confusion_reason, too_few_reason

if TYPE_CHECKING:
    from fg_search.confidence.group_promise import GroupPromise
    from fg_search.confidence.thresholds import PrecisionThreshold
    from fg_search.evaluation import Proportion, ReachedPrecision, Slice
    from fg_search.index.adoption.planning import AdoptionPlan
    from fg_search.index.evaluation import IndexEvaluation
    from fg_search.index.health import IndexHealth, Placement
    from fg_search.index.info import CalibrationInfo, IndexInfo
    from fg_search.index.quality_history import QualityEntry
    from fg_search.index.search_results import Hit, SearchResult
    from fg_search.queries.audit import AnswerAudit
    from fg_search.queries.audited_answers import AuditedAnswer
    from fg_search.queries.clusters import MissingLabel
    from fg_search.queries.entries import LoggedQuery
    from fg_search.review.decisions import ReviewDecision
    from fg_search.review.issues.confusion import ConfusedLabels
    from fg_search.review.items import ReviewItem
    from fg_search.review.reviewers import ReviewerAgreement

_BAR_WIDTH = 10
_MOST_GROUPS = 20  # listed for a target precision
_EXAMPLES = 3
_MOST_SLICES = 15
_WIDE = 100  # columns from which numbers are drawn as bars, too
_LINE = 16  # columns that a text in a table has at least
_PADDING = 2
_TEXT = 160  # characters of a text in a table, unless it is to be whole
_ITEM_CONFIDENCE = "item conf.: how clearly the model reads the item as one thing, 1/K to 1"
_PROBABLY_WRONG = "score: probability that the label is wrong"
_URGENCY = "score: urgency among items of its kind, 0 to 1"
_RANKED_BY = {"confidence": "chance to be right"}  # names of reports for people
_PROMISES = (
    "least chance is the chance to be right from which answers keep the precision\n"
    "coverage is the share of queries that are answered"
)
_METRICS = (
    "R@1 is the share whose first hit is right\n"
    "AUROC is how well the number tells right first hits from wrong ones; .5 is not at all\n"
    "AURC is the share of wrong answers, averaged from the surest on; lower is better\n"
    "nAUC is the same, between guessing (0) and knowing (1)\n"
    "cov@95 is the share that is answered if 95 % of the answers are to be right\n"
    "AUROC oos is how well the number tells queries that have no answer"
)
_CALIBRATION = (
    "expected calibration error is the mean gap between the chance and the share that is right; Brier score the mean "
    "squared one of a query; of both, lower is better"
)
_REACHED = (
    "right is the share of answers that are, answered that of all queries\n"
    "answerable and unanswerable are the shares answered of queries with and without an answer"
)
_HISTORY = (
    "AUROC is how well the chance to be right tells right answers from wrong ones; .5 is not at all\n"
    "ECE is the expected calibration error: the mean gap between that chance and the share that is right\n"
    "answered is the share of queries that is answered, at each precision"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def result(console: Console, found: SearchResult, *, full: bool = False, show: Sequence[str] = ()) -> None:
    """Print the decision and the hits for a query, or the labels to choose from.

    Args:
        console: Where to.
        found: The result.
        full: Whether to print long texts whole.
        show: What else to print of each hit: keys of its payload, or ``id``.
    """
    console.print(f"[bold]{_shown(found.query)}[/bold]")
    style, name = _decided(found.decision, found.uncertain)
    console.print(f"  [{style}]{name}[/{style}]: {_shown(found.reason)}")
    if found.confidence is not None:
        console.print(f"  chance to be right {bar(found.confidence)}")
    if found.query_familiarity is not None:
        console.print(f"  familiarity        {bar(found.query_familiarity)}")
    if found.nearest is not None:
        near = found.nearest
        text = _cut(near.text, full=full)
        console.print(f"  nearest to: {_shown(text)} ({_shown(near.label or '-')}, cosine {near.score:.2f})")
    if found.decision == "clarify":
        console.print("  [bold]Did you mean:[/bold]")
        choices = _table(("chance", "left"), ("label", "left"), ("text", "left"))
        for choice in found.choices:
            text = _cut(choice.example.text, full=full)
            choices.add_row(bar(choice.probability), _shown(choice.label), _shown(text))
        console.print(choices)
    if found.hits:
        if found.uncertain and found.decision == "answer":
            console.print("  [dim]no answers, but what is nearest (--on-uncertain abstain leaves it out):[/dim]")
        console.print(_hits(console, found.hits, full=full, show=show))
    console.print()


def legend(console: Console, found: SearchResult) -> None:
    """Print what the columns of a result's hits are."""
    weighted, known, wide = _columns(console, found.hits)
    console.print(
        *(["ranking: what the hits are ordered by"] if weighted else []),
        "score: how similar query and item are, at most 1",
        _ITEM_CONFIDENCE,
        *(["familiar: how far the item is like what was learned, 0 to 1"] if known else []),
        *(["agree: groups in which query and item have the same code"] if wide else []),
        sep="\n",
        style="dim",
        soft_wrap=True,
    )


def _columns(console: Console, hits: Sequence[Hit]) -> tuple[bool, bool, bool]:
    """Whether hits have a ranking score of their own and a familiarity, and whether there is room for all columns."""
    weighted = any(hit.score != hit.ranking_score for hit in hits)
    return weighted, any(hit.familiarity is not None for hit in hits), console.width >= _WIDE


def _decided(decision: str, uncertain: bool) -> tuple[str, str]:
    """Style and name of a decision: what is answered, what is shown in doubt, and what is held back look different."""
    if decision == "answer":
        return ("yellow", "uncertain") if uncertain else ("bold green", "answer")
    return ("bold cyan", decision) if decision == "clarify" else ("bold red", decision)


def _hits(console: Console, hits: Sequence[Hit], *, full: bool, show: Sequence[str]) -> Table:
    """Hits as a table. Where it is narrow, it has neither bars nor the agreement of groups, so that texts have room."""
    weighted, known, wide = _columns(console, hits)
    table = _table(
        *([("ranking", "right")] if weighted else []),
        ("score", "right"),
        ("item conf.", "left" if wide else "right"),
        *([("familiar", "right")] if known else []),
        *([("agree", "right")] if wide else []),
        ("label", "left"),
        *((_shown(key), "left") for key in show),
        ("text", "left"),
    )
    for hit in hits:
        table.add_row(
            *([f"{hit.ranking_score:.3f}"] if weighted else []),
            f"{hit.score:.3f}",
            bar(hit.confidence) if wide else _share(hit.confidence),
            *([_share(hit.familiarity)] if known else []),
            *([f"{sum(hit.agreement)}/{len(hit.agreement)}"] if wide else []),
            _shown(hit.label or "-"),
            *(_shown(_value(hit, key)) for key in show),
            _shown(_cut(hit.text, full=full)),
        )
    return table


def _value(hit: Hit, key: str) -> str:
    """A value of a hit's payload as it is written in JSON, a text without its quotes."""
    value = hit.payload.get(key, hit.id if key == "id" else None)
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def review(console: Console, items: Sequence[ReviewItem], *, full: bool = False) -> None:
    """Print items to review, with the number that ranks them: their confidence or their score."""
    if not items:
        console.print("nothing to review", style="dim")
        return
    scored = any(item.kind not in ("ambiguous", "unsure") for item in items)
    show = bar if console.width >= _WIDE else _share
    rows = [
        (
            _shown(str(item.id)),
            show(item.score if scored else item.confidence),
            _shown(item.label or "-"),
            _shown(_cut(item.text, full=full)),
            _shown(item.reason),
        )
        for item in items
    ]
    names = ("id", "score" if scored else "item conf.", "label", "text", "why")
    if not _print_table(console, names, rows, whole=2):
        for user_id, number, label, text, why in rows:
            _lines(console, f"[bold]{user_id}[/bold]  {number}  {label}", text, f"[dim]{why}[/dim]")
    of_score = _PROBABLY_WRONG if items[0].kind == "contradicted" else _URGENCY
    console.print(of_score if scored else _ITEM_CONFIDENCE, style="dim", soft_wrap=True)


def decisions(console: Console, found: Sequence[ReviewDecision]) -> None:
    """Print what reviewers decided, in the order of the log."""
    if not found:
        console.print("nothing was decided", style="dim")
        return
    rows = []
    for entry in found:
        change = _shown(entry.after or "-")
        if entry.before != entry.after:
            change = f"{_shown(entry.before or '-')} → {change}"
        when = f"{datetime.fromisoformat(entry.time).astimezone():%Y-%m-%d %H:%M}"
        action = entry.action + ("" if entry.undoes is None else f" {entry.undoes}")
        failed = "" if entry.failed is None else f"not done: {_shown(entry.failed)}"
        rows.append((str(entry.number), _shown(str(entry.id)), action, when, change, _shown(entry.reviewer), failed))
    names = ("number", "id", "action", "time", "label", "by", "")
    if not _print_table(console, names, rows, whole=4):
        for number, user_id, action, when, change, reviewer, failed in rows:
            _lines(console, f"[bold]{number}[/bold]  {action}  {when}  {reviewer}", f"{user_id}  {change}", failed)


def agreements(console: Console, pairs: Sequence[ReviewerAgreement]) -> None:
    """Print how often reviewers agree."""
    if not pairs:
        console.print("nobody gave a second opinion; see `fg-search review --kind second`", style="dim")
        return
    table = _table(("reviewers", "left"), ("items", "right"), ("agree", "left"), ("kappa", "left"))
    for pair in pairs:
        agreed, kappa = pair.agreement.agreed, pair.agreement.kappa
        few = "too few items" if agreed.total < MIN_ITEMS else "one label alone"
        table.add_row(
            _shown(" and ".join(pair.reviewers)),
            f"{agreed.total:,}",
            f"{agreed.share:.0%} ({agreed.low:.0%} to {agreed.high:.0%})",
            few if kappa is None else f"{kappa:.2f}",
        )
    console.print(table)


def confused(console: Console, pairs: Sequence[ConfusedLabels]) -> None:
    """Print pairs of confused labels."""
    if not pairs:
        console.print("no labels are confused", style="dim")
        return
    table = _table(("score", "left"), ("label", "left"), ("label", "left"), ("why", "left"))
    for pair in pairs:
        table.add_row(bar(pair.score), _shown(pair.first), _shown(pair.second), _shown(confusion_reason(pair)))
    console.print(table)


def logged_queries(console: Console, queries: Sequence[LoggedQuery]) -> None:
    """Print logged queries."""
    if not queries:
        console.print("no open queries in the log; see `fg-search search --log`", style="dim")
        return
    for query in queries:
        near = query.nearest
        label = "" if near is None else f"; nearest: {near.label or near.id} ({near.score:.2f})"
        console.print(f"[bold]{_shown(query.text)}[/bold]", soft_wrap=True)
        style, name = _decided(query.decision, query.uncertain)
        console.print(f"  [{style}]{name}[/{style}]: {_shown(query.reason + label)}", soft_wrap=True)
        console.print(f"  asked: {query.count:,}, last {query.last[:10]}; {query.id}", style="dim", soft_wrap=True)


def audited_answer(console: Console, answer: AuditedAnswer) -> None:
    """Print a query with the answer to judge."""
    asked = "" if answer.count == 1 else f" [dim](asked {answer.count:,} times)[/dim]"
    console.print(f"[bold]{_shown(answer.query)}[/bold]{asked}")
    console.print(f"  {_shown(answer.label or '-')}: {_shown(answer.text)}")
    console.print(f"  chance to be right {bar(answer.confidence)}")


def audit(console: Console, found: AnswerAudit) -> None:
    """Print what judged answers prove."""
    console.print(_shown(str(found)), soft_wrap=True)
    if found.bounds.judged:
        console.print(f"  at least  {bar(found.bounds.lower)}")
        console.print(f"  estimate  {bar(min(max(found.bounds.estimate, 0.0), 1.0))}")
        console.print(f"  at most   {bar(found.bounds.upper)}")


def missing_labels(console: Console, found: Sequence[MissingLabel]) -> None:
    """Print candidates for missing labels."""
    if not found:
        console.print("no cluster of open queries is large enough; see `--min-size`", style="dim")
        return
    table = _table(("asked", "right"), ("queries", "right"), ("name", "left"), ("nearest", "left"), ("text", "left"))
    for label in found:
        near = "-" if label.nearest_similarity is None else f"{label.nearest_label} {label.nearest_similarity:.2f}"
        table.add_row(
            f"{label.size:,}",
            f"{len(label.queries):,}",
            _shown(label.name),
            _shown(near),
            "\n".join(_shown(query.text) for query in label.queries[:_EXAMPLES]),
        )
    console.print(table)


def info(console: Console, found: IndexInfo) -> None:
    """Print what an index holds."""
    meta = found.metadata
    facts = _table(("", "left"), ("", "left"), header=False)
    facts.add_row("location", _shown(found.location))
    facts.add_row("collection", _shown(found.collection))
    if found.tenant is not None:
        facts.add_row("tenant", _shown(found.tenant))
    corrected = f", {found.corrected:,} of them corrected" if found.corrected else ""
    facts.add_row("points", f"{found.points:,} ({found.labelled:,} with a label{corrected})")
    if found.unread:
        facts.add_row("read in part", f"{found.unread:,} items: unknown or too long: review --kind unread")
    _add_others(facts, found)
    if found.set_aside:
        facts.add_row("set aside", f"{found.set_aside:,}, not found until they are reviewed")
    if found.unscored:
        facts.add_row("not scored", too_few_reason(found.unscored))
    if found.placement is not None:
        facts.add_row("shards", _placed(found.placement))
    if meta.settings.tenant_sharding:
        facts.add_row("tenants", _shown(_sharded(found.placement)))
    facts.add_row("encoder", _shown(meta.encoder or "(never saved)"))
    facts.add_row("model", f"{_shown(meta.model_name)}, dimension {meta.dimension}")
    facts.add_row("features", f"{meta.groups} groups of {meta.codes_per_group} codes, trained on {meta.supervision}")
    facts.add_row("fingerprint", meta.fingerprint)
    known = found.calibration
    facts.add_row(
        "calibration",
        "none; see `fg-search calibrate`"
        if known is None
        else f"on {known.queries:,} {'items taken for queries' if known.pretended else 'queries'} judged by "
        f"{known.relevant_by}, for {known.search}",
    )
    if known is not None:
        _add_promise(facts, known)
    console.print(facts)
    most = max(found.confidence_histogram) or 1
    histogram = _table(("item confidence", "left"), ("points", "right"), ("", "left"))
    for i, count in enumerate(found.confidence_histogram):
        width = round(count / most * 4 * _BAR_WIDTH)
        histogram.add_row(f"{i / 10:.1f} to {(i + 1) / 10:.1f}", f"{count:,}", "█" * width)
    console.print(histogram)


def _add_others(facts: Table, found: IndexInfo) -> None:
    """Add what others have written."""
    source = found.metadata.source
    if source is not None:
        label = "no labels" if source.label is None else f"labels of {_shown(source.label)}"
        vector = _shown(source.vector) if source.vector else "its unnamed vector"
        facts.add_row("adopted", f"{vector}, texts of {', '.join(map(_shown, source.text))}, {label}")
    if found.unsynced:
        waiting = f"{found.unsynced:,} points that others have written; `fg-search sync` computes their features"
        facts.add_row("not synced", waiting)
    if found.strangers:
        facts.add_row("of others", f"{found.strangers:,} points, not found: another encoder or client has written them")


def _add_promise(facts: Table, known: CalibrationInfo) -> None:
    when = (
        ""
        if known.followed_at is None
        else f", {datetime.fromisoformat(known.followed_at).astimezone():%Y-%m-%d %H:%M}"
    )
    facts.add_row("promised if", f"{known.share}{when}")
    if known.relevant_within > 1:
        facts.add_row("right if", f"one of the first {known.relevant_within} hits is")
    if known.promise_by is not None:
        facts.add_row("promised to", f"each {known.promise_by} by itself")
    if known.shift is not None:
        facts.add_row("traffic", _shown(known.shift.reason))


def adoption_plan(console: Console, plan: AdoptionPlan) -> None:
    """Print what adopting a collection would do and cost."""
    facts = _table(("", "left"), ("", "left"), header=False)
    facts.add_row("collection", _shown(plan.collection))
    vector = _shown(plan.vector) if plan.vector else "the unnamed vector"
    facts.add_row("built on", f"{vector}, dimension {plan.dimension}")
    facts.add_row("added", f"the sparse vector {plan.features}, the payload key fg, payload indexes, metadata")
    done = f"; {plan.points - plan.left:,} are done" if plan.left < plan.points else ""
    facts.add_row("points", f"{plan.points:,}{done}")
    facts.add_row("a sample", f"{plan.sampled:,} points, {plan.labelled:,} of them with one of {plan.labels:,} labels")
    odd = {
        "without a text": plan.without_text,
        "with something else than a label": plan.odd_labels,
        "without the vector, left alone": plan.without_vector,
    }
    facts.add_row("of these", ", ".join(f"{count:,} {what}" for what, count in odd.items() if count) or "nothing odd")
    facts.add_row("size", f"about {plan.bytes_per_point:,} bytes a point, {plan.bytes / 1e6:,.1f} MB in all")
    facts.add_row("computing", f"about {plan.seconds:,.1f} s, beside the time of learning and of the engine")
    console.print(facts)


def health(console: Console, found: IndexHealth) -> None:
    """Print nodes, shards and copies of an index, and what is wrong with them."""
    facts = _table(("", "left"), ("", "left"), header=False)
    facts.add_row("location", _shown(found.location))
    facts.add_row("collection", _shown(found.collection))
    facts.add_row("server", "none" if found.server is None else f"Qdrant {_shown(found.server)}")
    facts.add_row("client", found.client)
    if found.nodes:
        facts.add_row("nodes", f"{len(found.nodes)}, {len(found.silent)} of them do not answer")
        facts.add_row("among themselves", _shown(", ".join(found.nodes)))
    for placement in found.placements:
        facts.add_row(_shown(placement.collection), _placed(placement))
        if placement.strict_mode:
            limits = ", ".join(f"{name}={value}" for name, value in placement.strict_mode.items() if name != "enabled")
            facts.add_row("strict mode", _shown(limits))
    console.print(facts)
    for problem in found.problems:
        console.print(_shown(problem), style="yellow", soft_wrap=True)
    if not found.problems:
        console.print("nothing is wrong", style="green")
    if len(found.nodes) > 1 and "," not in found.location:
        console.print(
            "one node is asked here: name others as well, --index URL,URL, and they are asked when it does not answer",
            style="dim",
            soft_wrap=True,
        )


def _placed(placement: Placement) -> str:
    copies = f"{placement.copies}" + (f" of {placement.wanted}" if placement.copies != placement.wanted else "")
    points = "" if placement.points is None else f", {placement.points[0]:,} points"
    confirming = f", {placement.write_consistency} must confirm a write" if placement.wanted > 1 else ""
    return f"{placement.shards} × {copies} copies{points}{confirming}".replace(" 1 copies", " 1 copy")  # noqa: RUF001


def _sharded(placement: Placement | None) -> str:
    if placement is None or placement.own_shards is None:
        return "kept apart by filters alone: there are no shards here, as on a cluster"
    if not placement.own_shards:
        return "share these shards, each in one of them"
    return f"in one of these shards each, with shards of their own: {', '.join(placement.own_shards)}"


def thresholds(console: Console, found: Sequence[PrecisionThreshold]) -> None:
    """Print the least chance to be right for each target precision."""
    table = _table(("precision", "right"), ("least chance", "right"), ("coverage", "right"), ("why", "left"))
    for each in found:
        threshold = "none" if each.threshold is None else f"{each.threshold:.3f}"
        table.add_row(f"{each.target:.1%}", threshold, f"{each.coverage:.1%}", _shown(each.reason))
    console.print(table)
    console.print(_PROMISES, style="dim")


def history(console: Console, found: Sequence[QualityEntry]) -> None:
    """Print what was calibrated and measured, in the order of the log."""
    if not found:
        console.print("nothing was calibrated yet, and no evaluation was kept", style="dim")
        return
    table = _table(
        ("when", "left"),
        ("queries", "right"),
        ("AUROC", "right"),
        ("ECE", "right"),
        ("what", "left"),
        ("answered", "left"),
    )
    for entry in found:
        when = datetime.fromisoformat(entry.time).astimezone()
        figures = ("-" if value is None else f"{value:.3f}" for value in (entry.auroc, entry.ece))
        what = f"{entry.action}{' on items' if entry.pretended else ''} by {_shown(entry.reviewer)}"
        answered = (f"{one.coverage:.0%} at {one.target:.0%}" for one in entry.precisions if one.threshold is not None)
        told = ", ".join(answered) or "nothing promised"
        table.add_row(f"{when:%Y-%m-%d %H:%M}", f"{entry.queries:,}", *figures, what, told)
    console.print(table)
    console.print(_HISTORY, style="dim")


def groups(console: Console, by: str, found: Mapping[float, Sequence[GroupPromise]]) -> None:
    """Print the labels or tenants that fall short of each target precision, and how many are not promised it."""
    table = _table(
        ("precision", "right"), (by, "left"), ("judged", "right"), ("right at the threshold of all", "left"),
        ("least chance", "right"),
    )  # fmt: skip
    for target, rows in found.items():
        short = [row for row in rows if row.falls_short]
        unknown = sum(row.threshold.basis == "not promised" for row in rows)
        console.print(
            f"at {target:.1%}, {len(short):,} of {len(rows):,} {by}s fall short; {unknown:,} are promised nothing by "
            "themselves, as too few of their queries were judged",
            soft_wrap=True,
        )
        for row in short[:_MOST_GROUPS]:
            own = row.threshold.threshold
            table.add_row(
                f"{target:.1%}",
                _shown(row.group),
                f"{row.judged:,}",
                f"{row.precision:.1%} ({row.low:.1%} to {row.high:.1%})",
                "none, never answered" if own is None else f"{own:.3f}",
            )
        if len(short) > _MOST_GROUPS:
            table.add_row(f"{target:.1%}", f"and {len(short) - _MOST_GROUPS:,} more, see --json", "", "", "")
    if table.row_count:
        console.print(table)


def evaluation(console: Console, found: IndexEvaluation, by: Sequence[str] = ()) -> None:
    """Print the quality of an index for each way to rank its answers, and slices by what is named."""
    table = _table(
        ("ranked by", "left"),
        ("R@1", "right"),
        ("AUROC", "right"),
        ("AURC·10³", "right"),
        ("nAUC", "right"),
        ("cov@95", "right"),
        ("cov@99", "right"),
        ("AUROC oos", "right"),
    )
    for name, report in found.reports.items():
        table.add_row(
            _RANKED_BY.get(name, name),
            f"{report.recall_at_1:.3f}",
            f"{report.auroc:.3f}",
            f"{report.aurc * 1000:.1f}",
            f"{report.abstention_nauc:.3f}",
            f"{report.coverage_at_95:.3f}",
            f"{report.coverage_at_99:.3f}",
            f"{report.out_of_scope_auroc:.3f}",
        )
    console.print(table)
    first = next(iter(found.reports.values()))
    console.print(
        f"R@1 is over the {first.in_scope:,} queries that have an answer, the rest over all {first.queries:,}",
        style="dim",
    )
    console.print(_METRICS, style="dim")
    console.print(_intervals(found))
    if found.ece is None or found.brier is None:
        console.print(f"nothing is promised for these searches: {found.no_promise}", style="dim")
    else:
        console.print(f"chance to be right: expected calibration error {found.ece:.3f}, Brier score {found.brier:.3f}")
        console.print(_CALIBRATION, style="dim")
        console.print(_reached(found.precisions))
        console.print(_REACHED, style="dim")
    for name in by:
        _slices(console, name, found.slices(name, target=found.lowest_promise))
    if by and found.lowest_promise is not None:
        _falling_short(console, found.falling_short(by))


def _intervals(found: IndexEvaluation) -> Table:
    table = _table(("95% intervals", "left"), ("AUROC", "right"), ("AURC·10³", "right"), ("nAUC", "right"))
    for name, each in found.intervals.items():
        table.add_row(
            _RANKED_BY.get(name, name),
            f"{each.auroc.low:.3f} to {each.auroc.high:.3f}",
            f"{each.aurc.low * 1000:.1f} to {each.aurc.high * 1000:.1f}",
            f"{each.abstention_nauc.low:.3f} to {each.abstention_nauc.high:.3f}",
        )
    return table


def _reached(precisions: Sequence[ReachedPrecision]) -> Table:
    table = _table(
        ("target", "right"),
        ("threshold", "right"),
        ("right", "right"),
        ("95% interval", "right"),
        ("answered", "right"),
        ("answerable", "right"),
        ("unanswerable", "right"),
    )
    for each in precisions:
        table.add_row(
            f"{each.target:.0%}",
            "none" if each.threshold is None else f"{each.threshold:.3f}",
            _percent(each.right),
            _span(each.right),
            *(_percent(part) for part in (each.answered, each.answerable, each.unanswerable)),
        )
    return table


def _slices(console: Console, by: str, found: Sequence[Slice]) -> None:
    target = found[0].target
    console.print(f"by {_shown(by)}, " + ("every query answered" if target is None else f"target {target:.0%}"))
    table = _table(
        ("", "left"),
        ("queries", "right"),
        ("right", "right"),
        ("95% interval", "right"),
        ("answered", "right"),
        ("why", "left"),
    )
    shown = foremost(found, _MOST_SLICES)
    for each in shown:
        table.add_row(
            _shown(each.name),
            f"{each.queries:,}",
            _percent(each.precision),
            _span(each.precision),
            _percent(each.coverage),
            "[yellow]falls short[/yellow]" if each.falls_short else "below, maybe by chance" if each.is_below else "",
        )
    console.print(table)
    if len(shown) < len(found):
        console.print(f"{len(found) - len(shown):,} more; --json and --report have all", style="dim")


def _falling_short(console: Console, found: Sequence[Slice]) -> None:
    """Name slices whose precision is below a target."""
    if not found:
        console.print("no slice falls short of a target precision by more than chance", style="green")
    for target, short in groupby(found, lambda each: each.target):
        named = list(short)
        for each in named[:_MOST_SLICES]:
            right = each.precision
            console.print(
                f"falls short of {target:.0%}: {_shown(each.by)} {_shown(each.name)}, "
                f"{right.count:,} of {right.total:,} answers right ({_percent(right)}, {_span(right)})",
                style="yellow",
                soft_wrap=True,
            )
        if len(named) > _MOST_SLICES:
            console.print(f"{len(named) - _MOST_SLICES:,} more fall short of {target:.0%}", style="yellow")


def _percent(part: Proportion) -> str:
    return "-" if math.isnan(part.share) else f"{part.share:.1%}"


def _span(part: Proportion) -> str:
    return f"{100 * part.low:.1f} to {part.high:.1%}" if part.total else "-"


def bar(fraction: float) -> str:
    """A number in [0, 1] as a bar and as digits."""
    filled = round(fraction * _BAR_WIDTH)
    return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {fraction:.2f}"


def _print_table(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]], *, whole: int) -> bool:
    """Print a table, if there is room for its texts: for each some words to a line, and for their longest word.

    Args:
        console: Where it is printed.
        names: Names of the columns.
        rows: Cells of each row.
        whole: Number of columns, the first ones, that are not wrapped.

    Returns:
        Whether it was printed.
    """
    columns = list(zip(names, *rows, strict=True))
    taken = sum(max(map(cell_len, column)) + _PADDING for column in columns[:whole])
    words = [cell_len(word) for column in columns[whole:] for cell in column for word in cell.split()]
    share = (console.width - taken) // (len(columns) - whole) - _PADDING
    if share < max(_LINE, *words):
        return False
    table = _table(*((name, "left") for name in names))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    return True


def _lines(console: Console, first: str, *others: str) -> None:
    """Print a row as lines of its own, those behind the first indented."""
    console.print(first)
    for line in filter(None, others):
        console.print(Padding(line, (0, 0, 0, 2), expand=False))


def _cut(text: str, *, full: bool) -> str:
    """A text in one line, shortened between words unless it is to be whole."""
    line = " ".join(text.split())
    if full or len(line) <= _TEXT:
        return line
    return textwrap.shorten(line, _TEXT, placeholder=" …") if " " in line[:_TEXT] else f"{line[:_TEXT]} …"


def _share(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"


def _shown(text: str) -> str:
    """A user's text with rich markup and control characters made harmless."""
    return escape(_CONTROL.sub("\ufffd", text))


def _table(*columns: tuple[str, str], header: bool = True) -> Table:
    table = Table(box=None, pad_edge=True, show_header=header, header_style="dim")
    for name, justify in columns:
        table.add_column(
            name,
            justify="right" if justify == "right" else "left",
            no_wrap=name not in ("answered", "by", "label", "nearest", "reviewers", "text", "what", "why", ""),
            overflow="fold",
        )
    return table
