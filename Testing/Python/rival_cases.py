"""A pair with a known transform, rich in detail everywhere: what rivals are tried on."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from registration_cases import grid_about, inverse_of, points_of, scene
from RobustDIRLib.baselines.method import Pair
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.images import Image
from RobustDIRLib.registration.linear import Linear

FIXED_GRID = grid_about(np.zeros(3), (28, 36, 33), (2.4, 2.7, 3.6), (10, 20, 30), (1, -1, 1))
MOVING_GRID = grid_about(np.array([12, -9, 6.0]), (37, 33, 36), (2.6, 2.9, 3.1), (1, -20, 3), (1, 1, -1))
LINEAR = Linear(np.eye(3) + 0.03 * np.array([[1, 2, -1], [0, -1, 2], [1, 0, 1.0]]), np.array([12.0, -9, 6]))

_RANDOM = np.random.default_rng(5)
_WAVES = _RANDOM.normal(size=(40, 3))
_WAVES *= (2 * np.pi / _RANDOM.uniform(14, 40, 40) / np.linalg.norm(_WAVES, axis=1))[:, None]
_PHASES = _RANDOM.uniform(0, 2 * np.pi, 40)


def displacement(points: Array) -> Array:
    """Smooth, unlike along every axis, up to about 4 mm; `(..., 3)`, mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([4 * np.sin(y / 15 + 0.3), 3 * np.cos(z / 13), 4 * np.sin(x / 14 + 1)], -1)


def true_transform(points: Array) -> Array:
    """Moving points of fixed points, mm."""
    return LINEAR(points + displacement(points))


def detailed_scene(points: Array) -> Array:
    """The bodies of `registration_cases.scene` with a texture of waves 14 to 40 mm long in the largest."""
    texture = 0.06 * np.cos(points @ _WAVES.T + _PHASES).sum(-1)
    return scene(points) + texture * (np.linalg.norm(points / np.array([38, 30, 44]), axis=-1) < 1)


def _picture(grid: Grid, values: Array) -> Image:
    return Image((values + 0.01 * np.random.default_rng(1).normal(size=grid.shape)).astype(np.float32), grid)


def a_pair() -> Pair:
    """`moving(T(x)) = fixed(x)` for the true transform T, on grids that share nothing."""
    seen = points_of(FIXED_GRID)
    fixed = _picture(FIXED_GRID, detailed_scene(seen + displacement(seen)))
    return Pair(fixed, _picture(MOVING_GRID, detailed_scene(inverse_of(LINEAR)(points_of(MOVING_GRID)))))


def chest(points: Array) -> Array:
    """HU: a lung with the scene's detail inside, tissue about it, and the air of a room."""
    lung, body = (np.linalg.norm(points / np.array(radii), axis=-1) < 1 for radii in ((24, 19, 28), (32, 38, 70)))
    return np.where(lung, -800 + 250 * detailed_scene(points), np.where(body, 20.0, -1000.0))


def a_chest_pair() -> Pair:
    """The same transform seen in CT."""
    seen = points_of(FIXED_GRID)
    fixed = _picture(FIXED_GRID, chest(seen + displacement(seen)))
    return Pair(fixed, _picture(MOVING_GRID, chest(inverse_of(LINEAR)(points_of(MOVING_GRID)))), preset="lung-ct")


def places(part: float = 1.0) -> Array:
    """Points of the fixed image's middle, `(200, 3)`, mm."""
    return np.random.default_rng(0).uniform(-part, part, (200, 3)) * [20, 16, 24]


def errors(transform: sitk.Transform, points: Array) -> Array:
    """What is missing to the moving points, `(N, 3)`, mm: each axis apart."""
    return apply_to_points(transform, points) - true_transform(points)


def mean_error(transform: sitk.Transform, points: Array) -> float:
    """Mean TRE, mm."""
    return float(np.linalg.norm(errors(transform, points), axis=1).mean())
