"""Options that commands share, and opening an index with them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

DEFAULT_COLLECTION = "fg_search"
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
OF_LANGUAGES = f"The default one learned from English texts; {MULTILINGUAL_MODEL} knows fifty languages."

NEEDS_ATTENTION = 3  # exit code: nothing failed, but something is wrong
NOTHING_FOUND = 4  # exit code: nothing failed, but no query has an answer

# titles of help, under which options are listed that few need
OF_FILE, OF_SERVER, OF_MODEL, OF_NEW = (
    "Options of files",
    "Options of server and tenants",
    "Options of the model",
    ("Options of a new index"),
)

OnBadRow = Literal["skip", "stop"]
IdsAs = Literal["text", "json"]

INPUT = typer.Argument(help="JSONL, CSV, TSV or Parquet file.", show_default=False)
TextColumn = Annotated[
    list[str],
    typer.Option("--text", help="Column of the text. Repeatable: --text title --text description joins what both say."),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--types",
        metavar="auto|text|COLUMN=TYPE",
        help="Types of the columns of a CSV or TSV file, to filter by numbers and dates: found in the file (auto), all "
        "texts (text), or COLUMN=integer, float, bool, datetime or text. Repeatable.",
        show_default="auto",
        rich_help_panel=OF_FILE,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only items whose payload meets it: colour=red, colour!=red, 'price<50', 'added>=2026-01-31'. Repeatable: "
        "all have to be met.",
        show_default=False,
    ),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help='Qdrant filter as JSON, such as \'{"must": [{"key": "shop", "match": {"value": "Leeds"}}]}\'.',
        show_default=False,
    ),
]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the id.", show_default="derived from the text")]
Ids = Annotated[
    IdsAs | None,
    typer.Option(
        "--ids",
        help='Read ids as text, or as JSON, where 2 is a number and "2", in quotes, a text. The item 2 is another one '
        'than the item "2".',
        show_default="as the file has them: CSV has texts, JSON has both",
        rich_help_panel=OF_FILE,
    ),
]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the label.")]
OnError = Annotated[
    OnBadRow, typer.Option(help="Report and skip a bad row, or stop at the first one.", rich_help_panel=OF_FILE)
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        help="Character between the fields of a CSV or TSV file, or the word tab.",
        show_default="found in the header",
        rich_help_panel=OF_FILE,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        help="Encoding of a text file, such as cp1252, or auto to find it.",
        show_default="UTF-8",
        rich_help_panel=OF_FILE,
    ),
]
IndexLocation = Annotated[
    str,
    typer.Option(
        "--index",
        "--url",
        envvar="FG_SEARCH_INDEX",
        help="Folder of the index, URL of a Qdrant server, or URLs of several nodes with commas in between.",
        show_default=False,
    ),
]
Collection = Annotated[str, typer.Option(help="Name of the index.", rich_help_panel=OF_SERVER)]
ByWhom = Annotated[str, typer.Option("--reviewer", help="Your name, for `fg-search history`.")]
Tenant = Annotated[
    str | None, typer.Option(help="Tenant, in an index with tenants.", show_default=False, rich_help_panel=OF_SERVER)
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="QDRANT_API_KEY",
        help="API key of the server; better set in the environment.",
        show_default=False,
        rich_help_panel=OF_SERVER,
    ),
]
RetryFor = Annotated[
    float | None,
    typer.Option(
        "--retry-for",
        envvar="FG_SEARCH_RETRY_FOR",
        help="Seconds for which a server that is busy or out of reach is asked again.",
        min=0,
        show_default="60",
        rich_help_panel=OF_SERVER,
    ),
]
Filterable = Annotated[
    list[str] | None,
    typer.Option(
        "--filterable",
        metavar="FIELD[:KIND]",
        help="Payload field that the engine is to index, to filter and group by. Its kind (keyword, integer, float, "
        "bool, datetime, uuid, text or geo) is guessed from the items if it is not given. Repeatable.",
        show_default=False,
    ),
]
EncoderFolder = Annotated[
    Path | None, typer.Option("--encoder", help="Folder of the encoder, if it has moved.", rich_help_panel=OF_MODEL)
]
LogAll = Annotated[
    bool,
    typer.Option("--log-all", help="Log all queries, those with a confident answer as well, for `fg-search audit`."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per line; `fg-search schema` says what is in it.")
]
Full = Annotated[bool, typer.Option("--full", help="Print long texts whole.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder to cache base embeddings in, so that each text is encoded only once.",
        show_default="$FG_SEARCH_CACHE or fg_search in the user's cache folder",
        rich_help_panel=OF_MODEL,
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor write cached base embeddings.", rich_help_panel=OF_MODEL)
]
TenantSharding = Annotated[
    bool,
    typer.Option(
        "--tenant-sharding", help="In a cluster: keep each tenant's items in one of the shards.", rich_help_panel=OF_NEW
    ),
]
OwnShards = Annotated[
    list[str] | None,
    typer.Option(
        "--own-shard",
        metavar="TENANT",
        help="The same, and this tenant has a shard of its own. Repeatable.",
        show_default=False,
        rich_help_panel=OF_NEW,
    ),
]
PayloadM = Annotated[
    int | None,
    typer.Option(
        help="Links of an item in a graph of its tenant's items, in place of the graph of all items. For "
        "large tenants whose items base vectors rank; 16 is usual.",
        min=1,
        show_default=False,
        rich_help_panel=OF_NEW,
    ),
]
Shards = Annotated[int | None, typer.Option(help="In a cluster: number of shards.", min=1, rich_help_panel=OF_NEW)]
Replicas = Annotated[
    int | None,
    typer.Option(
        help="In a cluster: copies of each shard. Two survive the loss of a node.", min=1, rich_help_panel=OF_NEW
    ),
]
WriteConsistency = Annotated[
    int | None,
    typer.Option(
        help="In a cluster: copies that must confirm a write. With as many as there are, the loss of a node "
        "stops all writes.",
        min=1,
        show_default="1 of 2 copies, 2 of 3",
        rich_help_panel=OF_NEW,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that comes with the model, with all your rights. Nothing remembers it.",
        rich_help_panel=OF_MODEL,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Texts encoded per batch; by default what suits the device.", min=1, rich_help_panel=OF_MODEL),
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Do not wait for another process that is moving the index; it cannot finish any more then.",
    ),
]
MinConfidence = Annotated[float | None, typer.Option(help="Exclude items less confident than this, 0 to 1.")]
ConfidenceWeight = Annotated[float, typer.Option(help="Order hits by score * confidence^weight, 0 to 100.")]
MinFamiliarity = Annotated[float | None, typer.Option(help="Exclude items less familiar than this, 0 to 1.")]
FamiliarityWeight = Annotated[float, typer.Option(help="Order hits by score * familiarity^weight, 0 to 100.")]
RankByOption = Annotated[str, typer.Option("--rank-by", help="Rank by auto, features, base or both.")]
OptionalQueryFiles = Annotated[
    list[Path] | None, typer.Option("--queries", help="File of queries. Repeatable.", show_default=False)
]
QueryFiles = Annotated[list[Path], typer.Option("--queries", help="File of queries. Repeatable.", show_default=False)]
Relevant = Annotated[
    list[str],
    typer.Option(help="Column of the right answer, a label or an id; in JSONL also a list of these. Repeatable."),
]
RelevantWithin = Annotated[
    int, typer.Option(min=1, max=10, help="A result is right if one of its first so many hits is.")
]
PromiseBy = Annotated[
    Literal["label", "tenant"] | None,
    typer.Option(
        help="Promise a precision to the answers of each label, or of each tenant, by itself; by default to all."
    ),
]
TenantColumn = Annotated[
    str | None,
    typer.Option(help="Column with the tenant of each query, in an index with tenants.", metavar="COLUMN"),
]
RelevantBy = Annotated[Literal["auto", "label", "id"], typer.Option(help="Whether --relevant holds labels or ids.")]
OutOfScope = Annotated[
    list[str] | None,
    typer.Option(
        help="Value of --relevant that marks a query without an answer in the index, such as oos; empty values always "
        "do. Repeatable.",
        show_default=False,
    ),
]


def make_filterable(index: ConfidenceIndex, fields: list[str]) -> dict[str, str]:
    """Make fields, given as ``FIELD`` or ``FIELD:KIND``, filterable, and return the kinds of all that are."""
    named = [field.rpartition(":") if ":" in field else (field, "", "") for field in fields]
    known = index.make_filterable({key: kind for key, _, kind in named if kind})
    guessed = [key for key, _, kind in named if not kind]
    return index.make_filterable(guessed) if guessed else known


def sharding(flag: bool, own: list[str] | None) -> bool | list[str]:
    """Setting of the options ``--tenant-sharding`` and ``--own-shard``, of which the second implies the first."""
    return own or flag


def text_form(delimiter: str | None, encoding: str | None) -> dict[str, str | None]:
    """Return the arguments for reading a text file, checked before anything is loaded.

    Raises:
        BadParameter: If there is no such delimiter or encoding.
    """
    from fg_search.csv_rows import check_delimiter
    from fg_search.records.found_encoding import AUTO
    from fg_search.records.text_file import check_encoding

    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter) if delimiter is not None else None
    try:
        if delimiter is not None:
            check_delimiter(delimiter)
        if encoding not in (None, AUTO):
            check_encoding(encoding)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return {"delimiter": delimiter, "encoding": encoding}


def open_index(
    location: str,
    encoder: Path | None,
    collection: str,
    api_key: str | None,
    *,
    trust_remote_code: bool = False,
    **options: Any,
) -> ConfidenceIndex:
    """Open an index; create it if it is missing and an encoder is given.

    Args:
        location: Folder or URL.
        encoder: Folder of the encoder; by default the index remembers it.
        collection: Name of the index.
        api_key: API key of the server.
        trust_remote_code: Whether to run code that comes with the encoder's base model.
        options: Other arguments of ``ConfidenceIndex``.

    Raises:
        BadParameter: If the location is neither a folder nor a URL.
    """
    from fg_search.confidence_index import ConfidenceIndex

    check_location(location)
    where: dict[str, Any] = {"collection": collection, "api_key": api_key}
    folder: str | os.PathLike[str] | None = encoder
    if trust_remote_code and folder is None:
        with ConfidenceIndex(location, **where) as index:
            folder = index.metadata.encoder
    if not trust_remote_code or folder is None:
        return ConfidenceIndex(location, folder, **where, **options)
    from fg_search.model.encoder import FeatureGroupEncoder

    return ConfidenceIndex(location, FeatureGroupEncoder.load(folder, trust_remote_code=True), **where, **options)


def check_location(location: str) -> None:
    """Make sure that a location is a folder or a URL.

    Raises:
        BadParameter: If it is not.
    """
    if location == ":memory:":
        raise typer.BadParameter("an index in memory ends with the command; give a folder or a URL")
    if re.fullmatch(r"[\w.-]+:\d+/?", location):
        raise typer.BadParameter(f"for a server write http://{location}")


def cache_folder(chosen: Path | None, *, no_cache: bool) -> Path | None:
    """The folder to cache base embeddings in, or ``None`` for no cache.

    Raises:
        BadParameter: If both ``--cache`` and ``--no-cache`` are given.
    """
    from fg_search.model.cache import default_cache_folder

    if no_cache and chosen is not None:
        raise typer.BadParameter("--cache and --no-cache exclude each other")
    return None if no_cache else chosen or default_cache_folder()


def search_options(**options: Any) -> dict[str, Any]:
    """Return the options of a search after checking them, before anything is loaded.

    Raises:
        BadParameter: If one is out of range.
    """
    from fg_search.index.search_options import SearchOptions

    try:
        SearchOptions(**options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return options
