"""``fit`` and ``describe``: train an encoder and describe what it learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search.cli.base_models import (
    Backend,
    BaseModel,
    DocumentPrompt,
    Dtype,
    EmbedderUrl,
    QueryPrompt,
    Symmetric,
)
from fg_search.cli.console import console, print_json, report, timed
from fg_search.cli.images import Images, check_one_kind, pictures_of
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    DEFAULT_MODEL,
    INPUT,
    OF_LANGUAGES,
    ApiKey,
    AsJson,
    BatchSize,
    Cache,
    Collection,
    Delimiter,
    Encoding,
    LabelColumn,
    NoCache,
    OnError,
    RetryFor,
    TakeOver,
    TextColumn,
    TrustRemoteCode,
    cache_folder,
    open_index,
    text_form,
)
from fg_search.cli.rows import attributes_of, rows_of
from fg_search.cli.vectors import Vectors, text_column, vector_column, vectors_of

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.model.encoder import FeatureGroupEncoder

Attribute = Annotated[
    list[str] | None,
    typer.Option(help="Column that gets a feature group of its own. Repeatable.", show_default=False),
]


_FILE_OPTIONS = (
    "text",
    "label",
    "attribute",
    "vectors",
    "images",
    "model",
    "embedder",
    "backend",
    "dtype",
    "truncate_dim",
    "query_prompt",
    "document_prompt",
    "symmetric",
    "groups",
    "codes",
    "delimiter",
    "encoding",
    "on_error",
)
_REFRESH_OPTIONS = ("set_aside", "collection", "api_key", "take_over")


def fit(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to save the encoder in.", show_default=False)],
    file: Annotated[Path | None, INPUT] = None,
    refresh: Annotated[
        str | None,
        typer.Option(
            metavar="INDEX",
            help="Instead of FILE: train on the items of this index, corrections included, and move the index to the "
            "new encoder. Calibrate it again afterwards.",
            show_default=False,
        ),
    ] = None,
    set_aside: Annotated[
        float | None,
        typer.Option(
            help="With --refresh: set aside items whose label is wrong with at least this probability, 0 to 1 "
            "(see `fg-search score`). They are neither trained on nor found until somebody reviews them.",
            show_default=False,
        ),
    ] = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    label: Annotated[
        str | None, typer.Option(help="Column of the label. Without it, the head is trained on clusters.")
    ] = None,
    attribute: Attribute = None,
    vectors: Vectors = None,
    images: Images = None,
    model: Annotated[
        str, typer.Option(help=f"Name or folder of a model of sentence-transformers. {OF_LANGUAGES}")
    ] = DEFAULT_MODEL,
    embedder: EmbedderUrl = None,
    backend: Backend = "torch",
    dtype: Dtype = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    symmetric: Symmetric = False,
    truncate_dim: Annotated[
        int | None,
        typer.Option(min=1, help="Numbers kept of each embedding, for models whose embeddings may be cut off."),
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Number of feature groups.", show_default="16 with labels, 32 without")
    ] = None,
    codes: Annotated[
        int | None, typer.Option(help="Codes per group.", show_default="up to 64 with labels, 128 without")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = None,
    take_over: TakeOver = False,
    as_json: AsJson = False,
) -> None:
    """Train a feature-group head on the texts of FILE, or of an index, and save the encoder.

    With --vectors, and without --model and --embedder, the encoder embeds no texts: all vectors are brought along.
    """
    if (file is None) == (refresh is None):
        raise typer.BadParameter("give either FILE or --refresh INDEX")
    _refuse_options(context, _REFRESH_OPTIONS if refresh is None else _FILE_OPTIONS, refreshes=refresh is not None)
    if refresh is not None:
        with (
            open_index(
                refresh, None, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
            ) as index,
            timed("fitted and moved"),
        ):
            before = _set_aside(index)
            index.encoder.cache_folder = cache_folder(cache, no_cache=no_cache)
            calibrated = index.calibration is not None
            refitted = index.refit(output, set_aside=set_aside, seed=seed, batch_size=batch_size, take_over=take_over)
            aside = _set_aside(index)
        notes = [f"{aside:,} items are set aside until they are reviewed (--kind contradicted)"] if aside else []
        if before and set_aside is None:
            notes.append(f"the {before:,} that were set aside are back and were trained on (no --set-aside)")
        if calibrated:
            notes.append("its calibration was for the old head: run `fg-search calibrate` again")
        report(
            "; ".join([f"{refitted!r} saved in {output}", f"the index {refresh} has moved to it", *notes]),
            _facts(refitted, output, index=refresh, set_aside=aside),
            as_json=as_json,
        )
        return
    assert file is not None  # noqa: S101  for the type checker
    base = BaseModel(
        model,
        embedder,
        backend,
        dtype,
        truncate_dim,
        query_prompt,
        document_prompt,
        symmetric,
        trust_remote_code,
    )
    base.check()
    form = text_form(delimiter, encoding)
    check_one_kind(vectors, images)
    column = text_column(context, file, text, vectors or images)
    records = rows_of(file, on_error, text=column, label=label, vector=vector_column(vectors), **form)
    known = vectors_of(records, vectors, file)
    from fg_search.model.encoder import check_target

    check_target(output)  # fail before the work, not after it
    what = "pictures" if images is not None else "texts" if known is None else "vectors"
    with timed(f"fitted on {len(records):,} {what}"):
        cached = cache_folder(cache, no_cache=no_cache)
        if known is None or any(_was_given(context, name) for name in ("model", "embedder")):
            encoder = base.encoder(cached)
        else:
            encoder = _of_vectors(known)
        if images is not None:
            known = encoder.embed_images(pictures_of(records, images, file), batch_size=batch_size)
        encoder.fit(
            [] if column is None else [record.text for record in records],
            vectors=known,
            labels=None if label is None else [record.label for record in records],
            attributes=attributes_of(records, attribute or []),
            groups=groups,
            codes=codes,
            seed=seed,
            batch_size=batch_size,
        )
        encoder.save(output)
    report(f"{encoder!r} saved in {output}", _facts(encoder, output), as_json=as_json)


def _facts(
    encoder: FeatureGroupEncoder, folder: Path, *, index: str | None = None, set_aside: int = 0
) -> dict[str, Any]:
    """What ``--json`` says of a fitted encoder."""
    return {
        "encoder": str(folder),
        "fingerprint": encoder.fingerprint,
        "groups": encoder.groups,
        "codes_per_group": encoder.codes_per_group,
        "index": index,
        "set_aside": set_aside,
    }


def _of_vectors(vectors: Any) -> FeatureGroupEncoder:
    """An encoder without a head on vectors of this dimension, which embeds no texts."""
    from fg_search.model.embedders.brought import BroughtVectors
    from fg_search.model.encoder import FeatureGroupEncoder

    return FeatureGroupEncoder(BroughtVectors(vectors.shape[1]))


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _set_aside(index: ConfidenceIndex) -> int:
    """Number of items that are set aside; 0 for an index with tenants, whose items are counted per tenant only."""
    return 0 if index.metadata.settings.tenant_key is not None else index.info().set_aside


def _refuse_options(context: typer.Context, names: tuple[str, ...], *, refreshes: bool) -> None:
    """Refuse options that would be ignored.

    Raises:
        BadParameter: If one of ``names`` was given on the command line.
    """
    for name in names:
        if _was_given(context, name):
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(
                f"{option} does not go with --refresh, which trains on the items of the index, with a head of its kind"
                if refreshes
                else f"{option} needs --refresh INDEX"
            )


def describe(
    file: Annotated[Path, INPUT],
    encoder: Annotated[Path, typer.Option(help="Folder of the encoder.", show_default=False)],
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    label: LabelColumn = None,
    attribute: Annotated[list[str] | None, typer.Option(help="Column to explain the codes by. Repeatable.")] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    as_json: AsJson = False,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = None,
) -> None:
    """Describe what the groups of an encoder learned and what their codes mean, using the texts of FILE."""
    records = rows_of(file, on_error, text=text, label=label, **text_form(delimiter, encoding))
    from fg_search.model.encoder import FeatureGroupEncoder

    loaded = FeatureGroupEncoder.load(
        encoder, cache_folder=cache_folder(cache, no_cache=no_cache), trust_remote_code=trust_remote_code
    )
    found = loaded.describe(
        [record.text for record in records],
        None if label is None else [record.label for record in records],
        attributes=attributes_of(records, attribute or []),
        batch_size=batch_size,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        console.print(str(found), markup=False)
