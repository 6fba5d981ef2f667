"""Nodes watched for any change, as their own time of change does not tell all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from RobustDIRLib.mrml.nodes import Node


class NodeWatch:
    """Watches some nodes at a time.

    Args:
        changed: Called whenever anything happens to one of them.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._tags: list[tuple[Node, int]] = []

    def on(self, nodes: Iterable[Node | None]) -> None:
        """Watch these, and no others; None is passed over."""
        wanted = list({id(node): node for node in nodes if node is not None}.values())
        if [id(node) for node, _ in self._tags] == [id(node) for node in wanted]:
            return
        self.off()
        self._tags = [(node, node.AddObserver("AnyEvent", self._tell)) for node in wanted]

    def off(self) -> None:
        """Watch nothing."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []

    def _tell(self, *_: object) -> None:
        self._changed()
