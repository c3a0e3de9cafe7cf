"""Plan of an adoption: what it would do and cost, found out without writing anything."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdrant_client import models

from fg_search.engine.port import Engine
from fg_search.index.adoption.checks import Adoptable
from fg_search.index.adoption.sample import Sample
from fg_search.index.encoders import metadata_of
from fg_search.layout.conditions import is_empty
from fg_search.layout.keys import MODEL_KEY
from fg_search.layout.points import described_features

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_TIMED = 1000  # points
_NUMBER_BYTES = 8  # of an entry of a sparse vector: a column and a value
_OTHER_BYTES = 60  # of our part of a payload beside what the features say: digest and label


@dataclass(frozen=True)
class AdoptionPlan:
    """What adopting a collection would do, and what it would cost.

    Attributes:
        collection: Name of the collection.
        vector: Name of its vector that is taken for the base embedding, ``""`` for the unnamed one.
        features: Name of the vector that it would get.
        dimension: Dimension of the base embedding.
        points: Number of points.
        left: Number of them that would get features; the others have them from an adoption that was interrupted.
        sampled: Number of points that the following numbers are of, drawn at random if there are more.
        labelled: Number of those that have a label.
        labels: Number of different labels.
        odd_labels: Number with something else than a label at its path.
        without_text: Number without a text.
        without_vector: Number of points without the vector that were met; they are left alone.
        bytes_per_point: Estimated size of what a point gets.
        seconds: Estimated seconds of computing, without the time that the engine takes.
    """

    collection: str
    vector: str
    features: str
    dimension: int
    points: int
    left: int
    sampled: int
    labelled: int
    labels: int
    odd_labels: int
    without_text: int
    without_vector: int
    bytes_per_point: int
    seconds: float

    @property
    def bytes(self) -> int:
        """Estimated size of all that would be written."""
        return self.left * self.bytes_per_point


async def plan(engine: Engine, target: Adoptable, sample: Sample, encoder: FeatureGroupEncoder) -> AdoptionPlan:
    """Estimate what adopting a collection with an encoder would cost.

    Args:
        engine: Engine of the collection.
        target: The collection.
        sample: Sample of its points.
        encoder: Encoder with a trained head. That of another training would cost the same.
    """
    points = await engine.count(target.points)
    left = points
    if target.adoption is not None:
        left = await engine.count(target.points, models.Filter(must=[is_empty(MODEL_KEY)]))
    size, seconds = await engine.work(lambda: _cost(encoder, sample))
    labelled = [label for label in sample.labels if label is not None]
    return AdoptionPlan(
        collection=target.name,
        vector=target.source.vector,
        features=target.source.features,
        dimension=target.dimension,
        points=points,
        left=left,
        sampled=len(sample.vectors),
        labelled=len(labelled),
        labels=len(set(labelled)),
        odd_labels=sample.odd_labels,
        without_text=sample.texts.count(""),
        without_vector=sample.without_vector,
        bytes_per_point=size,
        seconds=round(seconds * left, 1),
    )


def _cost(encoder: FeatureGroupEncoder, sample: Sample) -> tuple[int, float]:
    """Bytes and seconds of a point."""
    base = sample.vectors[:_TIMED]
    if not len(base):
        return 0, 0.0
    metadata = metadata_of(encoder)
    begin = time.perf_counter()
    described = list(described_features(encoder.features(base), metadata))
    seconds = (time.perf_counter() - begin) / len(base)
    size = sum(
        _NUMBER_BYTES * len(vector.indices) + len(json.dumps(features)) + _OTHER_BYTES for vector, features in described
    )
    return round(size / len(base)), seconds
