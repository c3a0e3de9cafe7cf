"""What commands print with ``--json``: one object, or several, one a line. More keys may be added to each."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from fg_search.cli.rankings import Ranking
from fg_search.confidence.group_promise import GroupPromise
from fg_search.confidence.outlook import Outlook
from fg_search.confidence.thresholds import PrecisionThreshold
from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.confidence.unanswerable_share import UnanswerableShare
from fg_search.evaluation import ReachedPrecision, SelectiveIntervals, SelectiveReport, Slice
from fg_search.ids import UserId
from fg_search.index.adoption.planning import AdoptionPlan
from fg_search.index.adoption.sync import SyncReport
from fg_search.index.adoption.undoing import UndoReport
from fg_search.index.copies import CopyReport
from fg_search.index.health import IndexHealth
from fg_search.index.info import IndexInfo
from fg_search.index.ingestion import AddReport
from fg_search.index.quality_history import QualityEntry
from fg_search.index.recovery import LostCollection
from fg_search.index.search_results import SearchResult
from fg_search.queries.audit import AnswerAudit
from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import LoggedQuery
from fg_search.records.found_columns import FoundColumns
from fg_search.review.decisions import ReviewDecision
from fg_search.review.exchange_reports import PullReport, PushReport
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.item_scores import ItemScores
from fg_search.review.items import ReviewItem
from fg_search.review.label_scores import LabelScores
from fg_search.review.reviewers import ReviewerAgreement


class Quickstarted(TypedDict):
    """What was made of a file, and commands to go on with."""

    columns: FoundColumns
    items: int
    encoder: str
    index: str
    target_precision: float | None
    results: list[SearchResult]
    next: dict[str, str]


class Fitted(TypedDict):
    """A saved encoder; with ``--refresh``, the index that has moved to it."""

    encoder: str
    fingerprint: str
    groups: int
    codes_per_group: int
    index: str | None
    set_aside: int


class Indexed(TypedDict):
    """Beside the numbers of items: how many are in the index, and the types of columns that are no texts."""

    items: int
    types: dict[str, str]


class Searched(TypedDict, total=False):
    """Of a query from a file: the other columns of its row."""

    row: dict[str, Any]


class Calibrated(TypedDict):
    """What is promised."""

    queries: int
    relevant_by: Literal["label", "id"]
    pretended: bool
    unanswerable_share: UnanswerableShare
    thresholds: list[PrecisionThreshold]
    outlooks: list[Outlook]
    rank_by: Literal["features", "base", "both"]
    rankings: list[Ranking]
    promise_by: Literal["label", "tenant"] | None
    groups: list[GroupPromise]


class Evaluated(TypedDict):
    """Figures by what ranks the answers."""

    relevant_by: Literal["label", "id"]
    reports: dict[str, SelectiveReport]
    intervals: dict[str, SelectiveIntervals]
    ece: float | None
    brier: float | None
    precisions: list[ReachedPrecision]
    no_promise: str | None
    slices: list[Slice]


class Adapted(TypedDict):
    """What is promised for the traffic."""

    unanswerable_share: UnanswerableShare
    thresholds: list[PrecisionThreshold]
    shift: TrafficShift | None


class Audited(TypedDict):
    """Whether the promise is proved, or refuted."""

    is_proved: bool
    is_refuted: bool


class WrittenAnswers(TypedDict):
    """A file of judged answers."""

    file: str
    answers: int


class Described(TypedDict):
    """What the groups of an encoder learned."""

    items: int
    groups: list[dict[str, Any]]
    mutual_information: list[list[float]]
    alike: list[list[int]]
    familiarity: float | None
    unfamiliar: list[Any]


class Relabelled(TypedDict):
    """Numbers of items with a label in the file, of those that have another one now, and of bad rows left out."""

    items: int
    changed: int
    skipped: int


class Imported(TypedDict):
    """Numbers of decisions taken, of those taken before, and of bad rows left out."""

    decisions: int
    known: int
    skipped: int


class WrittenItems(TypedDict):
    """A file of items to review."""

    file: str
    format: str
    items: int


class DecidedQueries(TypedDict):
    """Ids of the queries that were decided on."""

    action: str
    label: str | None
    queries: list[str]


class Removed(TypedDict):
    """Number of queries removed."""

    removed: int


class Deleted(TypedDict):
    """Number of items removed, ids that are not there, and number of items in the index."""

    removed: int
    unknown: list[UserId]
    items: int


class Migrated(TypedDict):
    """The encoder that the index has now; its number of items, 0 for one with tenants, which are not counted."""

    fingerprint: str
    encoder: str
    items: int


class FilterableFields(TypedDict):
    """Kinds of all fields that are indexed."""

    filterable: dict[str, str]


class Optimized(TypedDict):
    """Whether anything was changed."""

    optimized: bool


class Snapshot(TypedDict):
    """A file with a whole index."""

    file: str
    bytes: int


class Restored(TypedDict):
    """Number of items in the index."""

    items: int


OUTPUTS: dict[str, tuple[Any, ...]] = {
    "quickstart": (Quickstarted,),
    "fit": (Fitted,),
    "index": (AddReport, Indexed),
    "search": (SearchResult, Searched),
    "calibrate": (Calibrated,),
    "evaluate": (Evaluated,),
    "history": (QualityEntry,),
    "adapt": (Adapted | TrafficShift,),
    "adopt": (IndexInfo | AdoptionPlan | UndoReport,),
    "sync": (SyncReport,),
    "pull": (PullReport,),
    "push": (PushReport,),
    "audit": (AnswerAudit | WrittenAnswers, Audited | WrittenAnswers),
    "score": (ItemScores, LabelScores | dict[str, Any]),
    "review": (ReviewItem | LoggedQuery,),
    "confused": (ConfusedLabels,),
    "decide": (ReviewDecision,),
    "decisions": (ReviewDecision | ReviewerAgreement,),
    "undo": (ReviewDecision,),
    "relabel": (Relabelled,),
    "export": (WrittenItems,),
    "import": (Imported,),
    "missing-labels": (MissingLabel,),
    "decide-queries": (DecidedQueries,),
    "forget-queries": (Removed,),
    "describe": (Described,),
    "info": (IndexInfo,),
    "check": (IndexHealth,),
    "delete": (Deleted,),
    "migrate": (Migrated,),
    "filterable": (FilterableFields,),
    "optimize": (Optimized,),
    "copy": (CopyReport,),
    "snapshot": (Snapshot,),
    "restore": (Restored,),
    "recover": (LostCollection,),
}
"""Types of what each command prints; what it prints is of all of them at once."""


def schema_of(command: str) -> dict[str, Any]:
    """JSON Schema of what a command prints. A number that could not be computed is null."""
    parts = [TypeAdapter(part).json_schema(mode="serialization") for part in OUTPUTS[command]]
    definitions = {name: value for part in parts for name, value in part.pop("$defs", {}).items()}
    whole = parts[0] if len(parts) == 1 else {"allOf": parts}
    title = f"fg-search {command} --json"
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **_without_titles(whole)}
    found["title"] = title
    return {**found, "$defs": _without_titles(definitions)} if definitions else found


def _without_titles(schema: Any) -> Any:
    """The schema without titles, which repeat names, and with null where a number may be missing."""
    if isinstance(schema, list):
        return [_without_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_titles(part) for key, part in schema.items() if key != "title" or isinstance(part, dict)}
    return {**kept, "type": ["number", "null"]} if kept.get("type") == "number" else kept
