"""Clusters of open queries, computed in the background for the Queries view and the API."""

from __future__ import annotations

from collections.abc import Sequence

from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import MOST_QUERIES
from fg_search.web.background import Background
from fg_search.web.site import Site

Clusters = Background[list[MissingLabel]]


def clusters_of(site: Site) -> Clusters:
    """The candidates for missing labels, computed again when the open queries have changed."""
    return Background(site.index.missing_labels, lambda: _version(read_log(site)))


def read_log(site: Site) -> list[LoggedQuery]:
    """All logged queries, open or not."""
    return site.index.logged_queries(limit=MOST_QUERIES, only_open=False)


def _version(log: Sequence[LoggedQuery]) -> tuple[tuple[str, int], ...]:
    return tuple((query.id, query.count) for query in log if query.is_open)
