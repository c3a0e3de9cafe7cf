"""The pictures of the page in README and docs: `make pictures`.

    python docs/pictures.py [--output docs/pictures]

An encoder is fitted on the shipped corpus, which is then indexed with some labels made wrong, so that there is
something to find; the index is calibrated and scored, the page is served on a free port and photographed in Chromium
(the distribution's, or the one in CHROMIUM).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fg_search import demo

WRONG = 20  # labels of 384
DESK = {"width": 1000, "height": 760}
SHARPNESS = 1.25  # dots a pixel: as sharp as stays below 200 kB
REPORT_HEIGHT = 1790
VIEWS = {
    "search": ("/", {"q": "Can I see the courier's route for my parcel?", "target_precision": 0.8}, 760),
    "abstention": ("/", {"q": "Will it rain in Lisbon tomorrow?", "target_precision": 0.8}, 560),
    "items": ("/items", {"sort": "-wrong"}, 700),
    "map": ("/map", {}, 800),
    "review": ("/review", {"kind": "contradicted"}, 850),
    "features": ("/features/0", {}, 640),
    "health": ("/health", {}, 1240),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "pictures")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_index(work)
        with served(work) as address, browser() as chromium:
            page = chromium.new_page(viewport=DESK, device_scale_factor=SHARPNESS, color_scheme="light")
            for name, (path, query, height) in VIEWS.items():
                page.set_viewport_size({**DESK, "height": height})
                page.goto(f"{address}{path}?{urlencode(query)}", wait_until="networkidle")
                take(page, output / f"{name}.png")
            page = chromium.new_page(viewport={**DESK, "height": REPORT_HEIGHT}, color_scheme="light")
            page.goto((work / "report.html").as_uri())
            take(page, output / "report.png")


def take(page: Any, path: Path) -> None:
    size = len(page.screenshot(path=path))
    print(f"{path}, {size / 1000:.0f} kB")


def make_index(work: Path) -> None:
    """Encoder and index of the shipped corpus, calibrated and scored, below a folder."""
    write_rows(work / "learned.jsonl", demo.corpus())
    write_rows(work / "corpus.jsonl", demo.with_wrong_labels(WRONG))
    write_rows(work / "queries.jsonl", demo.queries())
    index = ("--index", "support-index")
    judged = ("--queries", "queries.jsonl", "--relevant", "label", "--relevant", "also")
    fg_search(work, "fit", "learned.jsonl", "--label", "label", "-o", "support-encoder")
    fg_search(work, "index", "corpus.jsonl", "--encoder", "support-encoder", *index, "--id", "id", "--label", "label")
    fg_search(work, "calibrate", *index, *judged)
    fg_search(work, "score", *index)
    fg_search(work, "evaluate", *index, *judged, "--slice", "length", "--slice", "kind", "--report", "report.html")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def fg_search(work: Path, *arguments: str) -> None:
    print("$ fg-search", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "fg_search", *arguments], cwd=work, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def served(work: Path) -> Iterator[str]:
    """The page, on a free port; gives its address."""
    command = [sys.executable, "-m", "fg_search", "serve", "--index", "support-index", "--port", "0"]
    with subprocess.Popen(command, cwd=work, stderr=subprocess.PIPE, text=True) as server:
        try:
            said = next((line for line in server.stderr or () if line.startswith("http://")), None)
            if said is None:
                sys.exit("the page could not be served")
            yield said.split()[0].rstrip("/")
        finally:
            server.terminate()


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("needs Chromium: apt-get install chromium, or its path in CHROMIUM")
    with sync_playwright() as playwright:
        # as root Chromium has no sandbox; it sees nothing but our own page
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


if __name__ == "__main__":
    main()
