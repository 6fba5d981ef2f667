"""A panel as a whole: its sections, the parameters they share, and what it says to the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from RobustDIRLib.errors import InputError
from RobustDIRLib.mrml.nodes import Node
from RobustDIRLib.panelparts import widgets
from RobustDIRLib.panelparts.environment_strip import EnvironmentStrip
from RobustDIRLib.panelparts.section import Section
from RobustDIRLib.runner.reasons import reason_of_mistake

_UPDATE_MILLISECONDS = 30


class BasePanel(VTKObservationMixin):  # type: ignore[misc]
    """What the panels of all modules do alike.

    Args:
        ui: The panel's widgets by name; one of them is `messageLabel`.
        logic: The module's: `parametersOf(node)` gives the wrapped parameters of a parameter node, or of the scene's
            first one for None; `addParameterNode()` makes one.
    """

    sections: Sequence[Section] = ()
    environment: EnvironmentStrip

    def __init__(self, ui: Any, logic: Any) -> None:
        VTKObservationMixin.__init__(self)
        self.ui, self._logic = ui, logic
        self.parameters: Any = None
        self._gui_tag: Any = None
        self._modified_tag: Any = None
        # Many changes come at once (a scene loads, nodes swap): one update serves them all.
        self._update_timer = widgets.timer(_UPDATE_MILLISECONDS, self.update)
        self._update_timer.setSingleShot(True)
        self._update_due = False

    def begin(self) -> None:
        """Follow the scene from now on, and work with its parameters."""
        scene = slicer.mrmlScene
        for event, act in (
            (scene.StartCloseEvent, self._scene_closes),
            (scene.EndCloseEvent, self._scene_closed),
            (scene.EndImportEvent, self._scene_imported),
            (scene.NodeRemovedEvent, self._node_removed),
        ):
            self.addObserver(scene, event, act)
        self.use(None)

    def enter(self) -> None:
        """The user came to the module: packages may have been installed meanwhile."""
        if self.parameters is None:
            self.use(None)
        self.environment.entered()

    def _scene_closes(self, _caller: object, _event: object) -> None:
        self.scene_closes()

    def _scene_closed(self, _caller: object, _event: object) -> None:
        self.use(None)

    def _scene_imported(self, _caller: object, _event: object) -> None:
        self.scene_imported()

    @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator]
    def _node_removed(self, _caller: object, _event: object, node: Node) -> None:
        self.node_removed(node)

    def use(self, node: Node | None) -> None:
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
        """Put right what loading a scene does not bring back."""

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

    def close(self) -> None:
        """The panel goes for good: nothing of it may run on."""
        self.removeObservers()
        self._update_timer.stop()
        for section in self.sections:
            section.close()
        self.release()

    def scene_closes(self) -> None:
        """The scene is about to be emptied."""
        for section in self.sections:
            section.scene_closes()
        self.release()

    def scene_imported(self) -> None:
        """Nodes were loaded: a set that came with them takes the place of one that nobody has used yet."""
        own = self.parameters.parameterNode if self.parameters is not None else None
        others = [node for node in self._logic.getAllParameterNodes() if node is not own]
        if own is None or own.GetScene() is None:
            self.use(None)
        elif others and self._is_blank():
            self.use(others[-1])
            slicer.mrmlScene.RemoveNode(own)
        else:
            self._restore()
        self.update_soon()

    def _is_blank(self) -> bool:
        """Whether nothing was ever chosen in the parameter set."""
        return False

    def node_removed(self, node: Node) -> None:
        """A node has left the scene."""
        for section in self.sections:
            section.node_removed(node)
        if self.parameters is not None and node is self.parameters.parameterNode:
            self.use(None)
        self.update_soon()

    def update(self) -> None:
        """Let every section show what is."""
        self._update_timer.stop()
        self._update_due = False
        if self.parameters is None:
            return
        self._look()
        for section in self.sections:
            section.update()

    def _look(self) -> None:
        """Find out what all sections ask for before they show anything."""

    def update_soon(self) -> None:
        """Update once what is going on now is over, and while it goes on: a slider that is dragged is followed."""
        if not self._update_due:
            self._update_due = True
            self._update_timer.start()

    def _modified(self, *_: object) -> None:
        self.update_soon()

    def say(self, sentence: str, colour: str = widgets.BAD) -> None:
        """One sentence where nothing hides it."""
        widgets.set_text(self.ui.messageLabel, sentence, colour)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within it, bad input becomes the panel's sentence; so does a mistake of ours, which goes on to the log."""
        try:
            yield
        except InputError as error:
            self.say(str(error).replace("`", ""))  # Python's names for arguments are marked by it
        except Exception as error:
            self.say(reason_of_mistake(error))
            raise
