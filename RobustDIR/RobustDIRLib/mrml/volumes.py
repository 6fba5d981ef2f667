"""Volume nodes as arrays on grids, and back.

Where the parents of a volume are linear and leave its axes at right angles, its voxels are taken as they are and only
their grid is moved. A skewed or deformed volume is resampled once, straight from its own voxels, onto an upright grid
that covers all of it: no file or network takes skewed voxels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import slicer
import vtk
from numpy.typing import DTypeLike, NDArray
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk, vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.mrml.geometry import (
    grid_of_matrix,
    ijk_to_ras,
    is_skewed,
    matrix_to_world,
    refuse_flat,
    transform_from_world,
    transform_to_world,
    upright_grid,
)
from RobustDIRLib.mrml.nodes import VolumeNode
from RobustDIRLib.mrml.resampling import Resampler, dtype_of, values_of
from RobustDIRLib.mrml.vtk_objects import ImageData
from RobustDIRLib.values import Image

__all__ = ["begin_volume", "grid_of_volume", "ijk_to_ras", "volume_from_node", "volume_to_node"]

_NARROW = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32}


def grid_of_volume(node: VolumeNode) -> Grid:
    """The grid in the world on which `volume_from_node` gives a volume.

    Raises:
        InputError: If the node is None, holds no voxels, or is flattened by a transform.
    """
    shape = image_of(node).GetDimensions()[::-1]
    matrix = _placed(node)
    if matrix is not None:
        return grid_of_matrix(matrix, shape)
    return upright_grid(_own_matrix(node), transform_to_world(node), shape)


def volume_from_node(node: VolumeNode, grid: Grid | None = None, *, nearest: bool | None = None) -> Image:
    """The voxels of a scalar volume or label map in the world, with all its parent transforms.

    Args:
        node: Scalar volume node.
        grid: Where to resample it; if not given, its own voxels, resampled only where they are skewed or deformed.
        nearest: Nearest voxel instead of linear interpolation; if not given, for label maps alone.
    Returns:
        The array shares the node's memory if nothing was resampled: copy it before changing either. Points outside the
        volume get its smallest value (air in CT), or 0 with `nearest`.
    Raises:
        InputError: If the node is None, holds no voxels, or more than one value a voxel, or is flattened.
    """
    volume, filling = begin_volume(node, grid, nearest=nearest)
    for _ in filling:
        pass
    return volume


def begin_volume(
    node: VolumeNode, grid: Grid | None = None, *, nearest: bool | None = None
) -> tuple[Image, Iterator[None]]:
    """As `volume_from_node`, in steps of a few hundredths of a second.

    Returns:
        The volume, whose voxels are there once the iterator beside it has come to its end.
    """
    image = image_of(node)
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f"{node.GetName()} has {image.GetNumberOfScalarComponents()} values a voxel (colours or vectors); select "
            "a volume with one."
        )
    matrix, shape = _placed(node), image.GetDimensions()[::-1]
    if grid is None and matrix is not None:
        return Image(values_of(image).reshape(shape), grid_of_matrix(matrix, shape)), iter(())
    if nearest is None:
        nearest = bool(node.IsA("vtkMRMLLabelMapVolumeNode"))
    grid = grid_of_volume(node) if grid is None else grid
    outside = 0.0 if nearest else float(np.fmin.reduce(values_of(image)))  # VTK's own range takes ten times as long
    placed = image, slicer.util.vtkMatrixFromArray(_own_matrix(node)), transform_from_world(node)
    array = np.empty(grid.shape, dtype_of(image))
    return Image(array, grid), Resampler(placed, grid, nearest=nearest, outside=outside).fill(array)


def volume_to_node(volume: Image, name: str, *, node: VolumeNode | None = None, labels: bool = False) -> VolumeNode:
    """Put voxels into a volume node in the world.

    Args:
        volume: Any real type; booleans become uint8 and half precision float32.
        name: Of a new node; made unique in the scene.
        node: Node to fill instead of a new one; it loses its parent transform, as the voxels lie in the world.
        labels: A label map volume instead of a scalar one.
    Returns:
        The node, with a display node; its memory is its own.
    """
    array, grid = volume.array, volume.grid
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


def empty_image(grid: Grid, dtype: DTypeLike, components: int = 1) -> tuple[ImageData, NDArray[np.generic]]:
    """An image of VTK for a node to hold, and its voxels, to be filled without a copy.

    Args:
        grid: Its size; where it lies is the node's, or the transform's, to say.
        dtype: Of a component.
        components: Of a voxel.
    Returns:
        The image, and its memory as an array `(z, y, x)`, or `(z, y, x, c)` for several components.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(*grid.size)
    image.AllocateScalars(get_vtk_array_type(dtype), components)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    return image, voxels.reshape(grid.shape if components == 1 else (*grid.shape, components))


def image_of(node: VolumeNode | None) -> ImageData:
    """The voxels of a volume.

    Raises:
        InputError: If there are none.
    """
    if node is None:
        raise InputError("There is no volume; select one.")
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
        raise InputError(f"{node.GetName()} holds no voxels; load it again or select another volume.")
    return image


def _own_matrix(node: VolumeNode) -> NDArray[np.float64]:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.asarray(slicer.util.arrayFromVTKMatrix(matrix))


def _placed(node: VolumeNode) -> NDArray[np.float64] | None:
    """The matrix from i, j, k to world RAS, or None if the voxels cannot be taken as they are."""
    to_world = matrix_to_world(node)
    if to_world is None:
        return None
    matrix = to_world @ _own_matrix(node)
    refuse_flat(node, matrix)
    return None if is_skewed(matrix) else matrix
