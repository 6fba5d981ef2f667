"""The part of the working grid where the images hold anything: what is empty around both need not be computed.

A skull-stripped brain fills a half to two thirds of its volume, a mouse's a third. Without the rest network and
refinement take as much less time, and no less accurate for it (`Documentation/Accuracy.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from RobustDIRLib.io.images import Image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.preprocessing import BACKGROUND

_EMPTY = BACKGROUND + 0.02  # of the range of 2 from -1 to 1: resampling leaves traces at borders
_MARGIN = 4  # working voxels: windows of the finest local correlation reach over 3
_SMALLEST_SIDE = 32  # voxels; two at the network's coarsest level
_WORTH_IT = 0.9  # of the volume; scans that nearly fill theirs are left whole


@dataclass(frozen=True)
class Box:
    """A box of whole voxels in a grid, and the way there and back.

    Attributes:
        before: Voxels of the grid that it leaves out before it along z, y, x.
        after: After it, likewise.
    """

    before: tuple[int, int, int]
    after: tuple[int, int, int]

    def cut(self, image: Image) -> Image:
        """What it holds of an image on the grid; the image itself where it leaves out nothing."""
        if not any((*self.before, *self.after)):
            return image
        sides = zip(self.before, self.after, image.array.shape, strict=True)
        inside = image.array[tuple(slice(first, n - last) for first, last, n in sides)]
        (z, y, x), (c, b, a) = self.before, self.after
        return Image(np.ascontiguousarray(inside), image.grid.padded((-z, -y, -x), (-c, -b, -a)))

    def whole(self, deformation: Deformation) -> Deformation:
        """A deformation on the box, as one on the grid: what its border says goes on beyond it."""
        sides = zip(reversed(self.before), reversed(self.after), strict=True)
        pad = [n for side in sides for n in side]
        if not any(pad):
            return deformation
        displacement, inverse = (F.pad(u, pad, mode="replicate") for u in deformation)
        return Deformation(displacement, inverse)


_WHOLE = Box((0, 0, 0), (0, 0, 0))


def content_box(images: Sequence[Image]) -> Box:
    """The smallest box that holds all there is in any of the images, and a margin.

    Args:
        images: On one grid, in [-1, 1], -1 where there is nothing.
    Returns:
        The box; all of the grid where that is hardly larger, or where there is nothing at all.
    """
    filled = np.any([image.array > _EMPTY for image in images], axis=0)
    if not filled.any():
        return _WHOLE
    spans = [_span(filled.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    sides = [n - before - after for n, (before, after) in zip(filled.shape, spans, strict=True)]
    if np.prod(sides) > _WORTH_IT * filled.size:
        return _WHOLE
    (z, c), (y, b), (x, a) = spans
    return Box((z, y, x), (c, b, a))


def _span(filled: np.ndarray) -> tuple[int, int]:
    """Voxels to leave out before and after what a line of them holds, a margin around it."""
    n, at = len(filled), np.flatnonzero(filled)
    first, end = int(at[0]) - _MARGIN, int(at[-1]) + 1 + _MARGIN
    side = min(max(end - first, _SMALLEST_SIDE), n)
    first = min(max((first + end - side) // 2, 0), n - side)
    return first, n - side - first
