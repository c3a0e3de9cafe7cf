"""``index``, ``relabel``, ``delete`` and ``migrate``: change the contents of an index."""

from __future__ import annotations

from functools import partial
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search.cli.console import counted, log, report, timed, warn
from fg_search.cli.images import Images, check_one_kind, pictures_of
from fg_search.cli.new_labels import NewLabel, check_new_labels
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    INPUT,
    OF_NEW,
    ApiKey,
    AsJson,
    BatchSize,
    Cache,
    Collection,
    Delimiter,
    Encoding,
    Filterable,
    IdColumn,
    Ids,
    IdsAs,
    IndexLocation,
    LabelColumn,
    NoCache,
    OnError,
    OwnShards,
    PayloadM,
    Replicas,
    RetryFor,
    Shards,
    TakeOver,
    Tenant,
    TenantSharding,
    TextColumn,
    TrustRemoteCode,
    Types,
    WriteConsistency,
    cache_folder,
    make_filterable,
    open_index,
    sharding,
    text_form,
)
from fg_search.cli.rows import ItemRows, LabelRows, ids_meant, labels_there, no_item, read_id, read_labels
from fg_search.cli.vectors import Vectors, text_column, vector_column, vectors_of
from fg_search.errors import ItemNotFoundError
from fg_search.layout.keys import IMAGE_KEY
from fg_search.layout.settings import BaseVectors, FeatureVectors, IndexSettings, Quantization
from fg_search.records.column_types import chosen_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.index.ingestion import AddReport
    from fg_search.records import Record


def index(
    context: typer.Context,
    file: Annotated[Path, INPUT],
    location: IndexLocation,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of the encoder. An existing index remembers its own.")
    ] = None,
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    label: LabelColumn = None,
    id: IdColumn = None,  # noqa: A002  # the option's name
    ids_as: Ids = None,
    types: Types = None,
    vectors: Vectors = None,
    images: Images = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    tenant_key: Annotated[
        str | None, typer.Option(help="Payload key that holds the tenant.", rich_help_panel=OF_NEW)
    ] = None,
    base_vectors: Annotated[
        BaseVectors, typer.Option(help="Data type of the base vectors, or none.", rich_help_panel=OF_NEW)
    ] = "float32",
    quantization: Annotated[
        Quantization, typer.Option(help="Quantization of the base vectors.", rich_help_panel=OF_NEW)
    ] = "none",
    feature_vectors: Annotated[
        FeatureVectors, typer.Option(help="Data type of the features in their index.", rich_help_panel=OF_NEW)
    ] = "float32",
    tenant_sharding: TenantSharding = False,
    own_shard: OwnShards = None,
    payload_m: PayloadM = None,
    shards: Shards = None,
    replicas: Replicas = None,
    write_consistency: WriteConsistency = None,
    filterable: Filterable = None,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = None,
    as_json: AsJson = False,
) -> None:
    """Encode the texts of FILE and add them to an index; other columns become payload.

    Items that have not changed are neither encoded nor written again. After an interruption, run the command again.
    """
    form = text_form(delimiter, encoding)
    try:
        chosen_types(types or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--types") from None
    check_one_kind(vectors, images)
    column = text_column(context, file, text, vectors or images)
    if column is None and id is None and images is None:
        raise typer.BadParameter(
            f"{file} has no column {text[0]!r} to show; name one (--text), or that of the id (--id)"
        )
    named = {"text": column, "label": label, "id": id, "vector": vector_column(vectors)}
    rows = ItemRows.scan(file, on_error, ids=ids_as, types=types or (), **named, **form)
    if rows.types:
        found = ", ".join(f"{column} {kind}" for column, kind in rows.types.items())
        log.print(f"types of columns: {found}; others are texts", style="dim", markup=False, soft_wrap=True)
    wanted = IndexSettings(
        base_vectors=base_vectors,
        quantization=quantization,
        feature_vectors=feature_vectors,
        tenant_key=tenant_key,
        tenant_sharding=sharding(tenant_sharding, own_shard),
        payload_m=payload_m,
        shards=shards,
        replicas=replicas,
        write_consistency=write_consistency,
    )
    settings = None if wanted == IndexSettings() else wanted
    with open_index(
        location,
        encoder,
        collection,
        api_key,
        retry_for=retry_for,
        trust_remote_code=trust_remote_code,
        settings=settings,
    ) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        target.encoder.cache_folder = cache_folder(cache, no_cache=no_cache)
        rows.warn_of_twins(target)
        with timed(f"indexed {rows.count:,} items"):
            if vectors is None and images is None:
                added = _add(target, rows, has_ids=id is not None, batch_size=batch_size)
            else:
                records = list(rows)
                given = (
                    {"vectors": vectors_of(records, vectors, file)}
                    if images is None
                    else {
                        "images": pictures_of(records, images, file),
                        "payloads": [{**record.payload, IMAGE_KEY: record.payload[images]} for record in records],
                    }
                )
                added = _add_records(target, records, has_texts=column is not None, **given)
        if filterable:
            make_filterable(opened, filterable)
        count = len(target)
    written = counted(added.written, "item", "items")
    report(
        f"{written} written, {added.unchanged:,} unchanged, {count:,} in the index {location}",
        {**vars(added), "items": count, "types": dict(rows.types)},
        as_json=as_json,
    )


def _add(index: ConfidenceIndex, rows: ItemRows, *, has_ids: bool, batch_size: int | None) -> AddReport:
    texts, ids, labels, payloads = tee(rows, 4)
    return index.add(
        (record.text for record in texts),
        ids=(record.id for record in ids if record.id is not None) if has_ids else None,
        labels=(record.label for record in labels),
        payloads=(record.payload for record in payloads),
        total=rows.count,
        batch_size=batch_size,
    )


def _add_records(index: ConfidenceIndex, records: Sequence[Record], *, has_texts: bool, **given: Any) -> AddReport:
    """Add rows whose base embeddings are given, or are made of what is given beside them."""
    return index.add(
        [record.text for record in records] if has_texts else None,
        ids=[record.id for record in records if record.id is not None] or None,
        labels=[record.label for record in records],
        **{"payloads": [record.payload for record in records], **given},
    )


def relabel(
    file: Annotated[Path, INPUT],
    location: IndexLocation,
    id: Annotated[str, typer.Option("--id", help="Column of the id.")] = "id",  # noqa: A002
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            help="Column of the right label; an empty value means unknown, and in corrected_label no correction.",
            show_default="label, and of an export corrected_label",
        ),
    ] = None,
    ids: Ids = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    new_label: NewLabel = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Correct the labels of items. Indexing the old data again keeps the corrections."""
    read = partial(read_labels, file, label=label, id=id, ids=ids, form=text_form(delimiter, encoding))
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        rows = LabelRows.check(file, on_error, read, target)
        check_new_labels(target, rows.labels.values(), allowed=new_label)
        changed = target.relabel(rows.labels)
    has = "has" if len(rows.labels) == 1 else "have"
    report(
        f"{changed:,} of {counted(len(rows.labels), 'item', 'items')} {has} another label now{rows.left_out}",
        {"items": len(rows.labels), "changed": changed, "skipped": rows.skipped},
        as_json=as_json,
    )


def delete(
    ids: Annotated[list[str], typer.Argument(help="Ids of the items.", show_default=False)],
    location: IndexLocation,
    ids_as: Annotated[
        IdsAs,
        typer.Option("--ids", help='Read ids as text, or as JSON, where 2 is a number and "2", in quotes, a text.'),
    ] = "text",
    integers: Annotated[bool, typer.Option("--integers", hidden=True)] = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Remove items by their ids. Unknown ids are named; if there is no other, the command fails."""
    wanted = [read_id(item_id, "json" if integers else ids_as) for item_id in ids]
    with open_index(location, None, collection, api_key, retry_for=retry_for) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        there = labels_there(target, wanted)
        unknown = [item_id for item_id in dict.fromkeys(wanted) if item_id not in there]
        meant = ids_meant(target, unknown)
        if not there:
            raise ItemNotFoundError("; ".join([no_item(item_id, meant) for item_id in unknown] + ["nothing removed"]))
        for item_id in unknown:
            warn(no_item(item_id, meant))
        removed = target.delete(list(there))
        count = len(target)
    report(
        f"{counted(removed, 'item', 'items')} removed, {count:,} in the index {location}",
        {"removed": removed, "unknown": unknown, "items": count},
        as_json=as_json,
    )


def migrate(
    encoder: Annotated[Path, typer.Argument(help="Folder of the new encoder.", show_default=False)],
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = None,
    take_over: TakeOver = False,
    as_json: AsJson = False,
) -> None:
    """Re-encode an index with another encoder, without downtime. Calibrate it again afterwards."""
    from fg_search.model.encoder import FeatureGroupEncoder

    loaded = FeatureGroupEncoder.load(
        encoder, cache_folder=cache_folder(cache, no_cache=no_cache), trust_remote_code=trust_remote_code
    )
    with open_index(location, None, collection, api_key, retry_for=retry_for) as target:
        with timed("re-encoded"):
            target.migrate(loaded, batch_size=batch_size, take_over=take_over)
        count = 0 if target.metadata.settings.tenant_key is not None else len(target)
    report(
        f"the index {location} now uses the encoder {loaded.fingerprint} in {encoder}",
        {"fingerprint": loaded.fingerprint, "encoder": str(encoder), "items": count},
        as_json=as_json,
    )
