"""Files of a client's folder that are damaged or cut short end in a StorageError that says what to do."""

import os
from pathlib import Path

import pytest
from qdrant_client import models

from fg_search.edge.client import EdgeClient
from fg_search.errors import StorageError

C = "points"
CONTENTS = [b"", b"\xff", b"5", b"[]", b"{}", b'{"version": 1e999}', b'{"version": "x"}', b"[" * 10_000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with EdgeClient(tmp_path / "store") as client:
        client.create_collection(C, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        points = [models.PointStruct(id=i, vector=[1.0, float(i)], payload={"n": f"text {i}"}) for i in range(200)]
        client.upsert(C, points)
    return tmp_path / "store"


@pytest.mark.parametrize(
    "content", [*CONTENTS, b'{"version": 1, "aliases": [1]}'], ids=lambda content: str(content)[:30]
)
def test_damaged_aliases_are_named(folder: Path, content: bytes) -> None:
    (folder / "aliases.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"aliases\.json is damaged .*; restore"):
        EdgeClient(folder)


@pytest.mark.parametrize(
    "content",
    [*CONTENTS, b'{"version": 1}', b'{"version": 1, "config": {}, "payload_schema": [5]}'],
    ids=lambda content: str(content)[:30],
)
def test_damaged_settings_are_named(folder: Path, content: bytes) -> None:
    (folder / C / "collection.json").write_bytes(content)
    with EdgeClient(folder) as client, pytest.raises(StorageError, match=r"damaged.* (Recover a snapshot|restore)"):
        client.count(C)


@pytest.mark.parametrize("size", [0, 100, 5000])
@pytest.mark.parametrize("name", ["page_0.dat", "tracker.dat", "bitmask.dat", "config.json"])
def test_payloads_cut_short_are_told_or_recovered_from_the_log(folder: Path, name: str, size: int) -> None:
    [file] = [path for path in folder.rglob(name) if path.parent.name == "payload_storage"]
    os.truncate(file, size)
    with EdgeClient(folder) as client:
        try:
            found = client.scroll(C, limit=1000)[0]
            client.count(C, count_filter=models.Filter(must_not=[models.IsEmptyCondition(is_empty={"key": "n"})]))
        except StorageError as error:
            assert "ecover a snapshot" in str(error)  # noqa: PT017
        else:
            assert [point.payload for point in found] == [{"n": f"text {i}"} for i in range(200)]
