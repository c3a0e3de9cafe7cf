"""The command line: ``fg-search fit | index | search | review | info | demo``.

Exit codes: 0 done; 1 the work failed (the message says what was wrong and what to do); 2 the command line
itself was wrong. Tables and progress are for people; ``--json`` prints one JSON object a line on stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fg_search import display
from fg_search.errors import FgSearchError
from fg_search.ids import UserId
from fg_search.records import Record, read_records

if TYPE_CHECKING:
    from fg_search.index.confidence_index import ConfidenceIndex

app = typer.Typer(
    name="fg-search",
    help="Vector search that knows when it does not know.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, emoji=False)
log = Console(stderr=True, highlight=False, emoji=False)

INPUT = typer.Argument(help="JSONL or CSV file, UTF-8.", show_default=False)
TextColumn = Annotated[str, typer.Option("--text", help="Column of the text.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the id; default: derived from the text.")]
IndexLocation = Annotated[
    str, typer.Option("--index", "--url", help="Folder of the index, or a Qdrant server's URL.", show_default=False)
]
Collection = Annotated[str, typer.Option(help="Name of the collection.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="QDRANT_API_KEY", help="Of a server; better from the environment.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Keep base embeddings in this folder, so that the same text is encoded once.",
        show_default="$FG_SEARCH_CACHE or fg_search in the user's cache folder",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep base embeddings.")]
BatchSize = Annotated[int, typer.Option(help="Texts encoded at once.", min=1)]

DEFAULT_COLLECTION = "fg_search"
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@app.command()
def fit(
    file: Annotated[Path, INPUT],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new encoder.", show_default=False)],
    text: TextColumn = "text",
    label: Annotated[str | None, typer.Option(help="Column of the label; without it, clusters are learned.")] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="Column that gets a group of its own; may be given several times.", show_default=False),
    ] = None,
    model: Annotated[str, typer.Option(help="A sentence-transformers name or folder.")] = DEFAULT_MODEL,
    groups: Annotated[int | None, typer.Option(help="Softmax groups; default 16 with labels, 32 without.")] = None,
    codes: Annotated[int | None, typer.Option(help="Codes a group; default up to 64 with labels, 128 without.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = 64,
) -> None:
    """Train a feature-group head on the texts of FILE and save the encoder."""
    records = read_records(file, text=text, label=label)
    from fg_search.encoder import FeatureGroupEncoder, check_target

    check_target(output)  # before the work, not after it
    with _timed(f"fitted on {len(records):,} texts"):
        encoder = FeatureGroupEncoder(model, cache_folder=_cache_folder(cache, no_cache=no_cache))
        encoder.fit(
            [record.text for record in records],
            labels=None if label is None else [record.label for record in records],
            attributes=_columns(records, attribute or []),
            groups=groups,
            codes=codes,
            seed=seed,
            batch_size=batch_size,
        )
        encoder.save(output)
    console.print(f"{encoder!r} saved in {output}", soft_wrap=True, markup=False)


@app.command()
def index(
    file: Annotated[Path, INPUT],
    location: IndexLocation,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of the encoder; an index that is there already remembers its own.")
    ] = None,
    text: TextColumn = "text",
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    id: IdColumn = None,  # noqa: A002  # the option's name
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    batch_size: BatchSize = 64,
) -> None:
    """Encode the texts of FILE and add them to an index; other columns become payload."""
    records = read_records(file, text=text, label=label, id=id)
    with _open(location, encoder, collection, api_key) as target:
        target.encoder.cache_folder = _cache_folder(cache, no_cache=no_cache)
        with _timed(f"indexed {len(records):,} items"):
            written = target.add(
                [record.text for record in records],
                ids=None if id is None else _ids(records),
                labels=[record.label for record in records],
                payloads=[record.payload for record in records],
                batch_size=batch_size,
            )
        console.print(f"{written}, {len(target):,} in the index {location}", soft_wrap=True, markup=False)


@app.command()
def search(
    location: IndexLocation,
    query: Annotated[str | None, typer.Argument(help="The question.", show_default=False)] = None,
    queries: Annotated[
        list[Path] | None, typer.Option(help="File of queries; may be given several times.", show_default=False)
    ] = None,
    text: TextColumn = "text",
    limit: Annotated[int, typer.Option(min=1, help="Hits a query.")] = 10,
    min_confidence: Annotated[
        float | None, typer.Option(help="Exclude points less confident than this, 0 to 1.")
    ] = None,
    confidence_weight: Annotated[float, typer.Option(help="Order by score * confidence^weight.")] = 0.0,
    min_query_confidence: Annotated[
        float | None, typer.Option(help="Queries less confident than this are uncertain, 0 to 1.")
    ] = None,
    on_uncertain: Annotated[str, typer.Option(help="flag, abstain or raise.")] = "flag",
    rank_by: Annotated[str, typer.Option(help="auto, features, base or both.")] = "auto",
    encoder: Annotated[Path | None, typer.Option(help="Folder of the encoder, if it is not where it was.")] = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    as_json: AsJson = False,
    batch_size: BatchSize = 64,
) -> None:
    """Search for QUERY, or for every query of a file in one go."""
    if (query is None) == (not queries):
        raise typer.BadParameter("give either a question or --queries FILE")
    records = [record for path in queries or [] for record in read_records(path, text=text)]
    texts = [query] if query is not None else [record.text for record in records]
    from fg_search.search import SearchOptions

    options: dict[str, Any] = {
        "limit": limit,
        "min_confidence": min_confidence,
        "confidence_weight": confidence_weight,
        "min_query_confidence": min_query_confidence,
        "on_uncertain": on_uncertain,
        "rank_by": rank_by,
    }
    SearchOptions(**options)  # refuses what is out of range before the queries are encoded
    with _open(location, encoder, collection, api_key) as target:
        with _timed(f"encoded {len(texts):,} queries", quiet=query is not None):
            embeddings = target.encoder.encode(texts, batch_size=batch_size)
        with _timed(f"searched {len(texts):,} queries", quiet=query is not None):
            results = target.search_many(texts, embeddings=embeddings, **options)
    for i, result in enumerate(results):
        if as_json:
            _print_json({**({"row": records[i].payload} if records else {}), **vars(result)})
        else:
            display.result(console, result)


@app.command()
def review(
    location: IndexLocation,
    limit: Annotated[int, typer.Option(min=1, help="Items at most.")] = 20,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the items a person should look at: the least confident first."""
    with _open(location, None, collection, api_key) as target:
        items = target.review(kind="ambiguous", limit=limit)
    if as_json:
        for item in items:
            _print_json(item)
    else:
        display.review(console, items)


@app.command()
def info(
    location: IndexLocation,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say what is in an index and how confident it is."""
    with _open(location, None, collection, api_key) as target:
        found = target.info()
    if as_json:
        _print_json(found)
    else:
        display.info(console, found)


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Keep encoder and index here; default: a folder that is removed again.")
    ] = None,
) -> None:
    """Fit, index, search and review the support questions that come with the package."""
    from fg_search.demo import story

    if folder is not None:
        story.run(console, folder)
        return
    with tempfile.TemporaryDirectory(prefix="fg-search-demo-") as temporary:
        story.run(console, Path(temporary))


def main() -> None:
    """Run the command line; an error that a user can act on is one line, without a traceback."""
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read by transformers when it is imported
    try:
        app()
    except (FgSearchError, ValueError, TypeError, OSError) as error:
        log.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _open(location: str, encoder: Path | None, collection: str, api_key: str | None) -> ConfidenceIndex:
    from fg_search.index.confidence_index import ConfidenceIndex

    if location == ":memory:":
        raise typer.BadParameter("an index in memory ends with the command; give a folder or a URL")
    if re.fullmatch(r"[\w.-]+:\d+/?", location):
        raise typer.BadParameter(f"for a server write http://{location}")
    return ConfidenceIndex(location, encoder, collection=collection, api_key=api_key)


def _cache_folder(chosen: Path | None, *, no_cache: bool) -> Path | None:
    from fg_search.cache import default_cache_folder

    if no_cache and chosen is not None:
        raise typer.BadParameter("--cache and --no-cache exclude each other")
    return None if no_cache else chosen or default_cache_folder()


def _columns(records: list[Record], names: list[str]) -> dict[str, list[str | None]] | None:
    """The named columns as attributes; an empty or missing value is unknown."""
    columns: dict[str, list[str | None]] = {}
    for name in names:
        values = [record.payload.get(name) for record in records]
        columns[name] = [None if value is None or value == "" else str(value) for value in values]
        if not any(columns[name]):
            raise ValueError(f"no row has a value in the column {name!r}")
    return columns or None


def _ids(records: list[Record]) -> list[UserId]:
    return [record.id for record in records if record.id is not None]


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, default=vars, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def _timed(done: str, *, quiet: bool = False) -> Iterator[None]:
    start = time.perf_counter()
    yield
    if not quiet:
        log.print(f"{done} in {time.perf_counter() - start:.1f} s", style="dim")
