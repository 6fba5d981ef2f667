"""How regular and invertible a transform is, inside a mask and by organ: folding, SDlogJ, inverse consistency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.metrics import PointTransform, folding_percent, inverse_residual, sdlogj
from RobustDIRLib.evaluation.surfaces import label_boxes
from RobustDIRLib.geometry import Grid

# By the names of `measures.MEASURES`: what is measured of determinants, whatever their shape, all finite.
OF_JACOBIAN: dict[str, Callable[[NDArray[np.floating]], float]] = {
    "folding_percent": folding_percent,
    "sdlogj": sdlogj,
}


@dataclass(frozen=True)
class Regularity:
    """What the Jacobian determinant tells of some voxels.

    Attributes:
        voxels: How many they are.
        values: By the names of `OF_JACOBIAN`.
    """

    voxels: int
    values: Mapping[str, Measurement]

    @property
    def folding_percent(self) -> Measurement:
        """Of how many the determinant is not positive."""
        return self.values["folding_percent"]

    @property
    def sdlogj(self) -> Measurement:
        """Standard deviation of its logarithm."""
        return self.values["sdlogj"]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"voxels": self.voxels, **{name: one.plain() for name, one in self.values.items()}}


def regularity(jacobian: NDArray[np.floating], mask: NDArray[np.generic] | None = None) -> Regularity:
    """Folding and SDlogJ (section 2.4.2) inside a mask, with a reason where it is empty or something is not finite.

    Args:
        jacobian: Jacobian determinant of the transform, any shape.
        mask: Where to look, non-zero inside, the same shape; everywhere if not given.
    Raises:
        InputError: If the shapes differ.
    """
    if mask is not None and mask.shape != jacobian.shape:
        raise InputError(f"the mask is of shape {mask.shape}, the Jacobian determinant of {jacobian.shape}")
    values = jacobian.ravel() if mask is None else jacobian[np.asarray(mask) != 0]
    reason = None if values.size else Reason.EMPTY_MASK
    if values.size and not np.isfinite(values).all():
        reason = Reason.NOT_FINITE
    if reason is not None:
        return Regularity(values.size, dict.fromkeys(OF_JACOBIAN, Measurement.undefined(reason)))
    return Regularity(values.size, {name: Measurement.of(measure(values)) for name, measure in OF_JACOBIAN.items()})


def regularity_per_label(
    jacobian: NDArray[np.floating], organs: NDArray[np.integer], labels: Iterable[int] | None = None
) -> dict[int, Regularity]:
    """Folding and SDlogJ of each organ.

    Args:
        jacobian: Jacobian determinant on the fixed grid, shape `(z, y, x)`.
        organs: Label map of the fixed image, the same shape.
        labels: Which ones; all but 0 that the map holds if not given.
    Returns:
        By label, in the order of `labels` or ascending; undefined as `EMPTY_MASK` where the map does not hold it.
    Raises:
        InputError: If the shapes differ.
    """
    if jacobian.shape != organs.shape:
        raise InputError(f"the label map is of shape {organs.shape}, the Jacobian determinant of {jacobian.shape}")
    boxes = label_boxes(organs)
    wanted = sorted(boxes.keys() - {0}) if labels is None else [int(n) for n in labels]
    nowhere = (slice(0),) * organs.ndim
    found = {}
    for label in wanted:
        box = boxes.get(label, nowhere)
        found[label] = regularity(jacobian[box], organs[box] == label)
    return found


@dataclass(frozen=True)
class InverseConsistency:
    """Distance of points from where a transform and then its inverse lead them, mm.

    Attributes:
        points: How many there were.
        mean_mm: Mean.
        p95_mm: 95th percentile.
        max_mm: Largest.
    """

    points: int
    mean_mm: Measurement
    p95_mm: Measurement
    max_mm: Measurement

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        measures = {name: getattr(self, name).plain() for name in ("mean_mm", "p95_mm", "max_mm")}
        return {"points": self.points, **measures}


def inverse_consistency(
    grid: Grid,
    forward: PointTransform,
    inverse: PointTransform | None,
    *,
    mask: NDArray[np.generic] | None = None,
    most_points: int = 200_000,
) -> InverseConsistency:
    """`|T^-1(T(x)) - x|` over the voxels of the fixed grid, inside a mask.

    Args:
        grid: Of the fixed image.
        forward: From fixed to moving points, mm, LPS.
        inverse: From moving to fixed points; None if the method gives none.
        mask: Where to look, non-zero inside, of the grid's shape; everywhere if not given.
        most_points: Of more voxels than this, so many at even steps stand for all.
    Raises:
        InputError: If the mask is of another shape.
    """
    if mask is not None and mask.shape != grid.shape:
        raise InputError(f"the mask is of shape {mask.shape}, the grid of {grid.shape}")
    voxels = np.arange(np.prod(grid.shape)) if mask is None else np.flatnonzero(np.asarray(mask))
    if inverse is None or not voxels.size:
        nothing = Measurement.undefined(Reason.NO_INVERSE if inverse is None else Reason.EMPTY_MASK)
        return InverseConsistency(0, nothing, nothing, nothing)
    count = min(voxels.size, most_points)
    voxels = voxels[np.linspace(0, voxels.size - 1, count).round().astype(np.int64)]
    points = grid.points_from_voxels(np.stack(np.unravel_index(voxels, grid.shape), axis=-1))
    residual = inverse_residual(points, forward, inverse)
    figures = (residual.mean(), np.percentile(residual, 95), residual.max())
    return InverseConsistency(count, *map(Measurement.of, figures))
