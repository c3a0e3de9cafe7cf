"""Code that comes with a model: classes of modules that neither sentence-transformers nor this library has."""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules import Module
from sentence_transformers.util import import_from_string
from sentence_transformers.util.misc import import_module_class

from fg_search.errors import UntrustedCodeError
from fg_search.model.head import FeatureGroupHead
from fg_search.model.module_list import ModuleEntry

_HEAD_TYPES = (
    f"{FeatureGroupHead.__module__}.{FeatureGroupHead.__qualname__}",
    "fg_search.head.FeatureGroupHead",  # the name in folders saved by 0.1
)

ModuleClasses = Mapping[str, type[torch.nn.Module]]


def check_findable(module: type[torch.nn.Module]) -> None:
    """Make sure that another process can import the class of a module.

    Raises:
        ValueError: If it is defined in a script or notebook, or inside a function.
    """
    name = module.__module__
    if name == "__main__" or getattr(sys.modules.get(name), module.__name__, None) is not module:
        where = "in the script or notebook that runs" if name == "__main__" else f"inside a function of {name}"
        raise ValueError(
            f"the module {module.__name__} is defined {where}, where no other process finds it; move the class to the "
            "top level of a Python file, import it from there, and fit again"
        )


def copy_code_up(folder: Path) -> None:
    """Copy code of modules from their subfolders into the folder itself, where loading looks for it."""
    for file in folder.glob("*/*.py"):
        if not (folder / file.name).exists():
            shutil.copy(file, folder / file.name)


def code_digests(folder: Path) -> dict[str, str]:
    """Digests of the Python files in a folder, by their names; line ends do not count."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(b"\n".join(file.read_bytes().splitlines())).hexdigest()
        for file in sorted(folder.rglob("*.py"))
    }


def load_modules(
    folder: Path,
    entries: Sequence[ModuleEntry],
    dtype: str | None,
    *,
    backend: str = "torch",
    trusted: bool,
    classes: ModuleClasses,
) -> list[torch.nn.Module]:
    """Load modules, in order.

    Args:
        folder: Folder of a sentence-transformers model.
        entries: Its list of modules.
        dtype: Type of the weights, as torch calls it; ``None`` for what the files say.
        backend: What runs the model.
        trusted: Whether to run code that comes with the model.
        classes: Classes that are there already, by their names in the list.

    Raises:
        TypeError: If the list names something else than a module.
        UntrustedCodeError: If it needs code of its own, which is not trusted.
    """
    _check_trusted(folder, entries, trusted=trusted)
    modules = []
    for entry in entries:
        module_class: Any = classes.get(entry.type) or _class_of(entry.type, folder)
        if len(inspect.signature(module_class.load).parameters) == 1:  # of modules written for older releases
            modules.append(module_class.load(os.fspath(folder / entry.path)))
            continue
        options = {"subfolder": entry.path, "local_files_only": True, "trust_remote_code": trusted}
        if dtype is not None:
            options["model_kwargs"] = {"dtype": getattr(torch, dtype)}
        if backend != "torch":
            options["backend"] = backend
        try:
            modules.append(module_class.load(os.fspath(folder), **options))
        except ValueError as error:
            if not trusted and "trust_remote_code" in str(error):  # the code of the transformer itself
                raise untrusted(os.fspath(folder), f"the module {entry.type}") from error
            raise
    return modules


def untrusted(folder: str, what: str) -> UntrustedCodeError:
    """The error for a model that needs code of its own."""
    return UntrustedCodeError(
        f"{folder!r} needs {what}, which is not part of sentence-transformers: loading it runs code that comes with "
        "the model, with all your rights. If you trust its author, pass trust_remote_code=True to "
        "FeatureGroupEncoder(…) or FeatureGroupEncoder.load(…), and hand that encoder to ConfidenceIndex; on the "
        "command line, add --trust-remote-code"
    )


def _check_trusted(folder: Path, entries: Sequence[ModuleEntry], *, trusted: bool) -> None:
    """Make sure that no module has code that comes with the model, unless that is trusted.

    Raises:
        UntrustedCodeError: If one has.
    """
    for entry in entries:
        if not trusted and not _is_known(entry.type):
            raise untrusted(os.fspath(folder), f"the module {entry.type}")


def _class_of(name: str, folder: Path) -> Any:
    if name in _HEAD_TYPES:
        return FeatureGroupHead
    if _is_known(name):
        module_class = import_from_string(name)
        kind: type[torch.nn.Module] = Module
    else:
        module_class = import_module_class(name, os.fspath(folder), trust_remote_code=True, local_files_only=True)
        kind = torch.nn.Module
    if not (isinstance(module_class, type) and issubclass(module_class, kind)):
        raise TypeError(f"{name} is no module")
    return module_class


def _is_known(name: str) -> bool:
    return name in _HEAD_TYPES or name.startswith("sentence_transformers.")
