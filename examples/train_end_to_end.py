"""Train head and base model end to end with the trainer of sentence-transformers.

    pip install 'fg_search[train]'
    python examples/train_end_to_end.py [--output ENCODER]

The base model is a tiny untrained one, so that the example runs in seconds; replace it with any sentence-transformers
model. A head is first fitted on the frozen base model, then both are trained together.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from fg_search import FeatureGroupEncoder, FeatureGroupLoss, demo


def tiny_model(texts: list[str]) -> SentenceTransformer:
    """A bag of random word vectors."""
    words = sorted({word.lower().strip("?!.,") for text in texts for word in text.split()})
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    vectors = np.random.default_rng(0).standard_normal((len(words) + 1, 64)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")


def accuracy(encoder: FeatureGroupEncoder, texts: list[str], labels: list[str]) -> float:
    """Share of the texts whose label the head decodes."""
    if encoder.codebook is None:
        raise ValueError("fit the encoder first")
    decoded = encoder.codebook.decode(encoder.encode(texts).probabilities).argmax(axis=1)
    return float(np.mean([encoder.codebook.labels[i] == label for i, label in zip(decoded, labels, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, help="save the trained encoder in this folder")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    rows = demo.corpus()
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    held_out = [row for row in demo.queries() if row["label"] in set(labels)]
    new_texts, new_labels = [row["text"] for row in held_out], [row["label"] for row in held_out]

    # 1. fit the head on the frozen base model
    encoder = FeatureGroupEncoder(tiny_model(texts)).fit(texts, labels=labels, closed_form=False)
    codebook = encoder.codebook
    if codebook is None:
        raise RuntimeError("the encoder was not fitted")
    print(f"frozen encoder: {accuracy(encoder, new_texts, new_labels):.0%} of {len(new_texts)} new questions right")

    # 2. train both together: the label column contains the codes of each text
    model = encoder.to_sentence_transformer()
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                folder,
                num_train_epochs=options.epochs,
                per_device_train_batch_size=32,
                learning_rate=5e-3,  # use about 5e-5 for a language model
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict({"text": texts, "label": codebook.targets.tolist()}),
            loss=FeatureGroupLoss(model),
        ).train()

    # 3. make an encoder again and calibrate its confidence on questions it was not trained on
    trained = FeatureGroupEncoder.from_sentence_transformer(model, codebook, name="tiny")
    half = len(new_texts) // 2
    found = trained.calibrate_temperature(new_texts[:half], new_labels[:half])
    print(
        f"trained together: {accuracy(trained, new_texts[half:], new_labels[half:]):.0%} of the others; temperature "
        f"{found.temperature:.2f}, calibration error {found.ece_before:.3f} before and {found.ece_after:.3f} after"
    )
    if options.output is not None:
        trained.save(options.output)


if __name__ == "__main__":
    main()
