"""Items that are pictures, for models that take them."""

import numpy as np
import pytest
from colours import COLOURS, Colours, picture
from sentence_transformers import SentenceTransformer

from fg_search import ConfidenceIndex, FeatureGroupEncoder
from fg_search.errors import UnsupportedError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of pictures, eight a colour, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in COLOURS:
        for i in range(8):
            picture(name, i).save(folder / f"{name}-{i}.png")
    return sorted(folder.glob("*.png"))


@pytest.fixture(scope="module")
def encoder(files):
    model = FeatureGroupEncoder(SentenceTransformer(modules=[Colours()], device="cpu"))
    return model.fit(
        vectors=model.embed_images(files),
        labels=[file.stem[:-2] for file in files],
        groups=4,
        codes=3,
        steps=80,
        seed=0,
    )


@pytest.fixture
def index(encoder, files):
    with ConfidenceIndex(":memory:", encoder) as new:
        new.add(images=files, labels=[file.stem[:-2] for file in files])
        yield new


def test_pictures_are_found_by_words_and_by_pictures(index, encoder):
    hit = index.search("something green").hits[0]
    assert hit.label == "green"
    assert hit.text == hit.payload["image"].rpartition("/")[2][:-4]
    vector = encoder.embed_images([picture("blue", 99)])[0]
    assert {hit.label for hit in index.search(vector=vector, limit=5).hits} == {"blue"}


def test_captions_ids_and_payloads_are_kept(index):
    report = index.add(
        ["a red square"], images=[picture("red", 50)], ids=["r"], labels=["red"], payloads=[{"image": "mine", "n": 1}]
    )
    assert report.written == 1
    hit = next(hit for hit in index.search("red", limit=30).hits if hit.id == "r")
    assert (hit.text, hit.payload) == ("a red square", {"image": "mine", "n": 1})


def test_embeddings_do_not_depend_on_the_batches(encoder, files):
    whole = encoder.embed_images(files)
    assert whole.shape == (24, 9)
    np.testing.assert_array_equal(encoder.embed_images((file for file in files), batch_size=5), whole)
    assert encoder.embed_images([]).shape == (0, 9)


def test_a_model_of_texts_takes_no_pictures(tiny_model):
    with pytest.raises(UnsupportedError, match="use a model that takes pictures, such as CLIP"):
        FeatureGroupEncoder(tiny_model).embed_images([picture("red", 1)])
