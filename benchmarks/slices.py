"""Reading all points of a server: one page after the other, against slices at once (Qdrant 1.19 and newer).

    python benchmarks/slices.py [--url URL] [--points 40000] [--dimension 384] [--milliseconds 0 20 50 100]

With --url a collection of random vectors is made on that server, read, and removed. Without it, a process stands for a
server: it sends a page that was made before, once it has waited as long as a server may take to answer. That measures
what the client can read, not what a server can send.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import machine
from qdrant_client import QdrantClient, models

from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.engine.paging import SLICES, scanning

COLLECTION, PAGE = "fg_search_benchmark_slices", 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--url", help="a server to read from; its collections are left alone")
    parser.add_argument("--points", type=int, default=40_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument(
        "--milliseconds", type=int, nargs="+", default=[0, 20, 50, 100], help="of the model of a server"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.url:
        rows = [of_server(options.url, options.points, options.dimension)]
    else:
        rows = [of_model(wait / 1000, options.points, options.dimension) for wait in options.milliseconds]
    found = {"machine": machine("qdrant-client"), "command": " ".join(sys.argv), "slices": SLICES, "rows": rows}
    print(json.dumps(found["machine"]))
    for row in rows:
        print(
            f"{row['server']}: {row['in_order']:,.0f} points/s in order, {row['in_slices']:,.0f} in {SLICES} slices, "
            f"{row['in_slices'] / row['in_order']:.2f} times as many"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def of_server(url: str, points: int, dimension: int) -> dict[str, Any]:
    """Figures of a real server."""
    rng = np.random.default_rng(0)
    with closing(QdrantClient(url)) as client:
        base = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        client.create_collection(COLLECTION, vectors_config={"base": base})
        try:
            for start in range(0, points, PAGE):
                vectors = rng.normal(size=(min(PAGE, points - start), dimension)).astype(np.float32)
                client.upsert(COLLECTION, [point(start + i, row.tolist()) for i, row in enumerate(vectors)])
            return {"server": client.info().version, **rates(client, points)}
        finally:
            client.delete_collection(COLLECTION)


def of_model(wait: float, points: int, dimension: int) -> dict[str, Any]:
    """Figures of a process that answers after ``wait`` seconds."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, wait, points // PAGE, dimension), daemon=True)
    process.start()
    with closing(QdrantClient(port=ours.recv(), timeout=60, check_compatibility=False)) as client:
        measured = rates(client, points)
    process.kill()
    return {"server": f"a model that takes {1000 * wait:.0f} ms a page", **measured}


def rates(client: QdrantClient, points: int) -> dict[str, float]:
    """Points a second, the better of two turns each."""
    engine = BlockingEngine(client)

    async def read() -> int:
        async with scanning(engine, COLLECTION, page_size=PAGE, with_vectors=True) as pages:
            return sum([len(page) async for page in pages])

    best = {"in_order": 0.0, "in_slices": 0.0}
    for _ in range(2):
        for name, release in (("in_order", "1.18.0"), ("in_slices", "1.19.0")):
            with patch.object(BlockingEngine, "server_version", lambda _, release=release: _said(release)):
                start = time.perf_counter()
                count = drive(read())
                best[name] = max(best[name], count / (time.perf_counter() - start))
            if abs(count - points) > PAGE:  # the model repeats a page
                sys.exit(f"{count:,} of {points:,} points were read")
    return best


async def _said(release: str) -> str:
    return release


def point(number: int, vector: list[float]) -> models.PointStruct:
    features = {"confidence": 0.9, "codes": " ".join(map(str, range(16))), "text": "where is my parcel?", "id": number}
    return models.PointStruct(id=number, vector={"base": vector}, payload={"fg": features})


def serve(there: Connection, wait: float, pages: int, dimension: int) -> None:
    """Stand for a server with ``pages`` pages of points."""
    rng = np.random.default_rng(0)
    records = [point(i, rng.normal(size=dimension).astype(np.float32).tolist()).model_dump() for i in range(PAGE)]
    bodies = {
        is_last: json.dumps({"result": {"points": records, "next_page_offset": None if is_last else 1}}).encode()
        for is_last in (False, True)
    }
    sent: Counter[int | None] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            must = (asked.get("filter") or {}).get("must")
            part = must[0]["slice"]["index"] if must else None
            if asked.get("offset") is None:
                sent.clear()  # another turn
            sent[part] += 1
            in_part = pages if part is None else (pages - 1) // SLICES
            time.sleep(wait)
            body = bodies[sent[part] >= in_part]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there.send(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
