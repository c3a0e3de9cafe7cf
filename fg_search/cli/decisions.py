"""``decide``, ``decisions`` and ``undo``: what reviewers decided about items."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from fg_search import display
from fg_search.cli.console import report, show_each
from fg_search.cli.new_labels import NewLabel, check_new_labels
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    IdsAs,
    IndexLocation,
    RetryFor,
    Tenant,
    open_index,
)
from fg_search.cli.rows import ids_meant, labels_there, no_item, read_id
from fg_search.errors import ItemNotFoundError

DecideAction = Literal["accept", "keep", "label", "delete", "unsure"]
WrittenIds = Annotated[
    IdsAs, typer.Option("--ids", help='Read ids as text, or as JSON, where 2 is a number and "2", in quotes, a text.')
]
Reviewer = Annotated[str, typer.Option(help="Name of the reviewer, for the log.")]


def decide(
    action: Annotated[
        DecideAction,
        typer.Argument(
            help="accept the suggested label, keep the present one, set a label, delete the item, or leave it unsure.",
            show_default=False,
        ),
    ],
    item: Annotated[str, typer.Argument(metavar="ID", help="Id of the item.", show_default=False)],
    location: IndexLocation,
    label: Annotated[str | None, typer.Option(help="The right label, for label.", show_default=False)] = None,
    new_label: NewLabel = False,
    reviewer: Reviewer = "anonymous",
    opinion_on: Annotated[
        int | None,
        typer.Option(
            help="Number of another reviewer's decision that this is a second opinion on, as `fg-search review --kind "
            "second --json` has it. keep then keeps the label that the data give.",
            show_default=False,
        ),
    ] = None,
    ids_as: WrittenIds = "text",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Decide about one item, as on the page. The decision is logged and can be undone."""
    if (label is None) == (action == "label"):
        raise typer.BadParameter("label needs --label, and nothing else takes one", param_hint="--label")
    user_id = read_id(item, ids_as)
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        if user_id not in labels_there(target, [user_id]):
            raise ItemNotFoundError(no_item(user_id, ids_meant(target, [user_id])))
        check_new_labels(target, [label], allowed=new_label)
        done = target.decide(user_id, action, label, reviewer=reviewer, opinion_on=opinion_on)
    labelled = f"has the label {done.after!r}" + ("" if action == "keep" else ", by which searches go after a new fit")
    what = {"delete": "is deleted", "unsure": "is left to somebody else"}.get(action, labelled)
    report(f"{done.id!r} {what}; `fg-search undo {done.number}` takes it back", done, as_json=as_json)


def decisions(
    location: IndexLocation,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of decisions; the latest are listed.")] = 20,
    item: Annotated[
        str | None, typer.Option(metavar="ID", help="Only decisions about this item.", show_default=False)
    ] = None,
    standing: Annotated[
        bool, typer.Option("--standing", help="Only decisions that were carried out and not undone.")
    ] = False,
    agreement: Annotated[
        bool,
        typer.Option(
            "--agreement",
            help="In place of them, how often two reviewers agree: by the second opinions that one gave on what the "
            "other had decided, without seeing it (`fg-search review --kind second`).",
        ),
    ] = False,
    ids_as: WrittenIds = "text",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """List what reviewers decided, the latest last, with the numbers by which `fg-search undo` takes it back."""
    user_id = None if item is None else read_id(item, ids_as)
    if agreement and item is not None:
        raise typer.BadParameter("two agree about many items; leave --item out", param_hint="--agreement")
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        if agreement:
            from fg_search.review.reviewers import agreements

            pairs = agreements(target.decisions(standing=True))
            show_each(pairs, display.agreements, as_json=as_json)
            return
        found = target.decisions(limit=limit, item_id=user_id, standing=standing)
    show_each(found, display.decisions, as_json=as_json)


def undo(
    location: IndexLocation,
    number: Annotated[
        int | None, typer.Argument(help="Number of the decision.", show_default="the latest decision of all")
    ] = None,
    reviewer: Reviewer = "anonymous",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Take back a decision about an item: its label, or the item itself, is there again."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        done = target.undo(number, reviewer=reviewer)
    now = "no label" if done.after is None else f"the label {done.after!r}"
    report(f"the decision {done.undoes} is taken back: {done.id!r} has {now} again", done, as_json=as_json)
