"""Fixed and warped volume laid over each other in the slice views, in the ways that show whether they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.panel import views

OFF, BLEND, CHECKERBOARD, FLICKER = "off", "blend", "checkerboard", "flicker"
RED_CYAN, DIFFERENCE, JACOBIAN = "red-cyan", "difference", "jacobian"
MODES = {
    OFF: "Off",
    BLEND: "Blend",
    CHECKERBOARD: "Checkerboard",
    FLICKER: "Flicker",
    RED_CYAN: "Red and cyan",
    DIFFERENCE: "Difference",
    JACOBIAN: "Jacobian map",
}
FLICKER_MILLISECONDS = 500
_VIEW = "RobustDIR.View"
_FEWEST_FIELDS, _MOST_FIELDS = 3, 24
# Jacobian determinants from 0 to 2 in colours; what folds is none of them.
_FOLDING, _SHRINKS, _KEEPS, _GROWS = (1.0, 1.0, 0.0), (0.10, 0.25, 0.90), (0.85, 0.85, 0.85), (0.85, 0.10, 0.10)
_JACOBIAN_COLOURS = "RobustDIRJacobian"
_ENTRIES = 256


class Comparison:
    """What the Look section lays over each other; remembers what the views showed before it."""

    def __init__(self) -> None:
        self.mode = OFF
        self.before: views.Snapshot | None = None

    def show(self, mode: str, fixed: Any, warped: Any, jacobian: Any, blend: float) -> None:
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
        _refuse_missing(mode, fixed, warped, jacobian)
        self.remember()
        if mode != self.mode:
            self._leave_mode()
        if mode in (CHECKERBOARD, DIFFERENCE):
            views.show(_derived(mode, fixed, warped, blend))
        elif mode == RED_CYAN:
            _colour(fixed, "vtkMRMLColorTableNodeRed")
            _colour(warped, "vtkMRMLColorTableNodeCyan")
            views.show(fixed, warped, 1.0, slicer.vtkMRMLSliceCompositeNode.Add)
        elif mode == JACOBIAN:
            jacobian.GetDisplayNode().SetAndObserveColorNodeID(jacobian_colours().GetID())
            views.show(fixed, jacobian, blend)
        else:
            views.show(fixed, warped, blend if mode == BLEND else 1.0)
        self.mode = mode

    def remember(self) -> None:
        """Keep what the views show, unless something is kept already."""
        if self.before is None:
            self.before = views.Snapshot.take()

    def blend(self, mode: str, fixed: Any, warped: Any, blend: float) -> None:
        """Follow the slider without building the mode anew where that is not needed."""
        if mode in (BLEND, JACOBIAN):
            views.set_foreground_opacity(blend)
        elif mode == CHECKERBOARD:
            _derived(mode, fixed, warped, blend)

    def flick(self) -> None:
        """Show the other one of the two volumes."""
        shown = any(node.GetForegroundOpacity() > 0.5 for node in views.composites())
        views.set_foreground_opacity(0.0 if shown else 1.0)

    def back(self) -> None:
        """What the views showed before; nothing if nothing was changed."""
        self.mode = OFF
        if self.before is not None:
            self.before.restore()
            self.before = None
        for node in _derived_nodes():
            slicer.mrmlScene.RemoveNode(node)

    def _leave_mode(self) -> None:
        """Undo what only the last mode needs: colours, and volumes made for it."""
        assert self.before is not None
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeDisplayNode"):
            if node.GetID() in self.before.colours:
                self.before.colours[node.GetID()].put(node)


def _refuse_missing(mode: str, fixed: Any, warped: Any, jacobian: Any) -> None:
    if fixed is None:
        raise InputError("Select the fixed volume under Inputs to compare with it.")
    if mode == JACOBIAN and jacobian is None:
        raise InputError("There is no Jacobian map: tick it under Outputs and register again.")
    if mode != JACOBIAN and warped is None:
        raise InputError("There is no warped volume to compare with: tick it under Outputs and register again.")


def _colour(volume: Any, table: str) -> None:
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetAndObserveColorNodeID(table)


def _derived_nodes() -> list[Any]:
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in nodes if node.GetAttribute(_VIEW)]


def _derived(mode: str, fixed: Any, warped: Any, blend: float) -> Any:
    """The volume that shows a checkerboard or a difference, made or filled anew; never saved with the scene."""
    first, second = _shade(fixed), _shade(warped)
    if first.shape != second.shape:
        raise InputError("The warped volume lies on other voxels than the fixed one; register again to compare them.")
    if mode == CHECKERBOARD:
        array = np.where(fields(first.shape, warped.GetSpacing(), blend), first, second)
    else:
        array = first.astype(np.int16) - second
    node = next((n for n in _derived_nodes() if n.GetAttribute(_VIEW) == mode), None) or _new_derived(mode)
    slicer.util.updateVolumeFromArray(node, array)
    matrix = vtk.vtkMatrix4x4()
    warped.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(*((255, 127.5) if mode == CHECKERBOARD else (255, 0)))
    return node


def _new_derived(mode: str) -> Any:
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(f"RobustDIR {mode}")
    node.SetAttribute(_VIEW, mode)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node = slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


def _shade(volume: Any) -> NDArray[np.uint8]:
    """Grey values 0 to 255 as the volume's window shows them."""
    array = vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars())
    display = volume.GetDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    scaled = np.subtract(array, np.float32(low), dtype=np.float32)
    scaled *= np.float32(255 / max(high - low, 1e-6))
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8).reshape(volume.GetImageData().GetDimensions()[::-1])


def fields(shape: tuple[int, ...], spacing: tuple[float, ...], coarseness: float) -> NDArray[np.bool_]:
    """Where a checkerboard shows the first of two volumes.

    Args:
        shape: Of the volumes, `(z, y, x)`.
        spacing: Along x, y, z, mm.
        coarseness: 0 for many small fields, 1 for few large ones.
    """
    longest = max(n * s for n, s in zip(shape, spacing[::-1], strict=True))
    count = _MOST_FIELDS + (_FEWEST_FIELDS - _MOST_FIELDS) * coarseness
    z, y, x = (
        np.floor(np.arange(n) * s * count / longest).astype(np.uint8) for n, s in zip(shape, spacing[::-1], strict=True)
    )
    return ((z[:, None, None] + y[:, None] + x) & 1).astype(bool)


def jacobian_colours() -> Any:
    """The colour table of Jacobian maps shown from 0 to 2: yellow folds, blue shrinks, grey keeps, red grows."""
    node = slicer.mrmlScene.GetSingletonNode(_JACOBIAN_COLOURS, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(_JACOBIAN_COLOURS)
    node.SetTypeToUser()
    node.SetName("Jacobian determinant")
    node.SetNumberOfColors(_ENTRIES)
    for index in range(_ENTRIES):
        node.SetColor(index, f"{2 * index / (_ENTRIES - 1):.2f}", *jacobian_colour(2 * index / (_ENTRIES - 1)), 1.0)
    node.SetHideFromEditors(True)
    return slicer.mrmlScene.AddNode(node)


def jacobian_colour(determinant: float) -> tuple[float, float, float]:
    """Red, green and blue of a Jacobian determinant, 0 to 1 each."""
    if determinant <= 0:
        return _FOLDING
    low, high, part = (_SHRINKS, _KEEPS, determinant) if determinant < 1 else (_KEEPS, _GROWS, min(determinant, 2) - 1)
    r, g, b = (a + (c - a) * part for a, c in zip(low, high, strict=True))
    return r, g, b
