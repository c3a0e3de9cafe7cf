"""Points of others in the collection of an index: of another client, or of an encoder that the index had before."""

import pytest
from qdrant_client import models

from fg_search.errors import StorageError

QUESTION = "please help my card is stolen"


@pytest.fixture
def visited(local, rows):
    """An index whose collection another client writes to, as langchain-qdrant does."""
    local.add(**rows)
    vector = local.encoder.encode([QUESTION]).base[0].tolist()
    payload = {"page_content": QUESTION, "metadata": {}}
    points = [models.PointStruct(id=i, vector={"base": vector}, payload=payload) for i in range(3)]
    local.client.upsert(local.collection, points)
    return local


def test_they_are_found_by_no_search_and_counted(visited, rows, questions, tmp_path):
    own = set(rows["ids"])
    for rank_by in ("base", "both", "features"):
        hits = visited.search(QUESTION, limit=60, rank_by=rank_by).hits
        assert hits
        assert {hit.id for hit in hits} <= own
    assert visited.search_groups(QUESTION, group_by="fg.label", rank_by="base").groups
    info = visited.info()
    assert (info.points, info.strangers, sum(info.confidence_histogram)) == (48, 3, 48)


def test_scoring_calibrating_reviewing_and_copying_leave_them_out(visited, rows, questions, tmp_path):
    visited.calibrate(*questions(100, 0), rank_by="base")
    assert visited.score_labels().items == visited.score_items().items == 48
    assert visited.review(kind="ambiguous", evidence=3)
    assert visited.copy_to(tmp_path / "copy").points == 48


def test_a_migration_would_lose_them_and_says_so(visited, other_encoder):
    with pytest.raises(StorageError, match="3 points that another client has written"):
        visited.migrate(other_encoder)
    assert len(visited.search(QUESTION).hits) == 10


def test_vectors_of_another_encoder_are_left_out_and_mended_by_adding_the_items_again(local, rows, other_encoder):
    local.add(**rows)
    wrong = local.search(QUESTION, limit=1).hits[0].id
    point = local._state.point_id(wrong)
    model = {"model": other_encoder.fingerprint}  # as a release before 0.2 could mix them
    local.client.set_payload(local.collection, model, points=[point], key="fg")
    assert wrong not in {hit.id for hit in local.search(QUESTION, limit=48).hits}
    assert local.info().strangers == 1
    assert local.add(**rows).written == 1
    assert wrong in {hit.id for hit in local.search(QUESTION, limit=48).hits}
    assert local.info().strangers == 0
