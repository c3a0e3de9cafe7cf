import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fg_search import FeatureGroupHead


@given(
    groups=st.integers(1, 6),
    codes=st.integers(2, 9),
    hidden=st.sampled_from([None, 5]),
    n=st.integers(1, 4),
    temperature=st.floats(0.05, 20),
    seed=st.integers(0, 99),
)
def test_every_group_is_a_distribution(groups, codes, hidden, n, temperature, seed):
    torch.manual_seed(seed)
    head = FeatureGroupHead(7, groups, codes, hidden_features=hidden, temperature=temperature).eval()
    with torch.no_grad():
        probabilities = head.probabilities(torch.randn(n, 7) * 100)
    assert probabilities.shape == (n, groups, codes)
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(n, groups))


def test_only_the_direction_of_the_input_counts():
    torch.manual_seed(0)
    head = FeatureGroupHead(8, 2, 3).eval()
    rows = torch.randn(5, 8)
    torch.testing.assert_close(head.probabilities(rows), head.probabilities(1000 * rows))


def test_a_higher_temperature_is_less_confident():
    torch.manual_seed(0)
    sharp = FeatureGroupHead(8, 2, 3, temperature=0.5)
    flat = FeatureGroupHead(8, 2, 3, temperature=5)
    flat.load_state_dict(sharp.state_dict())
    rows = torch.randn(5, 8)
    assert (sharp.probabilities(rows).max(-1).values > flat.probabilities(rows).max(-1).values).all()


def test_trunks_share_nothing():
    head = FeatureGroupHead(8, 4, 3, hidden_features=6, trunks=2)
    loss = head.logits(torch.randn(5, 8))[:, :2].sum()
    loss.backward()
    first, second = head.networks
    assert all(weight.grad is not None for weight in first.parameters())
    assert not any(weight.grad.any() for weight in second.parameters())


def test_forward_replaces_the_sentence_embedding_and_keeps_the_base():
    head = FeatureGroupHead(8, 4, 3).eval()
    base = torch.randn(2, 8)
    out = head({"sentence_embedding": base, "other": 1})
    assert out["base_embedding"] is base
    assert out["other"] == 1
    assert out["sentence_embedding"].shape == (2, head.get_embedding_dimension()) == (2, 12)
    torch.testing.assert_close(out["sentence_embedding"].view(2, 4, 3), head.probabilities(base))


@pytest.mark.parametrize("options", [{}, {"hidden_features": 6, "trunks": 2, "temperature": 1.5, "dropout": 0.25}])
def test_saving_and_loading_is_the_identity(tmp_path, options):
    head = FeatureGroupHead(8, 4, 3, **options).eval()
    head.save(str(tmp_path / "head"))
    loaded = FeatureGroupHead.load(str(tmp_path / "head")).eval()
    assert loaded.get_config_dict() == head.get_config_dict()
    rows = torch.randn(5, 8)
    assert torch.equal(loaded.probabilities(rows), head.probabilities(rows))
    assert sorted(path.name for path in (tmp_path / "head").iterdir()) == ["config.json", "model.safetensors"]


def test_appended_to_a_sentence_transformer_it_encodes(tiny_model):
    from sentence_transformers import SentenceTransformer

    head = FeatureGroupHead(24, 4, 3).eval()
    model = SentenceTransformer(modules=[*tiny_model, head], device="cpu")
    features = model.encode(["my card", "pizza recipe"])
    assert features.shape == (2, 12)
    np.testing.assert_allclose(features.reshape(2, 4, 3).sum(-1), 1, atol=1e-6)
    assert model.get_embedding_dimension() == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "in_features"),
        ({"groups": 0}, "groups"),
        ({"codes_per_group": 1}, "codes_per_group"),
        ({"hidden_features": 0}, "hidden_features"),
        ({"trunks": 3}, "trunks must divide groups"),
        ({"trunks": 2}, "needs hidden_features"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_sizes_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroupHead(**{"in_features": 8, "groups": 4, "codes_per_group": 3, **options})
