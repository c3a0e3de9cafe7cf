"""Haystack: its standard tests, and what they do not ask."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

pytest.importorskip("haystack", reason="needs haystack-ai: pip install 'fg-search[haystack]'")

from asked import ANSWERED, TARGET, UNKNOWN, WEAK
from haystack import Document, Pipeline, component
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing import document_store as standard
from haystack.testing import document_store_async as asynchronous
from words import WORDS

from fg_search import ConfidenceIndex
from fg_search.errors import FolderLockedError, NotFittedError
from fg_search.integrations.haystack import (
    ConfidenceDocumentStore,
    ConfidenceEmbeddingRetriever,
    ConfidenceRouter,
    ConfidenceTextRetriever,
    GateRouter,
)

TRUSTED = ["fg_search.integrations.haystack.*"]


class Suite:
    """What all standard tests take: an empty store. Embeddings of documents are not kept, and there is no order."""

    @pytest.fixture
    def document_store(self, encoder):
        store = ConfidenceDocumentStore(":memory:", encoder)
        yield store
        store.close()

    @staticmethod
    def assert_documents_are_equal(received, expected):
        def told(documents):
            return sorted((one.id, one.content, json.dumps(one.meta, sort_keys=True)) for one in documents)

        assert told(received) == told(expected)


class TestStandard(Suite, standard.DocumentStoreBaseExtendedTests, standard.FilterableDocsFixtureMixin):
    """The base tests, with filters, and the extended ones."""

    def test_write_documents(self, document_store):
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])


class TestStandardMetadata(
    Suite,
    standard.CountDocumentsByFilterTest,
    standard.CountUniqueMetadataByFilterTest,
    standard.GetMetadataFieldsInfoTest,
    standard.GetMetadataFieldMinMaxTest,
    standard.GetMetadataFieldUniqueValuesTest,
):
    """The mixins about metadata."""


class TestStandardAsync(
    Suite,
    asynchronous.CountDocumentsAsyncTest,
    asynchronous.WriteDocumentsAsyncTest,
    asynchronous.DeleteDocumentsAsyncTest,
    asynchronous.DeleteAllAsyncTest,
    asynchronous.DeleteByFilterAsyncTest,
    asynchronous.UpdateByFilterAsyncTest,
    asynchronous.FilterDocumentsAsyncTest,
    asynchronous.CountDocumentsByFilterAsyncTest,
    asynchronous.CountUniqueMetadataByFilterAsyncTest,
    asynchronous.GetMetadataFieldsInfoAsyncTest,
    asynchronous.GetMetadataFieldMinMaxAsyncTest,
    asynchronous.GetMetadataFieldUniqueValuesAsyncTest,
):
    """The same on an event loop."""

    async def test_write_documents_async(self, document_store):
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])


# the store

DAY = "1972-12-11T19:54:58"
COMPARED = [
    *(("number", operator, 2) for operator in ("==", "!=", ">", ">=", "<", "<=")),
    *(("date", operator, DAY) for operator in ("==", "!=", ">", ">=", "<", "<=")),
    *(("number", operator, None) for operator in ("==", "!=", ">")),
    *(("chapter", operator, ["intro", "abstract"]) for operator in ("in", "not in")),
    *(("number", operator, [2, -10, None]) for operator in ("in", "not in")),
    ("no_embedding", "==", True),
    ("page", "==", "100"),
]


def test_filters_give_in_a_folder_what_haystacks_own_store_gives(encoder, tmp_path):
    documents = standard.create_filterable_docs()
    own, store = InMemoryDocumentStore(), ConfidenceDocumentStore(str(tmp_path / "index"), encoder)
    for one in (own, store):
        one.write_documents(documents)
    parts = [{"field": f"meta.{field}", "operator": operator, "value": value} for field, operator, value in COMPARED]
    joined = [{"operator": operator, "conditions": parts[:2]} for operator in ("AND", "OR", "NOT")]
    for filters in [*parts, *joined, {"operator": "AND", "conditions": [parts[0], joined[2]]}]:
        found, wanted = store.filter_documents(filters), own.filter_documents(filters)
        assert sorted(one.id for one in found) == sorted(one.id for one in wanted), filters
    store.close()


def test_a_store_remembers_where_it_is_and_is_opened_when_it_is_needed(saved_encoder, tmp_path):
    store = ConfidenceDocumentStore(str(tmp_path / "index"), str(saved_encoder), label_key="topic")
    assert not (tmp_path / "index").exists()
    assert store.write_documents([Document(id="a", content="my card", meta={"topic": "card"})]) == 1
    assert store.index.labels_of(["a"]) == {"a": "card"}
    store.close()
    again = ConfidenceDocumentStore.from_dict(json.loads(json.dumps(store.to_dict())))
    assert [document.content for document in again.filter_documents()] == ["my card"]
    again.close()


def test_stores_on_a_folder_share_its_index(saved_encoder, encoder, tmp_path):
    store = ConfidenceDocumentStore(str(tmp_path / "index"), str(saved_encoder))
    pipeline = Pipeline()
    pipeline.add_component("writer", DocumentWriter(store))
    pipeline.add_component("retriever", ConfidenceTextRetriever(store, on_uncertain="flag"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=TRUSTED)  # a store for each component
    written, loaded = Document(content="my card"), Document(content="my pin")
    pipeline.run({"writer": {"documents": [written]}, "retriever": {"query": "my card"}})
    again.run({"writer": {"documents": [loaded]}, "retriever": {"query": "my card"}})
    store.close()
    assert again.get_component("retriever").document_store.count_documents() == 2
    other = shutil.copytree(saved_encoder, tmp_path / "other")
    for same in (None, encoder):  # an index remembers its encoder, and so does an encoder where it was saved
        assert ConfidenceDocumentStore(str(tmp_path / "index"), same).count_documents() == 2
    with pytest.raises(FolderLockedError):  # nobody gets an index with another encoder than asked for
        ConfidenceDocumentStore(str(tmp_path / "index"), str(other)).count_documents()
    for name in ("writer", "retriever"):
        again.get_component(name).document_store.close()
    ConfidenceIndex(tmp_path / "index").close()  # free for others
    fresh = ConfidenceDocumentStore(str(tmp_path / "index"))
    fresh.index.close()
    assert ConfidenceDocumentStore(str(tmp_path / "index")).count_documents() == 2


def test_an_empty_store_is_no_failure_of_a_pipeline(encoder):
    found = ConfidenceTextRetriever(ConfidenceDocumentStore(encoder=encoder)).run("my card")
    assert (found["documents"], found["result"]["fg_reason"]) == ([], "the store is empty")
    assert ConfidenceRouter().run(**found) == {"no_answer": "Nothing is known about this: the store is empty."}


def test_policies_for_documents_that_are_there_twice(encoder):
    twice = [Document(id="1", content="first"), Document(id="1", content="second"), Document(id="2", content="other")]
    for policy, written, content in ((DuplicatePolicy.SKIP, 2, "first"), (DuplicatePolicy.OVERWRITE, 3, "second")):
        store = ConfidenceDocumentStore(encoder=encoder)
        assert store.write_documents(twice, policy) == written
        assert {document.id: document.content for document in store.filter_documents()} == {"1": content, "2": "other"}
        store.close()
    store = ConfidenceDocumentStore(encoder=encoder)
    with pytest.raises(DuplicateDocumentError, match="such as '1'"):
        store.write_documents(twice)
    with pytest.raises(ValueError, match="has no content"):
        store.write_documents([Document(id="3")])
    assert store.count_documents() == 0
    store.close()


def test_fields_of_documents_and_labels_are_filtered_by(in_memory):
    store = ConfidenceDocumentStore(index=in_memory)
    (one,) = store.filter_documents({"field": "id", "operator": "==", "value": "d3"})
    assert store.filter_documents({"field": "content", "operator": "in", "value": [one.content, None]}) == [one]
    cards = store.filter_documents({"field": "label", "operator": "==", "value": "card"})
    assert len(cards) == 12
    assert store.filter_documents({"field": "meta.parity", "operator": "in", "value": []}) == []
    for wrong in ("parity", {"field": "a", "operator": "~", "value": 1}, {"operator": "XOR", "conditions": []}):
        with pytest.raises(FilterError):
            store.filter_documents(wrong)
    with pytest.raises(FilterError, match="a text, a number, a boolean or None"):
        store.filter_documents({"field": "a", "operator": "==", "value": [1]})


# retrievers and routers in pipelines


@component
class Embedder:
    """Embeds texts as the base model of an encoder does."""

    def __init__(self, encoder):
        self.encoder = encoder

    @component.output_types(embedding=list[float])
    def run(self, text: str):
        return {"embedding": self.encoder.encode([text]).base[0].tolist()}


@component
class Answerer:
    """Says what the first document is about."""

    @component.output_types(reply=str)
    def run(self, documents: list[Document]):
        return {"reply": documents[0].meta["fg_label"]}


def routed(retriever):
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    pipeline.add_component("router", ConfidenceRouter())
    pipeline.add_component("answerer", Answerer())
    pipeline.connect("retriever.documents", "router.documents")
    pipeline.connect("retriever.result", "router.result")
    pipeline.connect("router.answer", "answerer.documents")
    return pipeline


def test_a_pipeline_answers_or_says_why_not(calibrated):
    store = ConfidenceDocumentStore(index=calibrated)
    pipeline = routed(ConfidenceTextRetriever(store, top_k=3, target_precision=TARGET))
    assert pipeline.run({"retriever": {"query": ANSWERED}}) == {"answerer": {"reply": "card"}}
    for query, sentence in ((WEAK, "Something was found, but not surely enough"), (UNKNOWN, "Nothing is known about")):
        (output,) = pipeline.run({"retriever": {"query": query}}).values()
        assert output["no_answer"].startswith(sentence)
        assert "is below what a precision of 80.0% takes" in output["no_answer"]
    asking = routed(ConfidenceTextRetriever(store, target_precision=0.95, on_uncertain="clarify"))
    (output,) = asking.run({"retriever": {"query": "my card with the"}}).values()
    assert "card" in output["clarify"]


def test_documents_have_a_score_and_what_was_found(calibrated):
    retriever = ConfidenceTextRetriever(ConfidenceDocumentStore(index=calibrated), target_precision=TARGET)
    found = retriever.run(ANSWERED, top_k=2)
    result = calibrated.search(ANSWERED, limit=2, target_precision=TARGET)
    assert [(one.id, one.score) for one in found["documents"]] == [(hit.id, hit.ranking_score) for hit in result.hits]
    meta = found["documents"][0].meta
    assert (meta["parity"], meta["fg_label"]) == (result.hits[0].payload["parity"], "card")
    assert meta["fg_confidence"] == found["result"]["fg_confidence"] == pytest.approx(result.confidence)
    assert meta["fg_promised_precision"] == TARGET
    assert asyncio.run(retriever.run_async(ANSWERED, top_k=2)) == found


def test_a_pipeline_retrieves_by_an_embedding(calibrated, encoder):
    store = ConfidenceDocumentStore(index=calibrated)
    pipeline = Pipeline()
    pipeline.add_component("embedder", Embedder(encoder))
    pipeline.add_component("retriever", ConfidenceEmbeddingRetriever(store, target_precision=TARGET))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    found = pipeline.run({"embedder": {"text": ANSWERED}})["retriever"]
    by_text = ConfidenceTextRetriever(store, target_precision=TARGET).run(ANSWERED)
    assert [one.id for one in found["documents"]] == [one.id for one in by_text["documents"]]
    assert found["result"]["fg_reason"] == by_text["result"]["fg_reason"]
    vector = encoder.encode([UNKNOWN]).base[0].tolist()
    unknown = asyncio.run(ConfidenceEmbeddingRetriever(store).run_async(vector))
    assert (unknown["documents"], unknown["result"]["fg_outcome"]) == ([], "nothing")


def test_filters_replace_or_join_one_another(calibrated):
    store = ConfidenceDocumentStore(index=calibrated)
    even = {"field": "meta.parity", "operator": "==", "value": 0}
    cards = {"field": "label", "operator": "==", "value": "card"}
    for policy, parities in (("replace", {0, 1}), ("merge", {0})):
        retriever = ConfidenceTextRetriever(store, filters=even, filter_policy=policy, on_uncertain="flag", top_k=20)
        found = retriever.run(ANSWERED, filters=cards)["documents"]
        assert {one.meta["parity"] for one in found} == parities
        assert {one.meta["fg_label"] for one in found} == {"card"}


def test_pipelines_are_serialized(saved_encoder, tmp_path):
    store = ConfidenceDocumentStore(str(tmp_path / "index"), str(saved_encoder))
    for kind in (ConfidenceTextRetriever, ConfidenceEmbeddingRetriever):
        retriever = kind(store, top_k=3, target_precision=0.9, filter_policy="merge", on_uncertain="clarify")
        pipeline = Pipeline()
        pipeline.add_component("retriever", retriever)
        pipeline.add_component("router", ConfidenceRouter())
        pipeline.connect("retriever.documents", "router.documents")
        pipeline.connect("retriever.result", "router.result")
        again = Pipeline.loads(pipeline.dumps(), allowed_modules=TRUSTED)
        assert again.to_dict() == pipeline.to_dict()
        assert again.get_component("retriever").document_store.location == str(tmp_path / "index")
    with pytest.raises(TypeError, match="must be a ConfidenceDocumentStore"):
        ConfidenceTextRetriever("store")


# the gate


def ranked(questions, seed, count=300):
    """Documents of some other retriever, and the ids of the right ones: scores tell how many words are in common."""
    texts, labels = questions(count, seed)
    found, relevant = [], []
    for text, label in zip(texts, labels, strict=True):
        words = set(text.split())
        scores = {name: len(words & set(known)) for name, known in WORDS.items()}
        best = sorted(scores.items(), key=lambda one: -one[1])
        found.append([Document(id=name, content=name, score=score) for name, score in best])
        relevant.append(set() if label is None else {label})
    return found, relevant


def test_a_gate_routes_what_any_retriever_has_found(questions):
    router = GateRouter(0.9).fit(*ranked(questions, 0))
    found, relevant = ranked(questions, 1, 400)
    outputs = [router.run(documents) for documents in found]
    answered = [(one["answer"][0].id, ids) for one, ids in zip(outputs, relevant, strict=True) if "answer" in one]
    assert len(answered) > 100
    assert sum(first in ids for first, ids in answered) / len(answered) >= 0.9
    assert sum("no_answer" in one for one in outputs) > 0
    first = next(one["answer"][0] for one in outputs if "answer" in one)
    assert (first.meta["fg_outcome"], first.meta["fg_promised_precision"]) == ("answer", 0.9)
    assert first.meta == next(one["result"] for one in outputs if "answer" in one)
    empty = router.run([])
    assert empty["no_answer"] == "Nothing is known about this: nothing was retrieved."
    assert (empty["result"]["fg_outcome"], empty["result"]["fg_decision"]) == ("nothing", "abstain")


def test_a_gate_is_serialized_with_what_it_has_learned(questions):
    with pytest.raises(ValueError, match="target_precision must be greater than 0 and less than 1, got 9"):
        GateRouter(9)
    with pytest.raises(NotFittedError):
        GateRouter(0.9).run([Document(content="a", score=1.0)])
    assert GateRouter.from_dict(GateRouter(0.9).to_dict()).target_precision == 0.9
    found, relevant = ranked(questions, 0)
    router = GateRouter(0.9).fit(found, relevant)
    pipeline = Pipeline()
    pipeline.add_component("router", router)
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=TRUSTED).get_component("router")
    assert [again.run(one) for one in found[:20]] == [router.run(one) for one in found[:20]]
    router.adapt(expected_unanswerable=0.5)
    assert router.run(found[0]) != again.run(found[0])
    router.adapt(found)
    assert router.gate.gate.promise.share.source == "estimated"
    with pytest.raises(ValueError, match="has no score"):
        router.run([Document(content="a")])
