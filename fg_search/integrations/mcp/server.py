"""The MCP server of an index and its tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

import fg_search
from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import FgSearchError
from fg_search.integrations.abstaining import abstaining
from fg_search.integrations.answers import SearchAnswer
from fg_search.integrations.filters import as_filter
from fg_search.records.conditions import Payloads

_MOST_HITS = 50
_MOST_LABELS = 100
_PRECISIONS = (0.8, 0.9, 0.95, 0.99)  # whose promises are described

INSTRUCTIONS = (
    "An index of texts that knows when it does not know. The outcome of a search says what was found: only 'answer' is "
    "to be answered with; 'weak' is something that may be wrong, 'nothing' means that nothing is known about this, and "
    "'choices' that one of several things is meant. An error means that the search failed, which tells nothing about "
    "whether there is an answer. With report_missing, those who keep the index learn which questions have none."
)

Question = Annotated[str, Field(description="The question, in plain words.", min_length=1, max_length=10_000)]
Value = str | int | float | bool


class IndexDescription(BaseModel):
    """What an index holds, and what it promises."""

    name: str
    items: int
    labels: list[str] = Field(description="Labels of items, the most frequent first.")
    calibrated: bool = Field(description="Whether confidences and target precisions are to be had.")
    judged_queries: int | None = Field(description="Number of judged queries that the calibration has learned from.")
    unanswerable_share: float | None = Field(description="Share of the questions that have no answer here.")
    promised_precisions: list[float] = Field(description="Target precisions that the index can promise.")
    promise_holds: bool | None = Field(
        description="Whether the questions of late are like the judged ones, so that promises hold; null if nobody has "
        "looked."
    )
    default_target_precision: float | None = Field(description="Target precision of a search that names none.")


class MissingReport(BaseModel):
    """A question was entered into the log of questions without an answer."""

    question: str
    logged: bool


def create_server(
    index: ConfidenceIndex,
    *,
    target_precision: float | None = None,
    on_uncertain: Literal["abstain", "clarify"] = "abstain",
) -> MCPServer[Any]:
    """A server with the tools ``search``, ``describe_index`` and ``report_missing``.

    ``create_server(index).run()`` serves an agent that started the process, over standard input and output.

    Args:
        index: The index, or the view of one tenant. It stays yours to close.
        target_precision: Precision that answers are to reach unless a search names another, in (0, 1); needs a
            calibrated index.
        on_uncertain: ``"clarify"`` gives an uncertain question the labels that it may be about; needs an index that is
            calibrated on right labels.
    """
    server: MCPServer[Any] = MCPServer(
        name="fg-search", version=fg_search.__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )
    tools = _Tools(index, target_precision, on_uncertain)
    for tool, is_reading in ((tools.search, True), (tools.describe_index, True), (tools.report_missing, False)):
        _add(server, tool, is_reading=is_reading)
    return server


def _add(server: MCPServer[Any], tool: Callable[..., Any], *, is_reading: bool) -> None:
    annotations = ToolAnnotations(read_only_hint=is_reading, destructive_hint=False, open_world_hint=False)
    server.add_tool(tool, annotations=annotations, structured_output=True)


class _Tools:
    """The tools. Their first lines are what an agent reads of them."""

    def __init__(
        self, index: ConfidenceIndex, target_precision: float | None, on_uncertain: Literal["abstain", "clarify"]
    ) -> None:
        self._index, self._target, self._on_uncertain = index, target_precision, on_uncertain

    def search(
        self,
        question: Question,
        limit: Annotated[int, Field(description="Number of hits.", ge=1, le=_MOST_HITS)] = 5,
        target_precision: Annotated[
            float | None, Field(description="Share of such answers that are to be right.", gt=0, lt=1)
        ] = None,
        where: Annotated[
            dict[str, Value | list[Value]] | None,
            Field(description="Values that items must have, or lists of values, by field."),
        ] = None,
    ) -> SearchAnswer:
        """Find what answers a question, or learn that there is no sure answer."""
        target = self._target if target_precision is None else target_precision
        on_uncertain = "abstain" if target is None else self._on_uncertain
        with _told("the search failed"):
            result = self._index.search(
                question,
                limit=limit,
                query_filter=as_filter(where),
                explain=self._index.metadata.has_base,
                **abstaining(on_uncertain, target),
            )
            if where and not result.hits:
                _check_fields(self._index, where)
        return SearchAnswer.of(result, target)

    def describe_index(self) -> IndexDescription:
        """Say what the index holds, and which precisions it can promise."""
        with _told("the index cannot be read"):
            info, labels, calibration = self._index.info(), self._index.labels(_MOST_LABELS), self._index.calibration
        known = info.calibration
        return IndexDescription(
            name=info.collection,
            items=info.points,
            labels=labels,
            calibrated=known is not None,
            judged_queries=None if known is None or known.pretended else known.queries,
            unanswerable_share=None if known is None else known.share.value,
            promised_precisions=[]
            if calibration is None
            else [one for one in _PRECISIONS if calibration.threshold(one).threshold is not None],
            promise_holds=None if known is None or known.shift is None else known.shift.holds,
            default_target_precision=self._target,
        )

    def report_missing(
        self,
        question: Question,
        note: Annotated[str | None, Field(description="What is missing, in a sentence.", max_length=1_000)] = None,
    ) -> MissingReport:
        """Tell those who keep the index that a question has no answer in it, or that the hits did not answer it."""
        with _told("the report was not noted"):
            self._index.report_missing(question, note=note)
        return MissingReport(question=question, logged=True)


def _check_fields(index: ConfidenceIndex, where: Mapping[str, object]) -> None:
    """Tell an agent that has found nothing because it asked for a field that no item has.

    Raises:
        ValueError: If there is such a field.
    """
    payloads = Payloads(index)
    wrong = [sentence for sentence in map(payloads.lacking, where) if sentence]
    if wrong:
        raise ValueError("; ".join(wrong))


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell an agent what has failed, in place of an abstention: errors that somebody can act on say how.

    Raises:
        ToolError: If something has failed.
    """
    try:
        yield
    except (FgSearchError, ValueError, TypeError, OSError) as error:
        raise ToolError(f"{what}: {error}. This tells nothing about whether there is an answer.") from error
