"""The machine and package versions that a benchmark ran on."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch


def machine(*packages: str) -> dict[str, str | int]:
    """Processor, threads, Python and the versions of fg_search, torch, sentence-transformers and ``packages``."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("fg_search", "torch", "sentence-transformers", *packages)},
    }
