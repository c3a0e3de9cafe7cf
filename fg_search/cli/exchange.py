"""``pull`` and ``push``: exchange with another copy of an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.cli.console import print_json, say, timed, warn
from fg_search.cli.decisions import Reviewer, WrittenIds
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    NEEDS_ATTENTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    RetryFor,
    check_location,
    open_index,
)
from fg_search.cli.rows import read_id

if TYPE_CHECKING:
    from fg_search.review.exchange_reports import PullReport, PushReport

_Other = Annotated[str, typer.Argument(metavar="OTHER", help="Folder or URL of the other copy.", show_default=False)]
_OtherCollection = Annotated[str | None, typer.Option(help="Name of the other copy.", show_default="same as the index")]
_OtherKey = Annotated[
    str | None,
    typer.Option(envvar="QDRANT_OTHER_API_KEY", help="API key of the other server.", show_default="same as --api-key"),
]
_Overwrite = Annotated[
    list[str] | None,
    typer.Option(
        "--overwrite",
        metavar="ID",
        help="An item of which the copy that is read counts, whatever people decided in the other. Repeat it for more.",
        show_default=False,
    ),
]


def pull(
    other: _Other,
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    other_collection: _OtherCollection = None,
    api_key: ApiKey = None,
    other_api_key: _OtherKey = None,
    retry_for: RetryFor = None,
    overwrite: _Overwrite = None,
    ids_as: WrittenIds = "text",
    reviewer: Reviewer = "anonymous",
    remove_extra: Annotated[
        bool, typer.Option("--remove-extra", help="Remove items that the other copy lacks as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring an index up to date from another copy of it: a folder on a device from the server.

    Items that people decided about in both are left as they are, and named; the exit code is 3 then. With --overwrite
    they are taken as they are there.
    """
    check_location(other)
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened, timed("pulled"):
        found = opened.pull(
            other,
            collection=other_collection or collection,
            api_key=other_api_key or api_key,
            overwrite=[read_id(one, ids_as) for one in overwrite or ()],
            reviewer=reviewer,
            remove_extra=remove_extra,
        )
    _tell(found, as_json)


def push(
    other: _Other,
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    other_collection: _OtherCollection = None,
    api_key: ApiKey = None,
    other_api_key: _OtherKey = None,
    retry_for: RetryFor = None,
    overwrite: _Overwrite = None,
    ids_as: WrittenIds = "text",
    reviewer: Reviewer = "anonymous",
    as_json: AsJson = False,
) -> None:
    """Give another copy of an index what people decided here: the server what was decided on a device.

    Items that people decided about in both are left as they are, and named; the exit code is 3 then. With --overwrite
    they are given as they are here.
    """
    check_location(other)
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened, timed("pushed"):
        found = opened.push(
            other,
            collection=other_collection or collection,
            api_key=other_api_key or api_key,
            overwrite=[read_id(one, ids_as) for one in overwrite or ()],
            reviewer=reviewer,
        )
    _tell(found, as_json)


def _tell(found: PullReport | PushReport, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        say(str(found))
        for conflict in found.conflicts:
            labels = f"here {conflict.here or 'none'}, there {conflict.there or 'none'}"
            warn(f"{conflict.id!r}: {conflict.reason} ({labels})")
    if found.conflicts:
        raise typer.Exit(NEEDS_ATTENTION)
