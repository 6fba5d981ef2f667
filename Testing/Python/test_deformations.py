"""Random deformations of section 2.3.1, step 2, and the exact transform between the two images of a pair."""

from __future__ import annotations

import torch

from RobustDIRLib import warping
from RobustDIRLib.synthesis.deformations import DeformationConfig, apply_velocities, sample_velocities, sample_velocity
from RobustDIRLib.synthesis.random import generator

SHAPE = (40, 32, 48)


def _inside(u: torch.Tensor, border: int = 10) -> torch.Tensor:
    cut = slice(border, -border)
    return u[..., cut, cut, cut].norm(dim=1)


def test_step_2_defaults_are_the_papers() -> None:
    config = DeformationConfig()
    assert [192 // spacing for spacing in config.node_spacing] == [24, 12, 6]
    assert config.sigma_max == 3
    assert config.squarings == 5
    assert config.affine_probability == 0


def test_calm_pairs_move_at_most_half_as_far_in_both_images() -> None:
    def spreads(probability: float) -> torch.Tensor:
        config = DeformationConfig(calm_probability=probability)
        drawn = [sample_velocities(SHAPE, config, generator(5, i), reduction=2) for i in range(30)]
        return torch.tensor([[float(v.norm(dim=1).mean()) for v in pair] for pair in drawn])

    usual, calm = spreads(0.0), spreads(1.0)
    assert calm.mean() < 0.4 * usual.mean()
    assert calm.min() > 0
    assert float(torch.corrcoef(calm.T)[0, 1]) > 0.3  # one scale for both; separate draws do not go together
    assert abs(float(torch.corrcoef(usual.T)[0, 1])) < 0.3


def test_three_grids_of_their_own_sigma_add_up() -> None:
    """Linear interpolation keeps about 0.3 of a node's variance; three sigmas of U(0, 3) give 9 on average."""
    velocities = torch.stack([sample_velocity(SHAPE, DeformationConfig(), generator(0, i)) for i in range(40)])
    assert 1.0 < velocities.square().mean() < 6.0
    spread = velocities.square().mean((1, 2, 3, 4, 5))
    assert spread.max() > 4 * spread.min()


def test_the_exact_transform_joins_both_deformations() -> None:
    """Through the truth, a point of fixed and its match in moving stem from one point of the scene."""
    config = DeformationConfig(sigma_max=1.5)
    velocities = [sample_velocity(SHAPE, config, generator(1, i)) for i in range(2)]
    to_fixed, to_moving, truth = apply_velocities(*velocities)
    through = warping.compose(to_moving, truth.displacement)
    assert _inside(to_fixed).mean() > 0.5
    assert _inside(through - to_fixed).mean() < 0.1 * _inside(to_fixed).mean()
    assert _inside(warping.compose(truth.displacement, truth.inverse)).mean() < 0.1 * _inside(to_fixed).mean()


def test_deformations_do_not_fold() -> None:
    for seed in range(4):
        velocity = sample_velocity(SHAPE, DeformationConfig(), generator(2, seed), reduction=2)
        determinant = warping.jacobian_determinant(warping.integrate_velocity(velocity))
        assert (determinant <= 0).float().mean() < 1e-3


def test_a_reduced_velocity_is_the_same_motion_in_larger_voxels() -> None:
    config = DeformationConfig(node_spacing=(16,), affine_probability=1.0)
    full = sample_velocity(SHAPE, config, generator(3))
    half = sample_velocity(SHAPE, config, generator(3), reduction=2)
    same = warping.resize_displacement(full, half.shape[2:])
    assert half.shape[2:] == (20, 16, 24)
    assert (same - half)[..., 2:-2, 2:-2, 2:-2].abs().mean() < 0.1 * half.abs().mean()


def test_a_linear_velocity_is_added_as_often_as_asked() -> None:
    def far(probability: float) -> float:
        config = DeformationConfig(node_spacing=(), affine_probability=probability, shift_sigma=0.0, affine_sigma=0.1)
        return float(sample_velocity(SHAPE, config, generator(4)).abs().max())

    assert far(0.0) == 0
    assert far(1.0) > 0.1
