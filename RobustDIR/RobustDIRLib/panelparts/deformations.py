"""The deformation drawn by Slicer itself: grid, arrows or contours of a transform node, in slices and in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.errors import InputError

OFF, GRID, GLYPH, CONTOUR = "off", "grid", "glyph", "contour"
MODES = {OFF: "Off", GRID: "Grid", GLYPH: "Arrows", CONTOUR: "Contours"}
_SLICE_LINE = 2
_PLAIN = (0.30, 0.85, 0.90)
_SCALE = ((0.0, (0.15, 0.35, 0.95)), (0.33, (0.10, 0.80, 0.55)), (0.66, (0.98, 0.85, 0.15)), (1.0, (0.90, 0.10, 0.10)))
_MOST_CONTOURS = 12
_SAMPLED = 40_000  # vectors that the largest displacement is taken from


def show(transform: Any, mode: str, *, region: Any, spacing: float, slices: bool, in_3d: bool, coloured: bool) -> None:
    """Draw a transform, or take the drawing away.

    Args:
        transform: Grid transform node.
        mode: One of `MODES`.
        region: Volume node that the drawing covers.
        spacing: Of grid lines and arrows, mm; contours lie a fifth of it apart.
        slices: Whether to draw in slice views.
        in_3d: Whether to draw in 3D views.
        coloured: By the size of the displacement, or in one colour.
    Raises:
        InputError: If there is no transform to draw.
    """
    if transform is None:
        if mode == OFF:
            return
        raise InputError("There is no deformation to draw: register first, with the transform ticked under Outputs.")
    if transform.GetDisplayNode() is None:
        transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetVisibility(mode != OFF)
        display.SetVisibility2D(mode != OFF and slices)
        display.SetVisibility3D(mode != OFF and in_3d)
        if mode == OFF:
            return
        display.SetAndObserveRegionNode(region)
        display.SetVisualizationMode(_mode(display, mode))
        display.SetSliceIntersectionThickness(_SLICE_LINE)
        largest = largest_displacement(transform)
        _set_spacing(display, spacing, largest, in_3d)
        _set_colours(display, largest, coloured)


def _mode(display: Any, mode: str) -> int:
    kinds = {GRID: display.VIS_MODE_GRID, GLYPH: display.VIS_MODE_GLYPH, CONTOUR: display.VIS_MODE_CONTOUR}
    return int(kinds[mode])


def _set_spacing(display: Any, spacing: float, largest: float, in_3d: bool) -> None:
    display.SetGridSpacingMm(spacing)
    # In 3D every piece of a line is a tube of its own, and many of them make the views slow.
    display.SetGridResolutionMm(max(1.0, spacing / (2 if in_3d else 4)))
    display.SetGridLineDiameterMm(max(0.5, spacing / 12))
    display.SetGlyphSpacingMm(spacing)
    display.SetGlyphDiameterMm(spacing / 2)
    display.SetContourResolutionMm(max(2.0, spacing / 3))
    display.SetContourLevelsMmFromString(" ".join(f"{level:g}" for level in contour_levels(spacing, largest)))


def contour_levels(spacing: float, largest: float) -> list[float]:
    """Displacements to draw contours at, mm, a fifth of the spacing apart, or wider where that would be too many."""
    step = max(spacing / 5, largest / _MOST_CONTOURS, 0.1)
    count = max(1, int(largest / step))
    return [round(step * (k + 1), 3) for k in range(count)]


def _set_colours(display: Any, largest: float, coloured: bool) -> None:
    colours = vtk.vtkColorTransferFunction()
    for part, colour in _SCALE if coloured else ((0.0, _PLAIN), (1.0, _PLAIN)):
        colours.AddRGBPoint(part * max(largest, 1e-3), *colour)
    display.SetColorMap(colours)


def largest_displacement(transform: Any) -> float:
    """Of a grid transform, mm, from an even sample of its vectors; 0 for other transforms."""
    grid = transform.GetTransformFromParentAs("vtkOrientedGridTransform", False, True)
    grid = grid or transform.GetTransformToParentAs("vtkOrientedGridTransform", False, True)
    if grid is None or grid.GetDisplacementGrid() is None:
        return 0.0
    vectors = vtk_to_numpy(grid.GetDisplacementGrid().GetPointData().GetScalars())
    sample = vectors[:: max(1, len(vectors) // _SAMPLED)]
    return float(np.sqrt((np.asarray(sample, dtype=np.float64) ** 2).sum(axis=1).max()))
