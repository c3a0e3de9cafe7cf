"""Fingerprints: short hashes that identify models wherever their weights are stored."""

from __future__ import annotations

import hashlib
import json

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module

from fg_search.model.codebook import Codebook
from fg_search.model.head import FeatureGroupHead

_SAMPLED_WEIGHTS = 1024  # numbers hashed per weight tensor of the base model
_DIGITS = 16


def base_fingerprint(model: SentenceTransformer, name: str) -> str:
    """Fingerprint of a base model: settings and a sample of every weight tensor; without weights (ONNX), the name."""
    return _base_digest(model, name).hexdigest()[:_DIGITS]


def encoder_fingerprint(model: SentenceTransformer, name: str, head: FeatureGroupHead, codebook: Codebook) -> str:
    """Fingerprint of base model, head and codebook; head and codebook are hashed entirely."""
    digest = _base_digest(model, name)
    digest.update(json.dumps([head.get_config_dict(), codebook.to_dict()], sort_keys=True).encode())
    for key, weight in head.state_dict().items():
        digest.update(key.encode() + _bytes_of(weight))
    return digest.hexdigest()[:_DIGITS]


def _base_digest(model: SentenceTransformer, name: str) -> hashlib._Hash:
    digest = hashlib.sha256(json.dumps([model.prompts, model.default_prompt_name, model.max_seq_length]).encode())
    weights = model.state_dict()
    # modules such as pooling and normalisation have settings but no weights; so does a model run by another runtime
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
