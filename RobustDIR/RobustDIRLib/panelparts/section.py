"""What all parts of the panel have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from RobustDIRLib.mrml.nodes import Node


class Section:
    """One part of the panel; what a part has no use for it leaves as it is here."""

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.ui = panel.ui

    @property
    def parameters(self) -> Any:
        """Of the parameter set the panel works with; None while there is none."""
        return self.panel.parameters

    def chooser(self, name: str) -> Callable[[str], None]:
        """What takes a choice into a parameter."""

        def choose(key: str) -> None:
            if self.parameters is not None:
                setattr(self.parameters, name, key)

        return choose

    def parameters_changed(self) -> None:
        """Another parameter set is worked with."""

    def update(self) -> None:
        """Show what the parameters and the scene hold."""

    def scene_closes(self) -> None:
        """The scene is about to be emptied."""

    def node_removed(self, node: Node) -> None:
        """A node has left the scene."""

    def close(self) -> None:
        """The panel goes."""
