"""Results of a search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import Self

from fg_search._deprecation import warn_renamed
from fg_search.html_table import html_table, to_frame
from fg_search.ids import UserId

_new, _set = object.__new__, object.__setattr__
AnswerDecision = Literal["answer", "abstain", "clarify"]


@dataclass(frozen=True)
class Hit:
    """An item found for a query.

    Attributes:
        id: User's id of the item.
        score: Similarity to the query: FG similarity in [0, 1], or base cosine in [-1, 1] where that alone ranks.
        ranking_score: What hits are ordered by: the score, or with ``rank_by="both"`` the mean of the score and of the
            base cosine, which counts half as much; times ``confidence^confidence_weight`` and
            ``familiarity^familiarity_weight``.
        confidence: Confidence of the item's embedding, in [1/K, 1].
        label: Label of the item, ``None`` if unknown.
        text: Text of the item.
        agreement: Per group, whether query and item have the same most probable code.
        payload: User's own payload.
        familiarity: Familiarity of the item, in [0, 1]. ``None`` if its encoder does not know its examples.
    """

    id: UserId
    score: float
    ranking_score: float
    confidence: float
    label: str | None
    text: str
    agreement: tuple[bool, ...] = field(repr=False)
    payload: dict[str, Any] = field(repr=False)
    familiarity: float | None = None

    @property
    def weighted_score(self) -> float:
        """Old name of :attr:`ranking_score`."""
        warn_renamed("Hit.weighted_score", "Hit.ranking_score")
        return self.ranking_score

    @classmethod
    def of_each(cls, rows: Iterable[dict[str, Any]]) -> tuple[Self, ...]:
        """Make a hit from each row of attributes and values, in half the time that the constructor takes."""
        hits = []
        for values in rows:
            hit = _new(cls)
            _set(hit, "__dict__", values)  # the constructor of a frozen class sets one attribute after the other
            hits.append(hit)
        return tuple(hits)

    def __str__(self) -> str:
        return f"{self.ranking_score:.3f}  conf {self.confidence:.2f}  [{self.label or '-'}] {self.text}"


@dataclass(frozen=True)
class LabelChoice:
    """A label that an uncertain query may be about.

    Attributes:
        label: The label.
        probability: How probable it is that the label is right, in [0, 1]: that of the most probable label is the
            result's confidence, and the others' are in proportion. They need not add up to anything.
        example: The best hit with this label.
    """

    label: str
    probability: float
    example: Hit

    def __str__(self) -> str:
        return f"{self.probability:.2f}  [{self.label}] {self.example.text}"


@dataclass(frozen=True, repr=False)
class SearchResult:
    """Result of one query.

    Attributes:
        query: Text of the query. Several phrasings are joined by ``" / "``.
        hits: Hits, best first. Empty if the decision is to abstain or to clarify.
        query_confidence: Answerability of the query, in [0, 1]: whether it is something known, and clearly one thing
            (:func:`fg_search.confidence.answerability`). Without familiarity, the confidence of its embedding.
        decision: ``"answer"``, ``"abstain"`` or ``"clarify"``.
        uncertain: Whether the query's confidence or the calibrated one is below what was asked for. If nothing was
            asked for and nothing is calibrated, whether the query hardly looks answerable.
        reason: Sentence that explains the decision.
        confidence: Calibrated probability that the top hit is right, in [0, 1]. ``None`` if the index was not
            calibrated for this kind of search, or the query was not even searched for.
        query_familiarity: Share of the examples learned from that are less familiar than the query, in [0, 1]. ``None``
            if the encoder does not know its examples.
        nearest: Item nearest to the query by base embeddings, with their cosine as its score, if ``explain`` asked for
            it. It shows what the query is like, found or not; its label need not be right.
        unanswerable_share: Share of the queries that have no answer, in [0, 1), for which ``confidence`` and the
            threshold hold; ``None`` without a calibration, or if it is unknown.
        choices: If ``on_uncertain="clarify"`` was asked for, the labels that an uncertain query may be about, the most
            probable first. There are some if the decision is to clarify, and none if it is to abstain.
        threshold: Lowest confidence to answer at the target precision that was asked for, ``None`` if none was, or
            nothing can be promised.
        evidence: The two numbers that ``confidence`` is made of, whatever the share: log odds that the query has an
            answer, and probability that the top hit is right if it has one. ``None`` without a calibration.
    """

    query: str
    hits: tuple[Hit, ...]
    query_confidence: float
    decision: AnswerDecision
    uncertain: bool
    reason: str
    confidence: float | None = None
    query_familiarity: float | None = None
    nearest: Hit | None = None
    unanswerable_share: float | None = None
    choices: tuple[LabelChoice, ...] = ()
    threshold: float | None = None
    evidence: tuple[float, float] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        sure = "" if self.confidence is None else f", confidence={self.confidence:.3f}"
        flag = ", uncertain" if self.uncertain else ""
        return f"SearchResult({self.query!r}, {self.decision!r}{flag}{sure}, {len(self.hits)} hits)"

    def to_pandas(self) -> Any:
        """The hits as a data frame of pandas, payload included, the best hit first.

        Raises:
            ModuleNotFoundError: If pandas is not installed.
        """
        return to_frame({**_row(hit), **hit.payload} for hit in self.hits)

    def _repr_html_(self) -> str:
        rows = [_row(hit) for hit in self.hits]
        if self.decision == "clarify":
            rows = [
                {"chance": each.probability, "label": each.label, "text": each.example.text} for each in self.choices
            ]
        sure = "" if self.confidence is None else f" Chance to be right: {self.confidence:.2f}."
        name = "uncertain" if self.decision == "answer" and self.uncertain else self.decision
        return html_table(rows, title=f"{self.query}: {name}", note=f"{self.reason}.{sure}")

    def __str__(self) -> str:
        lines = [self.query, f"  {self.decision}: {self.reason}"]
        if self.nearest is not None:
            lines.append(f"  nearest to: {self.nearest}")
        if self.decision == "clarify":
            lines += ["  did you mean:", *(f"    {choice}" for choice in self.choices)]
        return "\n".join([*lines, *(f"  {hit}" for hit in self.hits)])


def _row(hit: Hit) -> dict[str, Any]:
    """A hit as a row of a table."""
    return {
        "id": hit.id,
        "score": hit.score,
        "item confidence": hit.confidence,
        "agreement": f"{sum(hit.agreement)}/{len(hit.agreement)}",
        "label": hit.label,
        "text": hit.text,
    }


@dataclass(frozen=True)
class HitGroup:
    """Hits that share a value of a payload field.

    Attributes:
        value: Shared value.
        hits: Hits of the group, best first.
    """

    value: str | int
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class GroupedResult:
    """Result of one query whose hits are grouped by a payload field.

    Attributes:
        groups: Groups, the one with the best hit first. Empty if the decision is to abstain or to clarify.
        result: Decision, confidences and the hits of all groups.
    """

    groups: tuple[HitGroup, ...]
    result: SearchResult = field(repr=False)

    def __str__(self) -> str:
        lines = [self.result.query, f"  {self.result.decision}: {self.result.reason}"]
        for group in self.groups:
            lines += [f"  {group.value}", *(f"    {hit}" for hit in group.hits)]
        return "\n".join(lines)
