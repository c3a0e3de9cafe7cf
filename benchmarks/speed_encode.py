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
    """Many texts of each length, with the head and without, and one text at a time."""
    encoder, model = data.encoder, data.encoder.model
    wanted = _WANTED.get((data.model, data.device.type), {})
    found = []
    for kind, texts in data.texts.items():
        theirs_of_many = partial(model.encode, texts, batch_size=BATCH, show_progress_bar=False)
        with_head = partial(encoder.encode, texts, show_progress=False, warn=False)
        alone = partial(encoder.embed, texts, show_progress=False)
        found += [
            Row(f"encode, {kind} / ST encode {BATCH}", with_head, theirs_of_many, len(texts), wanted.get(kind)),
            Row(f"embed, {kind} / ST encode {BATCH}", alone, theirs_of_many, len(texts)),
        ]
    queries = data.texts["short"][:_QUERIES]

    def ours() -> None:
        for query in queries:
            encoder.encode([query], show_progress=False, warn=False)

    def theirs() -> None:
        for query in queries:
            model.encode([query], show_progress_bar=False)

    return [*found, Row("encode, one text / ST encode", ours, theirs, _QUERIES)]
