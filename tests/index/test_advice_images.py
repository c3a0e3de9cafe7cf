"""Advice about items that are pictures."""

import numpy as np
import pytest
from advising import Advice
from colours import COLOURS, Colours, picture
from sentence_transformers import SentenceTransformer

from fg_search import ConfidenceIndex, FeatureGroupEncoder

RED = {"texts": ["red"], "images": [picture("red", 1)]}


@pytest.fixture(scope="module")
def encoder():
    model = FeatureGroupEncoder(SentenceTransformer(modules=[Colours()], device="cpu"))
    labels = [name for name in COLOURS for _ in range(4)]
    vectors = model.embed_images([picture(name, i) for i, name in enumerate(labels)])
    return model.fit(vectors=vectors, labels=labels, groups=2, codes=3, steps=5, seed=0)


@pytest.mark.parametrize(
    ("advice", "wrong", "right"),
    [
        (Advice("… is …; give the path of a picture, or a picture of PIL"), {**RED, "images": [7]}, RED),
        (Advice("… … …; leave it out, or give another file"), {"images": ["nothing.png"]}, RED),
        (Advice("… … …; leave it out, or give another file"), {"images": [__file__]}, RED),
        (
            Advice("images[…] has no file name to be shown by; give texts, such as captions"),
            {"images": RED["images"]},
            RED,
        ),
        (Advice("… has … items, images has …; give one for each image"), {**RED, "texts": ["a", "b"]}, RED),
        (Advice("… has … items, images has …; give one for each image"), {**RED, "payloads": []}, RED),
        (
            Advice("images are embedded here; give them, or vectors or embeddings that are made of them"),
            {**RED, "vectors": np.ones((1, 9))},
            RED,
        ),
        (Advice(" must be a list, got …; wrap it: […]"), {"images": "red.png"}, RED),
    ],
)
def test_what_is_no_picture_is_named_and_nothing_is_written(encoder, advice, wrong, right):
    with ConfidenceIndex(":memory:", encoder) as index:
        with advice.raised():
            index.add(**wrong)
        assert len(index) == 0
        assert index.add(**right).written == 1


def test_a_model_of_texts_takes_no_pictures(tiny_model, encoder):
    with Advice("… takes texts alone; use a model that takes pictures, such as CLIP").raised():
        FeatureGroupEncoder(tiny_model).embed_images(RED["images"])
    assert encoder.embed_images(RED["images"]).shape == (1, 9)
