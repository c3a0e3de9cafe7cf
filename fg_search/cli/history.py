"""``history``: what was calibrated and measured, and how good the index was then."""

from __future__ import annotations

from fg_search import display
from fg_search.cli.console import show_each
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    RetryFor,
    Tenant,
    open_index,
)


def history(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List what was calibrated and measured, when and by whom, and how good the index was then; the latest last.

    It has every calibration, the latest adaptation to the traffic of a day, thresholds that an audit has raised, and
    evaluations with --keep: forty of each.
    """
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.history()
    show_each(found, display.history, as_json=as_json)
