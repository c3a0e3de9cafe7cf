"""Points of equal scores come in the order of their ids: in every call, and across pages."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import models

from fg_search.edge import EdgeClient
from fg_search.edge.search import ties

C = "points"
SIZE = 2000
CALLS = 50
SPARSE = models.SparseVector(indices=[1, 2], values=[1.0, 1.0])
SOURCES = [
    models.Prefetch(query=[1.0, 1.0], using="base", limit=60),
    models.Prefetch(query=SPARSE, using="sparse", limit=60),
]
RRF = models.FusionQuery(fusion=models.Fusion.RRF)
CONSTANT = models.FormulaQuery(formula=models.MultExpression(mult=[2.0, "tenth"]))
QUERIES: dict[str, dict[str, Any]] = {
    "dense": {"query": [1.0, 1.0], "using": "base"},
    "distance": {"query": [1.0, 1.0], "using": "far"},
    "sparse": {"query": SPARSE, "using": "sparse"},
    "context": {
        "query": models.ContextQuery(context=[models.ContextPair(positive=[1.0, 0.0], negative=[0.0, 0.0])]),
        "using": "base",
    },
    "RRF": {"query": RRF, "prefetch": SOURCES},
    "weighted RRF": {"query": models.RrfQuery(rrf=models.Rrf(weights=[2.0, 1.0])), "prefetch": SOURCES},
    "DBSF": {"query": models.FusionQuery(fusion=models.Fusion.DBSF), "prefetch": SOURCES},
    "formula": {"query": CONSTANT, "prefetch": SOURCES},
    "formula over RRF": {
        "query": models.FormulaQuery(formula=models.MultExpression(mult=[3.0, "$score"])),
        "prefetch": models.Prefetch(query=RRF, prefetch=SOURCES, limit=14),
    },
    "RRF over RRF": {
        "query": RRF,
        "prefetch": [models.Prefetch(query=RRF, prefetch=SOURCES, limit=33), SOURCES[0]],
    },
    "RRF over a formula": {
        "query": RRF,
        "prefetch": [models.Prefetch(query=CONSTANT, prefetch=SOURCES, limit=33), SOURCES[1]],
    },
    "nearest over a formula": {
        "query": [1.0, 0.5],
        "using": "base",
        "prefetch": models.Prefetch(query=CONSTANT, prefetch=SOURCES, limit=33),
    },
}
every_query = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())


def _id(number: int) -> int | str:
    return number if number % 3 else f"00000000-0000-0000-0000-{number:012d}"


def _rank(point_id: Any) -> tuple[bool, Any]:
    return isinstance(point_id, str), point_id


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeClient]:
    numbers = list(range(SIZE))
    random.Random(0).shuffle(numbers)
    params = {"base": models.Distance.DOT, "far": models.Distance.EUCLID}
    with EdgeClient(tmp_path_factory.mktemp("ties")) as client:
        client.create_collection(
            C,
            vectors_config={name: models.VectorParams(size=2, distance=kind) for name, kind in params.items()},
            sparse_vectors_config={"sparse": models.SparseVectorParams()},
        )
        client.upload_points(
            C,
            (
                models.PointStruct(
                    id=_id(number),
                    vector={
                        "base": [1.0, number // 40],
                        "far": [1.0, number // 40],
                        "sparse": models.SparseVector(indices=[1, 2 + number % 3], values=[1.0, 1.0 + number // 300]),
                    },
                    payload={"tenth": number // 200, "group": number % 7},
                )
                for number in numbers
            ),
        )
        yield client


def _ids(client: EdgeClient, **options: Any) -> list[Any]:
    return [hit.id for hit in client.query_points(C, **options).points]


@every_query
def test_equal_calls_give_one_order(client: EdgeClient, query: dict[str, Any]) -> None:
    assert len({tuple(_ids(client, **query, limit=25)) for _ in range(CALLS)}) == 1


@every_query
def test_equal_scores_are_ordered_by_id(client: EdgeClient, query: dict[str, Any]) -> None:
    hits = client.query_points(C, **query, limit=300).points
    by_score: dict[float, list[Any]] = {}
    for hit in hits:
        by_score.setdefault(hit.score, []).append(hit.id)
    assert max(map(len, by_score.values())) > 1
    assert list(by_score) == sorted(by_score, reverse=query.get("using") != "far")
    assert all(ids == sorted(ids, key=_rank) for ids in by_score.values())


@every_query
@pytest.mark.parametrize("limit", [1, 7, 10])
def test_pages_neither_repeat_nor_lose_points(client: EdgeClient, query: dict[str, Any], limit: int) -> None:
    whole = _ids(client, **query, limit=120)
    pages = [hit for offset in range(0, 120, limit) for hit in _ids(client, **query, limit=limit, offset=offset)]
    assert pages[: len(whole)] == whole
    assert len(set(pages)) == len(pages)


@every_query
def test_a_batch_gives_the_same_order(client: EdgeClient, query: dict[str, Any]) -> None:
    requests = [
        models.QueryRequest(**query, limit=7, offset=offset, with_payload=True, with_vector=["base"])
        for offset in (0, 7, 500)
    ]
    answers = client.query_batch_points(C, requests)
    assert [hit.id for answer in answers[:2] for hit in answer.points] == _ids(client, **query, limit=14)
    for answer in answers:
        records = client.retrieve(C, [hit.id for hit in answer.points], with_vectors=["base"])
        assert [(hit.payload, hit.vector) for hit in answer.points] == [(r.payload, r.vector) for r in records]


@pytest.mark.parametrize("name", ["dense", "sparse", "RRF", "formula"])
def test_groups_come_in_one_order(client: EdgeClient, name: str) -> None:
    answers = {
        str(client.query_points_groups(C, "group", limit=4, group_size=3, **QUERIES[name])) for _ in range(CALLS // 5)
    }
    assert len(answers) == 1


def test_a_filter_and_a_threshold_hold_where_a_fusion_is_below(client: EdgeClient) -> None:
    even = models.Filter(must=models.FieldCondition(key="group", match=models.MatchAny(any=[0, 2, 4])))
    for name in ("formula over RRF", "RRF over RRF", "RRF over a formula"):
        hits = client.query_points(C, **QUERIES[name], query_filter=even, limit=100, score_threshold=0.05).points
        assert hits
        assert all(hit.payload["group"] in (0, 2, 4) and hit.score >= 0.05 for hit in hits)


def test_scores_of_a_fusion_below_a_formula_are_kept_exactly(client: EdgeClient) -> None:
    fused = {hit.id: hit.score for hit in client.query_points(C, **QUERIES["RRF"], limit=14).points}
    source = models.Prefetch(query=RRF, prefetch=SOURCES, limit=14)
    nested = client.query_points(C, models.FormulaQuery(formula="$score"), prefetch=source, limit=20).points
    assert {hit.id: hit.score for hit in nested} == fused


def test_beyond_the_longest_run_pages_still_neither_repeat_nor_lose_points(
    client: EdgeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ties, "_MAX_EXTENSION", 256)
    query = QUERIES["context"]
    assert len(client.query_points(C, **query, limit=SIZE).points) == SIZE
    pages = [point_id for offset in range(0, 250, 10) for point_id in _ids(client, **query, limit=10, offset=offset)]
    assert len(set(pages)) == 250
    assert pages[:60] == _ids(client, **query, limit=60)


def test_a_random_sample_has_no_pages(client: EdgeClient) -> None:
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    twenty = models.Filter(must=models.HasIdCondition(has_id=[_id(number) for number in range(20)]))
    assert len(set(_ids(client, query=sample, query_filter=twenty, limit=20, offset=5))) == 20


def test_a_facet_is_exact_where_a_field_has_many_values(client: EdgeClient) -> None:
    client.create_collection("many", vectors_config={})
    client.upload_points("many", [models.PointStruct(id=n, vector={}, payload={"v": n % 1500}) for n in range(1600)])
    client.create_payload_index("many", "v", "integer")
    hits = client.facet("many", "v", limit=105).hits
    assert [(hit.value, hit.count) for hit in hits] == [(n, 2) for n in range(100)] + [(n, 1) for n in range(100, 105)]
    client.delete_collection("many")
