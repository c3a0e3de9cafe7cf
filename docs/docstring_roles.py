"""What docstrings write otherwise than the site: references (:class:`Codebook`) and names of sections."""

from __future__ import annotations

import re
from typing import Any

import griffe

SAME_ERRORS = re.compile(r"^Raises:\n +As (?=:)", re.MULTILINE)  # in place of a list of errors
EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)  # the section is called Examples there
ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc):`~?([\w.]+)`")


class DocstringRoles(griffe.Extension):
    """Turns roles into links where the site has the object, and into code where it does not."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object, once it is known."""
        if obj.docstring is not None:
            text = EXAMPLE.sub("Examples:", SAME_ERRORS.sub("Raises the same errors as ", obj.docstring.value))
            obj.docstring.value = ROLE.sub(lambda found: link(obj, found[1]), text)


def link(scope: griffe.Object, name: str) -> str:
    """A link to what a name means in this scope."""
    try:
        target = name if name.startswith("fg_search.") else scope.resolve(name)
    except griffe.NameResolutionError:
        return f"`{name}`"
    shown = name.removeprefix("fg_search.")
    return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'
