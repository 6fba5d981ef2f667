"""Synthetic pairs of images with the exact displacement between them (section 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.deformations import DeformationConfig, apply_velocities, sample_velocities
from RobustDIRLib.synthesis.intensities import (
    CorruptionConfig,
    IntensityConfig,
    apply_contrast,
    corrupt,
    sample_contrasts,
    sample_texture,
)
from RobustDIRLib.synthesis.labels import LABELS
from RobustDIRLib.synthesis.random import chance, integer


@dataclass(frozen=True)
class PairConfig:
    """What a pair is made of.

    Attributes:
        side: Voxels a side of the images; a random crop of the label map where that is larger.
        deformation: Random velocities.
        intensity: Grey values.
        corruption: Corruptions of each image.
        mirror: Whether label maps are mirrored and their axes exchanged at random.
        reduction: Velocities and truth are made at 1/reduction of the resolution.
    """

    side: int = 192
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    mirror: bool = False
    reduction: int = 1

    def __post_init__(self) -> None:
        if self.side < 1 or self.reduction < 1 or self.side % self.reduction:
            raise ValueError(f"a side of {self.side} voxels cannot be made at 1/{self.reduction} of the resolution")


class Pair(NamedTuple):
    """A synthetic pair.

    Attributes:
        fixed, moving: Images, shape `(1, 1, D, H, W)`, in [-1, 1].
        fixed_labels, moving_labels: Their label maps, shape `(1, 1, D, H, W)`, `uint8`.
        truth: Exact transform and inverse, on the grid of 1/reduction of the resolution, in its voxels.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    truth: Deformation


def _crop(labels: Tensor, side: int, g: Generator) -> Tensor:
    start = [integer(0, max(0, n - side), g) for n in labels.shape]
    return labels[tuple(slice(s, s + side) for s in start)]


def _mirror(labels: Tensor, g: Generator) -> Tensor:
    axes = [axis for axis in range(3) if chance(0.5, g)]
    order = torch.randperm(3, generator=g).tolist()
    return labels.flip(axes).permute(order).contiguous()


def synthesize_pair(labels: Tensor, config: PairConfig, g: Generator) -> Pair:
    """Deform one label map twice and turn both results into images.

    Args:
        labels: Label map, shape `(D, H, W)`, `uint8`, sides at least `config.side`.
        config: What to make.
        g: Source of all draws: the same state gives the same pair.
    Raises:
        ValueError: If the label map is smaller than the pair, or the side cannot be reduced evenly.
    """
    if min(labels.shape) < config.side or config.side % config.reduction:
        raise ValueError(f"cannot cut {config.side} voxels at 1/{config.reduction} from a map of {tuple(labels.shape)}")
    scene = _crop(labels, config.side, g)
    scene = _mirror(scene, g) if config.mirror else scene
    shape = tuple(scene.shape)
    fixed, moving = sample_velocities(shape, config.deformation, g, reduction=config.reduction)
    *deformations, truth = apply_velocities(fixed, moving, config.deformation.squarings)
    contrasts = sample_contrasts(config.intensity, LABELS, g)
    texture = sample_texture(shape, g) if any(c.texture.any() for c in contrasts) else None
    images, maps = [], []
    for deformation, contrast in zip(deformations, contrasts, strict=True):
        points = warping.identity_grid(shape) + warping.resize_displacement(deformation, shape)
        deformed = warping.sample(scene[None, None].float(), points, mode="nearest").to(torch.uint8)
        moved = None if texture is None else warping.sample(texture, points)
        image = apply_contrast(deformed[0, 0], contrast, g, moved)
        images.append(corrupt(image, config.corruption, g))
        maps.append(deformed)
    return Pair(images[0], images[1], maps[0], maps[1], truth)
