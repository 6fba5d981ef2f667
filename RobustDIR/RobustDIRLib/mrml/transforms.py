"""Transforms of a registration as transform nodes, and what a node's transform does to points and grids.

A registration takes fixed points to moving points, which is what resampling needs and what MRML calls FromParent. So a
node filled here brings the MOVING volume (or landmarks, segments, models) onto the fixed one when it is put above them.
The inverse, moving to fixed, is a node of its own, filled the same way, for what belongs to the FIXED volume: of one
node MRML keeps one direction, and finds the other by iteration, good to about 0.01 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from numpy.typing import ArrayLike
from vtk.util.numpy_support import numpy_to_vtk

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array, Grid, swap_lps_ras
from RobustDIRLib.mrml.geometry import chained, moved, square
from RobustDIRLib.mrml.nodes import TransformNode
from RobustDIRLib.mrml.vtk_objects import GridTransform, ImageData, Transform
from RobustDIRLib.values import DisplacementField

if TYPE_CHECKING:
    import SimpleITK as sitk

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def transform_from_parts(
    parts: Sequence[DisplacementField | Array], name: str, *, node: TransformNode | None = None
) -> TransformNode:
    """Put a transform into the FromParent of a transform node.

    Args:
        parts: Displacement fields and 4x4 matrices (mm, LPS), in the order in which they act on a point. One field or
            one matrix makes a grid or linear transform node; several a composite one.
        name: Of a new node; made unique in the scene.
        node: Node to fill instead of a new one; it loses its parent transform.
    Returns:
        The node. Fields are linear between voxels, as in ITK; beyond their grid they go on with their border values.
    Raises:
        InputError: If a linear transform node is to take a field.
        ValueError: If there are no parts.
    """
    if not len(parts):
        raise ValueError("a transform has at least one part")
    only = parts[0] if len(parts) == 1 else None
    if node is None:
        kind = "" if only is None else "Grid" if isinstance(only, DisplacementField) else "Linear"
        unique = slicer.mrmlScene.GenerateUniqueName(name)
        node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}TransformNode", unique)
    if node.IsA("vtkMRMLLinearTransformNode") and any(isinstance(part, DisplacementField) for part in parts):
        raise InputError(f"{node.GetName()} takes linear transforms only; select or create another output transform.")
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveTransformFromParent(_vtk_part(only) if only is not None else _composite(parts))
    return node


def interpolate_linearly(node: TransformNode) -> None:
    """Make a grid transform node linear between its voxels again: one that was saved and loaded is cubic."""
    grid = node.GetTransformFromParentAs("vtkOrientedGridTransform", False, True)
    if grid is not None and grid.GetInterpolationMode() != vtk.VTK_LINEAR_INTERPOLATION:
        grid.SetInterpolationModeToLinear()


def itk_parts(transform: sitk.Transform) -> list[DisplacementField | Array]:
    """The parts of an ITK transform in the order in which they act, for `transform_from_parts`.

    Args:
        transform: SimpleITK transform: linear ones, displacement fields, and composites of them; mm, LPS.
    Raises:
        InputError: If a part is of another kind.
    """
    own = transform.Downcast()
    kind = own.GetName()
    if kind == "CompositeTransform":
        inner = [own.GetNthTransform(n) for n in reversed(range(own.GetNumberOfTransforms()))]
        return [part for each in inner for part in itk_parts(each)]
    if kind == "DisplacementFieldTransform":
        return [_itk_field(own.GetDisplacementField())]
    if not own.IsLinear():
        raise InputError(f"A transform of the kind {kind} cannot be shown; sample it as a displacement field.")
    origin = np.array(own.TransformPoint((0.0, 0.0, 0.0)))
    axes = np.array([own.TransformPoint(tuple(axis)) for axis in np.eye(3).tolist()]).T - origin[:, None]
    return [square(axes, origin)]


def transform_points(node: TransformNode, points: ArrayLike, *, inverse: bool = False) -> Array:
    """Where a transform node, with its parents, takes fixed points; moving ones with `inverse`.

    Args:
        node: Transform node.
        points: Shape `(N, 3)`, mm, LPS.
        inverse: The other direction, which MRML finds by iteration unless it is the one that the node keeps.
    Returns:
        Shape `(N, 3)`, mm, LPS.
    """
    transform = vtk.vtkGeneralTransform()
    if inverse:
        node.GetTransformToWorld(transform)
    else:
        node.GetTransformFromWorld(transform)
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return swap_lps_ras(moved(transform, swap_lps_ras(points)))


def fill_grid_transform(node: TransformNode, image: ImageData, grid: Grid) -> None:
    """Put a field of displacements into the FromParent of a grid transform node, linear between its voxels.

    Args:
        node: Grid transform node; it loses its parent transform, as a field is of the world.
        image: Image of VTK of three components: the displacement in mm, **RAS**; it becomes the node's.
        grid: Where it lies, mm, LPS.
    """
    with slicer.util.NodeModify(node):
        node.SetAndObserveTransformNodeID(None)
        node.SetAndObserveTransformFromParent(_placed(image, grid))


def _itk_field(image: sitk.Image) -> DisplacementField:
    import SimpleITK as sitk

    direction = tuple(map(tuple, np.array(image.GetDirection()).reshape(3, 3)))
    grid = Grid(image.GetSize()[::-1], image.GetSpacing(), image.GetOrigin(), direction)
    return DisplacementField(sitk.GetArrayFromImage(image), grid)


def _composite(parts: Sequence[DisplacementField | Array]) -> Transform:
    return chained(*map(_vtk_part, parts))


def _vtk_part(part: DisplacementField | Array) -> Transform:
    if isinstance(part, DisplacementField):
        return _grid_transform(part)
    transform = vtk.vtkTransform()
    transform.SetMatrix(slicer.util.vtkMatrixFromArray(_LPS_RAS @ np.asarray(part) @ _LPS_RAS))
    linear: Transform = transform
    return linear


def _grid_transform(field: DisplacementField) -> GridTransform:
    array, grid = field.array, field.grid
    vectors = np.ascontiguousarray(array, dtype=np.float32) * swap_lps_ras(np.ones(3)).astype(np.float32)
    image = vtk.vtkImageData()
    image.SetDimensions(*grid.size)
    image.GetPointData().SetScalars(numpy_to_vtk(vectors.reshape(-1, 3), deep=True))
    return _placed(image, grid)


def _placed(image: ImageData, grid: Grid) -> GridTransform:
    """The transform of an image of displacements, mm, RAS, where a grid lies."""
    image.SetSpacing(*grid.spacing)
    image.SetOrigin(*swap_lps_ras(grid.origin))
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(image)
    transform.SetGridDirectionMatrix(
        slicer.util.vtkMatrixFromArray(square(swap_lps_ras(np.asarray(grid.direction).T).T))
    )
    transform.SetInterpolationModeToLinear()
    placed: GridTransform = transform
    return placed
