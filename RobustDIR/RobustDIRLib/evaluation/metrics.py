"""How good a registration is: landmark error, label overlap, and how regular the transform is.

Arrays are indexed `(z, y, x)`; points are in mm, LPS, components x, y, z. A point transform is any function that takes
points `(N, 3)` to points `(N, 3)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.geometry import Array, Grid, triples

PointTransform = Callable[[Array], Array]

# Where the transform folds its Jacobian determinant has no logarithm; this one stands for it, as in Learn2Reg.
_SMALLEST_DETERMINANT = 1e-9
_AT_ONCE = 1 << 18
_LARGEST_INDEX = (
    65535  # counting by index is far faster than sorting, but takes room for every number below the largest
)


def tre(mapped: Array, moving: Array) -> Array:
    """Target registration error of each landmark (section 2.4.2): its distance to where the transform has led.

    Args:
        mapped: Landmarks of the fixed image after the transform from fixed to moving, shape `(N, 3)`, mm.
        moving: The same landmarks in the moving image, in the same order, shape `(N, 3)`, mm.
    Returns:
        Shape `(N,)`, mm.
    Raises:
        InputError: If the shapes differ.
    """
    mapped, moving = np.asarray(mapped, dtype=np.float64), np.asarray(moving, dtype=np.float64)
    if mapped.shape != moving.shape or mapped.ndim != 2 or mapped.shape[1] != 3:
        raise InputError(f"landmarks must both be of shape (N, 3), not {mapped.shape} and {moving.shape}")
    return np.asarray(np.linalg.norm(moving - mapped, axis=1))


def dice_per_label(
    fixed: NDArray[np.integer], warped: NDArray[np.integer], labels: Iterable[int] | None = None
) -> dict[int, Measurement]:
    """Dice overlap `2 |A and B| / (|A| + |B|)` of each label.

    Args:
        fixed: Label map of the fixed image, shape `(z, y, x)`.
        warped: Label map of the moving image on the fixed grid, the same shape.
        labels: Which labels to compare; all but 0 that either map holds if not given.
    Returns:
        Overlap from 0 to 1 by label, in the order of `labels` or ascending; undefined where neither holds it.
    Raises:
        InputError: If the shapes differ.
    """
    fixed, warped = np.asarray(fixed), np.asarray(warped)
    if fixed.shape != warped.shape:
        raise InputError(f"label maps must be of one shape, not {fixed.shape} and {warped.shape}")
    in_fixed, in_warped = voxels_per_label(fixed), voxels_per_label(warped)
    in_both = voxels_per_label(fixed[fixed == warped])
    if labels is None:
        labels = sorted((in_fixed.keys() | in_warped.keys()) - {0})
    return {n: _dice(in_both.get(n, 0), in_fixed.get(n, 0) + in_warped.get(n, 0)) for n in labels}


def _dice(shared: int, total: int) -> Measurement:
    return Measurement.of(2 * shared / total) if total else Measurement.undefined(Reason.IN_NEITHER_MAP)


def voxels_per_label(labels: NDArray[np.integer]) -> dict[int, int]:
    """How many voxels a label map has of each value, 0 included, ascending."""
    if labels.size and labels.min() >= 0 and labels.max() <= _LARGEST_INDEX:
        counts = np.bincount(labels.ravel())
        values = np.flatnonzero(counts)
        return dict(zip(values.tolist(), counts[values].tolist(), strict=True))
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def sdlogj(jacobian: NDArray[np.floating], mask: NDArray[np.generic] | None = None) -> float:
    """Standard deviation of the logarithm of the Jacobian determinant (section 2.4.2): 0 for an affine transform.

    Args:
        jacobian: Jacobian determinant of the transform, any shape.
        mask: Where to look, non-zero inside, the same shape; everywhere if not given.
    Raises:
        InputError: If the mask is empty or of another shape, or a determinant inside is not finite.
    """
    inside = _inside(jacobian, mask)
    first = np.log(max(inside[0], _SMALLEST_DETERMINANT))
    total = squares = 0.0
    for start in range(0, inside.size, _AT_ONCE):  # a large CT's logarithms at once would take gigabytes
        logs = np.log(np.maximum(inside[start : start + _AT_ONCE], _SMALLEST_DETERMINANT)) - first
        total += float(logs.sum())
        squares += float(logs @ logs)
    return math.sqrt(max(squares - total**2 / inside.size, 0.0) / inside.size)


def folding_percent(jacobian: NDArray[np.floating], mask: NDArray[np.generic] | None = None) -> float:
    """Percentage of voxels whose Jacobian determinant is not positive (section 2.4.2): where the transform folds.

    Arguments and errors are those of `sdlogj`.
    """
    return float(100 * (_inside(jacobian, mask) <= 0).mean())


def _inside(jacobian: NDArray[np.floating], mask: NDArray[np.generic] | None) -> Array:
    values = np.asarray(jacobian, dtype=np.float64)
    if mask is not None:
        mask = np.asarray(mask) != 0
        if mask.shape != values.shape:
            raise InputError(f"the mask is of shape {mask.shape}, the Jacobian determinant of {values.shape}")
        values = values[mask]
    if not values.size:
        raise InputError("there is no voxel to measure: the mask is empty")
    # Not a number compares as neither folded nor sound, and would pass for sound.
    if not np.isfinite(values).all():
        raise InputError("the Jacobian determinant is not finite everywhere")
    return values.ravel()


def inverse_residual(points: Array, forward: PointTransform, inverse: PointTransform) -> Array:
    """How far each point is from where it started, after the transform and then its inverse.

    Args:
        points: Points of the fixed image, shape `(N, 3)`, mm.
        forward: From fixed to moving points.
        inverse: From moving to fixed points.
    Returns:
        Shape `(N,)`, mm.
    """
    points = triples(points, "points")
    return np.asarray(np.linalg.norm(inverse(forward(points)) - points, axis=-1))


def field_transform(field: NDArray[np.floating], grid: Grid) -> PointTransform:
    """The point transform of a displacement field, linear between voxels, constant beyond the outer ones.

    Args:
        field: Shape `(z, y, x, 3)`, mm, components x, y, z, LPS.
        grid: The field's grid.
    Raises:
        InputError: If the field is of another shape than its grid.
    """
    if field.shape != (*grid.shape, 3):
        raise InputError(f"a field of shape {field.shape} does not fill a grid of shape {grid.shape}")

    def transform(points: Array) -> Array:
        voxels = grid.voxels_from_points(points).T
        moved = [map_coordinates(field[..., c], voxels, order=1, mode="nearest", output=np.float64) for c in range(3)]
        return np.asarray(triples(points, "points") + np.stack(moved, axis=-1))

    return transform
