"""A run's results in the scene: all of them or, if anything fails, none.

The voxels are read straight into the memory that MRML will hold, so that handing them over copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import numpy as np
import slicer
from numpy.typing import NDArray

from RobustDIRLib import mrml
from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.contents import begin_data
from RobustDIRLib.mrml.nodes import (
    Node,
    TransformNode,
    VolumeDisplayNode,
    VolumeNode,
    display_of,
    is_transform,
    is_volume,
)
from RobustDIRLib.mrml.vtk_objects import ImageData
from RobustDIRLib.panel.applying import remove
from RobustDIRLib.panel.origins import Origin, Origins, depends_on
from RobustDIRLib.panel.parameters import Parameters
from RobustDIRLib.panel.runs import Results
from RobustDIRLib.panelparts.exchange import VolumeHeader
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.run_files import INVERSE_FIELD as INVERSE
from RobustDIRLib.run_files import JACOBIAN_VOXELS as JACOBIAN
from RobustDIRLib.run_files import TRANSFORM_FIELD as TRANSFORM
from RobustDIRLib.run_files import WARPED_VOXELS as WARPED

# What of a run's record stays with the scene.
_KEPT = (
    "model",
    "preset",
    "alignment",
    "device",
    "quality",
    "measures",
    "warnings",
    "timings_s",
    "versions",
    "working_grid",
)
_JACOBIAN_WINDOW = (2.0, 1.0)
_WISHED, _NAMED = "RobustDIR.Pair", "RobustDIR.Name"  # what a node was to be called, and is


OutputNode = TransformNode | VolumeNode


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
    Output(JACOBIAN, "makeJacobian", "jacobianNode", "vtkMRMLScalarVolumeNode", _("Jacobian of {moving} on {fixed}")),
)


def wanted(parameters: Parameters) -> tuple[str, ...]:
    """Files of the outputs that are ticked."""
    return tuple(output.file for output in OUTPUTS if getattr(parameters, output.wish))


class Buffers:
    """Images of VTK that a run's files are read into; `allocate` serves `runs.Run`."""

    def __init__(self) -> None:
        self.images: dict[str, ImageData] = {}
        self._matrices: dict[str, NDArray[np.float64] | None] = {}
        self.checksums: dict[str, str] = {}

    def allocate(self, name: str, header: VolumeHeader) -> NDArray[np.generic]:
        """The voxels of a new image of a file's shape and type."""
        image, voxels = mrml.empty_image(header.grid, header.dtype, header.components)
        self.images[name] = image
        scalar = header.components == 1
        self._matrices[name] = slicer.util.arrayFromVTKMatrix(mrml.ijk_to_ras(header.grid)) if scalar else None
        return voxels

    def sum_up(self) -> Iterator[None]:
        """What the images hold, once they are filled: by it the nodes are known again. In steps."""
        for name, image in self.images.items():
            for checksum in begin_data(image, self._matrices[name]):
                self.checksums[name] = checksum
                yield


def create(
    parameters: Parameters,
    pair: tuple[VolumeNode, VolumeNode],
    buffers: Buffers,
    headers: dict[str, VolumeHeader],
    new: Collection[str] = (),
) -> dict[str, OutputNode]:
    """Put the results of a run into the nodes of a parameter set, made where there are none.

    Args:
        parameters: Of the panel; its output nodes are filled or set.
        pair: Fixed and moving volume node of the run.
        buffers: Filled with the run's voxels.
        headers: Of the run's files.
        new: Parameters of outputs whose node holds something that is to stay.
    Returns:
        The nodes that were filled, by parameter.
    """
    fixed, moving = pair
    names = {"moving": moving.GetName(), "fixed": fixed.GetName()}
    filled: dict[str, OutputNode] = {}
    with _all_or_nothing() as undo:
        for output in OUTPUTS:
            if output.file not in headers:
                continue
            node = getattr(parameters, output.node)
            if node is None or output.node in new or depends_on(pair, node) or node in filled.values():
                name = output.name.format(**names)
                node = slicer.mrmlScene.AddNewNodeByClass(output.node_class, name)  # lists show what it is added with
                undo.append(partial(remove, node))
                _call(node, name)
            else:
                undo.append(_restorer(node))
                if node.GetName() == node.GetAttribute(_NAMED):  # we named it; a name of the user's own stays
                    _call(node, output.name.format(**names))
            filled[output.node] = node
            _fill(node, output.file, buffers.images[output.file], headers[output.file].grid, moving)
    for name, node in filled.items():
        setattr(parameters, name, node)
    return filled


def _call(node: Node, name: str) -> None:
    """Name a node after the pair; with a number where another bears that name."""
    if node.GetAttribute(_WISHED) == name and node.GetAttribute(_NAMED) == node.GetName():
        return
    node.SetName("")
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(_WISHED, name)
    node.SetAttribute(_NAMED, node.GetName())


def take(parameters: Parameters, origins: Origins, origin: Origin, buffers: Buffers, results: Results) -> None:
    """Put all that a run has found into the scene: its nodes, and its record beside them.

    Args:
        parameters: Of the panel.
        origins: What is known of nodes.
        origin: Of the run, its contents known.
        buffers: Filled with the run's voxels, and summed up.
        results: Of the run.
    """
    fixed, moving = origin.nodes["fixedVolume"], origin.nodes["movingVolume"]
    assert is_volume(fixed) and is_volume(moving)
    pair = fixed, moving
    new = origins.staying(parameters, origin)
    nodes = create(parameters, pair, buffers, results.headers, new)
    filled = {o.node: (nodes[o.node], buffers.checksums[o.file]) for o in OUTPUTS if o.node in nodes}
    record = {key: results.record[key] for key in _KEPT if key in results.record}
    # Landmarks and structures are measured anew, whenever they change.
    record["measures"] = {**record.get("measures", {}), "tre": None, "dice": []}
    record["pair"] = [node.GetName() for node in pair]
    record["run"] = uuid4().hex
    origins.keep(parameters, origin, record, filled)


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


def _restorer(node: OutputNode) -> Callable[[], None]:
    """Puts back what an output node of an earlier run holds now."""
    kept, above = node.NewInstance(), node.GetTransformNodeID()
    display = node.GetDisplayNode() if is_volume(node) else None
    name, attributes = node.GetName(), {key: node.GetAttribute(key) for key in (_WISHED, _NAMED)}
    kept.CopyContent(node, False)
    window = (display.GetWindow(), display.GetLevel()) if display is not None else None

    def restore() -> None:
        node.CopyContent(kept, False)
        node.SetAndObserveTransformNodeID(above)
        node.SetName(name)
        for key, value in attributes.items():
            node.SetAttribute(key, value)
        if display is not None and window is not None:
            display.SetWindowLevel(*window)

    return restore


def _fill(node: OutputNode, file: str, image: ImageData, grid: Grid, moving: VolumeNode) -> None:
    if is_transform(node):
        mrml.fill_grid_transform(node, image, grid)
        return
    assert is_volume(node)
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
    _set_window(display_of(node), file, moving)


def _set_window(display: VolumeDisplayNode, file: str, moving: VolumeNode) -> None:
    display.SetAutoWindowLevel(False)
    if file == JACOBIAN:
        display.SetWindowLevel(*_JACOBIAN_WINDOW)
    elif (own := moving.GetDisplayNode()) is not None:
        display.SetWindowLevel(own.GetWindow(), own.GetLevel())
