"""One shard, six shards and a folder give the same hits and scores, in one order, whatever the options."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from qdrant_client import models
from sharded_client import ShardedClient

from fg_search import ConfidenceIndex

QUESTIONS = ["please help my card is stolen", ["pizza with cheese", "my oven"], "book a flight"]
EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])
OPTIONS: dict[str, dict[str, Any]] = {
    "features": {"rank_by": "features"},
    "base": {"rank_by": "base"},
    "both": {"rank_by": "both"},
    "weighted features": {"rank_by": "features", "confidence_weight": 1.0},
    "weighted base": {"rank_by": "base", "confidence_weight": 2.5},
    "weighted both": {"rank_by": "both", "confidence_weight": 0.5},
    "filtered": {"rank_by": "both", "query_filter": EVEN, "min_confidence": 0.4},
    "filtered and weighted": {"rank_by": "features", "query_filter": EVEN, "confidence_weight": 3.0},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


@pytest.fixture(scope="module")
def indexes(encoder, corpus, tmp_path_factory) -> Iterator[dict[str, ConfidenceIndex]]:
    """Each text four times, in a folder, in one shard and in six."""
    # the same words in another order are the same to the model, but for the last digit, which differs by engine
    same = {frozenset(text.split()): (text, label) for text, label in zip(*corpus, strict=True)}
    texts, labels = map(list, zip(*same.values(), strict=True))
    count = 4 * len(texts)
    with ExitStack() as stack:
        locations = {
            "folder": tmp_path_factory.mktemp("folder") / "index",
            "one shard": ShardedClient(1),
            "six shards": ShardedClient(6),
        }
        found = {name: stack.enter_context(ConfidenceIndex(place, encoder)) for name, place in locations.items()}
        for index in found.values():
            index.add(
                texts * 4,
                ids=list(range(count)),
                labels=labels * 4,
                payloads=[{"parity": i % 2, "part": f"part {i % 7}"} for i in range(count)],
            )
        yield found


def shown(hits: Any) -> list[tuple[Any, Any, Any]]:
    return [(hit.id, pytest.approx(hit.score, abs=1e-5), pytest.approx(hit.ranking_score, abs=1e-5)) for hit in hits]


@every_option
def test_hits_and_scores_are_the_same_everywhere(indexes, options):
    folder = indexes["folder"].search_many(QUESTIONS, limit=60, **options)
    for name in ("one shard", "six shards"):
        for there, here in zip(indexes[name].search_many(QUESTIONS, limit=60, **options), folder, strict=True):
            assert [(hit.id, hit.score, hit.ranking_score) for hit in there.hits] == shown(here.hits)


@every_option
def test_groups_are_the_same_everywhere(indexes, options):
    def groups(name):
        found = indexes[name].search_groups(QUESTIONS[0], group_by="part", limit=4, group_size=3, **options).groups
        return [(group.value, group.hits) for group in found]

    folder = groups("folder")
    assert len(folder) == 4
    for name in ("one shard", "six shards"):
        there = groups(name)
        assert [value for value, _ in there] == [value for value, _ in folder]
        for (_, hits), (_, expected) in zip(there, folder, strict=True):
            assert [(hit.id, hit.score, hit.ranking_score) for hit in hits] == shown(expected)


@every_option
@pytest.mark.parametrize("name", ["folder", "one shard", "six shards"])
def test_equal_scores_have_one_order_and_pages_are_parts_of_it(indexes, name, options):
    def ids(**page):
        return [hit.id for hit in indexes[name].search(QUESTIONS[0], **options, **page).hits]

    whole = ids(limit=60)
    assert len(set(whole)) == len(whole)
    assert all(ids(limit=60) == whole for _ in range(3))
    assert ids(limit=10) == whole[:10]
    assert [hit for offset in range(0, 60, 7) for hit in ids(limit=7, offset=offset)][:60] == whole
    hits = indexes[name].search(QUESTIONS[0], limit=60, **options).hits
    keys = [(-hit.ranking_score, hit.id) for hit in hits]
    assert keys == sorted(keys)


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_a_confidence_weight_finds_the_best_of_all_items(indexes, weight):
    everything = indexes["folder"].search(QUESTIONS[0], limit=192, rank_by="base").hits
    best = sorted(-max(hit.score, 0) * hit.confidence**weight for hit in everything)[:5]
    for index in indexes.values():
        hits = index.search(QUESTIONS[0], limit=5, rank_by="base", confidence_weight=weight).hits
        assert [-hit.ranking_score for hit in hits] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("rank_by", ["features", "base"])
def test_groups_hold_the_best_hits_although_others_come_first(indexes, rank_by):
    for index in indexes.values():
        everything = index.search(QUESTIONS[0], limit=192, rank_by=rank_by).hits
        groups = index.search_groups(QUESTIONS[0], group_by="part", limit=7, group_size=20, rank_by=rank_by).groups
        for group in groups:
            best = [hit.id for hit in everything if hit.payload["part"] == group.value][:20]
            assert [hit.id for hit in group.hits] == best
