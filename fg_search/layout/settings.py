"""Settings of an index: number types, placement, tenants and the layout on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

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
        replicas: Number of copies of each shard. By default the server decides.
        write_consistency: Number of copies that must have a write before it is acknowledged. By default the server
            decides.
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
