"""The folder of a saved encoder as a stranger or a full disk leaves it: loaded, or refused with an error of ours."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import WITH_FIXTURES

from fg_search import FeatureGroupEncoder
from fg_search.errors import EncoderNotFoundError, FgSearchError, StorageError


@pytest.fixture
def copied(saved_encoder, tmp_path) -> Path:
    return Path(shutil.copytree(saved_encoder, tmp_path / "copy"))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "5",
        "null",
        '"x"',
        "",
        "[" * 10_000,
        "[[]]",
        "[null]",
        "[{}]",
        '[{"type": 5, "path": ""}]',
        '[{"type": "sentence_transformers.util.http_get", "path": ""}]',
        '[{"type": "sentence_transformers.nothing.Here", "path": ""}]',
        '[{"type": "sentence_transformers.SentenceTransformer", "path": "nowhere"}]',
        '[{"type": "fg_search.head.FeatureGroupHead", "path": "nowhere"}]',
    ],
)
def test_a_damaged_list_of_modules_is_named(copied, content):
    (copied / "modules.json").write_text(content)
    with pytest.raises(EncoderNotFoundError, match=r"the saved encoder in .* is damaged"):
        FeatureGroupEncoder.load(copied)


@pytest.mark.parametrize("path", ["../copy/{}", "/{}", "x/../../copy/{}", "C:\\{}", "..\\copy\\{}"])
def test_modules_outside_the_folder_are_refused(copied, path):
    entries = json.loads((copied / "modules.json").read_text())
    entries[-1]["path"] = path.format(entries[-1]["path"])
    (copied / "modules.json").write_text(json.dumps(entries))
    with pytest.raises(EncoderNotFoundError, match="not below the model's folder"):
        FeatureGroupEncoder.load(copied)


FILES = ["fg_search.json", "modules.json", "config_sentence_transformers.json", "config.json", "model.safetensors"]


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "a folder"])
def test_a_missing_or_damaged_file_is_told(copied, damage):
    whole = copied.parent / "whole"
    shutil.copytree(copied, whole)
    for file in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        if file.name not in FILES or (str(file) == "fg_search.json" and damage in ("gone", "a folder")):
            continue
        shutil.rmtree(copied)
        shutil.copytree(whole, copied)
        content = (copied / file).read_bytes()
        (copied / file).unlink()
        if damage == "a folder":
            (copied / file).mkdir()
        elif damage != "gone":
            (copied / file).write_bytes(content[: len(content) // 2] if damage == "half" else b"")
        with contextlib.suppress(FgSearchError, ValueError):  # a few are not needed
            FeatureGroupEncoder.load(copied)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([2**70, 2**31, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def parts(saved_encoder, tmp_path_factory):
    """A copy of the folder to damage and to repair again, and its files."""
    folder = Path(shutil.copytree(saved_encoder, tmp_path_factory.mktemp("damaged") / "encoder"))
    return folder, {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@settings(suppress_health_check=WITH_FIXTURES)
@given(st.data())
def test_any_damage_is_loaded_or_refused(parts, data):
    folder, contents = parts
    file = data.draw(st.sampled_from(sorted(contents)))
    content = contents[file]
    try:
        loaded = json.loads(content) if file.suffix == ".json" else None
        if loaded and data.draw(st.booleans()):
            where, key = loaded, data.draw(st.sampled_from(sorted(loaded) if isinstance(loaded, dict) else [0]))
            while isinstance(where[key], (dict, list)) and where[key] and data.draw(st.booleans()):
                where = where[key]
                key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            where[key] = data.draw(json_values)
            file.write_text(json.dumps(loaded), encoding="utf-8")
        else:
            changed = bytearray(content)
            for _ in range(data.draw(st.integers(1, 3))):
                at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
                changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=5))
            file.write_bytes(changed)
        with contextlib.suppress(FgSearchError, ValueError):
            FeatureGroupEncoder.load(folder, device="cpu")
        assert {path for path in folder.rglob("*") if path.is_file()} == set(contents)
    finally:
        file.write_bytes(content)


@contextlib.contextmanager
def largest_file(size):
    """No file of this process can grow past so many bytes; Python ignores the signal, so that writing fails."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name == "nt", reason="no limit on the size of files")
@pytest.mark.parametrize("room", [0, 1000])
def test_an_encoder_that_does_not_fit_on_the_disk_leaves_the_old_one(saved_encoder, copied, room):
    encoder = FeatureGroupEncoder.load(saved_encoder, device="cpu")
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with largest_file(room), pytest.raises(StorageError) as refused:
        encoder.save(copied)
    assert f"the encoder cannot be saved in {os.fspath(copied)!r}" in str(refused.value)
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before
    assert [path.name for path in copied.parent.iterdir()] == ["copy"]


def test_a_folder_that_cannot_be_made_is_told(encoder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="the encoder cannot be saved in"):
        encoder.save(tmp_path / "file" / "below")
