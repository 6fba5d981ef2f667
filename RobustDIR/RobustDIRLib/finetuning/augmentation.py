"""What is done to the images of a pair before it is learnt from: contrast, noise, mirroring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from RobustDIRLib.finetuning.config import AugmentationConfig
from RobustDIRLib.finetuning.pairs import TrainingPair
from RobustDIRLib.synthesis.random import chance, uniform

_SCALING, _NOISE = 0.5, 0.2


def augment(pair: TrainingPair, config: AugmentationConfig, g: Generator) -> tuple[TrainingPair, list[int]]:
    """The pair with changed contrast and noise, each image by itself, and mirrored as a whole.

    Scaling takes the air to be 0 in the paper's formula `v (1 + factor)` (section 2.4.1), so that air stays air;
    intensities are kept within [-1, 1], which is what networks see of any image.

    Returns:
        The pair, and the axes (z, y, x as 0, 1, 2) along which it was mirrored.
    """
    fixed, moving = (_changed(image, config, g) for image in (pair.fixed, pair.moving))
    axes = [axis for axis in range(3) if chance(config.flip, g)]
    return mirrored(replace(pair, fixed=fixed, moving=moving), axes), axes


def _changed(image: Tensor, config: AugmentationConfig, g: Generator) -> Tensor:
    if chance(config.contrast, g):
        image = (image + 1) * (1 + uniform(-_SCALING, _SCALING, g)) - 1
    if chance(config.noise, g):
        image = image + _NOISE * torch.randn(image.shape, generator=g)
    return image.clamp(-1, 1)


def mirrored(pair: TrainingPair, axes: list[int]) -> TrainingPair:
    """The pair mirrored along axes (z, y, x as 0, 1, 2): images, labels and landmarks alike."""
    if not axes:
        return pair
    dims = [axis + 2 for axis in axes]
    images: dict[str, Any] = {
        name: image.flip(dims)
        for name in ("fixed", "moving", "fixed_labels", "moving_labels")
        if (image := getattr(pair, name)) is not None
    }
    points: dict[str, Any] = {
        name: _mirrored_points(held, pair.fixed.shape[2:], axes)
        for name in ("fixed_points", "moving_points")
        if (held := getattr(pair, name)) is not None
    }
    to_mm = pair.to_mm.clone()
    to_mm[:, axes] *= -1  # a voxel further along a mirrored axis is one back in space
    return replace(pair, **images, **points, to_mm=to_mm)


def mirrored_displacement(displacement: Tensor, axes: list[int]) -> Tensor:
    """A displacement, shape `(1, 3, D, H, W)`, voxels, of a pair that was mirrored: it turns over with it."""
    flipped = displacement.flip([axis + 2 for axis in axes])
    flipped[:, axes] *= -1
    return flipped


def _mirrored_points(points: Tensor, shape: torch.Size, axes: list[int]) -> Tensor:
    mirrored = points.clone()
    for axis in axes:
        mirrored[:, axis] = shape[axis] - 1 - mirrored[:, axis]
    return mirrored
