"""``search`` and ``calibrate``: query an index and let it learn how far to trust it."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search import display
from fg_search.cli.console import console, log, print_json, say, timed, warn
from fg_search.cli.filters import SearchFilter
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    NOTHING_FOUND,
    ApiKey,
    AsJson,
    BatchSize,
    ByWhom,
    Collection,
    ConfidenceWeight,
    Delimiter,
    EncoderFolder,
    Encoding,
    FamiliarityWeight,
    Filter,
    Full,
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
    Where,
    open_index,
    search_options,
    text_form,
)
from fg_search.cli.rankings import Ranking, advice, compared
from fg_search.cli.rows import queries_of, rows_of
from fg_search.cli.running_server import RunningServer
from fg_search.cli.vectors import Vectors, text_column, vector_column, vectors_of
from fg_search.records import Record, RecordError, SkippedRows, stop
from fg_search.records.found_encoding import AUTO
from fg_search.records.json_value import is_unicode
from fg_search.records.record import listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.index.search_results import SearchResult


def search(
    context: typer.Context,
    location: IndexLocation,
    query: Annotated[str | None, typer.Argument(help="Text to search for.", show_default=False)] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another phrasing of QUERY. Repeatable.", show_default=False),
    ] = None,
    queries: Annotated[list[Path] | None, typer.Option(help="File of queries. Repeatable.", show_default=False)] = None,
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
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
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Also show this column of each hit, such as price, or its id. Repeatable. `--json` has all of them.",
            show_default=False,
        ),
    ] = None,
    where: Where = None,
    payload_filter: Filter = None,
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
    full: Full = False,
    batch_size: BatchSize = None,
) -> None:
    """Search for QUERY, for all queries of a file, or for each line of the standard input.

    Loading the model takes seconds, the search milliseconds: without QUERY it stays open, and answers what you type or
    pipe in line by line. Where `fg-search serve` has the folder open, it is asked, and nothing is loaded. Exit code 4
    if nothing was found, or nothing was sure enough to be an answer.
    """
    if query is not None and queries:
        raise typer.BadParameter("give either QUERY or --queries FILE")
    if query is None and also:
        raise typer.BadParameter("--also adds phrasings of QUERY; give QUERY, too")
    if vectors is not None and not queries:
        raise typer.BadParameter("--vectors are those of --queries FILE; give that, too")
    chosen = SearchFilter(where, payload_filter)
    asked: dict[str, Any] = {
        "limit": limit,
        "offset": offset,
        "min_confidence": min_confidence,
        "confidence_weight": confidence_weight,
        "min_familiarity": min_familiarity,
        "familiarity_weight": familiarity_weight,
        "target_precision": target_precision,
        "min_query_confidence": min_query_confidence,
        "on_uncertain": on_uncertain,
        "label_miss": label_miss,
        "rank_by": rank_by,
        "explain": explain,
    }
    server = RunningServer.of(location)
    if server is not None:
        given = {
            "--filter": payload_filter,
            "--vectors": vectors,
            "--log": log_queries,
            "--log-all": log_all,
            "--encoder": encoder,
            "--trust-remote-code": trust_remote_code,
            "--batch-size": batch_size,
            "--on-uncertain raise": on_uncertain == "raise",
        }
        server.check(collection, tenant, [name for name, value in given.items() if value])
    options = asked | {"where": where or []} if server else search_options(**asked, query_filter=chosen.written)
    form = text_form(delimiter, encoding)
    column = text_column(context, queries[0], text, vectors) if queries else text
    named = {"text": column, "vector": vector_column(vectors), **form}
    records = [record for path in queries or [] for record in rows_of(path, on_error, **named)]
    printed = _Printed(as_json=as_json, full=full, show=show or ())
    texts = _texts([query, *(also or [])] if query is not None else None, records, on_error, encoding)
    if server is not None:
        found = _ask_server(server, options, texts, printed)
    else:
        known = vectors_of(records, vectors, queries[0]) if queries else None
        with open_index(
            location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
        ) as opened:
            target = opened if tenant is None else opened.tenant(tenant)
            options["query_filter"] = chosen.of(target)
            target.log_queries("all" if log_all else "uncertain" if log_queries else "none")
            if records:
                found = _ask_at_once(target, records, column, known, batch_size, options, printed)
            else:
                found = sum(printed(target.search(one, **options)) for one, _ in texts) > 0
    if not found and (query is not None or records):  # who asks line by line sees for each
        raise typer.Exit(NOTHING_FOUND)


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
    text: TextColumn = ["text"],  # noqa: B006  typer copies it
    vectors: Vectors = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    on_error: OnError = "skip",
    min_confidence: MinConfidence = None,
    confidence_weight: ConfidenceWeight = 0.0,
    min_familiarity: MinFamiliarity = None,
    familiarity_weight: FamiliarityWeight = 0.0,
    rank_by: RankByOption = "auto",
    reviewer: ByWhom = "anonymous",
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
    judged = of_tenants = known = embeddings = None
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
        rankings: list[Ranking] = []
        if judged is not None and judged.texts is not None and rank_by == "auto" and of_tenants is None:
            if known is None:
                embeddings = target.encoder.encode_query(judged.texts, batch_size=batch_size)
            how = {**options, "relevant_by": relevant_by, "relevant_within": relevant_within, "vectors": known}
            how.pop("rank_by")
            rankings = compared(target, judged.texts, judged.answers, {**how, "embeddings": embeddings})
        learned = target.calibrate(
            None if judged is None else judged.texts,
            None if judged is None else judged.answers,
            relevant_by=relevant_by,
            relevant_within=relevant_within,
            promise_by=promise_by,
            tenants=of_tenants,
            vectors=known,
            embeddings=embeddings,
            reviewer=reviewer,
            batch_size=batch_size,
            **options,
        )
        thresholds = [learned.threshold(wanted) for wanted in TARGETS]
        outlooks = [] if learned.pretended else [each for wanted in TARGETS if (each := learned.outlook(wanted))]
        groups = {} if promise_by is None else {wanted: learned.groups(wanted) for wanted in TARGETS}
    if as_json:
        print_json(
            {
                "queries": learned.queries,
                "relevant_by": learned.relevant_by,
                "pretended": learned.pretended,
                "unanswerable_share": learned.share,
                "thresholds": thresholds,
                "outlooks": outlooks,
                "rank_by": learned.rank_by,
                "rankings": rankings,
                "promise_by": promise_by,
                "groups": [row for rows in groups.values() for row in rows],
            }
        )
        return
    what = "items taken for queries" if learned.pretended else "queries"
    say(f"{learned.queries:,} {what} judged by {learned.relevant_by}; kept with the index")
    display.thresholds(console, thresholds)
    for each in outlooks:
        console.print(f"  {each}", style="dim", soft_wrap=True)
    if said := advice(rankings, learned.rank_by):
        say(said)
    if promise_by is not None:
        display.groups(console, promise_by, groups)


def _texts(
    phrasings: list[str] | None, records: Sequence[Record], on_error: OnBadRow, encoding: str | None
) -> Iterator[tuple[list[str] | str, dict[str, Any] | None]]:
    """Yield what is asked, with the other columns of its row: one question, those of files, or what is typed in."""
    if phrasings is not None:
        yield phrasings, None
    elif records:
        yield from ((record.text, record.payload) for record in records)
    else:
        yield from ((line, None) for line in _typed_in(on_error, encoding))


def _ask_server(
    server: RunningServer,
    options: dict[str, Any],
    texts: Iterable[tuple[list[str] | str, dict[str, Any] | None]],
    show: Callable[..., bool],
) -> bool:
    """Let a running server answer, and return whether anything was found."""
    log.print(f"`fg-search serve` at {server.address} has the index open, and answers", style="dim", markup=False)
    found, told = False, set[str]()
    for text, row in texts:
        result, warnings = server.search(text, options)
        for sentence in warnings:
            if sentence not in told:
                warn(sentence)
        told.update(warnings)
        found |= show(result, row=row)
    return found


def _ask_at_once(
    target: ConfidenceIndex,
    records: Sequence[Record],
    column: Sequence[str] | None,
    known: npt.NDArray[np.float32] | None,
    batch_size: int | None,
    options: dict[str, Any],
    show: Callable[..., bool],
) -> bool:
    """Answer all queries of files, and return whether anything was found."""
    texts = None if column is None else [record.text for record in records]
    embeddings = None
    if known is None and texts is not None:
        with timed(f"encoded {len(texts):,} queries"):
            embeddings = target.encoder.encode_query(texts, batch_size=batch_size)
    with timed(f"searched {len(records):,} queries"):
        results = target.search_many(texts, embeddings=embeddings, vectors=known, **options)
    return sum(show(result, row=record.payload) for record, result in zip(records, results, strict=True)) > 0


class _Printed:
    """Prints results, and says once what their columns are."""

    def __init__(self, *, as_json: bool, full: bool, show: Sequence[str]) -> None:
        self._as_json, self._full, self._show = as_json, full, show
        self._told = set[str]()  # what needs to be told once

    def __call__(self, result: SearchResult, row: dict[str, Any] | None = None) -> bool:
        """Print a result, and return whether it has hits, or labels to choose from."""
        if self._as_json:
            hits = [{**vars(hit), "weighted_score": hit.ranking_score} for hit in result.hits]  # until 0.3
            print_json({**({} if row is None else {"row": row}), **vars(result), "hits": hits})
        else:
            display.result(console, result, full=self._full, show=self._show)
            if result.hits:
                self._explain(result)
        return bool(result.hits or result.choices)

    def _explain(self, result: SearchResult) -> None:
        if not self._told:
            display.legend(console, result)
            console.print()
            self._told.add("")
        there = {"id", *(key for hit in result.hits for key in hit.payload)}
        for key in self._show:
            if key not in there and key not in self._told:
                warn(f"no hit has a column {key!r} to show; there are {listed(sorted(there))}")
                self._told.add(key)


def _typed_in(on_error: OnBadRow, encoding: str | None) -> Iterator[str]:
    """Yield lines from a terminal until an empty one, or all non-empty lines of a pipe.

    Raises:
        RecordError: If a line is not in the encoding of the input and ``on_error`` is ``"stop"``.
    """
    at_terminal = sys.stdin.isatty()
    report = stop if on_error == "stop" else SkippedRows(report=warn)
    if encoding not in (None, AUTO) and isinstance(sys.stdin, io.TextIOWrapper):
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
