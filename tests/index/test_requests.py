"""Number of requests to the engine: on a server each of them takes its time."""

import pytest

from fg_search.engine.blocking import BlockingEngine


@pytest.fixture
def requests(monkeypatch):
    """Names of the requests that are made."""
    made = []
    call = BlockingEngine._call

    async def counted(self, method, *arguments, **options):
        made.append(method.__name__)
        return await call(self, method, *arguments, **options)

    monkeypatch.setattr(BlockingEngine, "_call", counted)
    return made


def test_what_reviewers_do_takes_few_requests(local, rows, requests):
    local.add(**rows)
    requests.clear()
    local.relabel({f"d{i}": "new" for i in range(40)})
    assert len(requests) <= 4
    requests.clear()
    local.decide("d1", "label", "food")
    assert len(requests) <= 4
    local.undo()  # makes the log
    local.decide("d1", "label", "food")
    requests.clear()
    local.undo()
    assert len(requests) <= 6
    requests.clear()
    local.info()
    assert len(requests) <= 4


def test_searching_takes_one_request_and_by_both_vectors_three(local, rows, requests):
    local.add(**rows)
    requests.clear()
    local.search("my card", rank_by="features")
    assert requests == ["query_batch_points"]
    requests.clear()
    local.search_many(["my card", "my loan"] * 20, rank_by="features")
    assert requests == ["query_batch_points"]
    requests.clear()
    local.search_many(["my card", "my loan"] * 20)
    assert requests == ["query_batch_points", "query_batch_points", "retrieve"]
