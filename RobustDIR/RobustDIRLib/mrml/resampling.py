"""Images of VTK on grids in the world, box by box, so that the application can answer between two boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.geometry import ijk_to_ras
from RobustDIRLib.mrml.vtk_objects import ImageData, Matrix, Transform

Box = tuple[slice, slice]  # along z and y; always whole along x

# Voxels that take about 20 ms: through a matrix, and through a transform that may have to be inverted by iteration.
_LINEAR_VOXELS, _BENT_VOXELS = 1 << 19, 1 << 14


def boxes(grid: Grid, voxels: int) -> Iterator[Box]:
    """A grid cut into boxes of at most so many voxels, or of one row along x where that is more."""
    nz, ny, nx = grid.shape
    rows = max(1, min(ny, voxels // nx))
    layers = max(1, voxels // (nx * ny))
    for z in range(0, nz, layers):
        for y in range(0, ny, rows):
            yield slice(z, min(z + layers, nz)), slice(y, min(y + rows, ny))


class Resampler:
    """An image of VTK on a grid in the world, in its own type.

    Args:
        placed: The image, its matrix from i, j, k to its own RAS, and VTK's transform from world RAS to its own RAS.
        grid: Where the result lies.
        nearest: Nearest voxel instead of linear interpolation.
        outside: Value beyond half a voxel from the outer voxel centres.
    """

    def __init__(
        self, placed: tuple[ImageData, Matrix, Transform], grid: Grid, *, nearest: bool, outside: float
    ) -> None:
        image, to_own, from_world = placed
        self._grid = grid
        chain, linear = _chain(grid, from_world, to_own, image.GetExtent()[::2])
        self.step_voxels = _LINEAR_VOXELS if linear else _BENT_VOXELS
        self._reslice = vtk.vtkImageReslice()
        self._reslice.SetInputData(_plain(image))
        self._reslice.SetResliceTransform(chain)
        self._reslice.SetOutputSpacing(1, 1, 1)
        self._reslice.SetOutputOrigin(0, 0, 0)
        self._reslice.SetInterpolationMode(vtk.VTK_RESLICE_NEAREST if nearest else vtk.VTK_RESLICE_LINEAR)
        self._reslice.SetBackgroundColor(outside, outside, outside, outside)

    def at(self, box: Box) -> NDArray[np.generic]:
        """The voxels of a box of the grid, `(z, y, x)`, or `(z, y, x, c)` of colours; valid until the next call."""
        z, y = box
        nx = self._grid.shape[2]
        self._reslice.SetOutputExtent(0, nx - 1, y.start, y.stop - 1, z.start, z.stop - 1)
        self._reslice.Update()
        voxels: NDArray[np.generic] = vtk_to_numpy(self._reslice.GetOutput().GetPointData().GetScalars())
        return voxels.reshape(z.stop - z.start, y.stop - y.start, nx, *voxels.shape[1:])

    def fill(self, array: NDArray[np.generic]) -> Iterator[None]:
        """Write all of it into an array of the grid's shape, a box between two yields."""
        for box in boxes(self._grid, self.step_voxels):
            array[box] = self.at(box)
            yield


def _plain(image: ImageData) -> ImageData:
    """The same voxels, counted from 0: extent, spacing and origin of an image are in its matrix."""
    plain = vtk.vtkImageData()
    plain.SetDimensions(*image.GetDimensions())
    plain.GetPointData().SetScalars(image.GetPointData().GetScalars())
    same: ImageData = plain
    return same


def _chain(grid: Grid, from_world: Transform, to_own: Matrix, low: tuple[int, ...]) -> tuple[Transform, bool]:
    """VTK's transform from a grid's i, j, k to an image's, counted from 0; and whether it is one of a matrix.

    A chain that comes to a matrix must be made one: VTK resamples by it in half the time or less.
    """
    own_to_ijk, matrix = vtk.vtkMatrix4x4(), vtk.vtkTransform()
    vtk.vtkMatrix4x4.Invert(to_own, own_to_ijk)
    linear = bool(slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(from_world, matrix))
    chain = vtk.vtkTransform() if linear else vtk.vtkGeneralTransform()
    chain.PostMultiply()
    chain.Concatenate(ijk_to_ras(grid))
    chain.Concatenate(matrix.GetMatrix() if linear else from_world)
    chain.Concatenate(own_to_ijk)
    chain.Translate(*[-n for n in low])
    return chain, linear


def dtype_of(image: ImageData) -> np.dtype[np.generic]:
    """NumPy's type of an image's voxels."""
    return values_of(image).dtype


def values_of(image: ImageData) -> NDArray[np.generic]:
    """An image's memory, x fastest: `(N,)`, or `(N, c)` of colours."""
    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars()))
