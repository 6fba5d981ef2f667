"""A transform as two halves that meet in the middle, so that fixed and moving image play the same part.

The middle of a point x and its match T(x) is (x + T(x)) / 2, whichever image one starts from. Half of the displacement
therefore leads from the fixed image to the middle, half of the inverse displacement from the moving image to it.
Everything is kept at half the working resolution, where the network's own result lives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation

_FIRST_INVERSION = 8
_INVERSE_STEPS = 2
_SLAB_VOXELS = 1_000_000


def half_shape(shape: Sequence[int]) -> list[int]:
    """Voxels at half resolution."""
    return [-(-n // 2) for n in shape]


@dataclass(frozen=True)
class Halves:
    """Both halves of a transform and their inverses.

    Attributes:
        out: From the middle to the fixed image and to the moving one, `(2, 3, d, h, w)`, voxels of this grid.
        back: From the fixed and from the moving image to the middle, likewise.
        shape: The working grid's.
    """

    out: Tensor
    back: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, deformation: Deformation) -> Halves:
        """The halves of a deformation on the working grid."""
        shape = deformation.displacement.shape[2:]
        both = torch.cat([warping.resize_displacement(u, half_shape(shape)) for u in deformation])
        back = both / 2
        return cls(warping.invert(back, _FIRST_INVERSION), back, tuple(shape))

    def moved(self, step: Tensor) -> Halves:
        """After a displacement of the middle, `step[0]` towards the fixed image and its inverse `step[1]`."""
        return Halves(warping.compose(self.out, step), warping.compose(step.flip(0), self.back), self.shape)

    def settled(self) -> Halves:
        """With the inverses, which drift as compositions interpolate, brought back to the halves, alike for both."""
        return Halves(self.out, warping.invert(self.out, _INVERSE_STEPS, start=self.back), self.shape)

    def whole(self) -> Deformation:
        """The transform and its inverse on the working grid."""
        both = warping.compose(self.out.flip(0), self.back)
        return Deformation(*(warping.resize_displacement(u[None], self.shape) for u in both))

    def folds(self) -> int:
        """Voxels of either transform, at half resolution, whose Jacobian determinant is not positive."""
        return sum(int(where.sum()) for where in self._folded)

    def folded(self) -> Tensor:
        """Where in the middle they and their neighbours come to lie: `(1, 1, d, h, w)`, 1 there and 0 elsewhere."""
        fixed, moving, *halves = (F.max_pool3d(where[None].float(), 3, 1, 1) for where in self._folded)
        moved = (warping.warp(where, u[None]) for where, u in zip((fixed, moving), self.out, strict=True))
        return (torch.stack([*moved, *halves]).amax(0) > 0.1).float()  # interpolation leaks a little

    @cached_property
    def _folded(self) -> list[Tensor]:
        """Voxels of the transform and its inverse, then of both halves, that fold, each `(1, d, h, w)`."""
        both = warping.compose(self.out.flip(0), self.back)
        return [warping.jacobian_determinant(u[None]) <= 0 for u in (*both, *self.out)]


def warp_to(image: Tensor, displacement: Tensor) -> Tensor:
    """An image warped by a displacement of any coarser or equal grid, slab by slab.

    Args:
        image: Shape `(1, 1, D, H, W)`.
        displacement: Shape `(3, d, h, w)`, voxels of its own grid, which shares the image's outer border.
    Returns:
        Shape `(D, H, W)`.
    """
    shape = image.shape[2:]
    return torch.cat([warp_planes(image, displacement, rows) for rows in _slabs(shape)])


def warp_planes(image: Tensor, displacement: Tensor, rows: slice) -> Tensor:
    """Some planes of `warp_to`, shape `(d, H, W)`."""
    shape = image.shape[2:]
    scale = torch.tensor([n / m for n, m in zip(shape, displacement.shape[1:], strict=True)]).view(3, 1, 1, 1)
    voxels = displacement * (scale * torch.tensor([2 / max(n - 1, 1) for n in shape]).view(3, 1, 1, 1))
    lines = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape]
    points = planes_of(voxels.flip(0), shape, rows)  # channels x, y, z
    for channel, line in zip(points, (lines[2], lines[1][:, None], lines[0][rows, None, None]), strict=True):
        channel += line
    return warping.sample_normalised(image, points.permute(1, 2, 3, 0)[None])[0, 0]


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    thick = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], thick):
        yield slice(start, min(start + thick, shape[0]))


def planes_of(values: Tensor, shape: Sequence[int], rows: slice) -> Tensor:
    """Planes of a field `(C, d, h, w)` on the grid of another shape, linear."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values[:, rows]
    depth = values.shape[1]
    at = ((torch.arange(rows.start, rows.stop) + 0.5) * depth / shape[0] - 0.5).clamp(0, depth - 1)
    below = at.floor().long()
    above = (below + 1).clamp_max(depth - 1)
    planes = torch.lerp(values[:, below], values[:, above], (at - below)[:, None, None])
    return F.interpolate(planes, size=tuple(shape[1:]), mode="bilinear", align_corners=False)
