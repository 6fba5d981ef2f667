"""SciPy's filters of volumes along each axis, on as many threads as ITK uses.

SciPy uses one, and large CTs take seconds. Every line is filtered by itself, so that threads change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.floating]
LineFilter = Callable[..., Any]


def gaussian(array: Volume, sigmas: Sequence[float], *, truncate: float = 4.0) -> Volume:
    """A volume convolved with a Gaussian, its border values continued.

    Args:
        array: Shape `(D, H, W)`.
        sigmas: Along z, y, x, voxels; 0 leaves an axis as it is.
        truncate: Sigmas at which the Gaussian ends.
    """
    one = partial(ndimage.gaussian_filter1d, mode="nearest", truncate=truncate)
    return _along_axes(array, {axis: partial(one, sigma=sigma) for axis, sigma in enumerate(sigmas) if sigma > 0})


def spline_coefficients(array: Volume) -> Volume:
    """Coefficients of the cubic B-splines through the voxels `(D, H, W)`, mirrored at the border as ITK has it."""
    return _along_axes(array, dict.fromkeys(range(3), partial(ndimage.spline_filter1d, order=3, mode="mirror")))


def _along_axes(array: Volume, filters: dict[int, LineFilter]) -> Volume:
    """Filtered along one axis after the other; the volume itself stays as it is."""
    threads = int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
    found = np.empty(array.shape, np.result_type(array, np.float32))  # SciPy knows no half precision
    source = array.astype(found.dtype, copy=False)
    with ThreadPoolExecutor(threads) as pool:
        for axis, along in filters.items():
            across = 1 if axis == 0 else 0
            parts = (np.array_split(one, threads, across) for one in (source, found))
            list(pool.map(partial(_filtered, along, axis), *parts))
            source = found  # from the second axis on in place
    return found if filters else array


def _filtered(along: LineFilter, axis: int, source: Volume, target: Volume) -> None:
    if source.size:
        along(source, axis=axis, output=target)
