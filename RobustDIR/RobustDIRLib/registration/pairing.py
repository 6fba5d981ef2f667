"""Hints that two lists of landmarks are no pairs as they were given: another order, another frame, or other places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from RobustDIRLib.geometry import Array, swap_lps_ras
from RobustDIRLib.io.displacements import apply_to_points

# A hint is given where another reading leaves at most this share of the error, and where there is an error to explain.
_SHARE, _LEAST_MM = 1 / 3, 3.0
_WORSE = 1.5
_FEW, _MANY = 4, 2000  # an order can be told of so many landmarks; an assignment takes the cube of their number


def hints_of(transform: sitk.Transform, fixed: Array, moving: Array) -> list[str]:
    """`pairing_hints` of landmarks under a transform from fixed to moving points, mm, LPS."""
    mapped, remapped = (apply_to_points(transform, points) for points in (fixed, swap_lps_ras(fixed)))
    return pairing_hints(fixed, moving, mapped, remapped)


def pairing_hints(fixed: Array, moving: Array, mapped: Array, remapped: Array) -> list[str]:
    """Sentences for the user where landmarks do not look like pairs; none for most lists.

    Args:
        fixed: Landmarks of the fixed image, shape `(N, 3)`, mm, LPS.
        moving: Those of the moving image, row by row the same places.
        mapped: `fixed` through the transform.
        remapped: `fixed`, read in the other frame (x and y change sign), through the transform.
    """
    before, after = _mean(fixed, moving), _mean(mapped, moving)
    hints = []
    if after > _WORSE * before and after - before > _LEAST_MM:
        hints.append(
            f"the landmarks' error after registration ({after:.1f} mm on average) is far above the one before "
            f"({before:.1f} mm); check that both lists are of these images, in mm, LPS and row by row, and look at the "
            f"result."
        )
    if after > _LEAST_MM:
        error, what = min(_readings(moving, mapped, remapped))
        if error < _SHARE * after:
            hints.append(
                f"the landmarks would fit far better {what}; they were taken as they are, so correct the files if so."
            )
    return hints


def _readings(moving: Array, mapped: Array, remapped: Array) -> Iterator[tuple[float, str]]:
    """Mean errors, mm, of other readings, and how to say each."""
    turned = swap_lps_ras(moving)
    yield _mean(mapped, turned), "with x and y of the moving ones changed in sign (RAS instead of LPS)"
    yield _mean(remapped, moving), "with x and y of the fixed ones changed in sign (RAS instead of LPS)"
    yield _mean(remapped, turned), "with x and y of both lists changed in sign (RAS instead of LPS)"
    if _FEW <= len(moving) <= _MANY:
        distances = cdist(mapped, moving)
        rows, columns = linear_sum_assignment(distances)
        yield float(distances[rows, columns].mean()), "in another order of the rows"


def _mean(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first - second, axis=-1).mean())
