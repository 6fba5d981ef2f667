"""One level: the velocity of the middle that makes both images alike, by Adam on control points, without autograd."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.control import ControlGrid, Matrices
from RobustDIRLib.registration.refinement.correlation import (
    PARITIES,
    LocalCorrelation,
    even,
    lattice,
    lattice_gradient,
)
from RobustDIRLib.registration.refinement.middle import Halves, warp_to
from RobustDIRLib.registration.refinement.settings import Level
from RobustDIRLib.registration.refinement.sliding import SlidingGrid

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.99
_LAST_RATE = 0.2
_SIMILARITY = 4.0
_NO_GAIN = 2e-4  # of the loss, from one warping of the images to the next


class Adam:
    """Adam (Kingma and Ba 2015); coefficients whose gradient is far below the usual move less, not at full rate."""

    def __init__(self, like: Tensor) -> None:
        self.mean, self.square, self.steps = torch.zeros_like(like), torch.zeros_like(like), 0

    def __call__(self, gradient: Tensor, rate: float) -> Tensor:
        """The change of the coefficients."""
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _FIRST_DECAY)
        self.square.lerp_(gradient.square(), 1 - _SECOND_DECAY)
        mean = self.mean / (1 - _FIRST_DECAY**self.steps)
        size = (self.square / (1 - _SECOND_DECAY**self.steps)).sqrt()
        return mean / (size + 0.1 * size.square().mean().sqrt() + 1e-12) * -rate


@dataclass(frozen=True)
class _Lattice:
    """A sub-lattice of both images as they were last warped to the middle, and how they change with the velocity."""

    fixed: Tensor
    moving: Tensor
    fixed_slope: list[Tensor]
    moving_slope: list[Tensor]
    matrices: Matrices


class LevelProblem:
    """What a level optimises.

    Args:
        images: Fixed and moving, each `(1, 1, D, H, W)` on the working grid, in [-1, 1].
        spacing: Sides of a working voxel, mm, z, y, x.
        halves: Where the level starts.
        level: Its settings.
        weight: How much every place of the middle counts, `(1, 1, d, h, w)` of any shape; everything alike if None.
        inside: Of places of the middle that slide along the rest 1, of the rest 0, `(1, 1, d, h, w)` on the halves'
            grid; nothing slides if None.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        spacing: Sequence[float],
        halves: Halves,
        level: Level,
        weight: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> None:
        working = images[0].shape[2:]
        self.level, self.halves = level, halves
        self.shape = [math.ceil(n / level.factor) for n in working]
        self.images = [warping.resize(image, self.shape) for image in images]
        self.voxel = [s * n / m for s, n, m in zip(spacing, working, self.shape, strict=True)]
        self.unit = math.prod(spacing) ** (1 / 3)
        cells = [-(-n // 2) for n in self.shape]
        over = working, spacing, level.distance * self.unit
        self.grid = ControlGrid(*over) if inside is None else SlidingGrid(*over, inside, cells)
        counts = None if weight is None else warping.resize(weight, cells)[0, 0]
        self.similarity = LocalCorrelation(cells, counts, self.grid.part)
        self._matrices = {
            parity: self.grid.at(
                [(2 * torch.arange(c) + p + 0.5) / n for c, p, n in zip(cells, parity, self.shape, strict=True)]
            )
            for parity in PARITIES
        }

    def warped(self, coefficients: Tensor) -> list[Tensor]:
        """Both images in the middle, each `(D, H, W)`, sides even."""
        out = self.halves.out
        if bool(coefficients.any()):
            step = self.grid.exponential(coefficients, out.shape[2:], self.grid.rough_squarings)
            out = warping.compose(out, step)
        warped = (warp_to(image, u) for image, u in zip(self.images, out, strict=True))
        return [even(image[None, None])[0, 0] for image in warped]

    def moved(self, coefficients: Tensor) -> Halves:
        """The halves after a velocity."""
        return self.halves.moved(self.grid.exponential(coefficients, self.halves.out.shape[2:]))

    def calmed(self, coefficients: Tensor, where: Tensor) -> Tensor:
        """Coefficients halved around places of the middle, `(1, 1, d, h, w)`, 1 there, with a smooth border."""
        points = F.adaptive_max_pool3d(where, self.grid.points)
        around = F.avg_pool3d(F.max_pool3d(points, 5, 1, 2), 3, 1, 1, count_include_pad=False)
        return coefficients * (1 - around[0] / 2)

    def lattices(self, coefficients: Tensor, parities: Sequence[tuple[int, int, int]]) -> list[_Lattice]:
        """Both images around a velocity, linear in its changes."""
        fixed, moving = self.warped(coefficients)
        return [
            _Lattice(
                lattice(fixed, p),
                lattice(moving, p),
                self._per_mm(lattice_gradient(fixed, p), -0.5),
                self._per_mm(lattice_gradient(moving, p), 0.5),
                self._matrices[p],
            )
            for p in parities
        ]

    def _per_mm(self, slopes: list[Tensor], half: float) -> list[Tensor]:
        """Change of a warped voxel with the velocity, which moves the images by half of it each, in mm."""
        return [slope.mul_(half / side) for slope, side in zip(slopes, self.voxel, strict=True)]

    def similarity_gradient(self, lattices: Sequence[_Lattice], change: Tensor) -> tuple[float, Tensor]:
        """Minus the mean squared local correlation after a change of the coefficients.

        It is a mean over the whole volume, as the roughness is, so that empty surroundings change neither's weight
        against the other.

        Returns:
            It, and its derivative with respect to the coefficients.
        """
        fixed, moving = [], []
        for part in lattices:
            velocity = self.grid.velocity(part.matrices, change)
            fixed.append(_linear(part.fixed, part.fixed_slope, velocity))
            moving.append(_linear(part.moving, part.moving_slope, velocity))
        loss, of_fixed, of_moving = self.similarity(fixed, moving)
        gradient = torch.zeros_like(change)
        for part, f, m in zip(lattices, of_fixed, of_moving, strict=True):
            slopes = zip(part.fixed_slope, part.moving_slope, strict=True)
            force = torch.stack([(f * a).addcmul_(m, b) for a, b in slopes])
            gradient += self.grid.gradient(part.matrices, force)
        return loss, gradient


def _linear(image: Tensor, slopes: Sequence[Tensor], velocity: Tensor) -> Tensor:
    image = image.clone()
    for slope, v in zip(slopes, velocity, strict=True):
        image.addcmul_(slope, v)
    return image


def optimise(problem: LevelProblem, stop: Callable[[], bool]) -> tuple[Tensor, int]:
    """Coefficients of the velocity, mm, and the steps taken.

    Ends early when the loss no longer falls or `stop` says so; it is asked before the images are warped.
    """
    level = problem.level
    current, adam = problem.grid.zeros(), Adam(problem.grid.zeros())
    around: Tensor = current
    lattices: list[_Lattice] = []
    total: list[float] = []
    for step in range(level.steps):
        if step % level.refresh == 0:
            if stop() or _no_gain(total, level.refresh * len(PARITIES) // level.lattices):
                return current, step
            around, lattices = current, problem.lattices(current, _parities(step // level.refresh, level.lattices))
        loss, slope = problem.similarity_gradient(lattices, current - around)
        rough, stiff = problem.grid.roughness(current)
        total.append(_SIMILARITY * loss + level.stiffness * rough)
        rate = level.rate * problem.unit * (1 - (1 - _LAST_RATE) * step / level.steps)
        current = current + adam(_SIMILARITY * slope + level.stiffness * stiff, rate)
    return current, level.steps


def _no_gain(losses: Sequence[float], period: int) -> bool:
    """Whether the losses of the last steps are no better than those of as many before.

    Sub-lattices differ a little in their losses, so that only stretches over the same ones can be compared.
    """
    if len(losses) < 2 * period:
        return False
    last, before = losses[-period:], losses[-2 * period : -period]
    return sum(before) - sum(last) < _NO_GAIN * abs(sum(before))


def _parities(number: int, count: int) -> Sequence[tuple[int, int, int]]:
    """The sub-lattices of a stretch of steps: pairs of opposite ones, in turn."""
    start = number * count % len(PARITIES)
    return PARITIES[start : start + count]
