"""Whether a level helped, by another measure than what it optimised, and whether images are alike enough to refine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.descriptors import self_similarity
from RobustDIRLib.registration.refinement.correlation import PARITIES, LocalCorrelation, even, lattice
from RobustDIRLib.registration.refinement.middle import Halves, half_shape, planes_of, warp_planes, warp_to

_FLAT = 1e-3  # variance of grey values in 3x3x3 voxels under which nothing can be told
_SLAB = 16  # planes that are compared together
_FEWEST = 5  # planes of a slab: self-similarity compares patches of three planes with their neighbours
_EMPTY = -0.95  # grey values up to here are background, of images in [-1, 1]
_ENOUGH = 2_000_000  # voxels, about: of larger volumes every second slab, or third and so on, stands for all


class Judge:
    """Two images to be compared in the middle of a transform.

    Args:
        images: Fixed and moving, each `(1, 1, D, H, W)` on the working grid, in [-1, 1].
        weight: How much every place of the middle counts, `(1, 1, d, h, w)`; everything alike if None.
    """

    def __init__(self, images: Sequence[Tensor], weight: Tensor | None = None) -> None:
        self.shape = half_shape(images[0].shape[2:])
        self.whole = images
        self.images = [warping.resize(image, self.shape) for image in images]
        self.weight = None if weight is None else warping.resize(weight, self.shape)

    def _warped(self, halves: Halves) -> list[Tensor]:
        return [warp_to(image, u)[None, None] for image, u in zip(self.images, halves.out, strict=True)]

    def unlikeness(self, halves: Halves, factor: int = 2) -> float:
        """Mean difference of the images' self-similarity (MIND), over the places where either has structure.

        It compares how patches relate to their neighbours, and never the grey values themselves.

        Args:
            halves: Lead from the middle to the images.
            factor: Working voxels along a side of a voxel compared: 1, or half resolution for any other. A level is to
                be judged by the detail that it had before it. A coarser level fits what is seen at half resolution so
                closely that a finer one hardly gains there: on a lung whose error it took from 1.9 to 1.3 mm, it lost.
        """
        images, weight = (self.whole if factor == 1 else self.images), self.weight
        shape = images[0].shape[2:]
        total = counted = 0.0
        for rows in _slabs(shape):
            fixed, moving = (warp_planes(i, u, rows)[None, None] for i, u in zip(images, halves.out, strict=True))
            counts = torch.maximum(_structure(fixed), _structure(moving))
            if weight is not None:
                counts = counts * planes_of(weight[0], shape, rows)[None]
            difference = (self_similarity(fixed) - self_similarity(moving)).abs_().mean(1, keepdim=True)
            total += float((difference * counts).sum())
            counted += float(counts.sum())
        return total / max(counted, 1.0)

    def agreement(self, halves: Halves) -> float:
        """Of local correlations the share of one sign, from -1 (each other's negative) over 0 (unrelated) to 1.

        Windows that hold background are left out, if there are others: an outline agrees whatever is inside it.
        """
        warped = [even(image)[0, 0] for image in self._warped(halves)]
        parts = [[lattice(image, parity) for parity in PARITIES] for image in warped]
        shape = parts[0][0].shape
        given = torch.ones(shape) if self.weight is None else warping.resize(self.weight, shape)[0, 0]
        inner = given * _full(*warped)
        return LocalCorrelation(shape, inner if bool(inner.any()) else given).agreement(*parts)


def _full(*images: Tensor) -> Tensor:
    """1 for the cells `(d, h, w)` whose window of 3x3x3 holds no background of any image `(D, H, W)`, else 0."""
    empty = torch.stack([image <= _EMPTY for image in images]).any(0).float()[None]
    # The voxels beside background hold some of it, too.
    cells = F.max_pool3d(F.max_pool3d(empty, 3, 1, 1), 2)
    return 1 - F.max_pool3d(cells, 3, 1, 1)[0]


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Planes to be compared: all, or slabs spread evenly over a volume of more than `_ENOUGH` voxels."""
    period = -(-math.prod(shape) // _ENOUGH) * _SLAB
    if period == _SLAB:
        yield slice(0, shape[0])
        return
    start = min((period - _SLAB) // 2, max(shape[0] - _SLAB, 0) // 2)
    for first in range(start, max(shape[0] - _FEWEST, start) + 1, period):
        yield slice(first, min(first + _SLAB, shape[0]))


def _structure(image: Tensor) -> Tensor:
    mean, square = (F.avg_pool3d(x, 3, 1, 1) for x in (image, image.square()))
    return ((square - mean.square()) > _FLAT).float()
