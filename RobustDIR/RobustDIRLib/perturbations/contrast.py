"""What changes intensities alone: a shifted HU window, inversion, a bias field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from RobustDIRLib.io.images import Image
from RobustDIRLib.values import Window, scaled

_COEFFICIENTS = 6


def shift_window(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """The image that preprocessing with its usual window sees as with a window lower by `strength` (appendix D.3).

    With 100 HU it is the paper's: clipped to [-1100, 100] HU, then raised by 100 HU, so that the usual [-1000, 200] HU
    scales it as its own.
    """
    low, high = window
    array = np.clip(image.array, low - strength, high - strength) + np.float32(strength)
    return replace(image, array=array.astype(np.float32))


def invert(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """Mirrors the brightest share `strength` of the window at its lower end; with 1 all of it, dark for bright.

    On the way the mapping stays continuous and no image goes flat: with u from 0 to 1 over the window and
    t = 1 - strength, u above t becomes 2 t - u, and all is raised so that nothing falls below the window.
    """
    low, high = window
    unit = (scaled(image.array, window) + 1) / 2
    turn = 1 - strength
    mirrored = np.where(unit > turn, 2 * turn - unit, unit) + max(0.0, 1 - 2 * turn)
    return replace(image, array=(low + (high - low) * mirrored).astype(np.float32))


def add_bias_field(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """Multiplies intensities above the window's low end by a smooth random field from exp(-strength) to exp(strength).

    The field's logarithm is a cubic B-spline of random coefficients, its largest magnitude is `strength`; what lies
    below the window (air, padding) stays.
    """
    logarithm = _smooth_field(image.array.shape, generator)
    above = np.maximum(image.array - np.float32(window[0]), 0)
    field = np.exp(strength * logarithm / np.abs(logarithm).max())
    return replace(image, array=(image.array + above * (field - 1)).astype(np.float32))


def _smooth_field(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.floating]:
    """A cubic B-spline of normal coefficients, of three pieces along each axis."""
    field = generator.standard_normal((_COEFFICIENTS,) * 3)
    knots = np.arange(-3, _COEFFICIENTS + 1)
    for axis, n in enumerate(shape):
        field = BSpline(knots, field, 3, axis=axis)(np.linspace(0, _COEFFICIENTS - 3, n)).astype(np.float32)
    return np.asarray(field)
