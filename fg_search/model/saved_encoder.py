"""The folder of a saved encoder: a sentence-transformers model and one more file, ``fg_search.json``."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import import_from_string

from fg_search.errors import EncoderNotFoundError, FormatVersionError
from fg_search.model.codebook import Codebook
from fg_search.model.head import FeatureGroupHead
from fg_search.model.pipeline import with_head

_FORMAT = 2
_CONFIG_FILE = "fg_search.json"
_HEAD_TYPES = (
    f"{FeatureGroupHead.__module__}.{FeatureGroupHead.__qualname__}",
    "fg_search.head.FeatureGroupHead",  # the name in folders saved by 0.1
)


@dataclass(frozen=True)
class SavedEncoder:
    """The contents of the folder.

    Attributes:
        model: Base model without the head.
        model_name: Name of the base model as the user gave it.
        head: Head in evaluation mode.
        codebook: Codebook without training targets.
    """

    model: SentenceTransformer
    model_name: str
    head: FeatureGroupHead
    codebook: Codebook


def is_saved_encoder(folder: str | os.PathLike[str]) -> bool:
    """Whether :func:`write` wrote the folder."""
    return (Path(folder) / _CONFIG_FILE).is_file()


def check_target(folder: str | os.PathLike[str]) -> Path:
    """Check that saving an encoder in the folder overwrites nothing else, and return its path.

    Raises:
        FileExistsError: If the folder contains anything other than a saved encoder.
    """
    target = Path(folder)
    if target.exists() and not is_saved_encoder(target) and _has_content(target):
        raise FileExistsError(f"{os.fspath(folder)!r} exists and is not a saved encoder; choose another folder")
    return target


def write(folder: str | os.PathLike[str], saved: SavedEncoder, fingerprint: str) -> Path:
    """Write the folder; it appears complete or not at all.

    Returns:
        The folder as an absolute path.

    Raises:
        FileExistsError: If the folder contains anything other than a saved encoder.
    """
    target = check_target(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent:
        staged = Path(parent) / "new"
        with_head(saved.model, saved.head).save(os.fspath(staged), create_model_card=False)
        config = {
            "format": _FORMAT,
            "model_name": saved.model_name,
            "fingerprint": fingerprint,
            "codebook": saved.codebook.to_dict(),
        }
        (staged / _CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")
        if target.exists():
            target.replace(Path(parent) / "old")
        staged.replace(target)
    return target.resolve()


def read(folder: str | os.PathLike[str], device: str | None) -> SavedEncoder:
    """Read the folder; of the code it names, only modules of sentence-transformers and of this library are run.

    Raises:
        EncoderNotFoundError: If the folder is damaged.
        FormatVersionError: If it was written in a format that this release does not read.
        ValueError: If it names any other code.
    """
    path = Path(folder)
    try:
        config = json.loads((path / _CONFIG_FILE).read_text(encoding="utf-8"))
        _check_format(path, config["format"])
        modules = _load_modules(path)
        head = modules.pop().eval()
        settings = json.loads((path / "config_sentence_transformers.json").read_text(encoding="utf-8"))
        model = SentenceTransformer(
            modules=modules,
            device=device,
            prompts=settings.get("prompts"),
            default_prompt_name=settings.get("default_prompt_name"),
        )
        return SavedEncoder(model, config["model_name"], head, Codebook.from_dict(config["codebook"]))
    except (KeyError, json.JSONDecodeError, SafetensorError) as error:
        raise EncoderNotFoundError(
            f"the saved encoder in {os.fspath(folder)!r} is damaged ({type(error).__name__}: {error}); "
            "restore the folder or fit the encoder again"
        ) from error


def _check_format(path: Path, version: int) -> None:
    if version > _FORMAT:
        raise FormatVersionError(f"{path} has format {version}, this release reads {_FORMAT}; upgrade fg_search")
    if version < _FORMAT:
        raise FormatVersionError(
            f"{path} has format {version} of a development version, this release reads {_FORMAT}; fit the encoder again"
        )


def _load_modules(folder: Path) -> list[Any]:
    """The modules listed in ``modules.json``, the head last; third-party code is refused."""
    modules: list[Any] = []
    for entry in json.loads((folder / "modules.json").read_text(encoding="utf-8")):
        if entry["type"] in _HEAD_TYPES:
            module_class: Any = FeatureGroupHead
        elif entry["type"].startswith("sentence_transformers."):
            module_class = import_from_string(entry["type"])
        else:
            raise ValueError(
                f"{folder} uses the module {entry['type']}, which is not part of sentence-transformers; "
                "load it with SentenceTransformer(folder, trust_remote_code=True) if you trust its author"
            )
        modules.append(module_class.load(os.fspath(folder), subfolder=entry["path"], local_files_only=True))
    return modules


def _has_content(path: Path) -> bool:
    return not path.is_dir() or any(path.iterdir())
