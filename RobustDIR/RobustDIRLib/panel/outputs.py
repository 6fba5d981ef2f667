"""A run's results in the scene: all of them or, if anything fails, none.

The voxels are read straight into the memory that MRML will hold, so that handing them over copies nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from RobustDIRLib import mrml
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.panel.applying import remove
from RobustDIRLib.panel.exchange import Header
from RobustDIRLib.panel.runs import Results

# File names of `handover`, without importing it: that needs SimpleITK.
TRANSFORM, INVERSE, WARPED, JACOBIAN = "transform_field.mha", "inverse_field.mha", "warped.mha", "jacobian.mha"
# What of a run's record stays with the scene.
_KEPT = ("model", "preset", "alignment", "device", "measures", "warnings", "timings_s", "versions", "working_grid")
_JACOBIAN_WINDOW = (2.0, 1.0)


@dataclass(frozen=True)
class Output:
    """One of the four outputs.

    Attributes:
        file: It is read from.
        wish: Name of the parameter that says whether it is wanted.
        node: Name of the parameter that holds its node.
        node_class: Of a new node.
        name: Of a new node, from the names of the two volumes.
    """

    file: str
    wish: str
    node: str
    node_class: str
    name: str


OUTPUTS = (
    Output(TRANSFORM, "makeTransform", "transformNode", "vtkMRMLGridTransformNode", "{moving} to {fixed}"),
    Output(WARPED, "makeWarped", "warpedNode", "vtkMRMLScalarVolumeNode", "{moving} on {fixed}"),
    Output(INVERSE, "makeInverse", "inverseNode", "vtkMRMLGridTransformNode", "{fixed} to {moving}"),
    Output(JACOBIAN, "makeJacobian", "jacobianNode", "vtkMRMLScalarVolumeNode", "Jacobian of {moving} on {fixed}"),
)


def wanted(parameters: Any) -> tuple[str, ...]:
    """Files of the outputs that are ticked."""
    return tuple(output.file for output in OUTPUTS if getattr(parameters, output.wish))


class Buffers:
    """Images of VTK that a run's files are read into; `allocate` serves `runs.Run`."""

    def __init__(self) -> None:
        self.images: dict[str, Any] = {}

    def allocate(self, name: str, header: Header) -> NDArray[Any]:
        """The voxels of a new image of a file's shape and type."""
        image = vtk.vtkImageData()
        image.SetDimensions(*header.grid.size)
        image.AllocateScalars(get_vtk_array_type(header.dtype), header.components)
        self.images[name] = image
        voxels: NDArray[Any] = vtk_to_numpy(image.GetPointData().GetScalars())
        return voxels.reshape(header.shape)


def create(parameters: Any, pair: tuple[Any, Any], buffers: Buffers, headers: dict[str, Header]) -> None:
    """Put the results of a run into the nodes of a parameter set, made where there are none.

    Args:
        parameters: Of the panel; its output nodes are filled or set.
        pair: Fixed and moving volume node of the run.
        buffers: Filled with the run's voxels.
        headers: Of the run's files.
    """
    fixed, moving = pair
    names = {"moving": moving.GetName(), "fixed": fixed.GetName()}
    filled = {}
    with _all_or_nothing() as undo:
        for output in OUTPUTS:
            if output.file not in headers:
                continue
            node = getattr(parameters, output.node)
            if node is None or node in pair:
                name = slicer.mrmlScene.GenerateUniqueName(output.name.format(**names))
                node = slicer.mrmlScene.AddNewNodeByClass(output.node_class, name)
                undo.append(partial(remove, node))
            else:
                undo.append(_restorer(node))
            filled[output.node] = node
            _fill(node, output.file, buffers.images[output.file], headers[output.file].grid, moving)
    for name, node in filled.items():
        setattr(parameters, name, node)


def take(parameters: Any, pair: tuple[Any, Any], buffers: Buffers, results: Results) -> None:
    """Put all that a run has found into the scene: its nodes, and its record beside them.

    Args:
        parameters: Of the panel.
        pair: Fixed and moving volume node of the run.
        buffers: Filled with the run's voxels.
        results: Of the run.
    """
    create(parameters, pair, buffers, results.headers)
    record = {key: results.record[key] for key in _KEPT if key in results.record}
    # Landmarks and structures are measured anew, whenever they change.
    record["measures"] = {**record.get("measures", {}), "tre": None, "dice": []}
    record["pair"] = [node.GetName() for node in pair]
    parameters.record, parameters.structures = json.dumps(record), ""


@contextmanager
def _all_or_nothing() -> Iterator[list[Callable[[], None]]]:
    """Does what is in the list, the last first, if anything fails, and lets the failure through."""
    undo: list[Callable[[], None]] = []
    try:
        yield undo
    except BaseException:
        for step in reversed(undo):
            step()
        raise


def _restorer(node: Any) -> Callable[[], None]:
    """Puts back what an output node of an earlier run holds now."""
    kept, above, display = node.NewInstance(), node.GetTransformNodeID(), node.GetDisplayNode()
    kept.CopyContent(node, False)
    window = (display.GetWindow(), display.GetLevel()) if node.IsA("vtkMRMLVolumeNode") and display else None

    def restore() -> None:
        node.CopyContent(kept, False)
        node.SetAndObserveTransformNodeID(above)
        if window:
            display.SetWindowLevel(*window)

    return restore


def _fill(node: Any, file: str, image: Any, grid: Grid, moving: Any) -> None:
    if file in (TRANSFORM, INVERSE):
        _fill_transform(node, image, grid)
        return
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(mrml.ijk_to_ras(grid))
        node.SetAndObserveImageData(image)
        node.SetAndObserveTransformNodeID(None)
    if node.GetDisplayNode() is None:
        # Made by hand: the default would look through all voxels for a window.
        display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        display.SetAutoWindowLevel(False)
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        node.SetAndObserveDisplayNodeID(display.GetID())
    _set_window(node.GetDisplayNode(), file, moving)


def _set_window(display: Any, file: str, moving: Any) -> None:
    display.SetAutoWindowLevel(False)
    if file == JACOBIAN:
        display.SetWindowLevel(*_JACOBIAN_WINDOW)
    elif moving.GetDisplayNode() is not None:
        display.SetWindowLevel(moving.GetDisplayNode().GetWindow(), moving.GetDisplayNode().GetLevel())


def _fill_transform(node: Any, image: Any, grid: Grid) -> None:
    """A field of displacements in RAS as FromParent, linear between voxels as the registration's own is."""
    image.SetSpacing(*grid.spacing)
    image.SetOrigin(*swap_lps_ras(grid.origin))
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToLinear()
    direction = swap_lps_ras(np.asarray(grid.direction).T).T
    matrix = np.eye(4)
    matrix[:3, :3] = direction
    transform.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformFromParent(transform)
