"""Searches leave out what is unfamiliar, weigh it less, and tell what a query is nearest to."""

import numpy as np
import pytest
from qdrant_client import models
from sharded_client import ShardedClient
from strict_mode import StrictClient

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder, IndexSettings
from fg_search.arrays import unit_rows
from fg_search.errors import EmptyIndexError, NotCalibratedError, NotScoredError

QUESTION = "please help my card is stolen"
STRANGE = "quantum chromodynamics lattice"
EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])
RANKINGS = pytest.mark.parametrize("rank_by", ["features", "base", "both"])


@pytest.fixture(scope="module")
def texts(corpus):
    """Texts that the encoder learned from, and texts that are more or less like them."""
    rng = np.random.default_rng(3)
    words = sorted({word for text in corpus[0] for word in text.split()})
    others = {" ".join(rng.choice(words, rng.integers(1, 4), replace=False)) for _ in range(32)}
    return [*corpus[0][:16], *sorted(others.difference(corpus[0]))]


@pytest.fixture(scope="module", params=["folder", "memory", "six shards", "strict mode", "tenant"])
def mixed(request, tmp_path_factory, encoder, texts):
    """These texts, with their numbers as ids, wherever an index can be."""
    places = {
        "folder": lambda: tmp_path_factory.mktemp("mixed") / "index",
        "six shards": lambda: ShardedClient(6),
        "strict mode": StrictClient,
    }
    settings = IndexSettings(
        filterable={"parity": "integer"}, tenant_key="owner" if request.param == "tenant" else None
    )
    with ConfidenceIndex(places.get(request.param, lambda: ":memory:")(), encoder, settings=settings) as index:
        own = index
        if request.param == "tenant":
            index.tenant("other").add([STRANGE, *texts])
            own = index.tenant("one")
        numbers = range(len(texts))
        own.add(texts, ids=[*numbers], labels=["x"] * len(texts), payloads=[{"parity": i % 2} for i in numbers])
        yield own


@pytest.fixture(scope="module")
def known(encoder, texts):
    """Familiarity of the texts as it is stored."""
    return encoder.encode(texts).familiarity.astype(float).round(6)


@RANKINGS
def test_what_is_less_familiar_is_left_out(mixed, known, rank_by):
    middle = float(np.median(known))
    options = {"limit": 60, "rank_by": rank_by, "query_filter": EVEN}
    everything = {hit.id for hit in mixed.search(QUESTION, **options).hits}
    found = mixed.search(QUESTION, min_familiarity=middle, **options)
    assert {hit.id for hit in found.hits} == {i for i in everything if known[i] >= middle}
    assert 0 < len(found.hits) < len(everything)
    assert [hit.familiarity for hit in found.hits] == pytest.approx([known[hit.id] for hit in found.hits])
    (many,) = mixed.search_many([QUESTION], min_familiarity=middle, **options)
    assert {hit.id for hit in many.hits} == {hit.id for hit in found.hits}


@RANKINGS
def test_what_is_less_familiar_weighs_less(mixed, known, rank_by):
    plain = mixed.search(QUESTION, limit=60, rank_by=rank_by).hits
    found = mixed.search(QUESTION, limit=60, rank_by=rank_by, confidence_weight=0.5, familiarity_weight=2.0).hits
    expected = {hit.id: hit.ranking_score * hit.confidence**0.5 * known[hit.id] ** 2 for hit in plain}
    assert {hit.id: hit.ranking_score for hit in found} == pytest.approx(expected, abs=1e-6)
    scores = [hit.ranking_score for hit in found]
    assert scores == sorted(scores, reverse=True)
    assert [hit.id for hit in found] != [hit.id for hit in plain]
    assert {hit.id: hit.score for hit in found} == pytest.approx({hit.id: hit.score for hit in plain}, abs=1e-6)
    pages = [mixed.search(QUESTION, limit=4, offset=at, rank_by=rank_by, familiarity_weight=2.0) for at in (0, 4)]
    whole = mixed.search(QUESTION, limit=8, rank_by=rank_by, familiarity_weight=2.0).hits
    assert [hit.id for page in pages for hit in page.hits] == [hit.id for hit in whole]


def test_groups_are_of_what_is_familiar_by_what_it_weighs(mixed, known):
    options = {"min_familiarity": 0.01, "familiarity_weight": 1.0}
    groups = mixed.search_groups(QUESTION, group_by="parity", limit=2, group_size=60, **options).groups
    hits = [hit for group in groups for hit in group.hits]
    assert sorted(hit.id for hit in hits) == sorted(hit.id for hit in mixed.search(QUESTION, limit=60, **options).hits)
    assert min(known[hit.id] for hit in hits) >= 0.01
    for group in groups:
        scores = [hit.ranking_score for hit in group.hits]
        assert scores == sorted(scores, reverse=True)


def test_a_result_tells_what_the_query_is_nearest_to(mixed, encoder, texts):
    assert mixed.search(STRANGE).nearest is None
    query = "my pizza"
    cosines = unit_rows(encoder.encode(texts).base) @ unit_rows(encoder.encode([query]).base)[0]
    best = int(np.argmax(cosines))
    for options in ({}, {"min_query_confidence": 1.0, "on_uncertain": "abstain"}, {"min_confidence": 1.0}):
        result = mixed.search(query, explain=True, offset=3, familiarity_weight=1.0, **options)
        assert result.nearest.id == best
        assert result.nearest.score == pytest.approx(cosines[best], abs=1e-5)
        assert f"nearest to: {result.nearest}" in str(result)
    odd = models.Filter(must_not=[EVEN])
    (found,) = mixed.search_many([query], explain=True, query_filter=odd)
    assert found.nearest.payload["parity"] == 1
    grouped = mixed.search_groups(query, group_by="parity", explain=True)
    assert grouped.result.nearest.id == best


def test_a_logged_query_tells_it_as_well(encoder, texts):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts)
        options = {"min_query_confidence": 1.0, "on_uncertain": "abstain", "explain": True}
        plain = index.search("my pizza", **options)
        assert plain.hits == ()
        assert plain.nearest is not None
        assert index.search("my pizza", log="all", **options).nearest == plain.nearest


def test_without_base_vectors_nothing_is_known_to_be_nearest(encoder, texts):
    with ConfidenceIndex(":memory:", encoder, settings=IndexSettings(base_vectors="none")) as index:
        index.add(texts)
        result = index.search(QUESTION, explain=True, min_familiarity=0.5)
        assert result.hits
        assert result.nearest is None


# items without a familiarity


@pytest.fixture
def former(tiny_model, corpus):
    """An index whose encoder does not know its examples."""
    texts, labels = corpus
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=2, codes=2, hidden=4, steps=2)
    encoder.head.familiarity = None
    with ConfidenceIndex(":memory:", encoder) as index:
        yield index


@pytest.mark.parametrize("options", [{"min_familiarity": 0.0}, {"familiarity_weight": 1.0}])
def test_where_no_item_has_a_familiarity_none_can_count(former, corpus, options):
    with pytest.raises(EmptyIndexError):
        former.search(QUESTION, **options)
    former.add(corpus[0])
    for call in (
        lambda: former.search(QUESTION, **options),
        lambda: former.search_many([QUESTION], **options),
        lambda: former.search_groups(QUESTION, group_by="fg.id", **options),
        lambda: former.evaluate([QUESTION], ["card"], relevant_by="label", **options),
    ):
        with pytest.raises(NotScoredError, match="have no familiarity"):
            call()


def test_an_item_whose_familiarity_is_not_known_is_not_familiar(encoder, texts):
    given = encoder.encode(texts[:2])
    without = FeatureEmbeddings(given.base, given.probabilities, fingerprint=given.fingerprint)
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts[2:6])
        index.add(texts[:2], ids=["a", "b"], embeddings=without)
        hits = index.search(QUESTION, limit=9, min_familiarity=0.0, familiarity_weight=1.0).hits
        assert len(hits) == 4
        with pytest.raises(NotScoredError, match="have no familiarity"):
            index.search(QUESTION, limit=9, familiarity_weight=1.0)


# calibration


@pytest.mark.parametrize("options", [{"min_familiarity": 0.01}, {"familiarity_weight": 1.0}])
def test_a_calibration_is_about_the_familiarity_it_was_made_with(encoder, rows, questions, options):
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(**rows)
        index.calibrate(*questions(100, 0))
        with pytest.raises(NotCalibratedError, match="min_familiarity none, familiarity_weight 0"):
            index.search(QUESTION, target_precision=0.9, **options)
        index.calibrate(*questions(100, 0), **options)
        assert index.search(QUESTION).confidence is None
        again = ConfidenceIndex(index.client, encoder)
        assert again.search(QUESTION, target_precision=0.6, **options).confidence is not None
        assert again.evaluate(*questions(40, 1), **options).ece is not None
