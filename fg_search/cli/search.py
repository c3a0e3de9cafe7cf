"""``search`` and ``calibrate``: query an index and let it learn how far to trust it."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search import display
from fg_search.cli.console import console, log, print_json, say, timed, warn
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    AsJson,
    BatchSize,
    Collection,
    ConfidenceWeight,
    Delimiter,
    EncoderFolder,
    Encoding,
    FamiliarityWeight,
    Ids,
    IndexLocation,
    LogAll,
    MinConfidence,
    MinFamiliarity,
    OnBadRow,
    OnError,
    OptionalQueryFiles,
    OutOfScope,
    PromiseBy,
    RankByOption,
    Relevant,
    RelevantBy,
    RelevantWithin,
    RetryFor,
    Tenant,
    TenantColumn,
    TextColumn,
    TrustRemoteCode,
    open_index,
    search_options,
    text_form,
)
from fg_search.cli.rows import queries_of, rows_of
from fg_search.cli.vectors import Vectors, text_column, vector_column, vectors_of
from fg_search.records import RecordError, SkippedRows, stop
from fg_search.records.json_value import is_unicode

if TYPE_CHECKING:
    from qdrant_client import models

    from fg_search.confidence_index import ConfidenceIndex


def search(
    context: typer.Context,
    location: IndexLocation,
    query: Annotated[str | None, typer.Argument(help="Text to search for.", show_default=False)] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another phrasing of QUERY. Repeatable.", show_default=False),
    ] = None,
    queries: Annotated[list[Path] | None, typer.Option(help="File of queries. Repeatable.", show_default=False)] = None,
    text: TextColumn = "text",
    vectors: Vectors = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of hits per query.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Number of hits to skip.")] = 0,
    min_confidence: MinConfidence = None,
    confidence_weight: ConfidenceWeight = 0.0,
    min_familiarity: MinFamiliarity = None,
    familiarity_weight: FamiliarityWeight = 0.0,
    target_precision: Annotated[
        float | None, typer.Option(help="Share of answers that must be right, 0 to 1. Needs `fg-search calibrate`.")
    ] = None,
    min_query_confidence: Annotated[
        float | None, typer.Option(help="Treat queries less confident than this as uncertain, 0 to 1.")
    ] = None,
    on_uncertain: Annotated[
        str,
        typer.Option(
            help="What to do with an uncertain query: flag, abstain, clarify (which of a few labels is it?) or raise."
        ),
    ] = "flag",
    label_miss: Annotated[
        float,
        typer.Option(help="Share of the uncertain queries whose right label `clarify` may miss, 0 to 1."),
    ] = 0.1,
    rank_by: RankByOption = "auto",
    payload_filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help='Qdrant filter as JSON, such as \'{"must": [{"key": "shop", "match": {"value": "Leeds"}}]}\'.',
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show the item nearest to a query by base embeddings, found or not.")
    ] = False,
    log_queries: Annotated[
        bool,
        typer.Option("--log", help="Log queries without a confident answer, for `fg-search review --kind abstained`."),
    ] = False,
    log_all: LogAll = False,
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
    batch_size: BatchSize = None,
) -> None:
    """Search for QUERY, for all queries of a file, or for each line of the standard input."""
    if query is not None and queries:
        raise typer.BadParameter("give either QUERY or --queries FILE")
    if query is None and also:
        raise typer.BadParameter("--also adds phrasings of QUERY; give QUERY, too")
    if vectors is not None and not queries:
        raise typer.BadParameter("--vectors are those of --queries FILE; give that, too")
    options = search_options(
        limit=limit,
        offset=offset,
        min_confidence=min_confidence,
        confidence_weight=confidence_weight,
        min_familiarity=min_familiarity,
        familiarity_weight=familiarity_weight,
        target_precision=target_precision,
        min_query_confidence=min_query_confidence,
        on_uncertain=on_uncertain,
        label_miss=label_miss,
        rank_by=rank_by,
        explain=explain,
        query_filter=None if payload_filter is None else _filter_of(payload_filter),
    )
    form = text_form(delimiter, encoding)
    column = text_column(context, queries[0], text, vectors) if queries else text
    named = {"text": column, "vector": vector_column(vectors), **form}
    records = [record for path in queries or [] for record in rows_of(path, on_error, **named)]
    known = vectors_of(records, vectors, queries[0]) if queries else None
    with open_index(
        location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
    ) as opened:
        target = opened if tenant is None else opened.tenant(tenant)
        target.log_queries("all" if log_all else "uncertain" if log_queries else "none")
        found = False
        if query is not None:
            found = _print_result(target.search([query, *(also or [])], **options), as_json=as_json)
        elif records:
            texts = None if column is None else [record.text for record in records]
            embeddings = None
            if known is None and texts is not None:
                with timed(f"encoded {len(texts):,} queries"):
                    embeddings = target.encoder.encode_query(texts, batch_size=batch_size)
            with timed(f"searched {len(records):,} queries"):
                results = target.search_many(texts, embeddings=embeddings, vectors=known, **options)
            for record, result in zip(records, results, strict=True):
                found |= _print_result(result, as_json=as_json, row=record.payload)
        else:
            for line in _typed_in(on_error, encoding):
                found |= _print_result(target.search(line, **options), as_json=as_json)
        if not found and options["query_filter"] is not None:
            _warn_of_unquoted_keys(target, options["query_filter"])


def _warn_of_unquoted_keys(index: ConfidenceIndex, query_filter: models.Filter) -> None:
    """Warn about keys such as ``size.eu`` that lead nowhere, while a column has this name, dot included."""
    from qdrant_client import models

    from fg_search.layout.json_paths import filter_keys, quoted

    def exists(key: str) -> bool:
        there = models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])
        return bool(index.client.count(index.collection, count_filter=there).count)

    for key in dict.fromkeys(filter_keys(query_filter)):
        if "." not in key or '"' in key:
            continue
        with contextlib.suppress(Exception):  # a server may refuse to count; the search itself was right
            if not exists(key) and exists(quoted(key)):
                warn(
                    f"no item has {key!r} as a path, but there is a column of this name; to filter by it, put it in "
                    f"quotes: {json.dumps(quoted(key), ensure_ascii=False)}"
                )


def _filter_of(written: str) -> models.Filter:
    from pydantic import ValidationError
    from qdrant_client import models

    try:
        return models.Filter.model_validate_json(written)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(
            str(part) for part in first["loc"] if isinstance(part, int) or (part.isidentifier() and part.islower())
        )
        raise typer.BadParameter(
            f"not a Qdrant filter: {where}: {first['msg']}".replace(": : ", ": "), param_hint="--filter"
        ) from None


def calibrate(
    context: typer.Context,
    location: IndexLocation,
    queries: OptionalQueryFiles = None,
    relevant: Relevant = ["label"],  # noqa: B006  typer copies it
    relevant_by: RelevantBy = "auto",
    relevant_within: RelevantWithin = 1,
    promise_by: PromiseBy = None,
    tenants: TenantColumn = None,
    ids: Ids = None,
    out_of_scope: OutOfScope = None,
    text: TextColumn = "text",
    vectors: Vectors = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    min_confidence: MinConfidence = None,
    confidence_weight: ConfidenceWeight = 0.0,
    min_familiarity: MinFamiliarity = None,
    familiarity_weight: FamiliarityWeight = 0.0,
    rank_by: RankByOption = "auto",
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
    batch_size: BatchSize = None,
) -> None:
    """Learn from judged queries, whose right answer is known, how far to trust results.

    Without --queries the labelled items themselves are taken for queries: a first estimate, and so it says. Queries
    must be new to the encoder and to the index. The calibration is stored with the index. It holds for searches with
    the same --min-confidence, --confidence-weight, --min-familiarity, --familiarity-weight and --rank-by.
    """
    options = search_options(
        min_confidence=min_confidence,
        confidence_weight=confidence_weight,
        min_familiarity=min_familiarity,
        familiarity_weight=familiarity_weight,
        rank_by=rank_by,
    )
    judged = of_tenants = known = None
    if vectors is not None and queries is None:
        raise typer.BadParameter("--vectors are those of --queries FILE; give that, too")
    if queries is not None:
        judged = queries_of(
            queries,
            on_error,
            text=text_column(context, queries[0], text, vectors),
            vector=vector_column(vectors),
            relevant=relevant,
            out_of_scope=out_of_scope or (),
            ids=ids,
            form=text_form(delimiter, encoding),
        )
        known = vectors_of(judged.records, vectors, queries[0])
        of_tenants = None if tenants is None else list(map(str, judged.column(tenants)))
    from fg_search.index.evaluation import TARGETS

    taught = "the items themselves" if judged is None else f"{len(judged.records):,} queries"
    with (
        open_index(
            location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
        ) as opened,
        timed(f"calibrated on {taught}"),
    ):
        target = opened if tenant is None else opened.tenant(tenant)
        learned = target.calibrate(
            None if judged is None else judged.texts,
            None if judged is None else judged.answers,
            relevant_by=relevant_by,
            relevant_within=relevant_within,
            promise_by=promise_by,
            tenants=of_tenants,
            vectors=known,
            batch_size=batch_size,
            **options,
        )
        thresholds = [learned.threshold(wanted) for wanted in TARGETS]
        groups = {} if promise_by is None else {wanted: learned.groups(wanted) for wanted in TARGETS}
    if as_json:
        print_json(
            {
                "queries": learned.queries,
                "relevant_by": learned.relevant_by,
                "pretended": learned.pretended,
                "unanswerable_share": learned.share,
                "thresholds": thresholds,
                "promise_by": promise_by,
                "groups": [row for rows in groups.values() for row in rows],
            }
        )
        return
    what = "items taken for queries" if learned.pretended else "queries"
    say(f"{learned.queries:,} {what} judged by {learned.relevant_by}; kept with the index")
    display.thresholds(console, thresholds)
    if promise_by is not None:
        display.groups(console, promise_by, groups)


def _print_result(result: Any, *, as_json: bool, row: dict[str, Any] | None = None) -> bool:
    """Print a result, and return whether it has hits."""
    if as_json:
        hits = [{**vars(hit), "weighted_score": hit.ranking_score} for hit in result.hits]  # until 0.3
        print_json({**({} if row is None else {"row": row}), **vars(result), "hits": hits})
    else:
        display.result(console, result)
    return bool(result.hits)


def _typed_in(on_error: OnBadRow, encoding: str | None) -> Iterator[str]:
    """Yield lines from a terminal until an empty one, or all non-empty lines of a pipe.

    Raises:
        RecordError: If a line is not in the encoding of the input and ``on_error`` is ``"stop"``.
    """
    at_terminal = sys.stdin.isatty()
    report = stop if on_error == "stop" else SkippedRows(report=warn)
    if encoding is not None and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding=encoding)
    if at_terminal:
        log.print("Type a query; an empty line ends.", style="dim")
    for number in itertools.count(1):
        if at_terminal:
            log.print("? ", end="", style="bold")
        line = sys.stdin.readline()
        if not is_unicode(line):  # bytes that could not be decoded
            name = (sys.stdin.encoding or "utf-8").upper()
            advice = "name its encoding (--encoding cp1252)" if name == "UTF-8" else "set PYTHONUTF8=1 if it is UTF-8"
            report(RecordError(f"standard input:{number}", f"not {name}; {advice}"))
        elif line.strip():
            yield line.strip()
        elif at_terminal or not line:
            return
