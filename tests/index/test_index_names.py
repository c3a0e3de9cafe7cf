"""Names that cannot be those of an index are refused before anything is made."""

import asyncio

import pytest

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, EdgeClient

WRONG = [
    ".",
    "..",
    "",
    "  ",
    ".hidden",
    "a/b",
    "a\\b",
    "a:b",
    "a\nb",
    "a\x00b",
    "a" * 256,
    "é" * 128,
    "a" * 240,  # the collection's own name would be too long
    "support.decisions",
    "support.queries",
    "support.0123456789abcdef.changes",
    "support.op.0123456789abcdef",
]


@pytest.mark.parametrize("name", WRONG, ids=ascii)
def test_it_is_refused_wherever_an_index_is_named(tmp_path, encoder, fake_server, name):
    with pytest.raises(ValueError, match="an index cannot be called"):
        ConfidenceIndex(tmp_path / "new", encoder, collection=name)
    with pytest.raises(ValueError, match="an index cannot be called"):
        AsyncConfidenceIndex(tmp_path / "new", encoder, collection=name)
    with pytest.raises(ValueError, match="an index cannot be called"):
        ConfidenceIndex(fake_server.url, encoder, collection=name)
    with ConfidenceIndex(tmp_path / "there", encoder) as index:
        with pytest.raises(ValueError, match="an index cannot be called"):
            index.copy_to(tmp_path / "new", collection=name)
        index.snapshot(tmp_path / "file")
    with pytest.raises(ValueError, match="an index cannot be called"):
        ConfidenceIndex.restore(tmp_path / "file", tmp_path / "new", collection=name)
    assert not (tmp_path / "new").exists()
    assert fake_server.requests == []


@pytest.mark.parametrize("name", ["a", "Support-2.0", "données", "a b", "x" * 200, "opera", "decisions", "my.ops"])
def test_other_names_are_taken(tmp_path, encoder, name):
    with ConfidenceIndex(tmp_path / "i", encoder, collection=name) as index:
        index.add(["my card"], ids=["a"])
        index.decide("a", "keep")
    with EdgeClient(tmp_path / "i") as client:
        assert client.count(name).count == 1


def test_a_name_is_a_text(tmp_path, encoder):
    with pytest.raises(TypeError, match="must be a text"):
        ConfidenceIndex(tmp_path / "i", encoder, collection=7)


def test_a_copy_has_the_name_of_the_index(tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "i", encoder, collection="support") as index:
        index.add(["my card"])
        index.copy_to(tmp_path / "copy")
    with ConfidenceIndex(tmp_path / "copy", collection="support") as copy:
        assert len(copy) == 1


def test_a_copy_has_the_name_of_the_index_for_coroutines_too(tmp_path, encoder):
    async def go():
        async with AsyncConfidenceIndex(tmp_path / "i", encoder, collection="support") as index:
            await index.add(["my card"])
            await index.copy_to(tmp_path / "copy")

    asyncio.run(go())
    with ConfidenceIndex(tmp_path / "copy", collection="support") as copy:
        assert len(copy) == 1
