"""LlamaIndex: what its own tests of a Qdrant store ask, and more."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core", reason="needs llama-index-core: pip install 'fg-search[llama-index]'")

from asked import ANSWERED, TARGET, UNKNOWN, WEAK
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import (
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery, VectorStoreQueryMode
from words import WORDS

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import NotFittedError
from fg_search.integrations.llama_index import (
    ConfidenceRetriever,
    ConfidenceVectorStore,
    EncoderEmbedding,
    GatePostprocessor,
    embedder_of,
)

IDS = [f"{number * 8}-{number * 4}-{number * 4}-{number * 4}-{number * 12}" for number in "123"]


def node(number: int, text: str, embedding=None, **metadata) -> TextNode:
    """A node of the document test-0, test-1, …"""
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"test-{number}")}
    return TextNode(id_=IDS[number], text=text, metadata=metadata, relationships=source, embedding=embedding)


@pytest.fixture(params=["memory", "edge"])
def store(request, encoder, tmp_path):
    """Three nodes, of which the third was given an embedding."""
    with ConfidenceIndex(":memory:" if request.param == "memory" else tmp_path / "index", encoder) as index:
        store = ConfidenceVectorStore(index, with_confidence=False)
        third = node(2, "pizza recipe", encoder.embed(["pizza recipe"])[0].tolist(), some_key="3", tags=["a", "b"])
        nodes = [node(0, "my card pin", some_key=1, price=10), node(1, "loan rate", some_key=2, price=20.5), third]
        assert store.add(nodes) == IDS
        yield store


def told(nodes):
    return sorted(one.node_id for one in nodes)


def matching(store, *filters, condition=FilterCondition.AND):
    return told(store.get_nodes(filters=MetadataFilters(filters=list(filters), condition=condition)))


def test_it_is_a_vector_store(store):
    assert isinstance(store, BasePydanticVectorStore)
    assert store.class_name() == "ConfidenceVectorStore"
    assert store.client is store.index.client


def test_nodes_come_back_as_they_were(store):
    first, third = store.get_nodes([IDS[0], "nobody", IDS[2]])
    assert (first.text, first.metadata, first.ref_doc_id) == ("my card pin", {"some_key": 1, "price": 10}, "test-0")
    assert third.metadata == {"some_key": "3", "tags": ["a", "b"]}
    assert told(store.get_nodes()) == IDS


def test_nodes_are_deleted_by_id_filter_and_document(store):
    store.delete_nodes([IDS[0]])
    assert told(store.get_nodes(IDS)) == IDS[1:]
    store.delete_nodes()
    store.delete_nodes([])
    store.delete_nodes(filters=MetadataFilters(filters=[]))
    assert len(store.index) == 2
    store.delete("test-1")
    assert told(store.get_nodes()) == IDS[2:]
    wrong = MetadataFilters(filters=[MetadataFilter(key="some_key", value="2")])
    store.delete_nodes([IDS[2]], wrong)
    assert len(store.index) == 1
    store.clear()
    assert store.get_nodes() == []
    assert store.query(VectorStoreQuery(query_str="my card")).nodes == []


def test_the_same_on_an_event_loop(store):
    async def work():
        await store.adelete_nodes([IDS[0]])
        left = told(await store.aget_nodes(IDS))
        await store.adelete("test-1")
        found = await store.aquery(VectorStoreQuery(query_str="pizza", similarity_top_k=5))
        await store.aclear()
        added = await store.async_add([node(0, "my card pin")])
        return left, found.ids, added, len(store.index)

    assert asyncio.run(work()) == (IDS[1:], IDS[2:], IDS[:1], 1)


EQ, NE, IN, NIN = FilterOperator.EQ, FilterOperator.NE, FilterOperator.IN, FilterOperator.NIN


@pytest.mark.parametrize(
    ("key", "value", "operator", "found"),
    [
        ("some_key", [1, 2], IN, IDS[:2]),
        ("some_key", [1, 2], NIN, IDS[2:]),
        ("some_key", ["3"], IN, IDS[2:]),
        ("some_key", 1, EQ, IDS[:1]),
        ("some_key", 1, NE, IDS[1:]),
        ("price", 10, FilterOperator.GT, IDS[1:2]),
        ("price", 10, FilterOperator.GTE, IDS[:2]),
        ("price", 20.5, FilterOperator.LT, IDS[:1]),
        ("price", 20.5, FilterOperator.LTE, IDS[:2]),
        ("tags", ["a", "z"], FilterOperator.ANY, IDS[2:]),
        ("tags", ["a", "b"], FilterOperator.ALL, IDS[2:]),
        ("tags", ["a", "z"], FilterOperator.ALL, []),
        ("tags", "b", FilterOperator.CONTAINS, IDS[2:]),
        ("tags", None, FilterOperator.IS_EMPTY, IDS[:2]),
        ("ref_doc_id", "test-1", EQ, IDS[1:2]),
    ],
)
def test_filters(store, key, value, operator, found):
    assert matching(store, MetadataFilter(key=key, value=value, operator=operator)) == found


def test_filters_are_joined_and_negated(store):
    one, two = MetadataFilter(key="some_key", value=1), MetadataFilter(key="some_key", value=2)
    assert matching(store, one, two) == []
    assert matching(store, one, two, condition=FilterCondition.OR) == IDS[:2]
    assert matching(store, one, condition=FilterCondition.NOT) == IDS[1:]
    not_two = MetadataFilters(filters=[two], condition=FilterCondition.NOT)
    cheap = MetadataFilter(key="price", value=100, operator=FilterOperator.LT)
    assert matching(store, cheap, not_two) == IDS[:1]
    assert matching(store) == IDS
    with pytest.raises(TypeError, match="tags is compared with a list of values, got str"):
        matching(store, MetadataFilter(key="tags", value="ab", operator=FilterOperator.ALL))
    with pytest.raises(ValueError, match="'text_match_insensitive' are not supported"):
        matching(store, MetadataFilter(key="a", value="b", operator=FilterOperator.TEXT_MATCH_INSENSITIVE))


def test_a_query_has_a_text_or_an_embedding_and_may_be_narrowed(store, encoder):
    vector = encoder.embed(["loan rate"])[0].tolist()
    for query in (VectorStoreQuery(query_str="loan rate"), VectorStoreQuery(query_embedding=vector)):
        found = store.query(query)
        assert (found.ids, found.nodes[0].text) == (IDS[1:2], "loan rate")
        assert len(found.similarities) == 1
    assert store.query(VectorStoreQuery(query_str="loan", similarity_top_k=3, doc_ids=["test-2"])).ids == IDS[2:]
    narrowed = MetadataFilters(filters=[MetadataFilter(key="some_key", value=1)])
    assert store.query(VectorStoreQuery(query_str="loan", filters=narrowed, similarity_top_k=3)).ids == IDS[:1]
    assert store.query(VectorStoreQuery(query_str="loan", node_ids=IDS[:2], similarity_top_k=3)).ids == IDS[1::-1]
    with pytest.raises(ValueError, match="'hybrid' is not supported, only 'default' and 'mmr'"):
        store.query(VectorStoreQuery(query_str="loan", mode=VectorStoreQueryMode.HYBRID))
    with pytest.raises(ValueError, match="neither a text nor an embedding"):
        store.query(VectorStoreQuery())
    with pytest.raises(ValueError, match="dimension"):
        store.query(VectorStoreQuery(query_embedding=[1.0]))


def test_a_query_finds_nodes_that_differ(calibrated, encoder):
    store = ConfidenceVectorStore(calibrated)
    vector = encoder.embed([ANSWERED], role="query")[0].tolist()
    hits = calibrated.search(ANSWERED, limit=8, rank_by="base").hits
    stored = calibrated.vectors_of([hit.id for hit in hits])
    rows, ids = [stored[hit.id].tolist() for hit in hits], [hit.id for hit in hits]
    for weight in (0.3, 0.8):
        _, wanted = get_top_k_mmr_embeddings(vector, rows, similarity_top_k=2, embedding_ids=ids, mmr_threshold=weight)
        for asked in ({"query_str": ANSWERED}, {"query_embedding": vector}):
            query = VectorStoreQuery(similarity_top_k=2, mode=VectorStoreQueryMode.MMR, mmr_threshold=weight, **asked)
            assert store.query(query, rank_by="base").ids == wanted  # of four times as many
            assert store.query(query, mmr_threshold=0.0, mmr_prefetch_k=2, rank_by="base").ids == ids[:2]
    careful = ConfidenceVectorStore(calibrated, target_precision=TARGET, on_uncertain="abstain")
    embed_model = EncoderEmbedding(encoder)
    of_index = VectorStoreIndex.from_vector_store(careful, embed_model=embed_model)
    differing = of_index.as_retriever(similarity_top_k=3, vector_store_query_mode="mmr")
    found = differing.retrieve(ANSWERED)
    assert (len(found), found[0].metadata["fg_promised_precision"]) == (3, TARGET)
    assert asyncio.run(differing.aretrieve(ANSWERED)) == found
    assert differing.retrieve(UNKNOWN) == []


# with the rest of LlamaIndex


def test_an_index_of_llama_index_on_the_store(encoder, corpus):
    nodes = [
        TextNode(text=text, metadata={"topic": label}, excluded_embed_metadata_keys=["topic"])
        for text, label in zip(*corpus, strict=True)
    ]
    embed_model = EncoderEmbedding(encoder)
    with ConfidenceIndex(":memory:", encoder) as index:
        store = ConfidenceVectorStore(index, label_key="topic")
        VectorStoreIndex(
            nodes, embed_model=embed_model, storage_context=StorageContext.from_defaults(vector_store=store)
        )
        assert sorted(index.labels()) == ["card", "food", "loan", "travel"]
        retriever = VectorStoreIndex.from_vector_store(store, embed_model=embed_model).as_retriever(similarity_top_k=1)
        (found,) = retriever.retrieve(ANSWERED)
        assert (found.metadata["topic"], found.metadata["fg_label"]) == ("card", "card")
        assert asyncio.run(retriever.aretrieve(ANSWERED))[0].node_id == found.node_id


def test_a_head_learns_on_the_embeddings_of_llama_index(encoder, corpus):
    embed_model = EncoderEmbedding(encoder)
    embedder = embedder_of(embed_model, "mine")
    learned = FeatureGroupEncoder(embedder).fit(corpus[0], labels=corpus[1], groups=2, codes=3, hidden=8, steps=20)
    assert (embedder.name, embedder.dimension) == ("mine", encoder.dimension)
    assert embedder_of(embed_model).name == encoder.model_name
    with ConfidenceIndex(":memory:", learned) as index:
        store = ConfidenceVectorStore(index)
        store.add([TextNode(text=text, id_=text) for text in corpus[0][:12]])
        found = store.query(VectorStoreQuery(query_str=corpus[0][3]))
        assert (
            found.ids
            == store.query(VectorStoreQuery(query_embedding=embed_model.get_query_embedding(corpus[0][3]))).ids
        )


def test_the_retriever_abstains_and_says_why_if_it_is_to(calibrated):
    retriever = ConfidenceRetriever(calibrated, target_precision=TARGET, similarity_top_k=2)
    found = retriever.retrieve(ANSWERED)
    result = calibrated.search(ANSWERED, limit=2, target_precision=TARGET)
    assert [one.node_id for one in found] == [hit.id for hit in result.hits]
    assert [one.score for one in found] == [hit.ranking_score for hit in result.hits]
    metadata = found[0].metadata
    assert (metadata["parity"], metadata["fg_outcome"]) == (result.hits[0].payload["parity"], "answer")
    assert metadata["fg_promised_precision"] == TARGET
    assert "fg_" not in found[0].node.get_content(metadata_mode=MetadataMode.LLM)  # a model is shown the text alone
    assert asyncio.run(retriever.aretrieve(ANSWERED)) == found
    for query, outcome in ((WEAK, "weak"), (UNKNOWN, "nothing")):
        assert retriever.retrieve(query) == []
        (said,) = ConfidenceRetriever(calibrated, target_precision=TARGET, on_abstain="say so").retrieve(query)
        assert said.metadata["fg_outcome"] == outcome
        assert said.metadata["fg_reason"] in said.text
    flagged = ConfidenceRetriever(calibrated, target_precision=TARGET, on_uncertain="flag").retrieve(UNKNOWN)
    assert {one.metadata["fg_outcome"] for one in flagged} == {"nothing"}
    with pytest.raises(ValueError, match="on_abstain must be 'nothing' or 'say so', got 'say_so'"):
        ConfidenceRetriever(calibrated, on_abstain="say_so")


def test_the_retriever_asks_what_is_meant(calibrated):
    retriever = ConfidenceRetriever(
        calibrated, target_precision=0.95, on_uncertain="clarify", on_abstain="say so", similarity_top_k=4
    )
    (said,) = retriever.retrieve("my card with the")
    assert said.metadata["fg_outcome"] == "choices"
    assert f"It may be about: {', '.join(said.metadata['fg_choices'])}." in said.text


def test_a_query_engine_gets_nothing_to_make_up_an_answer_from(calibrated):
    engine = RetrieverQueryEngine.from_args(ConfidenceRetriever(calibrated, target_precision=TARGET), llm=MockLLM())
    assert engine.query(ANSWERED).source_nodes
    assert str(engine.query(UNKNOWN)) == "Empty Response"


def test_a_store_abstains_if_it_is_to(calibrated):
    careful = ConfidenceVectorStore(calibrated, target_precision=TARGET, on_uncertain="abstain")
    assert careful.query(VectorStoreQuery(query_str=UNKNOWN, similarity_top_k=3)).ids == []
    found = careful.query(VectorStoreQuery(query_str=ANSWERED, similarity_top_k=3))
    assert found.nodes[0].metadata["fg_promised_precision"] == TARGET
    marking = ConfidenceVectorStore(calibrated)
    assert len(marking.query(VectorStoreQuery(query_str=UNKNOWN, similarity_top_k=3)).ids) == 3


# the gate


def retrieved(questions, seed, count=300):
    """Nodes of some other retriever, and the ids of the right ones: scores tell how many words are in common."""
    texts, labels = questions(count, seed)
    found = []
    for text in texts:
        words = set(text.split())
        scores = sorted(((len(words & set(known)), name) for name, known in WORDS.items()), reverse=True)
        found.append([NodeWithScore(node=TextNode(id_=name, text=name), score=score) for score, name in scores])
    return found, [set() if label is None else {label} for label in labels]


def test_a_gate_behind_any_retriever_keeps_its_promise(questions):
    gate = GatePostprocessor(target_precision=0.9)
    with pytest.raises(NotFittedError):
        gate.postprocess_nodes([])
    gate.fit(*retrieved(questions, 0))
    found, relevant = retrieved(questions, 1, 400)
    passed = [gate.postprocess_nodes(nodes) for nodes in found]
    answered = [(nodes[0].node_id, ids) for nodes, ids in zip(passed, relevant, strict=True) if nodes]
    assert 100 < len(answered) < 400
    assert sum(first in ids for first, ids in answered) / len(answered) >= 0.9
    first = next(nodes[0] for nodes in passed if nodes)
    assert (first.metadata["fg_outcome"], first.metadata["fg_promised_precision"]) == ("answer", 0.9)
    talking = gate.model_copy(update={"on_abstain": "say so"})
    (said,) = talking.postprocess_nodes([])
    assert (said.text, said.metadata["fg_outcome"]) == (
        "Nothing is known about this: nothing was retrieved.",
        "nothing",
    )
    assert asyncio.run(gate.apostprocess_nodes(found[0])) == passed[0]
    gate.adapt(expected_unanswerable=0.5)
    gate.adapt(found)
    assert gate.gate.gate.promise.share.source == "estimated"
    with pytest.raises(ValueError, match="has no score"):
        gate.postprocess_nodes([NodeWithScore(node=TextNode(text="a"))])
