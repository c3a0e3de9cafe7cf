"""Use 2: search points above a minimum confidence, and abstain if the question itself is ambiguous.

    python examples/search_with_confidence.py ["a question" ...] [--index INDEX]

Build the index first: python examples/index_with_confidence.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fg_search import ConfidenceIndex

QUESTIONS = [
    "Can I see the courier's route for the parcel with the camping chairs?",
    "The zip is broken, what can you do for me?",
    "Will it rain in Lisbon tomorrow?",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("questions", nargs="*", default=QUESTIONS)
    parser.add_argument("--index", type=Path, default=Path("support-index"))
    parser.add_argument("--min-confidence", type=float, default=0.5)
    parser.add_argument("--min-query-confidence", type=float, default=0.5)
    options = parser.parse_args()

    with ConfidenceIndex(options.index) as index:  # it remembers its encoder
        results = index.search_many(
            options.questions,
            limit=3,
            min_confidence=options.min_confidence,  # points below it are excluded inside the engine
            confidence_weight=1.0,  # the rest are down-weighted by their confidence
            min_query_confidence=options.min_query_confidence,
            on_uncertain="abstain",
        )
    for result in results:
        print(result, end="\n\n")


if __name__ == "__main__":
    main()
