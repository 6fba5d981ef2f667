"""The TRE of a pair in a few figures, over all landmarks or those inside a mask."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.geometry import Array, Grid


@dataclass(frozen=True)
class ErrorSummary:
    """TRE of one pair, mm; undefined where there is no landmark or one error is not finite.

    Attributes:
        count: Landmarks.
        mean_mm: The subject's average of section 2.4.3.
        sd_mm: Standard deviation over the landmarks, of a sample; undefined for fewer than two.
        median_mm: Median.
        p95_mm: 95th percentile, linear between landmarks.
        max_mm: Largest.
    """

    count: int
    mean_mm: Measurement
    sd_mm: Measurement
    median_mm: Measurement
    p95_mm: Measurement
    max_mm: Measurement

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        measures = [field.name for field in fields(self) if field.name != "count"]
        return {"count": self.count, **{name: getattr(self, name).plain() for name in measures}}


def summarise_errors(errors: Array, inside: NDArray[np.bool_] | None = None) -> ErrorSummary:
    """Figures of the TRE of each landmark.

    Args:
        errors: As of `metrics.tre`, shape `(N,)`, mm.
        inside: Which landmarks to count, shape `(N,)`; all if not given.
    Raises:
        ValueError: If the shapes differ.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if inside is not None and np.shape(inside) != errors.shape:
        raise ValueError(f"there are {errors.size} errors, and it is said of {np.size(inside)} whether they count")
    if not errors.size:
        return _without(0, Reason.NO_LANDMARKS)
    counted = errors if inside is None else errors[np.asarray(inside, dtype=bool)]
    if not counted.size:
        return _without(0, Reason.NO_LANDMARK_INSIDE)
    if not np.isfinite(counted).all():
        return _without(counted.size, Reason.NOT_FINITE)
    spread = (
        Measurement.of(counted.std(ddof=1)) if counted.size > 1 else Measurement.undefined(Reason.TOO_FEW_LANDMARKS)
    )
    mean, *rest = map(Measurement.of, (counted.mean(), np.median(counted), np.percentile(counted, 95), counted.max()))
    return ErrorSummary(counted.size, mean, spread, *rest)


def _without(count: int, reason: Reason) -> ErrorSummary:
    return ErrorSummary(count, *[Measurement.undefined(reason)] * (len(fields(ErrorSummary)) - 1))


def inside_mask(points: ArrayLike, mask: NDArray[np.generic], grid: Grid) -> NDArray[np.bool_]:
    """Whether the voxel that each point lies in is inside a mask; points beyond the grid are not.

    Args:
        points: Shape `(N, 3)`, mm, LPS.
        mask: Non-zero inside, shape `(z, y, x)`.
        grid: Of the mask.
    Raises:
        ValueError: If mask and grid are of unlike shapes.
    """
    if mask.shape != grid.shape:
        raise ValueError(f"the mask is of shape {mask.shape}, the grid of {grid.shape}")
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    within = grid.contains(points)
    inside = np.zeros(len(points), bool)
    voxels = np.floor(grid.voxels_from_points(points[within]) + 0.5).astype(np.int64)
    nearest = np.clip(voxels, 0, np.array(grid.shape) - 1)  # a point on the far border rounds past the last voxel
    inside[within] = np.asarray(mask)[tuple(nearest.T)] != 0
    return inside
