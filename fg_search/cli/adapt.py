"""``adapt``: let the calibration of an index follow the traffic."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search import display
from fg_search.cli.console import console, print_json, say, timed
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    NEEDS_ATTENTION,
    ApiKey,
    AsJson,
    BatchSize,
    ByWhom,
    Collection,
    Delimiter,
    EncoderFolder,
    Encoding,
    IndexLocation,
    OnError,
    RetryFor,
    Tenant,
    TenantColumn,
    TextColumn,
    TrustRemoteCode,
    open_index,
    text_form,
)
from fg_search.cli.rows import rows_of
from fg_search.records import Record
from fg_search.validation import is_missing

if TYPE_CHECKING:
    from fg_search.confidence.traffic_shift import TrafficShift


def adapt(
    location: IndexLocation,
    queries: Annotated[
        list[Path] | None,
        typer.Option("--queries", help="File of queries that nobody has judged. Repeatable.", show_default=False),
    ] = None,
    expected_unanswerable: Annotated[
        float | None,
        typer.Option(help="Share of the queries that have no answer, 0 to 1, if you know it.", show_default=False),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Take only queries of the log that were asked since then, in local time.",
            show_default=False,
        ),
    ] = None,
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    tenants: TenantColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    reviewer: ByWhom = "anonymous",
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: say whether the promise holds; exit code 3 if not.")
    ] = False,
    as_json: AsJson = False,
    batch_size: BatchSize = None,
) -> None:
    """Estimate how many queries have no answer, and move confidence and thresholds accordingly.

    Nobody has to judge anything: the share is estimated from the log of queries (`fg-search serve --adapt-every`), or
    from --queries. The index has to be calibrated once, on queries of which some have no answer.

    If the queries differ in another way as well (other intents, another language), the promise no longer holds, and
    you are told so.
    """
    if check and expected_unanswerable is not None:
        raise typer.BadParameter("--check compares queries; leave out --expected-unanswerable")
    if tenants is not None and queries is None:
        raise typer.BadParameter("--tenants names a column of --queries; the log knows the tenants of its own")
    texts = of_tenants = None
    if queries is not None:
        form = text_form(delimiter, encoding)
        rows = [record for path in queries for record in rows_of(path, on_error, text=text, **form)]
        texts = [record.text for record in rows]
        of_tenants = None if tenants is None else [_tenant(record, tenants) for record in rows]
    from fg_search.index.evaluation import TARGETS

    with (
        open_index(
            location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
        ) as opened,
        timed("compared" if check else "adapted"),
    ):
        target = opened if tenant is None else opened.tenant(tenant)
        start = None if since is None else since.astimezone()
        if check:
            found = target.check_traffic(texts, since=start, tenants=of_tenants, batch_size=batch_size)
            _report(found, as_json)
            return
        learned = target.adapt(
            texts,
            expected_unanswerable=expected_unanswerable,
            since=start,
            tenants=of_tenants,
            reviewer=reviewer,
            batch_size=batch_size,
        )
        thresholds = [learned.threshold(wanted) for wanted in TARGETS]
    if as_json:
        print_json({"unanswerable_share": learned.share, "thresholds": thresholds, "shift": learned.shift})
        return
    say(f"{learned.share}; kept with the index")
    if learned.shift is not None:
        say(learned.shift.reason)
    display.thresholds(console, thresholds)


def _tenant(record: Record, column: str) -> str:
    value = record.payload.get(column)
    if is_missing(value):
        raise typer.BadParameter(f"{record.place} has no tenant in the column {column!r}", param_hint="--tenants")
    return str(value)


def _report(shift: TrafficShift, as_json: bool) -> None:
    if as_json:
        print_json(shift)
    else:
        say(shift.reason)
    if not shift.holds:
        raise typer.Exit(NEEDS_ATTENTION)
