"""Two copies of an index and a third one, worked on by chance: once all conflicts are settled, the three are equal."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex
from fg_search.errors import FgSearchError

IDS = [f"d{i}" for i in range(5)]
LABELS = ["card", "loan", "food"]
SERVER = "server"


class Killed(BaseException):
    """The process is gone."""


class Mortal(QdrantClient):
    """A client whose process is killed before one of its writes."""

    left: int | None = None


def _mortal(name):
    def write(self, *given, **named):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed
        return getattr(QdrantClient, name)(self, *given, **named)

    return write


for _name in ("upsert", "delete", "batch_update_points", "update_collection"):
    setattr(Mortal, _name, _mortal(_name))


@pytest.fixture
def copies(encoder) -> Iterator[dict[str, ConfidenceIndex]]:
    client = Mortal(":memory:")
    with ConfidenceIndex(client, encoder, collection=SERVER) as server:
        server.add(["my card"] * len(IDS), ids=IDS, labels=["card"] * len(IDS))
        for name in "ab":
            server.copy_to(client, collection=name)
        with (
            ConfidenceIndex(client, encoder, collection="a") as a,
            ConfidenceIndex(client, encoder, collection="b") as b,
        ):
            yield {SERVER: server, "a": a, "b": b}
    client.close()


def settle(edge: ConfidenceIndex, rng: random.Random) -> None:
    """Exchange, and choose by chance whose decision counts."""
    found = {one.id for call in (edge.push, edge.pull) for one in call(edge.client, collection=SERVER).conflicts}
    ours = {one for one in sorted(found) if rng.random() < 0.5}
    pushed = edge.push(edge.client, collection=SERVER, overwrite=ours)
    assert ours.isdisjoint(one.id for one in pushed.conflicts)
    assert edge.pull(edge.client, collection=SERVER, overwrite=found - ours).conflicts == ()


def act(copies: dict[str, ConfidenceIndex], rng: random.Random) -> None:
    """Do something with an item of a copy, or exchange, which may be interrupted."""
    name, item = rng.choice(list(copies)), rng.choice(IDS)
    index = copies[name]
    client = index.client
    edits = {
        "label": lambda: index.decide(item, "label", rng.choice(LABELS), reviewer=name),
        "keep": lambda: index.decide(item, "keep", reviewer=name),
        "delete": lambda: index.decide(item, "delete", reviewer=name),
        "undo": lambda: index.undo(rng.choice([0, *(one.number for one in index.decisions(standing=True))])),
        "relabel": lambda: index.relabel({item: rng.choice(LABELS)}),
        "add": lambda: index.add([rng.choice(["my loan", "my pizza"])], ids=[item], labels=["card"]),
    }
    exchanges = {
        "push": lambda: index.push(client, collection=SERVER),
        "pull": lambda: index.pull(client, collection=SERVER),
        "settle": lambda: settle(index, rng),
    }
    try:
        if name == SERVER or rng.random() < 0.6:
            edits[rng.choice(list(edits))]()
        else:
            client.left = rng.choice([None, rng.randrange(12)])
            exchanges[rng.choice(list(exchanges))]()
    except (FgSearchError, Killed):
        pass  # such as a decision that was taken back already
    finally:
        client.left = None


def content(index: ConfidenceIndex) -> tuple[dict, dict]:
    """Items and entries of the log, as they are stored. Points of deleted items need not be the same."""
    stored = []
    for name in (index.collection, f"{index.collection}.decisions"):
        there = index.client.collection_exists(name)
        records = index.client.scroll(name, limit=1000)[0] if there else []
        stored.append({one.id: {**one.payload, "point": None} for one in records})
    return stored[0], stored[1]


@pytest.mark.parametrize("seed", range(3))
def test_what_three_copies_hold_is_the_same_in_the_end(copies, seed):
    rng = random.Random(seed)
    for _ in range(30):
        act(copies, rng)
    server, *edges = copies.values()
    for edge in edges * 2:
        settle(edge, rng)
    for edge in edges * 2:  # what was pushed last reaches all
        assert edge.push(edge.client, collection=SERVER).conflicts == ()
        assert edge.pull(edge.client, collection=SERVER, remove_extra=True).conflicts == ()
    for edge in edges:
        assert content(edge) == content(server)
