"""Settings of an index: number types, placement, tenants and the layout on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from fg_search.engine.consistency import Consistency, Ordering
from fg_search.layout.filterable import check_filterable
from fg_search.layout.keys import PAYLOAD_KEY

BaseVectors = Literal["float32", "float16", "none"]
Quantization = Literal["none", "scalar", "binary"]

DEFAULT_COLLECTION = "fg_search"


@dataclass(frozen=True)
class IndexSettings:
    """Layout of a new index. It cannot be changed later, but an index can be copied into one with other settings.

    Attributes:
        base_vectors: Number type of the stored base embeddings. ``"none"`` leaves them out; such an index ranks by
            features alone.
        quantization: Quantization of the base embeddings, for search on a server or after ``EdgeClient.optimize``:
            ``"none"``, ``"scalar"`` (int8, a quarter of the memory) or ``"binary"`` (one bit per number).
        on_disk: Keep base embeddings on disk instead of in memory.
        tenant_key: Payload key of the tenant that owns an item. Every operation then needs a tenant
            (:meth:`ConfidenceIndex.tenant`) and sees that tenant's items alone.
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
    tenant_key: str | None = None
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None
    ordering: Ordering | None = None
    consistency: Consistency | None = None
    filterable: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, choices in (("base_vectors", BaseVectors), ("quantization", Quantization)):
            if getattr(self, name) not in get_args(choices):
                known = ", ".join(map(repr, get_args(choices)))
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if self.base_vectors == "none" and (self.quantization != "none" or self.on_disk):
            raise ValueError("quantization and on_disk concern base vectors, which base_vectors='none' leaves out")
        if self.tenant_key is not None and (
            not self.tenant_key or self.tenant_key == PAYLOAD_KEY or set(self.tenant_key) & set('."[]')
        ):
            raise ValueError(f"tenant_key must be a plain top-level key other than {PAYLOAD_KEY!r}")
        object.__setattr__(self, "filterable", check_filterable(self.filterable))
        for name in ("shards", "replicas", "write_consistency"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
        if self.ordering not in (None, *get_args(Ordering)):
            known = ", ".join(map(repr, get_args(Ordering)))
            raise ValueError(f"ordering must be one of {known}, got {self.ordering!r}")
        _check_consistency(self.consistency)
        if self.replicas is not None and self.write_consistency is None:
            object.__setattr__(self, "write_consistency", max(1, min(self.replicas - 1, self.replicas // 2 + 1)))

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
        return replace(self, shards=None, replicas=None, write_consistency=None, ordering=None, consistency=None)


def _check_consistency(chosen: object) -> None:
    is_number = isinstance(chosen, int) and not isinstance(chosen, bool) and chosen >= 1
    if not is_number and chosen not in (None, "majority", "quorum", "all"):
        raise ValueError(f"consistency must be 'majority', 'quorum', 'all' or a number of copies, got {chosen!r}")
