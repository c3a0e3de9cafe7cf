"""Settings of an index: number types, placement, tenants and the layout on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from fg_search.engine.consistency import Consistency, Ordering
from fg_search.layout.filterable import check_filterable
from fg_search.layout.keys import PAYLOAD_KEY

BaseVectors = Literal["float32", "float16", "none"]
FeatureVectors = Literal["float32", "float16", "uint8"]
Quantization = Literal["none", "scalar", "binary"]

DEFAULT_COLLECTION = "fg_search"

_CHOICES = {"base_vectors": BaseVectors, "feature_vectors": FeatureVectors, "quantization": Quantization}


@dataclass(frozen=True)
class IndexSettings:
    """Layout of a new index. It cannot be changed later, but an index can be copied into one with other settings.

    Attributes:
        base_vectors: Number type of the stored base embeddings. ``"none"`` leaves them out; such an index ranks by
            features alone.
        quantization: Quantization of the base embeddings, for search on a server or after ``EdgeClient.optimize``:
            ``"none"``, ``"scalar"`` (int8, a quarter of the memory) or ``"binary"`` (one bit per number).
        on_disk: Keep base embeddings on disk instead of in memory.
        feature_vectors: Number type of the features in the engine's index of them, on a server or after
            :meth:`ConfidenceIndex.optimize`: ``"float16"`` makes it half as large and changes scores by .0005 at most,
            ``"uint8"`` a third as large.
        features_on_disk: Keep the index of features on disk instead of in memory.
        tenant_key: Payload key of the tenant that owns an item. Every operation then needs a tenant
            (:meth:`ConfidenceIndex.tenant`) and sees that tenant's items alone.
        tenant_sharding: Keep each tenant's items in one shard of a cluster, so that searches of the tenant ask that one
            alone. Tenants share ``shards`` shards, by default one for each node; those that are listed here have one
            of their own. Elsewhere than on a cluster it changes nothing.
        payload_m: Number of links of an item in a graph of its tenant's items, which then takes the place of the graph
            of all items (``m=0`` and ``payload_m`` of Qdrant's HNSW index), for tenants with some ten thousand items or
            more and a ranking by base vectors. It is made on a server, or by ``EdgeClient.optimize``.
        shards: Number of shards on a cluster. By default the server decides.
        replicas: Number of copies of each shard. By default the server decides. Two survive the loss of a node.
        write_consistency: Number of copies that must have a write before it is acknowledged. By default one less than
            there are, and no more than most of them: 1 of 2, 2 of 3. With as many as there are, the loss of one node
            stops all writes.
        ordering: How writes are put into an order: ``"weak"``, ``"medium"`` or ``"strong"``. By default the server
            decides. Writes that depend on what is there, to shards with copies, are strong anyway.
        consistency: Copies that have to agree on what is read: ``"majority"``, ``"quorum"``, ``"all"`` or their number.
            By default one is asked, and more of them where something is decided by the answer.
        filterable: Kinds of the payload fields that the engine indexes, to filter and group by, such as
            ``{"category": "keyword", "price": "float"}``. A server in strict mode filters by no others. This setting
            alone may grow later (:meth:`ConfidenceIndex.make_filterable`).

    Raises:
        ValueError: If a value is out of range, or the values do not go together.
    """

    base_vectors: BaseVectors = "float32"
    quantization: Quantization = "none"
    on_disk: bool = False
    feature_vectors: FeatureVectors = "float32"
    features_on_disk: bool = False
    tenant_key: str | None = None
    tenant_sharding: bool | Sequence[str] = False
    payload_m: int | None = None
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None
    ordering: Ordering | None = None
    consistency: Consistency | None = None
    filterable: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                known = ", ".join(map(repr, get_args(choices)))
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if self.base_vectors == "none" and (self.quantization != "none" or self.on_disk):
            raise ValueError("quantization and on_disk concern base vectors, which base_vectors='none' leaves out")
        self._check_tenants()
        object.__setattr__(self, "filterable", check_filterable(self.filterable))
        for name in ("shards", "replicas", "write_consistency", "payload_m"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if self.ordering not in (None, *get_args(Ordering)):
            known = ", ".join(map(repr, get_args(Ordering)))
            raise ValueError(f"ordering must be one of {known}, got {self.ordering!r}")
        _check_consistency(self.consistency)
        if self.replicas is not None and self.write_consistency is None:
            object.__setattr__(self, "write_consistency", max(1, min(self.replicas - 1, self.replicas // 2 + 1)))

    def _check_tenants(self) -> None:
        key = self.tenant_key
        if key is not None and (not key or key == PAYLOAD_KEY or set(key) & set('."[]')):
            raise ValueError(f"tenant_key must be a plain top-level key other than {PAYLOAD_KEY!r}")
        object.__setattr__(self, "tenant_sharding", _checked_sharding(self.tenant_sharding))
        for name in ("tenant_sharding", "payload_m"):
            if getattr(self, name) not in (False, None) and key is None:
                raise ValueError(f"{name} is for an index with tenants; give tenant_key, too")
        if self.payload_m is not None and self.base_vectors == "none":
            raise ValueError("payload_m concerns base vectors, which base_vectors='none' leaves out")

    def check_copies(self) -> str | None:
        """Check that a new index can be written to, and say what happens to its writes when a node is lost.

        Returns:
            A warning if the loss of one node stops all writes although there are copies.

        Raises:
            ValueError: If more copies have to confirm a write than there are.
        """
        copies, confirming = self.replicas, self.write_consistency
        if copies is None or confirming is None:
            return None
        if confirming > copies:
            raise ValueError(
                f"write_consistency={confirming} is more than replicas={copies}: no more copies can confirm a write "
                "than there are"
            )
        if copies == 1 or confirming < copies:
            return None
        return (
            f"write_consistency={confirming} of {copies} copies: when one node is lost, every write is refused, and a "
            f"refused write stays on the copies that have it; with {copies - 1}, writing goes on"
        )

    def on_one_machine(self) -> IndexSettings:
        """The same settings without those that concern a cluster."""
        return replace(
            self,
            tenant_sharding=False,
            shards=None,
            replicas=None,
            write_consistency=None,
            ordering=None,
            consistency=None,
        )

    @property
    def shards_by(self) -> str | None:
        """Payload key by which items go to shards, ``None`` if they go by their ids."""
        return self.tenant_key if self.tenant_sharding else None

    @property
    def own_shards(self) -> tuple[str, ...]:
        """Tenants that have a shard of their own."""
        return () if isinstance(self.tenant_sharding, bool) else tuple(self.tenant_sharding)


def _checked_sharding(chosen: object) -> bool | tuple[str, ...]:
    """Whether tenants have shards, or the names of those that have one of their own.

    Raises:
        TypeError, ValueError: If it is neither.
    """
    if isinstance(chosen, bool):
        return chosen
    if not isinstance(chosen, (list, tuple)):
        raise TypeError(f"tenant_sharding must be True, False or a list of tenants, got {chosen!r}")
    for name in chosen:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a tenant is a non-empty string, got {name!r}")
    return tuple(dict.fromkeys(chosen)) or True


def _check_consistency(chosen: object) -> None:
    is_number = isinstance(chosen, int) and not isinstance(chosen, bool) and chosen >= 1
    if not is_number and chosen not in (None, "majority", "quorum", "all"):
        raise ValueError(f"consistency must be 'majority', 'quorum', 'all' or a number of copies, got {chosen!r}")
