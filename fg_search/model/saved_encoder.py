"""The folder of a saved encoder, with a file of its own, ``fg_search.json``.

That of a ``SentenceTransformer`` is a sentence-transformers model, base model and head. Of any other embedder it holds
the head and the embedder's settings.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer

from fg_search.errors import EncoderNotFoundError, FgSearchError, FormatVersionError, StorageError
from fg_search.model.codebook import Codebook
from fg_search.model.embedders.embedder import Embedder
from fg_search.model.embedders.sentence_transformer import SentenceTransformerEmbedder
from fg_search.model.embedders.settings import of_settings, to_settings
from fg_search.model.fingerprint import Fingerprints, Parts, combined, short_parts
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
from fg_search.model.pipeline import set_module_arguments, with_head
from fg_search.model.pretrained import Backend, packages_of
from fg_search.model.roles import PLAIN, Roles
from fg_search.model.silence import no_bars
from fg_search.model.vector_norms import VectorNorms

_FORMAT = 4
_OF_ONE_ROLE = 3  # format of a SentenceTransformer that takes queries and documents alike
_WITHOUT_FAMILIARITY = 2  # format of an encoder whose head does not know its examples, which release 0.1 reads, too
_CONFIG_FILE = "fg_search.json"
_HEAD_FOLDER = "head"
_PARTS = {
    "embedder": "embedder",
    "roles": "prompts or routes of queries and documents",
    "backend": "backend",
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
        embedder: What makes the base embeddings.
        head: Head in evaluation mode.
        codebook: Codebook without training targets.
        fingerprints: What has been hashed of the head.
        learned: Texts that were learned from; ``None`` if an earlier release saved the encoder.
        norms: Lengths of the vectors that were learned from; ``None`` if an earlier release saved the encoder.
    """

    embedder: Embedder
    head: FeatureGroupHead
    codebook: Codebook
    fingerprints: Fingerprints = field(default_factory=Fingerprints, repr=False)
    learned: LearnedTexts | None = field(default=None, repr=False)
    norms: VectorNorms | None = None

    def parts(self) -> dict[str, str]:
        """Digests of what makes the encoder what it is, by name."""
        return {**parts_of_embedder(self.embedder), "head": self.fingerprints.of_head(self.head, self.codebook)}


def parts_of_embedder(embedder: Embedder) -> Parts:
    """Digests of what makes an embedder what it is, by name."""
    if isinstance(embedder, SentenceTransformerEmbedder):
        return embedder.parts
    return {"embedder": embedder.fingerprint}


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
    if isinstance(saved.embedder, SentenceTransformerEmbedder):
        for module in saved.embedder.model:
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


def read(
    folder: str | os.PathLike[str],
    device: str | None,
    *,
    trust_remote_code: bool = False,
    embedder: Embedder | None = None,
) -> SavedEncoder:
    """Read the folder, and make sure that it still holds the encoder that was saved.

    Of the code it names, only modules of sentence-transformers and of this library are run, unless its own is trusted.

    Args:
        folder: Folder that :func:`write` wrote.
        device: Device that the model runs on; ``None`` lets sentence-transformers choose.
        trust_remote_code: Whether to run code that comes with the model.
        embedder: Embedder to use in place of what was saved of it, which must be the same.

    Raises:
        EncoderNotFoundError: If the folder is damaged, incomplete, or holds another encoder than the one saved.
        ModelMismatchError: If another embedder is given.
        FormatVersionError: If it was written in a format that this release does not read.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
    """
    path = Path(folder)
    try:
        config = _json(path / _CONFIG_FILE)
        _check_format(path, config["format"])
        _check_complete(path, config, trusted=trust_remote_code)
        if "embedder" in config:
            saved = _load_head(path, config, embedder)
        else:
            entries = read_module_list(path)
            with no_bars():
                saved = _load(path, config, entries, device, trusted=trust_remote_code, classes={})
            if embedder is not None:
                saved = replace(saved, embedder=_same(embedder, saved.embedder))
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
    if not isinstance(saved.embedder, SentenceTransformerEmbedder):
        _write_head(staged, saved)
        return
    model = saved.embedder.model
    pipeline = with_head(model, saved.head)
    pipeline[-1].float().load_state_dict(saved.head.state_dict())  # a base model in half precision rounds its modules
    pipeline.save(os.fspath(staged), create_model_card=False)
    copy_code_up(staged)
    roles, is_plain = saved.embedder.roles, saved.embedder.roles.are_plain(model)
    former = _WITHOUT_FAMILIARITY if saved.head.familiarity is None else _OF_ONE_ROLE
    config = {
        "format": former if is_plain and model.get_backend() == "torch" else _FORMAT,
        **_common(staged, saved),
        "dtype": _dtype(model),
        "code": code_digests(staged),
        **({} if is_plain else {"roles": roles.settings()}),
        **({} if model.get_backend() == "torch" else {"backend": model.get_backend()}),
    }
    entries = read_module_list(staged)
    classes = {entry.type: type(module) for entry, module in zip(entries, pipeline, strict=True)}
    wrong = _wrong(staged, config, entries, trusted=False, classes={})
    # whether to run code that comes with the model is asked of everyone who loads the folder: only the need is written
    config["needs_own_code"] = bool(wrong)
    if wrong and (wrong := _wrong(staged, config, entries, trusted=True, classes=classes)):
        raise StorageError(f"nothing was saved: what was written of {saved.embedder.name!r} {wrong}")
    (staged / _CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")


def _write_head(staged: Path, saved: SavedEncoder) -> None:
    """Write the head, and the settings of an embedder that has no files."""
    saved.head.save(os.fspath(staged / _HEAD_FOLDER))
    config = {"format": _FORMAT, **_common(staged, saved), "embedder": to_settings(saved.embedder)}
    if differing := _differing(staged, _load_head(staged, config, saved.embedder), config):
        raise StorageError(f"nothing was saved: what was written loads as another encoder, with another {differing}")
    (staged / _CONFIG_FILE).write_text(json.dumps(config, indent=1), encoding="utf-8")


def _common(staged: Path, saved: SavedEncoder) -> dict[str, Any]:
    """What is written of every encoder, after all files but the one for it."""
    if saved.learned is not None:
        saved.learned.write(staged)
    parts = saved.parts()
    return {
        "model_name": saved.embedder.name,
        "fingerprint": combined(parts),
        "parts": short_parts(parts),
        "files": sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()),
        "codebook": saved.codebook.to_dict(),
        **({} if saved.norms is None else {"norms": saved.norms.to_dict()}),
    }


def _load_head(path: Path, config: Mapping[str, Any], embedder: Embedder | None) -> SavedEncoder:
    found = of_settings(config["embedder"], embedder)
    head = FeatureGroupHead.load(os.fspath(path / _HEAD_FOLDER), local_files_only=True)
    return _checked(found, head, path, config)


def _checked(embedder: Embedder, head: object, path: Path, config: Mapping[str, Any]) -> SavedEncoder:
    codebook = Codebook.from_dict(config["codebook"])
    if not isinstance(head, FeatureGroupHead):
        raise TypeError("its last module is no feature-group head")
    if (head.groups, head.codes_per_group) != (codebook.groups, codebook.codes_per_group):
        raise ValueError("its head and its codebook have different sizes")
    norms = None if "norms" not in config else VectorNorms.of_dict(config["norms"])
    return SavedEncoder(embedder, head.eval(), codebook, learned=LearnedTexts.read(path), norms=norms)


def _same(given: Embedder, saved: Embedder) -> Embedder:
    """The embedder that is given, if it is the one that was saved.

    Raises:
        ModelMismatchError: If it is another one.
    """
    return of_settings(to_settings(saved), given)


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
    backend: Backend = config.get("backend", "torch")
    with packages_of(backend):
        modules = load_modules(path, entries, config.get("dtype"), backend=backend, trusted=trusted, classes=classes)
    head = modules.pop()
    settings = _json(path / "config_sentence_transformers.json")
    model = SentenceTransformer(
        modules=modules,
        device=device,
        prompts=settings.get("prompts"),
        default_prompt_name=settings.get("default_prompt_name"),
        backend=backend,
    )
    set_module_arguments(model, [entry.kwargs for entry in entries[:-1]])
    # an encoder that an earlier release saved takes queries and documents alike, whatever prompts its model has
    roles = Roles(**config["roles"]) if "roles" in config else PLAIN
    embedder = SentenceTransformerEmbedder.of(model, str(config["model_name"]), roles, Fingerprints())
    return _checked(embedder, head, path, config)


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
    about = path / "config_sentence_transformers.json"
    versions = _json(about).get("__version__", {}) if about.is_file() else {}
    libraries = ", ".join(f"{library} {version}" for library, version in versions.items())
    with_libraries = f" (it was saved with {libraries})" if libraries else ""
    return " and ".join(_PARTS.get(name, name) for name in names) + with_libraries


def _is_encoder_of_0_1(saved: SavedEncoder, fingerprint: str) -> bool:
    model = saved.embedder.model if isinstance(saved.embedder, SentenceTransformerEmbedder) else None
    if model is None:
        return False
    if _dtype(model) in ("float16", "bfloat16"):
        return (
            True  # 0.1 rounded the head when it saved it: the folder never was the encoder that the fingerprint is of
        )
    return fingerprint == saved.fingerprints.former(model, saved.embedder.name, saved.head, saved.codebook)


def _has_content(path: Path) -> bool:
    return not path.is_dir() or any(path.iterdir())
