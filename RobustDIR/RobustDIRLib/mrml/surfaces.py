"""Closed surfaces as voxels, slice by slice, so that the application can answer between two slices.

Slicer's own converter takes seconds for a large surface and keeps the application waiting for as long.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.mrml.geometry import moved
from RobustDIRLib.mrml.vtk_objects import PolyData, Transform

_POINTS = 1 << 14  # that a bent transform takes in about 20 ms
_TRIANGLES = 1 << 17  # sorted in about 20 ms


def fill_surface(
    array: NDArray[np.generic], value: int, surface: PolyData | None, to_world: Transform, grid: Grid
) -> Iterator[None]:
    """Write a value to all voxels whose centres lie within a closed surface, a slice between two yields.

    Args:
        array: Voxels of the grid, `(z, y, x)`; changed.
        value: What to write.
        surface: VTK's polygonal data of triangles or other polygons; one that is open or empty may fill nothing.
        to_world: VTK's transform from the surface's own RAS to world RAS, mm.
        grid: Where the voxels lie.
    """
    triangles = _triangles(surface)
    if surface is None or not len(triangles):
        return
    points = np.empty((surface.GetNumberOfPoints(), 3))
    own = vtk_to_numpy(surface.GetPoints().GetData())
    for start in range(0, len(points), _POINTS):
        part = slice(start, start + _POINTS)
        world = swap_lps_ras(moved(to_world, own[part]))
        points[part] = grid.voxels_from_points(world)[:, ::-1]  # VTK's order: x, y, z
        yield
    lowest, highest = np.empty(len(triangles)), np.empty(len(triangles))
    for start in range(0, len(triangles), _TRIANGLES):
        part = slice(start, start + _TRIANGLES)
        heights = points[:, 2][triangles[part]]
        lowest[part], highest[part] = heights.min(axis=1), heights.max(axis=1)
        yield
    first, last = max(0, int(np.ceil(lowest.min()))), min(grid.shape[0] - 1, int(np.floor(highest.max())))
    for z in range(first, last + 1):
        crossing = triangles[(lowest <= z) & (highest >= z)]
        if len(crossing):
            array[z][_slice_mask(points, crossing, z, grid)] = value
        yield


def _triangles(surface: PolyData | None) -> NDArray[np.integer]:
    """Points of each triangle, `(N, 3)`; other polygons and strips are cut into triangles."""
    if surface is None:
        return np.empty((0, 3), np.int64)
    cells = surface.GetPolys()
    count = cells.GetNumberOfCells()
    if surface.GetNumberOfStrips() or cells.GetNumberOfConnectivityIds() != 3 * count or cells.GetMaxCellSize() > 3:
        cut = vtk.vtkTriangleFilter()
        cut.PassVertsOff()
        cut.PassLinesOff()
        cut.SetInputData(surface)
        cut.Update()
        cells = cut.GetOutput().GetPolys()
    return np.asarray(vtk_to_numpy(cells.GetConnectivityArray())).reshape(-1, 3)


def _slice_mask(points: Array, triangles: NDArray[np.integer], z: int, grid: Grid) -> NDArray[np.bool_]:
    """Whether the voxels `(y, x)` of a slice lie within, from the triangles that reach it; points are in voxels."""
    used, places = np.unique(triangles, return_inverse=True)
    part = vtk.vtkPolyData()
    part.SetPoints(vtk.vtkPoints())
    part.GetPoints().SetData(numpy_to_vtk(points[used], deep=True))
    cells = vtk.vtkCellArray()
    cells.SetData(3, numpy_to_vtkIdTypeArray(places.reshape(-1).astype(np.int64), deep=True))
    part.SetPolys(cells)
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(part)
    extent = (0, grid.shape[2] - 1, 0, grid.shape[1] - 1, z, z)
    stencil.SetOutputWholeExtent(extent)
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    voxels = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
    return np.asarray(voxels.reshape(grid.shape[1:]) > 0)
