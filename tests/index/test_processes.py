"""Several processes on one server: they open, write, decide and migrate at the same moment."""

import json
import os
import uuid

import pytest
from programs import Programs
from qdrant_client import QdrantClient

from fg_search import ConfidenceIndex

PROLOGUE = """
import json, sys, time
from fg_search import ConfidenceIndex

url, collection, number, *arguments = sys.argv[1:]

def encoder(folder):
    from fg_search.model.encoder import FeatureGroupEncoder
    return FeatureGroupEncoder.load(folder, device="cpu")

def start(*_):
    "Wait until all processes are here."
    print("ready", flush=True)
    sys.stdin.readline()

def done(result):
    print(json.dumps(result), flush=True)
"""

OPEN = """
loaded = encoder(arguments[0])
start()
with ConfidenceIndex(url, loaded, collection=collection) as index:
    index.add([f"my card {number}"], ids=[f"new {number}"])
    done(len(index))
"""

MIGRATE = """
loaded = encoder(arguments[0])
with ConfidenceIndex(url, collection=collection) as index:
    start()
    index.migrate(loaded)
    done(index.metadata.fingerprint)
"""

WRITE = """
embedded = encoder(arguments[0]).encode([f"my card {i}" for i in range(400)])
with ConfidenceIndex(url, collection=collection) as index:
    index.encoder  # loaded before the others start
    start()
    written, until = [], time.monotonic() + 4
    while time.monotonic() < until and len(written) < 400:
        i = len(written)
        index.add([f"my card {i}"], ids=[f"{number} {i}"])
        written.append(f"{number} {i}")
        if i % 5 == 4:
            index.relabel({written[-1]: "mine"})
    done(written)
"""

DECIDE = """
skew = int(arguments[0])
real = time.time_ns
time.time_ns = lambda: real() + skew * 1_000_000_000
from fg_search.errors import DecisionConflictError
with ConfidenceIndex(url, collection=collection) as index:
    index.info()
    start()
    made = {}
    for i in range(20):
        try:
            made[f"d{i}"] = index.decide(f"d{i}", "label", f"by {number}", reviewer=number, latest=0).number
        except DecisionConflictError:
            pass
    done(made)
"""


class Place:
    """Where the processes meet."""

    def __init__(self, url: str, api_key: str | None, programs: Programs) -> None:
        self.url, self.api_key, self.programs = url, api_key, programs
        self.collection = f"fg_search_test_{uuid.uuid4().hex}"

    def open(self, encoder=None):
        return ConfidenceIndex(self.url, encoder, collection=self.collection, api_key=self.api_key)

    def collections(self):
        client = QdrantClient(url=self.url, api_key=self.api_key, check_compatibility=False)
        names = [collection.name for collection in client.get_collections().collections]
        aliases = [alias.alias_name for alias in client.get_aliases().aliases]
        client.close()
        return [name for name in names if name.startswith(self.collection)], [
            name for name in aliases if name.startswith(self.collection)
        ]

    def run(self, *programs):
        """Results of programs that start at the same moment."""
        processes = [
            self.programs.start(PROLOGUE + program, self.url, self.collection, i, *arguments)
            for i, (program, *arguments) in enumerate(programs)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
        results = [json.loads(process.stdout.read()) for process in processes]
        assert [process.wait() for process in processes] == [0] * len(processes)
        return results


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.server)])
def place(request, programs):
    if request.param == "fake":
        yield Place(request.getfixturevalue("fake_server").url, None, programs)
        return
    found = Place(os.environ["QDRANT_URL"], os.environ.get("QDRANT_API_KEY"), programs)
    yield found
    client = QdrantClient(url=found.url, api_key=found.api_key, check_compatibility=False)
    for name in found.collections()[0]:
        client.delete_collection(name)
    client.close()


nightly = pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE") != "nightly" and "QDRANT_URL" not in os.environ,
    reason="several processes load torch: nightly, and with a real server",
)


@nightly
def test_who_opens_a_new_index_at_the_same_moment_opens_the_same_one(place, saved_encoder):
    place.run(*[(OPEN, saved_encoder)] * 3)
    with place.open() as index:
        assert len(index) == 3
    collections, aliases = place.collections()
    assert (len(collections), aliases) == (1, [place.collection])


@nightly
def test_two_migrations_beside_two_writers_lose_nothing(place, encoder, saved_encoder, other_encoder, rows, tmp_path):
    other_encoder.save(tmp_path / "other")
    with place.open(encoder) as index:
        index.add(**rows)
    migrated = (MIGRATE, tmp_path / "other")
    *fingerprints, one, two = place.run(migrated, migrated, (WRITE, saved_encoder), (WRITE, saved_encoder))
    assert set(fingerprints) == {other_encoder.fingerprint}
    with place.open(other_encoder) as index:
        labels = index.labels_of([*rows["ids"], *one, *two])
        assert len(labels) == len(index) == 48 + len(one) + len(two)
        corrected = [user_id for written in (one, two) for user_id in written[4::5]]
        assert {labels[user_id] for user_id in corrected} == {"mine"}
        assert index.info().strangers == 0
    collections, aliases = place.collections()
    assert (len(collections), aliases) == (1, [place.collection])


def test_of_two_reviewers_one_is_told_whatever_their_clocks_say(place, encoder, rows):
    with place.open(encoder) as index:
        index.add(**rows)
    made = place.run((DECIDE, 0), (DECIDE, 3600))
    assert sorted([*made[0], *made[1]]) == sorted(f"d{i}" for i in range(20))
    with place.open(encoder) as index:
        log = {entry.number: entry for entry in index.decisions()}
        assert log.keys() == {*made[0].values(), *made[1].values()}
        labels = index.labels_of([f"d{i}" for i in range(20)])
        assert labels == {entry.id: entry.after for entry in log.values()}
        for _ in log:
            index.undo()
        assert index.info().corrected == 0
