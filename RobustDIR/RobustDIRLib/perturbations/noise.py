"""Noise with the spectrum of an image's own noise: ultra-low-dose CT from low-dose CT (appendix D.3, Eq. 5).

The noise power spectrum (NPS) of a patch is `|F{patch - trend}|^2 / voxels`, in squared units of the image, so that its
mean is the variance of the patch. The paper gives no normalisation; with this one, and sigma of the image scaled to
[-1, 1], Eq. 5 adds noise of `5 * sigma` times the strength of that in the patch, about 2 to 3 times in chest CT.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.images import Image
from RobustDIRLib.values import Window, scaled

PATCH_SIDE = 32
_STEP = 16
# Share of voxels at a patch's lowest or highest value above which it is clipped, padded or empty, and its noise is not.
_CLIPPED = 0.05
# Where in the window a homogeneous patch is looked for first: -520 to 140 HU in chest CT.
_TISSUE = (0.4, 0.95)
Shape = tuple[int, int, int]


def noise_power_spectrum(patch: NDArray[np.floating]) -> Array:
    """Noise power spectrum of a homogeneous patch.

    Args:
        patch: Shape `(z, y, x)`; a second-order polynomial is subtracted, so that shading does not count as noise.
    Returns:
        Power by frequency in the order of `numpy.fft.fftn`, of the same shape; its mean is the variance.
    """
    values = np.asarray(patch, dtype=np.float64)
    return np.asarray(np.abs(np.fft.fftn(values - _trend(values))) ** 2 / values.size)


def _trend(values: Array) -> Array:
    """Least-squares polynomial of second order in z, y, x."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in values.shape], indexing="ij")
    terms = [np.ones_like(z), z, y, x, z * z, y * y, x * x, z * y, y * x, x * z]
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    coefficients = np.linalg.lstsq(matrix, values.ravel(), rcond=None)[0]
    return np.asarray((matrix @ coefficients).reshape(values.shape))


def noise_of_spectrum(spectrum: Array, generator: np.random.Generator) -> Array:
    """A patch of noise whose expected power spectrum is the one given: `F^-1{sqrt(NPS) F{white noise}}` (Eq. 5).

    Args:
        spectrum: As `noise_power_spectrum` gives it, even under reversal of the frequency.
        generator: Source of the white noise, N(0, 1).
    Returns:
        Of the same shape, in the image's unit; its variance is the spectrum's mean.
    """
    white = np.fft.fftn(generator.standard_normal(spectrum.shape))
    return np.asarray(np.fft.ifftn(np.sqrt(spectrum) * white).real)


def add_noise(image: Image, strength: float, generator: np.random.Generator, window: Window) -> Image:
    """Adds noise patch by patch, each its own: `patch + F^-1{sqrt(NPS) F{white noise}} sigma strength` (Eq. 5).

    Args:
        image: CT in HU, or another image.
        strength: Factor of Eq. 5, 5 in the paper.
        generator: Source of the noise.
        window: Intensities that make the scale on which sigma is taken.
    Raises:
        InputError: If no patch shows the image's noise.
    """
    spectrum = noise_power_spectrum(homogeneous_patch(image, window))
    sigma = float(scaled(image.array, window).std(dtype=np.float64))
    array = image.array.astype(np.float32)
    for corner in itertools.product(*map(range, (0, 0, 0), array.shape, spectrum.shape)):
        place = tuple(slice(c, c + n) for c, n in zip(corner, spectrum.shape, strict=True))
        patch = array[place]
        noise = noise_of_spectrum(spectrum, generator)[tuple(slice(n) for n in patch.shape)]
        patch += (strength * sigma * noise).astype(np.float32)
    return replace(image, array=array)


def homogeneous_patch(image: Image, window: Window) -> NDArray[np.floating]:
    """The most even patch of 32 voxels a side (or the image's, where that has fewer) that shows its noise.

    It is the one of lowest standard deviation of those whose mean is that of tissue, neither air nor lung nor bone by
    its place in the window; where there is none, of all. What is clipped or empty does not count.

    Raises:
        InputError: If all patches are clipped or empty.
    """
    z, y, x = (min(PATCH_SIDE, n) for n in image.array.shape)
    patches = list(_candidates(image.array, (z, y, x)))
    if not patches:
        raise InputError(
            "noise: the image has no patch that shows its noise, as everything in it is empty or clipped; give one "
            "that was not clipped, in HU for CT."
        )
    low, high = (window[0] + share * (window[1] - window[0]) for share in _TISSUE)
    tissue = [patch for patch in patches if low <= patch.mean() <= high]
    return min(tissue or patches, key=lambda patch: float(patch.std(dtype=np.float64)))


def _candidates(array: NDArray[np.floating], shape: Shape) -> Iterator[NDArray[np.floating]]:
    """Patches all over the image, those that are not clipped or empty."""
    lasts = [n - p for n, p in zip(array.shape, shape, strict=True)]
    for corner in itertools.product(*[sorted({*range(0, last, _STEP), last}) for last in lasts]):
        patch = array[tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))]
        clipped = max(np.count_nonzero(patch == edge) for edge in (patch.min(), patch.max()))
        if clipped < _CLIPPED * patch.size:
            yield patch
