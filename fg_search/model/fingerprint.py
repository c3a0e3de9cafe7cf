"""Short hashes that tell models apart, wherever their weights are stored."""

from __future__ import annotations

import hashlib
import json

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module

from fg_search.model.codebook import Codebook
from fg_search.model.head import FeatureGroupHead

_SAMPLED_WEIGHTS = 1024  # numbers of each weight tensor of the base model that are hashed
_DIGITS = 16


def base_fingerprint(model: SentenceTransformer, name: str) -> str:
    """Of a base model: its settings and a sample of every weight tensor; where there is none (ONNX), its name."""
    return _base_digest(model, name).hexdigest()[:_DIGITS]


def encoder_fingerprint(model: SentenceTransformer, name: str, head: FeatureGroupHead, codebook: Codebook) -> str:
    """Of base model, head and codebook together; head and codebook go in whole."""
    digest = _base_digest(model, name)
    digest.update(json.dumps([head.get_config_dict(), codebook.to_dict()], sort_keys=True).encode())
    for key, weight in head.state_dict().items():
        digest.update(key.encode() + _bytes_of(weight))
    return digest.hexdigest()[:_DIGITS]


def _base_digest(model: SentenceTransformer, name: str) -> hashlib._Hash:
    digest = hashlib.sha256(json.dumps([model.prompts, model.default_prompt_name, model.max_seq_length]).encode())
    weights = model.state_dict()
    # pooling, normalisation and the like have settings, not weights; so has a model that runs elsewhere (ONNX)
    for module in list(model)[1 if weights else 0 :]:
        settings = module.get_config_dict() if isinstance(module, Module) else {}
        digest.update(json.dumps([type(module).__name__, settings], sort_keys=True, default=str).encode())
    if not weights:
        digest.update(name.encode())
    for key, weight in weights.items():
        flat = weight.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // _SAMPLED_WEIGHTS)]
        digest.update(f"{key}{tuple(weight.shape)}{weight.dtype}".encode() + _bytes_of(sample))
    return digest


def _bytes_of(weight: torch.Tensor) -> bytes:
    return weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
