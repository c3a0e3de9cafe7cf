"""Base model and head as one ``SentenceTransformer``, and apart."""

from __future__ import annotations

import copy

from sentence_transformers import SentenceTransformer

from fg_search.model.head import FeatureGroupHead


def with_head(model: SentenceTransformer, head: FeatureGroupHead) -> SentenceTransformer:
    """Append a copy of the head to a base model; the dot product counts agreeing groups.

    The head is copied because sentence-transformers moves its modules to one device and dtype.
    """
    return SentenceTransformer(
        modules=[*model, copy.deepcopy(head)],
        device=str(model.device),
        prompts={name: prompt for name, prompt in model.prompts.items() if prompt is not None},
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name="dot",
    )


def without_head(model: SentenceTransformer) -> tuple[SentenceTransformer, FeatureGroupHead]:
    """Split a model into its base model and a copy of its head, on the CPU, in float32 and evaluation mode.

    Raises:
        TypeError: If the last module is not a feature-group head.
    """
    *modules, head = model
    if not isinstance(head, FeatureGroupHead):
        raise TypeError(f"the model's last module must be a FeatureGroupHead, it is {type(head).__name__}")
    base = SentenceTransformer(
        modules=modules,
        device=str(model.device),
        prompts={name: prompt for name, prompt in model.prompts.items() if prompt is not None},
        default_prompt_name=model.default_prompt_name,
    )
    return base, copy.deepcopy(head).to("cpu").float().eval()


def check_base(model: SentenceTransformer) -> None:
    """Check that a model can serve as the base model of an encoder.

    Raises:
        TypeError: If it already ends in a feature-group head.
        ValueError: If it truncates its embeddings.
    """
    if model.truncate_dim is not None:
        raise ValueError(
            f"the model truncates its embeddings to {model.truncate_dim} numbers, which a saved encoder cannot repeat; "
            "load it without truncate_dim"
        )
    *_, last = model
    if isinstance(last, FeatureGroupHead):
        raise TypeError(
            "the model ends in a feature-group head already; use FeatureGroupEncoder.from_sentence_transformer(model, "
            "codebook), or, for a saved encoder, FeatureGroupEncoder.load(folder)"
        )
