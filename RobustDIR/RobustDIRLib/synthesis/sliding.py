"""Organs that slide along the wall of a cavity, as lungs do in breathing: displacements with an exact, sharp border.

A velocity whose part across the wall vanishes at the wall never leads across it, so that its flow carries the cavity
onto itself. Inside, points follow that flow, outside they stay; both then share one smooth deformation of the whole
body. The transform between two such states, and its inverse, are known at every point, up to the wall and on both
sides of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.arrays import read_arrays
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.intensities import box_mean
from RobustDIRLib.synthesis.labels import BACKGROUND, SLIDING
from RobustDIRLib.synthesis.random import chance, smooth_noise, uniform

_SMOOTHINGS = 3  # box means of the cavity's mask: a border of some 4 voxels, whose slope is the wall's normal
_APEX = 0.85  # height of a chest, 0 to 1, above which breathing moves little


@dataclass(frozen=True)
class SlidingConfig:
    """How the contents of a cavity move.

    Attributes:
        amplitude: Largest displacement that breathing makes between both images, as a share of the label map's height;
            drawn from U(0, amplitude).
        roughness: Spread of smooth noise added to each image's velocity, as a share of the breathing's.
        motions: File of breathing displacements (`synthesis.motions`) to draw from half the time; none if empty.
    """

    amplitude: float = 0.12
    roughness: float = 0.25
    motions: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude <= 1 or self.roughness < 0:
            raise ValueError("amplitude is a share, from 0 to 1, and roughness is not negative")


class CropPlace(NamedTuple):
    """Where a crop lies in its label map, and how it was turned.

    Attributes:
        start: First voxel of the crop.
        whole: Sides of the label map.
        flips: Axes that were reversed, before
        order: the axes were exchanged in this order.
    """

    start: tuple[int, ...]
    whole: tuple[int, ...]
    flips: tuple[int, ...]
    order: tuple[int, ...]

    def turn(self, labels: Tensor) -> Tensor:
        """A volume `(D, H, W)` of the crop as it was turned."""
        return labels.flip(self.flips).permute(self.order).contiguous()

    def turn_velocity(self, velocity: Tensor) -> Tensor:
        """The same of a velocity `(1, 3, D, H, W)`, whose channels follow the axes."""
        signs = velocity.new_tensor([-1.0 if axis in self.flips else 1.0 for axis in range(3)]).view(1, 3, 1, 1, 1)
        flipped = (velocity * signs).flip([axis + 2 for axis in self.flips])
        return flipped[:, list(self.order)].permute(0, 1, *(axis + 2 for axis in self.order)).contiguous()


def cavity_of(scene: Tensor) -> Tensor:
    """Where the labels of a scene slide: boolean, the scene's shape."""
    return (scene >= SLIDING) & (scene < BACKGROUND)


def soft_cavity(scene: Tensor, reduction: int) -> Tensor:
    """Smooth level function of the cavity, 0.5 at its wall and 1 inside: `(1, 1, D, H, W)`, reduced."""
    mask = cavity_of(scene).float()[None, None]
    reduced = warping.resize(mask, [n // reduction for n in scene.shape])
    return box_mean(reduced, _SMOOTHINGS)


def along_wall(velocity: Tensor, cavity: Tensor) -> Tensor:
    """A velocity without its part across the wall: none of it at the wall, all of it farther away.

    Args:
        velocity: Shape `(1, 3, D, H, W)`, voxels, channels z, y, x.
        cavity: As `soft_cavity` gives it. The flow of the result keeps the level 0.5, as the part of the velocity
            along the level function's slope is scaled by (2 c - 1)^2.
    """
    slope = torch.cat(torch.gradient(cavity[0, 0], dim=(0, 1, 2))[:3]).view(1, 3, *cavity.shape[2:])
    normal = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-6)
    nearness = 4 * cavity * (1 - cavity)
    found: Tensor = velocity - nearness * normal * (normal * velocity).sum(1, keepdim=True)
    return found


def _places(place: CropPlace, shape: Sequence[int], reduction: int) -> list[Tensor]:
    """Height, depth and width of every voxel of the crop as it lay, 0 to 1 over its label map."""
    axes = []
    for axis, (n, start, whole) in enumerate(zip(shape, place.start, place.whole, strict=True)):
        view = [-1 if a == axis else 1 for a in range(3)]
        axes.append(((torch.arange(n) + 0.5) * reduction + start).view(view) / whole)
    return axes


@lru_cache(maxsize=4)
def load_motions(path: str) -> Tensor:
    """Breathing displacements `(n, 3, d, h, w)`, shares of the lungs' sides, channels z, y, x.

    Raises:
        InputError: If the file is not there, damaged, or holds none.
    """
    cure = "`robustdir synthesize` makes such a file"
    motions = read_arrays(Path(path), "file of breathing motions", cure).get("motions")
    fit = motions is not None and motions.dtype.kind == "f" and motions.ndim == 5 and motions.shape[1] == 3
    if motions is None or not fit or min(motions.shape) < 1 or not np.isfinite(motions).all():
        raise InputError(f"{path} holds no breathing motions; {cure}.")
    return torch.from_numpy(motions.astype(np.float32))


def _breathing(shape: Sequence[int], place: CropPlace, reduction: int, config: SlidingConfig, g: Generator) -> Tensor:
    """One breath as a velocity on the crop as it lay, largest about 1: drawn from real ones, or down and outwards."""
    up, back, right = _places(place, shape, reduction)
    if config.motions and chance(0.5, g):
        motions = load_motions(config.motions).to(up.device)
        motion = motions[int(torch.randint(len(motions), (), generator=g))][None]
        motion = motion if chance(0.5, g) else _mirrored(motion)
        # The lungs fill most of a map, from about a third of its height up.
        nodes = [torch.tensor(n - 1.0) for n in motion.shape[2:]]
        points = [((up - 0.3) / 0.7 * nodes[0]), back * nodes[1], right * nodes[2]]
        velocity = warping.sample(motion, torch.stack(torch.broadcast_tensors(*points))[None])
        found: Tensor = velocity / motion.norm(dim=1).max().clamp_min(1e-6)
        return found
    fall = ((_APEX - up) / (_APEX - uniform(0.25, 0.5, g))).clamp(0, 1)
    fall = fall * fall * (3 - 2 * fall)
    tilt = 1 + uniform(-0.2, 0.8, g) * (back - 0.5) + uniform(-0.4, 0.4, g) * (right - 0.5)
    down = torch.broadcast_to(fall * tilt, tuple(shape))
    forward = uniform(-0.3, 0.3, g) * fall * (1 - back)
    return torch.stack(torch.broadcast_tensors(down, forward, torch.zeros(())))[None]


def _mirrored(motion: Tensor) -> Tensor:
    """Left and right exchanged."""
    return motion.flip(4) * motion.new_tensor([1.0, 1.0, -1.0]).view(1, 3, 1, 1, 1)


def sample_breath(
    scene: Tensor, place: CropPlace, reduction: int, config: SlidingConfig, g: Generator
) -> tuple[Tensor, Tensor]:
    """Velocities of a cavity's contents in the fixed and the moving image, on the reduced grid, along the wall.

    Half of a breath in each, in opposite directions, and smooth noise of its own.
    """
    lying = [scene.shape[place.order.index(axis)] // reduction for axis in range(3)]
    size = uniform(-1, 1, g) * config.amplitude * place.whole[0] / reduction
    breath = place.turn_velocity(_breathing(lying, place, reduction, config, g)) * size
    cavity = soft_cavity(scene, reduction)
    noise = (smooth_noise(cavity.shape[2:], 6, g, 3) * config.roughness * abs(size) / 2 for _ in range(2))
    fixed, moving = (along_wall(sign * breath / 2 + n, cavity) for sign, n in zip((1, -1), noise, strict=True))
    return fixed, moving


class SlidingLayers(NamedTuple):
    """Deformation of one image, from its points to the scene's: a smooth one, then the flow where the cavity is.

    Attributes:
        body: The smooth displacement and its inverse, on the reduced grid, in its voxels.
        inside: The flow of the cavity's contents and its inverse, likewise.
    """

    body: Deformation
    inside: Deformation


def _displaced(points: Tensor, displacement: Tensor, reduction: int) -> Tensor:
    """Where points, voxels of the image, go by a displacement on the reduced grid."""
    return points + reduction * warping.sample(displacement, (points + 0.5) / reduction - 0.5)


class SlidingPair:
    """Both images' deformations of one scene, and the exact transform between them.

    Args:
        fixed, moving: The deformations.
        cavity: Level function of the cavity, on the reduced grid.
        reduction: Of that grid.
    """

    def __init__(self, fixed: SlidingLayers, moving: SlidingLayers, cavity: Tensor, reduction: int) -> None:
        self.fixed, self.moving, self.cavity, self.reduction = fixed, moving, cavity, reduction

    def _slid(self, points: Tensor, *flows: Tensor) -> Tensor:
        """Points of the scene after the flows, one after another, where they lie in the cavity."""
        level = warping.sample(self.cavity, (points + 0.5) / self.reduction - 0.5)
        moved = points
        for flow in flows:
            moved = _displaced(moved, flow, self.reduction)
        return torch.where(level > 0.5, moved, points)

    def scene_points(self, layers: SlidingLayers, points: Tensor) -> Tensor:
        """Points of the scene that an image shows at its own points, both `(1, 3, D, H, W)`, voxels."""
        body = _displaced(points, layers.body.displacement, self.reduction)
        return self._slid(body, layers.inside.displacement)

    def between(self, start: SlidingLayers, end: SlidingLayers, points: Tensor) -> Tensor:
        """Points of the `end` image that show what the `start` image shows at `points`."""
        scene = _displaced(points, start.body.displacement, self.reduction)
        scene = self._slid(scene, start.inside.displacement, end.inside.inverse)
        return _displaced(scene, end.body.inverse, self.reduction)

    def truth(self) -> Deformation:
        """Fixed to moving and back, on the reduced grid, in its voxels."""
        points = (warping.identity_grid(self.cavity.shape[2:]) + 0.5) * self.reduction - 0.5
        ways = ((self.fixed, self.moving), (self.moving, self.fixed))
        return Deformation(*((self.between(*way, points) - points) / self.reduction for way in ways))

    def density(self, layers: SlidingLayers, points: Tensor) -> Tensor:
        """What is left of the cavity's contents' density in an image where they are stretched: `(1, 1, D, H, W)`.

        Mass stays: the density of the image at x is that of the scene times the determinant of the way there.
        """
        body = _displaced(points, layers.body.displacement, self.reduction)
        shares = []
        for at, field in ((points, layers.body.displacement), (body, layers.inside.displacement)):
            determinant = warping.jacobian_determinant(field)[:, None].clamp(0.3, 3.0)
            shares.append(warping.sample(determinant, (at + 0.5) / self.reduction - 0.5))
        level = warping.sample(self.cavity, (body + 0.5) / self.reduction - 0.5)
        return torch.where(level > 0.5, shares[0] * shares[1], torch.ones(()))


def layers_of(body: Tensor, inside: Tensor, squarings: int) -> SlidingLayers:
    """The deformation of one image from two velocities on the reduced grid, `(1, 3, D, H, W)`, in its voxels."""
    integrate: Callable[[Tensor], Tensor] = lambda v: warping.integrate_velocity(v, squarings)  # noqa: E731
    return SlidingLayers(*(Deformation(integrate(v), integrate(-v)) for v in (body, inside)))
