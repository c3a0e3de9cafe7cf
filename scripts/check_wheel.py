"""Build sdist and wheel into dist/, check them, and use the wheel as a newcomer does.

The wheel goes into an empty virtual environment, with its extra ``demo``; there, outside the repository, the first
Python block of README runs. The sdist is checked on the way: the wheel is built from it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"


def step(what: str, *command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command, say how long it took, and exit if it fails."""
    print(f"{what} …", flush=True)
    started = time.monotonic()
    # nothing of the environment that this runs in may be seen by the one that is tested
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{what}: failed")
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)


def first_python_block(markdown: str) -> str:
    """The first fenced block of Python."""
    found = re.search(r"^```python\n(.*?)^```", markdown, re.DOTALL | re.MULTILINE)
    if found is None:
        sys.exit("README.md has no block of Python")
    return found[1]


def main() -> None:
    """All steps; the first that fails ends it."""
    shutil.rmtree(DIST, ignore_errors=True)
    step("build", sys.executable, "-m", "build", "--outdir", DIST)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    step("metadata", sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    step("contents", sys.executable, "-m", "check_wheel_contents", wheel)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        step("install", *pip, "install", "--constraint", ROOT / "constraints.txt", f"{wheel}[demo]")
        step("requirements", *pip, "check")
        script = folder / "readme.py"
        script.write_text(first_python_block((ROOT / "README.md").read_text(encoding="utf-8")), encoding="utf-8")
        step("README", python, script, cwd=folder)
        step("command line", shutil.which("fg-search", path=python.parent) or "fg-search", "info", "--help", cwd=folder)


if __name__ == "__main__":
    main()
