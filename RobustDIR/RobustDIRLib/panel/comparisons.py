"""Fixed and warped volume laid over each other in the slice views, in the ways that show whether they agree."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import slicer
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.mrml.nodes import Node, VolumeNode, display_of
from RobustDIRLib.mrml.volumes import image_of
from RobustDIRLib.panel.boards import Checkerboard, seen_planes
from RobustDIRLib.panelparts import views
from RobustDIRLib.panelparts.words import _

OFF, BLEND, CHECKERBOARD, FLICKER = "off", "blend", "checkerboard", "flicker"
RED_CYAN, DIFFERENCE, JACOBIAN = "red-cyan", "difference", "jacobian"
MODES = {
    OFF: _("Off"),
    BLEND: _("Blend"),
    CHECKERBOARD: _("Checkerboard"),
    FLICKER: _("Flicker"),
    RED_CYAN: _("Red and cyan"),
    DIFFERENCE: _("Difference"),
    JACOBIAN: _("Jacobian map"),
}
FLICKER_MILLISECONDS = 500
_VIEW = "RobustDIR.View"
_LAY_SECONDS = 0.04
_CYAN = "vtkMRMLColorTableNodeCyan"
# Jacobian determinants from 0 to 2 in colours; what folds is none of them.
_FOLDING, _SHRINKS, _KEEPS, _GROWS = (1.0, 1.0, 0.0), (0.10, 0.25, 0.90), (0.85, 0.85, 0.85), (0.85, 0.10, 0.10)
_JACOBIAN_COLOURS = "RobustDIRJacobian"
_ENTRIES = 256


class ViewComparison:
    """What the Look section lays over each other; remembers what the views showed before it."""

    def __init__(self) -> None:
        self.mode = OFF
        self.before: views.Snapshot | None = None
        self._board: tuple[VolumeNode, Checkerboard] | None = None
        self._laying: Iterator[None] | None = None

    def show(
        self,
        mode: str,
        fixed: VolumeNode | None,
        warped: VolumeNode | None,
        jacobian: VolumeNode | None,
        blend: float,
    ) -> None:
        """Show one mode.

        Args:
            mode: One of `MODES`.
            fixed: Volume node.
            warped: Volume node on the fixed one's voxels; not needed by the Jacobian map.
            jacobian: Volume node; needed by the Jacobian map alone.
            blend: 0 to 1; opacity of what lies over the fixed volume, or size of the checkerboard's fields.
        Raises:
            InputError: If a volume that the mode needs is not there.
        """
        if mode == OFF:
            self.back()
            return
        fixed, laid_over = _needed(mode, fixed, warped, jacobian)
        self.remember()
        if mode != self.mode:
            self._leave_mode()
        self._board = None
        if mode == CHECKERBOARD:
            self._board = _board(fixed, laid_over)
            views.show(self._board[0])
            self.blend(mode, blend)
            self.go_on(math.inf)
        elif mode == DIFFERENCE:
            views.show(_difference(fixed, laid_over))
        elif mode == RED_CYAN:
            red, cyan = _tinted("fixed", fixed, "vtkMRMLColorTableNodeRed"), _tinted("warped", laid_over, _CYAN)
            views.show(red, cyan, 1.0, slicer.vtkMRMLSliceCompositeNode.Add)
        elif mode == JACOBIAN:
            display_of(laid_over).SetAndObserveColorNodeID(jacobian_colours().GetID())
            views.show(fixed, laid_over, blend)
        else:
            views.show(fixed, laid_over, blend if mode == BLEND else 1.0)
        self.mode = mode

    def remember(self) -> None:
        """Keep what the views show, unless something is kept already."""
        if self.before is None:
            self.before = views.Snapshot.take()

    def blend(self, mode: str, blend: float) -> None:
        """Follow the slider without building the mode anew where that is not needed."""
        if mode in (BLEND, JACOBIAN):
            views.set_foreground_opacity(blend)
        elif mode == CHECKERBOARD and self._board is not None:
            node, board = self._board
            self._laying = board.lay(blend, seen_planes(node))
            self.go_on(0.0)

    def go_on(self, seconds: float = _LAY_SECONDS) -> bool:
        """Lay the rest of a checkerboard for about so long; whether there is more."""
        if self._laying is None or self._board is None:
            return False
        until, first = time.monotonic() + seconds, seconds == 0
        for _step in self._laying:
            if time.monotonic() > until:
                break
        else:
            self._laying = None
        if first or self._laying is None:
            slicer.util.arrayFromVolumeModified(self._board[0])
        return self._laying is not None

    def flick(self) -> None:
        """Show the other one of the two volumes."""
        shown = any(node.GetForegroundOpacity() > 0.5 for node in views.composites())
        views.set_foreground_opacity(0.0 if shown else 1.0)

    def back(self) -> None:
        """What the views showed before; nothing if nothing was changed."""
        self.mode, self._board, self._laying = OFF, None, None
        if self.before is not None:
            self.before.restore()
            self.before = None
        for node in _derived_nodes():
            slicer.mrmlScene.RemoveNode(node)

    def forget(self) -> None:
        """For when the scene is about to be closed."""
        self.mode, self.before, self._board, self._laying = OFF, None, None, None

    def _leave_mode(self) -> None:
        """Undo what only the last mode needs: colours, and volumes made for it."""
        assert self.before is not None
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeDisplayNode"):
            if node.GetID() in self.before.colours:
                self.before.colours[node.GetID()].put(node)


def _needed(
    mode: str, fixed: VolumeNode | None, warped: VolumeNode | None, jacobian: VolumeNode | None
) -> tuple[VolumeNode, VolumeNode]:
    """The fixed volume, and what a mode lays over it.

    Raises:
        InputError: If one of them is not there.
    """
    if fixed is None:
        raise InputError(_("Select the fixed volume under Inputs to compare with it."))
    if mode == JACOBIAN:
        if jacobian is None:
            raise InputError(_("There is no Jacobian map: tick it under Outputs and register again."))
        return fixed, jacobian
    if warped is None:
        raise InputError(_("There is no warped volume to compare with: tick it under Outputs and register again."))
    return fixed, warped


def _derived_nodes() -> list[VolumeNode]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in nodes if node.GetAttribute(_VIEW)]


def _board(fixed: VolumeNode, warped: VolumeNode) -> tuple[VolumeNode, Checkerboard]:
    """The volume that holds a checkerboard, and the board in its voxels."""
    node = _derived(CHECKERBOARD, warped, np.empty_like(_voxels(warped), dtype=np.uint8))
    display_of(node).SetWindowLevel(255, 127.5)
    return node, Checkerboard(*_shades(fixed, warped), warped.GetSpacing(), slicer.util.arrayFromVolume(node))


def _difference(fixed: VolumeNode, warped: VolumeNode) -> VolumeNode:
    """The volume that shows a difference."""
    first, second = _shades(fixed, warped)
    node = _derived(DIFFERENCE, warped, first.astype(np.int16) - second)
    display_of(node).SetWindowLevel(255, 0)
    return node


def _tinted(name: str, volume: VolumeNode, table: str) -> VolumeNode:
    """A volume of the same voxels in another colour: the user's own keeps the one it has."""
    node = _derived_node(f"{RED_CYAN} {name}")
    node.CopyOrientation(volume)
    node.SetAndObserveImageData(volume.GetImageData())
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    display, own = display_of(node), display_of(volume)
    display.SetAndObserveColorNodeID(table)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(own.GetWindow(), own.GetLevel())
    return node


def _shades(fixed: VolumeNode, warped: VolumeNode) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    first, second = _shade(fixed), _shade(warped)
    if first.shape != second.shape:
        raise InputError(
            _("The warped volume lies on other voxels than the fixed one; register again to compare them.")
        )
    return first, second


def _derived(mode: str, warped: VolumeNode, array: NDArray[np.generic]) -> VolumeNode:
    """The volume of a mode, made or filled anew, where the warped volume lies; never saved with the scene."""
    node = _derived_node(mode)
    slicer.util.updateVolumeFromArray(node, array)
    node.CopyOrientation(warped)
    display_of(node).SetAutoWindowLevel(False)
    return node


def _derived_node(mode: str) -> VolumeNode:
    return next((n for n in _derived_nodes() if n.GetAttribute(_VIEW) == mode), None) or _new_derived(mode)


def _new_derived(mode: str) -> VolumeNode:
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(_("RobustDIR {mode}").format(mode=mode))
    node.SetAttribute(_VIEW, mode)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node = slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    made: VolumeNode = node
    return made


def _shade(volume: VolumeNode) -> NDArray[np.uint8]:
    """Grey values 0 to 255 as the volume's window shows them."""
    array = _voxels(volume)
    display = display_of(volume)
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    scaled = np.subtract(array, np.float32(low), dtype=np.float32)
    scaled *= np.float32(255 / max(high - low, 1e-6))
    np.clip(scaled, 0, 255, out=scaled)
    return np.asarray(scaled.astype(np.uint8))


def _voxels(volume: VolumeNode) -> NDArray[np.generic]:
    image = image_of(volume)
    voxels: NDArray[np.generic] = vtk_to_numpy(image.GetPointData().GetScalars())
    return np.asarray(voxels.reshape(image.GetDimensions()[::-1]))


def jacobian_colours() -> Node:
    """The colour table of Jacobian maps shown from 0 to 2: yellow folds, blue shrinks, grey keeps, red grows."""
    found: Node | None = slicer.mrmlScene.GetSingletonNode(_JACOBIAN_COLOURS, "vtkMRMLColorTableNode")
    return found or _new_jacobian_colours()


def _new_jacobian_colours() -> Node:
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(_JACOBIAN_COLOURS)
    node.SetTypeToUser()
    node.SetName(_("Jacobian determinant"))
    node.SetNumberOfColors(_ENTRIES)
    for index in range(_ENTRIES):
        node.SetColor(index, f"{2 * index / (_ENTRIES - 1):.2f}", *jacobian_colour(2 * index / (_ENTRIES - 1)), 1.0)
    node.SetHideFromEditors(True)
    added: Node = slicer.mrmlScene.AddNode(node)
    return added


def jacobian_colour(determinant: float) -> tuple[float, float, float]:
    """Red, green and blue of a Jacobian determinant, 0 to 1 each."""
    if determinant <= 0:
        return _FOLDING
    low, high, part = (_SHRINKS, _KEEPS, determinant) if determinant < 1 else (_KEEPS, _GROWS, min(determinant, 2) - 1)
    r, g, b = (a + (c - a) * part for a, c in zip(low, high, strict=True))
    return r, g, b
