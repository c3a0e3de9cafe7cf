"""``missing-labels``, ``decide-queries`` and ``forget-queries``: what becomes of logged queries."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from fg_search import display
from fg_search.cli.console import say, show_each
from fg_search.cli.new_labels import new_labels_named
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    BatchSize,
    Collection,
    EncoderFolder,
    IndexLocation,
    Tenant,
    open_index,
)
from fg_search.queries.entries import MIN_SIZE, SIMILARITY, QueryAction


def missing_labels(
    location: IndexLocation,
    similarity: Annotated[
        float, typer.Option(min=0, max=1, help="Mean cosine from which queries belong together.")
    ] = SIMILARITY,
    min_size: Annotated[
        int, typer.Option("--least-size", min=1, help="Leave out what was asked less often in all.")
    ] = MIN_SIZE,
    encoder: EncoderFolder = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Cluster the logged queries that got no sure answer: candidates for labels that the index does not have.

    Queries are logged by `fg-search search --log` and `fg-search serve --log-queries`.
    """
    with open_index(location, encoder, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.missing_labels(similarity=similarity, min_size=min_size)
    show_each(found, display.missing_labels, as_json=as_json)


def decide_queries(
    action: Annotated[
        QueryAction, typer.Argument(help="Make items of them, let them be, or take either back.", show_default=False)
    ],
    ids: Annotated[list[str], typer.Argument(help="Ids of logged queries.", show_default=False)],
    location: IndexLocation,
    label: Annotated[str | None, typer.Option(help="Of the new items, for add.", show_default=False)] = None,
    reviewer: Annotated[str, typer.Option(help="Who decides.")] = "anonymous",
    encoder: EncoderFolder = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    batch_size: BatchSize = 64,
) -> None:
    """Decide about logged queries: `add` them to the index with a label, `dismiss` or `reopen` them."""
    if (label is None) == (action == "add"):
        raise typer.BadParameter("add needs --label, and nothing else takes one", param_hint="--label")
    with open_index(location, encoder, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        with new_labels_named(target):
            decided = target.decide_queries(ids, action, label, reviewer=reviewer, batch_size=batch_size)
    done = {"add": f"added with the label {label!r}", "dismiss": "dismissed", "reopen": "open again"}[action]
    say(f"{len(decided):,} queries {done}")


def forget_queries(
    location: IndexLocation,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of logged queries.", show_default=False)] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Days since a query was last asked.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Empty the whole log.")] = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Remove queries from the log: some, those not asked for some days, or all."""
    if everything == bool(ids or older_than is not None):
        raise typer.BadParameter("give ids, --older-than, or --all")
    before = None if older_than is None else datetime.now(timezone.utc) - timedelta(days=older_than)
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        say(f"{target.forget_queries(ids or None, before=before):,} queries removed from the log")
