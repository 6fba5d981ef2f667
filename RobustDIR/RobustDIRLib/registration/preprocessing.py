"""What the network sees: both images scaled to [-1, 1] on one working grid in the fixed image's frame.

The working grid has the fixed image's direction and covers the same outer borders, cut into as many whole voxels as
come nearest to the spacing. Its true spacing may therefore differ a little between the axes (for n voxels
along an axis by at most a share of 1/2n); nothing is cropped or padded here, and all conversions use the true spacing.
Network and refinement then work on the part of it that holds something (`content.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import SMALLEST_SIDE, Grid
from RobustDIRLib.io.filters import gaussian
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.presets import PERCENTILES, Preset
from RobustDIRLib.values import scaled

Volume = NDArray[np.float32]
Warn = Callable[[str], None]

BACKGROUND = -1.0
VOXEL_BUDGET = 192**3
OVERSAMPLING = 0.75  # of the finest voxel side
_SAMPLES = 4_000_000
_BLUR = 0.7  # working voxels
_SHARP_UP_TO = 1.5  # times the side of the voxels that a preset is meant for


def native_spacing(fixed: Grid, budget: int = VOXEL_BUDGET) -> float:
    """Side of a cubic voxel, mm, at which a grid holds as many voxels as the image, or the budget if that is fewer.

    Isotropic images within the budget keep their own spacing, and thick slices meet fine pixels at their geometric mean
    (1.3 x 1.3 x 5 mm at 2.0 mm).
    """
    return _side_of(fixed, min(int(np.prod(fixed.shape, dtype=np.int64)), budget))


def automatic_spacing(fixed: Grid, budget: int = VOXEL_BUDGET) -> float:
    """Side of a cubic working voxel, mm, for the preset `generic`: finer than the finest voxel side, within the budget.

    The network's displacement has half the resolution of what it is given, so that images a little finer than they were
    taken serve it best: livers of 1.3 x 1.3 x 5 mm had a mean error of 2.0 mm at 2.0 mm, 1.5 at 1.3 and 1.3 at 1.0.
    """
    return max(budget_spacing(fixed, budget), OVERSAMPLING * min(fixed.spacing))


def wanted_spacing(fixed: Grid, preset: Preset) -> float:
    """Side of a cubic working voxel, mm, that a preset asks for, which is never finer than `OVERSAMPLING` has it.

    A breathing CT of 5 x 5 x 6 mm had 2.0 mm of error on 21 million voxels of 1.5 mm, 1.8 on 1.3 million of 3.75 mm.
    """
    if preset.spacing is None:
        return automatic_spacing(fixed)
    return max(preset.spacing, OVERSAMPLING * min(fixed.spacing))


def meant_for(fixed: Grid, preset: Preset) -> float:
    """Side of the images' own voxels, mm, that a preset's spacing and stiffness are right for."""
    return (preset.spacing or automatic_spacing(fixed)) / OVERSAMPLING


def coarseness(own: Sequence[Grid], meant: float) -> float:
    """Side of the voxels, by their volume, of the coarsest of some images, in parts of the side that is meant."""
    return max(grid.voxel_side for grid in own) / meant


def budget_spacing(grid: Grid, budget: int = VOXEL_BUDGET) -> float:
    """Side of a cubic voxel, mm, at which a grid holds the budget: no working grid needs a finer one."""
    return _side_of(grid, budget)


def _side_of(grid: Grid, voxels: int) -> float:
    """Side, mm, of so many cubic voxels that fill a grid."""
    return float((_extent(grid).prod() / voxels) ** (1 / 3))


def _extent(grid: Grid) -> NDArray[np.float64]:
    return np.asarray(np.array(grid.shape) * np.array(grid.spacing[::-1]))


def working_grid(fixed: Grid, preset: Preset, coarsening: float = 1.0, spacing: float | None = None) -> Grid:
    """The grid the network works on: the fixed grid's borders and direction, voxels near the spacing.

    Args:
        fixed: Grid of the fixed image.
        preset: Gives the spacing: `wanted_spacing`.
        coarsening: Factor on the spacing, above 1 where memory is short.
        spacing: Instead of the preset's, mm, however coarse the image is.
    """
    spacing = coarsening * (spacing or wanted_spacing(fixed, preset))
    shape = np.maximum(np.rint(_extent(fixed) / spacing), SMALLEST_SIDE).astype(int)
    return fixed.resized((int(shape[0]), int(shape[1]), int(shape[2])))


def percentile_window(array: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Intensities that become -1 and 1: `PERCENTILES` of the voxels off the background.

    Background is what lies within a thousandth of the image's range above its lowest value (fill, air of a
    skull-stripped brain); air with noise is left in, as the percentiles bear it. With a mask only its voxels count.
    A regular subset serves for large images.
    """
    values = array if mask is None else array[mask]
    values = values.reshape(-1)[:: max(1, values.size // _SAMPLES)]
    lowest, high = float(values.min()), float(np.percentile(values, PERCENTILES[1]))
    high = high if high > lowest else float(values.max())
    foreground = values[values > lowest + 1e-3 * (high - lowest)]
    if foreground.size < 2 or foreground.min() == foreground.max():
        return lowest, high
    low, high = np.percentile(foreground, PERCENTILES)
    return float(low), float(high)


def intensity_window(image: Image, preset: Preset, mask: Image | None = None) -> tuple[float, float]:
    """Intensities that become -1 and 1: the preset's, or percentiles of the image (of what its mask holds)."""
    return preset.window or percentile_window(image.array, None if mask is None else mask.array > 0)


def normalise(image: Image, preset: Preset, mask: Image | None = None) -> Image:
    """The image scaled to [-1, 1] by the preset and clipped.

    Args:
        image: Fixed or moving image; each is scaled by itself.
        preset: Gives the window.
        mask: On the image's grid, above zero inside; only what it holds counts for percentiles.
    """
    return replace(image, array=scaled(image.array, intensity_window(image, preset, mask)))


def inside(image: Image, mask: Image | None) -> Image:
    """A scaled image with background outside the mask, for the linear alignment.

    The network sees whole images: a CT blanked outside the lungs loses the chest wall, which is what guides it there.
    """
    if mask is None:
        return image
    return replace(image, array=np.where(mask.array > 0, image.array, np.float32(BACKGROUND)))


def check_hounsfield(image: Image, name: str, preset: Preset, warn: Warn) -> None:
    """Warn if a preset in Hounsfield units meets values that cannot be: a chest holds air, far below water."""
    if preset.window is None or preset.window[0] > -500:
        return
    lowest = float(image.array.min())
    if lowest > -200:
        warn(
            f"the {name} image does not look like CT in Hounsfield units (its lowest value is {lowest:g}, air would be "
            f"near -1000); check the file or use the `preset` generic."
        )


def prepare_mask(mask: Image | None, image: Image, name: str, warn: Warn) -> Image | None:
    """The mask on its image's grid; resampled, with a word of warning, if it came on another.

    Args:
        mask: Above zero inside; None passes through.
        image: The image it belongs to.
        name: `"fixed"` or `"moving"`.
        warn: Takes the warning.
    Raises:
        InputError: If the mask holds no voxel, or none within the image.
    """
    if mask is None:
        return None
    if not (mask.array > 0).any():
        raise InputError(f"`{name}_mask`: the mask is empty; give one with voxels above 0, or leave it out.")
    if mask.grid.close_to(image.grid):
        if (mask.array > 0).all():
            warn(f"the {name} mask covers the whole {name} image, so that it does nothing.")
        return mask
    warn(f"the {name} mask lies on another grid than the {name} image; it was resampled (nearest voxel).")
    binary = replace(mask, array=(mask.array > 0).astype(np.uint8))
    resampled = resample(binary, image.grid, nearest=True, outside=0)
    if not (resampled.array > 0).any():
        raise InputError(f"`{name}_mask`: the mask does not overlap the {name} image; check that both belong together.")
    return resampled


def smoothing_sigmas(grid: Grid, spacing: float) -> tuple[float, float, float]:
    """Widths of the Gaussian, voxels along z, y, x, that keeps fine detail from aliasing on a coarser grid.

    Only axes sampled more than 1.5 times as coarsely as before are smoothed. The variance added is what takes a box of
    the old voxel's side to one of the new (a box of side s has variance s^2 / 12).
    """
    ratios = spacing / np.array(grid.spacing[::-1])
    z, y, x = (float(np.sqrt((r * r - 1) / 12)) if r > 1.5 else 0.0 for r in ratios)
    return z, y, x


def smooth(image: Image, spacing: float) -> Image:
    """The image smoothed for a grid of the given spacing, mm; untouched along axes that are no finer."""
    sigmas = smoothing_sigmas(image.grid, spacing)
    if max(sigmas) == 0:
        return image
    return replace(image, array=gaussian(image.array, sigmas, truncate=3.0))


def to_working_grid(image: Image, grid: Grid, transform: sitk.Transform | None = None) -> Image:
    """A normalised image on the working grid, smoothed first if that is coarser; background beyond its borders.

    Args:
        image: Scaled to [-1, 1].
        grid: Working grid.
        transform: Fixed point to the point of `image`; None for the fixed image itself.
    """
    return _placed(_smoothed_for(grid, image, transform), grid, transform)


def _lies_on(grid: Grid, image: Image, transform: sitk.Transform | None) -> bool:
    """Whether there is nothing to resample."""
    return transform is None and image.grid.close_to(grid)


def _smoothed_for(grid: Grid, image: Image, transform: sitk.Transform | None) -> Image:
    return image if _lies_on(grid, image, transform) else smooth(image, grid.voxel_side)


def _placed(smoothed: Image, grid: Grid, transform: sitk.Transform | None, *, spline: bool = False) -> Image:
    """As `to_working_grid`, of an image that is smoothed already; by cubic B-splines instead of linearly if asked."""
    if _lies_on(grid, smoothed, transform):
        return smoothed
    working = resample(smoothed, grid, transform, outside=BACKGROUND, spline=spline)
    return replace(working, array=np.clip(working.array, -1, 1))  # interpolation rounds, and splines overshoot


def sharpening(preset: Preset, own: Sequence[Grid]) -> float:
    """How much sharper than the network's images those of refinement are: as the preset has it, 0 for coarse images.

    What coarse voxels say of fine detail is noise: POPI (5 x 5 x 6 mm) ends at 1.90 instead of 1.81 mm if sharpened,
    DIR-Lab 09 (2 mm) at 1.18 instead of 1.23, and it gains more with thick slices.

    Args:
        preset: Of the pair.
        own: Grids of the images as they came; the coarsest counts.
    """
    return preset.sharpening if coarseness(own, meant_for(own[0], preset)) <= _SHARP_UP_TO else 0.0


def as_seen_and_detailed(
    image: Image, grid: Grid, amount: float, transform: sitk.Transform | None = None
) -> tuple[Image, ...]:
    """A normalised image on the working grid as the network sees it (`to_working_grid`), and as refinement does.

    Linear interpolation blurs according to how far a point lies between voxels, here in a pattern that both images
    have in common and that draws them to where they lie. Splines have no such pattern; sharpening outweighs some of
    what the warps of refinement, which are linear, blur again.

    Args:
        image: Scaled to [-1, 1].
        grid: Working grid.
        amount: So many times what a Gaussian of `_BLUR` voxels takes away is added to what splines give; 0 lets
            refinement see what the network does.
        transform: As for `to_working_grid`.
    Returns:
        The second is about in [-1, 1]; beyond it beside steep edges.
    """
    if amount == 0:
        return 2 * (to_working_grid(image, grid, transform),)
    smoothed = _smoothed_for(grid, image, transform)
    detailed = _placed(smoothed, grid, transform, spline=True)
    blurred = gaussian(detailed.array, 3 * (_BLUR,))
    sharper = detailed.array + np.float32(amount) * (detailed.array - blurred)
    return _placed(smoothed, grid, transform), replace(detailed, array=sharper)
