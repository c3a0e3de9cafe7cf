"""``python -m fg_search`` is the command line."""

from fg_search.cli import run

run()
