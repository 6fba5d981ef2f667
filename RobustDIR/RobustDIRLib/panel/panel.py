"""The panel as a whole: its sections, and how the results stand towards what is selected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib import mrml
from RobustDIRLib.panel.apply_section import ApplySection
from RobustDIRLib.panel.check_section import CheckSection
from RobustDIRLib.panel.inputs_section import InputsSection
from RobustDIRLib.panel.look_section import LookSection
from RobustDIRLib.panel.method_section import MethodSection
from RobustDIRLib.panel.origins import INPUTS, OUTPUTS, Origins, Standing, note_choices
from RobustDIRLib.panel.run_section import RunSection
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.environment_strip import EnvironmentStrip
from RobustDIRLib.panelparts.panel import BasePanel
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.watching import NodeWatch
from RobustDIRLib.panelparts.workplaces import purge

_WATCHED = (
    *(name for kept in (INPUTS, OUTPUTS) for own, (reference, _) in kept.items() for name in (own, reference)),
    "fixedLandmarks", "movingLandmarks", "fixedSegmentation", "movingSegmentation",
)  # fmt: skip
# By what the others call them, in the order in which they are made and updated.
SECTIONS: dict[str, Callable[[Any], Section]] = {
    "environment": EnvironmentStrip,
    "inputs": InputsSection,
    "method": MethodSection,
    "run": RunSection,
    "look": LookSection,
    "check": CheckSection,
    "apply": ApplySection,
}


class Panel(BasePanel):
    """All sections, each under its name of `SECTIONS`.

    Args:
        ui: The panel's widgets by name.
        logic: The module's; see `BasePanel`.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        purge(Path(slicer.app.temporaryPath))
        super().__init__(ui, logic)
        self.origins, self.standing = Origins(), Standing()
        self._watch = NodeWatch(self.update_soon)
        for name, section in SECTIONS.items():
            setattr(self, name, section(self))
        self.sections = tuple(getattr(self, name) for name in SECTIONS)

    def _restore(self) -> None:
        """What loading a scene does not bring back: our transforms are linear between their voxels."""
        for node in (self.parameters.madeTransform, self.parameters.madeInverse):
            if node is not None:
                mrml.interpolate_linearly(node)

    def release(self) -> None:
        """Let go of the parameter node."""
        super().release()
        self._watch.off()

    def scene_closes(self) -> None:
        """The scene is about to be emptied."""
        super().scene_closes()
        self.origins.forget()

    def _look(self) -> None:
        """Find out how the results stand towards what is selected now, and follow all that they rest on."""
        p = self.parameters
        self._watch.on(getattr(p, name) for name in _WATCHED)
        self.standing = self.origins.standing(p)
        note_choices(p, self.standing)

    def told_standing(self) -> tuple[str, str]:
        """Whose results are there, or why they are stale, and the colour for it."""
        if self.standing.stale:
            return self.standing.sentence(), widgets.CAREFUL
        return (f"{self.standing.title}." if self.standing.record else ""), widgets.QUIET

    def _is_blank(self) -> bool:
        p = self.parameters
        nodes = ("fixedVolume", "movingVolume", "transformNode", "warpedNode", "fixedLandmarks", "movingLandmarks")
        return all(getattr(p, name) is None for name in nodes) and not p.record
