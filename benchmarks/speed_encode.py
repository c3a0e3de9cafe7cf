"""Rows of benchmarks/speed.py: encoding, beside ``SentenceTransformer.encode`` of the same base model."""

from __future__ import annotations

from functools import partial

from speed_data import Data, Row

BATCH = 256  # of sentence-transformers; ours is the default
_QUERIES = 20  # texts encoded one by one
_WANTED = {
    ("tiny", "cpu"): {"short": 1.4, "long": 1.6},
    ("minilm", "cpu"): {"short": 1.05, "long": 1.05},
    ("minilm", "cuda"): {"short": 2.8, "long": 1.9},
}


def rows(data: Data) -> list[Row]:
    """Many texts of each length, and one text at a time."""
    encoder, model = data.encoder, data.encoder.model
    wanted = _WANTED.get((data.model, data.device.type), {})
    found = [
        Row(
            f"encode, {kind} / SentenceTransformer.encode, batch {BATCH}",
            partial(encoder.encode, texts, show_progress=False, warn=False),
            partial(model.encode, texts, batch_size=BATCH, show_progress_bar=False),
            len(texts),
            wanted.get(kind),
        )
        for kind, texts in data.texts.items()
    ]
    queries = data.texts["short"][:_QUERIES]

    def ours() -> None:
        for query in queries:
            encoder.encode([query], show_progress=False, warn=False)

    def theirs() -> None:
        for query in queries:
            model.encode([query], show_progress_bar=False)

    return [*found, Row("encode, one text / SentenceTransformer.encode", ours, theirs, _QUERIES)]
