"""Templates, in which whatever users wrote is text and nothing else."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

_OWN = "fg_search.report"


def environment_of(*packages: str) -> Environment:
    """The templates of these packages, then those of the report."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, _OWN)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{share:.0%}"
    return environment
