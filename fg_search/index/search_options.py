"""Options of a search, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field
from qdrant_client import models

from fg_search.layout.json_paths import check_filter
from fg_search.validation import check_count, check_fraction, check_inner_fraction, is_number

RankBy = Literal["auto", "features", "base", "both"]
OnUncertain = Literal["flag", "abstain", "clarify", "raise"]

_CHOICES = {"rank_by": get_args(RankBy), "on_uncertain": get_args(OnUncertain)}
_MAX_WEIGHT = 100  # beyond it, confidence^w is zero in the engine's arithmetic
_MAX_HITS = 2**31 - 1

# types with their ranges, from which the web API builds its schema
Limit = Annotated[int, Field(ge=1)]
Offset = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=_MAX_WEIGHT)]
Precision = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search.

    Attributes:
        limit: Maximum number of hits, at least 1.
        min_confidence: Exclude points less confident than this, in [0, 1]. The engine does it.
        confidence_weight: Weight w of ``score · confidence^w``, in [0, 100], by which hits are ordered. The score is
            that of the ranking.
        min_familiarity: Exclude points less familiar than this, and those whose familiarity is not known, in [0, 1].
            The engine does it.
        familiarity_weight: Weight v of ``score · familiarity^v``, in [0, 100], as ``confidence_weight``. Both together
            multiply the score by both.
        query_filter: Qdrant filter.
        min_query_confidence: Queries less confident than this are uncertain, in [0, 1]. If it is not given, an index
            without a calibration takes .2.
        target_precision: Precision that the answered queries are to reach, in (0, 1). Queries whose calibrated
            confidence is below the threshold for it are uncertain.
        on_uncertain: What an uncertain query gets: ``"flag"`` (hits, marked), ``"abstain"`` (no hits), ``"clarify"``
            (a few labels to choose from, which hold the right one) or ``"raise"`` (:class:`UncertainQueryError`).
        label_miss: Probability with which ``"clarify"`` may miss the right label of an uncertain query, in (0, 1).
        rank_by: ``"features"`` (FG similarity), ``"base"`` (cosine of the base embeddings), ``"both"`` (their mean, in
            which the cosine counts half as much), or ``"auto"``: as the index was calibrated, otherwise by how the head
            was trained (``"both"`` with labels or attributes, ``"base"`` without).
        offset: Number of hits to skip, for paging.
        explain: Find the item nearest to the query by base embeddings, whatever ranks, excludes or down-weights hits
            but for ``query_filter``.

    Raises:
        TypeError, ValueError: If an option is out of range, or queries are never uncertain but ``on_uncertain`` says
            to abstain or to raise, or ``"clarify"`` is to do without a target precision.
    """

    limit: Limit = 10
    min_confidence: Fraction | None = None
    confidence_weight: Weight = 0.0
    min_familiarity: Fraction | None = None
    familiarity_weight: Weight = 0.0
    query_filter: models.Filter | None = None
    min_query_confidence: Fraction | None = None
    target_precision: Precision | None = None
    on_uncertain: OnUncertain = "flag"
    label_miss: Precision = 0.1
    rank_by: RankBy = "auto"
    offset: Offset = 0
    explain: bool = False

    def __post_init__(self) -> None:
        self._keep("limit", check_count(self.limit, name="limit"))
        self._keep("offset", check_count(self.offset, name="offset", least=0))
        if self.limit + self.offset > _MAX_HITS:
            raise ValueError(f"limit + offset must be at most {_MAX_HITS:,}, got {self.limit + self.offset:,}")
        for name in ("min_confidence", "min_familiarity", "min_query_confidence"):
            if getattr(self, name) is not None:
                self._keep(name, check_fraction(getattr(self, name), name=name))
        for name in ("confidence_weight", "familiarity_weight"):
            weight = getattr(self, name)
            if not (is_number(weight) and 0 <= weight <= _MAX_WEIGHT):
                raise ValueError(f"{name} must be between 0 and {_MAX_WEIGHT}, got {weight!r}")
            self._keep(name, float(weight))
        for name in ("target_precision", "label_miss"):
            share = getattr(self, name)
            if share is not None:
                check_inner_fraction(share, name=name)
        _check_choice(self.on_uncertain, "on_uncertain")
        _check_choice(self.rank_by, "rank_by")
        if isinstance(self.query_filter, models.Filter):
            check_filter(self.query_filter)
        self._check_doubt()

    def _check_doubt(self) -> None:
        if self.on_uncertain == "clarify" and self.target_precision is None:
            raise ValueError("on_uncertain='clarify' needs target_precision: when is a query uncertain?")
        if self.on_uncertain != "flag" and self.min_query_confidence is None and self.target_precision is None:
            raise ValueError(
                f"on_uncertain={self.on_uncertain!r} needs target_precision or min_query_confidence: "
                "when is a query uncertain?"
            )

    @property
    def is_weighted(self) -> bool:
        """Whether hits are ordered by more than their scores."""
        return bool(self.confidence_weight or self.familiarity_weight)

    def _keep(self, name: str, value: float) -> None:
        """Keep a number as Python's own: the engine and JSON do not know numpy's."""
        object.__setattr__(self, name, value)


def _check_choice(value: str, name: str) -> None:
    if value not in _CHOICES[name]:
        known = ", ".join(map(repr, _CHOICES[name]))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")
