"""LangChain: its standard suites, and what they do not ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain_core", reason="needs langchain-core: pip install 'fg-search[langchain]'")
pytest.importorskip("langchain_tests", reason="needs langchain-tests")

from asked import ANSWERED, TARGET, UNKNOWN, UNREADABLE, WEAK
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests
from qdrant_client import models

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import EmptyIndexError, ModelMismatchError, NotCalibratedError, NotFittedError
from fg_search.integrations.langchain import (
    ConfidenceRetriever,
    ConfidenceVectorStore,
    EncoderEmbeddings,
    GatedRetriever,
    embedder_of,
)

EVEN = models.Filter(must=[models.FieldCondition(key="parity", match=models.MatchValue(value=0))])


class TestStandardRetriever(RetrieversIntegrationTests):
    """The standard suite; it wants exactly k documents, so nothing is held back."""

    @pytest.fixture(autouse=True)
    def _index(self, in_memory):
        self.index = in_memory

    @property
    def retriever_constructor(self):
        return ConfidenceRetriever

    @property
    def retriever_constructor_params(self):
        return {"index": self.index, "on_uncertain": "flag"}

    @property
    def retriever_query_example(self):
        return ANSWERED


class TestStandardVectorStore(VectorStoreIntegrationTests):
    """The standard suite; documents come back as they were added."""

    @pytest.fixture
    def vectorstore(self, fake_encoder):
        with ConfidenceIndex(":memory:", fake_encoder) as index:
            yield ConfidenceVectorStore(index, with_confidence=False)


@pytest.fixture(scope="module")
def fake_encoder():
    """An encoder on the embeddings of the standard suite."""
    embeddings = VectorStoreIntegrationTests.get_embeddings()
    texts = [f"text {i}" for i in range(40)]
    return FeatureGroupEncoder(embedder_of(embeddings)).fit(texts, groups=4, codes=4, steps=20)


# the retriever


def test_documents_have_the_metadata_of_items_and_of_the_result(calibrated):
    found = ConfidenceRetriever(index=calibrated, k=2, target_precision=TARGET).invoke(ANSWERED)
    result = calibrated.search(ANSWERED, limit=2, target_precision=TARGET)
    assert [document.id for document in found] == [hit.id for hit in result.hits]
    first = found[0].metadata
    assert first["parity"] == result.hits[0].payload["parity"]
    assert (first["fg_label"], first["fg_score"]) == (result.hits[0].label, result.hits[0].ranking_score)
    assert (first["fg_outcome"], first["fg_decision"]) == ("answer", "answer")
    assert first["fg_confidence"] == pytest.approx(result.confidence)
    assert first["fg_familiarity"] == pytest.approx(result.query_familiarity)
    assert first["fg_promised_precision"] == TARGET
    assert first["fg_reason"] == result.reason


@pytest.mark.parametrize(("query", "outcome"), [(WEAK, "weak"), (UNKNOWN, "nothing"), (UNREADABLE, "nothing")])
def test_it_abstains_and_says_why_if_it_is_to(calibrated, query, outcome):
    silent = ConfidenceRetriever(index=calibrated, target_precision=TARGET)
    assert silent.invoke(query) == []
    assert asyncio.run(silent.ainvoke(query)) == []
    (said,) = silent.model_copy(update={"on_abstain": "say so"}).invoke(query)
    assert said.metadata["fg_outcome"] == outcome
    assert said.metadata["fg_promised_precision"] is None
    assert said.metadata["fg_reason"] in said.page_content
    marked = silent.model_copy(update={"on_uncertain": "flag"}).invoke(query)
    assert len(marked) == 4
    assert {document.metadata["fg_outcome"] for document in marked} == {outcome}


def test_it_asks_what_is_meant(calibrated):
    retriever = ConfidenceRetriever(
        index=calibrated, target_precision=0.95, on_uncertain="clarify", on_abstain="say so", k=4
    )
    (said,) = retriever.invoke("my card with the")
    assert said.metadata["fg_outcome"] == "choices"
    assert "card" in said.metadata["fg_choices"]
    assert "It may be about: " in said.page_content


def test_it_filters_and_chains(calibrated):
    retriever = ConfidenceRetriever(index=calibrated, target_precision=TARGET, search_kwargs={"rank_by": "both"})
    for even in (EVEN, {"parity": 0}, {"parity": [0, 2]}):
        assert {document.metadata["parity"] for document in retriever.invoke(ANSWERED, filter=even)} == {0}
    with pytest.raises(TypeError, match="a mapping of values by payload field"):
        retriever.invoke(ANSWERED, filter="parity")
    chain = retriever | RunnableLambda(lambda documents: documents[0].metadata["fg_label"] if documents else "unknown")
    assert chain.batch([ANSWERED, UNKNOWN]) == ["card", "unknown"]


def test_a_failure_is_no_abstention(in_memory, encoder):
    with pytest.raises(NotCalibratedError):
        ConfidenceRetriever(index=in_memory, target_precision=TARGET).invoke(ANSWERED)
    with ConfidenceIndex(":memory:", encoder) as empty, pytest.raises(EmptyIndexError):
        ConfidenceRetriever(index=empty).invoke(ANSWERED)


def test_without_a_calibration_it_abstains_from_what_hardly_looks_answerable(in_memory):
    retriever = ConfidenceRetriever(index=in_memory)
    assert len(retriever.invoke(ANSWERED)) == 4
    assert retriever.invoke(UNKNOWN) == []


# the vector store


def test_a_store_marks_what_it_finds_and_abstains_if_it_is_to(calibrated):
    store = ConfidenceVectorStore(calibrated, target_precision=TARGET)
    (found,) = store.similarity_search(ANSWERED, k=1)
    assert found.metadata["fg_outcome"] == "answer"
    assert {"parity", "fg_confidence", "fg_label"} <= found.metadata.keys()
    ((same, score),) = store.similarity_search_with_score(ANSWERED, k=1, filter={"parity": found.metadata["parity"]})
    assert (same.id, score) == (found.id, found.metadata["fg_score"])
    assert len(store.similarity_search(UNKNOWN)) == 4
    careful = ConfidenceVectorStore(calibrated, target_precision=TARGET, on_uncertain="abstain")
    assert careful.similarity_search(UNKNOWN) == []
    assert careful.as_retriever(search_kwargs={"k": 2}).invoke(WEAK) == []
    assert len(careful.as_retriever(search_kwargs={"k": 2}).invoke(ANSWERED)) == 2
    relevant = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5})
    assert all(document.metadata["fg_score"] >= 0.5 for document in relevant.invoke(ANSWERED))


def test_a_store_is_searched_by_a_vector(calibrated, encoder):
    store = ConfidenceVectorStore(calibrated)
    vector = encoder.encode([ANSWERED]).base[0].tolist()
    by_vector, by_text = store.similarity_search_by_vector(vector, k=3), store.similarity_search(ANSWERED, k=3)
    assert [document.id for document in by_vector] == [document.id for document in by_text]


def test_a_store_finds_what_differs(calibrated, encoder):
    store = ConfidenceVectorStore(calibrated)
    vector = encoder.embed([ANSWERED], role="query")[0]
    hits = calibrated.search(ANSWERED, limit=20, rank_by="base").hits
    stored = calibrated.vectors_of([hit.id for hit in hits])
    rows = [stored[hit.id].tolist() for hit in hits]
    for weight in (0.2, 0.5, 1.0):
        options = {"k": 5, "fetch_k": 20, "lambda_mult": weight, "rank_by": "base"}
        found = store.max_marginal_relevance_search(ANSWERED, **options)
        wanted = maximal_marginal_relevance(vector, rows, lambda_mult=weight, k=5)
        assert [document.id for document in found] == [hits[i].id for i in wanted]
        assert store.max_marginal_relevance_search_by_vector(vector.tolist(), **options)[-1].id == found[-1].id
        assert asyncio.run(store.amax_marginal_relevance_search(ANSWERED, **options)) == found
    careful = ConfidenceVectorStore(calibrated, target_precision=TARGET, on_uncertain="abstain")
    differing = careful.as_retriever(search_type="mmr", search_kwargs={"k": 3, "filter": {"parity": 0}})
    first = differing.invoke(ANSWERED)[0]
    assert (first.metadata["fg_outcome"], first.metadata["fg_promised_precision"]) == ("answer", TARGET)
    assert first.id == store.similarity_search(ANSWERED, k=1, filter={"parity": 0})[0].id  # what the confidence is of
    assert (len(differing.invoke(ANSWERED)), differing.invoke(UNKNOWN), differing.invoke(UNREADABLE)) == (3, [], [])
    for wrong in (2, None, float("nan")):
        with pytest.raises(ValueError, match=f"the weight of relevance must be between 0 and 1, got {wrong}"):
            store.max_marginal_relevance_search(ANSWERED, lambda_mult=wrong)


def test_ids_labels_and_lengths(encoder):
    with ConfidenceIndex(":memory:", encoder) as index:
        store = ConfidenceVectorStore(index, label_key="topic")
        first = store.add_texts(["my card", "my card"], [{"page": 1, "topic": "card"}, {"page": 2}])
        assert store.add_texts(["my card"], [{"topic": "card", "page": 1}]) == first[:1]
        assert len(index) == 2
        assert index.labels_of(first) == {first[0]: "card", first[1]: None}
        assert store.add_texts([]) == []
        with pytest.raises(ValueError, match="2 texts, 1 metadatas and 2 ids"):
            store.add_texts(["a", "b"], [{}])
        store.delete(filter={"page": 2})
        assert [document.metadata["page"] for document in store.get_by_ids(first)] == [1]
        with pytest.raises(TypeError, match="'where'"):  # a filter by another name does not delete all
            store.delete(where={"page": 3})
        with pytest.raises(ValueError, match="ids or query_filter"):
            store.delete(first, filter={"page": 3})
        assert len(index) == 1
        store.delete()
        assert (len(index), store.similarity_search("my card")) == (0, [])


@pytest.mark.usefixtures("_few_steps")
def test_a_store_is_made_of_texts_and_fits_its_head_on_them(tiny_model, corpus, tmp_path):
    texts, labels = corpus
    metadatas = [{"topic": label} for label in labels]
    store = ConfidenceVectorStore.from_texts(
        texts,
        FeatureGroupEncoder(tiny_model),
        metadatas,
        ids=[str(i) for i in range(len(texts))],
        location=tmp_path / "index",
        encoder_folder=tmp_path / "encoder",
        label_key="topic",
    )
    assert store.similarity_search(ANSWERED, k=1)[0].metadata["fg_label"] == "card"
    assert store.embeddings is None
    store.index.close()
    with ConfidenceIndex(tmp_path / "index") as again:  # it remembers its encoder
        assert again.encoder.supervision == "labels"
        assert len(ConfidenceVectorStore(again).similarity_search(ANSWERED, k=3)) == 3


@pytest.mark.usefixtures("_few_steps")
def test_without_labels_the_head_learns_clusters(tiny_model, corpus):
    documents = [Document(page_content=text) for text in corpus[0][:8]]
    store = ConfidenceVectorStore.from_documents(documents, FeatureGroupEncoder(tiny_model))
    assert store.similarity_search(corpus[0][3], k=1)[0].page_content == corpus[0][3]
    assert store.index.encoder.supervision == "clusters"
    store.index.close()
    with pytest.raises(ValueError, match="at least 2 different items"):
        ConfidenceVectorStore.from_documents(documents[:1], FeatureGroupEncoder(tiny_model))


@pytest.mark.usefixtures("_few_steps")
def test_a_store_of_langchains_embeddings_is_opened_again_with_them(tiny_model, corpus, tmp_path):
    embeddings = EncoderEmbeddings(FeatureGroupEncoder(tiny_model))
    foreign = FakeModel(embeddings)
    store = ConfidenceVectorStore.from_texts(
        corpus[0], foreign, location=tmp_path / "index", encoder_folder=tmp_path / "encoder"
    )
    assert store.embeddings is foreign
    before = [document.id for document in store.similarity_search(ANSWERED)]
    store.index.close()
    with pytest.raises(ModelMismatchError, match="embedder 'fake-1'"):
        FeatureGroupEncoder.load(tmp_path / "encoder", embedder=embedder_of(foreign, "fake-2"))
    encoder = FeatureGroupEncoder.load(tmp_path / "encoder", embedder=embedder_of(foreign))
    with ConfidenceIndex(tmp_path / "index", encoder) as index:
        again = ConfidenceVectorStore(index)
        assert [document.id for document in again.similarity_search(ANSWERED)] == before
        vector = embeddings.embed_query(ANSWERED)
        assert [document.id for document in again.similarity_search_by_vector(vector)] == before


class FakeModel(Embeddings):
    """Embeddings that say which model they are of."""

    model = "fake-1"

    def __init__(self, inner):
        self.inner = inner

    def embed_documents(self, texts):
        return self.inner.embed_documents(texts)

    def embed_query(self, text):
        return self.inner.embed_query(text)


# the gate


class Words(BaseRetriever):
    """Counts common words; nothing of fg_search is in it."""

    texts: list[str]
    labels: list[str]
    key: str = "score"

    def _get_relevant_documents(self, query: str, *, run_manager: Any, k: int = 4) -> list[Document]:
        asked = set(query.split()) - {"my", "the", "please", "help", "with"}
        scored = [(len(asked & set(text.split())) / (len(asked) or 1), i) for i, text in enumerate(self.texts)]
        best = sorted((pair for pair in scored if pair[0]), reverse=True)[:k]
        return [
            Document(id=str(i), page_content=self.texts[i], metadata={self.key: score, "label": self.labels[i]})
            for score, i in best
        ]


@pytest.fixture(scope="module")
def words(corpus) -> Words:
    return Words(texts=corpus[0], labels=corpus[1])


@pytest.fixture(scope="module")
def gated(words, questions) -> GatedRetriever:
    texts, labels = questions(300, 0)
    judged = [set() if label is None else {label} for label in labels]
    return GatedRetriever(retriever=words, target_precision=0.95).fit(texts, judged, key="label")


def test_a_gate_behind_any_retriever_keeps_its_promise(gated, questions):
    texts, labels = questions(400, 1)
    given = list(zip(gated.batch(texts), labels, strict=True))
    answered = [(documents[0].metadata["label"], label) for documents, label in given if documents]
    assert len(answered) > 100
    assert sum(found == label for found, label in answered) / len(answered) >= 0.95
    retrieved = zip(gated.retriever.batch(texts), labels, strict=True)
    before = [documents[0].metadata["label"] == label for documents, label in retrieved if documents]
    assert sum(before) / len(before) < 0.9


def test_a_gate_says_what_it_decides(gated):
    clear = "card stolen pin"
    (first, *_) = gated.invoke(clear)
    assert first.metadata["label"] == "card"
    assert (first.metadata["fg_outcome"], first.metadata["fg_promised_precision"]) == ("answer", 0.95)
    assert first.metadata["fg_reason"].startswith("confidence 0.")
    assert len(gated.invoke(clear, k=2)) == 2
    assert asyncio.run(gated.ainvoke(clear)) == gated.invoke(clear)
    assert (gated.invoke("card loan"), gated.invoke("zzz")) == ([], [])
    talking = gated.model_copy(update={"on_abstain": "say so"})
    ((weak,), (nothing,)) = talking.batch(["card loan", "zzz"])
    assert (weak.metadata["fg_outcome"], nothing.metadata["fg_outcome"]) == ("weak", "nothing")
    assert nothing.page_content == "Nothing is known about this: nothing was retrieved."
    assert nothing.metadata["fg_confidence"] is None


def test_a_gate_follows_the_traffic(words, questions):
    texts, labels = questions(300, 0)
    judged = [set() if label is None else {label} for label in labels]
    gated = GatedRetriever(retriever=words, target_precision=TARGET)
    gated.fit(texts, judged, key=lambda document: document.metadata["label"])
    scores = [0.5, 0.5, 0.5, 0.5]
    before = gated.gate.decide(scores, TARGET).confidence
    assert gated.adapt(expected_unanswerable=0.6).gate.decide(scores, TARGET).confidence < before
    assert gated.adapt(questions(300, 3)[0]).gate.gate.promise.share.source == "estimated"


def test_a_gate_asks_for_what_it_needs(words):
    with pytest.raises(NotFittedError):
        GatedRetriever(retriever=words, target_precision=TARGET).invoke("card")
    with pytest.raises(ValueError, match="nothing was retrieved for any"):
        GatedRetriever(retriever=words, target_precision=TARGET).fit(["zzz"], [set()])
