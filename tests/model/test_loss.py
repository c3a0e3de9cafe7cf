import numpy as np
import pytest
import torch

from fg_search import Codebook, FeatureGroupEncoder, FeatureGroupHead, FeatureGroupLoss

SIZES = {"groups": 4, "codes": 3, "hidden": 16, "trunks": 1}


@pytest.fixture
def model(corpus):
    """A model of its own for each test: training changes it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = sorted({word for text in corpus[0] for word in text.split()})
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(words) + 1, 8)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def test_the_trainer_trains_head_and_encoder_together(model, corpus, tmp_path):
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("accelerate")
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    texts, labels = corpus
    encoder = FeatureGroupEncoder(model).fit(texts, labels=labels, steps=3, **SIZES)
    before = encoder.embed(texts)
    pipeline = encoder.to_sentence_transformer()
    loss = FeatureGroupLoss(pipeline)
    batch = [pipeline.preprocess(texts)]
    codes = torch.from_numpy(encoder.codebook.targets)
    first = loss(batch, codes).item()
    SentenceTransformerTrainer(
        model=pipeline,
        args=SentenceTransformerTrainingArguments(
            str(tmp_path), num_train_epochs=10, learning_rate=0.02, save_strategy="no", report_to="none", use_cpu=True
        ),
        train_dataset=datasets.Dataset.from_dict({"text": texts, "label": encoder.codebook.targets.tolist()}),
        loss=loss,
    ).train()
    assert loss([pipeline.preprocess(texts)], codes).item() < first / 2
    trained = FeatureGroupEncoder.from_sentence_transformer(pipeline, encoder.codebook)
    assert not np.allclose(trained.embed(texts), before)
    decoded = trained.codebook.decode(trained.encode(texts).probabilities).argmax(1)
    assert np.mean([trained.codebook.labels[i] == label for i, label in zip(decoded, labels, strict=True)]) > 0.95
    trained.save(tmp_path / "encoder")
    loaded = FeatureGroupEncoder.load(tmp_path / "encoder", device="cpu")
    np.testing.assert_allclose(loaded.encode(texts).probabilities, trained.encode(texts).probabilities, atol=1e-6)


def test_the_loss_is_the_mean_cross_entropy_of_the_known_codes(model, corpus):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(model).fit(texts, labels=[None, *labels[1:]], steps=3, **SIZES)
    encoder.head.temperature = 1.0
    pipeline = encoder.to_sentence_transformer().eval()
    codes = torch.from_numpy(encoder.codebook.targets)
    found = FeatureGroupLoss(pipeline, label_smoothing=0.0)([pipeline.preprocess(texts)], codes).item()
    probabilities = encoder.encode(texts).probabilities[1:]
    right = np.take_along_axis(probabilities, encoder.codebook.targets[1:, :, None], axis=-1)
    assert found == pytest.approx(-np.log(right).mean(), rel=1e-4)


def test_what_cannot_be_trained_is_refused(model):
    from sentence_transformers import SentenceTransformer

    with pytest.raises(TypeError, match="last module must be a FeatureGroupHead, it is StaticEmbedding"):
        FeatureGroupLoss(model)
    pipeline = SentenceTransformer(modules=[*model, FeatureGroupHead(8, 4, 3)], device="cpu")
    loss = FeatureGroupLoss(pipeline)
    with pytest.raises(ValueError, match="must hold 4 codes for each text"):
        loss([pipeline.preprocess(["card"])], torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="one text column, got 2"):
        loss([pipeline.preprocess(["card"])] * 2, torch.zeros(1, 4, dtype=torch.long))


def test_a_pipeline_is_taken_over_only_with_its_codebook(model, corpus):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(model).fit(texts, labels=labels, steps=3, **SIZES)
    with pytest.raises(TypeError, match="last module must be a FeatureGroupHead"):
        FeatureGroupEncoder.from_sentence_transformer(model, encoder.codebook)
    other = Codebook.from_labels(labels, groups=5, codes=3)
    with pytest.raises(ValueError, match="head has 4x3 features, the codebook 5x3"):
        FeatureGroupEncoder.from_sentence_transformer(encoder.to_sentence_transformer(), other)
    with pytest.raises(TypeError, match="ends in a feature-group head already"):
        FeatureGroupEncoder(encoder.to_sentence_transformer())


def test_a_batch_without_known_codes_has_no_loss(model, corpus):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(model).fit(texts, labels=labels, steps=3, **SIZES)
    pipeline = encoder.to_sentence_transformer()
    unknown = torch.full((2, 4), -1)
    assert FeatureGroupLoss(pipeline)([pipeline.preprocess(texts[:2])], unknown).item() == 0


def test_the_pipelines_head_is_a_copy(model, corpus):
    texts, labels = corpus
    encoder = FeatureGroupEncoder(model).fit(texts, labels=labels, steps=3, **SIZES)
    before = encoder.encode(texts[:3]).probabilities
    pipeline = encoder.to_sentence_transformer()
    with torch.no_grad():
        for weight in pipeline[-1].parameters():
            weight.zero_()
    np.testing.assert_array_equal(encoder.encode(texts[:3]).probabilities, before)
