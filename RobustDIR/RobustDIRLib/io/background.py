"""NaN voxels that only say "outside": many programs write them around what they resampled or masked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from RobustDIRLib.errors import InputError


def filled(
    array: NDArray[np.float32], name: str, value: float | None = None
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """An image without NaN.

    Args:
        array: Shape `(z, y, x)`, no voxel infinite; NaN voxels are overwritten.
        name: Of the image, for messages.
        value: What they become; if not given, the image's smallest value, and only where NaN is exactly the outside.
    Returns:
        The array, and a sentence if anything was filled.
    Raises:
        InputError: If no value was given and NaN voxels lie inside the image, there are no others, or the value is not
            finite.
    """
    if value is not None and not abs(value) <= np.finfo(array.dtype).max:
        raise InputError(f"`fill_nan` is {value:g}; give a finite number.")
    missing = np.isnan(array)
    count = int(np.count_nonzero(missing))
    if not count:
        return array, ()
    if count == array.size:
        raise InputError(f"{name} has no voxel that is a number; check that it is the image you mean.")
    if value is None:
        inside = count - int(np.count_nonzero(reaching_the_border(missing)))
        if inside:
            raise InputError(
                f"{name} has {count} of {array.size} voxels that are NaN, {inside} of them inside the image; give "
                "`fill_nan` the value that they should have, or replace them by a number."
            )
        value = float(np.nanmin(array))
    array[missing] = value
    part = 100 * count / array.size
    return array, (f"{name} has {count} voxels that are NaN ({part:.1f} %); they were filled with {value:g}.",)


def reaching_the_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of a mask that are connected, face to face within it, to one on the border of the volume."""
    regions, _ = ndimage.label(mask)
    border = np.ones(mask.shape, bool)
    border[(slice(1, -1),) * mask.ndim] = False
    return np.asarray(mask & np.isin(regions, np.unique(regions[border & mask])))
