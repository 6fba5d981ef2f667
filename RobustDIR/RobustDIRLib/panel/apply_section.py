"""Apply to: registered copies of what else belongs to the two volumes, and taking them back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from RobustDIRLib.mrml.nodes import ShownNode
from RobustDIRLib.panel import applying
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _

_NOTHING = _("Register first, with the transform ticked.")
_POLL_MILLISECONDS, _TICK_SECONDS = 30, 0.05
_FIRST_SECONDS = 0.2  # what is done by then needs no word of waiting


class ApplySection(Section):
    """The transform applied to other data."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.applied = applying.Applied()
        self._steps: Iterator[float] | None = None
        self._timer = widgets.timer(_POLL_MILLISECONDS, self._go_on)
        self.side = widgets.Choice(self.ui.applySideSelector, applying.SIDES, lambda _: self.panel.update())
        self.ui.applyButton.connect("clicked()", self.apply)
        self.ui.undoButton.connect("clicked()", self.undo)
        self.ui.applySelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _: self.panel.update_soon())
        widgets.set_text(self.ui.applyLabel, "")

    def update(self) -> None:
        """Buttons, and which volume is which."""
        fixed, moving = self._pair
        for side, node, other in ((applying.MOVING, moving, fixed), (applying.FIXED, fixed, moving)):
            if None not in (node, other):
                index = self.side.keys.index(side)
                named = _("{side} volume “{node}” (bring onto “{other}”)").format(
                    side=side.capitalize(), node=node.GetName(), other=other.GetName()
                )
                self.ui.applySideSelector.setItemText(index, named)
        transforms = self.parameters.transformNode, self.parameters.inverseNode
        there = any(node is not None for node in transforms)
        busy = self._steps is not None
        self.ui.applyButton.enabled = there and not busy and self.ui.applySelector.currentNode() is not None
        self.ui.undoButton.enabled = self.applied.can_undo and not busy
        if not there:
            widgets.set_text(self.ui.applyLabel, _NOTHING, widgets.QUIET)
        elif self.ui.applyLabel.text == _NOTHING:
            widgets.set_text(self.ui.applyLabel, "")

    @property
    def _pair(self) -> tuple[Any, Any]:
        """Fixed and moving volume of the transform: those of its run, whatever is selected now."""
        p, standing = self.parameters, self.panel.standing
        own = p.transformNode in (None, p.madeTransform) and p.inverseNode in (None, p.madeInverse)
        if standing.record and own:
            return standing.fixed, standing.moving
        return p.fixedVolume, p.movingVolume

    def apply(self) -> None:
        """Make a registered copy of the chosen node."""
        if self._steps is not None:
            return
        self.panel.update()
        p, side = self.parameters, self.side.key
        fixed, moving = self._pair
        reference = fixed if side == applying.MOVING else moving
        registration = applying.RegistrationNodes(p.transformNode, p.inverseNode, reference)
        self._steps = self._work(self.ui.applySelector.currentNode(), side, registration)
        self._timer.start()
        self._go_on(_FIRST_SECONDS)

    def _work(self, node: ShownNode | None, side: str, registration: applying.RegistrationNodes) -> Iterator[float]:
        copy = yield from self.applied.begin(node, side, registration)
        stale = self.panel.standing.sentence()
        colour = widgets.CAREFUL if stale else widgets.GOOD
        widgets.set_text(
            self.ui.applyLabel, _("Made “{copy}”. {stale}").format(copy=copy.GetName(), stale=stale).strip(), colour
        )

    def _go_on(self, seconds: float = _TICK_SECONDS) -> None:
        """Work for about so long."""
        until, more = time.monotonic() + seconds, False
        try:
            with self.panel.telling():
                for done in self._steps or ():
                    if more := time.monotonic() > until:
                        widgets.set_text(
                            self.ui.applyLabel, _("Resampling, {done:.0f} % …").format(done=100 * done), widgets.QUIET
                        )
                        break
        finally:
            if not more:
                self.stop()
            self.panel.update()

    def stop(self) -> None:
        """Work no more; a copy that is not complete is in no scene."""
        self._timer.stop()
        self._steps = None

    def undo(self) -> None:
        """Remove the last copy."""
        name = self.applied.undo()
        widgets.set_text(
            self.ui.applyLabel,
            _("Removed “{name}”.").format(name=name) if name else _("Nothing to undo."),
            widgets.QUIET,
        )
        self.panel.update()

    def scene_closes(self) -> None:
        """The copies go with the scene."""
        self.stop()
        self.applied.forget()
        widgets.set_text(self.ui.applyLabel, "")

    def close(self) -> None:
        """Nothing may run on."""
        self.stop()
