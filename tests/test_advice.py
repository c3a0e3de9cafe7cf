"""Whoever writes a message that tells what to do also writes a test that does it."""

from pathlib import Path

import pytest
from advising import messages, tried

# What cannot be followed in a test, and why.
_UNTRIED: dict[str, str] = {}

_FILES = sorted(Path(__file__).parent.rglob("test_advice_*.py"))


def test_every_advice_is_followed_by_a_test():
    known = [*_UNTRIED, *(text for path in _FILES for text in tried(path))]
    missing = [f"{place}: {text}" for place, text in messages() if not any(part in text for part in known)]
    assert not missing, "\n".join(["no test of", *missing])


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_tried_advice_is_that_of_one_message(path):
    texts = {text for _, text in messages()}
    odd = [part for part in tried(path) if sum(part in text for text in texts) != 1]
    assert odd == []


def test_untried_advice_is_still_given():
    texts = {text for _, text in messages()}
    assert [part for part in _UNTRIED if sum(part in text for text in texts) != 1] == []


def test_advice_is_found_in_plain_and_in_formatted_strings_and_not_in_docstrings(tmp_path):
    (tmp_path / "new.py").write_text(
        '"""A module; use it."""\nraise ValueError(f"{x!r} is bad; use {y} or {f(\'a: give b\')}")\n'
        'LOG.warning("%s is old. If you can, update it", x)\nraise ValueError("it is 4. Use counts not")\n',
    )
    assert list(messages(tmp_path)) == [
        ("new.py:2", "… is bad; use … or …"),
        ("new.py:2", "a: give b"),
        ("new.py:3", "… is old. If you can, update it"),
    ]
