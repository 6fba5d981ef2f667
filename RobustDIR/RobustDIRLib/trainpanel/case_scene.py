"""What `case_files` wrote becomes nodes of the scene: read in steps, then all nodes are made, or none.

A case that is looked at is no data of the user's: its nodes are not saved with the scene, and the next one that is
looked at takes their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from RobustDIRLib import mrml
from RobustDIRLib.geometry import Grid
from RobustDIRLib.panelparts import views
from RobustDIRLib.panelparts.exchange import delete_in_steps, read_header, read_in_steps
from RobustDIRLib.panelparts.words import _
from RobustDIRLib.runner.folders import read_object
from RobustDIRLib.trainpanel.case_files import CASE, FIELD, IMAGES
from RobustDIRLib.values import Landmarks, display_window

LOOKED_AT = "RobustDIRTrain.LookedAt"  # attribute of nodes that are here to be looked at
_LABEL_OPACITY = 0.4
_LABEL_COLOURS = "vtkMRMLColorTableNodeLabels"  # built in, with nothing for label 0: the default tints all of the image


@dataclass
class CaseNodes:
    """Nodes of a case.

    Attributes:
        volumes: By the names of `case_files.IMAGES`, those that there are.
        transform: Grid transform, which brings moving onto fixed when it stands above it; None without one.
        points: Markups of `fixed` and `moving`; empty without landmarks.
        said: What `case.json` holds.
    """

    volumes: dict[str, Any] = field(default_factory=dict)
    transform: Any = None
    points: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def all(self) -> list[Any]:
        """Every node."""
        return [*self.volumes.values(), *filter(None, [self.transform]), *self.points.values()]


@dataclass(frozen=True)
class _Read:
    image: Any
    grid: Grid
    voxels: NDArray[Any]


class CaseLoading:
    """Brings a folder into the scene.

    Args:
        folder: That `write_case` filled; its volumes are deleted as they are read.
        title: For the nodes' names.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self._folder, self._title = folder, title
        self.nodes: CaseNodes | None = None

    def steps_to_views(self) -> Iterator[None]:
        """As `steps`, and show the pair."""
        yield from self.steps()
        assert self.nodes is not None
        yield from show(self.nodes)

    def steps(self) -> Iterator[None]:
        """Read and make; `nodes` holds them once it has come to its end.

        Raises:
            InputError: If a file cannot be read; nothing is in the scene then.
        """
        read: dict[str, _Read] = {}
        for name in (*IMAGES, FIELD):
            path = self._folder / (name if name == FIELD else f"{name}.mha")
            if path.is_file():
                header = read_header(path)
                image, voxels = mrml.empty_image(header.grid, header.dtype, header.components)
                yield from read_in_steps(path, header, voxels)
                yield from delete_in_steps(path)
                read[name] = _Read(image, header.grid, voxels)
        said = read_object(self._folder / CASE) or {}
        remove_looked_at()
        nodes = CaseNodes(said=said)
        try:
            for name in read:
                yield
                self._add(nodes, name, read[name])
            for side in ("fixed", "moving") if said.get("landmarks") else ():
                yield
                self._add_points(nodes, said["landmarks"], side)
        except BaseException:
            _remove(nodes.all)
            raise
        self.nodes = nodes

    def _add(self, nodes: CaseNodes, name: str, read: _Read) -> None:
        if name == FIELD:
            nodes.transform = _new("vtkMRMLGridTransformNode", _("{title} deformation").format(title=self._title))
            mrml.fill_grid_transform(nodes.transform, read.image, read.grid)
            return
        kind = "LabelMap" if name.endswith("labels") else "Scalar"
        node = _new(f"vtkMRML{kind}VolumeNode", f"{self._title} {name.replace('_', ' ')}")
        nodes.volumes[name] = node
        with slicer.util.NodeModify(node):
            node.SetIJKToRASMatrix(mrml.ijk_to_ras(read.grid))
            node.SetAndObserveImageData(read.image)
        node.SetAndObserveDisplayNodeID(_display(kind, read.voxels).GetID())

    def _add_points(self, nodes: CaseNodes, landmarks: Any, side: str) -> None:
        points = Landmarks(np.array(landmarks[side], dtype=np.float64).reshape(-1, 3), tuple(landmarks["names"]))
        node = mrml.markups_from_points(points, _("{title} {side} landmarks").format(title=self._title, side=side))
        mark(node)
        nodes.points[side] = node


def show(nodes: CaseNodes) -> Iterator[None]:
    """Show the pair in all slice views, half and half, with the labels of the fixed image; a view a step."""
    fixed, moving, labels = (nodes.volumes.get(name) for name in ("fixed", "moving", "fixed_labels"))
    yield from views.show_in_steps((fixed, moving, labels), 0.5, _LABEL_OPACITY)


def remove_looked_at() -> None:
    """Take what was looked at out of the scene."""
    found = [slicer.mrmlScene.GetNthNode(k) for k in range(slicer.mrmlScene.GetNumberOfNodes())]
    _remove([node for node in found if node.GetAttribute(LOOKED_AT)])


def _remove(nodes: list[Any]) -> None:
    views.let_go(nodes)  # they would draw anew with every node that goes
    for node in nodes:
        for k in reversed(range(node.GetNumberOfDisplayNodes())):
            display = node.GetNthDisplayNode(k)
            if display is not None:
                slicer.mrmlScene.RemoveNode(display)
        slicer.mrmlScene.RemoveNode(node)


def _new(kind: str, name: str) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    mark(node)
    return node


def mark(node: Any) -> None:
    """Let a node go with what is looked at, and never be saved."""
    node.SetAttribute(LOOKED_AT, "1")
    node.SetSaveWithScene(False)


def _display(kind: str, voxels: NDArray[Any]) -> Any:
    """Made by hand: the default would look through all voxels for a window."""
    display = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeDisplayNode")
    display.SetSaveWithScene(False)
    if kind == "LabelMap":
        display.SetAndObserveColorNodeID(_LABEL_COLOURS)
        return display
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    low, high = display_window(voxels)
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(high - low, (high + low) / 2)
    return display
