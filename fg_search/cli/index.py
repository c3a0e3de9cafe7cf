"""``index``, ``relabel``, ``delete`` and ``migrate``: change the contents of an index."""

from __future__ import annotations

from functools import partial
from itertools import tee
from pathlib import Path
from typing import Annotated

import typer

from fg_search.cli.console import say, timed
from fg_search.cli.new_labels import new_labels_named
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    INPUT,
    ApiKey,
    BatchSize,
    Cache,
    Collection,
    IdColumn,
    IndexLocation,
    LabelColumn,
    NoCache,
    OnError,
    Tenant,
    TextColumn,
    TrustRemoteCode,
    cache_folder,
    open_index,
)
from fg_search.cli.rows import ItemRows, LabelRows
from fg_search.layout.settings import BaseVectors, IndexSettings, Quantization
from fg_search.records import read_records


def index(
    file: Annotated[Path, INPUT],
    location: IndexLocation,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of the encoder. An existing index remembers its own.")
    ] = None,
    text: TextColumn = "text",
    label: LabelColumn = None,
    id: IdColumn = None,  # noqa: A002  # the option's name
    on_error: OnError = "skip",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
    tenant_key: Annotated[str | None, typer.Option(help="New index: payload key that holds the tenant.")] = None,
    base_vectors: Annotated[
        BaseVectors, typer.Option(help="New index: data type of the base vectors, or none.")
    ] = "float32",
    quantization: Annotated[Quantization, typer.Option(help="New index: quantization of the base vectors.")] = "none",
    shards: Annotated[int | None, typer.Option(help="New index in a cluster: number of shards.")] = None,
    replicas: Annotated[int | None, typer.Option(help="New index in a cluster: copies of each shard.")] = None,
    write_consistency: Annotated[
        int | None, typer.Option(help="New index in a cluster: copies that must confirm a write.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = 64,
) -> None:
    """Encode the texts of FILE and add them to an index; other columns become payload.

    Items that have not changed are neither encoded nor written again. After an interruption, run the command again.
    """
    rows = ItemRows.scan(file, on_error, text=text, label=label, id=id)
    wanted = IndexSettings(
        base_vectors=base_vectors,
        quantization=quantization,
        tenant_key=tenant_key,
        shards=shards,
        replicas=replicas,
        write_consistency=write_consistency,
    )
    settings = None if wanted == IndexSettings() else wanted
    with open_index(
        location, encoder, collection, api_key, trust_remote_code=trust_remote_code, settings=settings
    ) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        target.encoder.cache_folder = cache_folder(cache, no_cache=no_cache)
        texts, ids, labels, payloads = tee(rows, 4)
        with timed(f"indexed {rows.count:,} items"):
            report = target.add(
                (record.text for record in texts),
                ids=None if id is None else (record.id for record in ids if record.id is not None),
                labels=(record.label for record in labels),
                payloads=(record.payload for record in payloads),
                total=rows.count,
                batch_size=batch_size,
            )
        say(f"{report}, {len(target):,} in the index {location}")


def relabel(
    file: Annotated[Path, INPUT],
    location: IndexLocation,
    id: Annotated[str, typer.Option("--id", help="Column of the id.")] = "id",  # noqa: A002
    label: Annotated[
        str, typer.Option("--label", help="Column of the right label; an empty value means unknown.")
    ] = "label",
    on_error: OnError = "skip",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Correct the labels of items. Indexing the old data again keeps the corrections."""
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        rows = LabelRows.check(file, on_error, partial(read_records, file, text=None, label=label, id=id), target)
        with new_labels_named(target):
            changed = target.relabel(rows.labels)
    say(f"{changed:,} of {len(rows.labels):,} items have another label now{rows.left_out}")


def delete(
    ids: Annotated[list[str], typer.Argument(help="Ids of the items.", show_default=False)],
    location: IndexLocation,
    integers: Annotated[bool, typer.Option("--integers", help="Read the ids as integers, not as strings.")] = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Remove items by their ids."""
    with open_index(location, None, collection, api_key) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        removed = target.delete([int(item_id) for item_id in ids] if integers else [*ids])
        say(f"{removed:,} items removed, {len(target):,} in the index {location}")


def migrate(
    encoder: Annotated[Path, typer.Argument(help="Folder of the new encoder.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = 64,
) -> None:
    """Re-encode an index with another encoder, without downtime. Calibrate it again afterwards."""
    from fg_search.model.encoder import FeatureGroupEncoder

    loaded = FeatureGroupEncoder.load(
        encoder, cache_folder=cache_folder(cache, no_cache=no_cache), trust_remote_code=trust_remote_code
    )
    with open_index(location, None, collection, api_key) as target:
        with timed("re-encoded"):
            target.migrate(loaded, batch_size=batch_size)
        say(f"the index {location} now uses the encoder {loaded.fingerprint} in {encoder}")
