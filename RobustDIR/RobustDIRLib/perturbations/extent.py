"""What changes sampling and extent: resolution, slice thickness, field of view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import SMALLEST_SIDE
from RobustDIRLib.io.filters import gaussian
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.values import Window

Shape = tuple[int, int, int]


def lose_resolution(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """The image as voxels larger by the factor `1 + strength` along all axes would show it, on its own grid."""
    return _coarsened(image, (1 + strength,) * 3)


def thicken_slices(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """The image as slices thicker by the factor `1 + strength` would show it, on its own grid.

    Slices lie across the axis of largest spacing, the first (z) where spacings are equal.
    """
    axis = slice_axis(image)
    z, y, x = (1 + strength if k == axis else 1.0 for k in range(3))
    return _coarsened(image, (z, y, x))


def slice_axis(image: Image) -> int:
    """Array axis across which the slices lie: that of largest spacing, the first of equal ones."""
    return int(np.argmax(np.round(image.grid.spacing[::-1], 6)))


def _coarsened(image: Image, factors: tuple[float, float, float]) -> Image:
    """Smoothed to the larger voxels, sampled at them, and interpolated back between them."""
    z, y, x = (max(2, round(n / factor)) for n, factor in zip(image.array.shape, factors, strict=True))
    # The variance added is what takes a box of the old voxel's side to one of the new.
    ratios = np.array(image.array.shape) / np.array((z, y, x))
    sigmas = np.sqrt(np.maximum(ratios**2 - 1, 0) / 12)
    smooth = gaussian(image.array.astype(np.float32), sigmas, truncate=3.0)
    coarse = resample(replace(image, array=smooth), image.grid.resized((z, y, x)))
    return resample(coarse, image.grid)


def crop(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """Cuts the share `strength` of the slices away, at both ends together, a random part of it at the first.

    The image becomes smaller; what is left lies where it lay. Slices are those of `thicken_slices`.

    Raises:
        InputError: If fewer than 8 slices would be left.
    """
    axis = slice_axis(image)
    slices = image.array.shape[axis]
    cut = round(strength * slices)
    if slices - cut < SMALLEST_SIDE:
        raise InputError(
            f"crop {strength:g}: {slices - cut} of {slices} slices would be left, and {SMALLEST_SIDE} are needed; "
            "choose a smaller share."
        )
    first = int(generator.integers(0, cut + 1))
    z, y, x = ((first, first - cut) if k == axis else (0, 0) for k in range(3))
    grid = image.grid.padded((-z[0], -y[0], -x[0]), (z[1], y[1], x[1]))
    place = tuple(slice(first, first + slices - cut) if k == axis else slice(None) for k in range(3))
    return Image(np.ascontiguousarray(image.array[place]), grid)
