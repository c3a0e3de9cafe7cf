"""The two faces of an index are one: the blocking one is generated from the asynchronous one."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from fg_search import AsyncConfidenceIndex, ConfidenceIndex

ROOT = Path(__file__).resolve().parents[1]


def members(face):
    return {name for name in dir(face) if not name.startswith("_")}


def test_both_have_the_same_methods_but_for_opening():
    assert members(AsyncConfidenceIndex) - members(ConfidenceIndex) == {"open"}
    assert members(ConfidenceIndex) - members(AsyncConfidenceIndex) == set()


def signature(method):
    """Parameters with defaults and types, and what is returned; locations differ by the clients of an event loop."""
    found = inspect.signature(method)
    parameters = [parameter.replace(annotation=plain(parameter.annotation)) for parameter in found.parameters.values()]
    return parameters, plain(found.return_annotation)


def plain(annotation):
    return annotation.replace("AsyncLocation", "Location") if isinstance(annotation, str) else annotation


@pytest.mark.parametrize("name", sorted({"__init__", *members(ConfidenceIndex)}))
def test_a_method_is_the_same_on_both(name):
    ours, theirs = (inspect.getattr_static(face, name) for face in (ConfidenceIndex, AsyncConfidenceIndex))
    assert type(ours) is type(theirs)
    if isinstance(ours, property):
        ours, theirs = ours.fget, theirs.fget
    ours, theirs = (getattr(method, "__func__", method) for method in (ours, theirs))
    assert signature(ours) == signature(theirs)
    assert inspect.getdoc(ours)
    assert inspect.getdoc(theirs)
    assert not inspect.iscoroutinefunction(ours)


def test_what_asks_the_engine_is_a_coroutine_on_an_event_loop():
    plain = {"tenant", "log_queries"}
    methods = {name for name in members(AsyncConfidenceIndex) if callable(getattr(AsyncConfidenceIndex, name))}
    assert {name for name in methods if not inspect.iscoroutinefunction(getattr(AsyncConfidenceIndex, name))} == plain


def test_no_method_hides_its_parameters():
    for name in members(ConfidenceIndex):
        method = getattr(ConfidenceIndex, name)
        if callable(method):
            kinds = {parameter.kind for parameter in inspect.signature(method).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, name


def test_the_generated_face_is_up_to_date():
    script = ROOT / "scripts" / "generate_sync.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--chek"], ["--check", "more"], ["file.py"]])
def test_the_generator_refuses_unknown_arguments(arguments):
    script = ROOT / "scripts" / "generate_sync.py"
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize("loop", ["async for x in pages():\n        pass", "[x async for x in pages()]"])
def test_the_generator_refuses_asynchronous_loops(loop):
    spec = importlib.util.spec_from_file_location("generate_sync", ROOT / "scripts" / "generate_sync.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    with pytest.raises(ValueError, match=r"cannot convert `async for x in pages\(\)`"):
        generator.convert(f'"""Doc."""\n\nasync def read():\n    {loop}\n')
