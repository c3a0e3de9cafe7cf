"""Whoever writes a message that tells what to do also writes a test that does it."""

from pathlib import Path

import pytest
from advising import messages, tried

# What a test cannot bring about or follow, and why.
_RACE = "only another process can bring it about, in one moment between two requests"
_FORK = "a process that forked is tried in processes of their own, in tests/index/test_forked_processes.py"
_SERVER = "it takes a server"
_CLUSTER = "it takes a cluster, see tests/index/test_health.py and tests/engine/test_several_nodes.py"
_UNTRIED = {
    "… … is not supported by Qdrant Edge; use a Qdrant server for it": _SERVER,
    ". Free some space on the disk and open the folder again": "it takes a full disk, see tests/edge/test_full_disk.py",
    "This EdgeClient was opened before the process was forked. Open the folder in the child": _FORK,
    "cannot be used in the child: open it there, after the fork; a folder can be open in one process at a time": _FORK,
    "an operation on a blocking engine was suspended; await it on an AsyncEngine": "no public method can cause it",
    "the labels are changed by others faster than here; relabel again": _RACE,
    "… was re-encoded with another encoder since it was opened here with …; open it again": _RACE,
    "somebody changed … in this very moment; look at it again": _RACE,
    "pictures need …; pip install 'fg-search[images]'": "Pillow comes with what the tests need",
    "metrics need …; pip install 'fg-search[metrics]'": "see tests/web/test_operation.py",
    "queries in this very moment, such as …; look at them again": _RACE,
    "… is no URL; write each node like http://localhost:6333, with commas in between": _SERVER,
    "several nodes are asked over http alone; give http or https URLs, or one for grpc": _SERVER,
    "strict mode filters and groups by indexed fields alone; make it one": "see tests/index/test_strict_mode.py",
    " that the index adds, such as for a tenant or min_confidence; use fewer, or raise filter_max_conditions": (
        "it takes strict mode, see tests/index/test_strict_mode.py"
    ),
    "one node is asked here: name others as well, --index URL,URL": _CLUSTER,
    "the nodes of the cluster did not agree, most likely since half of them or more are away": _CLUSTER,
    "the copies differ, … to … points; add or copy the same data again": _CLUSTER,
    "… is to have …, the index …: open the index with a key that may write": _CLUSTER,
    "… lacks a part of what was being copied to it; run the copy again": _CLUSTER,
    "The clusters are still being computed; ask again.": "it takes as many queries as are clustered for seconds",
    "too many requests are waiting; try again in a moment": "it takes a thousand requests, see tests/web/test_turns.py",
}

_FILES = sorted(Path(__file__).parent.rglob("test_advice_*.py"))


@pytest.fixture(scope="module")
def given():
    """Places and texts of all messages that give advice."""
    return list(messages())


def test_every_advice_is_followed_by_a_test(given):
    known = [*_UNTRIED, *(text for path in _FILES for text in tried(path))]
    missing = [f"{place}: {text}" for place, text in given if not any(part in text for part in known)]
    assert not missing, "\n".join(["no test of", *missing])


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_every_tried_advice_is_that_of_one_message(path, given):
    texts = {text for _, text in given}
    odd = [part for part in tried(path) if sum(part in text for text in texts) != 1]
    assert odd == []


def test_untried_advice_is_still_given(given):
    texts = {text for _, text in given}
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
