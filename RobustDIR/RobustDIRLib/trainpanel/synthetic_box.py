"""*Synthetic preview* of the tab *Train*: a pair as a pretraining would learn from, put into the scene by one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib.io.files import write_json
from RobustDIRLib.panelparts import deformations, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel import case_scene
from RobustDIRLib.trainpanel import plan as plans

_GRID_SHARE = 16  # lines of the deformation grid along a side


class SyntheticBox(Section):
    """Makes a pair by the form's settings, another one at every click."""

    def __init__(self, tab: Any) -> None:
        super().__init__(tab.panel)
        self._tab = tab
        self._clicks = 0
        self._loading: case_scene.CaseLoading | None = None
        self._making = Background(self._made)
        self.ui.syntheticButton.connect("clicked()", self.make)

    @property
    def busy(self) -> bool:
        """Whether a pair is being made."""
        return self._making.busy

    def update(self) -> None:
        """One pair at a time."""
        self.ui.syntheticButton.enabled = self.panel.environment.state.ready and not self.busy

    def make(self) -> None:
        """Make a pair in a process of its own."""
        if self.busy:
            return
        with self.panel.telling():
            plan = self._tab.plan
            plans.refuse_side(plan)
            folder = self._making.new_folder(Path(slicer.app.temporaryPath))
            write_json(folder / plans.SETTINGS, plans.synthesis_settings(plan))
            words = ["--output", str(folder / "pair"), "--config", str(folder / plans.SETTINGS), "--hand-over"]
            self._loading = case_scene.CaseLoading(folder / "pair", _("Synthetic"))
            command = library_command("synthesize", *words, "--seed", str(plan.seed + self._clicks))
            self._clicks += 1
            self.panel.say(_("Making a pair …"), widgets.QUIET)
            self._making.start(iter(()), command, self._loading.steps())
        self.update()

    def _made(self, _events: list[dict[str, Any]], problem: str) -> None:
        nodes = self._loading.nodes if self._loading is not None else None
        self.panel.say(problem)
        if not problem and nodes is not None:
            case_scene.show(nodes, labels=True)
            fixed = nodes.volumes["fixed"]
            spacing = max(2.0, max(fixed.GetImageData().GetDimensions()) / _GRID_SHARE)  # voxels of 1 mm
            deformations.show(
                nodes.transform, deformations.GRID, region=fixed, spacing=spacing, slices=True, in_3d=False,
                coloured=True,
            )  # fmt: skip
        self.panel.update_soon()

    def scene_closes(self) -> None:
        """The pair has no place any more."""
        self._making.stop()

    def close(self) -> None:
        """Nothing may run on."""
        self._making.stop()
