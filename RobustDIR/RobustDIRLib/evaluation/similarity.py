"""How alike the fixed and the warped image look: SSIM, NCC, NMI; undefined where an image is constant or not finite.

Images are arrays `(z, y, x)` of one shape, in any unit. A mask of that shape says where to look, non-zero inside;
everywhere if not given. A high similarity alone does not make a registration right: an irregular transform can make any
two images alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from skimage.measure import block_reduce
from skimage.metrics import structural_similarity

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.information import normalised_mutual_information
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.geometry import Array

RealArray = NDArray[np.number[Any]]
Mask = NDArray[np.generic] | None

_SLAB_VOXELS = 3_000_000  # at a time for SSIM, which needs about 120 bytes for each
_LEVELS = 3


@dataclass(frozen=True)
class Compared:
    """Two images to be measured by how alike they look.

    Attributes:
        fixed: Fixed image, `(z, y, x)`, in its own unit.
        warped: Moving image on the fixed grid, in its own unit.
        mask: Where to look.
        scaled: Both with the preset's lowest and highest intensity at 0 and 1: the unit of MRI is arbitrary, and SSIM,
            unlike the others, compares intensities as they are.
        window: Of SSIM.
    """

    fixed: RealArray
    warped: RealArray
    mask: Mask
    scaled: tuple[RealArray, RealArray]
    window: int

    def values(self) -> dict[str, Measurement]:
        """Every measure of `OF_IMAGES` by name."""
        return {name: measure(self) for name, measure in OF_IMAGES.items()}


def ncc(fixed: RealArray, warped: RealArray, mask: Mask = None) -> Measurement:
    """Normalised cross-correlation inside a mask: Pearson's coefficient, from -1 to 1.

    Raises:
        InputError: If the shapes differ.
    """
    values = _inside(fixed, warped, mask)
    if isinstance(values, Reason):
        return Measurement.undefined(values)
    a, b = (v - v.mean() for v in values)
    return Measurement.of(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def nmi(fixed: RealArray, warped: RealArray, mask: Mask = None, *, bins: int = 64) -> Measurement:
    """Normalised mutual information inside a mask, `(H(A) + H(B)) / H(A, B)` (Studholme 1999), from 1 to 2.

    Args:
        fixed: Fixed image.
        warped: Moving image on the fixed grid.
        mask: Where to look.
        bins: Of equal width for each image, from its smallest to its largest value inside the mask.
    Raises:
        InputError: If the shapes differ, or there are fewer than two bins.
    """
    if bins < 2:
        raise InputError(f"`bins` is {bins}; give 2 or more")
    values = _inside(fixed, warped, mask)
    if isinstance(values, Reason):
        return Measurement.undefined(values)
    a, b = (_binned(v, bins) for v in values)
    joint = np.bincount(a * bins + b, minlength=bins * bins).reshape(bins, bins)
    return Measurement.of(normalised_mutual_information(joint))


def multiscale_nmi(fixed: RealArray, warped: RealArray, mask: Mask = None, *, bins: int = 64) -> Measurement:
    """The similarity of Eq. 6: NMI at full, half and quarter resolution, weighted by 1, 1/2 and 1/4; up to 3.5.

    Coarser images are averages of blocks; odd slices at the far borders are left out, as in average pooling. A block is
    inside the mask if at least half of it is. Arguments and errors are those of `nmi`.
    """
    _check_shapes(fixed, warped, mask)
    total = 0.0
    for level in range(_LEVELS):
        factor = 2**level
        if min(fixed.shape) < factor:
            return Measurement.undefined(Reason.SMALLER_THAN_WINDOW)
        coarse = None if mask is None else _pooled(np.asarray(mask) != 0, factor) >= 0.5
        one = nmi(_pooled(fixed, factor), _pooled(warped, factor), coarse, bins=bins)
        if one.value is None:
            return one
        total += one.value / factor
    return Measurement.of(total)


def ssim(
    fixed: RealArray,
    warped: RealArray,
    mask: Mask = None,
    *,
    window: int = 11,
    limits: tuple[float, float] | None = None,
) -> Measurement:
    """Structural similarity (Wang 2004; section 2.4.2), the mean of its map inside a mask, from -1 to 1.

    Windows are cubes of equal weights with sample covariances, K1 = 0.01 and K2 = 0.03: scikit-image's defaults. Voxels
    whose window reaches out of the image do not count; windows may reach out of the mask.

    Args:
        fixed: Fixed image.
        warped: Moving image on the fixed grid.
        mask: Which voxels' windows to average over.
        window: Side of the windows, voxels, odd; 11 for brains and 21 for lungs in the paper.
        limits: Lowest and highest value that images are clipped to, and the dynamic range L, as [-1000, 200] HU for
            the lung CT of section 2.3.2; the fixed image's range inside the mask, and no clipping, if not given.
    Raises:
        InputError: If the shapes differ, the window is even or under 3, or the limits are not in order.
    """
    if window < 3 or window % 2 == 0:
        raise InputError(f"the window must be odd and at least 3, not {window}")
    if limits is not None and not limits[0] < limits[1]:
        raise InputError(f"the limits must be in order, not {limits}")
    inside = _as_mask(fixed, warped, mask)
    box = _windows_box(inside, window // 2)
    if box is None:
        return Measurement.undefined(Reason.SMALLER_THAN_WINDOW if inside.any() else Reason.EMPTY_MASK)
    a, b = np.asarray(fixed)[box], np.asarray(warped)[box]
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Measurement.undefined(Reason.NOT_FINITE)
    low, high = limits or _extremes(np.asarray(fixed)[inside])
    if low == high:
        return Measurement.undefined(Reason.CONSTANT_IMAGE)
    if limits is not None:
        a, b = np.clip(a, low, high), np.clip(b, low, high)
    return Measurement.of(_mean_ssim((a, b), inside[box], window, high - low))


# By the names of `measures.MEASURES`.
OF_IMAGES: dict[str, Callable[[Compared], Measurement]] = {
    "ssim": lambda one: ssim(*one.scaled, one.mask, window=one.window, limits=(0.0, 1.0)),
    "ncc": lambda one: ncc(one.fixed, one.warped, one.mask),
    "nmi": lambda one: nmi(one.fixed, one.warped, one.mask),
}


def _mean_ssim(images: tuple[RealArray, RealArray], inside: NDArray[np.bool_], window: int, span: float) -> float:
    """Mean over the voxels inside whose window fits, a slab at a time."""
    core = (slice(window // 2, -(window // 2)),) * 3
    total, count = 0.0, 0
    for rows in _slabs(inside.shape, window):
        fixed, warped = (np.asarray(image[rows], np.float64) for image in images)
        scores = structural_similarity(fixed, warped, win_size=window, data_range=span, full=True)[1]
        wanted = scores[core][inside[rows][core]]
        total, count = total + float(wanted.sum()), count + wanted.size
    return total / count


def _windows_box(inside: NDArray[np.bool_], radius: int) -> tuple[slice, ...] | None:
    """The box that the windows of all voxels inside cover, of those windows that the image holds; None without any."""
    if min(inside.shape) <= 2 * radius:
        return None
    core = inside[(slice(radius, -radius),) * 3]
    boxes = find_objects(core.view(np.uint8))
    return tuple(slice(s.start, s.stop + 2 * radius) for s in boxes[0]) if boxes else None


def _slabs(shape: tuple[int, ...], window: int) -> Iterator[slice]:
    """Rows along z whose windows together cover each voxel once, some voxels at a time."""
    centres = shape[0] - window + 1
    thick = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for first, last in pairwise([*range(0, centres, thick), centres]):
        yield slice(first, last + window - 1)


def _inside(fixed: RealArray, warped: RealArray, mask: Mask) -> tuple[Array, Array] | Reason:
    """Both images' values inside the mask, flat, or why nothing can be said of them."""
    inside = _as_mask(fixed, warped, mask)
    a, b = (np.asarray(image)[inside].astype(np.float64) for image in (fixed, warped))
    if not a.size:
        return Reason.EMPTY_MASK
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Reason.NOT_FINITE
    if any(low == high for low, high in map(_extremes, (a, b))):
        return Reason.CONSTANT_IMAGE
    return a, b


def _as_mask(fixed: RealArray, warped: RealArray, mask: Mask) -> NDArray[np.bool_]:
    _check_shapes(fixed, warped, mask)
    return np.ones(fixed.shape, bool) if mask is None else np.asarray(mask) != 0


def _check_shapes(fixed: RealArray, warped: RealArray, mask: Mask) -> None:
    if fixed.shape != warped.shape or (mask is not None and mask.shape != fixed.shape):
        shapes = ", ".join(str(a.shape) for a in (fixed, warped, mask) if a is not None)
        raise InputError(f"images and mask must be of one shape, not {shapes}")


def _extremes(values: RealArray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _binned(values: Array, bins: int) -> NDArray[np.int64]:
    """Which of the bins from the smallest to the largest value each lies in."""
    low = values.min()
    return np.asarray(np.minimum(((values - low) * (bins / (values.max() - low))).astype(np.int64), bins - 1))


def _pooled(array: NDArray[np.generic], factor: int) -> Array:
    """Averages of whole blocks."""
    if factor == 1:
        return np.asarray(array, np.float64)
    whole = tuple(slice(n // factor * factor) for n in array.shape)
    return np.asarray(block_reduce(array[whole], (factor,) * array.ndim, np.mean))
