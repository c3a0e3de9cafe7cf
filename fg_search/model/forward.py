"""The forward pass of a model, as its ``encode`` runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from fg_search.model.module_tree import modules_of

_OF_ENCODE = {"encode", "preprocess", "forward", "tokenize"}
_NOT_ENOUGH_MEMORY = ("out of memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")


def has_plain_encode(model: SentenceTransformer) -> bool:
    """Whether the model's ``encode`` is nothing but ``preprocess`` and ``forward``, all of it on one device."""
    if type(model) is not SentenceTransformer or _OF_ENCODE & vars(model).keys():
        return False
    if getattr(model, "_distributed_inference", None) is not None or model.device.type == "hpu":
        return False
    return all(device == model.device for device in {tensor.device for tensor in _tensors(model)})


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device had too little memory, so that less at once may do."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(words in str(error) for words in _NOT_ENOUGH_MEMORY)


def _tensors(model: SentenceTransformer) -> Iterator[torch.Tensor]:
    for module in modules_of(model):
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                yield tensor


class ForwardPass:
    """Embeddings of what ``preprocess`` makes of texts.

    Args:
        model: A model with a plain ``encode``.
        tf32: Whether a CUDA device may round the factors of products to ten bits.
        arguments: What the modules are told beside what ``preprocess`` makes of texts.
    """

    def __init__(self, model: SentenceTransformer, *, tf32: bool, arguments: Mapping[str, Any] | None = None) -> None:
        if any(module.training for module in modules_of(model)):
            model.eval()
        self._model = model
        self._device = model.device
        self._tf32 = tf32
        self._arguments = arguments or {}

    @torch.inference_mode()
    def __call__(self, features: MutableMapping[str, Any]) -> torch.Tensor:
        """Embeddings ``(m, d)`` on the model's device, which may still be computing them."""
        for name, value in features.items():
            if isinstance(value, torch.Tensor):
                features[name] = self._moved(value)
        with products(self._device, tf32=self._tf32):
            embeddings: torch.Tensor = self._model(features, **self._arguments)["sentence_embedding"]
        return embeddings if self._model.truncate_dim is None else embeddings[..., : self._model.truncate_dim]

    def _moved(self, value: torch.Tensor) -> torch.Tensor:
        if self._device.type == "cuda":  # from memory that the device reads while the next batch is prepared
            return value.pin_memory().to(self._device, non_blocking=True)
        return value.to(self._device)


class _Switch:
    """Turns TF32 on while anybody wants it; the setting is one for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = False

    def on(self) -> None:
        with self._lock:
            if not self._users:
                self._before = torch.backends.cuda.matmul.allow_tf32
                torch.backends.cuda.matmul.allow_tf32 = True
            self._users += 1

    def off(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                torch.backends.cuda.matmul.allow_tf32 = self._before


_SWITCH = _Switch()


@contextmanager
def products(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Products of matrices in TF32, where that is wanted and the device has it."""
    if not tf32 or device.type != "cuda":
        yield
        return
    _SWITCH.on()
    try:
        yield
    finally:
        _SWITCH.off()
