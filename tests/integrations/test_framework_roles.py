"""Frameworks embed queries as queries and documents as documents."""

import numpy as np
import pytest

from fg_search import ConfidenceIndex, FeatureGroupEncoder

TEXTS = ["my card pin", "stolen card", "pizza oven", "cheese pizza"]


@pytest.fixture(scope="module")
def prompted(prompted_model):
    encoder = FeatureGroupEncoder(prompted_model)
    return encoder.fit(TEXTS, labels=["card", "card", "food", "food"], groups=2, codes=2, hidden=8, steps=5)


@pytest.fixture
def index(prompted):
    with ConfidenceIndex(":memory:", prompted) as index:
        index.add(TEXTS, ids=list("abcd"))
        yield index


def test_langchain(prompted, index):
    pytest.importorskip("langchain_core")
    from fg_search.integrations.langchain import ConfidenceVectorStore, EncoderEmbeddings

    embeddings = EncoderEmbeddings(prompted)
    np.testing.assert_allclose(embeddings.embed_documents(TEXTS), prompted.embed(TEXTS), rtol=1e-6)
    vector = embeddings.embed_query("my card")
    np.testing.assert_allclose([vector], prompted.embed(["my card"], role="query"), rtol=1e-6)
    store = ConfidenceVectorStore(index)
    assert store.similarity_search_by_vector(vector, 2) == store.similarity_search("my card", 2)


def test_llama_index(prompted, index):
    pytest.importorskip("llama_index.core")
    from llama_index.core.vector_stores import VectorStoreQuery

    from fg_search.integrations.llama_index import ConfidenceVectorStore, EncoderEmbedding

    model = EncoderEmbedding(prompted)
    vector = model.get_query_embedding("my card")
    np.testing.assert_allclose([vector], prompted.embed(["my card"], role="query"), rtol=1e-6)
    np.testing.assert_allclose([model.get_text_embedding("my card")], prompted.embed(["my card"]), rtol=1e-6)
    by_vector, by_text = (
        ConfidenceVectorStore(index).search_index(VectorStoreQuery(similarity_top_k=2, **query))
        for query in ({"query_embedding": vector}, {"query_str": "my card"})
    )
    assert by_vector.hits == by_text.hits
