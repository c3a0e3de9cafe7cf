"""Advice of Haystack's integration."""

from __future__ import annotations

import pytest
from advising import Advice

pytest.importorskip("haystack", reason="needs haystack-ai: pip install 'fg-search[haystack]'")

from fg_search import FeatureGroupEncoder
from fg_search.integrations.haystack import ConfidenceDocumentStore


def test_a_store_is_serialized_by_where_it_is(in_memory, tmp_path):
    with Advice(" on an index that was handed in cannot be serialized; give it a location").raised(ValueError):
        ConfidenceDocumentStore(index=in_memory).to_dict()
    assert ConfidenceDocumentStore(str(tmp_path / "index")).to_dict()["init_parameters"]["encoder"] is None


@pytest.mark.usefixtures("_few_steps")
def test_a_store_is_serialized_with_the_folder_of_its_encoder(tiny_model, corpus, tmp_path):
    encoder = FeatureGroupEncoder(tiny_model).fit(corpus[0], labels=corpus[1])
    store = ConfidenceDocumentStore(encoder=encoder)
    with Advice("the encoder of this store was not saved; save it with encoder.save(folder)").raised(ValueError):
        store.to_dict()
    encoder.save(tmp_path / "encoder")
    assert store.to_dict()["init_parameters"]["encoder"] == str(tmp_path / "encoder")
