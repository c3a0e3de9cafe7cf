"""The folder of a saved encoder: a sentence-transformers model and one more file, ``fg_search.json``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module
from sentence_transformers.util import import_from_string

from fg_search.errors import EncoderNotFoundError, FgSearchError, FormatVersionError, StorageError
from fg_search.model.codebook import Codebook
from fg_search.model.head import FeatureGroupHead
from fg_search.model.module_list import ModuleEntry, read_module_list
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
        StorageError: If it cannot be written.
    """
    target = check_target(folder)
    try:
        return _write(target, saved, fingerprint)
    except (OSError, SafetensorError) as error:  # the second, too, on a full disk
        raise StorageError(
            f"the encoder cannot be saved in {os.fspath(folder)!r}: {error}; check free space and permissions. "
            "What was there is as it was."
        ) from error


def _write(target: Path, saved: SavedEncoder, fingerprint: str) -> Path:
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
        entries = read_module_list(path)
    except Exception as error:
        raise _damaged(path, error) from error
    _check_code(path, entries)
    try:
        return _load(path, config, entries, device)
    except Exception as error:  # the tokenizers' own errors have no class but this
        raise _damaged(path, error) from error


def _load(path: Path, config: dict[str, Any], entries: Sequence[ModuleEntry], device: str | None) -> SavedEncoder:
    modules = [_load_module(path, entry) for entry in entries]
    head = modules.pop()
    codebook = Codebook.from_dict(config["codebook"])
    if not isinstance(head, FeatureGroupHead):
        raise TypeError("its last module is no feature-group head")
    if (head.groups, head.codes_per_group) != (codebook.groups, codebook.codes_per_group):
        raise ValueError("its head and its codebook have different sizes")
    settings = json.loads((path / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    model = SentenceTransformer(
        modules=modules,
        device=device,
        prompts=settings.get("prompts"),
        default_prompt_name=settings.get("default_prompt_name"),
    )
    return SavedEncoder(model, str(config["model_name"]), head.eval(), codebook)


def _damaged(path: Path, error: Exception) -> Exception:
    """The error for a damaged folder; errors of ours are passed on."""
    if isinstance(error, FgSearchError):
        return error
    return EncoderNotFoundError(
        f"the saved encoder in {os.fspath(path)!r} is damaged ({type(error).__name__}: {error}); "
        "restore the folder or fit the encoder again"
    )


def _check_format(path: Path, version: int) -> None:
    if version > _FORMAT:
        raise FormatVersionError(f"{path} has format {version}, this release reads {_FORMAT}; upgrade fg_search")
    if version < _FORMAT:
        raise FormatVersionError(
            f"{path} has format {version} of a development version, this release reads {_FORMAT}; fit the encoder again"
        )


def _check_code(path: Path, entries: Sequence[ModuleEntry]) -> None:
    """Refuse modules whose code is part of neither sentence-transformers nor this library.

    Raises:
        ValueError: There is one.
    """
    for entry in entries:
        if entry.type not in _HEAD_TYPES and not entry.type.startswith("sentence_transformers."):
            raise ValueError(
                f"{path} uses the module {entry.type}, which is not part of sentence-transformers; "
                "load it with SentenceTransformer(folder, trust_remote_code=True) if you trust its author"
            )


def _load_module(folder: Path, entry: ModuleEntry) -> torch.nn.Module:
    module_class: Any = FeatureGroupHead if entry.type in _HEAD_TYPES else import_from_string(entry.type)
    if not (isinstance(module_class, type) and issubclass(module_class, Module)):
        raise TypeError(f"{entry.type} is no module")
    module: torch.nn.Module = module_class.load(os.fspath(folder), subfolder=entry.path, local_files_only=True)
    return module


def _has_content(path: Path) -> bool:
    return not path.is_dir() or any(path.iterdir())
