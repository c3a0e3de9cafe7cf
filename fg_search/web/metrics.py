"""Metrics of searches for Prometheus: how many, how decided, how sure, how long, and whether the promise holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from fg_search.confidence_index import ConfidenceIndex
from fg_search.index.search_results import SearchResult
from fg_search.web.security import METRICS_PATH

_SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class SearchMetrics:
    """Counts and times the searches of one served index.

    Args:
        index: The index, whose calibration is told with every reading.
    """

    def __init__(self, index: ConfidenceIndex) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"fg_search_{name}", what, buckets=buckets, registry=self.registry)

        self._searches = Counter(
            "fg_search_searches",
            "Searches that were answered, by decision; uncertain ones may be answered and marked.",
            ["decision", "uncertain"],
            registry=self.registry,
        )
        self._failures = Counter("fg_search_failed_searches", "Searches that raised an error.", registry=self.registry)
        self._seconds = histogram("search_seconds", "Time of a search, encoding included.", _SECONDS)
        self._result = histogram("result_confidence", "Calibrated probability that the best hit is right.", _SHARES)
        self._query = histogram("query_confidence", "Answerability of the query.", _SHARES)
        self._familiarity = histogram("query_familiarity", "Familiarity of the query.", _SHARES)
        self.registry.register(_Promise(index))
        ProcessCollector(registry=self.registry)

    def router(self) -> APIRouter:
        """The route that Prometheus reads."""
        routes = APIRouter(include_in_schema=False)

        @routes.get(METRICS_PATH)
        def read() -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

        return routes

    def measured(self, search: Callable[[], SearchResult]) -> SearchResult:
        """Search, and count it."""
        start = perf_counter()
        try:
            result = search()
        except Exception:
            self._failures.inc()
            raise
        self._seconds.observe(perf_counter() - start)
        self._searches.labels(result.decision, str(result.uncertain).lower()).inc()
        self._query.observe(result.query_confidence)
        if result.confidence is not None:
            self._result.observe(result.confidence)
        if result.query_familiarity is not None:
            self._familiarity.observe(result.query_familiarity)
        return result


class _Promise(Collector):
    """What the index promises, as far as the process knows without asking the engine."""

    def __init__(self, index: ConfidenceIndex) -> None:
        self._index = index

    def collect(self) -> Iterator[Metric]:
        calibration = self._index.calibration
        known = GaugeMetricFamily("fg_search_calibrated", "Whether the index is calibrated.")
        known.add_metric([], float(calibration is not None))
        yield known
        if calibration is None:
            return
        share = GaugeMetricFamily(
            "fg_search_unanswerable_share",
            "Share of the queries without an answer that precisions are promised for.",
            labels=["source"],
        )
        if calibration.share.value is not None:
            share.add_metric([calibration.share.source], calibration.share.value)
        yield share
        holds = GaugeMetricFamily("fg_search_promise_holds", "Whether the traffic is like the judged queries.")
        if calibration.shift is not None:
            holds.add_metric([], float(calibration.shift.holds))
        yield holds
