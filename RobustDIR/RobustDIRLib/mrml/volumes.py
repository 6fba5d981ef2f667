"""Volume nodes as arrays on grids, and back.

Where the parents of a volume are linear and leave its axes at right angles, its voxels are taken as they are and only
their grid is moved. A skewed or deformed volume is resampled once, straight from its own voxels, onto an upright grid
that covers all of it: no file or network takes skewed voxels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.geometry import (
    grid_of_matrix,
    ijk_to_ras,
    is_skewed,
    matrix_to_world,
    transform_from_world,
    transform_to_world,
    upright_grid,
)

__all__ = ["Volume", "grid_of_volume", "ijk_to_ras", "resampled", "volume_from_node", "volume_to_node"]

_NARROW = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}


class Volume(NamedTuple):
    """Voxels and where they lie: `io.images.Image(*volume)` makes an image of them.

    Attributes:
        array: Shape `(z, y, x)`.
        grid: World, mm, LPS.
    """

    array: NDArray[Any]
    grid: Grid


def grid_of_volume(node: Any) -> Grid:
    """The grid in the world on which `volume_from_node` gives a volume.

    Raises:
        InputError: If the node is None or holds no voxels.
    """
    shape = _image(node).GetDimensions()[::-1]
    matrix = _placed(node)
    if matrix is not None:
        return grid_of_matrix(matrix, shape)
    return upright_grid(_own_matrix(node), transform_to_world(node), shape)


def volume_from_node(node: Any, grid: Grid | None = None, *, nearest: bool | None = None) -> Volume:
    """The voxels of a scalar volume or label map in the world, with all its parent transforms.

    Args:
        node: Scalar volume node.
        grid: Where to resample it; if not given, its own voxels, resampled only where they are skewed or deformed.
        nearest: Nearest voxel instead of linear interpolation; if not given, for label maps alone.
    Returns:
        The array shares the node's memory if nothing was resampled: copy it before changing either. Points outside the
        volume get its smallest value (air in CT), or 0 with `nearest`.
    Raises:
        InputError: If the node is None, holds no voxels, or more than one value a voxel.
    """
    image = _image(node)
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"{node.GetName()} has {image.GetNumberOfScalarComponents()} values a voxel (colours or vectors); select "
            "a volume with one."
        )
    matrix, shape = _placed(node), image.GetDimensions()[::-1]
    if grid is None and matrix is not None:
        return Volume(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape), grid_of_matrix(matrix, shape))
    if nearest is None:
        nearest = bool(node.IsA("vtkMRMLLabelMapVolumeNode"))
    grid = grid_of_volume(node) if grid is None else grid
    outside = 0.0 if nearest else image.GetScalarRange()[0]
    own = slicer.util.vtkMatrixFromArray(_own_matrix(node))
    return Volume(resampled((image, own, transform_from_world(node)), grid, nearest=nearest, outside=outside), grid)


def volume_to_node(volume: Volume, name: str, *, node: Any = None, labels: bool = False) -> Any:
    """Put voxels into a volume node in the world.

    Args:
        volume: Any real type; booleans become uint8 and half precision float32.
        name: Of a new node; made unique in the scene.
        node: Node to fill instead of a new one; it loses its parent transform, as the voxels lie in the world.
        labels: A label map volume instead of a scalar one.
    Returns:
        The node, with a display node; its memory is its own.
    """
    array, grid = volume
    array = np.ascontiguousarray(array, dtype=_NARROW.get(array.dtype, array.dtype.newbyteorder("=")))
    image = vtk.vtkImageData()
    image.SetDimensions(*grid.size)
    image.GetPointData().SetScalars(numpy_to_vtk(array.reshape(-1), deep=True))
    if node is None:
        kind = "vtkMRMLLabelMapVolumeNode" if labels else "vtkMRMLScalarVolumeNode"
        node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(name))
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(ijk_to_ras(grid))
        node.SetAndObserveImageData(image)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def resampled(placed: tuple[Any, Any, Any], grid: Grid, *, nearest: bool, outside: float) -> NDArray[Any]:
    """An image of VTK resampled onto a grid in the world, in its own type.

    Args:
        placed: The image, its matrix from i, j, k to its own RAS, and VTK's transform from world RAS to its own RAS.
        grid: Where the result lies.
        nearest: Nearest voxel instead of linear interpolation.
        outside: Value beyond half a voxel from the outer voxel centres.
    Returns:
        Shape of `grid`.
    """
    image, to_own, from_world = placed
    low = image.GetExtent()[::2]
    plain = vtk.vtkImageData()  # voxels counted from 0: extent, spacing and origin of the image are in the matrix
    plain.SetDimensions(*image.GetDimensions())
    plain.GetPointData().SetScalars(image.GetPointData().GetScalars())
    own_to_ijk = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(to_own, own_to_ijk)
    chain = vtk.vtkGeneralTransform()
    chain.PostMultiply()
    chain.Concatenate(ijk_to_ras(grid))
    chain.Concatenate(from_world)
    chain.Concatenate(own_to_ijk)
    chain.Translate(*[-n for n in low])
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(plain)
    reslice.SetResliceTransform(chain)
    reslice.SetOutputExtent(0, grid.size[0] - 1, 0, grid.size[1] - 1, 0, grid.size[2] - 1)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetInterpolationMode(vtk.VTK_RESLICE_NEAREST if nearest else vtk.VTK_RESLICE_LINEAR)
    reslice.SetBackgroundLevel(outside)
    reslice.Update()
    return np.array(vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars())).reshape(grid.shape)


def _image(node: Any) -> Any:
    if node is None:
        raise InputError("There is no volume; select one.")
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
        raise InputError(f"{node.GetName()} holds no voxels; load it again or select another volume.")
    return image


def _own_matrix(node: Any) -> NDArray[np.float64]:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.asarray(slicer.util.arrayFromVTKMatrix(matrix))


def _placed(node: Any) -> NDArray[np.float64] | None:
    """The matrix from i, j, k to world RAS, or None if the voxels cannot be taken as they are."""
    to_world = matrix_to_world(node)
    if to_world is None:
        return None
    matrix = to_world @ _own_matrix(node)
    return None if is_skewed(matrix) else matrix
