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
    Contrast,
    CorruptionConfig,
    IntensityConfig,
    apply_contrast,
    corrupt,
    sample_contrasts,
    sample_texture,
)
from RobustDIRLib.synthesis.labels import LABELS
from RobustDIRLib.synthesis.random import chance, integer
from RobustDIRLib.synthesis.sliding import (
    CropPlace,
    SlidingConfig,
    SlidingPair,
    layers_of,
    sample_breath,
    soft_cavity,
)
from RobustDIRLib.synthesis.thorax import aerate, is_chest


@dataclass(frozen=True)
class PairConfig:
    """What a pair is made of.

    Attributes:
        side: Voxels a side of the images; a random crop of the label map where that is larger.
        deformation: Random velocities.
        sliding: How the contents of a cavity slide along its wall, where a label map has any.
        intensity: Grey values.
        corruption: Corruptions of each image.
        mirror: Whether label maps are mirrored and their axes exchanged at random.
        reduction: Velocities and truth are made at 1/reduction of the resolution.
    """

    side: int = 192
    deformation: DeformationConfig = field(default_factory=DeformationConfig)
    sliding: SlidingConfig = field(default_factory=SlidingConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    mirror: bool = False
    reduction: int = 1

    def __post_init__(self) -> None:
        if self.side < 1 or self.reduction < 1 or self.side % self.reduction:
            raise ValueError(f"a side of {self.side} voxels cannot be made at 1/{self.reduction} of the resolution")


class SyntheticPair(NamedTuple):
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


def _place(labels: Tensor, config: PairConfig, g: Generator) -> tuple[Tensor, CropPlace]:
    """A random crop of a label map, turned if wanted."""
    start = tuple(integer(0, max(0, n - config.side), g) for n in labels.shape)
    flips: tuple[int, ...] = ()
    order: tuple[int, ...] = (0, 1, 2)
    if config.mirror:
        flips = tuple(axis for axis in range(3) if chance(0.5, g))
        order = tuple(torch.randperm(3, generator=g).tolist())
    place = CropPlace(start, tuple(labels.shape), flips, order)
    return place.turn(labels[tuple(slice(s, s + config.side) for s in start)]), place


class _Warps(NamedTuple):
    """Points of the scene that both images show, `(1, 3, D, H, W)`, the truth, and what is left of each's density."""

    points: tuple[Tensor, Tensor]
    truth: Deformation
    densities: tuple[Tensor | None, Tensor | None] = (None, None)


def _smooth_warps(shape: tuple[int, ...], config: PairConfig, g: Generator) -> _Warps:
    fixed, moving = sample_velocities(shape, config.deformation, g, reduction=config.reduction)
    *deformations, truth = apply_velocities(fixed, moving, config.deformation.squarings)
    grid = warping.identity_grid(shape)
    first, second = (grid + warping.resize_displacement(d, shape) for d in deformations)
    return _Warps((first, second), truth)


def _sliding_warps(scene: Tensor, place: CropPlace, config: PairConfig, g: Generator) -> _Warps:
    bodies = sample_velocities(scene.shape, config.deformation, g, reduction=config.reduction)
    breath = sample_breath(scene, place, config.reduction, config.sliding, g)
    layers = [layers_of(*way, config.deformation.squarings) for way in zip(bodies, breath, strict=True)]
    pair = SlidingPair(layers[0], layers[1], soft_cavity(scene, config.reduction), config.reduction)
    grid = warping.identity_grid(scene.shape)
    first, second = (pair.scene_points(layer, grid) for layer in layers)
    return _Warps((first, second), pair.truth(), (pair.density(layers[0], grid), pair.density(layers[1], grid)))


def render(
    scene: Tensor,
    points: Tensor,
    contrast: Contrast,
    corruption: CorruptionConfig,
    g: Generator,
    *,
    texture: Tensor | None = None,
    density: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One image of a scene, and its label map.

    Args:
        scene: Label map `(D, H, W)`, `uint8`.
        points: Points of the scene that the image shows, `(1, 3, D, H, W)`, voxels.
        contrast: Grey values by label.
        corruption: What happens to the image after.
        g: Source of the draws.
        texture: Of the scene, `(1, 1, D, H, W)`, where there is one.
        density: What is left of the density at every voxel of the image, likewise.
    Returns:
        Image and `uint8` labels, each `(1, 1, D, H, W)`.
    """
    deformed = warping.sample(scene[None, None].float(), points, mode="nearest").to(torch.uint8)
    moved = None if texture is None else warping.sample(texture, points)
    image = apply_contrast(deformed[0, 0], contrast, g, moved)
    image = image if density is None else aerate(image, deformed, density)
    return corrupt(image, corruption, g), deformed


def synthesize_pair(labels: Tensor, config: PairConfig, g: Generator) -> SyntheticPair:
    """Deform one label map twice and turn both results into images.

    Args:
        labels: Label map, shape `(D, H, W)`, `uint8`, sides at least `config.side`. Labels from `SLIDING` on slide.
        config: What to make.
        g: Source of all draws: the same state gives the same pair.
    Raises:
        ValueError: If the label map is smaller than the pair, or the side cannot be reduced evenly.
    """
    if min(labels.shape) < config.side or config.side % config.reduction:
        raise ValueError(f"cannot cut {config.side} voxels at 1/{config.reduction} from a map of {tuple(labels.shape)}")
    scene, place = _place(labels, config, g)
    chest = is_chest(scene)
    warps = _sliding_warps(scene, place, config, g) if chest else _smooth_warps(tuple(scene.shape), config, g)
    contrasts = sample_contrasts(config.intensity, LABELS, g, chest=chest)
    texture = sample_texture(scene.shape, g) if any(c.texture.any() for c in contrasts) else None
    images, maps = [], []
    for points, density, contrast in zip(warps.points, warps.densities, contrasts, strict=True):
        image, deformed = render(scene, points, contrast, config.corruption, g, texture=texture, density=density)
        images.append(image)
        maps.append(deformed)
    return SyntheticPair(images[0], images[1], maps[0], maps[1], warps.truth)
