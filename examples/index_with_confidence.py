"""Use 1: index a corpus; the payload of every point includes the confidence of its embedding.

python examples/index_with_confidence.py [--file corpus.jsonl] [--model MODEL] [--encoder ENCODER] [--index INDEX]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fg_search import ConfidenceIndex, FeatureGroupEncoder, demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--file", type=Path, help='JSONL with "id", "text" and "label"; default: the shipped corpus')
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--encoder", type=Path, default=Path("support-encoder"))
    parser.add_argument("--index", type=Path, default=Path("support-index"))
    options = parser.parse_args()

    rows = demo.corpus() if options.file is None else [json.loads(line) for line in options.file.open(encoding="utf-8")]
    ids = [row["id"] for row in rows]
    texts = [row["text"] for row in rows]
    labels = [row["label"] for row in rows]

    encoder = FeatureGroupEncoder(options.model)
    encoder.fit(texts, labels=labels)
    encoder.save(options.encoder)

    with ConfidenceIndex(options.index, encoder) as index:
        index.add(texts, ids=ids, labels=labels)
        print(f"{len(index)} points in {options.index}, trained on {len(set(labels))} labels")

        # Any Qdrant client, in any language, sees the confidence as ordinary payload.
        (point,), _ = index.client.scroll(index.collection, limit=1, with_payload=True)
        print(json.dumps(point.payload, indent=1))


if __name__ == "__main__":
    main()
