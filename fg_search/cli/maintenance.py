"""``info``, ``copy``, ``snapshot`` and ``restore``: look after an index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

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
    check_location,
    open_index,
)
from fg_search.layout.settings import BaseVectors, Quantization


def info(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in an index and how confident it is."""
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        found = target.info()
    if as_json:
        print_json(found)
    else:
        display.info(console, found)


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Folder or URL.", show_default=False)],
    destination: Annotated[str, typer.Argument(metavar="TO", help="Folder or URL.", show_default=False)],
    collection: Collection = DEFAULT_COLLECTION,
    to_collection: Annotated[
        str | None, typer.Option(help="Name of the copy.", show_default="that of the index")
    ] = None,
    api_key: ApiKey = None,
    to_api_key: Annotated[
        str | None,
        typer.Option(
            envvar="QDRANT_TO_API_KEY", help="Of the server that is copied to.", show_default="that of --api-key"
        ),
    ] = None,
    base_vectors: Annotated[BaseVectors | None, typer.Option(help="Of the copy.", show_default="as they are")] = None,
    quantization: Annotated[Quantization | None, typer.Option(help="Of the copy.", show_default="as it is")] = None,
    shards: Annotated[int | None, typer.Option(help="Of the copy, in a cluster.")] = None,
    replicas: Annotated[int | None, typer.Option(help="Of the copy, in a cluster: copies of each shard.")] = None,
    write_consistency: Annotated[
        int | None, typer.Option(help="Of the copy, in a cluster: copies that must have a write.")
    ] = None,
) -> None:
    """Copy an index from a folder to a server, back, or anywhere else, without encoding anything.

    Interrupted, it goes on from where it was when it is run again. In the end counts and samples are compared.
    """
    check_location(destination)
    with open_index(source, None, collection, api_key) as opened:
        own = opened.metadata.settings
        settings = replace(
            own,
            base_vectors=base_vectors or own.base_vectors,
            quantization=quantization or own.quantization,
            shards=shards,
            replicas=replicas,
            write_consistency=write_consistency,
        )
        with timed("copied"):
            report = opened.copy_to(
                destination,
                collection=to_collection or collection,
                api_key=to_api_key or api_key,
                settings=settings,
            )
    say(str(report))


def snapshot(
    file: Annotated[Path, typer.Argument(help="File to make.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
) -> None:
    """Write a whole index into one file."""
    with open_index(location, None, collection, api_key) as opened, timed("written"):
        opened.snapshot(file)
    say(f"{file}: {file.stat().st_size:,} bytes")


def restore(
    file: Annotated[Path, typer.Argument(help="File made by `fg-search snapshot`.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
) -> None:
    """Bring back an index from a file; one of this name is replaced."""
    from fg_search.confidence_index import ConfidenceIndex

    check_location(location)
    with timed("restored"), ConfidenceIndex.restore(file, location, collection=collection, api_key=api_key) as opened:
        say(f"{len(opened):,} items in the index {location}")
