"""The TRE of a pair in a few figures, over all landmarks or those inside a mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.measures import NEAR_MM
from RobustDIRLib.geometry import Array, Grid, triples

# By the names of `measures.MEASURES`: what is measured of the TRE of a pair's landmarks, `(N,)`, mm, at least one.
OF_LANDMARKS: dict[str, Callable[[Array], float]] = {
    "tre_mean_mm": lambda errors: float(errors.mean()),
    "tre_median_mm": lambda errors: float(np.median(errors)),
    "tre_p95_mm": lambda errors: float(np.percentile(errors, 95)),
    "tre_max_mm": lambda errors: float(errors.max()),
    "tre_near_percent": lambda errors: 100 * float((errors < NEAR_MM).mean()),
}


@dataclass(frozen=True)
class ErrorSummary:
    """TRE of one pair, mm; undefined where there is no landmark or one error is not finite.

    Attributes:
        count: Landmarks.
        values: By the names of `OF_LANDMARKS`.
        sd_mm: Standard deviation over the landmarks, of a sample; undefined for fewer than two.
    """

    count: int
    values: Mapping[str, Measurement]
    sd_mm: Measurement

    @property
    def mean_mm(self) -> Measurement:
        """The subject's average of section 2.4.3."""
        return self.values["tre_mean_mm"]

    @property
    def median_mm(self) -> Measurement:
        """Median."""
        return self.values["tre_median_mm"]

    @property
    def p95_mm(self) -> Measurement:
        """95th percentile, linear between landmarks."""
        return self.values["tre_p95_mm"]

    @property
    def max_mm(self) -> Measurement:
        """Largest."""
        return self.values["tre_max_mm"]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        names = ("mean_mm", "sd_mm", "median_mm", "p95_mm", "max_mm")
        return {"count": self.count, **{name: getattr(self, name).plain() for name in names}}


def summarise_errors(errors: Array, inside: NDArray[np.bool_] | None = None) -> ErrorSummary:
    """Figures of the TRE of each landmark.

    Args:
        errors: As of `metrics.tre`, shape `(N,)`, mm.
        inside: Which landmarks to count, shape `(N,)`; all if not given.
    Raises:
        InputError: If the shapes differ.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if inside is not None and np.shape(inside) != errors.shape:
        raise InputError(f"there are {errors.size} errors, and it is said of {np.size(inside)} whether they count")
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
    return ErrorSummary(counted.size, {name: Measurement.of(of(counted)) for name, of in OF_LANDMARKS.items()}, spread)


def _without(count: int, reason: Reason) -> ErrorSummary:
    nothing = Measurement.undefined(reason)
    return ErrorSummary(count, dict.fromkeys(OF_LANDMARKS, nothing), nothing)


def tre_spread(errors: ArrayLike) -> dict[str, float]:
    """Every measure of `OF_LANDMARKS` of landmarks that all count.

    Args:
        errors: At least one, mm. One that is not a number leaves none of the figures a number.
    """
    values = np.asarray(errors, dtype=np.float64)
    if np.isnan(values).any():
        return dict.fromkeys(OF_LANDMARKS, math.nan)
    return {name: of(values) for name, of in OF_LANDMARKS.items()}


def inside_mask(points: ArrayLike, mask: NDArray[np.generic], grid: Grid) -> NDArray[np.bool_]:
    """Whether the voxel that each point lies in is inside a mask; points beyond the grid are not.

    Args:
        points: Shape `(N, 3)`, mm, LPS.
        mask: Non-zero inside, shape `(z, y, x)`.
        grid: Of the mask.
    Raises:
        InputError: If mask and grid are of unlike shapes.
    """
    if mask.shape != grid.shape:
        raise InputError(f"the mask is of shape {mask.shape}, the grid of {grid.shape}")
    points = triples(points, "points").reshape(-1, 3)
    within = grid.contains(points)
    inside = np.zeros(len(points), bool)
    voxels = np.floor(grid.voxels_from_points(points[within]) + 0.5).astype(np.int64)
    nearest = np.clip(voxels, 0, np.array(grid.shape) - 1)  # a point on the far border rounds past the last voxel
    inside[within] = np.asarray(mask)[tuple(nearest.T)] != 0
    return inside
