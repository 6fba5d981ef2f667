"""Inputs: which volumes, masks and landmarks; parameter sets, swapping, and sample data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from RobustDIRLib.panel import inputs, sample
from RobustDIRLib.panelparts import environment, widgets
from RobustDIRLib.panelparts.background import Background
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.panelparts.words import _

_SWAPPED = ("Volume", "Mask", "MaskSegment", "Landmarks", "Segmentation")
_MODULE = "RobustDIR"


class InputsSection(Section):
    """What is registered."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.masks = {
            side: widgets.Choice(getattr(self.ui, f"{side}MaskSegment"), {}, self._chooser(f"{side}MaskSegment"))
            for side in ("fixed", "moving")
        }
        self.ui.swapButton.connect("clicked()", self.swap)
        self.ui.sampleButton.connect("clicked()", self.load_sample)
        selector = self.ui.parameterSetSelector
        selector.addAttribute("vtkMRMLScriptedModuleNode", "ModuleName", _MODULE)
        self.ui.newSetButton.connect("clicked()", self.panel.use_new)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self._set_chosen)
        self._background = Background(self._sample_made)
        self._sample_folder: Path | None = None
        self._sample_set = ""  # of the parameter set that it is for

    def _chooser(self, name: str) -> Any:
        def choose(key: str) -> None:
            setattr(self.parameters, name, key)

        return choose

    def parameters_changed(self) -> None:
        """Show which set it is."""
        self.ui.parameterSetSelector.setCurrentNode(self.parameters.parameterNode)

    def _set_chosen(self, node: Any) -> None:
        if node is None or self.parameters is None or node is self.parameters.parameterNode:
            return
        if node.GetAttribute("ModuleName") == _MODULE:
            self.panel.use(node)

    def update(self) -> None:
        """The segments of the masks, and what can be clicked."""
        for side, choice in self.masks.items():
            node = getattr(self.parameters, f"{side}Mask")
            names = inputs.segments(node)
            choice.set_options(names)
            choice.show(inputs.segment_of(node, getattr(self.parameters, f"{side}MaskSegment")) or "")
            choice.combo.setVisible(node is not None)
        widgets.set_text(self.ui.maskLabel, inputs.of_masks(self.parameters), widgets.CAREFUL)
        running = self.panel.run.run is not None
        self.ui.swapButton.enabled = not running
        self.ui.sampleButton.enabled = not self._background.busy
        self.ui.sampleButton.text = _("Making sample data …") if self._background.busy else _("Load &sample data")

    def swap(self) -> None:
        """Exchange fixed and moving, with all that belongs to them."""
        p = self.parameters
        with slicer.util.NodeModify(p.parameterNode):
            for what in _SWAPPED:
                first, second = getattr(p, f"fixed{what}"), getattr(p, f"moving{what}")
                setattr(p, f"fixed{what}", second)
                setattr(p, f"moving{what}", first)
        self.panel.update()

    def load_sample(self) -> None:
        """Make the demo's pair in a process of its own, then load it."""
        if not self.panel.environment.state.ready:
            self.panel.say(_("Some Python packages are missing; see the top of this panel."))
            return
        if not self.panel.environment.provide(environment.SAMPLE_REQUIREMENTS):
            return
        with self.panel.telling():
            self._sample_folder = sample.place(self._background)
            self._sample_set = self.parameters.parameterNode.GetID()
            self._background.start(iter(()), sample.command(self._sample_folder))
            self.panel.say(_("Making a brain pair with a known deformation …"), widgets.QUIET)
        self.panel.update()

    def _sample_made(self, events: list[dict[str, Any]], problem: str) -> None:
        if problem:
            self.panel.say(problem)
        elif self._sample_folder is not None and self.parameters is not None:
            with self.panel.telling():
                there = slicer.mrmlScene.GetNodeByID(self._sample_set) is not None
                chosen = self.panel.parameters_of(self._sample_set) if there else self.parameters
                for name, node in sample.load(self._sample_folder).items():
                    setattr(chosen, name, node)
                self.panel.say(_("Sample data loaded. Click Register."), widgets.GOOD)
        self.panel.update()

    def scene_closes(self) -> None:
        """Nothing is to be loaded into a closed scene."""
        self._background.stop()

    def close(self) -> None:
        """Nothing may run on."""
        self._background.stop()
