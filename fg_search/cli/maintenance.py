"""``info``, ``check``, ``copy``, ``snapshot``, ``restore`` and ``recover``: inspect, copy and bring back an index."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from fg_search import display
from fg_search.cli.console import console, counted, print_json, report, say, timed
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    NEEDS_ATTENTION,
    ApiKey,
    AsJson,
    Collection,
    IndexLocation,
    OwnShards,
    PayloadM,
    Replicas,
    RetryFor,
    Shards,
    Tenant,
    TenantSharding,
    WriteConsistency,
    check_location,
    make_filterable,
    open_index,
    sharding,
)
from fg_search.engine.address import is_url
from fg_search.layout.settings import BaseVectors, FeatureVectors, Quantization


def info(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Show what an index holds and how confident its items are."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.info()
    if as_json:
        print_json(found)
    else:
        display.info(console, found)


def filterable(
    fields: Annotated[
        list[str],
        typer.Argument(
            metavar="FIELD[:KIND]...",
            help="Payload fields: keyword, integer, float, bool, datetime, uuid, text or geo.",
            show_default=False,
        ),
    ],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Have the engine index payload fields, to filter and group by them. A kind that is not given is guessed.

    Managed Qdrant and other servers in strict mode filter by such fields alone.
    """
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        known = make_filterable(opened, fields)
    if as_json:
        print_json({"filterable": known})
        return
    for field, kind in known.items():
        say(f"{field}: {kind}")


def check(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Show nodes, shards and copies of an index, and what is wrong: exit code 3 if anything is.

    It is wrong, too, if the traffic that the calibration follows (`fg-search adapt`, `serve --adapt-every`) is of
    another kind than the judged queries, so that precisions are no longer what was promised.
    """
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        found = opened.check()
    if as_json:
        print_json(found)
    else:
        display.health(console, found)
    if found.problems:
        raise typer.Exit(NEEDS_ATTENTION)


def optimize(location: IndexLocation, collection: Collection = DEFAULT_COLLECTION, as_json: AsJson = False) -> None:
    """Compact the index in a folder, and build graphs that make searches by base vectors fast (minutes for 100,000)."""
    with open_index(location, None, collection, None) as opened, timed("optimized"):
        was_changed = opened.optimize()
    report(
        "optimized" if was_changed else "nothing to do: a server optimizes by itself, and a small folder needs it not",
        {"optimized": was_changed},
        as_json=as_json,
    )


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Folder or URL of the index.", show_default=False)],
    destination: Annotated[str, typer.Argument(metavar="TO", help="Folder or URL of the copy.", show_default=False)],
    collection: Collection = DEFAULT_COLLECTION,
    to_collection: Annotated[
        str | None, typer.Option(help="Name of the copy.", show_default="same as the index")
    ] = None,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    to_api_key: Annotated[
        str | None,
        typer.Option(
            envvar="QDRANT_TO_API_KEY",
            help="API key of the destination server.",
            show_default="same as --api-key",
        ),
    ] = None,
    base_vectors: Annotated[
        BaseVectors | None,
        typer.Option(help="Data type of the copy's base vectors, or none.", show_default="unchanged"),
    ] = None,
    quantization: Annotated[
        Quantization | None, typer.Option(help="Quantization of the copy's base vectors.", show_default="unchanged")
    ] = None,
    feature_vectors: Annotated[
        FeatureVectors | None,
        typer.Option(help="Data type of the features in the copy's index of them.", show_default="unchanged"),
    ] = None,
    tenant_sharding: TenantSharding = False,
    own_shard: OwnShards = None,
    payload_m: PayloadM = None,
    shards: Shards = None,
    replicas: Replicas = None,
    write_consistency: WriteConsistency = None,
    as_json: AsJson = False,
) -> None:
    """Copy an index between folders and servers, without encoding anything.

    After an interruption, run the command again: it resumes where it stopped. At the end, counts and samples are
    compared. Between servers, the copy has the shards and copies of the index unless others are chosen.
    """
    check_location(destination)
    options: dict[str, Any] = {
        "base_vectors": base_vectors,
        "quantization": quantization,
        "feature_vectors": feature_vectors,
        "tenant_sharding": sharding(tenant_sharding, own_shard) or None,
        "payload_m": payload_m,
        "shards": shards,
        "replicas": replicas,
        "write_consistency": write_consistency,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    with open_index(source, None, collection, api_key, retry_for=retry_for) as opened:
        own = opened.metadata.settings if is_url(destination) else opened.metadata.settings.on_one_machine()
        if replicas is not None:
            own = replace(own, replicas=None, write_consistency=None)  # unless it is chosen, it follows from the copies
        settings = replace(own, **chosen) if chosen else None
        with timed("copied"):
            copied = opened.copy_to(
                destination,
                collection=to_collection or collection,
                api_key=to_api_key or api_key,
                settings=settings,
            )
    report(str(copied), copied, as_json=as_json)


def snapshot(
    file: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Write a whole index to one file."""
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened, timed("written"):
        opened.snapshot(file)
    size = file.stat().st_size
    report(f"{file}: {size:,} bytes", {"file": str(file), "bytes": size}, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="File written by `fg-search snapshot`.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Restore an index from a file. An existing index of this name is replaced."""
    from fg_search.confidence_index import ConfidenceIndex

    check_location(location)
    restored = partial(ConfidenceIndex.restore, file, location, collection=collection, api_key=api_key)
    with timed("restored"), restored(retry_for=retry_for) as opened:
        count = len(opened)
    report(f"{counted(count, 'item', 'items')} in the index {location}", {"items": count}, as_json=as_json)


def recover(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Collection to give the name to.", show_default="the only complete one"),
    ] = None,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    as_json: AsJson = False,
) -> None:
    """Give an index its name back, if the name was lost and its collection is still there."""
    from fg_search.confidence_index import ConfidenceIndex

    check_location(location)
    found = ConfidenceIndex.recover(
        location, collection=collection, source=source, api_key=api_key, retry_for=retry_for
    )
    encoder = "an encoder that was never saved" if found.encoder is None else f"the encoder in {found.encoder}"
    report(f"the index {collection} at {location} is {found}, filled by {encoder}", found, as_json=as_json)
