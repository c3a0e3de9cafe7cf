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
        began: Step at which the operation began.
        ended: Step at which it was acknowledged. Infinity if it was not: it may have come to pass or not.
    """

    register: Register
    value: Hashable
    began: float
    ended: float = math.inf


def standing(writes: Iterable[Write], since: float = math.inf) -> list[Write]:
    """Writes to one register that no other has replaced for certain by some moment: one that began after they ended."""
    known = list(writes)
    replacing = [write.began for write in known if write.ended < since]
    return [write for write in known if not any(began > write.ended for began in replacing)]


def broken(
    initial: Mapping[Register, Hashable], writes: Iterable[Write], found: Mapping[Register, Hashable]
) -> list[str]:
    """Sentences about the registers whose value no standing write explains. Registers that are not there are gone."""
    known = list(writes)
    sentences = []
    for register in sorted({*initial, *found, *(write.register for write in known)}):
        first = Write(register, initial.get(register, GONE), -math.inf, -math.inf)
        possible = [write.value for write in standing([first, *(w for w in known if w.register == register)])]
        value = found.get(register, GONE)
        if value not in possible:
            sentences.append(f"{' of '.join(register)} is {value!r}, not {' or '.join(map(repr, possible))}")
    return sentences
