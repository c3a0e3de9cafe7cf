"""``adopt`` and ``sync``: make an index of a collection that is there already, and keep up with who writes to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search import display
from fg_search.cli.console import console, print_json, say, timed, warn
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    RetryFor,
    TrustRemoteCode,
    check_location,
    open_index,
)

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


def adopt(
    location: Annotated[
        str,
        typer.Argument(
            help="Folder of EdgeClient or URL of a Qdrant server (1.18 or newer) with the collection.",
            show_default=False,
        ),
    ],
    collection: Annotated[str, typer.Option(help="Name of the collection.", show_default=False)],
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            help="Payload path of the text that is shown, such as title or product.name. Repeatable; texts are joined.",
            show_default=False,
        ),
    ] = None,
    vector: Annotated[
        str, typer.Option(help="Name of the dense vector to build on.", show_default="the unnamed one")
    ] = "",
    label: Annotated[str | None, typer.Option(help="Payload path of the label.", show_default=False)] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            help="Payload path of an attribute, which gets a group of its own. Repeatable.", show_default=False
        ),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the encoder: read if one is saved there, and otherwise where it is saved once it has "
            "learned from the collection.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name or folder of the sentence-transformers model that made the vectors, so that queries can be "
            "texts.",
            show_default="none: queries are vectors",
        ),
    ] = None,
    max_learned: Annotated[
        int | None,
        typer.Option(
            help="Points that the head learns from, at most; they are read into memory.", min=2, show_default="100000"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do and cost, and write nothing.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Remove all that was added to the collection and beside it, corrections and decisions included.",
        ),
    ] = False,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Make an index of a collection that is there already. It stays where it is, and others use it as before.

    Vectors, ids, payload and other vectors are not touched. After an interruption, run the command again.
    """
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.index.adoption.options import MOST_LEARNED

    check_location(location)
    where: dict[str, Any] = {"collection": collection, "api_key": api_key, "retry_for": retry_for}
    if undo:
        with timed("undone"):
            undone = ConfidenceIndex.undo_adoption(location, **where)
        print_json(undone) if as_json else say(str(undone))
        return
    if not text:
        raise typer.BadParameter("name the payload key of the text: --text title")
    how = {
        **where,
        "text": text,
        "vector": vector,
        "label": label,
        "attributes": attribute or (),
        "encoder": _encoder(encoder, model, trust_remote_code=trust_remote_code),
        "max_learned": MOST_LEARNED if max_learned is None else max_learned,
        "seed": seed,
    }
    if dry_run:
        plan = ConfidenceIndex.plan_adoption(location, **how)
        print_json(plan) if as_json else display.adoption_plan(console, plan)
        return
    if encoder is None:
        raise typer.BadParameter("say where the encoder is to be saved: --encoder FOLDER")
    with timed("adopted"), ConfidenceIndex.adopt(location, folder=encoder, **how) as index:
        found = index.info()
    if as_json:
        print_json(found)
        return
    say(f"the collection {collection} at {location} is an index of {found.points:,} points; its encoder is {encoder}")
    if found.unsynced:
        warn(f"{found.unsynced:,} of them were written meanwhile and wait for `fg-search sync`")


def sync(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Bring an adopted collection up to date with what others have written to it since."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as index, timed("synced"):
        report = index.sync()
    print_json(report) if as_json else say(str(report))


def _encoder(folder: Path | None, model: str | None, *, trust_remote_code: bool) -> FeatureGroupEncoder | None:
    """The encoder that is saved in a folder, or one that has not learned yet; ``None`` without a model.

    Raises:
        typer.BadParameter: If the folder has an encoder of another model.
    """
    from fg_search.model.encoder import FeatureGroupEncoder
    from fg_search.model.saved_encoder import is_saved_encoder

    made = None if model is None else FeatureGroupEncoder(model, trust_remote_code=trust_remote_code)
    if folder is None or not is_saved_encoder(folder):
        return made
    there = FeatureGroupEncoder.load(folder, trust_remote_code=trust_remote_code)
    if made is not None and made.base_fingerprint != there.base_fingerprint:
        raise typer.BadParameter(
            f"{folder} has an encoder of {there.model_name!r} already, which is not overwritten; choose another "
            "folder, or leave out --model to use that one",
            param_hint="--model",
        )
    return there
