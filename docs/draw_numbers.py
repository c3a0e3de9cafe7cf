"""The picture of what the numbers mean, on two questions about the shipped corpus: `make pictures`.

    python docs/draw_numbers.py [--output docs/pictures/numbers.svg]

An encoder is fitted on the shipped corpus, which is indexed and calibrated; both questions are searched for, and
what is drawn is what came of it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fg_search import ConfidenceIndex, FeatureGroupEncoder, demo
from fg_search.index.search_results import SearchResult

PICTURE = Path(__file__).parent / "pictures" / "numbers.svg"
QUESTIONS = ("Can I see the courier's route for my parcel?", "The zip is broken, what can you do for me?")
PRECISION = 0.9

# pixels
WIDTH, MARGIN, TOP, PANEL = 800, 24, 112, 392
GROUP_X, STRIP_X, STRIP_WIDTH, STRIP, STRIP_GAP = 24, 238, 330, 56, 30
NUMBER_X = STRIP_X + STRIP_WIDTH + 18
QUERY, HIT, BOTH = "#2f5fb3", "#8446a8", "#2f8f6b"
STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; font-size: 14px; }
  .title { font-size: 19px; font-weight: 600; }
  .question { font-size: 15px; font-weight: 600; }
  .note { fill: #57606a; font-size: 13px; }
  .number { font-weight: 600; font-size: 14px; }
  .axis { stroke: #d0d7de; }
  .panel { fill: #f6f8fa; stroke: #d0d7de; }
"""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """A question, its best hit, and their distributions over codes.

    Attributes:
        result: Of the search.
        query: ``(G, K)`` of the question.
        hit: ``(G, K)`` of the best hit.
    """

    result: SearchResult
    query: Numbers
    hit: Numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=PICTURE)
    output = parser.parse_args().output
    searches = search()
    output.write_text(drawing(searches), encoding="utf-8")
    for one in searches:
        print(one.result)
    print(f"{output}, {output.stat().st_size / 1000:.0f} kB")


def search() -> list[Search]:
    """Fit, index, calibrate and search."""
    rows, judged = demo.corpus(), demo.queries()
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    encoder = FeatureGroupEncoder("sentence-transformers/all-MiniLM-L6-v2").fit(texts, labels=labels)
    with ConfidenceIndex(":memory:", encoder) as index:
        index.add(texts, labels=labels)
        index.calibrate([row["text"] for row in judged], [demo.right_labels(row) for row in judged])
        results = index.search_many(QUESTIONS, limit=1, target_precision=PRECISION)
    queries = encoder.encode(QUESTIONS).probabilities.astype(np.float64)
    hits = encoder.encode([result.hits[0].text for result in results]).probabilities.astype(np.float64)
    return [Search(*one) for one in zip(results, queries, hits, strict=True)]


def drawing(searches: list[Search]) -> str:
    """The picture, as SVG."""
    height = TOP + len(searches) * (PANEL + 16) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="Group, query and item confidence, score and chance to be right of two questions">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<text class="title" x="{MARGIN}" y="36">From groups to an answer: one clear question, one unclear</text>',
        f'<text class="note" x="{MARGIN}" y="62">Left: one group of the question, its probability for each code. The '
        "largest is the group confidence.</text>",
        f'<text class="note" x="{MARGIN}" y="82">Right: all groups, one bar each, from 0 to 1. Their mean is the '
        "number beside them, of a query with its familiarity.</text>",
    ]
    for number, one in enumerate(searches):
        parts += panel(one, TOP + number * (PANEL + 16))
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel(one: Search, y: int) -> list[str]:
    """One question: a group, the three strips, and what they lead to."""
    result, hit = one.result, one.result.hits[0]
    strips = (
        ("group confidence of the question", one.query.max(axis=1), QUERY, "query confidence", result.query_confidence),
        ("group confidence of its best hit", one.hit.max(axis=1), HIT, "item confidence", hit.confidence),
        ("agreement of both, Σ q·x of each group", (one.query * one.hit).sum(axis=1), BOTH, "score", hit.score),
    )
    parts = [
        f'<rect class="panel" x="12" y="{y}" width="{WIDTH - 24}" height="{PANEL}" rx="6"/>',
        f'<text class="question" x="{MARGIN}" y="{y + 28}">{escape(result.query)}</text>',
        f'<text class="note" x="{MARGIN}" y="{y + 48}">best hit: {escape(shortened(hit.text))} ({hit.label})</text>',
        *group(one.query, y + 92),
    ]
    top = y + 92
    for title, values, ink, name, mean in strips:
        parts += strip(title, values, ink, top)
        parts.append(f'<text class="number" x="{NUMBER_X}" y="{top + 26}">{name} {mean:.2f}</text>')
        top += STRIP + STRIP_GAP
    parts.append(
        f'<text class="note" x="{NUMBER_X}" y="{y + 136}">familiarity {result.query_familiarity:.2f} is in it</text>'
    )
    verdict = "doubtful" if result.uncertain else result.decision
    parts += [
        f'<text class="number" x="{NUMBER_X}" y="{top - STRIP_GAP + 16}">'
        f"chance to be right {result.confidence:.2f}</text>",
        f'<text class="note" x="{NUMBER_X}" y="{top - STRIP_GAP + 34}">calibrated, out of all these</text>',
        f'<text class="note" x="{MARGIN}" y="{y + PANEL - 34}">{verdict}: {escape(result.reason)}</text>',
        f'<text class="note" x="{MARGIN}" y="{y + PANEL - 14}">certainty of the promise that {PRECISION:.0%} of the '
        "answers are right: 90%</text>",
    ]
    return parts


def group(distributions: Numbers, y: int) -> list[str]:
    """The least confident group of a question."""
    least = int(distributions.max(axis=1).argmin())
    values = distributions[least]
    parts = [f'<text x="{GROUP_X}" y="{y - 8}">group {least}, the least sure</text>']
    parts += bars(
        values, GROUP_X, y, 180, 2 * STRIP + STRIP_GAP, [QUERY if p == values.max() else "#9db4dc" for p in values]
    )
    under = y + 2 * STRIP + STRIP_GAP
    parts.append(f'<text class="note" x="{GROUP_X}" y="{under + 18}">its {len(values)} codes</text>')
    parts.append(f'<text class="number" x="{GROUP_X}" y="{under + 40}">group confidence {values.max():.2f}</text>')
    return parts


def strip(title: str, values: Numbers, ink: str, y: int) -> list[str]:
    """All groups, a bar each."""
    return [
        f'<text x="{STRIP_X}" y="{y - 8}">{title}</text>',
        *bars(values, STRIP_X, y, STRIP_WIDTH, STRIP, [ink] * len(values)),
    ]


def bars(values: Numbers, x: int, y: int, width: int, height: int, inks: list[str]) -> list[str]:
    """Bars of numbers in [0, 1]."""
    step = width / len(values)
    drawn = [
        f'<rect x="{x + i * step:.1f}" y="{y + height * (1 - value):.1f}" width="{step * 0.78:.1f}" '
        f'height="{max(height * value, 0.5):.1f}" fill="{ink}"/>'
        for i, (value, ink) in enumerate(zip(values.tolist(), inks, strict=True))
    ]
    lines = [f'<line class="axis" x1="{x}" x2="{x + width}" y1="{at}" y2="{at}"/>' for at in (y, y + height)]
    return [*lines, *drawn]


def shortened(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:88]} …"


if __name__ == "__main__":
    main()
