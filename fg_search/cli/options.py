"""Options that several commands share, and how they open an index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex

DEFAULT_COLLECTION = "fg_search"
DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

OnBadRow = Literal["skip", "stop"]

INPUT = typer.Argument(help="JSONL, CSV, TSV or Parquet file.", show_default=False)
TextColumn = Annotated[str, typer.Option("--text", help="Column of the text.")]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column of the id; default: derived from the text.")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the label.")]
OnError = Annotated[
    OnBadRow, typer.Option(help="What a bad row does: it is reported and left out, or it stops the command.")
]
IndexLocation = Annotated[
    str, typer.Option("--index", "--url", help="Folder of the index, or a Qdrant server's URL.", show_default=False)
]
Collection = Annotated[str, typer.Option(help="Name of the index.")]
Tenant = Annotated[str | None, typer.Option(help="Whose items, in an index with tenants.", show_default=False)]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="QDRANT_API_KEY", help="Of a server; better from the environment.", show_default=False),
]
EncoderFolder = Annotated[
    Path | None, typer.Option("--encoder", help="Folder of the encoder, if it is not where it was.")
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
MinConfidence = Annotated[float | None, typer.Option(help="Exclude points less confident than this, 0 to 1.")]
ConfidenceWeight = Annotated[float, typer.Option(help="Order by score * confidence^weight.")]
RankByOption = Annotated[str, typer.Option("--rank-by", help="auto, features, base or both.")]
QueryFiles = Annotated[
    list[Path], typer.Option("--queries", help="File of queries; may be given several times.", show_default=False)
]
Relevant = Annotated[
    list[str],
    typer.Option(
        help="Column of the right answer, a label or an id (in JSONL also a list of them); may be given several times."
    ),
]
RelevantBy = Annotated[Literal["auto", "label", "id"], typer.Option(help="What that column holds; default: found out.")]
OutOfScope = Annotated[
    list[str] | None,
    typer.Option(
        help="Value of that column for queries without an answer in the index, such as oos; beside empty ones.",
        show_default=False,
    ),
]


def open_index(
    location: str, encoder: Path | None, collection: str, api_key: str | None, **options: Any
) -> ConfidenceIndex:
    """Open an index, or make it if there is an encoder.

    Raises:
        BadParameter: If the location is none that lasts.
    """
    from fg_search.confidence_index import ConfidenceIndex

    check_location(location)
    return ConfidenceIndex(location, encoder, collection=collection, api_key=api_key, **options)


def check_location(location: str) -> None:
    """Refuse what is neither a folder nor a URL.

    Raises:
        BadParameter: If it is not.
    """
    if location == ":memory:":
        raise typer.BadParameter("an index in memory ends with the command; give a folder or a URL")
    if re.fullmatch(r"[\w.-]+:\d+/?", location):
        raise typer.BadParameter(f"for a server write http://{location}")


def cache_folder(chosen: Path | None, *, no_cache: bool) -> Path | None:
    """Where base embeddings are kept, ``None`` for nowhere.

    Raises:
        BadParameter: If a folder is given and none wanted.
    """
    from fg_search.model.cache import default_cache_folder

    if no_cache and chosen is not None:
        raise typer.BadParameter("--cache and --no-cache exclude each other")
    return None if no_cache else chosen or default_cache_folder()


def search_options(**options: Any) -> dict[str, Any]:
    """Options of a search, checked before anything is loaded.

    Raises:
        BadParameter: If one is out of its range.
    """
    from fg_search.index.search_options import SearchOptions

    try:
        SearchOptions(**options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return options
