import json

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
    head = FeatureGroupHead(7, groups, codes, hidden=hidden, temperature=temperature).eval()
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
    head = FeatureGroupHead(8, 4, 3, hidden=6, trunks=2)
    loss = head.logits(torch.randn(5, 8))[:, :2].sum()
    loss.backward()
    assert head.output.weight.grad[0].any()
    assert not head.output.weight.grad[1].any()
    assert head.hidden.weight.grad[:6].any()
    assert not head.hidden.weight.grad[6:].any()


def test_a_head_with_trunks_is_as_many_heads_side_by_side():
    head = FeatureGroupHead(8, 4, 3, hidden=6, trunks=2).eval()
    rows = torch.randn(5, 8)
    for trunk in range(2):
        alone = FeatureGroupHead(8, 2, 3, hidden=6).eval()
        hidden = slice(6 * trunk, 6 * trunk + 6)
        alone.hidden.load_state_dict({"weight": head.hidden.weight[hidden], "bias": head.hidden.bias[hidden]})
        one = slice(trunk, trunk + 1)
        alone.output.load_state_dict({"weight": head.output.weight[one], "bias": head.output.bias[one]})
        torch.testing.assert_close(alone.logits(rows), head.logits(rows)[:, 2 * trunk : 2 * trunk + 2])


def test_an_input_like_none_seen_before_is_not_made_up_for():
    """The activations of a smaller input are smaller, and so is the confidence: no normalisation in the head."""
    torch.manual_seed(0)
    head = FeatureGroupHead(8, 4, 3, hidden=16, normalize=False).eval()
    rows = torch.randn(50, 8)
    assert head.probabilities(0.1 * rows).max(-1).values.mean() < head.probabilities(rows).max(-1).values.mean()


def test_forward_replaces_the_sentence_embedding_and_keeps_the_base():
    head = FeatureGroupHead(8, 4, 3).eval()
    base = torch.randn(2, 8)
    out = head({"sentence_embedding": base, "other": 1})
    assert out["base_embedding"] is base
    assert out["other"] == 1
    assert out["sentence_embedding"].shape == (2, head.get_embedding_dimension()) == (2, 12)
    torch.testing.assert_close(out["sentence_embedding"].view(2, 4, 3), head.probabilities(base))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden": 6, "trunks": 2, "temperature": 1.5, "dropout": 0.25},
        {"normalize": False},
        {"hidden": 6, "rank": 2},
    ],
)
def test_saving_and_loading_is_the_identity(tmp_path, options):
    head = FeatureGroupHead(8, 4, 3, **options).eval()
    head.save(str(tmp_path / "head"))
    loaded = FeatureGroupHead.load(str(tmp_path / "head")).eval()
    assert loaded.get_config_dict() == head.get_config_dict()
    rows = torch.randn(5, 8)
    assert torch.equal(loaded.probabilities(rows), head.probabilities(rows))
    assert sorted(path.name for path in (tmp_path / "head").iterdir()) == ["config.json", "model.safetensors"]


def test_saved_settings_keep_the_names_they_have_had_from_the_first_release(tmp_path):
    FeatureGroupHead(8, 4, 3, hidden=6).save(str(tmp_path))
    settings = json.loads((tmp_path / "config.json").read_text())
    assert {key: settings[key] for key in ("codes_per_group", "hidden_features")} == {
        "codes_per_group": 3,
        "hidden_features": 6,
    }


def test_the_old_names_of_its_sizes_work_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"FeatureGroupHead\(codes=…\)"):
        head = FeatureGroupHead(8, 4, codes_per_group=3)
    assert head.codes_per_group == 3
    with pytest.warns(DeprecationWarning, match=r"FeatureGroupHead\(hidden=…\)"):
        head = FeatureGroupHead(8, 4, 3, hidden_features=6)
    assert head.hidden_features == 6


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
        ({"codes": 1}, "codes"),
        ({"hidden": 0}, "hidden"),
        ({"trunks": 3}, "trunks must divide groups"),
        ({"trunks": 2}, "needs hidden"),
        ({"rank": 2}, "rank must be at least 1 and needs a hidden layer of one trunk"),
        ({"rank": 0, "hidden": 4}, "got rank=0"),
        ({"rank": 2, "hidden": 4, "trunks": 2}, "trunks=2"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_sizes_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroupHead(**{"in_features": 8, "groups": 4, "codes": 3, **options})


def test_a_truncated_feature_group_embedding_is_refused(tiny_model):
    from sentence_transformers import SentenceTransformer

    modules = [*tiny_model, FeatureGroupHead(24, 4, 3).eval()]
    with pytest.raises(ValueError, match="cannot be truncated: its 12 numbers are whole groups"):
        SentenceTransformer(modules=modules, device="cpu", truncate_dim=6).encode(["my card"])
    model = SentenceTransformer(modules=modules, device="cpu")
    with pytest.raises(ValueError, match="leave truncate_dim out"):
        model.encode(["my card"], truncate_dim=3)
    assert model.encode(["my card"], truncate_dim=12).shape == (1, 12)
    everything = model.encode(["my card", "pizza"], output_value=None)
    assert {"sentence_embedding", "base_embedding"} <= set(everything[0])


def test_a_pool_of_processes_encodes_the_same(saved_encoder, encoder):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(saved_encoder), device="cpu", trust_remote_code=True)
    pool = model.start_multi_process_pool(["cpu"])  # each loads torch
    try:
        together = model.encode(["my card", "pizza oven", "hotel"], pool=pool, chunk_size=2)
    finally:
        model.stop_multi_process_pool(pool)
    np.testing.assert_allclose(
        together, encoder.to_sentence_transformer().encode(["my card", "pizza oven", "hotel"]), atol=1e-6
    )


def test_a_head_on_a_model_of_another_dimension_says_so(tiny_model):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=[*tiny_model, FeatureGroupHead(25, 4, 3)], device="cpu")
    with pytest.raises(ValueError, match="reads embeddings of dimension 25, this model gives 24"):
        model.encode(["my card"])


def test_it_reads_whatever_gives_a_sentence_embedding():
    """A model of pictures: the head looks at nothing but the embedding."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule

    class Brightness(InputModule):
        def preprocess(self, inputs, prompt=None, **_):
            return {"pixels": torch.tensor(np.stack(inputs), dtype=torch.float32)}

        def forward(self, features, **_):
            features["sentence_embedding"] = features["pixels"].flatten(1)
            return features

        def save(self, output_path, *_, **__): ...

    model = SentenceTransformer(modules=[Brightness(), FeatureGroupHead(8, 4, 3).eval()], device="cpu")
    features = model({"pixels": torch.rand(2, 2, 4)})
    assert features["sentence_embedding"].shape == (2, 12)


@pytest.fixture
def quaterion_folder(tmp_path):
    """A folder as quaterion-models' SoftmaxEmbeddingsHead saves it."""
    projection = torch.nn.Linear(8, 12)
    config = {"input_embedding_size": 8, "output_groups": 4, "output_size_per_group": 3, "dropout": 0.1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = {f"projection_layer.{name}": value for name, value in projection.state_dict().items()}
    torch.save(weights, tmp_path / "weights.bin")
    return tmp_path, projection


def test_a_head_of_quaterion_gives_the_same_numbers(quaterion_folder):
    folder, projection = quaterion_folder
    head = FeatureGroupHead.from_quaterion(str(folder))
    rows = 3 * torch.randn(5, 8)
    expected = projection(rows).view(5, 4, 3).softmax(-1)
    torch.testing.assert_close(head.probabilities(rows), expected)
    assert head.dropout == 0.1
    assert not head.training


def test_a_foreign_or_hostile_quaterion_folder_is_refused(quaterion_folder, tmp_path):
    folder, _ = quaterion_folder
    torch.save({"projection_layer.weight": torch.zeros(5, 8)}, folder / "weights.bin")
    with pytest.raises(ValueError, match=r"must have shape \(12, 8\): shape \(5, 8\)"):
        FeatureGroupHead.from_quaterion(str(folder))
    torch.save({"projection_layer.weight": _Evil()}, folder / "weights.bin")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        FeatureGroupHead.from_quaterion(str(folder))
    assert not _Evil.ran
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks input_embedding_size"):
        FeatureGroupHead.from_quaterion(str(folder))


class _Evil:
    ran = False

    def __reduce__(self):
        return (_run, ())


def _run():
    _Evil.ran = True


def test_it_is_never_saved_as_a_pickle(tmp_path):
    with pytest.raises(ValueError, match="safetensors only"):
        FeatureGroupHead(4, 2, 3).save(str(tmp_path), safe_serialization=False)
    assert not list(tmp_path.iterdir())
