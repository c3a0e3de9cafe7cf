"""An index that has lost its name, and collections that say what they are for."""

import pytest
from qdrant_client import models

from fg_search import ConfidenceIndex, EdgeClient
from fg_search.errors import IndexNotFoundError


@pytest.fixture
def lost(tmp_path, encoder, rows):
    """Folder of an index whose alias is gone."""
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(**rows)
    with EdgeClient(tmp_path / "i") as client:
        gone = models.DeleteAlias(alias_name="fg_search")
        client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=gone)])
    return tmp_path / "i"


def test_whoever_opens_an_index_without_a_name_is_told_and_makes_no_new_one(lost, encoder):
    for arguments in ((), (encoder,)):
        with pytest.raises(IndexNotFoundError, match=r"has lost its name.*48 points.*fg-search recover"):
            ConfidenceIndex(lost, *arguments)


def test_the_name_is_given_back(lost, encoder):
    found = ConfidenceIndex.recover(lost)
    assert (found.points, found.fingerprint, found.complete) == (48, encoder.fingerprint, True)
    with ConfidenceIndex(lost, encoder) as index:
        assert len(index) == 48
        with pytest.raises(ValueError, match="has its name"):
            ConfidenceIndex.recover(index.client)


def test_of_several_collections_one_has_to_be_chosen(lost, encoder, tmp_path):
    with EdgeClient(lost) as client:
        (first,) = [collection.name for collection in client.get_collections().collections]
        with ConfidenceIndex(client, encoder, collection="other") as other:
            other.add(["one text"])
            snapshot = client.create_snapshot(other.collection)
            file = client.snapshot_path(other.collection, snapshot.name)
            second = "fg_search.0123456789abcdef"
            client.recover_snapshot(second, file)
            operation = client.get_collection(second).config.metadata["fg_search_operation"]
            client.update_collection(second, metadata={"fg_search_operation": {**operation, "id": second[-16:]}})
        with pytest.raises(ValueError, match=r"choose one of 2 collections.*--from"):
            ConfidenceIndex.recover(client)
        with pytest.raises(IndexNotFoundError, match="no lost collection 'mine'"):
            ConfidenceIndex.recover(client, source="mine")
        assert ConfidenceIndex.recover(client, source=first).points == 48


def test_there_may_be_nothing_to_recover(tmp_path, encoder):
    with EdgeClient(tmp_path / "i") as client, pytest.raises(IndexNotFoundError, match="no collection"):
        ConfidenceIndex.recover(client)
