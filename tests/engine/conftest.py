"""Fixtures of tests on engines: a server with a collection, and operations run on it, blocking or not."""

import asyncio

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from fg_search.engine.asynchronous import AsyncEngine
from fg_search.engine.blocking import BlockingEngine, drive


@pytest.fixture(params=["blocking", "async"])
def runner(request, fake_server):
    """Runs an operation, a function of an engine, against the server, blocking or asynchronously."""
    if request.param == "blocking":
        client = QdrantClient(url=fake_server.url, check_compatibility=False, timeout=1)
        yield lambda operation: drive(operation(BlockingEngine(client)))
        client.close()
        return

    async def go(operation):
        client = AsyncQdrantClient(url=fake_server.url, check_compatibility=False, timeout=1)
        try:
            return await operation(AsyncEngine(client))
        finally:
            await client.close()

    yield lambda operation: asyncio.run(go(operation))


@pytest.fixture
def server(fake_server):
    """The server with a collection c."""
    fake_server.client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
    return fake_server
