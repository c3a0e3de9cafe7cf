"""Nodes of a cluster, which show changes of aliases late."""

from __future__ import annotations

from collections.abc import Mapping


class SimulatedCluster:
    """What each node shows of the aliases.

    A node knows what it was itself asked to change, and all that came before that. Of what others change it learns as
    late as can be: when one of them waits for all nodes.
    """

    def __init__(self) -> None:
        self._nodes: set[int] = set()
        self._shown: dict[int, Mapping[str, str]] = {}  # by the nodes that are behind

    def join(self, node: int) -> None:
        """A node is there."""
        self._nodes.add(node)

    def aliases(self, node: int, now: Mapping[str, str]) -> Mapping[str, str]:
        """Aliases that a node shows."""
        return self._shown.get(node, now)

    def change(self, node: int, before: Mapping[str, str]) -> None:
        """A node is about to change aliases, which the others do not show yet."""
        self._shown.pop(node, None)
        for other in self._nodes - {node}:
            self._shown.setdefault(other, dict(before))

    def wait_for_all(self) -> None:
        """All nodes show everything."""
        self._shown.clear()
