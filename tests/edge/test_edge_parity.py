"""The same calls on EdgeClient and on QdrantClient(":memory:"), compared field by field."""

import math
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES, examples
from qdrant_client import QdrantClient, models

from fg_search.edge.client import EdgeClient

TOLERANCE = 1e-5
SIZE = 6
POINTS = 30
SEEDS = (0, 1)
COLLECTION = "points"
# one of the worlds has payload indexes, since an index must not change what a filter finds
INDEXES = {
    "n": "integer",
    "x": "float",
    "fg.confidence": "float",
    "when": "datetime",
    "color": "keyword",
    "weight": "float",
    "flag": "bool",
    "place": "geo",
}
ORDERED_KEYS = ("n", "x", "fg.confidence", "when")

parity = settings(
    max_examples=examples(150),
    suppress_health_check=WITH_FIXTURES,
)


# --- random points ---------------------------------------------------------------------------------------


def _vector(rng: random.Random) -> list[float]:
    return [rng.gauss(0, 1) for _ in range(SIZE)]


def _sparse(rng: random.Random) -> models.SparseVector:
    indices = rng.sample(range(12), rng.randint(1, 6))
    return models.SparseVector(indices=indices, values=[rng.uniform(0.05, 1) for _ in indices])


def _payload(rng: random.Random) -> dict[str, Any]:
    colors = ["red", "green", "blue", None]
    payload: dict[str, Any] = {
        "color": rng.choice([*colors, ["red", "blue"], []]),
        "n": rng.choice([-2, -1, 0, 1, 2, [1, 5]]),
        "x": rng.choice([rng.uniform(-1, 1), None]),
        "weight": rng.choice([rng.uniform(-1, 1), 1, -2]),
        "flag": rng.random() < 0.5,
        "text": " ".join(rng.choices(["Card", "eaten", "bank", "loan", "the", "machine"], k=3)),
        "when": f"202{rng.randint(0, 5)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T00:00:00Z",
        "place": {"lon": rng.uniform(-10, 10), "lat": rng.uniform(-10, 10)},
        "fg": {"confidence": rng.random(), "label": rng.choice(["a", "b", None]), "codes": [1, 2]},
        "items": [{"a": rng.randint(0, 3), "b": rng.choice("xy")} for _ in range(rng.randint(0, 3))],
    }
    for key in list(payload):
        if key != "fg" and rng.random() < 0.2:
            del payload[key]
    return payload


def _point_id(number: int) -> int | str:
    return number if number % 3 else f"00000000-0000-0000-0000-{number:012d}"


def _points(seed: int) -> list[models.PointStruct]:
    rng = random.Random(seed)
    points = []
    for number in range(POINTS):
        vectors: dict[str, Any] = {"base": _vector(rng), "features": _sparse(rng), "far": _vector(rng)}
        if number % 7 == 6:
            del vectors[rng.choice(["base", "features"])]
        points.append(models.PointStruct(id=_point_id(number), vector=vectors, payload=_payload(rng)))
    return points


@dataclass
class Pair:
    """An EdgeClient and a QdrantClient with the same content."""

    edge: EdgeClient
    local: QdrantClient

    def each(self, call: Callable[[Any], Any]) -> tuple[Any, Any]:
        return call(self.edge), call(self.local)


def _create(client: Any, name: str = COLLECTION) -> None:
    cosine, euclid = models.Distance.COSINE, models.Distance.EUCLID
    client.create_collection(
        name,
        vectors_config={
            "base": models.VectorParams(size=SIZE, distance=cosine),
            "far": models.VectorParams(size=SIZE, distance=euclid),
        },
        sparse_vectors_config={"features": models.SparseVectorParams()},
    )


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pair]]:
    pairs = []
    for seed in SEEDS:
        pair = Pair(EdgeClient(tmp_path_factory.mktemp("edge")), QdrantClient(":memory:"))
        for client in (pair.edge, pair.local):
            _create(client)
            client.upsert(COLLECTION, points=_points(seed))
        for key, kind in INDEXES.items():
            if seed == SEEDS[0] or key in ORDERED_KEYS:  # Edge can only order by indexed keys
                pair.edge.create_payload_index(COLLECTION, key, kind)
        pairs.append(pair)
    yield pairs
    for pair in pairs:
        pair.edge.close()
        pair.local.close()


# --- comparing -------------------------------------------------------------------------------------------


def plain(value: Any, about: Callable[[float], Any] = lambda number: number) -> Any:
    """Convert a payload or vectors to plain values; the order in a sparse vector does not count."""
    if isinstance(value, models.SparseVector):
        value = dict(zip(value.indices, value.values, strict=True))
    if isinstance(value, dict):
        return {key: plain(item, about) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, about) for item in value]
    return about(value) if isinstance(value, float) else value


def about(value: Any) -> Any:
    """Equal up to the rounding of float32 arithmetic."""
    return plain(value, lambda number: pytest.approx(number, rel=1e-6, abs=TOLERANCE))


def assert_same_contents(point: Any, other: Any) -> None:
    assert plain(point.payload) == about(other.payload)  # Edge may change a number's last bit
    assert plain(point.vector) == about(other.vector)
    assert type(point.vector) is type(other.vector)


def assert_same_records(ours: list[Any], theirs: list[Any]) -> None:
    assert [point.id for point in ours] == [point.id for point in theirs]
    for point, other in zip(ours, theirs, strict=True):
        assert_same_contents(point, other)


def assert_same_hits(ours: list[Any], theirs: list[Any]) -> None:
    """Scores agree in order; points agree except those that tie with the last hit."""
    assert [hit.score for hit in ours] == [about(float(hit.score)) for hit in theirs]
    if not ours:
        return
    last = theirs[-1].score
    by_id = {hit.id: hit for hit in ours}
    for other in theirs:
        if other.id not in by_id:
            assert math.isclose(other.score, last, abs_tol=2 * TOLERANCE), f"{other.id} is missing"
            continue
        hit = by_id[other.id]
        assert hit.score == about(float(other.score))
        assert_same_contents(hit, other)


def outcome(call: Callable[[], Any]) -> Any:
    """Return the result of a call, or the type of its exception."""
    try:
        return call()
    except Exception as error:
        return type(error)


# --- random requests -------------------------------------------------------------------------------------

keys = st.sampled_from(
    [
        "color",
        "n",
        "x",
        "flag",
        "when",
        "text",
        "weight",
        "fg.confidence",
        "fg.label",
        "fg",
        "items",
        "items[].a",
        "nope",
    ]
)
numbers = st.one_of(st.integers(-3, 3), st.floats(-1, 1, width=32))
# ranges have the type of their field, because an index decides what a range means for values of another type: an
# integer index does not see 2.5, a datetime index reads numbers as microseconds
number_keys = st.sampled_from(["n", "x", "weight", "fg.confidence", "items[].a", "fg.codes", "color", "nope"])
bounds = st.fixed_dictionaries({}, optional=dict.fromkeys(("gt", "gte", "lt", "lte"), numbers))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1)).map(lambda moment: moment.replace(fold=0))
day_bounds = st.fixed_dictionaries({}, optional=dict.fromkeys(("gt", "gte", "lt", "lte"), moments))
counts = st.fixed_dictionaries({}, optional={name: st.integers(0, 3) for name in ("gt", "gte", "lt", "lte")})
degrees = st.floats(-12, 12, width=32)
places = st.builds(models.GeoPoint, lon=degrees, lat=degrees)
words = st.lists(st.sampled_from(["card", "Eaten", "bank", "car", "the"]), min_size=1, max_size=2).map(" ".join)
values = st.one_of(st.sampled_from(["red", "blue", "a", "x"]), st.integers(-2, 5), st.booleans())
value_lists = st.one_of(
    st.lists(st.sampled_from(["red", "blue", "a", "x"]), max_size=3), st.lists(st.integers(-2, 5), max_size=3)
)
matches = st.one_of(
    st.builds(models.MatchValue, value=values),
    st.builds(models.MatchAny, any=value_lists),
    st.builds(lambda unwanted: models.MatchExcept(**{"except": unwanted}), value_lists),
    st.builds(models.MatchText, text=words),
    st.builds(models.MatchTextAny, text_any=words),
    st.builds(models.MatchPhrase, phrase=words),
    st.builds(models.MatchPrefix, prefix=st.sampled_from(["r", "Card e", "b"])),
    st.builds(models.MatchSubstring, substring=st.sampled_from(["e", "ten b", "lue"])),
)


@st.composite
def boxes(draw: st.DrawFn) -> models.GeoBoundingBox:
    (west, east), (south, north) = (sorted((draw(degrees), draw(degrees))) for _ in range(2))
    return models.GeoBoundingBox(
        top_left=models.GeoPoint(lon=west, lat=north), bottom_right=models.GeoPoint(lon=east, lat=south)
    )


@st.composite
def polygons(draw: st.DrawFn) -> models.GeoPolygon:
    """A triangle, in some cases with a similar hole."""
    corners = [(draw(degrees), draw(degrees)) for _ in range(3)]
    lon, lat = (sum(values) / 3 for values in zip(*corners, strict=True))
    rings = [
        models.GeoLineString(
            points=[
                models.GeoPoint(lon=lon + scale * (x - lon), lat=lat + scale * (y - lat))
                for x, y in [*corners, corners[0]]
            ]
        )
        for scale in (1.0, 0.5)
    ]
    return models.GeoPolygon(exterior=rings[0], interiors=rings[1:] if draw(st.booleans()) else None)


ids = st.integers(0, POINTS + 3).map(_point_id)
fields = st.one_of(
    st.builds(models.FieldCondition, key=keys, match=matches),
    st.builds(models.FieldCondition, key=number_keys, range=bounds.map(lambda b: models.Range(**b))),
    st.builds(models.FieldCondition, key=st.just("when"), range=day_bounds.map(lambda b: models.DatetimeRange(**b))),
    st.builds(models.FieldCondition, key=keys, values_count=counts.map(lambda b: models.ValuesCount(**b))),
    st.builds(models.FieldCondition, key=keys, is_empty=st.booleans()),
    st.builds(models.FieldCondition, key=keys, is_null=st.booleans()),
    st.builds(
        models.FieldCondition,
        key=st.just("place"),
        geo_radius=st.builds(models.GeoRadius, center=places, radius=st.floats(1e5, 1e6)),
    ),
    st.builds(models.FieldCondition, key=st.just("place"), geo_bounding_box=boxes()),
    st.builds(models.FieldCondition, key=st.just("place"), geo_polygon=polygons()),
)
nested_fields = st.builds(
    models.FieldCondition,
    key=st.sampled_from(["a", "b"]),
    match=st.builds(models.MatchValue, value=st.one_of(st.integers(0, 3), st.sampled_from("xy"))),
)
conditions = st.one_of(
    fields,
    st.builds(lambda key: models.IsEmptyCondition(is_empty=models.PayloadField(key=key)), keys),
    st.builds(lambda key: models.IsNullCondition(is_null=models.PayloadField(key=key)), keys),
    st.builds(models.HasIdCondition, has_id=st.lists(ids, max_size=8)),
    st.builds(models.HasVectorCondition, has_vector=st.sampled_from(["base", "features", "far"])),
    st.builds(
        lambda must: models.NestedCondition(nested=models.Nested(key="items", filter=models.Filter(must=must))),
        st.lists(nested_fields, min_size=1, max_size=2),
    ),
    st.builds(
        lambda total, index: models.SliceCondition(slice=models.Slice(total=total, index=index % total)),
        st.integers(1, 3),
        st.integers(0, 2),
    ),
)


def _filters(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[models.Filter]:
    clause = st.lists(inner, min_size=1, max_size=2)
    min_should = st.builds(
        models.MinShould, conditions=st.lists(inner, min_size=1, max_size=3), min_count=st.integers(1, 2)
    )
    return st.fixed_dictionaries(
        {}, optional={"must": clause, "should": clause, "must_not": clause, "min_should": min_should}
    ).map(lambda clauses: models.Filter(**clauses))


filters = st.one_of(_filters(conditions), _filters(st.one_of(conditions, _filters(conditions))))
maybe_filters = st.one_of(st.none(), filters)
seeds = st.integers(0, 10_000)
unlike = seeds.map(lambda seed: _vector(random.Random(20_000 + seed)))
dense = seeds.map(lambda seed: _vector(random.Random(seed)))
sparse = seeds.map(lambda seed: _sparse(random.Random(seed)))
sparse_unlike = seeds.map(lambda seed: _sparse(random.Random(20_000 + seed)))
limits = st.integers(1, 12)
selectors = st.sampled_from(
    [True, False, [], ["fg.confidence", "color"], models.PayloadSelectorExclude(exclude=["fg", "items[].a"])]
)
vector_selectors = st.sampled_from([True, False, [], ["features"], ["base", "far"]])
which_world = st.integers(0, len(SEEDS) - 1)


@st.composite
def leaves(draw: st.DrawFn, strategies: Sequence[Any] = (None, *models.RecommendStrategy)) -> dict[str, Any]:
    """A search by vector, by point id, or by examples."""
    using = draw(st.sampled_from(["base", "features", "far"]))
    vector = sparse if using == "features" else dense
    example = st.one_of(vector, ids)
    # a point that is both a positive and a negative example ties scores and leaves the ranks to chance
    wanted = st.one_of(vector, st.integers(0, 9).map(_point_id))
    unwanted = st.one_of(sparse_unlike if using == "features" else unlike, st.integers(10, POINTS + 3).map(_point_id))
    query = draw(
        st.one_of(
            vector,
            example,
            st.builds(models.NearestQuery, nearest=example),
            st.builds(
                lambda positive, negative, strategy: models.RecommendQuery(
                    recommend=models.RecommendInput(positive=positive, negative=negative, strategy=strategy)
                ),
                st.lists(wanted, min_size=1, max_size=2),
                st.one_of(st.none(), st.lists(unwanted, min_size=1, max_size=2)),
                st.sampled_from(strategies),
            ),
        )
    )
    return {"query": query, "using": using}


@st.composite
def prefetches(draw: st.DrawFn) -> models.Prefetch:
    # the other strategies tie the scores of several points and leave their ranks to chance
    leaf = draw(leaves(strategies=[None, models.RecommendStrategy.AVERAGE_VECTOR]))
    return models.Prefetch(**leaf, filter=draw(maybe_filters), limit=draw(st.integers(3, 20)))


fusions = st.one_of(
    st.just(models.FusionQuery(fusion=models.Fusion.RRF)),
    st.just(models.FusionQuery(fusion=models.Fusion.DBSF)),
    st.builds(
        lambda k, weights: models.RrfQuery(rrf=models.Rrf(k=k, weights=weights)),
        st.one_of(st.none(), st.integers(1, 60)),
        st.one_of(st.none(), st.lists(st.floats(0.125, 4, width=32), min_size=2, max_size=2)),
    ),
)
# "x" and "n" are not used as variables: local mode raises on null and lists, Edge uses what the index holds
variables = st.sampled_from(["$score", "$score[1]", "fg.confidence", "weight", 0.5, -1.5, 2.0])


def _terms(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    decay = st.builds(
        models.DecayParamsExpression,
        x=inner,
        target=st.one_of(st.none(), inner),
        scale=st.one_of(st.none(), st.floats(0.5, 4)),
        midpoint=st.one_of(st.none(), st.floats(0.125, 0.75)),
    )
    return st.one_of(
        st.builds(models.MultExpression, mult=several),
        st.builds(models.SumExpression, sum=several),
        st.builds(models.MaxExpression, max=several),
        st.builds(models.MinExpression, min=several),
        st.builds(models.NegExpression, neg=inner),
        st.builds(models.AbsExpression, abs=inner),
        st.builds(models.SqrtExpression, sqrt=inner),
        st.builds(models.LnExpression, ln=inner),
        st.builds(models.Log10Expression, log10=inner),
        st.builds(models.ExpExpression, exp=inner),
        st.builds(models.AcoshExpression, acosh=inner),
        st.builds(lambda b, e: models.PowExpression(pow=models.PowParams(base=b, exponent=e)), inner, inner),
        st.builds(
            lambda left, right, default: models.DivExpression(
                div=models.DivParams(left=left, right=right, by_zero_default=default)
            ),
            inner,
            inner,
            st.sampled_from([None, 1.0]),
        ),
        st.builds(models.LinDecayExpression, lin_decay=decay),
        st.builds(models.ExpDecayExpression, exp_decay=decay),
        st.builds(models.GaussDecayExpression, gauss_decay=decay),
    )


dates_and_places = st.sampled_from(
    [
        models.GaussDecayExpression(
            gauss_decay=models.DecayParamsExpression(
                x=models.DatetimeKeyExpression(datetime_key="when"),
                target=models.DatetimeExpression(datetime="2022-06-01T00:00:00Z"),
                scale=3e7,
            )
        ),
        models.ExpDecayExpression(
            exp_decay=models.DecayParamsExpression(
                x=models.GeoDistance(
                    geo_distance=models.GeoDistanceParams(origin=models.GeoPoint(lon=1, lat=2), to="place")
                ),
                scale=1e6,
            )
        ),
    ]
)
atoms = st.one_of(variables, conditions, dates_and_places)
formulas = st.one_of(_terms(atoms), _terms(st.one_of(atoms, _terms(atoms))))
DEFAULTS = {"weight": 0.25, "$score[1]": 0.5, "when": "2021-01-01T00:00:00Z", "place": {"lon": 0.0, "lat": 0.0}}


# --- reading ---------------------------------------------------------------------------------------------


@parity
@given(which=which_world, query_filter=filters)
def test_filters_find_the_same_points(worlds: list[Pair], which: int, query_filter: models.Filter) -> None:
    ours, theirs = worlds[which].each(lambda c: c.scroll(COLLECTION, query_filter, limit=POINTS))
    assert_same_records(ours[0], theirs[0])
    ours, theirs = worlds[which].each(lambda c: c.count(COLLECTION, query_filter))
    assert ours == theirs


@parity
@given(
    which=which_world,
    leaf=leaves(),
    query_filter=maybe_filters,
    limit=limits,
    offset=st.integers(0, 3),
    with_payload=selectors,
    with_vectors=vector_selectors,
)
def test_searches_give_the_same_hits(worlds: list[Pair], which: int, leaf: dict[str, Any], **options: Any) -> None:
    ours, theirs = worlds[which].each(lambda c: outcome(lambda: c.query_points(COLLECTION, **leaf, **options).points))
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_same_hits(ours, theirs)


@parity
@given(which=which_world, sources=st.lists(prefetches(), min_size=2, max_size=2), fusion=fusions, limit=limits)
def test_fusions_give_the_same_hits(
    worlds: list[Pair], which: int, sources: list[models.Prefetch], fusion: Any, limit: int
) -> None:
    ours, theirs = worlds[which].each(
        lambda c: outcome(lambda: c.query_points(COLLECTION, query=fusion, prefetch=sources, limit=limit).points)
    )
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_same_hits(ours, theirs)


@parity
@given(which=which_world, sources=st.lists(prefetches(), min_size=1, max_size=2), formula=formulas, limit=limits)
def test_formulas_give_the_same_hits(
    worlds: list[Pair], which: int, sources: list[models.Prefetch], formula: Any, limit: int
) -> None:
    query = models.FormulaQuery(formula=formula, defaults=DEFAULTS)
    ours, theirs = worlds[which].each(
        lambda c: outcome(lambda: c.query_points(COLLECTION, query=query, prefetch=sources, limit=limit).points)
    )
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_same_hits(ours, theirs)


def _in_context(query: Any) -> list[Any]:
    return [models.ContextPair(positive=query, negative=2), models.ContextPair(positive=1, negative=query)]


@parity
@given(which=which_world, vector=dense, other=dense, limit=limits)
def test_discovery_context_feedback_and_diversity_give_the_same_hits(
    worlds: list[Pair], which: int, vector: list[float], other: list[float], limit: int
) -> None:
    queries = [
        models.DiscoverQuery(discover=models.DiscoverInput(target=vector, context=_in_context(other))),
        models.ContextQuery(context=_in_context(vector)),
        models.NearestQuery(nearest=vector, mmr=models.Mmr(diversity=0.4, candidates_limit=15)),
        models.RelevanceFeedbackQuery(
            relevance_feedback=models.RelevanceFeedbackInput(
                target=vector,
                feedback=[models.FeedbackItem(example=1, score=0.9), models.FeedbackItem(example=other, score=0.1)],
                strategy=models.NaiveFeedbackStrategy(naive=models.NaiveFeedbackStrategyParams(a=1.0, b=0.8, c=0.6)),
            )
        ),
    ]
    for query in queries:
        ours, theirs = worlds[which].each(
            lambda c, query=query: c.query_points(COLLECTION, query=query, using="base", limit=limit).points
        )
        assert_same_hits(ours, theirs)


@parity
@given(
    which=which_world,
    nearest=st.one_of(sparse, ids),
    diversity=st.sampled_from([None, 0.1, 0.4, 0.9]),
    candidates=st.one_of(st.none(), st.integers(0, 40)),
    query_filter=maybe_filters,
    limit=limits,
    offset=st.integers(0, 3),
    with_payload=selectors,
    with_vectors=vector_selectors,
)
def test_diversity_of_sparse_vectors_gives_the_same_hits(
    worlds: list[Pair], which: int, nearest: Any, diversity: float | None, candidates: int | None, **options: Any
) -> None:
    query = models.NearestQuery(nearest=nearest, mmr=models.Mmr(diversity=diversity, candidates_limit=candidates))
    ours, theirs = worlds[which].each(
        lambda c: outcome(lambda: c.query_points(COLLECTION, query=query, using="features", **options).points)
    )
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_same_records(ours, theirs)
        assert [hit.score for hit in ours] == [about(float(hit.score)) for hit in theirs]


FORMULA_ERRORS = {
    "variable": "nope",
    "logarithm": models.LnExpression(ln=-1.0),
    "root": models.SqrtExpression(sqrt=models.NegExpression(neg=2.0)),
    "division": models.DivExpression(div=models.DivParams(left=1.0, right=0.0)),
    "exponent": models.ExpExpression(exp=1e5),
    "power": models.PowExpression(pow=models.PowParams(base=0.0, exponent=-5.0)),
    "too large": models.MultExpression(mult=[1e30, 1e30]),
    "not a place": models.GeoDistance(
        geo_distance=models.GeoDistanceParams(origin=models.GeoPoint(lon=1, lat=1), to="weight")
    ),
}


@pytest.mark.parametrize("formula", FORMULA_ERRORS.values(), ids=FORMULA_ERRORS.keys())
@pytest.mark.parametrize("is_nested", [False, True], ids=["query", "prefetch"])
def test_a_formula_that_fails_says_why_as_local_mode_does(worlds: list[Pair], formula: Any, is_nested: bool) -> None:
    query, source = models.FormulaQuery(formula=formula), PRE
    if is_nested:
        query, source = models.FormulaQuery(formula="$score"), models.Prefetch(query=query, prefetch=PRE)
    messages = []
    for client in (worlds[0].edge, worlds[0].local):
        with pytest.raises(ValueError, match=r".+") as caught:
            client.query_points(COLLECTION, query=query, prefetch=source)
        messages.append(str(caught.value))
    ours, theirs = messages
    assert ours == theirs or ("non-finite" in ours and ("non-finite" in theirs or "range" in theirs))


@parity
@given(which=which_world, inner=st.lists(prefetches(), min_size=2, max_size=2), outer=prefetches(), limit=limits)
def test_prefetches_of_prefetches_and_a_threshold_give_the_same_hits(
    worlds: list[Pair], which: int, inner: list[models.Prefetch], outer: models.Prefetch, limit: int
) -> None:
    fused = models.Prefetch(prefetch=inner, query=models.FusionQuery(fusion=models.Fusion.RRF), limit=200)
    ours, theirs = worlds[which].each(
        lambda c: outcome(
            lambda: (
                c.query_points(
                    COLLECTION,
                    prefetch=[fused, outer],
                    query=models.FormulaQuery(formula=models.SumExpression(sum=["$score", "$score[1]"])),
                    limit=limit,
                    score_threshold=0.3,
                ).points
            )
        )
    )
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        assert_same_hits(ours, theirs)


@parity
@given(
    which=which_world,
    key=st.sampled_from(ORDERED_KEYS),
    direction=st.sampled_from([None, *models.Direction]),
    start=st.one_of(st.none(), st.floats(-1, 1)),
    query_filter=maybe_filters,
)
def test_order_by_gives_the_same_order(
    worlds: list[Pair], which: int, key: str, direction: Any, start: float | None, query_filter: Any
) -> None:
    if start is not None and key == "when":
        start = datetime(2022, 5, 1)
    if start is not None and key == "n":
        start = round(start)
    order = models.OrderBy(key=key, direction=direction, start_from=start)
    ours, theirs = worlds[which].each(
        lambda c: c.scroll(COLLECTION, scroll_filter=query_filter, order_by=order, limit=POINTS * 2)
    )
    assert [point.order_value for point in ours[0]] == [pytest.approx(point.order_value) for point in theirs[0]]
    assert sorted((str(point.id), point.order_value) for point in ours[0]) == [
        (point_id, pytest.approx(value))
        for point_id, value in sorted((str(point.id), point.order_value) for point in theirs[0])
    ]
    assert ours[1] is theirs[1] is None


@pytest.mark.parametrize("limit", [1, 7, POINTS])
def test_scrolling_page_by_page_gives_the_same_pages(worlds: list[Pair], limit: int) -> None:
    def pages(client: Any) -> list[Any]:
        found, offset = [], None
        while True:
            records, offset = client.scroll(COLLECTION, limit=limit, offset=offset, with_vectors=True)
            found.append((records, offset))
            if offset is None:
                return found

    ours, theirs = worlds[0].each(pages)
    assert [offset for _, offset in ours] == [offset for _, offset in theirs]
    for (records, _), (others, _) in zip(ours, theirs, strict=True):
        assert_same_records(records, others)


def test_a_batch_answers_as_its_queries_do_one_by_one(worlds: list[Pair]) -> None:
    rng = random.Random(5)
    requests = [
        models.QueryRequest(query=_vector(rng), using="base", limit=4, with_payload=True, with_vector=True),
        models.QueryRequest(query=_sparse(rng), using="features", limit=5),
        models.QueryRequest(query=models.OrderByQuery(order_by="fg.confidence"), limit=6),
        models.QueryRequest(query=1, using="far", filter=models.Filter(must=[]), offset=2),
        models.QueryRequest(limit=3),
    ]
    ours, theirs = worlds[0].each(lambda c: c.query_batch_points(COLLECTION, requests))
    for response, other in zip(ours, theirs, strict=True):
        assert_same_hits(response.points, other.points)


@parity
@given(which=which_world, query_filter=maybe_filters, using=st.sampled_from(["base", "features", "far"]), limit=limits)
def test_matrices_hold_the_same_scores(
    worlds: list[Pair], which: int, query_filter: Any, using: str, limit: int
) -> None:
    options = {"query_filter": query_filter, "using": using, "sample": 100}  # all points, so that nothing is random
    ours, theirs = worlds[which].each(lambda c: c.search_matrix_offsets(COLLECTION, limit=100, **options))
    assert ours.ids == theirs.ids
    cells = [
        {(row, column): pytest.approx(score, abs=TOLERANCE) for row, column, score in zip(*triples, strict=True)}
        for triples in ((m.offsets_row, m.offsets_col, m.scores) for m in (ours, theirs))
    ]
    assert cells[0] == cells[1]
    pairs = worlds[which].edge.search_matrix_pairs(COLLECTION, limit=limit, **options).pairs
    by_point = {(pair.a, pair.b): pair.score for pair in pairs}
    for row, point_id in enumerate(ours.ids):
        best = [score for at, score in zip(ours.offsets_row, ours.scores, strict=True) if at == row][:limit]
        assert [score for (a, _), score in by_point.items() if a == point_id] == best


@parity
@given(which=which_world, query_filter=maybe_filters, key=st.sampled_from(["color", "flag", "n"]), limit=limits)
def test_facets_count_the_same(worlds: list[Pair], which: int, query_filter: Any, key: str, limit: int) -> None:
    ours, theirs = worlds[0].each(
        lambda c: c.facet(COLLECTION, key, facet_filter=query_filter, limit=limit, exact=True).hits
    )
    assert [hit.count for hit in ours] == [hit.count for hit in theirs]
    least = theirs[-1].count if theirs else 0
    assert {hit.value for hit in ours if hit.count > least} == {hit.value for hit in theirs if hit.count > least}


# --- groups ----------------------------------------------------------------------------------------------


def assert_same_groups(pair: Pair, limit: int, group_size: int, **options: Any) -> None:
    """Groups and hits agree in order, except for points that share a score."""

    def groups(client: Any, limit: int = limit, group_size: int = group_size) -> Any:
        return client.query_points_groups(COLLECTION, limit=limit, group_size=group_size, **options)

    ours, theirs = pair.each(lambda client: outcome(lambda: groups(client)))
    if isinstance(theirs, type):
        assert ours is theirs
        return
    assert len(ours.groups) == len(theirs.groups)
    if not theirs.groups:
        return
    assert ours.groups[0].hits[0].score == about(float(theirs.groups[0].hits[0].score))
    everything = groups(pair.local, POINTS, POINTS)
    least = min(hit.score for group in theirs.groups for hit in group.hits)
    ranked = sorted({hit.id: hit.score for group in everything.groups for hit in group.hits}.values(), reverse=True)
    if any(better - worse < 1e-3 for better, worse in pairwise(ranked) if better >= least - TOLERANCE):
        return
    for group, other in zip(ours.groups, theirs.groups, strict=True):
        assert (group.id, type(group.id)) == (other.id, type(other.id))
        assert [hit.id for hit in group.hits] == [hit.id for hit in other.hits]
        assert_same_hits(group.hits, other.hits)


# formulas and fusions that produce few ties
untied = st.one_of(
    formulas.map(
        lambda formula: models.FormulaQuery(formula=models.SumExpression(sum=[formula, "$score"]), defaults=DEFAULTS)
    ),
    st.just(models.FusionQuery(fusion=models.Fusion.DBSF)),
    st.integers(1, 60).map(lambda k: models.RrfQuery(rrf=models.Rrf(k=k, weights=[1.0, 0.37]))),
)


@parity
@given(
    which=which_world,
    leaf=leaves(strategies=[None, models.RecommendStrategy.AVERAGE_VECTOR]),
    group_by=st.sampled_from(["color", "n", "x", "flag", "fg.label", "items[].a", "items[].b", "when", "nope"]),
    query_filter=maybe_filters,
    limit=st.integers(1, 6),
    group_size=st.integers(1, 4),
    with_payload=selectors,
    with_vectors=vector_selectors,
)
def test_groups_are_the_same(worlds: list[Pair], which: int, leaf: dict[str, Any], **options: Any) -> None:
    assert_same_groups(worlds[which], **leaf, **options)


@parity
@given(
    which=which_world,
    sources=st.lists(prefetches(), min_size=2, max_size=2),
    query=untied,
    group_by=st.sampled_from(["color", "n", "fg.label", "items[].a"]),
    group_size=st.integers(1, 3),
    limit=st.integers(1, 5),
)
def test_groups_of_prefetched_points_are_the_same(worlds: list[Pair], which: int, sources: Any, **options: Any) -> None:
    assert_same_groups(worlds[which], prefetch=sources, **options)


@pytest.mark.parametrize(
    "query",
    [
        None,
        models.OrderByQuery(order_by=models.OrderBy(key="fg.confidence", direction=models.Direction.DESC)),
        models.NearestQuery(nearest=[0.3] * SIZE, mmr=models.Mmr(diversity=0.4)),
        models.DiscoverQuery(
            discover=models.DiscoverInput(target=[0.3] * SIZE, context=[models.ContextPair(positive=1, negative=2)])
        ),
    ],
)
def test_groups_of_other_queries_are_the_same(worlds: list[Pair], query: Any) -> None:
    using = "base" if isinstance(query, (models.NearestQuery, models.DiscoverQuery)) else None
    ours, theirs = worlds[0].each(
        lambda c: c.query_points_groups(COLLECTION, "color", query=query, using=using, limit=3, group_size=2)
    )
    assert [(group.id, [hit.id for hit in group.hits]) for group in ours.groups] == [
        (group.id, [hit.id for hit in group.hits]) for group in theirs.groups
    ]


@pytest.mark.parametrize("lookup", ["shops", models.WithLookup(collection="shops", with_vectors=True), "nope"])
def test_groups_bring_the_points_of_another_collection(worlds: list[Pair], lookup: Any) -> None:
    pair = worlds[0]
    for client in (pair.edge, pair.local):
        if not client.collection_exists("shops"):
            _create(client, "shops")
            client.upsert("shops", [models.PointStruct(id=n, vector={"base": Q}, payload={"n": n}) for n in (0, 1, 5)])
    for key in ("n", "color"):
        ours, theirs = pair.each(
            lambda c, key=key: outcome(
                lambda: (
                    c.query_points_groups(COLLECTION, key, query=1, using="far", with_lookup=lookup, limit=10).groups
                )
            )
        )
        if isinstance(theirs, type):
            assert ours is theirs
            continue
        assert [group.id for group in ours] == [group.id for group in theirs]
        for group, other in zip(ours, theirs, strict=True):
            assert (group.lookup is None) == (other.lookup is None)
            if group.lookup is not None:
                assert_same_records([group.lookup], [other.lookup])


@pytest.mark.parametrize("index", [None, "keyword", "integer"])
@pytest.mark.parametrize(("limit", "group_size"), [(1, 1), (3, 4), (30, 2), (200, 50)])
def test_small_groups_are_found_behind_large_ones(
    tmp_path: Any, index: str | None, limit: int, group_size: int
) -> None:
    """The nearest points all belong to one group, the next ones to none, and the rest to many small groups."""
    values: list[Any] = ["large"] * 500 + [0.5, True, [1, None], None, []] * 60
    values += [number % 20 if number % 2 else f"s{number % 19}" for number in range(200)]
    values += [
        ["large", 2**63],
        [7, "s1"],
    ]
    points = [
        models.PointStruct(id=number, vector=[1.0, -number / 1000], payload={"in": {"group": value}})
        for number, value in enumerate(values)
    ]
    with EdgeClient(tmp_path) as edge:
        pair = Pair(edge, QdrantClient(":memory:"))
        for client in (pair.edge, pair.local):
            client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.EUCLID))
            client.upsert("c", points=points)
        if index is not None:
            edge.create_payload_index("c", "in.group", index)
        ours, theirs = pair.each(
            lambda c: c.query_points_groups("c", "in.group", [1.0, 0.0], limit=limit, group_size=group_size)
        )
        pair.local.close()
    assert [(group.id, [hit.id for hit in group.hits]) for group in ours.groups] == [
        (group.id, [hit.id for hit in group.hits]) for group in theirs.groups
    ]


# --- writing ---------------------------------------------------------------------------------------------

payloads = st.dictionaries(
    st.sampled_from(["a", "b", "fg"]),
    st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=3), st.fixed_dictionaries({"c": st.integers(0, 3)})),
    max_size=3,
)
few_ids = st.integers(0, 6).map(_point_id)
by_payload = st.builds(
    lambda value: models.Filter(
        must=[models.FieldCondition(key="a", range=models.Range(gte=value))],
    ),
    st.integers(-3, 3),
)
points_selectors = st.one_of(
    st.lists(few_ids, max_size=3),
    by_payload,
    by_payload.map(lambda query_filter: models.FilterSelector(filter=query_filter)),
    st.lists(few_ids, min_size=1, max_size=3).map(lambda points: models.PointIdsList(points=points)),
)
some_vectors = st.fixed_dictionaries({}, optional={"base": dense, "features": sparse, "far": dense})
upserts = st.builds(
    lambda points, mode, condition: ("upsert", {"points": points, "update_mode": mode, "update_filter": condition}),
    # if an id is repeated within one call, Edge checks only its last point, as the server does
    st.lists(
        st.builds(models.PointStruct, id=few_ids, vector=some_vectors, payload=payloads),
        max_size=4,
        unique_by=lambda point: point.id,
    ),
    st.sampled_from([None, None, *models.UpdateMode]),
    st.one_of(st.none(), st.none(), by_payload),
)
writes = st.one_of(
    upserts,
    upserts,
    st.builds(lambda points: ("delete", {"points_selector": points}), points_selectors),
    st.builds(
        lambda points, payload, key: ("set_payload", {"points": points, "payload": payload, "key": key}),
        points_selectors,
        payloads,
        st.sampled_from([None, "fg", "fg.c", "new"]),
    ),
    st.builds(
        lambda points, payload: ("overwrite_payload", {"points": points, "payload": payload}),
        points_selectors,
        payloads,
    ),
    st.builds(
        lambda points, keys: ("delete_payload", {"points": points, "keys": keys}),
        points_selectors,
        st.lists(st.sampled_from(["a", "fg.c", "fg", "x"]), max_size=2),
    ),
    st.builds(lambda points: ("clear_payload", {"points_selector": points}), points_selectors),
    st.builds(
        lambda points: ("update_vectors", {"points": points}),
        st.lists(st.builds(models.PointVectors, id=few_ids, vector=some_vectors), max_size=2),
    ),
    st.builds(
        lambda points, names: ("delete_vectors", {"points": points, "vectors": names}),
        points_selectors,
        st.lists(st.sampled_from(["base", "features"]), max_size=2),
    ),
)


@parity
@given(changes=st.lists(writes, min_size=1, max_size=8))
def test_writes_leave_the_same_points(worlds: list[Pair], changes: list[tuple[str, dict[str, Any]]]) -> None:
    pair = worlds[0]
    for client in (pair.edge, pair.local):
        if not client.collection_exists("written"):
            _create(client, "written")
        client.delete("written", points_selector=models.Filter())
    for method, arguments in changes:
        ours, theirs = pair.each(lambda c, m=method, a=arguments: outcome(lambda: getattr(c, m)("written", **a).status))
        assert ours == theirs, method
    ours, theirs = pair.each(lambda c: c.scroll("written", limit=20, with_vectors=True))
    assert_same_records(ours[0], theirs[0])


def _operation(method: str, arguments: dict[str, Any]) -> Any:
    """Convert a write to an operation of a batch."""
    arguments = dict(arguments)
    selector = arguments.pop("points_selector", None)
    points = arguments.get("points")
    if method in ("set_payload", "overwrite_payload", "delete_payload", "delete_vectors"):
        points = getattr(points, "points", points)
        points = getattr(points, "filter", points)
        arguments["filter" if isinstance(points, models.Filter) else "points"] = points
        if isinstance(points, models.Filter):
            del arguments["points"]
    if method == "delete_vectors":
        arguments["vector"] = arguments.pop("vectors")
    if selector is not None:
        if isinstance(selector, list):
            selector = models.PointIdsList(points=selector)
        if isinstance(selector, models.Filter):
            selector = models.FilterSelector(filter=selector)
    content, operation = {
        "upsert": (models.PointsList, models.UpsertOperation),
        "delete": (None, models.DeleteOperation),
        "set_payload": (models.SetPayload, models.SetPayloadOperation),
        "overwrite_payload": (models.SetPayload, models.OverwritePayloadOperation),
        "delete_payload": (models.DeletePayload, models.DeletePayloadOperation),
        "clear_payload": (None, models.ClearPayloadOperation),
        "update_vectors": (models.UpdateVectors, models.UpdateVectorsOperation),
        "delete_vectors": (models.DeleteVectors, models.DeleteVectorsOperation),
    }[method]
    return operation(**{method: selector if content is None else content(**arguments)})


@parity
@given(changes=st.lists(writes, max_size=8))
def test_a_batch_of_writes_leaves_the_same_points(worlds: list[Pair], changes: list[tuple[str, Any]]) -> None:
    pair = worlds[1]
    for client in (pair.edge, pair.local):
        if not client.collection_exists("written"):
            _create(client, "written")
        client.delete("written", points_selector=models.Filter())
    operations = [_operation(method, arguments) for method, arguments in changes]
    ours, theirs = pair.each(lambda c: outcome(lambda: len(c.batch_update_points("written", operations))))
    assert ours == theirs
    ours, theirs = pair.each(lambda c: c.scroll("written", limit=20, with_vectors=True))
    assert_same_records(ours[0], theirs[0])


def test_columns_become_the_same_points(worlds: list[Pair]) -> None:
    rng = np.random.default_rng(0)
    columns = {"base": rng.standard_normal((9, SIZE)), "far": rng.standard_normal((9, SIZE))}
    pair = worlds[0]
    for client in (pair.edge, pair.local):
        _create(client, "columns")
        client.upload_collection(
            "columns", columns, payload=({"n": n} for n in range(9)), ids=range(1, 10), batch_size=4
        )
        rows = [{"base": row.tolist()} for row in columns["base"]]
        client.upload_collection("columns", iter(rows), ids=[UUID(int=n) for n in range(3)])
        client.upload_collection("columns", [])
    ours, theirs = pair.each(lambda c: c.scroll("columns", limit=100, with_vectors=True)[0])
    assert len(ours) == 12
    assert_same_records(ours, theirs)
    short = columns["base"][:3]
    ours, theirs = pair.each(lambda c: outcome(lambda: c.upload_collection("columns", {"base": short}, ids=[1, 2])))
    assert ours is theirs is ValueError
    uneven = {"base": columns["base"], "far": columns["far"][1:]}
    ours, theirs = pair.each(lambda c: outcome(lambda: c.upload_collection("columns", uneven, ids=range(50, 60))))
    assert ours is theirs is ValueError
    pair.edge.upload_collection("columns", columns)
    assert pair.edge.count("columns").count == 21


class Color(str, Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


# what pydantic makes JSON of; the engine would take some of it for numbers or lists
VALUES = {
    "bytes": b"abc",
    "bytearray": bytearray(b"abc"),
    "decimal": Decimal("19.90"),
    "fraction": Fraction(1, 3),
    "date": date(2024, 5, 1),
    "datetime": datetime(2024, 5, 1, 12),
    "time": time(12, 30),
    "timedelta": timedelta(days=1, seconds=5),
    "uuid": UUID(int=7),
    "set": {5},
    "frozenset": frozenset([5]),
    "tuple": (1, b"x"),
    "deque": deque([Decimal("0.10")]),
    "ordered": OrderedDict(z=b"x", a=1),
    "str enum": Color.RED,
    "int enum": Level.HIGH,
    "model": models.GeoPoint(lon=1.0, lat=2.0),
    "deep": [{"in": [{"price": Decimal("0.30")}, b"b"]}],
    "keys": {1: b"int", None: 2, False: 3, 1.5: 4, Color.RED: 5},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_values_that_are_not_json_are_stored_alike_by_every_write(worlds: list[Pair], value: Any) -> None:
    pair, payload = worlds[1], {"v": value, "other": 1.5}
    change = models.SetPayload.model_construct(payload=payload, points=[4])
    change_in = models.SetPayload.model_construct(payload={"w": value}, points=[4], key="in")
    point = models.PointStruct.model_construct(id=5, vector={}, payload=payload)
    upserted = models.PointsList.model_construct(points=[point])
    for client in (pair.edge, pair.local):
        if client.collection_exists("values"):
            client.delete_collection("values")
        _create(client, "values")
        client.upsert(
            "values", [models.PointStruct.model_construct(id=n, vector={}, payload=payload) for n in (0, 1, 2)]
        )
        batch = models.Batch.model_construct(ids=[3, 4], vectors={"base": [Q, Q]}, payloads=[payload, {}])
        client.upsert("values", batch)
        client.set_payload("values", {"more": value}, points=[0])
        client.set_payload("values", {"v": value}, points=[0], key="in.here")
        client.overwrite_payload("values", {"only": value}, points=[1])
        operations = [
            models.UpsertOperation.model_construct(upsert=upserted),
            models.SetPayloadOperation.model_construct(set_payload=change_in),
            models.OverwritePayloadOperation.model_construct(overwrite_payload=change),
        ]
        client.batch_update_points("values", operations)
        client.upload_points("values", [models.PointStruct.model_construct(id=6, vector={}, payload=payload)])
        client.upload_collection("values", [{"base": Q}], payload=[payload], ids=[7])
    ours, theirs = pair.each(lambda c: c.scroll("values", limit=20)[0])
    assert [(record.id, record.payload) for record in ours] == [(record.id, record.payload) for record in theirs]
    assert len(ours) == 8


NAN, TOO_LONG = float("nan"), [1.0] * (SIZE + 1)
BAD_POINTS = {
    "NaN": {"base": [NAN] * SIZE},
    "wrong size": {"base": TOO_LONG},
    "empty": {"base": []},
    "matrix": {"base": [[1.0] * SIZE]},
    "unknown name": {"other": [1.0] * SIZE},
    "dense for sparse": {"features": [1.0] * SIZE},
    "sparse for dense": {"base": models.SparseVector(indices=[1], values=[1.0])},
    "unnamed": [1.0] * SIZE,
    "sparse NaN": {"features": models.SparseVector(indices=[1], values=[NAN])},
    "sparse repeated": {"features": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])},
    "sparse negative": {"features": models.SparseVector(indices=[-1], values=[1.0])},
    "sparse too large": {"features": models.SparseVector(indices=[2**32], values=[1.0])},
    "sparse lengths": {"features": models.SparseVector(indices=[1, 2], values=[1.0])},
}


@pytest.mark.parametrize("vector", BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_a_bad_point_is_refused_alike_and_leaves_the_batch_unwritten(worlds: list[Pair], vector: Any) -> None:
    batch = [
        models.PointStruct(id=900, vector={"base": [1.0] * SIZE}),
        models.PointStruct.model_construct(id=901, vector=vector, payload=None),
    ]
    ours, theirs = worlds[0].each(lambda c: outcome(lambda: c.upsert(COLLECTION, points=batch)))
    assert ours is theirs is ValueError
    assert worlds[0].edge.retrieve(COLLECTION, [900, 901]) == []


Q, PRE = [1.0] * SIZE, models.Prefetch(query=[1.0] * SIZE, using="base")
RRF = models.FusionQuery(fusion=models.Fusion.RRF)
BAD_CALLS: dict[str, Callable[[Any], Any]] = {
    "no such collection": lambda c: c.count("nope"),
    "collection exists": lambda c: _create(c),
    "no such vector": lambda c: c.query_points(COLLECTION, query=Q, using="nope"),
    "wrong size": lambda c: c.query_points(COLLECTION, query=TOO_LONG, using="base"),
    "dense for sparse": lambda c: c.query_points(COLLECTION, query=Q, using="features"),
    "no such point": lambda c: c.query_points(COLLECTION, query=12345, using="base"),
    "limit": lambda c: c.query_points(COLLECTION, query=Q, using="base", limit=0),
    "offset": lambda c: c.query_points(COLLECTION, query=Q, using="base", offset=-1),
    "prefetch limit": lambda c: c.query_points(
        COLLECTION, query=RRF, prefetch=models.Prefetch(query=Q, using="base", limit=0)
    ),
    "prefetch without query": lambda c: c.query_points(COLLECTION, prefetch=PRE),
    "threshold without query": lambda c: c.query_points(COLLECTION, score_threshold=0.5),
    "fusion without prefetch": lambda c: c.query_points(COLLECTION, query=RRF),
    "fusion with using": lambda c: c.query_points(COLLECTION, query=RRF, prefetch=PRE, using="base"),
    "rrf k": lambda c: c.query_points(COLLECTION, query=models.RrfQuery(rrf=models.Rrf(k=0)), prefetch=[PRE, PRE]),
    "rrf weights": lambda c: c.query_points(
        COLLECTION, query=models.RrfQuery(rrf=models.Rrf(weights=[1.0])), prefetch=[PRE, PRE]
    ),
    "formula without prefetch": lambda c: c.query_points(COLLECTION, query=models.FormulaQuery(formula="$score")),
    "formula variable": lambda c: c.query_points(COLLECTION, query=models.FormulaQuery(formula="nope"), prefetch=PRE),
    "formula score": lambda c: c.query_points(COLLECTION, query=models.FormulaQuery(formula="$score[x]"), prefetch=PRE),
    "formula decay": lambda c: c.query_points(
        COLLECTION,
        query=models.FormulaQuery(
            formula=models.ExpDecayExpression(exp_decay=models.DecayParamsExpression(x="$score", scale=-1.0))
        ),
        prefetch=PRE,
    ),
    "mmr diversity": lambda c: c.query_points(
        COLLECTION, query=models.NearestQuery(nearest=Q, mmr=models.Mmr(diversity=1.5)), using="base"
    ),
    "context without pairs": lambda c: c.query_points(COLLECTION, query=models.ContextQuery(context=[]), using="base"),
    "text over a prefetch": lambda c: c.query_points(
        COLLECTION, query=models.TextQuery(text="card"), using="text", prefetch=PRE
    ),
    "min_should": lambda c: c.count(COLLECTION, models.Filter(min_should=models.MinShould(conditions=[], min_count=0))),
    "slice": lambda c: c.count(
        COLLECTION, models.Filter(must=[models.SliceCondition(slice=models.Slice(total=2, index=2))])
    ),
    "groups limit": lambda c: c.query_points_groups(COLLECTION, "n", query=Q, using="base", limit=0),
    "group size": lambda c: c.query_points_groups(COLLECTION, "n", query=Q, using="base", group_size=0),
    "groups of a missing vector": lambda c: c.query_points_groups(COLLECTION, "n", query=Q, using="nope"),
    "groups prefetch limit": lambda c: c.query_points_groups(
        COLLECTION, "n", query=RRF, prefetch=models.Prefetch(query=Q, using="nope", limit=5)
    ),
    "groups without query": lambda c: c.query_points_groups(COLLECTION, "n", prefetch=PRE),
    "scroll limit": lambda c: c.scroll(COLLECTION, limit=0),
    "scroll offset": lambda c: c.scroll(COLLECTION, order_by="n", offset=1),
    "payload selector": lambda c: c.scroll(COLLECTION, with_payload="fg"),
    "vector selector": lambda c: c.scroll(COLLECTION, with_vectors="base"),
    "no points": lambda c: c.upsert(COLLECTION, points=[]),
    "no ids": lambda c: c.delete(COLLECTION, points_selector=[]),
    "no vector names": lambda c: c.delete_vectors(COLLECTION, vectors=[], points=[1]),
    "unknown vector to delete": lambda c: c.delete_vectors(COLLECTION, vectors=["nope"], points=[1]),
    "missing point": lambda c: c.set_payload(COLLECTION, {"z": 1}, points=[12345]),
    "bad id": lambda c: c.upsert(COLLECTION, [models.PointStruct(id="abc", vector={})]),
    "bad key": lambda c: c.delete_payload(COLLECTION, keys=["a[b"], points=[1]),
    "name": lambda c: c.create_collection("a/b", vectors_config={}),
    "vector size": lambda c: c.create_collection(
        "new", vectors_config=models.VectorParams(size=0, distance=models.Distance.DOT)
    ),
    "vector name": lambda c: c.create_collection(
        "new", vectors_config={"a/b": models.VectorParams(size=2, distance=models.Distance.DOT)}
    ),
    "batch lengths": lambda c: c.upsert(COLLECTION, models.Batch(ids=[1, 2], vectors={"base": [Q]}, payloads=[{}, {}])),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_input_raises_the_same_type(worlds: list[Pair], call: Callable[[Any], Any]) -> None:
    ours, theirs = worlds[0].each(lambda c: outcome(lambda: call(c)))
    assert isinstance(theirs, type)
    assert ours is theirs


@pytest.mark.parametrize("distance", models.Distance)
def test_every_distance_and_an_unnamed_vector_agree(tmp_path: Any, distance: models.Distance) -> None:
    rng = random.Random(3)
    points = [models.PointStruct(id=number, vector=_vector(rng)) for number in range(20)]
    query = _vector(rng)
    with EdgeClient(tmp_path) as edge:
        pair = Pair(edge, QdrantClient(":memory:"))
        for client in (pair.edge, pair.local):
            client.create_collection("c", vectors_config=models.VectorParams(size=SIZE, distance=distance))
            client.upsert("c", points=points)
        ours, theirs = pair.each(lambda c: c.query_points("c", query=query, with_vectors=True).points)
        assert_same_hits(ours, theirs)
        pair.local.close()


def test_multivectors_agree(tmp_path: Any) -> None:
    rng = random.Random(4)
    points = [
        models.PointStruct(id=number, vector={"m": [_vector(rng) for _ in range(rng.randint(1, 3))]})
        for number in range(20)
    ]
    params = models.VectorParams(
        size=SIZE,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    query = [_vector(rng), _vector(rng)]
    with EdgeClient(tmp_path) as edge:
        pair = Pair(edge, QdrantClient(":memory:"))
        for client in (pair.edge, pair.local):
            client.create_collection("c", vectors_config={"m": params})
            client.upsert("c", points=points)
        for by_vector_or_id in (query, 3):
            ours, theirs = pair.each(
                lambda c, query=by_vector_or_id: c.query_points("c", query=query, using="m", with_vectors=True).points
            )
            assert_same_hits(ours, theirs)
        pair.local.close()


def _red(**more: Any) -> models.Filter:
    red = models.FieldCondition(key="color", match=models.MatchValue(value="red"))
    return models.Filter(must=[red], **({"min_should": models.MinShould(conditions=[red], **more)} if more else {}))


@pytest.mark.parametrize(
    "query_filter",
    [
        _red(min_count=2),
        _red(min_count=1),
        models.Filter(must=models.FieldCondition(key="n", range=models.Range(lt=5, lte=0, gt=-5, gte=-1))),
        models.Filter(must=models.FieldCondition(key="n", range=models.Range(lt=1, lte=1, gt=-2, gte=-2))),
        models.Filter(should=[]),
    ],
)
def test_filters_that_edge_alone_reads_otherwise_find_the_same_points(
    worlds: list[Pair], query_filter: models.Filter
) -> None:
    ours, theirs = worlds[0].each(lambda c: c.scroll(COLLECTION, query_filter, limit=POINTS))
    assert_same_records(ours[0], theirs[0])


def test_a_facet_leaves_out_values_that_no_point_has(worlds: list[Pair]) -> None:
    ours, theirs = worlds[0].each(lambda c: c.facet(COLLECTION, "color", facet_filter=_red(), exact=True))
    assert {(hit.value, hit.count) for hit in ours.hits} == {(hit.value, hit.count) for hit in theirs.hits}
    assert all(hit.count for hit in ours.hits)
