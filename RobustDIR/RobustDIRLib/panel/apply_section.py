"""Apply to: registered copies of what else belongs to the two volumes, and taking them back."""

from __future__ import annotations

from typing import Any

from RobustDIRLib.panel import applying, widgets
from RobustDIRLib.panel.section import Section


class ApplySection(Section):
    """The transform applied to other data."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.applied = applying.Applied()
        self.side = widgets.Choice(self.ui.applySideSelector, applying.SIDES, lambda _: self.panel.update())
        self.ui.applyButton.connect("clicked()", self.apply)
        self.ui.undoButton.connect("clicked()", self.undo)
        self.ui.applySelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _: self.panel.update_soon())
        widgets.set_text(self.ui.applyLabel, "")

    def update(self) -> None:
        """Buttons."""
        transforms = self.parameters.transformNode, self.parameters.inverseNode
        there = any(node is not None for node in transforms)
        self.ui.applyButton.enabled = there and self.ui.applySelector.currentNode() is not None
        self.ui.undoButton.enabled = self.applied.can_undo
        if not there:
            widgets.set_text(self.ui.applyLabel, "Register first, with the transform ticked.", widgets.QUIET)
        elif self.ui.applyLabel.text.startswith("Register first"):
            widgets.set_text(self.ui.applyLabel, "")

    def apply(self) -> None:
        """Make a registered copy of the chosen node."""
        p, side = self.parameters, self.side.key
        node = self.ui.applySelector.currentNode()
        with self.panel.telling():
            copy = self.applied.apply(
                node,
                side,
                transform=p.transformNode,
                inverse=p.inverseNode,
                reference=p.fixedVolume if side == applying.MOVING else p.movingVolume,
            )
            widgets.set_text(self.ui.applyLabel, f"Made “{copy.GetName()}”.", widgets.GOOD)
        self.panel.update()

    def undo(self) -> None:
        """Remove the last copy."""
        name = self.applied.undo()
        widgets.set_text(self.ui.applyLabel, f"Removed “{name}”." if name else "Nothing to undo.", widgets.QUIET)
        self.panel.update()

    def scene_closes(self) -> None:
        """The copies go with the scene."""
        self.applied.forget()
        widgets.set_text(self.ui.applyLabel, "")
