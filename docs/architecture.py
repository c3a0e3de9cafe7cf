"""The picture of rooms and imports: `make pictures` writes it, `make docs` draws it anew for the site.

    python docs/architecture.py [--output docs/pictures/architecture.svg]

Rooms and rows come from the layers of [tool.importlinter] in pyproject.toml, arrows from the import statements of the
modules, descriptions from the first lines of their docstrings. An arrow that follows from others is left out.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = "fg_search"
PICTURE = Path(__file__).parent / "pictures" / "architecture.svg"

# pixels
MARGIN, TOP = 20, 74
BOX_WIDTH, BOX_HEIGHT, BOX_GAP, LAYER_GAP = 690, 44, 4, 16
NAME_WIDTH, LANE = 214, 17
LINE = 64  # characters of a description

INKS = ("#2f5fb3", "#b3562f", "#2f8f6b", "#8446a8", "#a67c00", "#b32f5f")
STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 19px; font-weight: 600; }
  .note, .what { font-size: 13px; fill: #57606a; }
  .room { font-size: 15px; font-weight: 600; font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
  .tag { font-size: 11px; fill: #2f8f6b; }
  .box { fill: #f6f8fa; stroke: #d0d7de; }
  .way { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
"""

Imports = dict[str, set[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=PICTURE)
    output = parser.parse_args().output
    output.write_text(drawing(), encoding="utf-8")
    print(f"{output}, {output.stat().st_size / 1000:.0f} kB")


def layers() -> list[list[str]]:
    """The rooms, row by row, the one that imports all others first."""
    rows = next(contract["layers"] for contract in _contracts() if contract["type"] == "layers")
    named = [[room.strip() for room in row.split("|")] for row in rows]
    return [[room for room in row if not room.startswith("_")] for row in named]


def without_torch() -> set[str]:
    """Rooms that a contract forbids to load torch."""
    contract = next(found for found in _contracts() if "torch" in found.get("forbidden_modules", ()))
    return {name.removeprefix(f"{PACKAGE}.") for name in contract["source_modules"]}


def imports() -> Imports:
    """By room, the rooms that its modules import, anywhere in them."""
    found: Imports = {room: set() for row in layers() for room in row}
    for room, used in found.items():
        for module in _modules(room):
            used |= {other for other in _imported(ast.parse(module.read_text(encoding="utf-8"))) if other in found}
        used.discard(room)
    return found


def needed(found: Imports) -> Imports:
    """Without the imports that follow from others (the transitive reduction)."""
    return {
        room: {other for other in used if not any(other in _reached(found, between) for between in used - {other})}
        for room, used in found.items()
    }


def drawing() -> str:
    """The picture, as SVG."""
    rows, found = layers(), imports()
    drawn = needed(found)
    place: dict[str, int] = {}  # upper edge of each room's box
    y = TOP
    for row in rows:
        for room in row:
            place[room] = y
            y += BOX_HEIGHT + BOX_GAP
        y += LAYER_GAP - BOX_GAP
    ways, lanes = _ways(place, drawn)
    width, height = MARGIN + BOX_WIDTH + 22 + lanes * LANE + MARGIN, y + 4
    pairs, arrows = sum(map(len, found.values())), sum(map(len, drawn.values()))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="Rooms of {PACKAGE} and their imports">',
        f"<style>{STYLE}</style>",
        *(_arrowhead(number, ink) for number, ink in enumerate(INKS)),
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<text class="title" x="{MARGIN}" y="34">The rooms of {PACKAGE}: imports point down</text>',
        f'<text class="note" x="{MARGIN}" y="56">Rooms that touch are one row and do not import each other. '
        f"{arrows} arrows are drawn; the other {pairs - arrows} follow from these.</text>",
        *(part for room in place for part in _box(room, place[room])),
        *ways,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _contracts() -> list[dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return list(tomllib.load(file)["tool"]["importlinter"]["contracts"])


def _modules(room: str) -> list[Path]:
    folder = ROOT / PACKAGE / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def _imported(tree: ast.Module) -> Iterator[str]:
    """Rooms that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = node.module.split(".")
            if parts[0] == PACKAGE:
                yield from parts[1:2] or [name.name for name in node.names]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith(f"{PACKAGE}."))


def _reached(found: Imports, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for other in found[waiting.pop()] - reached:
            reached.add(other)
            waiting.append(other)
    return reached


def _what(room: str) -> list[str]:
    folder = ROOT / PACKAGE / room
    module = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    said = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    first = said.splitlines()[0].replace("`", "").removesuffix(".") if said else ""
    return textwrap.wrap(first, LINE, max_lines=2, placeholder=" …")


def _box(room: str, y: int) -> list[str]:
    middle = y + BOX_HEIGHT / 2
    said = _what(room)
    tagged = room in without_torch()
    parts = [
        f'<rect class="box" x="{MARGIN}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>',
        f'<text class="room" x="{MARGIN + 12}" y="{middle + (-1 if tagged else 5):g}">{escape(room)}</text>',
    ]
    if tagged:
        parts.append(f'<text class="tag" x="{MARGIN + 12}" y="{middle + 13:g}">loads no torch</text>')
    for i, line in enumerate(said):
        baseline = middle + 4 + (i - (len(said) - 1) / 2) * 16
        parts.append(f'<text class="what" x="{MARGIN + 12 + NAME_WIDTH}" y="{baseline:g}">{escape(line)}</text>')
    return parts


def _ways(place: dict[str, int], drawn: Imports) -> tuple[list[str], int]:
    """From each room a line down a lane of its own, with an arrow into each room that it imports; how many lanes."""
    order = list(place)
    targets = {room: sorted(drawn[room], key=place.__getitem__) for room in order if drawn[room]}
    entering = {room: [source for source in order if room in targets.get(source, ())] for room in order}
    lanes: list[int] = []  # by lane, down to where it is taken
    parts = []
    edge = MARGIN + BOX_WIDTH
    for number, (room, ends) in enumerate(targets.items()):
        start, end = place[room] + BOX_HEIGHT - 9, place[ends[-1]] + BOX_HEIGHT
        lane = next((i for i, taken in enumerate(lanes) if taken < place[room]), len(lanes))
        lanes[lane : lane + 1] = [end]
        x, ink = edge + 22 + lane * LANE, number % len(INKS)
        for other in ends:
            sources = entering[other]
            y = place[other] + 8 + (BOX_HEIGHT - 24) * (sources.index(room) + 1) / (len(sources) + 1)
            parts.append(
                f'<path class="way" stroke="{INKS[ink]}" marker-end="url(#arrow{ink})" '
                f'd="M{edge} {start}H{x}V{y:.1f}H{edge + 6}"/>'
            )
    return parts, len(lanes)


def _arrowhead(number: int, ink: str) -> str:
    return (
        f'<marker id="arrow{number}" viewBox="0 0 8 8" refX="2" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{ink}"/></marker>'
    )


if __name__ == "__main__":
    main()
