"""What a fingerprint sees, and when."""

import copy
import time

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Normalize
from tokenizers import normalizers

from fg_search import FeatureGroupEncoder
from fg_search.model.codebook import Codebook
from fg_search.model.fingerprint import Fingerprints, base_fingerprint
from fg_search.model.head import FeatureGroupHead

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "steps": 5}


@pytest.fixture
def fitted(transformer, corpus) -> FeatureGroupEncoder:
    return FeatureGroupEncoder(transformer()).fit(corpus[0], labels=corpus[1], **SIZES)


def _nudge(weight):
    with torch.no_grad():
        weight.reshape(-1)[7] += 1e-3


def _lower(model):
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda model: setattr(model, "max_seq_length", 8), id="maximum length"),
        pytest.param(lambda model: setattr(model, "default_prompt_name", "query"), id="default prompt"),
        pytest.param(lambda model: model.prompts.update(document="passage: "), id="a prompt"),
        pytest.param(lambda model: setattr(model[1], "pooling_mode", "cls"), id="pooling"),
        pytest.param(lambda model: model.half(), id="data type"),
        pytest.param(lambda model: model.append(Normalize()), id="a module"),
        pytest.param(lambda model: model.tokenizer.add_tokens(["newword"]), id="a token"),
        pytest.param(_lower, id="lower case"),
        pytest.param(lambda model: _nudge(model[0].model.embeddings.word_embeddings.weight), id="a weight"),
        pytest.param(lambda model: _nudge(list(model.parameters())[-1]), id="the last weight"),
        pytest.param(lambda model: setattr(model[0].config, "num_attention_heads", 4), id="heads"),
    ],
)
def test_the_fingerprint_changes_with_the_model_even_after_it_was_asked(fitted, change):
    before, base_before = fitted.fingerprint, fitted.base_fingerprint
    change(fitted.model)
    assert fitted.fingerprint != before
    assert fitted.base_fingerprint != base_before


def test_the_fingerprint_is_back_when_a_setting_is(fitted):
    before = fitted.fingerprint
    fitted.model.max_seq_length = 8
    assert fitted.fingerprint != before
    fitted.model.max_seq_length = 12
    assert fitted.fingerprint == before


def test_every_weight_counts(tiny_model):
    changed = copy.deepcopy(tiny_model)
    weight = changed[0].embedding.weight
    for place in range(0, weight.numel(), 97):
        before = base_fingerprint(changed, "tiny")
        with torch.no_grad():
            weight.view(-1)[place] += 1e-4
        assert base_fingerprint(changed, "tiny") != before


def test_a_head_that_is_trained_further_is_another(fitted):
    before = fitted.fingerprint
    _nudge(next(fitted.head.parameters()))
    after = fitted.fingerprint
    assert after != before
    fitted.head.temperature = 2.0
    assert fitted.fingerprint != after


def test_two_copies_of_a_model_have_the_same_fingerprint(transformer):
    one, other = transformer(), transformer()
    other.encode(["my card"] * 3)  # a tokenizer that was used has other settings of padding
    assert base_fingerprint(one, "one") == base_fingerprint(other, "other")


def test_release_0_1_had_these_fingerprints(tiny_model):
    head = FeatureGroupHead(24, 2, 2)
    with torch.no_grad():
        for weight in head.parameters():
            weight.fill_(0.5)
    codebook = Codebook.from_labels(["a", "b"], groups=2, codes=2, seed=0)
    known = Fingerprints()
    assert known.former_base(tiny_model, "tiny") == "ccd0d05ad3e8ec9c"
    assert known.former(tiny_model, "tiny", head, codebook) == "6349456c17d80c07"


def test_asking_again_does_not_hash_the_weights_again(monkeypatch, fitted):
    first = fitted.fingerprint
    monkeypatch.setattr("fg_search.model.fingerprint._hash_tensors", lambda _: pytest.fail("hashed again"))
    start = time.perf_counter()
    assert fitted.fingerprint == fitted.fingerprint == first
    assert time.perf_counter() - start < 0.1
