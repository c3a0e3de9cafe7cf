"""Fingerprints: short hashes of everything that decides which vectors a text gets, wherever it is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module, Transformer

from fg_search.model.codebook import Codebook
from fg_search.model.head import FeatureGroupHead
from fg_search.model.module_tree import modules_of
from fg_search.model.roles import PLAIN, Roles, Route, input_modules
from fg_search.model.tokenizer_state import Same, limits_kept, state_of, token_ids, tokenizer_of, tokenizer_state

_DIGITS = 16
_SAMPLED_WEIGHTS = 1024  # numbers that release 0.1 hashed per weight tensor of the base model

# A tokenizer's file is written differently by each release of its library; what it makes of texts is not. These differ
# in case, accents, scripts, white space, invisible characters and in what is no word at all.
_PROBES = (
    "Hello world",
    "hello WORLD, it's naïve: 3.14 \u00d7 10^6 \u2013 “quoted”… (a/b) #tag @user_name e-mail@example.com",
    "  two  spaces\tand\na line  ",
    "Straße ĞİŞ ﬁ ½ ① e\u0301 \u200b \u00ad zero",
    "日本語の文章 한국어 ภาษาไทย العربية русский ελληνικά",
    "👍 👎🏽 \u2713 [UNK] [MASK] <s> </s> <|endoftext|>",
    "internationalisation antidisestablishmentarianism qwzxj 1234567890",
    "def f(x):\n    return {'a': [x ** 2]}",
)
_OWN_WORDS = 50
# settings of a transformer that its weights do not show; their names have been the same for years
_ARCHITECTURE = (
    "model_type",
    "hidden_act",
    "num_attention_heads",
    "num_key_value_heads",
    "layer_norm_eps",
    "rms_norm_eps",
)

Parts = Mapping[str, str]


class Fingerprints:
    """Computes the fingerprints of an encoder, and remembers what took long as long as it is still right.

    The base model and the head are the caller's and may change at any time: settings are read anew whenever a
    fingerprint is asked for, and weights are hashed again once torch has counted a change of them. (Writing through
    ``weight.data`` is not counted.)
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, str]] = {}

    def parts_of_base(self, model: SentenceTransformer, name: str, roles: Roles = PLAIN) -> Parts:
        """Digests of the parts of a base model, by their names: weights, tokenizer, modules, prompts, maximum length.

        Args:
            model: The base model.
            name: Its name, which stands for the weights of a model that is run by another runtime (ONNX).
            roles: How it takes queries and documents. They are a part only if that is not the way of ``encode``.
        """
        weights = _weights(model)
        return {
            "weights": self._remembered("weights", _stamp(weights), lambda: _hash_tensors(weights))
            if weights
            else name,
            "tokenizer": self._remembered("tokenizer", tokenizer_state(model), lambda: _hash_tokenizer(model)),
            "modules": _json([_settings(module) for module in model]),
            "prompts": _json([{key: text for key, text in model.prompts.items() if text}, model.default_prompt_name]),
            "max_seq_length": str(model.max_seq_length),
            **({} if model.truncate_dim is None else {"truncate_dim": str(model.truncate_dim)}),
            **({} if model.get_backend() == "torch" else {"backend": model.get_backend()}),
            **({} if roles.are_plain(model) else {"roles": self._of_roles(model, roles)}),
        }

    def of_head(self, head: FeatureGroupHead, codebook: Codebook) -> str:
        """Digest of a head with its codebook."""
        weights = _weights(head)
        settings = _json(head.get_config_dict())
        stamp = (_stamp(weights), settings, Same(codebook))
        return self._remembered(
            "head", stamp, lambda: _short(_hash_tensors(weights), settings, _json(codebook.to_dict()))
        )

    def _of_roles(self, model: SentenceTransformer, roles: Roles) -> str:
        routes = [roles.route(model, "query"), roles.route(model, "document")]
        if routes[0].task is None:  # the modules make the same tokens of the same texts
            return _json([[route.prompt, None] for route in routes])
        tokenizers = [getattr(module, "tokenizer", None) for module in input_modules(model)]
        stamp = (routes, [(Same(tokenizer), state_of(tokenizer)) for tokenizer in tokenizers])
        return self._remembered(
            "roles", stamp, lambda: _short(*(_json([vars(route), _tokens(model, route)]) for route in routes))
        )

    def former_base(self, model: SentenceTransformer, name: str) -> str:
        """Fingerprint of a base model as release 0.1 computed it, which indexes and folders of that time carry."""
        stamp = (_stamp(_weights(model)), self._settings_stamp(model), name)
        return self._remembered("base of 0.1", stamp, lambda: _base_digest_of_0_1(model, name).hexdigest()[:_DIGITS])

    def former(self, model: SentenceTransformer, name: str, head: FeatureGroupHead, codebook: Codebook) -> str:
        """Fingerprint of an encoder as release 0.1 computed it."""
        settings = _json(head.get_config_dict())
        of_base = (_stamp(_weights(model)), self._settings_stamp(model), name)
        stamp = (of_base, _stamp(_weights(head)), settings, Same(codebook))
        return self._remembered("0.1", stamp, lambda: _fingerprint_of_0_1(model, name, head, codebook))

    def _settings_stamp(self, model: SentenceTransformer) -> str:
        return _settings_of_0_1(model) + _json([_settings(module) for module in model])

    def _remembered(self, name: str, stamp: object, compute: Callable[[], str]) -> str:
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            self._known[name] = known = (stamp, compute())
        return known[1]


def base_fingerprint(model: SentenceTransformer, name: str, roles: Roles = PLAIN) -> str:
    """Fingerprint of a base model, see :meth:`Fingerprints.parts_of_base`."""
    return combined(Fingerprints().parts_of_base(model, name, roles))


def combined(parts: Parts) -> str:
    """The fingerprint of something with these parts: 16 hexadecimal digits."""
    return hashlib.sha256(_json(dict(parts)).encode()).hexdigest()[:_DIGITS]


def short_parts(parts: Parts) -> dict[str, str]:
    """The digests of the parts, 16 hexadecimal digits each, as they are written into the folder of an encoder."""
    return {name: _short(digest) for name, digest in parts.items()}


def _weights(model: torch.nn.Module) -> list[torch.Tensor]:
    """Everything learned, in the order of the modules: their names change with releases of the libraries."""
    found: list[torch.Tensor | None] = []
    for module in modules_of(model):
        if module._parameters:
            found += module._parameters.values()
        if module._buffers:  # running means count, positions 0, 1, 2 … do not
            passing = module._non_persistent_buffers_set
            found += [buffer for key, buffer in module._buffers.items() if key not in passing and _is_float(buffer)]
    return [weight for weight in found if weight is not None]


def _is_float(buffer: torch.Tensor | None) -> bool:
    return buffer is not None and buffer.is_floating_point()


def _stamp(weights: list[torch.Tensor]) -> list[tuple[int, int]]:
    """Where the weights are, and how often each was changed; another type of numbers is another place."""
    try:
        return [(weight.data_ptr(), weight._version) for weight in weights]
    except RuntimeError:  # changes of tensors made in inference mode are not counted
        return [(weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights]


def _hash_tensors(weights: list[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{tuple(weight.shape)}{weight.dtype}".encode())
        digest.update(_bytes_of(weight))
    return digest.hexdigest()


def _bytes_of(weight: torch.Tensor) -> memoryview:
    flat = weight.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _hash_tokenizer(model: SentenceTransformer) -> str:
    tokenizer = tokenizer_of(model)
    vocabulary = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else {}
    known = sorted(vocabulary.items()) if isinstance(vocabulary, Mapping) else list(vocabulary)
    words = sorted(word for word in vocabulary if isinstance(word, str) and word.isalpha())
    own = words[:: -(-len(words) // _OWN_WORDS)] if words else []  # what it makes of its own words shows most
    probes = [*_PROBES, " ".join(own), " ".join(map(str.title, own)), "-".join(own).upper()]
    with limits_kept(tokenizer):
        return _short(_json(known), *(_json(token_ids(model, text)) for text in probes))


def _tokens(model: SentenceTransformer, route: Route) -> list[list[int]]:
    """What a model that treats the roles in different ways reads the probes as."""
    found: list[list[int]] = []
    for text in _PROBES:
        with limits_kept(getattr(input_modules(model, route.task)[0], "tokenizer", None)):
            features = model.preprocess([text], prompt=route.prompt, **route.arguments)
        found.append(torch.as_tensor(features["input_ids"]).reshape(-1).tolist() if "input_ids" in features else [])
    return found


def _settings(module: torch.nn.Module) -> list[Any]:
    """Name and settings of a module; of a transformer those that neither weights nor tokens show."""
    if isinstance(module, Transformer):
        config = module.config
        shown = {key: getattr(config, key, None) for key in _ARCHITECTURE}
        inner = type(module.model)
        if not inner.__module__.startswith("transformers."):  # code that comes with the model
            shown["class"] = inner.__qualname__
        return [type(module).__name__, shown, module.get_config_dict().get("processing_kwargs")]
    return [type(module).__name__, module.get_config_dict() if isinstance(module, Module) else {}]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=lambda other: type(other).__qualname__)


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _settings_of_0_1(model: SentenceTransformer) -> str:
    return json.dumps([model.prompts, model.default_prompt_name, model.max_seq_length])


def _fingerprint_of_0_1(model: SentenceTransformer, name: str, head: FeatureGroupHead, codebook: Codebook) -> str:
    digest = _base_digest_of_0_1(model, name)
    digest.update(json.dumps([head.get_config_dict(), codebook.to_dict()], sort_keys=True).encode())
    for key, weight in head.state_dict().items():
        digest.update(key.encode())
        digest.update(_bytes_of(weight))
    return digest.hexdigest()[:_DIGITS]


def _base_digest_of_0_1(model: SentenceTransformer, name: str) -> hashlib._Hash:
    """A sample of every weight tensor and some settings; not the tokenizer."""
    digest = hashlib.sha256(_settings_of_0_1(model).encode())
    weights = model.state_dict()
    for module in list(model)[1 if weights else 0 :]:
        settings = module.get_config_dict() if isinstance(module, Module) else {}
        digest.update(json.dumps([type(module).__name__, settings], sort_keys=True, default=str).encode())
    if not weights:
        digest.update(name.encode())
    for key, weight in weights.items():
        flat = weight.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // _SAMPLED_WEIGHTS)]
        digest.update(f"{key}{tuple(weight.shape)}{weight.dtype}".encode())
        digest.update(_bytes_of(sample))
    return digest
