"""The deformation drawn by Slicer itself: grid, arrows or contours of a transform node, in slices and in 3D."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.panelparts.words import _

OFF, GRID, GLYPH, CONTOUR = "off", "grid", "glyph", "contour"
MODES = {OFF: _("Off"), GRID: _("Grid"), GLYPH: _("Arrows"), CONTOUR: _("Contours")}
_SLICE_LINE = 2
_PLAIN = (0.30, 0.85, 0.90)
_SCALE = ((0.0, (0.15, 0.35, 0.95)), (0.33, (0.10, 0.80, 0.55)), (0.66, (0.98, 0.85, 0.15)), (1.0, (0.90, 0.10, 0.10)))
_MOST_CONTOURS = 12
_SAMPLED = 40_000  # vectors that the largest displacement is taken from
# Slicer carries a lattice of points through the transform for each slice view, at 2 to 3 us a point, and as many again
# where a view moves. So many take 30 ms; beyond twice as many lines lie closer than anyone tells apart.
_WELL_DRAWN, _MOST_DRAWN = 10_000, 28_000
_largest: dict[int, float] = {}  # displacement of the last field, by its time of change, which VTK gives but once


def show(transform: Any, mode: str, *, region: Any, spacing: float, slices: bool, in_3d: bool, coloured: bool) -> float:
    """Draw a transform, or take the drawing away.

    Args:
        transform: Grid transform node.
        mode: One of `MODES`.
        region: Volume node that the drawing covers.
        spacing: Of grid lines and arrows, mm; contours lie a fifth of it apart.
        slices: Whether to draw in slice views.
        in_3d: Whether to draw in 3D views.
        coloured: By the size of the displacement, or in one colour.
    Returns:
        The spacing drawn, mm: wider than asked for where the views show too much for it.
    Raises:
        InputError: If there is no transform to draw.
    """
    if transform is None:
        if mode == OFF:
            return spacing
        raise InputError(_("There is no deformation to draw: register first, with the transform ticked under Outputs."))
    if transform.GetDisplayNode() is None:
        transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetVisibility(mode != OFF)
        display.SetVisibility2D(mode != OFF and slices)
        display.SetVisibility3D(mode != OFF and in_3d)
        if mode == OFF:
            return spacing
        display.SetAndObserveRegionNode(region)
        display.SetVisualizationMode(_mode(display, mode))
        display.SetSliceIntersectionThickness(_SLICE_LINE)
        largest = largest_displacement(transform)
        area = area_shown() if slices else 0.0
        drawn = spacing_for(spacing, area)
        _set_spacing(display, drawn, largest, resolution_for(drawn, area, in_3d))
        _set_colours(display, largest, coloured)
    return drawn


def area_shown() -> float:
    """Of the slice views that there are, together, mm^2."""
    views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    seen = [node for node in views if node.IsMappedInLayout()] or views
    return float(sum(node.GetFieldOfView()[0] * node.GetFieldOfView()[1] for node in seen))


def spacing_for(wanted: float, area: float) -> float:
    """The distance of lines or arrows, mm: as wanted, or wider by whole mm where an area, mm^2, is too large for it."""
    return max(wanted, float(math.ceil(math.sqrt(area / _MOST_DRAWN))))


def resolution_for(spacing: float, area: float, in_3d: bool) -> float:
    """The length of the pieces of a line, mm: a part of its spacing, shorter the less area, mm^2, there is to draw."""
    # In 3D every piece of a line is a tube of its own, and many of them make the views slow.
    parts = math.floor(spacing / max(1.0, math.sqrt(area / _WELL_DRAWN)))
    return spacing / min(max(parts, 1), 2 if in_3d else 4)


def _mode(display: Any, mode: str) -> int:
    kinds = {GRID: display.VIS_MODE_GRID, GLYPH: display.VIS_MODE_GLYPH, CONTOUR: display.VIS_MODE_CONTOUR}
    return int(kinds[mode])


def _set_spacing(display: Any, spacing: float, largest: float, resolution: float) -> None:
    display.SetGridSpacingMm(spacing)
    display.SetGridResolutionMm(resolution)
    display.SetGridLineDiameterMm(max(0.5, spacing / 12))
    display.SetGlyphSpacingMm(spacing)
    display.SetGlyphDiameterMm(spacing / 2)
    display.SetContourResolutionMm(max(2.0, resolution, spacing / 3))
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
    field = grid.GetDisplacementGrid()
    if field.GetMTime() not in _largest:
        vectors = vtk_to_numpy(field.GetPointData().GetScalars())
        sample = vectors[:: max(1, len(vectors) // _SAMPLED)]
        _largest.clear()
        _largest[field.GetMTime()] = float(np.sqrt((np.asarray(sample, dtype=np.float64) ** 2).sum(axis=1).max()))
    return _largest[field.GetMTime()]
