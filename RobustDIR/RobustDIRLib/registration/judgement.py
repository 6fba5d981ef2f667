"""Whether a registration is likely to have failed, and where to look: told from the images alone.

Fixed and warped image are compared by squared local correlation, which bears different contrasts, on coarse copies.
What chance would give is seen from the warped image itself, shifted in six directions by about a third of the object.
Four things speak for a failure: hardly more agreement than by chance; most of the object without a match; less
agreement than before the network; or a linear start that agreed by chance alone and a result that does not stand out,
for a network brings outlines together even where pose or anatomy are wrong. Anatomy that is its own mirror image (a
brain) hides a mirrored image from all of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.warping import warp

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

_AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_VOXELS = 60**3
_WINDOW, _REGION = 5, 7  # voxels: of the correlation, and of what it is averaged over, twice
_LEAST_VARIANCE = 1e-3
_SHIFT = 0.35  # of the object's radius of gyration
_OVER_CHANCE, _CLEARLY_OVER_CHANCE = 1.6, 3.0  # factors, of the result
_START_OVER_CHANCE = 1.45
_OF_START = 0.75
_UNMATCHED_PERCENT = 60.0  # right ones have 17 at most, 38 from CT to MRI
_LEAST_REACHED = 0.05  # of the object
_STRAIN, _FOLDING_PERCENT = 0.6, 1.0


@dataclass(frozen=True)
class Judgement:
    """What a registration looks like to itself.

    Attributes:
        similarity: Mean squared local correlation of fixed and warped image over the fixed foreground, 0 to 1.
        start: The same before the network, after the linear alignment.
        chance: The same of the warped image where it is shifted away.
        unmatched_percent: Share of the foreground that a shifted image matches as well.
        place_mm: Where the match is worst, mm, LPS.
        reasons: Why it has likely failed; empty if nothing speaks for that.
    """

    similarity: float
    start: float
    chance: float
    unmatched_percent: float
    place_mm: tuple[float, float, float]
    reasons: tuple[str, ...] = ()

    @property
    def likely_failed(self) -> bool:
        """Whether anything speaks for a failure."""
        return bool(self.reasons)

    def summary(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "likely_failed": self.likely_failed,
            "reasons": list(self.reasons),
            "place_mm": list(self.place_mm),
            "similarity": self.similarity,
            "similarity_start": self.start,
            "similarity_chance": self.chance,
            "unmatched_percent": self.unmatched_percent,
        }

    def sentence(self) -> str:
        """For the user; empty if nothing speaks for a failure."""
        if not self.reasons:
            return ""
        where = "({:.0f}, {:.0f}, {:.0f})".format(*self.place_mm)
        return f"the registration has likely failed: {'; '.join(self.reasons)}; look first at {where} mm, LPS."

    def with_mirror(self, mirrored: bool) -> Judgement:
        """The same, knowing whether the images agree clearly better if one is mirrored."""
        reason = "the images agree clearly better if one is mirrored (left and right in a header may be exchanged)"
        return replace(self, reasons=(*self.reasons, reason)) if mirrored else self

    def with_strain(self, sdlogj: float, folding_percent: float) -> Judgement:
        """The same, knowing how the whole transform strains and folds."""
        found = list(self.reasons)
        if sdlogj > _STRAIN:
            found.append(f"the deformation is violent (SDlogJ {sdlogj:.2f})")
        if folding_percent > _FOLDING_PERCENT:
            found.append(f"{folding_percent:.1f} % of the voxels fold")
        return replace(self, reasons=tuple(found))


def judge(fixed: Image, moving: Image, displacement: Tensor, reached: Mask | None = None) -> Judgement:
    """Judge a registration.

    Args:
        fixed: Scaled to [-1, 1], on the working grid.
        moving: Linearly aligned, likewise.
        displacement: From fixed to moving points, `(1, 3, D, H, W)`, voxels of the working grid.
        reached: Where the moving image reaches on the working grid, `(D, H, W)`; everywhere if None. Nothing can be
            told of what lies beyond it, unless hardly anything of the object lies within.
    """
    first, start, after, reach, grid = _coarse(fixed, moving, displacement, reached)
    whole = _foreground(first)
    body = whole & reach
    if body.sum() < _LEAST_REACHED * whole.sum():
        body, reach = whole, np.ones_like(reach)
    matched = _match(first, after, body)
    places = [(shift, body & np.roll(reach, shift, (0, 1, 2))) for shift in _shifts(body)]
    others = [(_match(first, np.roll(after, shift, (0, 1, 2)), where), where) for shift, where in places]
    here = _regional(matched, body)
    elsewhere = np.max([_regional(other, where) for other, where in others], axis=0)
    lost = body & (here <= elsewhere)
    worst = np.where(lost if lost.any() else body, here, np.inf).argmin()
    x, y, z = grid.points_from_voxels(np.unravel_index(int(worst), body.shape)).tolist()
    agreement, before = float(matched[body].mean()), float(_match(first, start, body)[body].mean())
    chance = float(np.mean([other[where].mean() if where.any() else 0.0 for other, where in others]))
    unmatched = 100 * float(lost[body].mean())
    return Judgement(agreement, before, chance, unmatched, (x, y, z), _reasons(agreement, before, chance, unmatched))


def _reasons(similarity: float, start: float, chance: float, unmatched: float) -> tuple[str, ...]:
    if similarity <= _OVER_CHANCE * chance:
        return (f"the images agree hardly more ({similarity:.2f}) than by chance ({chance:.2f})",)
    found = []
    if unmatched > _UNMATCHED_PERCENT:
        found.append(f"{unmatched:.0f} % of the object match no better than what lies elsewhere")
    if similarity < _OF_START * start:
        found.append(f"the images agree less ({similarity:.2f}) than after the linear alignment ({start:.2f})")
    if start < _START_OVER_CHANCE * chance and similarity < _CLEARLY_OVER_CHANCE * chance:
        found.append(f"the linear alignment agreed only by chance ({start:.2f}), and the result little more")
    return tuple(found)


def _coarse(
    fixed: Image, moving: Image, displacement: Tensor, reached: Mask | None
) -> tuple[Volume, Volume, Volume, Mask, Grid]:
    """Fixed, moving and warped image on a coarse grid, where both of the latter reach, and that grid."""
    grid, arrays = fixed.grid, [image.array.astype(np.float32, copy=False) for image in (fixed, moving)]
    arrays.append(np.ones(1, np.float32).reshape(1, 1, 1) if reached is None else reached.astype(np.float32))
    factor = min(1.0, (_VOXELS / arrays[0].size) ** (1 / 3))
    z, y, x = (max(4, round(n * factor)) for n in grid.shape)
    images = [F.adaptive_avg_pool3d(torch.from_numpy(array)[None, None], (z, y, x)) for array in arrays]
    ratio = torch.tensor([c / n for c, n in zip((z, y, x), grid.shape, strict=True)]).reshape(1, 3, 1, 1, 1)
    u = F.adaptive_avg_pool3d(displacement, (z, y, x)) * ratio
    first, start, reach = (image[0, 0].numpy() for image in images)
    after, moved = (warp(image, u)[0, 0].numpy() for image in images[1:])
    # Whole windows, of which none is partly beyond the moving image.
    reach = ndimage.minimum_filter(np.minimum(reach, moved), _WINDOW, mode="nearest")
    return first, start, after, np.asarray(reach > 0.5), grid.resized((z, y, x))


def _foreground(image: Volume) -> Mask:
    """Above Otsu's threshold, with two voxels around it; everything in an image without any."""
    above = sitk.GetArrayFromImage(sitk.OtsuThreshold(sitk.GetImageFromArray(image), 0, 1, 128)) > 0
    return ndimage.binary_dilation(above, iterations=2) if above.any() else np.ones_like(above)


def _shifts(body: Mask) -> list[tuple[int, int, int]]:
    """Either way along each axis, voxels."""
    radius = float(np.sqrt(np.argwhere(body).var(0).sum()))
    step = max(3, round(_SHIFT * radius))
    return [(sign * step * z, sign * step * y, sign * step * x) for z, y, x in _AXES for sign in (1, -1)]


def _mean(image: Volume, side: int) -> Volume:
    return np.asarray(ndimage.uniform_filter(image, side, mode="nearest"))


def _match(first: Volume, second: Volume, body: Mask) -> Volume:
    """Squared local correlation; 0 outside the object."""
    means = _mean(first, _WINDOW), _mean(second, _WINDOW)
    variances = [_mean(i * i, _WINDOW) - m * m for i, m in zip((first, second), means, strict=True)]
    covariance = _mean(first * second, _WINDOW) - means[0] * means[1]
    squares = covariance**2 / np.prod([np.maximum(v, 0) + _LEAST_VARIANCE for v in variances], axis=0)
    return np.asarray(np.where(body, squares, np.float32(0)))


def _regional(match: Volume, body: Mask) -> Volume:
    """The match averaged over the parts of the object about each voxel."""
    weights = _mean(_mean(body.astype(np.float32), _REGION), _REGION)
    return np.asarray(_mean(_mean(match, _REGION), _REGION) / np.maximum(weights, 1e-3))
