"""What the figures of structures rest on, and whether that still holds: segments by their names, volumes, transform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from RobustDIRLib.mrml.contents import Content
from RobustDIRLib.mrml.known_contents import KnownContents
from RobustDIRLib.mrml.nodes import PlacedNode
from RobustDIRLib.panel import inputs
from RobustDIRLib.panel.parameters import Parameters, kept_object

_NODES = ("fixedVolume", "movingVolume", "transformNode", "fixedSegmentation", "movingSegmentation")


class StructureOrigins:
    """Tells whether the last measurement of structures is of what is there now."""

    def __init__(self, known: KnownContents) -> None:
        self._known = known

    def begin(self, parameters: Parameters) -> tuple[dict[str, Any], Iterator[None]]:
        """The names of all segments and what the nodes hold, in steps of a few hundredths of a second.

        Returns:
            What is found, empty if a node lacks; it is all there once the iterator beside it has come to its end.
        """
        nodes = {name: getattr(parameters, name) for name in _NODES}
        if None in nodes.values():
            return {}, iter(())
        segments = {name: inputs.segments(node) if "Seg" in name else {} for name, node in nodes.items()}
        found: dict[str, Any] = {"names": {name: list(named.values()) for name, named in segments.items()}}
        return found, self._look_through(found, {name: (nodes[name], tuple(segments[name])) for name in nodes})

    def _look_through(
        self, found: dict[str, Any], nodes: Mapping[str, tuple[PlacedNode, tuple[str, ...]]]
    ) -> Iterator[None]:
        contents = {}
        for name, (node, segments) in nodes.items():
            content, steps = self._known.begin(node, segments)
            yield from steps
            contents[name] = content.to_json()
        found["contents"] = contents

    def now(self, parameters: Parameters) -> dict[str, Any]:
        """As `begin`, at once."""
        found, steps = self.begin(parameters)
        for _ in steps:
            pass
        return found

    def rows(self, parameters: Parameters) -> list[dict[str, Any]]:
        """Of the last measurement; none if what they rest on has changed."""
        kept = kept_object(parameters.structures)
        if not kept:
            return []
        now = self.now(parameters)
        try:
            same = kept["of"]["names"] == now.get("names") and all(
                Content.from_json(kept["of"]["contents"][name]).same(Content.from_json(content))
                for name, content in now["contents"].items()
            )
            return list(kept["rows"]) if same else []
        except (KeyError, TypeError, ValueError):
            return []
