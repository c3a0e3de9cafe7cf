"""Base model and head as one ``SentenceTransformer``, and apart."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from torch.nn import Identity

from fg_search.model.head import FeatureGroupHead
from fg_search.validation import check_count


def with_head(model: SentenceTransformer, head: FeatureGroupHead) -> SentenceTransformer:
    """Append a copy of the head to a base model; the dot product counts agreeing groups.

    The head is copied because sentence-transformers moves its modules to one device and dtype.
    """
    return _with_modules(model, [*model, copy.deepcopy(head)], similarity_fn_name="dot")


def without_head(model: SentenceTransformer) -> tuple[SentenceTransformer, FeatureGroupHead]:
    """Split a model into its base model and a copy of its head, on the CPU, in float32 and evaluation mode.

    Raises:
        TypeError: If the last module is not a feature-group head.
    """
    *modules, head = model
    if not isinstance(head, FeatureGroupHead):
        raise TypeError(f"the model's last module must be a FeatureGroupHead, it is {type(head).__name__}")
    return _with_modules(model, modules), copy.deepcopy(head).to("cpu").float().eval()


def as_base(model: SentenceTransformer) -> SentenceTransformer:
    """The model as the base model of an encoder: one that truncates its embeddings does so by a module of its own.

    sentence-transformers truncates after the last module, which would be the head. As a module, the truncation is saved
    with the others, and any copy of the folder repeats it.

    Raises:
        TypeError: If it already ends in a feature-group head.
        ValueError: If it truncates to less than one number.
    """
    *_, last = model
    if isinstance(last, FeatureGroupHead):
        raise TypeError(
            "the model ends in a feature-group head already; use FeatureGroupEncoder.from_sentence_transformer(model, "
            "codebook), or, for a saved encoder, FeatureGroupEncoder.load(folder)"
        )
    kept = model.truncate_dim
    if kept is None:
        return model
    check_count(kept, name="truncate_dim")
    with model.truncate_embeddings(None):
        dimension = model.get_embedding_dimension()
    if dimension is None:
        raise ValueError("the model does not tell the dimension of its embeddings, so they cannot be truncated")
    return _with_modules(model, [*model, *([] if kept >= dimension else [_truncation(dimension, kept)])])


def _truncation(dimension: int, kept: int) -> Dense:
    """The first numbers of an embedding as a product with a part of the identity, which is exact."""
    return Dense(dimension, kept, bias=False, activation_function=Identity(), init_weight=torch.eye(kept, dimension))


def _with_modules(model: SentenceTransformer, modules: list[torch.nn.Module], **options: Any) -> SentenceTransformer:
    made = SentenceTransformer(
        modules=modules,
        device=str(model.device),
        prompts={name: prompt for name, prompt in model.prompts.items() if prompt is not None},
        default_prompt_name=model.default_prompt_name,
        backend=model.get_backend(),
        **options,
    )
    told = model.module_kwargs or {}
    known = {id(module): told[name] for name, module in model.named_children() if told.get(name)}
    set_module_arguments(made, [known.get(id(module), []) for module in modules])
    return made


def set_module_arguments(model: SentenceTransformer, arguments: Sequence[Sequence[str]]) -> None:
    """Say which arguments of ``encode``, such as the task, are handed to which of a model's modules, in their order."""
    names = [name for name, _ in model.named_children()]
    model.module_kwargs = {name: list(told) for name, told in zip(names, arguments, strict=True) if told} or None
