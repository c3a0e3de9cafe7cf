"""The same calls on EdgeClient and on QdrantClient(":memory:"), compared field by field."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from fg_search.storage.edge import EdgeClient

EXAMPLES = 60  # of each property; the whole file takes some 20 s on two slow cores
TOLERANCE = 1e-5
SIZE = 6
POINTS = 30
SEEDS = (0, 1)
COLLECTION = "points"
# a payload index must not change what a filter finds, so one of the worlds has them
INDEXES = {
    "n": "integer",
    "x": "float",
    "fg.confidence": "float",
    "when": "datetime",
    "color": "keyword",
    "flag": "bool",
    "place": "geo",
}
ORDERED_KEYS = ("n", "x", "fg.confidence", "when")

parity = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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
        "n": rng.choice([-2, -1, 0, 1, 2, [1, 5], 2.5]),
        "x": rng.choice([rng.uniform(-1, 1), None]),
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
    """An EdgeClient and a QdrantClient that were told the same."""

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
            if seed == SEEDS[0] or key in ORDERED_KEYS:  # Edge orders by indexed keys only
                pair.edge.create_payload_index(COLLECTION, key, kind)
        pairs.append(pair)
    yield pairs
    for pair in pairs:
        pair.edge.close()
        pair.local.close()


# --- comparing -------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Vectors and payloads with numbers rounded to what float32 keeps."""
    if isinstance(value, models.SparseVector):
        value = dict(zip(value.indices, value.values, strict=True))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return pytest.approx(value, abs=TOLERANCE)
    return value


def assert_same_records(ours: list[Any], theirs: list[Any]) -> None:
    assert [one.id for one in ours] == [one.id for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.payload == plain(other.payload)  # Edge may read a number back with another last bit
        assert one.vector == plain(other.vector)
        assert type(one.vector) is type(other.vector)


def assert_same_hits(ours: list[Any], theirs: list[Any]) -> None:
    """Equal scores in order; equal points wherever the score is not shared with the last hit."""
    assert [one.score for one in ours] == [plain(float(one.score)) for one in theirs]
    if not ours:
        return
    last = theirs[-1].score
    by_id = {one.id: one for one in ours}
    for other in theirs:
        if other.id not in by_id:
            assert math.isclose(other.score, last, abs_tol=2 * TOLERANCE), f"{other.id} is missing"
            continue
        one = by_id[other.id]
        assert one.score == plain(float(other.score))
        assert one.payload == plain(other.payload)  # Edge may read a number back with another last bit
        assert one.vector == plain(other.vector)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the type of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)


# --- random requests -------------------------------------------------------------------------------------

keys = st.sampled_from(
    ["color", "n", "x", "flag", "when", "text", "fg.confidence", "fg.label", "fg", "items", "items[].a", "nope"]
)
numbers = st.one_of(st.integers(-3, 3), st.floats(-1, 1, width=32))
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


ids = st.integers(0, POINTS + 3).map(_point_id)
fields = st.one_of(
    st.builds(models.FieldCondition, key=keys, match=matches),
    st.builds(models.FieldCondition, key=keys, range=bounds.map(lambda b: models.Range(**b))),
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
dense = seeds.map(lambda seed: _vector(random.Random(seed)))
sparse = seeds.map(lambda seed: _sparse(random.Random(seed)))
limits = st.integers(1, 12)
selectors = st.sampled_from(
    [True, False, [], ["fg.confidence", "color"], models.PayloadSelectorExclude(exclude=["fg", "items[].a"])]
)
vector_selectors = st.sampled_from([True, False, [], ["features"], ["base", "far"]])
which_world = st.integers(0, len(SEEDS) - 1)


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    """A search of one vector, by value or by the id of a point, with examples or with diversity."""
    using = draw(st.sampled_from(["base", "features", "far"]))
    vector = sparse if using == "features" else dense
    example = st.one_of(vector, ids)
    examples = st.lists(example, min_size=1, max_size=2)
    query = draw(
        st.one_of(
            vector,
            example,
            st.builds(models.NearestQuery, nearest=example),
            st.builds(
                lambda positive, negative, strategy: models.RecommendQuery(
                    recommend=models.RecommendInput(positive=positive, negative=negative, strategy=strategy)
                ),
                examples,
                st.one_of(st.none(), examples),
                st.one_of(st.none(), st.sampled_from(models.RecommendStrategy)),
            ),
        )
    )
    return {"query": query, "using": using}


@st.composite
def prefetches(draw: st.DrawFn) -> models.Prefetch:
    return models.Prefetch(**draw(leaves()), filter=draw(maybe_filters), limit=draw(st.integers(3, 20)))


fusions = st.one_of(
    st.just(models.FusionQuery(fusion=models.Fusion.RRF)),
    st.just(models.FusionQuery(fusion=models.Fusion.DBSF)),
    st.builds(
        lambda k, weights: models.RrfQuery(rrf=models.Rrf(k=k, weights=weights)),
        st.one_of(st.none(), st.integers(1, 60)),
        st.one_of(st.none(), st.lists(st.floats(0.125, 4, width=32), min_size=2, max_size=2)),
    ),
)
variables = st.sampled_from(["$score", "$score[1]", "fg.confidence", "x", "n", 0.5, -1.5, 2.0])


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
DEFAULTS = {"x": 0.25, "n": 1, "when": "2021-01-01T00:00:00Z", "place": {"lon": 0.0, "lat": 0.0}}


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
