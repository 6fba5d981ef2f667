"""Whether a level helped, by another measure than what it optimised, and whether images are alike enough to refine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.descriptors import self_similarity
from RobustDIRLib.registration.refinement.correlation import PARITIES, LocalCorrelation, even, lattice
from RobustDIRLib.registration.refinement.middle import Halves, half_shape, warp_to

_FLAT = 1e-3  # variance of grey values in 3x3x3 voxels under which nothing can be told


class Judge:
    """Two images at half resolution, to be compared in the middle of a transform.

    Args:
        images: Fixed and moving, each `(1, 1, D, H, W)` on the working grid, in [-1, 1].
        weight: How much every place of the middle counts, `(1, 1, d, h, w)`; everything alike if None.
    """

    def __init__(self, images: Sequence[Tensor], weight: Tensor | None = None) -> None:
        self.shape = half_shape(images[0].shape[2:])
        self.images = [warping.resize(image, self.shape) for image in images]
        self.weight = None if weight is None else warping.resize(weight, self.shape)

    def _warped(self, halves: Halves) -> list[Tensor]:
        return [warp_to(image, u)[None, None] for image, u in zip(self.images, halves.out, strict=True)]

    def unlikeness(self, halves: Halves) -> float:
        """Mean difference of the images' self-similarity (MIND), over the places where either has structure.

        It compares how patches relate to their neighbours, one resolution only, and never the grey values themselves.
        """
        fixed, moving = self._warped(halves)
        counts = torch.maximum(_structure(fixed), _structure(moving))
        if self.weight is not None:
            counts = counts * self.weight
        difference = (self_similarity(fixed) - self_similarity(moving)).abs_().mean(1, keepdim=True)
        return float((difference * counts).sum() / counts.sum().clamp_min(1))

    def agreement(self, halves: Halves) -> float:
        """Of local correlations the share of one sign, from -1 (each other's negative) over 0 (unrelated) to 1."""
        warped = [even(image)[0, 0] for image in self._warped(halves)]
        parts = [[lattice(image, parity) for parity in PARITIES] for image in warped]
        weight = None if self.weight is None else warping.resize(self.weight, parts[0][0].shape)[0, 0]
        return LocalCorrelation(parts[0][0].shape, weight).agreement(*parts)


def _structure(image: Tensor) -> Tensor:
    mean, square = (torch.nn.functional.avg_pool3d(x, 3, 1, 1) for x in (image, image.square()))
    return ((square - mean.square()) > _FLAT).float()
