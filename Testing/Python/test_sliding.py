"""Sliding: the truth is exact on both sides of the wall, nothing crosses it, and both ways are inverse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from RobustDIRLib import warping
from RobustDIRLib.cli import main
from RobustDIRLib.errors import InputError
from RobustDIRLib.synthesis import sliding
from RobustDIRLib.synthesis.deformations import DeformationConfig
from RobustDIRLib.synthesis.intensities import IntensityConfig
from RobustDIRLib.synthesis.labels import SLIDING
from RobustDIRLib.synthesis.motions import breathing_field
from RobustDIRLib.synthesis.pairs import PairConfig, synthesize_pair
from RobustDIRLib.synthesis.random import generator, smooth_noise
from RobustDIRLib.synthesis.thorax import thorax

SHAPE = (36, 28, 40)
CALM = DeformationConfig(node_spacing=(16, 32), sigma_max=1.0)


def _scene(shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """A skewed ellipsoid of eight sliding labels in a wall of labels that depend on the place."""
    z, y, x = (torch.linspace(-1, 1, n) for n in shape)
    radius = (z[:, None, None] / 1.4).square() + (y[None, :, None] / 0.75 + 0.2 * x[None, None, :]).square()
    inside = radius + ((x[None, None, :] - 0.1) / 0.6).square() < 1
    cells = (torch.arange(shape[0]) // 5)[:, None, None] + (torch.arange(shape[2]) // 6)[None, None, :]
    cells = cells.expand(shape) % 8
    return torch.where(inside, cells + SLIDING, cells).to(torch.uint8)


def _place(
    shape: tuple[int, ...], flips: tuple[int, ...] = (), order: tuple[int, ...] = (0, 1, 2)
) -> sliding.CropPlace:
    return sliding.CropPlace((0, 0, 0), shape, flips, order)


def _velocity(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    lift = torch.tensor([4.0, 0.5, -1.0]).view(1, 3, 1, 1, 1)
    return smooth_noise(shape, 5, generator(seed), 3) + lift


@pytest.fixture(scope="module")
def pair() -> sliding.SlidingPair:
    scene = _scene()
    cavity = sliding.soft_cavity(scene, 1)
    layers = [
        sliding.layers_of(
            smooth_noise(SHAPE, 4, generator(seed), 3), sliding.along_wall(_velocity(SHAPE, seed + 1), cavity), 5
        )
        for seed in (1, 3)
    ]
    return sliding.SlidingPair(layers[0], layers[1], cavity, 1)


def test_the_flow_keeps_what_is_inside_inside() -> None:
    cavity = sliding.soft_cavity(_scene(), 1)
    velocity = _velocity(SHAPE, 2)
    grid = warping.identity_grid(SHAPE)

    def crossing(v: torch.Tensor) -> tuple[float, float]:
        flow = warping.integrate_velocity(v)
        inside = cavity > 0.5
        after = warping.sample(cavity, grid + flow)
        crossed = inside & (after < 0.5)
        crossed[..., :6, :, :] = crossed[..., -6:, :, :] = False  # the open ends
        return float(crossed.float().sum() / inside.sum()), float(
            (0.5 - after[crossed]).max()
        ) if crossed.any() else 0.0

    share, depth = crossing(sliding.along_wall(velocity, cavity))
    assert share < 0.01 and depth < 0.05
    assert crossing(velocity)[0] > 0.03


def test_at_the_wall_a_velocity_loses_its_part_across_and_far_from_it_nothing() -> None:
    cavity = sliding.soft_cavity(_scene(), 1)
    velocity = _velocity(SHAPE, 6)
    along = sliding.along_wall(velocity, cavity)
    slope = torch.stack(torch.gradient(cavity[0, 0]))[None]
    across = [
        (v * slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-6)).sum(1, keepdim=True) for v in (velocity, along)
    ]
    near, far = (cavity - 0.5).abs() < 0.05, cavity > 0.9999
    assert across[1][near].abs().mean() < 0.05 * across[0][near].abs().mean()
    assert torch.allclose(along[:, :, far[0, 0]], velocity[:, :, far[0, 0]], atol=2e-3)


def test_both_ways_are_inverse_up_to_the_wall(pair: sliding.SlidingPair) -> None:
    points = warping.identity_grid(SHAPE)
    there = pair.between(pair.fixed, pair.moving, points)
    back = pair.between(pair.moving, pair.fixed, there)
    inner = (..., slice(8, -8), slice(5, -5), slice(8, -8))
    error = (back - points).norm(dim=1)[inner]
    assert (there - points).norm(dim=1)[inner].mean() > 1
    assert error.mean() < 0.05 and error.quantile(0.98) < 0.3


def test_the_truth_leads_to_the_same_point_of_the_scene(pair: sliding.SlidingPair) -> None:
    points = warping.identity_grid(SHAPE)
    match = points + pair.truth().displacement
    seen, wanted = pair.scene_points(pair.moving, match), pair.scene_points(pair.fixed, points)
    inner = (..., slice(8, -8), slice(5, -5), slice(8, -8))
    error = (seen - wanted).norm(dim=1)[inner]
    assert error.mean() < 0.05 and error.quantile(0.98) < 0.3


def test_the_truth_jumps_at_the_wall_alone(pair: sliding.SlidingPair) -> None:
    still = sliding.layers_of(torch.zeros(1, 3, *SHAPE), torch.zeros(1, 3, *SHAPE), 5)
    moving = still._replace(inside=pair.moving.inside)
    u = sliding.SlidingPair(still, moving, pair.cavity, 1).truth().displacement
    outside = pair.cavity[0, 0] <= 0.5
    assert float(u[:, :, outside].abs().max()) == 0.0
    just_inside = (pair.cavity[0, 0] > 0.5) & (pair.cavity[0, 0] < 0.6)
    assert float(u[:, :, just_inside].norm(dim=1).mean()) > 1


def test_density_times_volume_is_kept(pair: sliding.SlidingPair) -> None:
    points = warping.identity_grid(SHAPE)
    density = pair.density(pair.fixed, points)
    inside = warping.sample(pair.cavity, points + pair.fixed.body.displacement) > 0.5
    way = pair.scene_points(pair.fixed, points) - points
    deep = warping.sample(pair.cavity, points + pair.fixed.body.displacement) > 0.995
    determinant = warping.jacobian_determinant(way)[:, None]
    error = (density - determinant)[deep]
    assert (density[deep] - 1).abs().mean() > 0.05
    assert error.abs().mean() < 0.25 * (density[deep] - 1).abs().mean()
    assert (density[~inside] == 1).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_a_velocity_turns_with_its_volume(flips: tuple[int, ...], order: tuple[int, ...]) -> None:
    place = _place((8, 9, 10), flips, order)
    volume, velocity = (
        torch.randn(8, 9, 10, generator=generator(1)),
        torch.randn(1, 3, 8, 9, 10, generator=generator(2)),
    )
    volume[1:-1, 1:-1, 1:-1] = 0  # a step from the middle never leaves the volume
    spot = (3, 4, 6)
    target = tuple(int(s + d) for s, d in zip(spot, (1, -2, 1), strict=True))
    velocity[0, :, 3, 4, 6] = torch.tensor([1.0, -2.0, 1.0])
    marked = torch.zeros(8, 9, 10)
    marked[target] = 1
    start = torch.zeros(8, 9, 10)
    start[spot] = 1
    turned_spot = place.turn(start).nonzero()[0]
    z, y, x = turned_spot.tolist()
    step = place.turn_velocity(velocity)[0, :, z, y, x]
    assert place.turn(marked)[tuple((turned_spot + step.long()).tolist())] == 1


@pytest.fixture(scope="module")
def chest() -> torch.Tensor:
    return thorax((64, 68, 72), generator(2))


@pytest.mark.parametrize("reduction", [1, 2])
def test_a_chest_breathes_and_its_truth_carries_labels(chest: torch.Tensor, reduction: int) -> None:
    config = PairConfig(
        side=64,
        deformation=CALM,
        intensity=IntensityConfig("static", chest_probability=1.0),
        mirror=True,
        reduction=reduction,
        sliding=sliding.SlidingConfig(amplitude=0.3),
    )
    pair = synthesize_pair(chest, config, generator(8))
    u = warping.resize_displacement(pair.truth.displacement, pair.fixed.shape[2:])
    inner = (..., *[slice(12, -12)] * 3)
    warped = warping.warp(pair.moving_labels.float(), u, mode="nearest")
    before, after = ((labels == pair.fixed_labels)[inner].float().mean() for labels in (pair.moving_labels, warped))
    assert u.norm(dim=1).max() > 4
    assert after > 0.85 > before + 0.1
    again = synthesize_pair(chest, config, generator(8))
    assert torch.equal(pair.fixed, again.fixed)


def test_pairs_without_anything_that_slides_are_as_they_were() -> None:
    labels = (_scene((32, 32, 32)) % 8).to(torch.uint8)
    config = PairConfig(side=32, deformation=CALM, mirror=True)
    wild = replace(config, sliding=sliding.SlidingConfig(amplitude=1.0))
    assert torch.equal(*(synthesize_pair(labels, c, generator(3)).fixed for c in (config, wild)))


def test_a_field_of_breathing_follows_its_points() -> None:
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 1, (900, 3)) * (100, 60, 80) + (5, 9, -3)
    move = np.stack([0.1 * (105 - start[:, 0]), 0.02 * start[:, 2], np.zeros(900)], 1)
    field = breathing_field(start, start + move)
    assert field.shape == (3, 12, 12, 12)
    assert field[0, 1].mean() > 0.02 > -0.02 > field[0, -2].mean()
    slope = np.polyfit(np.linspace(0, 1, 12)[2:-2], field[0].mean((1, 2))[2:-2], 1)[0]
    assert -0.12 < slope < -0.06


def test_motions_are_made_by_the_command_and_used_by_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    start = rng.uniform(0, 50, (150, 3))
    table = tmp_path / "breath.csv"
    np.savetxt(table, np.hstack([start, start + (0, 0, 5) * (start[:, 2:] < 25)]), delimiter=",")
    assert main(["synthesize", "--motions", str(table), "-o", str(tmp_path / "out")]) == 0
    motions = tmp_path / "out" / "motions.npz"
    assert sliding.load_motions(str(motions)).shape == (1, 3, 12, 12, 12)
    config = sliding.SlidingConfig(amplitude=0.3, motions=str(motions))
    breaths = [sliding.sample_breath(_scene(), _place(SHAPE), 1, config, generator(5, k))[0] for k in range(6)]
    plain = [
        sliding.sample_breath(_scene(), _place(SHAPE), 1, replace(config, motions=""), generator(5, k))[0]
        for k in range(6)
    ]
    assert any(not torch.allclose(a, b) for a, b in zip(breaths, plain, strict=True))


@pytest.mark.parametrize(("text", "says"), [("1,2\n3,4\n", "rows of 2 numbers"), ("x,y\n", "no table of numbers")])
def test_unfit_tables_of_points_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (tmp_path / "bad.csv").write_text(text)
    assert main(["synthesize", "--motions", str(tmp_path / "bad.csv"), "-o", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    with pytest.raises(InputError, match="does not exist"):
        sliding.load_motions(str(tmp_path / "missing.npz"))
