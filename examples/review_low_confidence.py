"""Use 3: list the items with the lowest confidence, candidates for clearer wording or another label.

    python examples/review_low_confidence.py [--index INDEX] [--limit 10]

Build the index first: python examples/index_with_confidence.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fg_search import ConfidenceIndex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--index", type=Path, default=Path("support-index"))
    parser.add_argument("--limit", type=int, default=10)
    options = parser.parse_args()

    with ConfidenceIndex(options.index) as index:
        for item in index.review(kind="ambiguous", limit=options.limit):
            print(f"{item.confidence:.3f}  {item.id}  [{item.label}]  {item.text}")
            print(f"       {item.reason}")


if __name__ == "__main__":
    main()
