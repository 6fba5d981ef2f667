"""*Synthetic preview* of the tab *Train*: a pair as the run would learn from, put into the scene by one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib import mrml
from RobustDIRLib.io.files import write_json
from RobustDIRLib.panelparts import deformations, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.launching import library_command
from RobustDIRLib.trainpanel import case_scene, plan_refusals, plan_settings
from RobustDIRLib.trainpanel.plan import PRETRAIN, Plan

_GRID_SHARE = 16  # lines of the deformation grid along a side
_LEAST_SPACING = 2.0  # mm


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
        """One pair at a time; it is called what it is."""
        self.ui.syntheticButton.enabled = self.panel.environment.state.ready and not self.busy
        synthetic = self._tab.plan.purpose == PRETRAIN
        self.ui.syntheticButton.text = _("S&ynthetic preview") if synthetic else _("Preview of a pair to learn from")

    def make(self) -> None:
        """Make a pair in a process of its own."""
        if self.busy:
            return
        with self.panel.telling():
            plan = self._tab.plan
            title = _("Synthetic") if plan.purpose == PRETRAIN else _("Preview")
            settings = self._settings(plan)
            folder = self._making.new_folder(Path(slicer.app.temporaryPath))
            write_json(folder / plan_settings.SETTINGS, settings)
            words = ["--output", str(folder / "pair"), "--config", str(folder / plan_settings.SETTINGS), "--hand-over"]
            self._loading = case_scene.CaseLoading(folder / "pair", title)
            self.panel.say(_("Making a pair …"), widgets.QUIET)
            self._making.start(iter(()), library_command(*self._words(plan, words)), self._loading.steps_to_views())
            self._clicks += 1
        self.update()

    def _settings(self, plan: Plan) -> dict[str, Any]:
        """Of what makes pairs; what cannot be run has no pairs either."""
        if plan.purpose == PRETRAIN:
            plan_refusals.refuse_side(plan)
            return plan_settings.synthesis_settings(plan)
        opened, shared = self._tab.data
        plan_refusals.refuse(plan, opened, shared)
        return plan_settings.finetune_settings(plan, opened, shared)

    def _words(self, plan: Plan, words: list[str]) -> list[str]:
        if plan.purpose == PRETRAIN:
            return ["synthesize", *words, "--seed", str(plan.seed + self._clicks)]
        return ["finetune", *words, str(self._clicks)]

    def _made(self, _events: list[dict[str, Any]], problem: str) -> None:
        nodes = self._loading.nodes if self._loading is not None else None
        self.panel.say(problem)
        if not problem and nodes is not None:
            if nodes.transform is not None:
                _show_deformation(nodes)
            for note in nodes.said.get("notes", ()):
                self.panel.say(_("In the views: {pair}.").format(pair=note), widgets.QUIET)
        self.panel.update_soon()

    def scene_closes(self) -> None:
        """The pair has no place any more."""
        if self.busy:
            self._making.stop()
            self.panel.say(_("The scene was closed before the pair was made."), widgets.QUIET)

    def close(self) -> None:
        """Nothing may run on."""
        self._making.stop()


def _show_deformation(nodes: case_scene.CaseNodes) -> None:
    fixed = nodes.volumes["fixed"]
    grid = mrml.grid_of_volume(fixed)
    side = max(n * s for n, s in zip(grid.size, grid.spacing, strict=True))
    deformations.show(
        nodes.transform, deformations.GRID, region=fixed, spacing=max(_LEAST_SPACING, side / _GRID_SHARE), slices=True,
        in_3d=False, coloured=True,
    )  # fmt: skip
    nodes.transform.GetDisplayNode().SetSaveWithScene(False)
