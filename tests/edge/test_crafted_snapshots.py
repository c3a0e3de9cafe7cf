"""Snapshots made up by a stranger, with right checksums, are refused and touch no file that was there."""

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES
from qdrant_client import models

from fg_search.edge.client import EdgeClient
from fg_search.edge.snapshot_archive import read_archive
from fg_search.errors import FgSearchError, FormatVersionError, StorageError

C = "points"
Members = list[tuple[tarfile.TarInfo, bytes]]
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EdgeClient, bytes]]:
    """A client with a collection, and a snapshot of it."""
    with EdgeClient(tmp_path_factory.mktemp("crafted") / "store") as client:
        client.create_collection(C, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert(C, [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"n": 1})])
        made = client.create_snapshot(C)
        yield client, client.snapshot_path(C, made.name).read_bytes()


def members_of(archive: bytes) -> tuple[Members, Manifest]:
    """The members before the manifest, and the manifest."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        found = [(member, file.read() if (file := source.extractfile(member)) else b"") for member in source]
    return found[:-1], json.loads(found[-1][1])


def archive_of(members: Members, manifest: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
        last = tarfile.TarInfo("manifest.json")
        last.size = len(manifest)
        archive.addfile(last, io.BytesIO(manifest))
    return target.getvalue()


def signed(manifest: Manifest) -> bytes:
    """The manifest with the right checksum of its list of files."""
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()
    return json.dumps({**manifest, "sha256": digest}).encode()


def with_file(archive: bytes, name: str, content: bytes) -> bytes:
    """The archive with one file more, or with another content of a file, listed as it is."""
    members, manifest = members_of(archive)
    member = tarfile.TarInfo(name)
    member.size = len(content)
    members = [(known, data) for known, data in members if known.name != name] + [(member, content)]
    manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return archive_of(members, signed(manifest))


def with_entry(archive: bytes, name: str, entry: Any) -> bytes:
    """The archive whose manifest lists a file otherwise."""
    members, manifest = members_of(archive)
    manifest["files"][name] = entry
    return archive_of(members, signed(manifest))


def refused(client: EdgeClient, folder: Path, archive: bytes, error: type[Exception] = StorageError) -> str:
    """Try to recover it, and return the message. Nothing changes in the client's folder and around the snapshot."""
    file = folder / "x.snapshot"
    file.write_bytes(archive)
    around = sorted(folder.rglob("*"))
    with pytest.raises(error) as caught:
        client.recover_snapshot("new", file)
    assert [one.name for one in client.get_collections().collections] == [C]
    assert {path.name for path in client._folder.path.iterdir()} == {".lock", ".snapshots", C}
    assert sorted(folder.rglob("*")) == around
    return str(caught.value)


def test_the_helpers_make_a_snapshot_that_is_recovered(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    (tmp_path / "x.snapshot").write_bytes(archive_of(members, signed(manifest)))
    client.recover_snapshot("new", tmp_path / "x.snapshot")
    assert client.count("new").count == 1
    client.delete_collection("new")


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("style", ["absolute", "relative", "shard"])
def test_a_listed_file_outside_stays_as_it_is(
    store: tuple[EdgeClient, bytes], tmp_path: Path, style: str, checksum: bool
) -> None:
    client, archive = store
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    up = "/".join([".."] * 40)
    name = {"absolute": str(victim), "relative": f"{up}{victim}", "shard": f"shard/{up}{victim}"}[style]
    entry: dict[str, Any] = {"size": 3}
    if checksum:
        entry["sha256"] = hashlib.sha256(b"precious").hexdigest()
    assert "Nothing was changed" in refused(client, tmp_path, with_entry(archive, name, entry))
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/x",
        "../x",
        "shard/../../x",
        "shard/../../../../../../../../tmp/x",
        "./shard/x",
        "shard//x",
        "shard/./x",
        "shard\\..\\..\\x",
        "C:\\x",
        "shard/x:stream",
        "shard/a\x01\x1fb",
        "other.json",
        "shard/" + "x" * 300,
        "shard/" + "/".join(["d"] * 5000),
        "collection.json/x",
        "manifest.json/x",
        "",
    ],
)
def test_a_member_with_another_name_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path, name: str) -> None:
    client, archive = store
    assert "no file of a collection" in refused(client, tmp_path, with_file(archive, name, b"x"))


def test_a_member_that_comes_twice_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    twice = [*members, *[one for one in members if one[0].name == "collection.json"]]
    assert "'collection.json' twice" in refused(client, tmp_path, archive_of(twice, signed(manifest)))


def test_a_member_below_a_file_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    archive = with_file(with_file(archive, "shard/a", b"x"), "shard/a/b", b"x")
    assert "below a file" in refused(client, tmp_path, archive)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused_and_not_followed(
    store: tuple[EdgeClient, bytes], tmp_path: Path, kind: bytes
) -> None:
    client, archive = store
    (tmp_path / "outside").mkdir()
    members, manifest = members_of(archive)
    link = tarfile.TarInfo("shard/link")
    link.type, link.linkname = kind, str(tmp_path / "outside")
    below = tarfile.TarInfo("shard/link/x")
    refused(client, tmp_path, archive_of([*members, (link, b""), (below, b"")], signed(manifest)))
    assert list((tmp_path / "outside").iterdir()) == []


SIZES = [-1, 2**44, 2**63, 2**70, 10**4000, 1.0, 1e308, float("inf"), float("nan"), True, "1", None, [], {}]


@pytest.mark.parametrize("size", SIZES, ids=[f"{size!s:.12}" for size in SIZES])
def test_a_size_that_no_file_has_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path, size: Any) -> None:
    client, archive = store
    checksum = hashlib.sha256(b"x").hexdigest()
    archive = with_entry(with_file(archive, "shard/a", b"x"), "shard/a", {"size": size, "sha256": checksum})
    refused(client, tmp_path, archive)


def test_a_size_below_that_of_the_data_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    checksum = hashlib.sha256(b"four").hexdigest()
    archive = with_entry(with_file(archive, "shard/a", b"four"), "shard/a", {"size": 3, "sha256": checksum})
    assert "the size of 'shard/a' is wrong" in refused(client, tmp_path, archive)


def test_sizes_that_are_impossible_together_are_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    for entry in manifest["files"].values():
        entry["size"] = 2**40
    assert "impossible sizes" in refused(client, tmp_path, archive_of(members, signed(manifest)))


ENTRIES = [None, 5, [], {}, {"size": 1}, {"sha256": "0" * 64}, {"size": 1, "sha256": None}, {"size": 1, "sha256": 5}]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_file_without_size_and_checksum_is_refused(
    store: tuple[EdgeClient, bytes], tmp_path: Path, entry: Any
) -> None:
    client, archive = store
    refused(client, tmp_path, with_entry(archive, "collection.json", entry))


def test_a_file_that_is_not_listed_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    del manifest["files"]["collection.json"]
    assert "missing from the list" in refused(client, tmp_path, archive_of(members, signed(manifest)))


VERSIONS = [None, True, "1", [], 0, -1, 1.0, 1.5, float("inf"), float("nan")]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_a_version_that_is_no_number_of_a_format_is_refused(
    store: tuple[EdgeClient, bytes], tmp_path: Path, version: Any
) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    refused(client, tmp_path, archive_of(members, signed({**manifest, "version": version})))


@pytest.mark.parametrize("version", [2, 2**70])
def test_a_newer_version_is_told(store: tuple[EdgeClient, bytes], tmp_path: Path, version: int) -> None:
    client, archive = store
    members, manifest = members_of(archive)
    archive = archive_of(members, signed({**manifest, "version": version}))
    assert "upgrade" in refused(client, tmp_path, archive, FormatVersionError)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"5", b'"x"', b"{}", b"\xff", b"[" * 10_000 + b"]" * 10_000, b'{"version": 1, "files": []}'],
    ids=lambda manifest: f"{manifest[:20]!r}",
)
def test_a_manifest_of_another_form_is_refused(
    store: tuple[EdgeClient, bytes], tmp_path: Path, manifest: bytes
) -> None:
    client, archive = store
    refused(client, tmp_path, archive_of(members_of(archive)[0], manifest))


def test_files_listed_in_a_deep_nesting_are_refused(store: tuple[EdgeClient, bytes], tmp_path: Path) -> None:
    client, archive = store
    deep = b'{"version": 1, "files": ' + b'{"a": ' * 10_000 + b"1" + b"}" * 10_000 + b', "sha256": ""}'
    refused(client, tmp_path, archive_of(members_of(archive)[0], deep))


SETTINGS = {
    "no object": b"[]",
    "a text": b'"version"',
    "version 1e999": b'{"version": 1e999, "config": {}, "payload_schema": {}}',
    "version of 5,000 digits": b'{"version": ' + b"9" * 5000 + b"}",
    "no settings": b'{"version": 1}',
    "settings of another type": b'{"version": 1, "config": 5, "payload_schema": {}}',
    "indexes of another type": b'{"version": 1, "config": {}, "payload_schema": 5}',
    "numbers": b'{"version": 1, "config": {"vectors": {"size": 1e999, "distance": "Dot"}}, "payload_schema": {}}',
    "10,000 levels": b'{"version": 1, "config": ' + b"[" * 10_000 + b"]" * 10_000 + b', "payload_schema": {}}',
    "900 levels": b'{"version": 1, "config": {"metadata": '
    + b'{"a": ' * 900
    + b"1"
    + b"}" * 900
    + b'}, "payload_schema": {"a": 5}}',
}


@pytest.mark.parametrize("content", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_of_another_form_are_refused(store: tuple[EdgeClient, bytes], tmp_path: Path, content: bytes) -> None:
    client, archive = store
    refused(client, tmp_path, with_file(archive, "collection.json", content))


# --- headers that the module tarfile does not write ---------------------------------------------------------


def header(name: bytes = b"shard/x", size: bytes = b"%011o\0" % 0, kind: bytes = b"0", prefix: bytes = b"") -> bytes:
    """One header with a right checksum."""
    parts = bytearray(512)
    for start, field in ((0, name[:100]), (124, size), (156, kind), (257, b"ustar\x0000"), (345, prefix)):
        parts[start : start + len(field)] = field
    parts[148:156] = b" " * 8
    parts[148:156] = b"%06o\0 " % sum(parts)
    return bytes(parts)


def extended(line: bytes, size: bytes | None = None) -> bytes:
    """An extended header with one line."""
    return header(b"x", size or b"%011o\0" % len(line), b"x") + line.ljust(512, b"\0")


HEADERS = {
    "negative size": header(size=b"\xff" * 12),
    "size of 2**80": header(size=b"\x80" + b"\xff" * 11),
    "size of 8 GiB": header(size=b"7" * 11 + b"\0"),
    "size with a sign": header(size=b"-0000000001\0"),
    "sparse file": header(kind=b"S"),
    "long name": header(kind=b"L", size=b"%011o\0" % 2**30),
    "global header": header(kind=b"g"),
    "folder with content": header(kind=b"5", size=b"%011o\0" % 1),
    "name outside by its prefix": header(name=b"x", prefix=b"shard/../.."),
    "name that is not UTF-8": header(name=b"shard/\xff"),
    "extended size of 2**70": extended(b"32 size=1180591620717411303424\n") + header(),
    "negative extended size": extended(b"11 size=-5\n") + header(),
    "extended size in words": extended(b"12 size=1_0\n") + header(),
    "extended name outside": extended(b"18 path=../../etc\n") + header(),
    "length of an extended line": extended(b"99 path=x\n") + header(),
    "no length": extended(b"path=shard/x\n") + header(),
    "zero length": extended(b"0 path=shard/x\n") + header(),
    "an endless extended header": header(b"x", b"%011o\0" % 2**32, b"x"),
    "10,000 extended headers": extended(b"9 a=b\nx\n\n") * 10_000,
    "endless members": b"".join(header(b"shard/%d" % i) for i in range(3)) + b"x" * 512,
    "cut short": header()[:300],
}


@pytest.mark.parametrize("start", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_of_another_form_is_refused(store: tuple[EdgeClient, bytes], tmp_path: Path, start: bytes) -> None:
    client, archive = store
    for crafted in (start + archive, start):
        refused(client, tmp_path, crafted)


def test_too_many_members_are_refused(
    store: tuple[EdgeClient, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, archive = store
    monkeypatch.setattr("fg_search.edge.tar_members.MAX_MEMBERS", 5)
    assert "more than 5 members" in refused(client, tmp_path, archive)


# --- any bytes --------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("0" * 64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["collection.json", "shard/a", "shard/b", "manifest.json"]) | st.lists(
    st.sampled_from(["shard", "..", ".", "", "a", "b", "/", "\0", "é", "x" * 260]), max_size=5
).map("/".join)
fuzzed = settings(suppress_health_check=WITH_FIXTURES)


def read_or_refuse(archive: bytes, folder: Path) -> None:
    """Extract it into an empty folder: whatever it is, the only new files are below that folder."""
    target = folder / "above" / "target"
    target.mkdir(parents=True)
    (folder / "x.snapshot").write_bytes(archive)
    with contextlib.suppress(FgSearchError, ValueError):
        read_archive(folder / "x.snapshot", target)
    assert sorted(path.name for path in folder.iterdir()) == ["above", "x.snapshot"]
    assert [path.name for path in (folder / "above").iterdir()] == ["target"]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    numbers = iter(range(10**9))

    def make() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return folder

    return make


@fuzzed
@given(st.binary(max_size=3000))
def test_any_bytes_are_no_snapshot(fresh: Callable[[], Path], content: bytes) -> None:
    read_or_refuse(content, fresh())


@fuzzed
@given(st.data())
def test_a_snapshot_with_changed_bytes_is_read_or_refused(
    store: tuple[EdgeClient, bytes], fresh: Callable[[], Path], data: st.DataObject
) -> None:
    members, manifest = members_of(store[1])
    small = [(member, content) for member, content in members if len(content) < 2000]
    kept = {member.name for member, _ in small}
    manifest["files"] = {name: entry for name, entry in manifest["files"].items() if name in kept}
    archive = bytearray(archive_of(small, signed(manifest)))
    blocks = len(archive) // 512
    for _ in range(data.draw(st.integers(1, 5))):
        at = 512 * data.draw(st.integers(0, blocks - 1)) + data.draw(st.integers(0, 511))
        new = data.draw(st.binary(min_size=1, max_size=12))
        archive[at : at + len(new)] = new
    if data.draw(st.booleans()):  # checksums of headers are easily made right
        for start in range(0, len(archive) - 511, 512):
            if archive[start + 257 : start + 262] == b"ustar":
                archive[start + 148 : start + 156] = b" " * 8
                archive[start + 148 : start + 156] = b"%06o\0 " % sum(archive[start : start + 512])
    read_or_refuse(bytes(archive[: data.draw(st.integers(0, len(archive)))]), fresh())


@fuzzed
@given(
    st.lists(st.tuples(names, st.binary(max_size=20), st.sampled_from([b"0", b"5", b"1", b"2", b"x"])), max_size=4),
    st.dictionaries(
        names, json_values | st.fixed_dictionaries({"size": json_values, "sha256": json_values}), max_size=3
    ),
    json_values,
    st.booleans(),
)
def test_any_members_and_manifest_are_read_or_refused(
    fresh: Callable[[], Path], chosen: list[tuple[str, bytes, bytes]], listed: Manifest, version: Any, right: bool
) -> None:
    members = []
    for name, content, kind in chosen:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, len(content)
        members.append((member, content))
        if right:
            listed[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"version": 1 if right else version, "files": listed}
    try:
        archive = archive_of(members, signed(manifest))
    except (ValueError, UnicodeError, TypeError):
        return  # tarfile does not write it
    read_or_refuse(archive, fresh())
