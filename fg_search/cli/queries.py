"""``missing-labels``, ``decide-queries`` and ``forget-queries``: work with logged queries."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from fg_search import display
from fg_search.cli.console import counted, report, show_each, warn
from fg_search.cli.new_labels import check_new_labels
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    BatchSize,
    Collection,
    EncoderFolder,
    IndexLocation,
    RetryFor,
    Tenant,
    TrustRemoteCode,
    open_index,
)
from fg_search.errors import ItemNotFoundError
from fg_search.queries.entries import MIN_SIZE, SIMILARITY, QueryAction


def missing_labels(
    location: IndexLocation,
    similarity: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum mean cosine of the queries in a cluster.")
    ] = SIMILARITY,
    min_size: Annotated[
        int, typer.Option(min=1, help="Leave out clusters whose queries were asked less often than this in total.")
    ] = MIN_SIZE,
    least_size: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Cluster the logged queries that got no confident answer: candidates for labels the index lacks.

    `fg-search search --log` and `fg-search serve --log-queries` log such queries.
    """
    if least_size is not None:
        warn("--least-size is now --min-size; the old name goes with the next release")
        min_size = least_size
    with open_index(
        location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
    ) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.missing_labels(similarity=similarity, min_size=min_size)
    show_each(found, display.missing_labels, as_json=as_json)


def decide_queries(
    action: Annotated[
        QueryAction, typer.Argument(help="Add the queries as items, dismiss them, or undo either.", show_default=False)
    ],
    ids: Annotated[list[str], typer.Argument(help="Ids of logged queries.", show_default=False)],
    location: IndexLocation,
    label: Annotated[str | None, typer.Option(help="Label of the new items, for add.", show_default=False)] = None,
    reviewer: Annotated[str, typer.Option(help="Name of the reviewer, for the log.")] = "anonymous",
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    batch_size: BatchSize = None,
    as_json: AsJson = False,
) -> None:
    """Decide on logged queries: `add` them to the index with a label, `dismiss` or `reopen` them."""
    if (label is None) == (action == "add"):
        raise typer.BadParameter("add needs --label, and nothing else takes one", param_hint="--label")
    with open_index(
        location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
    ) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        check_new_labels(target, [label], allowed=True)
        decided = target.decide_queries(ids, action, label, reviewer=reviewer, batch_size=batch_size)
    done = {"add": f"added with the label {label!r}", "dismiss": "dismissed", "reopen": "open again"}[action]
    report(
        f"{counted(len(decided), 'query', 'queries')} {done}",
        {"action": action, "label": label, "queries": [query.id for query in decided]},
        as_json=as_json,
    )


def forget_queries(
    location: IndexLocation,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of logged queries.", show_default=False)] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, help="Remove queries last asked more than this many days ago.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all queries.")] = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Remove queries from the log: by id, by age, or all."""
    if everything == bool(ids or older_than is not None):
        raise typer.BadParameter("give ids, --older-than, or --all")
    before = None if older_than is None else datetime.now(timezone.utc) - timedelta(days=older_than)
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        removed = target.forget_queries(ids or None, before=before)
    if ids and before is None and not removed:
        raise ItemNotFoundError(
            f"the log has no query {ids[0]!r} ({len(ids)} such id(s)); `fg-search review --kind "
            "abstained` lists their ids"
        )
    report(f"{counted(removed, 'query', 'queries')} removed from the log", {"removed": removed}, as_json=as_json)
