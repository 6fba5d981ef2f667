"""Vectors between points as a model of lines: in slices and in 3D, coloured by their length."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike
from vtk.util.numpy_support import numpy_to_vtk

from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.mrml.nodes import ShownNode
from RobustDIRLib.mrml.vtk_objects import PolyData

LENGTH = "length (mm)"
_LINE_WIDTH = 4
# From small to large, dark enough for a white ground and bright enough for a black one.
_COLOURS = "vtkMRMLColorTableNodeFileColdToHotRainbow.txt"


def vectors_to_node(starts: ArrayLike, ends: ArrayLike, name: str, *, largest: float = 0.0) -> ShownNode:
    """A model node with a line for each vector.

    Args:
        starts: Shape `(N, 3)`, mm, LPS.
        ends: Shape `(N, 3)`, mm, LPS.
        name: Of the node; made unique in the scene.
        largest: Length that the end of the colours stands for, mm; the longest vector's if 0.
    Returns:
        The node, with a display node; its cells hold their `LENGTH`.
    """
    first, last = (np.asarray(each, dtype=np.float64).reshape(-1, 3) for each in (starts, ends))
    lengths = np.linalg.norm(last - first, axis=1)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObservePolyData(_lines(swap_lps_ras(first), swap_lps_ras(last), lengths))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetVisibility2D(True)
        display.SetSliceDisplayModeToProjection()
        display.SetLineWidth(_LINE_WIDTH)
        display.SetSliceIntersectionThickness(_LINE_WIDTH)
        display.SetActiveScalar(LENGTH, vtk.vtkAssignAttribute.CELL_DATA)
        display.SetScalarVisibility(True)
        if slicer.mrmlScene.GetNodeByID(_COLOURS) is not None:
            display.SetAndObserveColorNodeID(_COLOURS)
        display.SetScalarRangeFlag(display.UseManualScalarRange)
        display.SetScalarRange(0.0, largest or float(lengths.max(initial=0.0)) or 1.0)
    drawn: ShownNode = node
    return drawn


def _lines(starts: ArrayLike, ends: ArrayLike, lengths: ArrayLike) -> PolyData:
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(np.stack([starts, ends], axis=1).reshape(-1, 3).astype(np.float64), deep=True))
    cells = vtk.vtkCellArray()
    for k in range(len(np.asarray(starts))):
        cells.InsertNextCell(2, [2 * k, 2 * k + 1])
    data = vtk.vtkPolyData()
    data.SetPoints(points)
    data.SetLines(cells)
    column = numpy_to_vtk(np.ascontiguousarray(lengths, dtype=np.float64), deep=True)
    column.SetName(LENGTH)
    data.GetCellData().AddArray(column)
    lines: PolyData = data
    return lines
