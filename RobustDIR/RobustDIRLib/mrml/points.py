"""Lists of points (markups) as landmarks, and back; slices moved to a point."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.mrml.geometry import refuse_flattened
from RobustDIRLib.mrml.nodes import MarkupsNode
from RobustDIRLib.values import Landmarks


def points_from_markups(node: MarkupsNode | None) -> Landmarks:
    """The points of a markups node in the world, with all its parent transforms.

    Raises:
        InputError: If the node is None, holds no points, or one that is not placed yet, or is flattened by a transform.
    """
    if node is None:
        raise InputError("There is no list of landmarks; select one.")
    count = node.GetNumberOfControlPoints()
    if count == 0:
        raise InputError(f"{node.GetName()} holds no points; place some or select another list.")
    for k in range(count):
        if node.GetNthControlPointPositionStatus(k) != node.PositionDefined:
            name = node.GetNthControlPointLabel(k) or f"number {k + 1}"
            raise InputError(f"{node.GetName()}: the point {name} is not placed; place or delete it.")
    refuse_flattened(node)
    points = slicer.util.arrayFromMarkupsControlPoints(node, world=True)
    return Landmarks(swap_lps_ras(points), tuple(node.GetNthControlPointLabel(k) or str(k + 1) for k in range(count)))


def markups_from_points(points: Landmarks, name: str, *, node: MarkupsNode | None = None) -> MarkupsNode:
    """Put points into a markups node.

    Args:
        points: World, mm, LPS.
        name: Of a new node; made unique in the scene.
        node: Point list to fill instead of a new one; its points are replaced and its parent transform is kept, so
            that the points still lie where they belong in the world.
    Returns:
        The node, with a display node.
    """
    if node is None:
        unique = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", unique)
        node.CreateDefaultDisplayNodes()
    with slicer.util.NodeModify(node):
        node.RemoveAllControlPoints()
        for point, label in zip(swap_lps_ras(points.points), points.names, strict=True):
            node.AddControlPointWorld(vtk.vtkVector3d(*point), label)
    return node


def show_point(point: ArrayLike) -> None:
    """Move all slice views to a point, mm, LPS, and centre them on it."""
    position = swap_lps_ras(np.asarray(point, dtype=np.float64))
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *position, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
