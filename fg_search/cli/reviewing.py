"""``score``, ``review``, ``export`` and ``import``: what a person should look at, here or in an annotator's tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from fg_search import display
from fg_search.cli.console import console, print_json, say, timed
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    Tenant,
    open_index,
)
from fg_search.review.export import Form
from fg_search.review.items import Kind
from fg_search.review.queries import LoggedQuery

ListedKind = Literal[Kind, "abstained"]


def review(
    location: IndexLocation,
    kind: Annotated[
        ListedKind,
        typer.Option(
            help="Unclear texts, labels that do not fit (after `fg-search score`), or logged queries without a sure "
            "answer."
        ),
    ] = "ambiguous",
    limit: Annotated[int, typer.Option(min=1, help="Items at most.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="Items to leave out before the first.")] = 0,
    label: Annotated[str | None, typer.Option(help="Only items with this label.", show_default=False)] = None,
    evidence: Annotated[
        int, typer.Option(min=0, help="With --json: nearest items of the same and of other labels, beside each.")
    ] = 0,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List the items a person should look at, most urgent first, without those that were decided about."""
    if kind == "abstained" and (label is not None or evidence):
        raise typer.BadParameter("logged queries have neither --label nor --evidence")
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        if kind == "abstained":
            queries = target.logged_queries(limit=limit, offset=offset)
            _show_queries(queries, as_json=as_json)
            return
        items = target.review(kind=kind, limit=limit, offset=offset, label=label, evidence=evidence)
    if as_json:
        for item in items:
            print_json(item)
    else:
        display.review(console, items)


def _show_queries(queries: Sequence[LoggedQuery], *, as_json: bool) -> None:
    if as_json:
        for query in queries:
            print_json(query)
    else:
        display.logged_queries(console, queries)


def score(
    location: IndexLocation,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Judge every label by what is learned without it, for `fg-search review --kind contradicted`."""
    with open_index(location, None, collection, api_key) as opened, timed("judged"):
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.score_labels(seed=seed)
    if as_json:
        print_json(found)
    else:
        say(str(found))


def export(
    file: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    location: IndexLocation,
    form: Annotated[Form, typer.Option("--format", help="Of the file.")] = "csv",
    kind: Annotated[Kind, typer.Option(help="Unclear texts, or labels that do not fit.")] = "contradicted",
    limit: Annotated[int, typer.Option(min=1, help="Items at most.")] = 500,
    label: Annotated[str | None, typer.Option(help="Only items with this label.", show_default=False)] = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Write the items to review into a file: a table, JSON lines, or tasks for Label Studio."""
    from fg_search.review import export as forms

    if file.exists():
        raise typer.BadParameter(f"there is a file {str(file)!r} already")
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        items = target.review(kind=kind, limit=limit, label=label, evidence=3 if form == "jsonl" else 0)
        if form == "csv":
            text = forms.to_csv(items)
        elif form == "jsonl":
            text = forms.to_jsonl(items)
        else:
            text = json.dumps(forms.to_label_studio(items, target.labels()), ensure_ascii=False, indent=1) + "\n"
    with file.open("w", encoding="utf-8", newline="") as written:
        written.write(text)
    say(f"{len(items):,} items written to {file}")
    if form == "label-studio":
        say(f"labelling configuration of the project: {forms.LABEL_STUDIO_CONFIG}")


def import_(
    file: Annotated[Path, typer.Argument(help="File that came back.", show_default=False)],
    location: IndexLocation,
    form: Annotated[Form, typer.Option("--format", help="Of the file.")] = "csv",
    reviewer: Annotated[str, typer.Option(help="Who decided.")] = "imported",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Take the labels that somebody chose from an exported file; each is logged as a decision and can be undone."""
    from fg_search.review import export as forms

    text = file.read_text(encoding="utf-8-sig")
    if form == "label-studio":
        try:
            tasks = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}: not JSON: {error}") from None
        chosen = forms.from_label_studio(tasks)
    else:
        chosen = forms.from_csv(text) if form == "csv" else forms.from_jsonl(text)
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        for user_id, label in chosen.items():
            target.decide(user_id, "label", label, reviewer=reviewer)
    say(f"{len(chosen):,} decisions taken")
