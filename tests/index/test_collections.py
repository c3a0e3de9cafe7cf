import pytest
from engines import in_strict_mode_too
from qdrant_client import QdrantClient, models

from fg_search import ConfidenceIndex, EdgeClient, FeatureGroupEncoder
from fg_search.errors import (
    EncoderNotFoundError,
    FormatVersionError,
    IndexNotFoundError,
    ModelMismatchError,
    NotFittedError,
    StorageError,
)

QUESTION = "please help my card is stolen"


@in_strict_mode_too("index")
def test_info_counts_and_names_the_encoder(own, encoder, saved_encoder):
    own.add(["a text without a label"], ids=["extra"])
    info = own.info()
    assert info.points == sum(info.confidence_histogram) == 49
    assert info.labelled == 48
    assert info.metadata.fingerprint == encoder.fingerprint
    assert info.metadata.encoder == str(saved_encoder.resolve())
    assert (info.metadata.groups, info.metadata.codes_per_group, info.metadata.dimension) == (4, 3, 24)


def test_an_index_remembers_its_encoder(tmp_path, encoder, corpus):
    texts, labels = corpus
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        index.add(texts, labels=labels)
        expected = index.search(QUESTION)
    with ConfidenceIndex(tmp_path / "i") as index:
        assert index.search(QUESTION) == expected


def test_another_model_is_refused(tmp_path, encoder, other_encoder):
    ConfidenceIndex(tmp_path / "i", encoder).close()
    with pytest.raises(ModelMismatchError, match=encoder.fingerprint):
        ConfidenceIndex(tmp_path / "i", other_encoder)
    ConfidenceIndex(tmp_path / "i", encoder).close()  # the refusal did not leave the folder locked


def test_an_encoder_folder_that_changed_or_went_is_refused(tmp_path, tiny_model, corpus, other_encoder):
    texts, labels = corpus
    own = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=16, steps=5)
    own.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i", own) as index:
        index.add(texts)
    other_encoder.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(ModelMismatchError):
        index.search(QUESTION)
    (tmp_path / "e").rename(tmp_path / "moved")
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(EncoderNotFoundError, match="does not exist"):
        index.search(QUESTION)


def test_an_encoder_that_was_never_saved_has_to_be_handed_in(tmp_path, other_encoder, corpus):
    texts, _ = corpus
    with ConfidenceIndex(tmp_path / "i", other_encoder) as index:
        index.add(texts)
    with ConfidenceIndex(tmp_path / "i") as index, pytest.raises(EncoderNotFoundError, match="never saved"):
        index.search(QUESTION)
    other_encoder.save(tmp_path / "e")
    with ConfidenceIndex(tmp_path / "i", tmp_path / "e") as index:
        assert index.search(QUESTION).hits


def test_no_index_is_made_by_looking_for_one(tmp_path):
    with pytest.raises(IndexNotFoundError, match=r"no index.*giving an encoder"):
        ConfidenceIndex(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_unfitted_encoder_leaves_nothing_behind(tmp_path, tiny_model):
    with pytest.raises(NotFittedError):
        ConfidenceIndex(tmp_path / "i", FeatureGroupEncoder(tiny_model))
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize("location", [None, 3, b"folder"])
def test_what_is_no_location_is_refused(encoder, location):
    with pytest.raises(TypeError, match=r"location must be a folder, ':memory:', a URL or a client"):
        ConfidenceIndex(location, encoder)


def test_an_unknown_encoder_folder_is_named(tmp_path):
    with pytest.raises(EncoderNotFoundError, match="no-such-encoder"):
        ConfidenceIndex(tmp_path / "i", tmp_path / "no-such-encoder")
    assert not (tmp_path / "i").exists()


def test_a_collection_of_somebody_else_is_refused(encoder):
    client = QdrantClient(":memory:")
    client.create_collection("theirs", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT))
    with pytest.raises(IndexNotFoundError, match="not made by fg_search"):
        ConfidenceIndex(client, encoder, collection="theirs")


def test_a_newer_schema_is_refused(tmp_path, encoder):
    with ConfidenceIndex(tmp_path / "i", encoder) as index:
        newer = index.metadata.to_payload()
        newer["fg_search"]["schema"] = 99
        index.client.update_collection(index.collection, metadata=newer)
    with pytest.raises(FormatVersionError, match="upgrade"):
        ConfidenceIndex(tmp_path / "i", encoder)


def test_a_clients_owner_closes_it(tmp_path, encoder, corpus):
    texts, _ = corpus
    with EdgeClient(tmp_path / "i") as client:
        with ConfidenceIndex(client, encoder, collection="a") as first:
            first.add(texts[:5])
        with ConfidenceIndex(client, encoder, collection="b") as second:
            second.add(texts)
        assert client.count("a").count == 5


def test_a_server_that_does_not_answer_is_named(encoder):
    with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9"):
        ConfidenceIndex("http://127.0.0.1:9", encoder, retry_for=0)
