"""Shards and copies of an index and of its logs, on a server that says it is a cluster of three nodes."""

import logging

import pytest

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.errors import ServerError

ON_TWO = IndexSettings(shards=6, replicas=2)


@pytest.fixture
def cluster(fake_server):
    fake_server.nodes = {node: f"http://node-{node}:6335" for node in (1, 2, 3)}
    return fake_server


@pytest.fixture
def filled(cluster, encoder, rows):
    with ConfidenceIndex(cluster.url, encoder, settings=ON_TWO) as index:
        index.add(**rows)
        yield index


def on_one_copy(cluster, name, number):
    """Let some points be on one copy of their shard alone. Return the ids of those that still are."""
    aliases = {alias.alias_name: alias.collection_name for alias in cluster.client.get_aliases().aliases}
    records, _ = cluster.client.scroll(aliases[name], limit=number)
    return cluster.unequal.setdefault(aliases[name], {record.id for record in records})


@pytest.mark.parametrize(("replicas", "confirming"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3)])
def test_a_write_is_confirmed_by_fewer_copies_than_there_are(replicas, confirming):
    assert IndexSettings(replicas=replicas).write_consistency == confirming
    assert IndexSettings(replicas=replicas).check_copies() is None


def test_more_confirming_copies_than_copies_are_refused(cluster, encoder):
    with pytest.raises(ValueError, match="write_consistency=3 is more than replicas=2"):
        ConfidenceIndex(cluster.url, encoder, settings=IndexSettings(replicas=2, write_consistency=3))
    assert cluster.client.get_collections().collections == []


def test_as_many_confirming_copies_as_copies_are_warned_of(cluster, encoder, caplog):
    with caplog.at_level(logging.WARNING):
        ConfidenceIndex(cluster.url, encoder, settings=IndexSettings(replicas=2, write_consistency=2)).close()
    assert "when one node is lost, every write is refused" in caplog.text
    caplog.clear()
    ConfidenceIndex(cluster.url, encoder).close()  # it is there, and nobody can choose any more
    assert not caplog.messages


def test_more_copies_than_nodes_are_warned_of(cluster, encoder, caplog):
    with caplog.at_level(logging.WARNING):
        ConfidenceIndex(cluster.url, encoder, settings=IndexSettings(replicas=5)).close()
    assert "replicas=5, but there are 3 nodes" in caplog.text


@pytest.mark.parametrize("value", ["strongest", 1])
def test_an_ordering_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="ordering must be one of 'weak', 'medium', 'strong'"):
        IndexSettings(ordering=value)


@pytest.mark.parametrize("value", ["most", 0, True, 1.5])
def test_a_consistency_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="consistency must be"):
        IndexSettings(consistency=value)


def test_searches_ask_as_many_copies_as_the_settings_say(cluster, encoder, rows):
    with ConfidenceIndex(cluster.url, encoder, settings=IndexSettings(replicas=2, consistency="quorum")) as index:
        index.add(**rows)
    with ConfidenceIndex(cluster.url, encoder) as index:
        index.search("please help my card is stolen")
    assert cluster.options[-1]["consistency"] == "quorum"


def test_what_a_refused_write_has_left_on_one_copy_is_written_again(cluster, encoder, rows):
    with ConfidenceIndex(cluster.url, encoder, settings=ON_TWO) as index:
        index.add(**rows)
        unequal = on_one_copy(cluster, "fg_search", 5)
        report = index.add(**rows)
    assert report.written == 5
    assert not unequal


def test_the_same_with_a_copy(cluster, filled):
    filled.copy_to(cluster.url, collection="copy")
    unequal = on_one_copy(cluster, "copy", 7)
    assert filled.copy_to(cluster.url, collection="copy").written == 7
    assert not unequal


def test_adding_and_searching_go_on_while_a_node_is_away(cluster, filled, rows, clock):
    for copies in cluster.placed.values():
        for shard in copies.values():
            shard.update({node: "Dead" for node in shard if node == 3})
    cluster.away = {3}
    assert filled.add(**{**rows, "texts": [f"{text} today" for text in rows["texts"]]}).written == 48
    assert filled.search("please help my card is stolen").hits
    assert not clock.pauses


def test_the_log_of_decisions_can_be_read_while_a_node_is_away_and_a_decision_waits(cluster, filled, clock):
    filled.decide("d0", "keep")
    for copies in cluster.placed.values():
        for shard in copies.values():
            shard.update({node: "Dead" for node in shard if node == 3})
    assert [decision.id for decision in filled.decisions()] == ["d0"]
    assert [decision.id for decision in filled.decisions(limit=1)] == ["d0"]
    for copies in cluster.placed["fg_search.decisions"].values():
        copies[3] = "Dead"
    filled.client.update_collection("fg_search.decisions", metadata={})
    assert [decision.id for decision in filled.decisions()] == ["d0"]
    assert not clock.pauses
    with pytest.raises(ServerError, match="asked for 60 s"):
        filled.decide("d1", "keep")


def test_logs_have_one_shard_in_as_many_copies_as_the_index(cluster, filled):
    filled.log_queries("all")
    filled.search("please help my card is stolen")
    filled.decide("d0", "keep")
    filled.decisions()
    for log in ("fg_search.decisions", "fg_search.queries"):
        made = cluster.created[log]
        assert (made["shard_number"], made["replication_factor"], made["write_consistency_factor"]) == (1, 2, 1)


def test_logs_of_fewer_copies_get_more_when_an_index_is_opened(cluster, filled, encoder):
    filled.decide("d0", "keep")
    filled.decisions()
    log = "fg_search.decisions"
    cluster.placed[log] = {0: {1: "Active"}, 1: {2: "Active"}, 2: {3: "Active"}}
    cluster.created[log] = {"shard_number": 3, "replication_factor": 1}
    ConfidenceIndex(cluster.url, encoder).close()
    assert [len(copies) for copies in cluster.placed[log].values()] == [2, 2, 2]
    assert cluster.created[log]["replication_factor"] == 2
    asked = cluster.counted(f"POST /collections/{log}/cluster")
    ConfidenceIndex(cluster.url, encoder).close()
    assert cluster.counted(f"POST /collections/{log}/cluster") == asked


def test_a_key_that_may_not_raise_them_opens_the_index_all_the_same(cluster, filled, encoder, caplog):
    filled.decide("d0", "keep")
    filled.decisions()
    cluster.created["fg_search.decisions"]["replication_factor"] = 1
    cluster.fail("PATCH .*decisions", 403)
    with caplog.at_level(logging.WARNING), ConfidenceIndex(cluster.url, encoder) as index:
        assert index.search("please help my card is stolen").hits
    assert "has fewer copies than the index" in caplog.text


def test_a_copy_on_a_server_keeps_shards_and_copies(cluster, filled):
    filled.copy_to(cluster.url, collection="copy")
    with ConfidenceIndex(cluster.url, collection="copy") as copied:
        assert copied.metadata.settings == ON_TWO


@pytest.mark.parametrize("where", ["folder", ":memory:"])
def test_a_copy_in_a_folder_has_neither(filled, tmp_path, where):
    place = tmp_path / "copy" if where == "folder" else where
    assert filled.copy_to(place).points == 48
    if where == "folder":
        with ConfidenceIndex(place) as copied:
            assert copied.metadata.settings == IndexSettings()


def test_a_copy_to_a_cluster_is_brought_up_to_date_without_saying_its_shards_again(cluster, tmp_path, encoder, rows):
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        index.add(**rows)
        index.copy_to(cluster.url, settings=ON_TWO)
        index.delete(["d0"])
        index.relabel({"d1": "other"})
        with pytest.raises(ValueError, match="other settings"):
            index.copy_to(cluster.url, settings=IndexSettings(shards=3))
        index.add(["a new text"], ids=["d0"])
        assert index.copy_to(cluster.url).written > 0
