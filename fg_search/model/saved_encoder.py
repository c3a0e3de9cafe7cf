"""The folder of a saved encoder: a sentence-transformers model and one more file, ``fg_search.json``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer

from fg_search.errors import EncoderNotFoundError, FgSearchError, FormatVersionError, StorageError
from fg_search.model.codebook import Codebook
from fg_search.model.fingerprint import Fingerprints, combined, short_parts
from fg_search.model.head import FeatureGroupHead
from fg_search.model.learned_texts import LearnedTexts
from fg_search.model.module_list import ModuleEntry, read_module_list
from fg_search.model.own_code import (
    ModuleClasses,
    check_findable,
    code_digests,
    copy_code_up,
    load_modules,
    untrusted,
)
from fg_search.model.pipeline import with_head
from fg_search.model.silence import no_bars

_FORMAT = 3
_WITHOUT_FAMILIARITY = 2  # format of an encoder whose head does not know its examples, which release 0.1 reads, too
_CONFIG_FILE = "fg_search.json"
_PARTS = {
    "weights": "weights of the base model",
    "tokenizer": "tokenizer",
    "modules": "modules or their settings",
    "prompts": "prompts",
    "max_seq_length": "max_seq_length",
    "head": "feature-group head",
}
# release 0.1 did not list the files: where it wrote one of the first, there was one of the second
_TRANSFORMER_FILES = ("tokenizer_config.json", "sentence_bert_config.json")
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "*.bpe.model")


@dataclass(frozen=True)
class SavedEncoder:
    """The contents of the folder.

    Attributes:
        model: Base model without the head.
        model_name: Name of the base model as the user gave it.
        head: Head in evaluation mode.
        codebook: Codebook without training targets.
        fingerprints: What has been hashed of them.
        learned: Texts that were learned from; ``None`` if an earlier release saved the encoder.
    """

    model: SentenceTransformer
    model_name: str
    head: FeatureGroupHead
    codebook: Codebook
    fingerprints: Fingerprints = field(default_factory=Fingerprints, repr=False)
    learned: LearnedTexts | None = field(default=None, repr=False)

    def parts(self) -> dict[str, str]:
        """Digests of what makes the encoder what it is, see :meth:`Fingerprints.parts`."""
        return self.fingerprints.parts(self.model, self.model_name, self.head, self.codebook)


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


def write(folder: str | os.PathLike[str], saved: SavedEncoder) -> Path:
    """Write the folder; it appears complete or not at all, and only if it loads as the same encoder.

    Returns:
        The folder as an absolute path.

    Raises:
        FileExistsError: If the folder contains anything other than a saved encoder.
        StorageError: If it cannot be written, or what was written does not load as this encoder.
        ValueError: If another process could not find the code of a module.
    """
    target = check_target(folder)
    for module in saved.model:
        check_findable(type(module))
    try:
        return _write(target, saved)
    except FgSearchError:
        raise
    except (OSError, SafetensorError) as error:  # the second, too, on a full disk
        raise StorageError(
            f"the encoder cannot be saved in {os.fspath(folder)!r}: {error}; check free space and permissions. "
            "What was there is as it was."
        ) from error


def _write(target: Path, saved: SavedEncoder) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as parent, no_bars():
        staged = Path(parent) / "new"
        _write_all(staged, saved)
        if target.exists():
            target.replace(Path(parent) / "old")
        staged.replace(target)
    return target.resolve()


def read(folder: str | os.PathLike[str], device: str | None, *, trust_remote_code: bool = False) -> SavedEncoder:
    """Read the folder, and make sure that it still holds the encoder that was saved.

    Of the code it names, only modules of sentence-transformers and of this library are run, unless its own is trusted.

    Args:
        folder: Folder that :func:`write` wrote.
        device: Device that the model runs on; ``None`` lets sentence-transformers choose.
        trust_remote_code: Whether to run code that comes with the model.

    Raises:
        EncoderNotFoundError: If the folder is damaged, incomplete, or holds another encoder than the one saved.
        FormatVersionError: If it was written in a format that this release does not read.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
    """
    path = Path(folder)
    try:
        config = _json(path / _CONFIG_FILE)
        _check_format(path, config["format"])
        entries = read_module_list(path)
        _check_complete(path, config, trusted=trust_remote_code)
        with no_bars():
            saved = _load(path, config, entries, device, trusted=trust_remote_code, classes={})
        differing = _differing(path, saved, config)
    except Exception as error:  # the tokenizers' own errors have no class but this
        raise _damaged(path, error) from error
    if differing:
        raise _damaged(path, f"it loads as another encoder than the one that was saved: another {differing}")
    return saved


def _write_all(staged: Path, saved: SavedEncoder) -> None:
    """Write all files, and make sure that they load as the same encoder.

    Raises:
        StorageError: If they do not.
    """
    pipeline = with_head(saved.model, saved.head)
    pipeline[-1].float().load_state_dict(saved.head.state_dict())  # a base model in half precision rounds its modules
    pipeline.save(os.fspath(staged), create_model_card=False)
    copy_code_up(staged)
    if saved.learned is not None:
        saved.learned.write(staged)
    parts = saved.parts()
    config = {
        "format": _WITHOUT_FAMILIARITY if saved.head.familiarity is None else _FORMAT,
        "model_name": saved.model_name,
        "fingerprint": combined(parts),
        "parts": short_parts(parts),
        "dtype": _dtype(saved.model),
        "code": code_digests(staged),
        "files": sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()),
        "codebook": saved.codebook.to_dict(),
    }
    entries = read_module_list(staged)
    classes = {entry.type: type(module) for entry, module in zip(entries, pipeline, strict=True)}
    wrong = _wrong(staged, config, entries, trusted=False, classes={})
    # whether to run code that comes with the model is asked of everyone who loads the folder: only the need is written
    config["needs_own_code"] = bool(wrong)
    if wrong and (wrong := _wrong(staged, config, entries, trusted=True, classes=classes)):
        raise StorageError(f"nothing was saved: what was written of {saved.model_name!r} {wrong}")
    (staged / _CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")


def _wrong(
    path: Path,
    config: Mapping[str, Any],
    entries: Sequence[ModuleEntry],
    *,
    trusted: bool,
    classes: ModuleClasses,
) -> str:
    """What is wrong with a folder that was just written, for a message; empty if it is the encoder that was saved."""
    try:
        differing = _differing(path, _load(path, config, entries, "cpu", trusted=trusted, classes=classes), config)
    except Exception as error:  # whatever the modules raise
        return f"cannot be loaded: {error}"
    return f"loads as another encoder, with another {differing}" if differing else ""


def _load(
    path: Path,
    config: Mapping[str, Any],
    entries: Sequence[ModuleEntry],
    device: str | None,
    *,
    trusted: bool,
    classes: ModuleClasses,
) -> SavedEncoder:
    modules = load_modules(path, entries, config.get("dtype"), trusted=trusted, classes=classes)
    head = modules.pop()
    codebook = Codebook.from_dict(config["codebook"])
    if not isinstance(head, FeatureGroupHead):
        raise TypeError("its last module is no feature-group head")
    if (head.groups, head.codes_per_group) != (codebook.groups, codebook.codes_per_group):
        raise ValueError("its head and its codebook have different sizes")
    settings = _json(path / "config_sentence_transformers.json")
    model = SentenceTransformer(
        modules=modules,
        device=device,
        prompts=settings.get("prompts"),
        default_prompt_name=settings.get("default_prompt_name"),
    )
    return SavedEncoder(model, str(config["model_name"]), head.eval(), codebook, learned=LearnedTexts.read(path))


def _damaged(path: Path, found: Exception | str) -> Exception:
    """The error for a folder that holds something else than the encoder that was saved; ours are passed on."""
    if isinstance(found, FgSearchError):
        return found
    what = found if isinstance(found, str) else f"{type(found).__name__}: {found}"
    return EncoderNotFoundError(
        f"the saved encoder in {os.fspath(path)!r} is damaged: {what}; copy the whole folder again, or fit the encoder "
        "again"
    )


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _dtype(model: SentenceTransformer) -> str | None:
    """The type of the weights, as torch calls it, of a model that has some, all of one floating type."""
    types = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    return str(types.pop()).rpartition(".")[2] if len(types) == 1 else None


def _check_format(path: Path, version: int) -> None:
    if version > _FORMAT:
        raise FormatVersionError(f"{path} has format {version}, this release reads {_FORMAT}; upgrade fg_search")
    if version < _WITHOUT_FAMILIARITY:
        raise FormatVersionError(
            f"{path} has format {version} of a development version, this release reads {_FORMAT}; fit the encoder again"
        )


def _check_complete(path: Path, config: Mapping[str, Any], *, trusted: bool) -> None:
    """Make sure that all files are there, and that code that would be run is what was saved."""
    missing = [name for name in config.get("files", ()) if not (path / name).is_file()]
    if "files" not in config:
        of_transformers = {file.parent for name in _TRANSFORMER_FILES for file in path.rglob(name)}
        missing = [
            (folder.relative_to(path) / _VOCABULARIES[0]).as_posix()
            for folder in of_transformers
            if not any(any(folder.glob(name)) for name in _VOCABULARIES)
        ]
    if missing:
        raise _damaged(path, f"{' and '.join(map(repr, missing[:3]))} {'is' if len(missing) == 1 else 'are'} missing")
    if config.get("needs_own_code") and not trusted:
        raise untrusted(os.fspath(path), "code of its own")
    if trusted and "code" in config:
        found = code_digests(path)
        changed = sorted(name for name, digest in config["code"].items() if found.get(name) != digest)
        if changed:
            raise _damaged(path, f"{changed[0]!r} is not the code that was saved")


def _differing(path: Path, saved: SavedEncoder, config: Mapping[str, Any]) -> str:
    """The parts in which what was loaded is not what was saved, for a message; empty if it is."""
    if "parts" not in config:
        return "" if _is_encoder_of_0_1(saved, config["fingerprint"]) else "base model or head"
    parts = short_parts(saved.parts())
    names = [name for name in {**config["parts"], **parts} if config["parts"].get(name) != parts.get(name)]
    if not names:
        return ""
    versions = _json(path / "config_sentence_transformers.json").get("__version__", {})
    libraries = ", ".join(f"{library} {version}" for library, version in versions.items())
    return f"{' and '.join(_PARTS.get(name, name) for name in names)} (it was saved with {libraries})"


def _is_encoder_of_0_1(saved: SavedEncoder, fingerprint: str) -> bool:
    if _dtype(saved.model) in ("float16", "bfloat16"):
        return (
            True  # 0.1 rounded the head when it saved it: the folder never was the encoder that the fingerprint is of
        )
    return fingerprint == saved.fingerprints.former(saved.model, saved.model_name, saved.head, saved.codebook)


def _has_content(path: Path) -> bool:
    return not path.is_dir() or any(path.iterdir())
