import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fg_search import ConfidenceIndex, FeatureEmbeddings, FeatureGroupEncoder, FeatureGroupHead, FeatureGroupLoss
from fg_search.confidence import FamiliarityScale, answerability, best_label_similarity
from fg_search.model import familiarity as learned
from fg_search.model.familiarity import Familiarity

STRANGE = ["volcano basalt magma"]


def cosines(rows, others):
    rows, others = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rows, others))
    return rows @ others.T


@given(count=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_with_few_examples_all_of_them_are_kept_and_each_is_judged_without_itself(count, seed):
    rng = np.random.default_rng(seed)
    rows, asked = rng.standard_normal((count, 5)), rng.standard_normal((4, 5))
    found = Familiarity.of(rows, seed=seed)
    np.testing.assert_allclose(found.similarity(asked), cosines(asked, rows).max(axis=1), atol=1e-5)
    without = np.where(np.eye(count, dtype=bool), -1, cosines(rows, rows)).max(axis=1)
    np.testing.assert_allclose(found.scale.knots, FamiliarityScale.of(without).knots, atol=1e-5)


def test_many_examples_become_means_and_an_example_is_judged_without_its_part_of_its_mean(monkeypatch):
    monkeypatch.setattr(learned, "_PROTOTYPES", 8)
    rows = np.random.default_rng(0).standard_normal((60, 5))
    found = Familiarity.of(rows)
    means = found.prototypes.numpy()
    assert len(means) <= 8
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = None
    # brute force: a mean is of the examples that were assigned to it; find the assignment that gives these means
    prototypes = unit[np.random.default_rng(0).permutation(60)[:8]]
    for _ in range(2):
        nearest = (unit @ prototypes.T).argmax(axis=1)
        sums = [unit[nearest == j].sum(axis=0) for j in sorted(set(nearest))]
        prototypes = np.array([row / np.linalg.norm(row) for row in sums])
    np.testing.assert_allclose(means, prototypes, atol=1e-5)
    nearest = np.unique(nearest, return_inverse=True)[1]
    without = []
    for i, row in enumerate(unit):
        others = [
            unit[(nearest == j) & (np.arange(60) != i)].sum(axis=0)
            for j in range(len(means))
            if ((nearest == j) & (np.arange(60) != i)).any()
        ]
        without.append(max(row @ other / np.linalg.norm(other) for other in others))
    np.testing.assert_allclose(found.scale.knots, FamiliarityScale.of(np.array(without)).knots, atol=1e-5)


def test_of_very_many_examples_a_sample_is_taken(monkeypatch):
    monkeypatch.setattr(learned, "_SAMPLED", 20)
    rows = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    found = Familiarity.of(rows, seed=1)
    assert found.prototypes.shape == (20, 5)
    assert (found.similarity(rows) > 1 - 1e-5).sum() == 20
    assert torch.equal(Familiarity.of(rows, seed=1).prototypes, found.prototypes)


def test_one_example_says_nothing():
    assert Familiarity.of(np.ones((1, 3))) is None
    assert Familiarity.of(np.empty((0, 3))) is None


def test_what_was_learned_is_familiar_and_what_was_not_is_not(encoder, corpus):
    texts, _ = corpus
    known, strange = encoder.encode(texts).familiarity, encoder.encode(STRANGE).familiarity
    np.testing.assert_allclose(known, 1, atol=1e-6)
    assert strange[0] < 0.05
    assert encoder.encode(["my card is gone"]).familiarity > strange


@pytest.mark.parametrize(
    "supervision",
    [
        lambda texts, labels: {"labels": labels},
        lambda texts, labels: {"attributes": {"kind": labels}},
        lambda texts, labels: {"attributes": {"kind": labels}, "labels": labels},
        lambda texts, labels: {"pairs": list(zip(texts[::2], texts[1::2], strict=True))},
        lambda texts, labels: {},
    ],
    ids=["labels", "attributes", "attributes and labels", "pairs", "clusters"],
)
def test_every_kind_of_head_tells_the_familiar(tiny_model, corpus, supervision):
    texts, labels = (part[:60] for part in corpus)
    encoder = FeatureGroupEncoder(tiny_model).fit(
        texts, **supervision(texts, labels), groups=4, codes=4, hidden=8, steps=5
    )
    known, strange = encoder.encode(texts[:8]), encoder.encode(STRANGE)
    np.testing.assert_allclose(known.familiarity, 1, atol=1e-6)
    assert strange.familiarity[0] < 0.5
    sure = (
        strange.confidence
        if not encoder.codebook.labels
        else best_label_similarity(strange.probabilities, encoder.codebook.label_codes)
    )
    np.testing.assert_allclose(strange.answerability, answerability(sure, strange.familiarity), rtol=1e-6)


def test_familiarity_is_saved_with_the_head(encoder, saved_encoder, corpus):
    loaded = FeatureGroupEncoder.load(saved_encoder)
    asked = [*corpus[0][:3], *STRANGE]
    np.testing.assert_array_equal(loaded.encode(asked).familiarity, encoder.encode(asked).familiarity)
    np.testing.assert_array_equal(loaded.encode(asked).answerability, encoder.encode(asked).answerability)
    assert loaded.fingerprint == encoder.fingerprint
    assert json.loads((saved_encoder / "fg_search.json").read_text())["format"] == 3


def test_rows_of_embeddings_keep_their_familiarity(encoder, corpus, tmp_path):
    out = encoder.encode([*corpus[0][:3], *STRANGE])
    np.testing.assert_array_equal(out[[3, 0]].familiarity, out.familiarity[[3, 0]])
    np.testing.assert_array_equal(out[2:].answerability, out.answerability[2:])
    out.save(tmp_path / "out.npz")
    loaded = FeatureEmbeddings.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(loaded.familiarity, out.familiarity)
    np.testing.assert_array_equal(loaded.answerability, out.answerability)
    mixed = out[2:].mixed()
    assert out.familiarity[3] < mixed.familiarity[0] < out.familiarity[2]
    assert mixed.answerability.shape == (1,)
    with pytest.raises(ValueError, match="familiarity is of 1 items, base of 4"):
        FeatureEmbeddings(out.base, out.probabilities, familiarity=out.familiarity[:1])


@pytest.fixture
def former(tiny_model, corpus):
    """An encoder as of release 0.1, whose head does not know its examples."""
    texts, labels = corpus
    encoder = FeatureGroupEncoder(tiny_model).fit(texts, labels=labels, groups=4, codes=3, hidden=8, steps=5)
    encoder.head.familiarity = None
    return encoder


def test_an_encoder_of_an_earlier_release_works_without_and_says_so(former, corpus, tmp_path, caplog):
    before = former.fingerprint
    former.save(tmp_path / "former")
    assert json.loads((tmp_path / "former" / "fg_search.json").read_text())["format"] == 2
    (config,) = (tmp_path / "former").glob("*FeatureGroupHead/config.json")
    assert "familiarity" not in json.loads(config.read_text())
    loaded = FeatureGroupEncoder.load(tmp_path / "former")
    assert "does not know which texts are familiar" in caplog.text
    assert loaded.fingerprint == before
    out = loaded.encode(STRANGE)
    assert out.familiarity is None
    np.testing.assert_array_equal(out.answerability, out.confidence)
    with ConfidenceIndex(":memory:", loaded) as index:
        index.add(corpus[0][:5])
        result = index.search(STRANGE[0])
        assert result.query_familiarity is None
        assert result.query_confidence == pytest.approx(out.confidence[0])


def test_an_encoder_of_an_earlier_release_learns_what_is_familiar(former, corpus, tmp_path, caplog):
    texts, _ = corpus
    before = former.fingerprint
    former.learn_familiarity(texts).save(tmp_path / "now")
    assert former.fingerprint != before
    loaded = FeatureGroupEncoder.load(tmp_path / "now")
    assert "familiar" not in caplog.text
    np.testing.assert_allclose(loaded.encode(texts[:2]).familiarity, 1, atol=1e-6)
    again = former.learn_familiarity(vectors=former.embed(texts))
    assert again.fingerprint == loaded.fingerprint
    with pytest.raises(ValueError, match="at least 2 texts, got 1"):
        former.learn_familiarity(texts[:1])


def test_end_to_end_training_forgets_what_another_base_model_knew(encoder):
    model = encoder.to_sentence_transformer()
    assert model[-1].familiarity is not None
    FeatureGroupLoss(model)
    assert model[-1].familiarity is None
    assert encoder.head.familiarity is not None


def test_a_head_carries_its_familiarity_through_torch(tmp_path):
    head = FeatureGroupHead(3, 2, 4).eval()
    assert "prototypes" not in head.state_dict()
    head.familiarity = Familiarity.of(np.eye(3))
    head.save(str(tmp_path))
    loaded = FeatureGroupHead.load(str(tmp_path))
    assert torch.equal(loaded.prototypes, torch.eye(3))
    assert loaded.familiarity(np.eye(3, dtype=np.float32)).tolist() == [1, 1, 1]
