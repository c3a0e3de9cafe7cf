"""What is promised of writes, as a model of registers: each has the value of a write that no later one has replaced."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

GONE = "gone"
Register: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Write:
    """A write to a register.

    Attributes:
        register: The register.
        value: What was written.
        began: First step of the operation.
        ended: First step after its last one. Nothing comes to pass from then on.
        is_certain: Whether it was acknowledged. Otherwise it may have come to pass or not.
    """

    register: Register
    value: Hashable
    began: float
    ended: float = math.inf
    is_certain: bool = False


def standing(writes: Iterable[Write]) -> list[Write]:
    """Writes to one register that no other has replaced: none that is certain and began when they had ended."""
    known = list(writes)
    replacing = [write.began for write in known if write.is_certain]
    return [write for write in known if not any(began >= write.ended for began in replacing)]


def broken(
    initial: Mapping[Register, Hashable], writes: Iterable[Write], found: Mapping[Register, Hashable]
) -> list[str]:
    """Sentences about the registers whose value no standing write explains. Registers that are not there are gone."""
    known = list(writes)
    sentences = []
    for register in sorted({*initial, *found, *(write.register for write in known)}):
        first = Write(register, initial.get(register, GONE), -math.inf, -math.inf)
        candidates = standing([first, *(write for write in known if write.register == register)])
        possible = list(dict.fromkeys(write.value for write in candidates))
        value = found.get(register, GONE)
        if value not in possible:
            sentences.append(f"{' of '.join(register)} is {value!r}, not {' or '.join(map(repr, possible))}")
    return sentences
