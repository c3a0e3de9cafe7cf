"""The first attempt of a call is made without tenacity, but it counts as an attempt."""

import httpx
import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import ResponseHandlingException

from fg_search.engine import retries
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.errors import StorageError

BUSY = ResponseHandlingException(httpx.ConnectError("refused"))


class Client:
    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0

    def count(self, *_, **__):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return models.CountResult(count=7)

    delete_collection = count  # not one of those that are repeated


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(retries, "pause", lambda _: 0)


@pytest.mark.parametrize("failures", range(6))
def test_a_busy_server_is_asked_again(failures):
    client = Client(*[BUSY] * failures)
    assert drive(BlockingEngine(client).count("items")) == 7
    assert client.asked == failures + 1


def test_after_six_attempts_it_is_given_up():
    client = Client(*[BUSY] * 9)
    with pytest.raises(StorageError, match="failed 6 times"):
        drive(BlockingEngine(client).count("items"))
    assert client.asked == 6


@pytest.mark.parametrize(("method", "error"), [("count", KeyError("no")), ("delete_collection", BUSY)])
def test_what_cannot_be_mended_by_asking_again_is_not(method, error):
    client = Client(error)
    with pytest.raises(type(error)):
        drive(getattr(BlockingEngine(client), method)("items"))
    assert client.asked == 1
