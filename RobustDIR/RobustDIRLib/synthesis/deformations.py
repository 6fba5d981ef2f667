"""Random diffeomorphic deformations from stationary velocities (section 2.3.1, step 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from RobustDIRLib import warping
from RobustDIRLib.configuration import refuse_improbable
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.synthesis.random import chance, smooth_noise, uniform

_MOST_SQUARINGS = 16


@dataclass(frozen=True)
class DeformationConfig:
    """What a random velocity is summed from; lengths in voxels of the image.

    Attributes:
        node_spacing: Distance of the nodes of each velocity grid; 8, 16, 32 are the paper's 24, 12, 6 nodes at 192.
        sigma_max: Each grid's node values are N(0, sigma) with sigma from U(0, sigma_max).
        affine_probability: How often a linear velocity is added (0 in the paper).
        affine_sigma: Spread of the linear velocity's matrix, scaled by U(0, 1).
        shift_sigma: Spread of the constant velocity that comes with it, scaled by U(0, 1).
        calm_probability: How often both velocities of a pair are scaled by U(0, 0.5), so that pairs that nearly match
            already are learnt to be left so (0 in the paper).
        squarings: Steps of scaling and squaring.
    """

    node_spacing: tuple[int, ...] = (8, 16, 32)
    sigma_max: float = 3.0
    affine_probability: float = 0.0
    affine_sigma: float = 0.06
    shift_sigma: float = 4.0
    calm_probability: float = 0.0
    squarings: int = 5

    def __post_init__(self) -> None:
        if min(self.sigma_max, self.affine_sigma, self.shift_sigma) < 0 or min(self.node_spacing, default=1) < 1:
            raise ValueError("sigmas must not be negative, and node_spacing holds numbers of at least 1")
        if not 1 <= self.squarings <= _MOST_SQUARINGS:
            raise ValueError(f"squarings must be from 1 to {_MOST_SQUARINGS}")
        refuse_improbable(self)


def _linear_velocity(small: Sequence[int], reduction: int, config: DeformationConfig, g: Generator) -> Tensor:
    """A linear velocity around the centre, on the reduced grid but in voxels of the image."""
    matrix = torch.randn((3, 3), generator=g) * config.affine_sigma * uniform(0, 1, g)
    shift = torch.randn((1, 3, 1, 1, 1), generator=g) * config.shift_sigma * uniform(0, 1, g)
    centre = torch.tensor([(n - 1) / 2 for n in small]).view(1, 3, 1, 1, 1)
    arm = (warping.identity_grid(small) - centre) * reduction
    return torch.einsum("ij,bjdhw->bidhw", matrix, arm) + shift


def sample_velocity(shape: Sequence[int], config: DeformationConfig, g: Generator, *, reduction: int = 1) -> Tensor:
    """Draw a stationary velocity for an image.

    Args:
        shape: Sides of the image, voxels.
        config: What to draw.
        g: Source of the draws.
        reduction: The velocity is made at this fraction of the image's resolution, which is as good for smooth ones.
    Returns:
        Shape `(1, 3, D/reduction, H/reduction, W/reduction)`, voxels of that grid, channels z, y, x.
    """
    small = tuple(n // reduction for n in shape)
    velocity = torch.zeros((1, 3, *small))
    for spacing in config.node_spacing:
        sigma = uniform(0, config.sigma_max, g)
        velocity += smooth_noise(small, [max(2, round(n / spacing)) for n in shape], g, 3) * sigma
    if chance(config.affine_probability, g):
        velocity += _linear_velocity(small, reduction, config, g)
    return velocity / reduction


def sample_velocities(
    shape: Sequence[int], config: DeformationConfig, g: Generator, *, reduction: int = 1
) -> tuple[Tensor, Tensor]:
    """Draw the velocities of the fixed and the moving image of a pair, as `sample_velocity` makes each."""
    scale = uniform(0, 0.5, g) if chance(config.calm_probability, g) else 1.0
    fixed, moving = (scale * sample_velocity(shape, config, g, reduction=reduction) for _ in range(2))
    return fixed, moving


def apply_velocities(fixed: Tensor, moving: Tensor, squarings: int = 5) -> tuple[Tensor, Tensor, Deformation]:
    """Deformations of the fixed and the moving image, and the exact transform between them.

    With `fixed(x) = scene(exp(vF)(x))` and `moving(x) = scene(exp(vM)(x))`, the point x of fixed shows what moving
    shows at `exp(-vM)(exp(vF)(x))`.

    Args:
        fixed: Velocity vF, shape `(1, 3, D, H, W)`, voxels, channels z, y, x.
        moving: Velocity vM, likewise.
        squarings: Steps of scaling and squaring.
    Returns:
        `exp(vF)`, `exp(vM)`, and the fixed-to-moving displacement with its inverse.
    """
    velocities = torch.cat([fixed, moving, -fixed, -moving])
    to_fixed, to_moving, from_fixed, from_moving = warping.integrate_velocity(velocities, squarings).split(1)
    truth = Deformation(warping.compose(from_moving, to_fixed), warping.compose(from_fixed, to_moving))
    return to_fixed, to_moving, truth
