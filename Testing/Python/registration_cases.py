"""A scene in space that any grid can be filled with, and stand-ins for networks whose result is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.warping import identity_grid, invert

# A body and what lies in it: centre (mm from the middle), radii (mm), value added. Nothing is symmetric.
_BODIES = (
    ((0, 0, 0), (34, 26, 40), 0.4),
    ((-12, 5, 10), (9, 12, 14), 0.5),
    ((14, -6, -9), (11, 7, 10), -0.3),
    ((4, 12, -22), (7, 6, 8), 0.6),
    ((10, 3, 20), (5, 9, 6), 0.3),
)


def direction(angles: tuple[float, float, float], flips: tuple[int, int, int] = (1, 1, 1)) -> tuple:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.array(flips)
    return tuple(map(tuple, matrix))


def grid_about(middle: Array, shape: tuple, spacing: tuple, angles: tuple, flips: tuple = (1, 1, 1)) -> Grid:
    """A grid whose middle lies at a point."""
    grid = Grid(shape, spacing, (0, 0, 0), direction(angles, flips))
    origin = np.asarray(middle) - grid.points_from_voxels((np.array(shape) - 1) / 2)
    return Grid(shape, spacing, tuple(origin), grid.direction)


def scene(points: Array, values: tuple[float, ...] = tuple(value for _, _, value in _BODIES)) -> Array:
    """Intensities of the scene at points `(..., 3)`, mm; other values give another contrast."""
    total = np.zeros(points.shape[:-1])
    for (centre, radii, _), value in zip(_BODIES, values, strict=True):
        distance = np.linalg.norm((points - np.array(centre)) / np.array(radii), axis=-1)
        total += value / (1 + np.exp((distance - 1) * 12))
    return total


def points_of(grid: Grid) -> Array:
    return grid.points_from_voxels(np.moveaxis(np.indices(grid.shape), 0, -1))


def picture(grid: Grid, to_scene: Callable[[Array], Array] = lambda p: p, noise: float = 0.0, **kwargs) -> Image:
    """The scene on a grid, seen through a transform from the grid's points to the scene's."""
    values = scene(to_scene(points_of(grid)), **kwargs)
    values = values + noise * np.random.default_rng(3).normal(size=values.shape)
    return Image(values.astype(np.float32), grid)


def inverse_of(linear: Linear) -> Linear:
    matrix = np.linalg.inv(linear.matrix)
    return Linear(matrix, -matrix @ linear.offset)


class Standin:
    """A network that has seen it all: the same smooth displacement for any images of any size, and its inverse.

    `amplitude` is in parts of each side, along z, y, x, so that axes can be tried apart.
    """

    bytes_per_voxel = 100

    def __init__(self, amplitude: tuple[float, float, float] = (0.05, -0.04, 0.06), shift: float = 0.0) -> None:
        self.amplitude, self.shift = amplitude, shift

    def displacement(self, shape: tuple[int, ...]) -> Tensor:
        """Shape `(1, 3, D, H, W)`, voxels."""
        phase = [axis / n for axis, n in zip(identity_grid(shape)[0], shape, strict=True)]
        waves = (
            torch.sin(2.1 * phase[1] + 1.3 * phase[2] - 1.6 * phase[0]) + self.shift,
            torch.cos(1.7 * phase[0] - 2.3 * phase[2] + 1.9 * phase[1]) + self.shift,
            torch.sin(2.6 * phase[0] + 0.9 * phase[1] - 1.4 * phase[2]) + self.shift,
        )
        return torch.stack([w * a * n for w, a, n in zip(waves, self.amplitude, shape, strict=True)])[None]

    def __call__(self, fixed: Tensor, moving: Tensor) -> Deformation:
        assert fixed.shape == moving.shape
        assert fixed.abs().max() <= 1
        assert moving.abs().max() <= 1
        known = _known(self.amplitude, self.shift, tuple(fixed.shape[2:]))
        return Deformation(known.displacement.clone(), known.inverse.clone())


@lru_cache(maxsize=64)
def _known(amplitude: tuple[float, float, float], shift: float, shape: tuple[int, ...]) -> Deformation:
    """Inverting takes longer than all else of most registrations."""
    displacement = Standin(amplitude, shift).displacement(shape)
    return Deformation(displacement, invert(displacement, 40))
