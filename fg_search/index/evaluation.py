"""Evaluation of an index on judged queries: how good its answers are, and whether it knows when they are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fg_search.evaluation import (
    ReachedPrecision,
    SelectiveIntervals,
    SelectiveReport,
    Slice,
    brier_score,
    expected_calibration_error,
    reliability_bins,
    risk_coverage_curve,
    selective_intervals,
    selective_report,
    slices_of,
)
from fg_search.html_table import html_table, to_frame
from fg_search.ids import UserId
from fg_search.index.calibration import Calibration, RelevantBy
from fg_search.index.held_out import held_out, warn_of_judged
from fg_search.index.quality_history import QualityEntry, noted
from fg_search.index.query_vectors import NoText, Query, encode_queries
from fg_search.index.relevance import JudgedQueries, Relevant, in_pairs, judge, keep
from fg_search.index.retrieval import ranking
from fg_search.index.search_options import RankBy, SearchOptions
from fg_search.index.search_results import Hit
from fg_search.index.state import GivenEmbeddings, IndexState
from fg_search.validation import check_list, check_mapping, is_missing, is_number

TARGETS = (0.9, 0.95, 0.99)
OWN_ATTRIBUTES = ("label", "length", "tenant")
PAYLOAD_PREFIX = "hit."


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The n evaluated queries one by one, as :mod:`fg_search.plots` draws them.

    Attributes:
        rankings: ``(n,)`` floats by the names of :attr:`IndexEvaluation.reports`. Higher means surer.
        correct: ``(n,)`` booleans, whether the top hit is right.
        in_scope: ``(n,)`` booleans, whether the index has a right answer.
        wanted: ``(n,)`` right labels or ids, ``None`` where there is none or more than one.
        found: ``(n,)`` labels or ids of the top hits, ``None`` where there is no hit or the top hit has no label.
        attributes: ``(n,)`` values by the name they can be sliced by: ``"label"`` of the top hit, ``"length"`` of the
            query in words, ``"tenant"`` in an index with tenants, and those that were handed in.
        top: ``(n,)`` top hits, ``None`` where there is none.
        answered: ``(n,)`` booleans by target precision, whether a query is answered at it; empty without a calibration.
    """

    rankings: dict[str, npt.NDArray[np.float64]]
    correct: npt.NDArray[np.bool_]
    in_scope: npt.NDArray[np.bool_]
    wanted: Sequence[UserId | None]
    found: Sequence[UserId | None]
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    top: Sequence[Hit | None] = ()
    answered: Mapping[float, npt.NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class IndexEvaluation:
    """Evaluation of an index on judged queries. Two evaluations are equal if their figures are.

    Attributes:
        relevant_by: ``"label"`` or ``"id"``, by which hits were judged.
        reports: Report for each number that can rank the answers: ``"score"``, ``"query confidence"`` and, if the
            index is calibrated for these searches, ``"confidence"``.
        ece: Expected calibration error of the confidence, ``None`` without a calibration.
        brier: Brier score of the confidence, ``None`` without a calibration.
        precisions: Results of some target precisions, empty if nothing was promised for these searches.
        no_promise: Why nothing was, ``None`` if something was.
        outcomes: Outcomes query by query.
    """

    relevant_by: RelevantBy
    reports: dict[str, SelectiveReport]
    ece: float | None
    brier: float | None
    precisions: tuple[ReachedPrecision, ...]
    no_promise: str | None
    outcomes: Outcomes = field(repr=False, compare=False)

    def to_pandas(self) -> Any:
        """The figures as a data frame of pandas: a row for each number that ranks the answers.

        Raises:
            ModuleNotFoundError: If pandas is not installed.
        """
        return to_frame({"ranked by": name, **vars(report)} for name, report in self.reports.items())

    def __repr__(self) -> str:
        first = next(iter(self.reports.values()))
        ece = "None" if self.ece is None else f"{self.ece:.3f}"
        return (
            f"IndexEvaluation({first.queries:,} queries, relevant_by={self.relevant_by!r}, "
            f"recall_at_1={first.recall_at_1:.3f}, auroc={first.auroc:.3f}, ece={ece})"
        )

    def _repr_html_(self) -> str:
        rows = [
            {
                "ranked by": "chance to be right" if name == "confidence" else name,
                "R@1": report.recall_at_1,
                "AUROC": report.auroc,
                "AURC·10³": report.aurc * 1000,
                "cov@95": report.coverage_at_95,
                "cov@99": report.coverage_at_99,
                "AUROC oos": report.out_of_scope_auroc,
            }
            for name, report in self.reports.items()
        ]
        first = next(iter(self.reports.values()))
        note = (
            f"R@1 is over the {first.in_scope:,} queries that have an answer, the rest over all {first.queries:,}. "
            "cov@95 is the share that is answered if 95 % of the answers are to be right."
        )
        promised = [
            {
                "target": f"{each.target:.0%}",
                "threshold": each.threshold,
                "right": None if each.threshold is None else each.right.share,
                "answered": each.answered.share,
            }
            for each in self.precisions
        ]
        return html_table(rows, note=note) + html_table(promised, note=self.no_promise or "")

    @property
    def lowest_promise(self) -> float | None:
        """The lowest target precision that can be promised, ``None`` without one or without a calibration."""
        return next((each.target for each in self.precisions if each.threshold is not None), None)

    def slices(self, by: str = "label", *, target: float | None = None) -> tuple[Slice, ...]:
        """Precision and coverage of the queries that share a value, and whether a target precision holds in each.

        Args:
            by: ``"label"`` of the top hit, ``"length"`` of the query in words (of the first phrasing), ``"tenant"``,
                the name of values that were handed in as ``slices``, or ``"hit.KEY"`` for a payload key of the top hit.
            target: Target precision, one of those in ``precisions``. By default every query counts as answered.

        Returns:
            The slices, see :func:`fg_search.evaluation.slices_of`.

        Raises:
            ValueError: If there is nothing of that name, or no such target.
        """
        outcomes = self.outcomes
        answered = np.ones(len(outcomes.correct), dtype=bool) if target is None else self._answered(target)
        return slices_of(by, self._values(by), answered, outcomes.correct, outcomes.in_scope, target)

    @cached_property
    def intervals(self) -> dict[str, SelectiveIntervals]:
        """Bootstrap confidence intervals of the metrics in ``reports``, by the same names.

        They are computed when they are first asked for: 500 resamples, four seconds for 5,500 queries.
        """
        correct = self.outcomes.correct
        return {name: selective_intervals(ranking, correct) for name, ranking in self.outcomes.rankings.items()}

    def to_html(
        self, *, title: str = "Evaluation", by: Sequence[str] | None = None, target: float | None = None
    ) -> str:
        """A report as one HTML page that needs no network: its styles and charts are in it, for light and dark.

        Args:
            title: Title of the page.
            by: What to slice by, see :meth:`slices`. By default the length of the query, the label and what was handed
                in as ``slices``.
            target: Target precision of the slices that are drawn, one of those in ``precisions``. By default the lowest
                that can be promised. What falls short of any of them is named.

        Raises:
            ValueError: If there is nothing of a name to slice by, or no such target.
        """
        from fg_search.report.evaluation_page import EvaluationPage

        chosen = self._sliceable() if by is None else by
        target = self.lowest_promise if target is None else target
        correct, rankings = self.outcomes.correct, self.outcomes.rankings
        return EvaluationPage(
            title=title,
            judged_by=self.relevant_by,
            reports=self.reports,
            intervals=self.intervals,
            curves={name: risk_coverage_curve(ranking, correct) for name, ranking in rankings.items()},
            bins=[] if self.ece is None else reliability_bins(rankings["confidence"], correct),
            ece=self.ece,
            brier=self.brier,
            precisions=self.precisions,
            no_promise=self.no_promise,
            target=target,
            slices={name: self.slices(name, target=target) for name in chosen},
            short=self.falling_short(chosen),
        ).to_html()

    def falling_short(self, by: Sequence[str]) -> tuple[Slice, ...]:
        """Slices whose precision is below a target by more than chance, target by target.

        Args:
            by: What to slice by, see :meth:`slices`.

        Raises:
            ValueError: If there is nothing of a name to slice by.
        """
        targets = [each.target for each in self.precisions]
        found = [each for target in targets for name in by for each in self.slices(name, target=target)]
        return tuple(each for each in found if each.falls_short)

    def _sliceable(self) -> list[str]:
        """What slices differ by: not labels where there are none, nor the one tenant."""
        return [name for name, values in self.outcomes.attributes.items() if len({str(value) for value in values}) > 1]

    def _answered(self, target: float) -> npt.NDArray[np.bool_]:
        known = self.outcomes.answered
        if not known:
            raise ValueError(
                "the index is not calibrated for these searches, and no target can be kept; leave target out"
            )
        if target not in known:
            raise ValueError(f"target must be one of {', '.join(map(str, known))}, got {target!r}")
        return known[target]

    def _values(self, by: str) -> Sequence[Any]:
        known, key = self.outcomes.attributes, by.removeprefix(PAYLOAD_PREFIX)
        if by in known:
            return known[by]
        if key == by:
            raise ValueError(
                f"there is nothing called {by!r} to slice by, only {', '.join(map(repr, known))}; "
                f"hand its values in as slices, or name a payload key of the top hit: {PAYLOAD_PREFIX + by!r}"
            )
        values = [None if hit is None else hit.payload.get(key) for hit in self.outcomes.top]
        if all(value is None for value in values):
            raise ValueError(f"no top hit has the payload key {key!r}")
        return _checked(values, by)


def is_known(by: str) -> bool:
    """Whether slices by this name need no values to be handed in."""
    return by in OWN_ATTRIBUTES or by.startswith(PAYLOAD_PREFIX)


def check_slices(slices: Mapping[str, Sequence[Any]] | None, queries: int) -> dict[str, Sequence[Any]]:
    """Check values to slice by, one a query.

    Raises:
        TypeError: If they are no mapping of lists, or a value is neither a text, nor a number, nor a list of these.
        ValueError: If their number is not that of the queries, or a name is taken.
    """
    if slices is None:
        return {}
    check_mapping(slices, "slices", example="{'colour': ['red', 'blue']}")
    checked: dict[str, Sequence[Any]] = {}
    for name, values in slices.items():
        if is_known(name):
            raise ValueError(f"slices[{name!r}] has a name that the evaluation uses itself; give it another")
        check_list(values, f"slices[{name!r}]", ordered=True)
        own = values.tolist() if isinstance(values, np.ndarray) else list(values)
        if len(own) != queries:
            raise ValueError(f"slices[{name!r}] has {len(own)} items, queries has {queries}; give one for each query")
        checked[name] = _checked(own, f"slices[{name!r}]")
    return checked


def _checked(values: Sequence[Any], name: str) -> Sequence[Any]:
    for i, value in enumerate(values):
        parts = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(part, str) or is_missing(part) or is_number(part) for part in parts):
            raise TypeError(f"{name}[{i}] is {type(value).__name__}, neither a text nor a number nor a list of these")
    return values


class _Evaluates(Protocol):
    def evaluate(self, queries: Sequence[Query], relevant: Sequence[Relevant], **options: Any) -> IndexEvaluation:
        """Measure the index."""


def evaluate(
    index: _Evaluates, queries: Sequence[Query], relevant: Sequence[Relevant], **options: Any
) -> IndexEvaluation:
    """Measure an index on queries with known answers, see :meth:`fg_search.ConfidenceIndex.evaluate`."""
    return index.evaluate(queries, relevant, **options)


async def evaluate_on(
    state: IndexState,
    queries: Sequence[Query],
    relevant: Sequence[Relevant],
    relevant_by: Literal["auto", "label", "id"],
    options: SearchOptions,
    embeddings: GivenEmbeddings,
    *,
    relevant_within: int,
    slices: Mapping[str, Sequence[Any]] | None,
    keep_as: str | None,
    batch_size: int | None,
    show_progress: bool | None,
) -> IndexEvaluation:
    """Evaluate the index, see :meth:`fg_search.ConfidenceIndex.evaluate`.

    Figures are kept by the name of the reviewer in ``keep_as``, if there is one.
    """
    queries, relevant = in_pairs(queries, relevant)
    handed_in = check_slices(slices, len(queries))
    queries, rows, embeddings = held_out(state, queries, range(len(queries)), embeddings)
    relevant = [relevant[i] for i in rows]
    handed_in = {name: [values[i] for i in rows] for name, values in handed_in.items()}
    warn_of_judged(state, queries)
    encoded = await encode_queries(state, queries, embeddings, batch_size=batch_size, show_progress=show_progress)
    judged = await judge(state, encoded, relevant, relevant_by, options, within=relevant_within)
    attributes: dict[str, Sequence[Any]] = {"label": judged.labels}
    if not any(isinstance(query, NoText) for query in queries):
        attributes["length"] = [len((query if isinstance(query, str) else query[0]).split()) for query in queries]
    if state.chosen_tenant is not None:
        attributes["tenant"] = [state.chosen_tenant] * len(queries)
    found = _measure(state, judged, options, relevant_within, {**attributes, **handed_in})
    if keep_as is not None:
        entry = QualityEntry.of_evaluation(
            found.reports.get("confidence", found.reports["score"]),
            found.precisions,
            keep_as,
            relevant_by=found.relevant_by,
            ece=found.ece,
            brier=found.brier,
            fingerprint=state.metadata.fingerprint,
            points=await state.engine.count(state.collection, state.scope()),
            rank_by=ranking(state, options.rank_by),
            tenant=state.chosen_tenant,
        )
        await keep(state, await noted(state, entry))
    return found


def _measure(
    state: IndexState,
    judged: JudgedQueries,
    options: SearchOptions,
    within: int,
    attributes: Mapping[str, Sequence[Any]],
) -> IndexEvaluation:
    rankings = {"score": judged.score, "query confidence": judged.query_confidence}
    ece = brier = None
    precisions: tuple[ReachedPrecision, ...] = ()
    answered: dict[float, npt.NDArray[np.bool_]] = {}
    calibration = state.calibration
    no_promise = _why_no_promise(calibration, options, ranking(state, options.rank_by), within)
    if calibration is not None and no_promise is None:
        confidence = np.zeros(len(judged.correct))
        confidence[judged.has_hit] = calibration.confidences(calibration.evidence(judged.features))
        rankings = {"confidence": confidence, **rankings}
        ece = expected_calibration_error(confidence, judged.correct)
        brier = brier_score(confidence, judged.correct)
        groups = [calibration.group_of(label, state.chosen_tenant) for label in judged.labels]
        tenant = state.chosen_tenant
        answered = {target: confidence >= calibration.least(target, groups, tenant=tenant) for target in TARGETS}
        least = {target: calibration.threshold(target, tenant=tenant).threshold for target in TARGETS}
        precisions = tuple(
            ReachedPrecision.of(target, least[target], answered[target], judged.correct, judged.in_scope)
            for target in TARGETS
        )
    reports = {name: selective_report(values, judged.correct, judged.in_scope) for name, values in rankings.items()}
    outcomes = Outcomes(
        rankings, judged.correct, judged.in_scope, judged.wanted, judged.found, attributes, judged.top, answered
    )
    return IndexEvaluation(judged.relevant_by, reports, ece, brier, precisions, no_promise, outcomes)


def _why_no_promise(
    calibration: Calibration | None, options: SearchOptions, rank_by: RankBy, within: int
) -> str | None:
    if calibration is None:
        return "the index is not calibrated; see `fg-search calibrate`"
    if not calibration.fits(options, rank_by):
        return f"the index is calibrated for searches with {calibration.describe_search()}"
    if calibration.relevant_within != within:
        return f"the index is calibrated for relevant_within={calibration.relevant_within}, not {within}"
    return None
