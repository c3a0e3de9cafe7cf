"""What ``check`` and ``info`` tell of nodes, shards and copies.

The answers are those of ``tests/fake_server.py``, which says what it takes from Qdrant's API.
"""

import json

import pytest
from typer.testing import CliRunner

from fg_search import AsyncConfidenceIndex, ConfidenceIndex, IndexSettings
from fg_search.cli import app

NODE_3 = "http://node-3:6335"


@pytest.fixture
def cluster(fake_server):
    fake_server.nodes = {node: f"http://node-{node}:6335" for node in (1, 2, 3)}
    return fake_server


@pytest.fixture
def filled(cluster, encoder, rows):
    with ConfidenceIndex(cluster.url, encoder, settings=IndexSettings(shards=6, replicas=2)) as index:
        index.add(**rows)
        index.decide("d0", "keep")
        index.decisions()
        yield index


def points_of(cluster):
    """Collection of the points of the index."""
    return next(alias.collection_name for alias in cluster.client.get_aliases().aliases)


def mark_dead(cluster, node):
    for shards in cluster.placed.values():
        for copies in shards.values():
            if node in copies:
                copies[node] = "Dead"


def command(cluster, *options):
    return CliRunner().invoke(app, ["check", "--index", cluster.url, *options])


def test_nothing_is_wrong_with_a_whole_cluster(cluster, filled):
    found = filled.check()
    assert found.problems == ()
    assert (found.server, len(found.nodes), found.silent, found.has_majority) == ("1.18.1", 3, (), True)
    points, decisions = found.placements
    assert (points.shards, points.copies, points.wanted, points.write_consistency) == (6, 2, 2, 1)
    assert points.points == (48, 48)
    assert (decisions.collection, decisions.shards, decisions.copies) == ("fg_search.decisions", 1, 2)
    answer = command(cluster)
    assert answer.exit_code == 0
    assert "6 × 2 copies, 48 points, 1 must confirm a write" in answer.stdout  # noqa: RUF001
    assert "nothing is wrong" in answer.stdout
    assert "http://node-1:6335, http://node-2:6335, http://node-3:6335" in " ".join(answer.stdout.split())
    assert "one node is asked here" in answer.stdout
    assert "one node is asked here" not in command(cluster, "--index", f"{cluster.url},http://127.0.0.1:9").stdout


def test_a_node_that_is_away_is_told_with_the_copies_on_it(cluster, filled):
    cluster.away = {3}
    mark_dead(cluster, 3)
    found = filled.check()
    assert found.silent == (NODE_3,)
    assert found.placements[0].copies == 1
    assert found.placements[0].points is None
    assert f"the node {NODE_3} does not answer" in found.problems
    dead = [problem for problem in found.problems if problem.endswith(f"on {NODE_3} is Dead")]
    assert sum("fg_search.decisions" not in problem for problem in dead) == 4
    answer = command(cluster)
    assert answer.exit_code == 3
    assert NODE_3 in answer.stdout


def test_a_copy_that_is_being_filled_is_told(cluster, filled):
    cluster.placed[points_of(cluster)][2] = {1: "Active", 2: "Partial"}
    (problem,) = filled.check().problems
    assert problem.endswith("shard 2 on http://node-2:6335 is Partial")


def test_too_few_copies_are_told(cluster, filled):
    cluster.placed[points_of(cluster)][2] = {1: "Active"}
    (problem,) = filled.check().problems
    assert "a shard has 1 copy of 2" in problem


def test_copies_that_differ_are_told(cluster, filled, clock):
    name = points_of(cluster)
    records, _ = cluster.client.scroll(name, limit=3)
    cluster.unequal[name] = {record.id for record in records}
    (problem,) = filled.check().problems
    assert "the copies differ, 45 to 48 points" in problem


def test_copies_that_differ_for_a_moment_are_not(cluster, filled, clock):
    name = points_of(cluster)
    records, _ = cluster.client.scroll(name, limit=3)
    cluster.unequal[name] = {record.id for record in records}
    agree, clock.wait = clock.wait, lambda seconds: (agree(seconds), cluster.unequal.clear())
    assert filled.check().problems == ()


def test_a_write_consistency_that_stops_all_writes_is_told(cluster, filled):
    cluster.created[points_of(cluster)]["write_consistency_factor"] = 2
    (problem,) = filled.check().problems
    assert "2 of 2 copies must confirm a write" in problem


def test_a_log_of_fewer_copies_is_told(cluster, filled):
    cluster.created["fg_search.decisions"]["replication_factor"] = 1
    assert any("fg_search.decisions is to have 1 copy, the index 2" in problem for problem in filled.check().problems)


def test_no_majority_is_told_first(cluster, filled):
    cluster.away = {2, 3}
    found = filled.check()
    assert not found.has_majority
    assert found.problems[0].startswith("no majority of nodes answers")
    assert command(cluster).exit_code == 3


def test_the_strict_mode_is_told(cluster, filled):
    cluster.strict = {"max_query_limit": 100}
    assert filled.check().placements[0].strict_mode == {"enabled": True, "max_query_limit": 100}
    assert "max_query_limit=100" in command(cluster).stdout


def test_a_copy_that_was_not_finished_is_told(cluster, filled):
    cluster.client.update_collection(points_of(cluster), metadata={"fg_search_incomplete": "elsewhere"})
    assert "fg_search lacks a part of what was being copied to it; run the copy again" in filled.check().problems


def test_a_program_gets_the_same_as_json(cluster, filled):
    mark_dead(cluster, 3)
    answer = command(cluster, "--json")
    found = json.loads(answer.stdout)
    assert answer.exit_code == 3
    assert len(found["placements"]) == 2
    assert found["placements"][0]["shards"] == 6
    assert found["problems"]


def test_a_server_that_cannot_be_asked_is_another_exit_code(cluster, filled):
    cluster.stop()
    assert command(cluster, "--retry-for", "0").exit_code == 1


def test_a_single_server_has_no_nodes(fake_server, encoder):
    with ConfidenceIndex(fake_server.url, encoder) as index:
        found = index.check()
    assert (found.nodes, found.has_majority, found.problems) == ((), True, ())
    assert found.placements[0].points == (0, 0)


@pytest.mark.parametrize("path", ["GET /cluster$", "GET .*/cluster$"])
def test_what_an_api_key_may_not_ask_is_left_out(cluster, filled, path):
    cluster.fail(path, *[403] * 9)
    assert filled.check().problems == ()


def test_an_index_that_runs_here_is_well(local):
    found = local.check()
    assert (found.server, found.placements, found.problems) == (None, (), ())


async def check_with_coroutines(url):
    async with AsyncConfidenceIndex(url) as index:
        return await index.check()


def test_coroutines_tell_the_same(cluster, filled):
    import asyncio

    assert asyncio.run(check_with_coroutines(cluster.url)) == filled.check()


def test_info_tells_shards_and_copies(cluster, filled):
    mark_dead(cluster, 3)
    found = filled.info().placement
    assert (found.shards, found.copies, found.wanted) == (6, 1, 2)
    answer = CliRunner().invoke(app, ["info", "--index", cluster.url])
    assert "6 × 1 of 2 copies" in answer.stdout  # noqa: RUF001


def test_info_of_an_index_that_runs_here_has_none(local):
    assert local.info().placement is None
