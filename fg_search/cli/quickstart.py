"""``quickstart``: from a file to a first answer and a first abstention, without a question asked."""

from __future__ import annotations

import itertools
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fg_search import display
from fg_search.cli.console import announced, console, counted, log, print_json, say, timed
from fg_search.cli.options import (
    DEFAULT_MODEL,
    INPUT,
    MULTILINGUAL_MODEL,
    OF_LANGUAGES,
    AsJson,
    Cache,
    Delimiter,
    Encoding,
    NoCache,
    OnError,
    TrustRemoteCode,
    Types,
    cache_folder,
    text_form,
)
from fg_search.cli.rows import ItemRows
from fg_search.records import Record, RecordError
from fg_search.records.found_encoding import AUTO, find_encoding
from fg_search.records.read import has_encoding

if TYPE_CHECKING:
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.index.search_results import SearchResult
    from fg_search.records.found_columns import FoundColumns

_HIGHEST = 0.95  # precision that is asked for
_NUMBERS = {2: "Two", 3: "Three"}
_FEWEST_TEXTS = 2
_WORDS = 8  # of a text that is taken for a query
_ASKED = 40  # texts that are tried as queries
_ELSEWHERE = (
    "Will it rain in Lisbon tomorrow?",
    "Who won the chess championship of 1972?",
    "How do I prove that the square root of two is irrational?",
    "asdf qwer 12345",
)


def quickstart(
    file: Annotated[Path, INPUT],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="New folder for the encoder and the index.",
            show_default="the file's name with -search at its end",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", help="Column of the text. Repeatable: what several say is joined.", show_default="found"
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label.", show_default="found")] = None,
    id: Annotated[  # noqa: A002  # the option's name
        str | None, typer.Option("--id", help="Column of the id.", show_default="found")
    ] = None,
    types: Types = None,
    delimiter: Delimiter = None,
    encoding: Encoding = AUTO,
    on_error: OnError = "skip",
    model: Annotated[
        str, typer.Option(help=f"Name or folder of a sentence-transformers model. {OF_LANGUAGES}")
    ] = DEFAULT_MODEL,
    trust_remote_code: TrustRemoteCode = False,
    cache: Cache = None,
    no_cache: NoCache = False,
    as_json: AsJson = False,
) -> None:
    """From a file to a first answer: find the columns, fit, index, and search three times, once for nothing there.

    It says what it took for the text, the label and the id, and why, and ends with the commands to go on with.
    """
    from fg_search.confidence.answerability import HARDLY_ANSWERABLE
    from fg_search.records.found_columns import find_columns

    form = text_form(delimiter, encoding)
    if form["encoding"] == AUTO and file.is_file() and has_encoding(file):
        form["encoding"] = find_encoding(file)
    columns = find_columns(file, text=text, label=label, id=id, **form)
    folder = output or Path(f"{file.name.split('.')[0]}-search")
    if folder.exists():
        raise _taken(folder)
    if not as_json:
        _say_columns(file, columns, form["encoding"], model)
    read: dict[str, Any] = {"text": columns.text, "label": columns.label, "id": columns.id, **form}
    rows = ItemRows.scan(file, on_error, ids=None, types=types or (), **read)
    records = list(rows)
    _check_texts(file, records)
    with (
        _claimed(folder),
        _made(folder, columns, records, model, cache_folder(cache, no_cache=no_cache), trust_remote_code) as index,
    ):
        target = _calibrated(index, columns)
        least = HARDLY_ANSWERABLE if target is None else None
        doubt: dict[str, Any] = {"target_precision": target, "min_query_confidence": least, "on_uncertain": "abstain"}
        results = _three(index, records, columns, doubt)
        items = len(index)
    following = _following(folder, results, doubt, has_ids=columns.id is not None)
    if as_json:
        print_json(
            {
                "columns": columns,
                "items": items,
                "encoder": str(folder / "encoder"),
                "index": str(folder / "index"),
                "target_precision": target,
                "results": [vars(result) for result in results],
                "next": following,
            }
        )
        return
    console.print(f"\n[bold]{_NUMBERS[len(results)]} searches[/bold], since you have asked nothing yet:\n")
    for result in results:
        display.result(console, replace(result, hits=result.hits[:2]))
    display.legend(console, results[0])
    console.print()
    if results[-1].decision == "answer":
        say("The last one should not have been answered; judged queries teach to tell it (`fg-search calibrate`).\n")
    console.print("[bold]Go on with[/bold]")
    for what, command in following.items():
        console.print(f"  [dim]# {what}[/dim]", soft_wrap=True)
        console.print(f"  {command}", markup=False, soft_wrap=True)


def _taken(folder: Path) -> typer.BadParameter:
    return typer.BadParameter(f"there is {str(folder)!r} already; name another folder: --output FOLDER")


def _check_texts(file: Path, records: Sequence[Record]) -> None:
    """Refuse what no head can learn from.

    Raises:
        RecordError: There are not two different texts.
    """
    different = len({record.text for record in records})
    if different < _FEWEST_TEXTS:
        raise RecordError(file, f"{counted(different, 'text', 'different texts')} to learn from; it takes two at least")


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """A new folder, which goes again if it is not finished: the same command can be given once more."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:  # another process was first
        raise _taken(folder) from None
    try:
        yield
    except BaseException:  # Ctrl-C, too
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _say_columns(file: Path, columns: FoundColumns, encoding: str | None, model: str) -> None:
    read = "" if encoding in (None, "utf-8") else f", read as {encoding}"
    console.print(f"[bold]{file.name}[/bold]{read}: what was taken, and why", highlight=False)
    taken = {"text": " + ".join(columns.text), "label": columns.label or "none", "id": columns.id or "none"}
    for what, name in taken.items():
        say(f"  {what:<6} {name:<20} {columns.why[what]}")
    if columns.others:
        say(f"  others {', '.join(columns.others)}: kept with each item, to filter by (--where)")
    if model == DEFAULT_MODEL:
        say(f"  model  it learned from English texts; for texts or queries in others: --model {MULTILINGUAL_MODEL}")
    console.print()


def _made(
    folder: Path,
    columns: FoundColumns,
    records: Sequence[Record],
    model: str,
    cache: Path | None,
    trust_remote_code: bool,
) -> ConfidenceIndex:
    """A new index with an encoder that has learned from its items."""
    with announced(f"loading {model}", "loaded"):
        from fg_search.confidence_index import ConfidenceIndex
        from fg_search.model.encoder import FeatureGroupEncoder

        encoder = FeatureGroupEncoder(model, cache_folder=cache, trust_remote_code=trust_remote_code)
    texts, labels = [record.text for record in records], [record.label for record in records]
    with timed(f"fitted on {len(records):,} texts"):
        encoder.fit(texts, labels=None if columns.label is None else labels).save(folder / "encoder")
    index = ConfidenceIndex(folder / "index", encoder)
    items = len({record.text if record.id is None else record.id for record in records})
    with timed(f"indexed {counted(items, 'item', 'items')}{_twice(len(records) - items)}"):
        index.add(
            texts,
            ids=None if columns.id is None else [record.id for record in records if record.id is not None],
            labels=labels,
            payloads=[record.payload for record in records],
        )
    return index


def _twice(rows: int) -> str:
    return f", {counted(rows, 'row', 'rows')} twice" if rows else ""


def _calibrated(index: ConfidenceIndex, columns: FoundColumns) -> float | None:
    """What can be promised by an estimate from the items, a usual precision if there is one, or ``None``."""
    from fg_search.index.calibration import TARGETS, offered_thresholds

    if columns.label is None:
        log.print("not calibrated: there are no labels to learn it from; judged queries teach it", style="dim")
        return None
    try:
        with announced("calibrating on the items themselves: three heads learn from parts of them", "calibrated"):
            learned = index.calibrate()
    except ValueError as error:  # too few labels: only familiarity tells then
        log.print(f"not calibrated: {error}", style="dim", markup=False, soft_wrap=True)
        return None
    offered = [threshold.target for threshold in offered_thresholds(learned) if threshold]
    promised = max((target for target in offered if target <= _HIGHEST), default=None)
    if promised is None:
        log.print("nothing can be promised by the items alone; judged queries may promise something", style="dim")
    elif promised < min(TARGETS):
        log.print(f"the items alone promise {promised:.1%} right answers; judged queries may promise more", style="dim")
    return promised


def _three(
    index: ConfidenceIndex, records: Sequence[Record], columns: FoundColumns, doubt: dict[str, Any]
) -> list[SearchResult]:
    """Two queries that are like items, and one that is like none."""
    options = {"limit": 3, **doubt}
    step = max(len(records) // _ASKED, 1)
    asked = [_query(record, columns) for record in records[::step][:_ASKED]]
    found = index.search_many(list(dict.fromkeys(asked)), **options)
    best = sorted(found, key=lambda result: (result.decision != "answer", -_sure(result)))
    other = next((result for result in best[1:] if _label(result) != _label(best[0])), None)
    nothing = min(index.search_many(list(_ELSEWHERE), **options), key=lambda r: (r.decision == "answer", _sure(r)))
    return [*best[:1], *([] if other is None else [other]), nothing]


def _query(record: Record, columns: FoundColumns) -> str:
    """Some words of an item: its title if it has one."""
    title = record.payload.get(columns.text[0])
    text = title if len(columns.text) > 1 and isinstance(title, str) and title.strip() else record.text
    return " ".join(itertools.islice(text.split(), _WORDS))


def _sure(result: SearchResult) -> float:
    return result.query_confidence if result.confidence is None else result.confidence


def _label(result: SearchResult) -> str | None:
    return result.hits[0].label if result.hits else None


def _following(
    folder: Path, results: Sequence[SearchResult], doubt: dict[str, Any], *, has_ids: bool
) -> dict[str, str]:
    """Commands to go on with, by what they do."""
    where = f"--index {shlex.quote(str(folder / 'index'))}"
    sure = "".join(f" --{name.replace('_', '-')} {value}" for name, value in doubt.items() if value is not None)
    return {
        "ask something; without a query it stays open and answers line by line": (
            f"fg-search search {shlex.quote(results[0].query)} {where}{sure}{' --show id' if has_ids else ''}"
        ),
        "look around on a page, and correct labels": f"fg-search serve {where}",
        "list labels that are probably wrong": (
            f"fg-search score {where} && fg-search review --kind contradicted {where}"
        ),
        "once some are corrected: have searches go by the right ones": (
            f"fg-search fit --refresh {shlex.quote(str(folder / 'index'))} --output "
            f"{shlex.quote(str(folder / 'encoder-2'))} && fg-search calibrate {where}"
        ),
        "once you have queries with their right label (columns text and label; an empty label: nothing here is right): "
        "how far to trust it": (f"fg-search calibrate --queries queries.csv --relevant label {where}"),
    }
