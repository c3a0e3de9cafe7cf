import json

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from fg_search import FeatureEmbeddings, FeatureGroupEncoder
from fg_search.arrays import unit_rows
from fg_search.model.description import describe, group_mutual_information

TEXTS = ["red shoe", "red boot", "red sandal", "blue shoe", "blue boot", "blue hat please"]
LABELS = ["shoes", "shoes", "shoes", "shoes", "shoes", "hats"]


def embeddings_of(codes, confidence, size=4):
    codes, confidence = np.asarray(codes), np.asarray(confidence, dtype=np.float32)
    probabilities = np.repeat(((1 - confidence) / (size - 1))[..., None], size, axis=-1)
    np.put_along_axis(probabilities, codes[..., None], confidence[..., None], axis=-1)
    return FeatureEmbeddings(np.zeros((len(codes), 2), np.float32), probabilities.astype(np.float32))


@pytest.fixture
def embeddings():
    """Group 0 is the colour, group 1 the same for all but the last."""
    return embeddings_of(
        [[2, 0], [2, 0], [2, 0], [1, 0], [1, 0], [1, 3]],
        [[0.9, 0.5], [0.8, 0.5], [0.6, 0.5], [0.9, 0.5], [0.7, 0.5], [0.95, 0.5]],
    )


def test_a_code_is_described_by_what_its_items_share(embeddings):
    colours = ["red"] * 3 + ["blue"] * 3
    blue, red = describe(embeddings, TEXTS, LABELS, attributes={"colour": colours}).groups[0].codes
    assert (blue.code, red.code) == (1, 2)
    assert red.usage == 0.5
    assert red.confidence == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert red.terms[0] == "red"
    assert "blue" not in red.terms
    assert red.typical[0] == "red shoe"
    assert red.boundary[0][0] == "red sandal"
    assert red.boundary[0][1] != 2
    (value,) = red.attributes["colour"]
    assert (value.value, value.count, value.share, value.lift) == ("red", 3, 1.0, 2.0)
    assert [(value.value, value.lift) for value in blue.labels] == [("hats", pytest.approx(2.0))]  # shoes are no lift
    assert red.labels[0].lift == pytest.approx(1.2)


def test_a_group_tells_its_entropy_and_its_dead_codes(embeddings):
    colour, other = describe(embeddings, TEXTS).groups
    assert colour.dead_codes == (0, 3)
    assert colour.entropy == pytest.approx(np.log(2) / np.log(4))
    assert other.dead_codes == (1, 2)
    assert colour.codes[0].labels == ()


def test_mutual_information_is_one_for_groups_that_say_the_same():
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=(200, 3))
    codes[:, 1] = 3 - codes[:, 0]
    shared = group_mutual_information(codes)
    np.testing.assert_array_equal(shared, shared.T)
    assert shared[0, 1] == pytest.approx(1)
    assert shared[0, 2] == pytest.approx(normalized_mutual_info_score(codes[:, 0], codes[:, 2]))
    assert shared[0, 2] < 0.1


def test_it_prints_well_and_gives_a_dict(embeddings):
    found = describe(embeddings, TEXTS, LABELS, group_names=["colour"])
    text = str(found)
    assert text.startswith("2 groups on 6 items, mutual information between groups")
    assert "group 0 (colour): 2 codes in use, 2 dead" in text
    assert "code 2: 50.0% of items; shoes 100%; terms red" in text
    data = json.loads(json.dumps(found.to_dict()))
    assert data["groups"][0]["codes"][1]["terms"][0] == "red"
    assert len(data["mutual_information"]) == 2


def test_groups_that_separate_the_same_are_shown_once():
    codes = np.array([[0, 2, 0, 1], [0, 2, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0], [2, 3, 1, 2], [2, 1, 1, 2]])
    labels = ["tents", "tents", "stoves", "stoves", "boots", "boots"]
    found = describe(embeddings_of(codes, np.full(codes.shape, 0.9)), TEXTS, labels)
    assert found.alike == ((0, 1, 3), (2,))  # a stray item of a label makes no other partition
    assert found.groups[0].parts == (("tents",), ("stoves",), ("boots",))
    assert found.groups[2].title == "boots against stoves and tents"
    text = str(found)
    assert "groups 0, 1, 3 are alike; group 0 stands for them" in text
    assert "  3 labels, each with a code of its own: tents, stoves and boots" in text
    assert "group 1:" not in text
    assert "group 2: 2 codes in use" in text
    data = found.to_dict()
    assert data["groups"][2]["title"] == found.groups[2].title
    without = describe(embeddings_of(codes, np.full(codes.shape, 0.9)), TEXTS)
    assert without.alike == ((0,), (1,), (2,), (3,))  # without labels items tell
    twins = embeddings_of(np.array([[0, 3], [1, 0], [0, 3]]), np.full((3, 2), 0.9))
    assert describe(twins, TEXTS[:3]).alike == ((0, 1),)


def test_a_group_of_an_attribute_is_named_by_its_values(embeddings):
    colours = ["red"] * 3 + ["blue"] * 3
    found = describe(embeddings, TEXTS, LABELS, attributes={"colour": colours}, group_names=["colour"])
    assert found.groups[0].title == "2 values, each with a code of its own: blue and red"
    assert found.groups[1].parts == (("shoes",), ("hats",))


def test_a_code_without_labels_is_named_by_the_text_it_is_nearest_to():
    codes = [[0, 0, 0], [0, 0, 0], [0, 1, 1], [1, 2, 2]]
    found = describe(embeddings_of(codes, np.full((4, 3), 0.9)), ["my card", "the card", "a pin", "pizza"])
    assert found.groups[0].codes[0].nearest in ("my card", "the card")
    assert found.groups[0].codes[1].nearest == "pizza"
    assert found.groups[0].title == f"codes nearest to “{found.groups[0].codes[0].nearest}” and “pizza”"
    assert "nearest to “pizza”" in str(found.groups[0])


def test_the_least_familiar_texts_are_named_with_what_they_are_nearest_to(encoder, corpus):
    texts, labels = corpus
    found = encoder.describe([*texts, "pizza loan passport", "quantum lattice"], [*labels, None, None])
    known = encoder.encode([*texts, "pizza loan passport", "quantum lattice"]).familiarity
    assert found.familiarity == pytest.approx(known.mean(), abs=1e-4)
    text, familiarity, nearest = found.unfamiliar[[row[0] for row in found.unfamiliar].index("pizza loan passport")]
    assert familiarity == pytest.approx(known[-2], abs=1e-5)
    rows = unit_rows(encoder.embed([*texts, text]))
    assert nearest == texts[int(np.argmax(rows[:-1] @ rows[-1]))]
    assert f"unfamiliar: “{text}” ({familiarity:.2g}), nearest to “{nearest}”" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["familiarity"] == found.familiarity
    assert encoder.describe(["zebra"]).unfamiliar == encoder.describe(texts).unfamiliar == ()


def test_texts_without_words_have_no_terms():
    found = describe(embeddings_of([[0], [1]], [[0.9], [0.9]]), ["?", "!"])
    assert [code.terms for code in found.groups[0].codes] == [(), ()]


def test_an_encoder_describes_itself(tiny_model, corpus):
    texts, labels = corpus
    sizes = ["long" if len(text) > 24 else "short" for text in texts]
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, attributes={"size": sizes}, groups=4, steps=100)
    found = encoder.describe(texts, labels, attributes={"size": sizes})
    assert [group.name for group in found.groups] == ["size", None, None, None]
    assert found.groups[1].codes[0].labels[0].lift > 2
    assert str(encoder.describe(texts, embeddings=encoder.encode(texts))).startswith("4 groups on 48 items")


def test_lengths_must_fit(embeddings):
    with pytest.raises(ValueError, match="labels has 1 items"):
        describe(embeddings, TEXTS, ["a"])
    with pytest.raises(ValueError, match="embeddings has 6 items"):
        describe(embeddings, TEXTS[:2])
    with pytest.raises(ValueError, match="no texts"):
        describe(embeddings[:0], [])


def test_the_only_label_is_shown(embeddings):
    found = describe(embeddings, [f"text {i}" for i in range(len(embeddings))], ["only"] * len(embeddings))
    assert [lift.value for lift in found.groups[0].codes[0].labels] == ["only"]
