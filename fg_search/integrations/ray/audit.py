"""Whether an index has what data hold: counted slice by slice, looked up by id, and vectors compared by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from qdrant_client import models

from fg_search.engine.blocking import drive
from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.errors import StorageError
from fg_search.index.copies import OURS
from fg_search.index.state import IndexState
from fg_search.integrations.ray.contents import SHOWN, Contents
from fg_search.integrations.ray.encoders import SharedEncoder
from fg_search.integrations.ray.errors import as_raised
from fg_search.integrations.ray.pool import Pool
from fg_search.integrations.ray.slices import in_slice
from fg_search.integrations.ray.target import Target
from fg_search.integrations.ray.workers import FEW_CPUS
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, HASH_KEY, MODEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import described_features, features_of, id_of, payload_of, vectors_of

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_SAME = 0.99  # cosine of a vector and of what the encoder makes of the text now, on another device or in other batches


@dataclass(frozen=True)
class Audit:
    """What an index has of the items that data hold.

    Attributes:
        items: Number of different items in the data.
        missing: Number of them that the index lacks.
        changed: Number that it has with another text or payload.
        extra: Number of its items that the data lack.
        sampled: Number of items whose vectors were compared with those that the encoder makes now.
        other_vectors: Number of those that have others.
        slices: Number of slices that were counted.
        examples: Some of what is missing, changed, or has other vectors, with the place of its row.
    """

    items: int
    missing: int
    changed: int
    extra: int
    sampled: int
    other_vectors: int
    slices: int
    examples: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the index has every item as the data have it."""
        return not (self.missing or self.changed or self.other_vectors)

    @property
    def is_exact(self) -> bool:
        """Whether it also has no others."""
        return self.is_complete and not self.extra

    def check(self) -> None:
        """Raise unless the audit is complete.

        Raises:
            StorageError: If anything is missing, or other than in the data.
        """
        if not self.is_complete:
            advice = "somebody else may write to the index; add the data again, only what differs is written"
            raise StorageError("\n  ".join([f"{self}: {advice}", *self.examples]))

    def __str__(self) -> str:
        return (
            f"{self.items:,} items in the data: {self.missing:,} missing, {self.changed:,} other than there, "
            f"{self.extra:,} more in the index ({self.slices} slices); {self.other_vectors:,} of {self.sampled:,} "
            "sampled have other vectors"
        )


def audit(
    target: Target, contents: Contents, encoder: SharedEncoder, pool: Pool, sampled: int, *, from_base: bool
) -> Audit:
    """Compare an index with what data hold.

    Args:
        target: The index.
        contents: What the data hold.
        encoder: Its encoder.
        pool: Workers, one of which encodes the sample.
        sampled: Number of items whose vectors are compared.
        from_base: Base embeddings were brought along. Those that the index keeps say what the features are to be.
    """
    total = len(contents.slices)
    look = ray.remote(_of_slice).options(num_cpus=FEW_CPUS)
    with as_raised():
        found: list[dict[str, Any]] = ray.get(
            [look.remote(target, total, one.index, one.items) for one in contents.slices]
        )
        sample = contents.sample(sampled) if not from_base or _has_base(target) else []
        compared = pool.each(_other_vectors, encoder, [(sample,)] if sample else [], target, from_base)
        others = [line for lines in compared if lines is not None for line in lines]
    examples = [line for one in found for line in one["examples"]] + others
    counts = {name: sum(one[name] for one in found) for name in ("missing", "changed", "extra")}
    return Audit(
        items=contents.count,
        **counts,
        sampled=len(sample),
        other_vectors=len(others),
        slices=total,
        examples=tuple(examples[:SHOWN]),
    )


def _of_slice(target: Target, total: int, index: int, items: pa.Table) -> dict[str, Any]:
    """What an index has of the items of a slice."""
    with target.state() as state:
        scope = state.scope_of_all(OURS, in_slice(total, index))
        there = drive(state.engine.count(state.points, scope, copies="active"))
        missing = changed = 0
        examples: list[str] = []
        for page in pages(items.to_pylist()):
            stored = _stored(state, [row["point"] for row in page], [HASH_KEY, MODEL_KEY])
            for row in page:
                seen = stored.get(row["point"])
                if seen is None:
                    missing += 1
                    examples.append(f"{row['place']}: the item {row['id']} is missing")
                elif (features_of(seen)["hash"], features_of(seen)["model"]) != (
                    row["digest"],
                    state.metadata.fingerprint,
                ):
                    changed += 1
                    examples.append(f"{row['place']}: the item {row['id']} is another one in the index")
            del examples[SHOWN:]
    extra = there - (items.num_rows - missing)
    return {"missing": missing, "changed": changed, "extra": extra, "examples": examples}


def _stored(state: IndexState, points: Sequence[str], keys: Sequence[str], **options: Any) -> dict[str, models.Record]:
    ids: list[PointId] = [int(point) if point.isdecimal() else point for point in points]
    records = drive(
        state.engine.retrieve(
            state.points, ids, with_payload=keys, copies="active", tenant=state.chosen_tenant, **options
        )
    )
    return {str(id_of(record)): record for record in records if PAYLOAD_KEY in payload_of(record)}


def _has_base(target: Target) -> bool:
    with target.state() as state:
        return state.metadata.has_base


def _other_vectors(encoder: FeatureGroupEncoder, points: Sequence[str], target: Target, from_base: bool) -> list[str]:
    """Which of some points have other vectors than the encoder makes of their texts, or of their base embeddings."""
    with target.state() as state:
        names = [*([BASE_VECTOR] if state.metadata.has_base else []), FEATURES_VECTOR]
        stored = _stored(state, points, [PAYLOAD_KEY], with_vectors=names)
        records = [stored[point] for point in points if point in stored]
        if not records:
            return []
        state.check_encoder(encoder)
        if from_base:
            embeddings = encoder.features([vectors_of(record)[BASE_VECTOR] for record in records])
        else:
            texts = [features_of(record)["text"] for record in records]
            embeddings = encoder.encode(texts, role="document", show_progress=False, warn=False)
        described = described_features(embeddings, state.metadata)
        wrong = []
        for record, base, (features, _) in zip(records, embeddings.base, described, strict=True):
            vectors = vectors_of(record)
            cosines = [_cosine(_as_map(vectors[FEATURES_VECTOR]), _as_map(features))]
            if state.metadata.has_base:
                cosines.append(_cosine(dict(enumerate(vectors[BASE_VECTOR])), dict(enumerate(base.tolist()))))
            if min(cosines) < _SAME:
                wrong.append(
                    f"the item {features_of(record)['id']!r} has other vectors than the encoder makes now: cosine "
                    f"{min(cosines):.3f}"
                )
    return wrong


def _as_map(vector: models.SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices, vector.values, strict=True))


def _cosine(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    dot = sum(value * second.get(place, 0.0) for place, value in first.items())
    return dot / (math.hypot(*first.values()) * math.hypot(*second.values()))
