"""Lists of items as the page and the API ask for them, and decisions about several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from fg_search.errors import DecisionConflictError, ItemNotFoundError
from fg_search.ids import UserId
from fg_search.index.item_pages import ItemOrder, ItemPage
from fg_search.index.items import IndexedItem
from fg_search.index.similar_items import SimilarItem
from fg_search.web.item_filter import filter_of
from fg_search.web.parameters import MAX_DECIDED, DecisionRequest, ItemsRequest
from fg_search.web.site import Site

_EXPORTED = 1_000  # items read at once for a file
_SLACK = 3_600  # seconds by which the clock of a computer may be ahead


@dataclass(frozen=True)
class Batch:
    """Decisions that were made together.

    Attributes:
        first: Number of the first decision, 0 if there is none.
        last: Number of the last one.
        made: How many there are.
        missed: Items that were gone, or that somebody else decided about in that moment.
    """

    first: int
    last: int
    made: int
    missed: int


@dataclass(frozen=True)
class ItemList:
    """Items of the index that is served.

    Attributes:
        site: What all views share.
        within: Ids of the items in a region of the map.
    """

    site: Site
    within: Callable[[str], Sequence[UserId]]

    def page(self, asked: ItemsRequest, limit: int, after: str | None) -> ItemPage:
        """A page of the items that are asked for."""
        order: ItemOrder = asked.sort.removeprefix("-")  # type: ignore[assignment]  # one of these
        return self.site.index.browse(
            order_by=order,
            descending=asked.sort.startswith("-"),
            query_filter=filter_of(asked, self.site.tenant, self.within),
            limit=limit,
            after=after,
        )

    def similar(self, user_id: UserId, asked: ItemsRequest, limit: int) -> list[SimilarItem]:
        """Items similar to one, among those that are asked for."""
        return self.site.index.similar_items(
            user_id, limit=limit, query_filter=filter_of(asked, self.site.tenant, self.within)
        )

    def every(self, asked: ItemsRequest) -> Iterator[IndexedItem]:
        """All items that are asked for; few are in memory at a time."""
        after: str | None = None
        while True:
            page = self.page(asked, _EXPORTED, after)
            yield from page.items
            after = page.following
            if after is None:
                return

    def ids(self, asked: ItemsRequest) -> list[UserId]:
        """Ids of the items that are asked for.

        Raises:
            ValueError: If they are too many to decide about at once.
        """
        page = self.page(asked, MAX_DECIDED, None)
        if page.following is not None:
            raise ValueError(
                f"{page.total:,} items match; at most {MAX_DECIDED:,} can be decided about at once; choose fewer"
            )
        return [item.id for item in page.items]

    def decide_each(
        self, ids: Sequence[UserId], action: Literal["label", "delete", "keep"], label: str | None
    ) -> Batch:
        """Decide about several items, as the reviewer."""
        numbers, missed = [], 0
        for user_id in ids:
            asked = DecisionRequest(
                id=user_id, action=action, label=label, suggested=None, latest=None, opinion_on=None
            )
            try:
                numbers.append(self.site.decide(asked).number)
            except (DecisionConflictError, ItemNotFoundError):
                missed += 1
        return Batch(numbers[0] if numbers else 0, numbers[-1] if numbers else 0, len(numbers), missed)

    def undo_batch(self, first: int, last: int) -> Batch:
        """Take back the decisions of the reviewer from one number to another that still stand, the latest first."""
        since = datetime.fromtimestamp(max(first // 1_000_000 - _SLACK, 0), tz=timezone.utc)
        standing = [
            entry.number
            for entry in self.site.index.decisions(standing=True, since=since)
            if first <= entry.number <= last and entry.reviewer == self.site.reviewer
        ]
        numbers, missed = [], 0
        for number in reversed(standing[-MAX_DECIDED:]):
            try:
                numbers.append(self.site.undo(number).number)
            except DecisionConflictError:
                missed += 1
        return Batch(0, 0, len(numbers), missed)
