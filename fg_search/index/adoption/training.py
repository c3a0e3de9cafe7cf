"""Head of an adopted collection, learned from its own vectors and payload."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fg_search.errors import ModelMismatchError
from fg_search.index.adoption.checks import Adoptable
from fg_search.index.adoption.sample import Sample
from fg_search.model.embedders.brought import BroughtVectors

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_FEWEST = 2  # labels that a head can learn to tell apart
_FEWEST_POINTS = 2
_COMPARED = 32  # texts
# of a text's vector in the collection and from the model, in the middle of those compared
_SAME, _RELATED = 0.98, 0.5

_LOG = logging.getLogger("fg_search.index")


def check_sample(sample: Sample, target: Adoptable, *, is_fitted: bool) -> None:
    """Check that a head can learn from a sample, and warn if no point of it has a text or a label at their paths.

    Raises:
        ValueError: If there are too few points.
    """
    count = len(sample.vectors)
    known = int(sample.vectors.any(axis=1).sum())  # zeros alone tell nothing
    if not is_fitted and known < _FEWEST_POINTS:
        raise ValueError(
            f"{target.name!r} has {known} points with the vector {target.source.vector!r}, and a head learns from at "
            "least two; add some with your client, or pass an encoder that was fitted on others: encoder=…"
        )
    if not count:
        return
    if not any(sample.texts):
        keys = ", ".join(map(repr, target.source.text))
        _LOG.warning("no point of %r has a text at %s (%d were read); ids are shown", target.name, keys, count)
    if target.source.label is not None and not any(label is not None for label in sample.labels):
        _LOG.warning("no point of %r has a label at %r (%d were read)", target.name, target.source.label, count)


def check_encoder(encoder: FeatureGroupEncoder, target: Adoptable, sample: Sample) -> None:
    """Check that the base model of an encoder is the one that made the vectors of a collection.

    Vectors may have been made of more than the text that is shown; that is only warned about.

    Raises:
        ModelMismatchError: If it is not.
    """
    if encoder.dimension != target.dimension:
        raise ModelMismatchError(
            f"the vectors of {target.name!r} have {target.dimension} numbers, those of {encoder.model_name} "
            f"{encoder.dimension}; give the model that made them"
        )
    rows = [row for row, text in enumerate(sample.texts) if text][:_COMPARED]
    if not rows or not _embeds_texts(encoder):
        return
    made = encoder.embed([sample.texts[row] for row in rows], show_progress=False)
    stored = sample.vectors[rows]
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(stored, axis=1)
    cosine = float(np.median((made * stored).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)))
    shown = f"{encoder.model_name} makes other vectors of the texts in {', '.join(target.source.text)} than those in"
    if cosine < _RELATED:
        raise ModelMismatchError(
            f"{shown} {target.name!r}: their cosine is {cosine:.2f}, not 1; give the model that made them"
        )
    if cosine < _SAME:
        _LOG.warning(
            "%s %r: their cosine is %.2f, not 1. That is right if they were made of other texts, or of more",
            shown,
            target.name,
            cosine,
        )


def base_encoder(target: Adoptable) -> FeatureGroupEncoder:
    """Encoder without a model: it learns from the vectors that are there, and embeds no text."""
    from fg_search.model.encoder import FeatureGroupEncoder  # imports torch

    return FeatureGroupEncoder(BroughtVectors(target.dimension, target.source.vector or target.name))


def part_of(sample: Sample, most: int, seed: int) -> Sample:
    """Part of a sample, drawn at random if it has more than ``most`` points."""
    count = len(sample.vectors)
    if count <= most:
        return sample
    rows = np.random.default_rng(seed).choice(count, most, replace=False).tolist()
    return replace(
        sample,
        vectors=sample.vectors[rows],
        texts=[sample.texts[row] for row in rows],
        labels=[sample.labels[row] for row in rows],
        attributes={path: [values[row] for row in rows] for path, values in sample.attributes.items()},
    )


def fit_on(encoder: FeatureGroupEncoder, sample: Sample, seed: int) -> FeatureGroupEncoder:
    """Train the head of an encoder on a sample: on its labels or attributes if it has any, otherwise on clusters.

    Raises:
        ValueError: If there are too few points.
    """
    pointing = np.flatnonzero(sample.vectors.any(axis=1)).tolist()  # zeros alone tell nothing
    rows = [row for row in pointing if sample.texts[row]]
    has_texts = 2 * len(rows) > len(pointing)
    if not has_texts:
        rows = pointing
    labels = [sample.labels[row] for row in rows]
    attributes = {name: [values[row] for row in rows] for name, values in sample.attributes.items()}
    return encoder.fit(
        [sample.texts[row] for row in rows] if has_texts and _embeds_texts(encoder) else (),
        labels=labels if len(set(labels) - {None}) >= _FEWEST else None,
        attributes=attributes or None,
        vectors=sample.vectors[rows],
        seed=seed,
        show_progress=False,
    )


def _embeds_texts(encoder: FeatureGroupEncoder) -> bool:
    """Whether there is a model that embeds texts."""
    return not isinstance(encoder.embedder, BroughtVectors) or encoder.embedder.embedder is not None
