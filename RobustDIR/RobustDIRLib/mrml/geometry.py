"""MRML's matrices and the library's grids; where a node's parent transforms put it in the world."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike, NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.mrml.nodes import PlacedNode
from RobustDIRLib.mrml.vtk_objects import Matrix, Transform

# Axes further from a right angle than this cosine are skewed: such voxels are resampled, as files cannot hold them.
_SKEW = 1e-4
_FLAT = 1e-6  # a matrix whose shortest way is so much shorter than its longest leaves nothing of one direction
_FACES = 25  # points along each side that tell how far a deformed volume reaches


def ijk_to_ras(grid: Grid) -> Matrix:
    """MRML's matrix of a grid, from voxel i, j, k (x, y, z) to mm, RAS."""
    axes = np.asarray(grid.direction) * np.asarray(grid.spacing)
    matrix: Matrix = slicer.util.vtkMatrixFromArray(square(swap_lps_ras(axes.T).T, swap_lps_ras(grid.origin)))
    return matrix


def grid_of_matrix(matrix: Array, shape: tuple[int, int, int]) -> Grid:
    """The grid of a 4x4 matrix from voxel i, j, k to mm, RAS, and of an array of shape `(z, y, x)`."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    direction = swap_lps_ras((matrix[:3, :3] / spacing).T).T
    return Grid(shape, tuple(spacing), tuple(swap_lps_ras(matrix[:3, 3])), tuple(map(tuple, direction)))


def square(three: Array, shift: ArrayLike = (0.0, 0.0, 0.0)) -> Array:
    """The 4x4 matrix of a 3x3 one and a shift."""
    four = np.eye(4)
    four[:3, :3], four[:3, 3] = three, shift
    return four


def is_skewed(matrix: Array) -> bool:
    """Whether the axes of a 4x4 matrix are not at right angles."""
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _SKEW)


def refuse_flat(node: PlacedNode, matrix: Array) -> None:
    """Refuse a 4x4 matrix that puts a node into a plane, or nowhere.

    Raises:
        InputError: Names the node.
    """
    ways = np.linalg.svd(matrix[:3, :3], compute_uv=False) if np.isfinite(matrix).all() else np.zeros(3)
    if ways[-1] <= _FLAT * ways[0]:
        raise InputError(
            f"{node.GetName()} is flattened, or put nowhere, by its axes or a transform above it; take that transform "
            "away or mend it."
        )


def matrix_to_world(node: PlacedNode) -> Array | None:
    """The 4x4 matrix, RAS mm, that a node's parent transforms come to; None if they are not linear.

    Raises:
        InputError: If it flattens the node.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    found = np.asarray(slicer.util.arrayFromVTKMatrix(matrix))
    refuse_flat(node, found)
    return found


def refuse_flattened(node: PlacedNode) -> None:
    """Refuse a node that the linear transforms above it bring onto a plane, where no distance is left.

    Raises:
        InputError: If they do.
    """
    matrix_to_world(node)


def transform_to_world(node: PlacedNode) -> Transform:
    """VTK's transform from a node's own RAS to world RAS; identity without parents."""
    transform: Transform = vtk.vtkGeneralTransform()
    if (parent := node.GetParentTransformNode()) is not None:
        parent.GetTransformToWorld(transform)
    return transform


def transform_from_world(node: PlacedNode) -> Transform:
    """VTK's transform from world RAS to a node's own RAS; identity without parents."""
    transform: Transform = vtk.vtkGeneralTransform()
    if (parent := node.GetParentTransformNode()) is not None:
        parent.GetTransformFromWorld(transform)
    return transform


def chained(*transforms: Transform) -> Transform:
    """VTK's transform that does some one after the other, the first one first."""
    general = vtk.vtkGeneralTransform()
    general.PostMultiply()
    for each in transforms:
        general.Concatenate(each)
    chain: Transform = general
    return chain


def moved(transform: Transform, points: NDArray[np.floating]) -> Array:
    """Where a VTK transform takes points `(N, 3)`."""
    before, after = vtk.vtkPoints(), vtk.vtkPoints()
    after.SetDataTypeToDouble()
    before.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
    transform.TransformPoints(before, after)
    return np.array(vtk_to_numpy(after.GetData()), dtype=np.float64).reshape(-1, 3)


def upright_grid(ijk_to_local: Array, to_world: Transform, shape: tuple[int, int, int]) -> Grid:
    """A grid at right angles over all of a skewed or deformed volume, with voxels of about the volume's own size.

    Args:
        ijk_to_local: 4x4, voxel i, j, k to the volume's own RAS.
        to_world: VTK's transform from there to world RAS, linear or not.
        shape: Of the volume, z, y, x.
    """
    steps = [np.linspace(-0.5, n - 0.5, min(n + 1, _FACES)) for n in shape[::-1]]
    ijk = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    points = moved(to_world, ijk @ ijk_to_local[:3, :3].T + ijk_to_local[:3, 3])
    # The matrix that comes closest to the deformed lattice, and the axes at right angles that come closest to it.
    fit = np.linalg.lstsq(np.column_stack([ijk, np.ones(len(ijk))]), points, rcond=None)[0][:3].T
    spacing = np.linalg.norm(fit, axis=0)
    left, _, right = np.linalg.svd(fit / spacing)
    axes = left @ right
    reach = points @ axes
    count = np.maximum(1, np.ceil((np.ptp(reach, axis=0)) / spacing - 1e-6)).astype(int)
    middle = (reach.min(axis=0) + reach.max(axis=0)) / 2
    origin = axes @ (middle - spacing * (count - 1) / 2)
    i, j, k = (int(n) for n in count)
    return grid_of_matrix(square(axes * spacing, origin), (k, j, i))
