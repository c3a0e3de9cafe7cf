"""``score``, ``review``, ``confused``, ``export`` and ``import``: find, list and exchange items to review."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fg_search import display
from fg_search.cli.console import counted, log, print_json, report, say, show_each, timed, warn
from fg_search.cli.new_labels import check_new_labels
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    Delimiter,
    Encoding,
    Full,
    IdsAs,
    IndexLocation,
    OnError,
    RetryFor,
    Tenant,
    open_index,
    text_form,
)
from fg_search.cli.rows import LabelRows
from fg_search.review.exports.formats import Form, TableForm
from fg_search.review.issues.reasons import LIKELY_WRONG, too_few_reason
from fg_search.review.items import Kind

if TYPE_CHECKING:
    from fg_search.review.item_scores import ItemScores
    from fg_search.review.label_scores import LabelScores

ListedKind = Literal[Kind, "abstained"]
Label = Annotated[str | None, typer.Option(help="Only items with this label.", show_default=False)]
MinScore = Annotated[float | None, typer.Option(min=0, max=1, help="Only items with at least this score, 0 to 1.")]
Diverse = Annotated[
    bool, typer.Option("--diverse", help="Keep near-duplicates apart, so that a reviewer sees different items.")
]
_BY_ENDING = "by the file's ending: jsonl, else csv"
_ISSUES: list[Kind] = ["contradicted", "outlier", "conflicting", "duplicate"]


def review(
    location: IndexLocation,
    kind: Annotated[
        ListedKind,
        typer.Option(
            help="ambiguous: texts the model is not confident about. unfamiliar: texts that are like little it "
            "learned from. unread: texts that it knows or reads in part only. unsure: items a reviewer left open. "
            "second: what one reviewer decided about, without the decision, for the opinion of another one. differ: "
            "what two reviewers differ about, with both opinions. abstained: logged queries without a confident "
            "answer. After `fg-search score` also contradicted: labels that are probably wrong; conflicting: "
            "near-duplicates with different labels; duplicate: same text; outlier: far from all other items."
        ),
    ] = "ambiguous",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="Number of items to skip.")] = 0,
    label: Label = None,
    suggested: Annotated[
        str | None, typer.Option(help="Only items for which this label is suggested.", show_default=False)
    ] = None,
    min_score: MinScore = None,
    diverse: Diverse = False,
    evidence: Annotated[
        int,
        typer.Option(min=0, help="With --json: nearest items to add to each item, of the same label and of others."),
    ] = 0,
    reviewer: Annotated[
        str | None,
        typer.Option(help="With --kind second: who is to give opinions, on what others decided.", show_default=False),
    ] = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
    full: Full = False,
) -> None:
    """List the items to review that nobody has decided on yet, most urgent first."""
    if kind == "abstained" and (
        label is not None or suggested is not None or min_score is not None or diverse or evidence
    ):
        raise typer.BadParameter("logged queries have no --label, --suggested, --min-score, --diverse or --evidence")
    if reviewer is not None and kind != "second":
        raise typer.BadParameter("--reviewer is for --kind second")
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        if kind == "abstained":
            show_each(target.logged_queries(limit=limit, offset=offset), display.logged_queries, as_json=as_json)
            return
        items = target.review(
            kind=kind,
            limit=limit,
            offset=offset,
            label=label,
            suggested=suggested,
            min_score=min_score,
            diverse=diverse,
            evidence=evidence,
            reviewer=reviewer,
        )
        unscored = target.info().unscored if kind == "contradicted" else 0
    show_each(items, partial(display.review, full=full), as_json=as_json)
    if unscored:
        warn(too_few_reason(unscored))


def score(
    location: IndexLocation,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Compare all items and score their labels out of fold, for all kinds of `fg-search review`."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened, timed("scored"):
        target = opened if tenant is None else opened.tenant(tenant)
        found: list[ItemScores | LabelScores] = [target.score_items(seed=seed)]
        if target.labels(1):
            found.append(target.score_labels(seed=seed))
    if as_json:
        print_json({name: value for scores in found for name, value in vars(scores).items()})
        return
    for scores in found:
        say(str(scores))
    if len(found) == 1:
        say("no labels to score")


def confused(
    location: IndexLocation,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of pairs.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="Also pairs with one or two items that are confused in one direction alone.")
    ] = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List pairs of labels that are confused and perhaps should be merged. Needs `fg-search score`."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        pairs = target.confused_labels(limit)
    if not everything:
        pairs = [pair for pair in pairs if pair.is_telling]
    show_each(pairs, display.confused, as_json=as_json)


def export(
    file: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    location: IndexLocation,
    chosen: Annotated[
        TableForm | None, typer.Option("--format", help="Format of the file.", show_default=_BY_ENDING)
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="Kind of items, as in `fg-search review`.",
            show_default="contradicted; for cleanlab all kinds it has a name for",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items of each kind.")] = 500,
    label: Label = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Only items with at least this score, 0 to 1.",
            show_default="0.5 of contradicted items, which are then more likely wrong than right; 0 of others",
        ),
    ] = None,
    diverse: Diverse = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Write the items to review to a file: to fill in, for Label Studio or Argilla, or as a cleanlab issue table."""
    from fg_search.integrations import argilla
    from fg_search.review.exports import formats as forms

    form = chosen or _form_of(file)
    _check_export(file, kind)
    likely = min_score is None and form != "cleanlab" and kind in (None, "contradicted")
    least = LIKELY_WRONG if likely else min_score
    kinds: list[Kind] = [kind] if kind is not None else _ISSUES if form == "cleanlab" else ["contradicted"]
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        evidence = 3 if form == "jsonl" else 0
        options: dict[str, Any] = {
            "label": label,
            "min_score": least,
            "diverse": diverse,
            "evidence": evidence,
        }
        items = [item for each in kinds for item in target.review(kind=each, limit=limit, **options)]
        labels = target.labels() if form in ("label-studio", "argilla") else []
    if form == "csv":
        text = forms.to_csv(items)
    elif form == "jsonl":
        text = forms.to_jsonl(items)
    elif form == "cleanlab":
        text = forms.to_cleanlab_csv(items)
    elif form == "argilla":
        text = json.dumps(argilla.to_argilla(items), ensure_ascii=False, indent=1) + "\n"
    else:
        text = json.dumps(forms.to_label_studio(items, labels), ensure_ascii=False, indent=1) + "\n"
    with file.open("w", encoding="utf-8", newline="") as written:
        written.write(text)
    count = len({item.id for item in items})
    report(
        f"{counted(count, 'item', 'items')} written to {file}",
        {"file": str(file), "format": form, "items": count},
        as_json=as_json,
    )
    if likely:
        log.print("less likely ones are left out; --min-score 0 writes them, too", style="dim", soft_wrap=True)
    if as_json:
        return
    if form == "label-studio":
        say(f"labelling configuration of the project: {forms.LABEL_STUDIO_CONFIG}")
    if form == "argilla":
        say(f"settings of the dataset: {argilla.ARGILLA_SETTINGS} with labels = {labels!r}")


def _form_of(file: Path) -> Literal["csv", "jsonl"]:
    """The format that a file's ending tells."""
    ending = file.suffix.lower()
    if ending == ".json":
        raise typer.BadParameter(f"{str(file)!r} may be for Label Studio or Argilla; say which: --format label-studio")
    return "jsonl" if ending in (".jsonl", ".ndjson") else "csv"


def _check_export(file: Path, kind: Kind | None) -> None:
    if file.exists():
        raise typer.BadParameter(f"there is a file {str(file)!r} already")
    if kind == "second":
        raise typer.BadParameter(
            "a file does not say which decision it is an opinion on; give second opinions on the page, or by "
            "`fg-search decide --opinion-on`"
        )


def import_(
    file: Annotated[Path, typer.Argument(help="File with the chosen labels.", show_default=False)],
    location: IndexLocation,
    chosen: Annotated[
        Form | None, typer.Option("--format", help="Format of the file.", show_default=_BY_ENDING)
    ] = None,
    ids: Annotated[
        IdsAs,
        typer.Option("--ids", help="Read ids as JSON, as they are exported, or as text, as in a table of your own."),
    ] = "json",
    reviewer: Annotated[str, typer.Option(help="Name of the reviewer, for the log.")] = "imported",
    control: Annotated[
        str | None,
        typer.Option(
            help="Name of the control (Label Studio) or question (Argilla) that holds the labels.",
            show_default="label, or the only one",
        ),
    ] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Import the labels chosen in an exported file. Each is logged as a decision and can be undone.

    All rows are checked before any label changes. Importing the same file again changes nothing.
    """
    from fg_search.cli.corrections import CorrectionsForm, read_corrections
    from fg_search.review.decisions import labels_decided

    form = chosen or _form_of(file)
    if control is not None and form not in ("label-studio", "argilla"):
        raise typer.BadParameter(f"a {form} file has no controls; leave --control out")
    if delimiter is not None and form != "csv":
        raise typer.BadParameter(f"a {form} file has no delimiter; leave --delimiter out")
    read = partial(read_corrections, file, CorrectionsForm(form, ids, control, **text_form(delimiter, encoding)))
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        decided = labels_decided(target.decisions(standing=True))  # first, because it completes an interrupted decision
        rows = LabelRows.check(file, on_error, read, target)
        new = {
            user_id: label
            for user_id, label in rows.labels.items()
            if label != rows.before[user_id] or decided.get(user_id) != label
        }
        check_new_labels(target, new.values(), allowed=True)
        for user_id, label in new.items():
            target.decide(user_id, "label", label, reviewer=reviewer)
    known = len(rows.labels) - len(new)
    before = f", {counted(known, 'was', 'were')} taken before" if known else ""
    report(
        f"{counted(len(new), 'decision', 'decisions')} taken{before}{rows.left_out}",
        {"decisions": len(new), "known": known, "skipped": rows.skipped},
        as_json=as_json,
    )
