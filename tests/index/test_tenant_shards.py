"""Tenants in shards: one shard is asked about a tenant, on a cluster whose shards have keys as Qdrant's have."""

from collections.abc import Iterator

import pytest
from fake_server import FakeServer
from qdrant_client import models
from sharded_client import KeyedClient
from typer.testing import CliRunner

from fg_search import ConfidenceIndex, IndexSettings
from fg_search.cli import app

COUNT = 16  # items of each tenant
QUESTION = "please help my card is stolen"
SHARDED = IndexSettings(tenant_key="owner", tenant_sharding=["large"], shards=3, replicas=2)
TENANTS = ["large", "cedar", "oak", "pine", "elm"]


@pytest.fixture
def rows(rows):
    return {name: values[::3] for name, values in rows.items()}


@pytest.fixture
def cluster() -> Iterator[FakeServer]:
    server = FakeServer(KeyedClient())
    server.nodes = {node: f"http://node-{node}:6335" for node in (1, 2, 3)}
    yield server
    server.stop()
    server.client.close()


@pytest.fixture
def shared(cluster, encoder, rows) -> Iterator[ConfidenceIndex]:
    embeddings = encoder.encode(rows["texts"])
    with ConfidenceIndex(cluster.url, encoder, settings=SHARDED) as index:
        for tenant in TENANTS:
            index.tenant(tenant).add(**rows, embeddings=embeddings)
        yield index


def keys_of(cluster):
    """Keys of the shards of the collection that the name of the index leads to."""
    return cluster.client.keys[cluster.client._name("fg_search")]


def shards_asked(cluster, call):
    """How many shards each read of points asked, and what the call returned."""
    cluster.client.asked.clear()
    result = call()
    return {len(keys) for _, keys in cluster.client.asked}, result


def contents(index):
    return {
        tenant: sorted(index.tenant(tenant).labels_of([f"d{i}" for i in range(COUNT)]).items()) for tenant in TENANTS
    }


def test_tenants_share_shards_on_all_nodes_and_large_ones_have_their_own(cluster, shared):
    assert keys_of(cluster) == ["shared-0-of-3", "shared-1-of-3", "shared-2-of-3", "large"]
    placed = cluster.placed[cluster.client._name("fg_search")]
    assert [sorted(copies) for copies in placed.values()] == [[1, 2], [2, 3], [1, 3], [1, 2]]
    counts = [shard.count(cluster.client._name("fg_search")).count for shard in cluster.client._shards[:4]]
    assert counts[3] == COUNT
    assert sum(counts) == COUNT * len(TENANTS)
    assert all(counts)


@pytest.mark.parametrize("tenant", ["large", "cedar"])
def test_a_search_of_a_tenant_asks_one_shard(cluster, shared, encoder, rows, tenant):
    with ConfidenceIndex(":memory:", encoder) as alone:
        alone.add(**rows)
        own = shared.tenant(tenant)
        for options in (
            {"rank_by": "features"},
            {"rank_by": "both"},
            {"rank_by": "base", "confidence_weight": 1.0},
            {"rank_by": "features", "min_confidence": 0.3},
        ):
            asked, found = shards_asked(cluster, lambda options=options: own.search(QUESTION, limit=9, **options))
            assert asked == {1}
            expected = alone.search(QUESTION, limit=9, **options).hits
            assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in expected], abs=1e-2)  # ties
        asked, found = shards_asked(cluster, lambda: own.search_groups(QUESTION, group_by="parity"))
        assert (asked, len(found.groups)) == ({1}, 2)
        for call in (lambda: len(own), own.labels, own.info, own.review, lambda: own.labels_of(["d0"])):
            asked, _ = shards_asked(cluster, call)
            assert asked == {1}


def test_adding_asks_and_writes_one_shard_and_a_new_tenant_needs_none_to_be_made(cluster, shared, rows):
    before = cluster.counted("PUT .*/shards$")
    asked, report = shards_asked(cluster, lambda: shared.tenant("new").add(**rows))
    assert (asked, report.written) == ({1}, COUNT)
    assert shared.tenant("new").add(**rows).unchanged == COUNT
    assert cluster.counted("PUT .*/shards$") == before


def test_corrections_decisions_and_deletions_of_a_tenant_are_its_own(shared):
    one, other = shared.tenant("cedar"), shared.tenant("large")
    before = other.labels_of(["d0", "d3", "d6"])
    assert one.relabel({"d0": "other"}) == 1
    one.decide("d3", "label", label="other")
    one.decide("d6", "delete")
    assert [decision.id for decision in one.decisions()] == ["d3", "d6"]
    assert one.undo().id == "d6"
    one.score_labels()
    assert one.delete(["d9", "d12"]) == 2
    assert one.labels_of(["d0", "d3", "d9"]) == {"d0": "other", "d3": "other"}
    assert other.labels_of(["d0", "d3", "d6"]) == before
    assert (len(one), len(other)) == (COUNT - 2, COUNT)


def test_what_is_about_all_tenants_asks_all_shards(cluster, shared):
    asked, scored = shards_asked(cluster, shared.score_labels)
    assert 4 in asked
    assert scored.items == COUNT * len(TENANTS)
    assert shared.tenant("pine").review(kind="contradicted") is not None


def test_migrating_and_refitting_keep_shards_also_those_that_a_tenant_was_given_since(
    cluster, shared, other_encoder, tmp_path
):
    before, name = contents(shared), cluster.client._name("fg_search")
    shared.client.create_shard_key(name, "oak")  # nothing was written for it since
    points = models.Filter(must=[models.FieldCondition(key="owner", match=models.MatchValue(value="oak"))])
    records = shared.client.scroll(name, scroll_filter=points, limit=100, with_vectors=True)[0]
    moved = [models.PointStruct(id=record.id, vector=record.vector, payload=record.payload) for record in records]
    shared.client.upsert(name, moved, shard_key_selector="oak")
    number = [key for key in keys_of(cluster) if key != "oak"]
    shared.client.delete(name, [record.id for record in records], shard_key_selector=number)
    assert contents(shared) == before
    shared.migrate(other_encoder)
    assert set(keys_of(cluster)) == {"shared-0-of-3", "shared-1-of-3", "shared-2-of-3", "large", "oak"}
    assert contents(shared) == before
    shared.refit(tmp_path / "new")
    assert len(keys_of(cluster)) == 5
    assert contents(shared) == before
    asked, found = shards_asked(cluster, lambda: shared.tenant("oak").search(QUESTION))
    assert (asked, len(found.hits)) == ({1}, 10)


def test_a_copy_on_a_cluster_keeps_shards_and_one_in_a_folder_has_none(cluster, shared, tmp_path):
    before = contents(shared)
    shared.copy_to(cluster.url, collection="copy")
    assert len(cluster.client.keys[cluster.client._name("copy")]) == 4
    with ConfidenceIndex(cluster.url, collection="copy") as copied:
        assert contents(copied) == before
        assert copied.metadata.settings == SHARDED
        assert shared.copy_to(cluster.url, collection="copy").written == 0
        copied.tenant("large").delete(["d0"])
        assert shared.copy_to(cluster.url, collection="copy").written == 1
    shared.copy_to(tmp_path / "folder")
    with ConfidenceIndex(tmp_path / "folder") as local:
        assert contents(local) == before
        assert local.metadata.settings == IndexSettings(tenant_key="owner")


def test_an_interrupted_copy_goes_on_with_all_shards(cluster, shared):
    cluster.fail("PUT .*/shards$", *[(403, {})])
    with pytest.raises(Exception, match="403"):
        shared.copy_to(cluster.url, collection="copy")
    cluster.fail("PUT .*/points$", 403)
    with pytest.raises(Exception, match="403"):
        shared.copy_to(cluster.url, collection="copy")
    assert shared.copy_to(cluster.url, collection="copy").points == COUNT * len(TENANTS)
    assert len(cluster.client.keys[cluster.client._name("copy")]) == 4


def test_a_snapshot_holds_all_shards_and_restores_them(cluster, shared, tmp_path):
    before = contents(shared)
    shared.snapshot(tmp_path / "index.snapshot")
    shared.tenant("large").delete(["d0", "d3"])
    with ConfidenceIndex.restore(tmp_path / "index.snapshot", cluster.url) as restored:
        assert contents(restored) == before
        assert len(keys_of(cluster)) == 4
    assert contents(shared) == before  # a handle that was open finds its way, too


def test_a_handle_follows_an_index_that_gets_another_number_of_shards(cluster, shared, encoder, rows, tmp_path):
    with ConfidenceIndex(
        cluster.url,
        encoder,
        collection="other",
        settings=IndexSettings(tenant_key="owner", tenant_sharding=True, shards=2),
    ) as other:
        other.tenant("cedar").add(**rows)
        other.snapshot(tmp_path / "index.snapshot")
    own = shared.tenant("cedar")
    assert own.search(QUESTION).hits
    ConfidenceIndex.restore(tmp_path / "index.snapshot", cluster.url).close()
    assert len(own.search(QUESTION, limit=48, rank_by="base").hits) == COUNT
    assert own.add(**rows).unchanged == COUNT


def test_without_a_number_there_is_a_shard_for_each_node_that_there_was(cluster, encoder, other_encoder):
    settings = IndexSettings(tenant_key="owner", tenant_sharding=True)
    with ConfidenceIndex(cluster.url, encoder, settings=settings) as index:
        assert keys_of(cluster) == ["shared-0-of-3", "shared-1-of-3", "shared-2-of-3"]
        index.tenant("one").add(["my card"])
        cluster.nodes[4] = "http://node-4:6335"
        index.migrate(other_encoder)
        assert len(keys_of(cluster)) == 3
        assert index.tenant("one").search("my card").hits
        assert index.tenant("one").info().placement.own_shards == ()


@pytest.mark.parametrize("where", ["folder", "memory", "single server"])
def test_elsewhere_tenants_are_kept_apart_by_a_filter(fake_server, encoder, rows, tmp_path, where):
    place = {"folder": tmp_path / "index", "memory": ":memory:", "single server": fake_server.url}[where]
    settings = IndexSettings(tenant_key="owner", tenant_sharding=["large"])
    with ConfidenceIndex(place, encoder, settings=settings) as index:
        index.tenant("large").add(**rows)
        index.tenant("small").add(["my card"])
        assert (len(index.tenant("large")), len(index.tenant("small"))) == (COUNT, 1)
        assert index.tenant("large").search(QUESTION).hits
    if where == "folder":
        answer = CliRunner().invoke(app, ["info", "--index", str(place), "--tenant", "large"])
        assert "there are no shards here" in " ".join(answer.stdout.split())


def test_a_key_that_may_not_ask_for_shards_searches_all_of_them(cluster, shared, encoder):
    cluster.fail("GET .*/cluster$", *[403] * 9)
    with ConfidenceIndex(cluster.url, encoder) as index:
        asked, found = shards_asked(cluster, lambda: index.tenant("cedar").search(QUESTION))
    assert (asked, len(found.hits)) == ({4}, 10)


def test_the_command_line_makes_and_shows_shards(cluster, encoder, saved_encoder, tmp_path):
    (tmp_path / "items.jsonl").write_text('{"text": "my card"}\n')
    answer = CliRunner().invoke(
        app,
        [
            "index",
            str(tmp_path / "items.jsonl"),
            "--index",
            cluster.url,
            "--encoder",
            str(saved_encoder),
            "--no-cache",
            "--tenant-key",
            "owner",
            "--tenant",
            "small",
            "--own-shard",
            "large",
            "--shards",
            "2",
            "--payload-m",
            "16",
        ],
    )
    assert answer.exit_code == 0, answer.output
    assert keys_of(cluster) == ["shared-0-of-2", "shared-1-of-2", "large"]
    answer = CliRunner().invoke(app, ["info", "--index", cluster.url, "--tenant", "small"])
    assert "with shards of their own: large" in " ".join(answer.stdout.split())
    copying = ["copy", cluster.url, cluster.url, "--to-collection", "copy", "--tenant-sharding", "--shards", "1"]
    assert CliRunner().invoke(app, copying).exit_code == 0
    assert cluster.client.keys[cluster.client._name("copy")] == ["shared-0-of-1"]


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_graph_for_each_tenant_takes_the_place_of_that_of_all_items(where, encoder, rows, tmp_path):
    settings = IndexSettings(tenant_key="owner", payload_m=16)
    with ConfidenceIndex(tmp_path / "i" if where == "folder" else ":memory:", encoder, settings=settings) as index:
        index.tenant("one").add(**rows)
        info = index.client.get_collection(index.collection)
        graph = info.config.params.vectors["base"].hnsw_config
        assert (graph.m, graph.payload_m) == (0, 16)
        if where == "folder":  # memory knows no payload indexes
            indexed = {key: each.params for key, each in info.payload_schema.items()}
            assert indexed["owner"].is_tenant
            assert indexed["fg.label"].enable_hnsw is False
        assert index.tenant("one").search(QUESTION, rank_by="base").hits


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"tenant_key": "owner", "tenant_sharding": [""]}, "a tenant is a non-empty string"),
        ({"tenant_key": "owner", "payload_m": 0}, "payload_m"),
        ({"tenant_key": "owner", "payload_m": 16, "base_vectors": "none"}, "leaves out"),
    ],
)
def test_settings_that_make_no_sense_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        IndexSettings(**chosen)


def test_a_text_is_no_list_of_tenants():
    with pytest.raises(TypeError, match="must be True, False or a list of tenants"):
        IndexSettings(tenant_key="owner", tenant_sharding="large")
