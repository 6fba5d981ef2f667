"""The panel as a whole: its sections, the parameters they share, and what they say to the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qt
import slicer

from RobustDIRLib import mrml
from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import widgets
from RobustDIRLib.panel.apply_section import ApplySection
from RobustDIRLib.panel.check_section import CheckSection
from RobustDIRLib.panel.environment_strip import EnvironmentStrip
from RobustDIRLib.panel.inputs_section import InputsSection
from RobustDIRLib.panel.look_section import LookSection
from RobustDIRLib.panel.method_section import MethodSection
from RobustDIRLib.panel.origins import INPUTS, OUTPUTS, Origins, Standing, note_choices
from RobustDIRLib.panel.run_section import RunSection
from RobustDIRLib.panel.watching import Watch
from RobustDIRLib.panel.workplaces import purge
from RobustDIRLib.runner.reasons import reason_of_mistake

_UPDATE_MILLISECONDS = 30
_WATCHED = (
    *(name for kept in (INPUTS, OUTPUTS) for own, (reference, _) in kept.items() for name in (own, reference)),
    "fixedLandmarks", "movingLandmarks", "fixedSegmentation", "movingSegmentation",
)  # fmt: skip


class Panel:
    """All sections.

    Args:
        ui: The panel's widgets by name.
        logic: The module's: `parametersOf(node)` gives the wrapped parameters of a parameter node, or of the scene's
            first one for None; `addParameterNode()` makes one.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        purge(Path(slicer.app.temporaryPath))
        self.ui, self._logic = ui, logic
        self.parameters: Any = None
        self.origins, self.standing = Origins(), Standing()
        self._watch = Watch(self.update_soon)
        self._gui_tag: Any = None
        self._modified_tag: Any = None
        self.environment = EnvironmentStrip(self)
        self.inputs = InputsSection(self)
        self.method = MethodSection(self)
        self.run = RunSection(self)
        self.look = LookSection(self)
        self.check = CheckSection(self)
        self.apply = ApplySection(self)
        self.sections = (
            self.environment, self.inputs, self.method, self.run, self.look, self.check, self.apply
        )  # fmt: skip
        # Many changes come at once (a scene loads, nodes swap): one update serves them all.
        self._update_timer = qt.QTimer()
        self._update_timer.setSingleShot(True)
        self._update_timer.setInterval(_UPDATE_MILLISECONDS)
        self._update_timer.connect("timeout()", self.update)

    def use(self, node: Any) -> None:
        """Work with a parameter node, or with the scene's own for None."""
        self.release()
        self.parameters = self._logic.parametersOf(node)
        self._gui_tag = self.parameters.connectGui(self.ui)
        self._modified_tag = self.parameters.parameterNode.AddObserver("ModifiedEvent", self._modified)
        self._restore()
        for section in self.sections:
            section.parameters_changed()
        self.update()

    def _restore(self) -> None:
        """What loading a scene does not bring back: our transforms are linear between their voxels."""
        for node in (self.parameters.madeTransform, self.parameters.madeInverse):
            if node is not None:
                mrml.interpolate_linearly(node)

    def use_new(self) -> None:
        """Work with a new, empty set of parameters."""
        self.use(self._logic.addParameterNode())

    def parameters_of(self, node_id: str) -> Any:
        """The wrapped parameters of a parameter node, which need not be the one worked with."""
        return self._logic.parametersOf(slicer.mrmlScene.GetNodeByID(node_id))

    def release(self) -> None:
        """Let go of the parameter node."""
        if self.parameters is None:
            return
        self.parameters.disconnectGui(self._gui_tag)
        self.parameters.parameterNode.RemoveObserver(self._modified_tag)
        self.parameters = self._gui_tag = self._modified_tag = None
        self._watch.off()

    def close(self) -> None:
        """The panel goes for good: nothing of it may run on."""
        self._update_timer.stop()
        for section in self.sections:
            section.close()
        self.release()

    def scene_closes(self) -> None:
        """The scene is about to be emptied."""
        for section in self.sections:
            section.scene_closes()
        self.release()
        self.origins.forget()

    def scene_imported(self) -> None:
        """Nodes were loaded: a set that came with them takes the place of one that nobody has used yet."""
        own = self.parameters.parameterNode if self.parameters is not None else None
        others = [node for node in self._logic.getAllParameterNodes() if node is not own]
        if own is None or own.GetScene() is None:
            self.use(None)
        elif others and _is_blank(self.parameters):
            self.use(others[-1])
            slicer.mrmlScene.RemoveNode(own)
        else:
            self._restore()
        self.update_soon()

    def node_removed(self, node: Any) -> None:
        """A node has left the scene."""
        for section in self.sections:
            section.node_removed(node)
        if self.parameters is not None and node is self.parameters.parameterNode:
            self.use(None)
        self.update_soon()

    def update(self) -> None:
        """Let every section show what is."""
        self._update_timer.stop()
        if self.parameters is None:
            return
        self._look()
        for section in self.sections:
            section.update()

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

    def update_soon(self) -> None:
        """Update once what is going on now is over."""
        self._update_timer.start()

    def _modified(self, *_: Any) -> None:
        self.update_soon()

    def say(self, sentence: str, colour: str = widgets.BAD) -> None:
        """One sentence under the Register button; nothing hides it."""
        widgets.set_text(self.ui.messageLabel, sentence, colour)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within it, bad input becomes the panel's sentence; so does a mistake of ours, which goes on to the log."""
        try:
            yield
        except InputError as error:
            self.say(str(error))
        except Exception as error:
            self.say(reason_of_mistake(error))
            raise


def _is_blank(parameters: Any) -> bool:
    """Whether nothing was ever chosen in a parameter set."""
    nodes = ("fixedVolume", "movingVolume", "transformNode", "warpedNode", "fixedLandmarks", "movingLandmarks")
    return all(getattr(parameters, name) is None for name in nodes) and not parameters.record
