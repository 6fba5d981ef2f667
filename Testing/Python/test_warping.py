"""Warping, composing, integrating, inverting and resizing against scipy, numpy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.ndimage import map_coordinates

from RobustDIRLib.warping import (
    compose,
    displacement_gradient,
    identity_grid,
    integrate_velocity,
    invert,
    jacobian_determinant,
    resize,
    resize_displacement,
    sample,
    warp,
)

SHAPE = (9, 14, 11)
INSIDE = (..., slice(2, -2), slice(2, -2), slice(2, -2))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def a_volume(rng: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.from_numpy(rng.normal(size=(1, 1, *shape)).astype(np.float32))


def a_smooth_field(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> torch.Tensor:
    """A displacement of another size along each axis, one slow oblique wave a component, without symmetry."""
    unit = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1))
    waves = [np.sin(2 * np.pi * (np.tensordot(rng.uniform(-0.6, 0.6, 3), unit, 1) + rng.uniform())) for _ in range(3)]
    field = np.stack(waves) * np.reshape([1, 0.7, -0.5], (3, 1, 1, 1)) * amplitude
    return torch.from_numpy(field.astype(np.float32))[None]


def an_affine_field(matrix: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """The field `matrix @ (x - centre)`, channels z, y, x."""
    centre = (np.array(shape) - 1) / 2
    points = identity_grid(shape)[0].double().numpy() - centre.reshape(3, 1, 1, 1)
    return torch.from_numpy(np.tensordot(matrix, points, 1)[None])


def points_through(displacement: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """Points `(3, N)` moved by a displacement, by scipy."""
    moved = [map_coordinates(c, points, order=1, mode="nearest") for c in displacement[0].double().numpy()]
    return points + np.stack(moved)


# --- sampling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "order"), [("bilinear", 1), ("nearest", 0)])
def test_warp_equals_scipy(rng: np.random.Generator, mode: str, order: int) -> None:
    image = a_volume(rng)
    displacement = torch.from_numpy(rng.uniform(-4, 4, size=(1, 3, *SHAPE)).astype(np.float32))
    coordinates = (identity_grid(SHAPE) + displacement)[0].numpy()
    expected = map_coordinates(image[0, 0].numpy(), coordinates, order=order, mode="nearest")
    np.testing.assert_allclose(warp(image, displacement, mode=mode)[0, 0].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("step", [1, -2, 0.25])
def test_warp_reads_ahead_along_each_axis(rng: np.random.Generator, axis: int, step: float) -> None:
    """`warped(x) = moving(x + u(x))`: a displacement points from fixed to moving, channel c along spatial axis c."""
    image = a_volume(rng)
    displacement = torch.zeros(1, 3, *SHAPE)
    displacement[:, axis] = step
    shift = [0.0, 0.0, 0.0]
    shift[axis] = step
    coordinates = np.indices(SHAPE) + np.reshape(shift, (3, 1, 1, 1))
    expected = map_coordinates(image[0, 0].numpy(), coordinates, order=1, mode="nearest")
    np.testing.assert_allclose(warp(image, displacement)[0, 0].numpy(), expected, atol=1e-5)


def test_warp_leads_fixed_points_to_moving_points() -> None:
    """The bright voxel of the moving image shows at the fixed point whose displacement leads to it."""
    moving = torch.zeros(1, 1, *SHAPE)
    moving[0, 0, 6, 3, 8] = 1
    displacement = torch.tensor([2.0, -4.0, 5.0]).view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    warped = warp(moving, displacement)
    assert warped[0, 0, 4, 7, 3] == pytest.approx(1, abs=1e-4)
    assert warped.sum() == pytest.approx(1, abs=1e-3)


def test_warp_treats_samples_and_channels_apart(rng: np.random.Generator) -> None:
    images = torch.cat([torch.cat([a_volume(rng), a_volume(rng)], 1) for _ in range(2)])
    fields = torch.cat([a_smooth_field(rng, SHAPE, 3), a_smooth_field(rng, SHAPE, 2)])
    together = warp(images, fields)
    for b in range(2):
        for c in range(2):
            torch.testing.assert_close(
                together[b : b + 1, c : c + 1], warp(images[b : b + 1, c : c + 1], fields[b : b + 1])
            )


def test_warp_of_a_single_slice_moves_within_it(rng: np.random.Generator) -> None:
    image = a_volume(rng, (1, 6, 7))
    displacement = torch.zeros(1, 3, 1, 6, 7)
    displacement[:, 2] = 1
    torch.testing.assert_close(warp(image, displacement)[..., :-1], image[..., 1:], atol=1e-5, rtol=0)


def test_warp_refuses_other_shapes(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="differ"):
        warp(a_volume(rng), torch.zeros(1, 3, 9, 14, 12))


def test_sample_at_any_number_of_points(rng: np.random.Generator) -> None:
    image = a_volume(rng)
    points = rng.uniform(-1, 10, size=(3, 17))
    expected = map_coordinates(image[0, 0].numpy(), points, order=1, mode="nearest")
    coordinates = torch.from_numpy(points.astype(np.float32)).view(1, 3, 1, 1, 17)
    np.testing.assert_allclose(sample(image, coordinates).flatten().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(9, 14, 11), (7, 13, 5), (1, 6, 7)], ids=str)  # 91 lines: 13 threads, none of 2 to 6
def test_sampling_does_not_depend_on_threads(rng: np.random.Generator, shape: tuple[int, int, int], mode: str) -> None:
    """To the bit, volumes alone or in a batch smaller than the threads."""
    images = torch.cat([torch.cat([a_volume(rng, shape), a_volume(rng, shape)], 1) for _ in range(2)])
    points = torch.from_numpy(rng.uniform(-2, 12, size=(2, 3, *shape)).astype(np.float32))
    expected, before = sample(images, points, mode=mode), torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            assert torch.equal(sample(images, points, mode=mode), expected)
            assert torch.equal(sample(images[1:], points[1:], mode=mode), expected[1:])
    finally:
        torch.set_num_threads(before)


def test_warp_and_compose_have_right_gradients(rng: np.random.Generator) -> None:
    image = a_volume(rng, (3, 4, 5)).double().requires_grad_()
    # Off whole voxels, where the linear interpolation has a kink, and inside, where it has a slope.
    fields = [
        torch.from_numpy(rng.uniform(0.1, 0.4, size=(1, 3, 3, 4, 5)) * rng.choice([-1, 1])).requires_grad_()
        for _ in range(2)
    ]
    assert torch.autograd.gradcheck(warp, (image, fields[0]))
    assert torch.autograd.gradcheck(compose, tuple(fields))


# --- composing, integrating, inverting --------------------------------------------------------------------------------


def test_compose_equals_one_after_the_other_on_points(rng: np.random.Generator) -> None:
    inner, outer = a_smooth_field(rng, SHAPE, 2), a_smooth_field(rng, SHAPE, 3)
    voxels = np.indices(SHAPE).reshape(3, -1).astype(float)
    expected = points_through(outer, points_through(inner, voxels))
    composed = voxels + compose(outer, inner)[0].flatten(1).numpy()
    np.testing.assert_allclose(composed, expected, atol=1e-4)


def test_compose_order_matters(rng: np.random.Generator) -> None:
    inner, outer = a_smooth_field(rng, SHAPE, 2), a_smooth_field(rng, SHAPE, 3)
    assert (compose(outer, inner) - compose(inner, outer)).abs().max() > 0.1


def test_warp_by_composed_equals_warping_twice(rng: np.random.Generator) -> None:
    """`moving(outer(inner(x)))`: the image is warped by `outer` first."""
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 3, 4, 3)).astype(np.float32))
    image = torch.nn.functional.interpolate(coarse, size=(30, 33, 28), mode="trilinear")
    inner, outer = a_smooth_field(rng, (30, 33, 28), 2), a_smooth_field(rng, (30, 33, 28), 2)
    twice, once = warp(warp(image, outer), inner), warp(image, compose(outer, inner))
    assert (twice - once).abs().mean() < 0.01
    assert (twice - warp(image, compose(inner, outer))).abs().mean() > 0.02


def test_integrated_linear_velocity_is_the_matrix_exponential(rng: np.random.Generator) -> None:
    """`dx/dt = A (x - c)` has the solution `exp(A t)`: five squarings come close, ten closer (section 2.1.1)."""
    shape = (21, 27, 24)
    matrix = rng.uniform(-0.15, 0.15, size=(3, 3))
    velocity, expected = an_affine_field(matrix, shape), an_affine_field(expm(matrix) - np.eye(3), shape)
    core = (..., slice(7, -7), slice(8, -8), slice(8, -8))
    errors = [float((integrate_velocity(velocity, n) - expected)[core].abs().max()) for n in (5, 10)]
    assert expected[core].abs().max() > 1
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize("axis", range(3))
def test_integrated_constant_velocity_is_itself(axis: int) -> None:
    velocity = torch.zeros(1, 3, *SHAPE)
    velocity[:, axis] = 2.7
    torch.testing.assert_close(integrate_velocity(velocity), velocity)


def test_integrating_zero_squarings_is_one_euler_step(rng: np.random.Generator) -> None:
    velocity = a_smooth_field(rng, SHAPE, 2)
    torch.testing.assert_close(integrate_velocity(velocity, 0), velocity)


def test_negated_velocity_gives_the_inverse(rng: np.random.Generator) -> None:
    velocity = a_smooth_field(rng, (31, 37, 29), 4)
    forward, backward = integrate_velocity(velocity), integrate_velocity(-velocity)
    core = (..., *[slice(6, -6)] * 3)
    assert forward[core].abs().max() > 2.5
    assert compose(backward, forward)[core].abs().max() < 0.05
    assert compose(backward, forward)[core].abs().mean() < 0.01
    assert compose(forward, forward)[core].abs().mean() > 1


def test_invert_undoes_on_both_sides(rng: np.random.Generator) -> None:
    displacement = a_smooth_field(rng, (31, 37, 29), 3)
    inverse = invert(displacement, iterations=60)
    core = (..., *[slice(6, -6)] * 3)
    assert displacement[core].abs().max() > 2
    assert compose(displacement, inverse)[core].abs().max() < 1e-3
    assert compose(inverse, displacement)[core].abs().max() < 0.05


def test_invert_goes_on_from_a_first_guess(rng: np.random.Generator) -> None:
    displacement = a_smooth_field(rng, (31, 37, 29), 3)
    good = invert(displacement, iterations=60)
    torch.testing.assert_close(invert(displacement, iterations=1, start=good), good, atol=1e-3, rtol=0)


def test_invert_of_an_affine_field_is_the_inverse_matrix(rng: np.random.Generator) -> None:
    shape = (21, 27, 24)
    matrix = rng.uniform(-0.1, 0.1, size=(3, 3))
    inverse = np.linalg.inv(np.eye(3) + matrix) - np.eye(3)
    found = invert(an_affine_field(matrix, shape), iterations=40)
    core = (..., slice(7, -7), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(found[core], an_affine_field(inverse, shape)[core], atol=1e-5, rtol=0)


# --- resizing ---------------------------------------------------------------------------------------------------------

RESIZINGS = [(9, 5), (9, 4), (37, 18), (37, 12), (37, 25), (36, 12), (16, 8), (8, 16), (9, 20), (5, 5)]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("before", "after"), RESIZINGS)
def test_resize_keeps_positions(axis: int, before: int, after: int) -> None:
    """Cells align: a ramp that gives each voxel's position still gives it, on the grid with the same outer border."""
    shape = [6, 7, 8]
    target = list(shape)
    shape[axis], target[axis] = before, after
    ramp = identity_grid(shape)[:, axis : axis + 1]
    found = resize(ramp, target)
    assert tuple(found.shape[2:]) == tuple(target)
    along = found.movedim(2 + axis, 0).flatten(1)
    expected = (torch.arange(after) + 0.5) * before / after - 0.5
    inside = (expected >= 1) & (expected <= before - 2)
    torch.testing.assert_close(along[inside], expected[inside, None].expand_as(along[inside]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("target", [(5, 7, 6), (4, 7, 5), (9, 28, 11), (3, 5, 4), (2, 3, 2), (18, 5, 23)])
def test_resize_commutes_with_mirroring(rng: np.random.Generator, target: tuple[int, ...]) -> None:
    image = a_volume(rng)
    for axis in (2, 3, 4):
        torch.testing.assert_close(resize(image.flip(axis), target), resize(image, target).flip(axis))


def test_resize_to_twice_the_sides_is_that_of_torch(rng: np.random.Generator) -> None:
    image = torch.from_numpy(rng.normal(size=(2, 3, 5, 1, 7)).astype(np.float32)).requires_grad_()
    doubled = resize(image, (10, 2, 14))
    torch.testing.assert_close(resize(image.detach(), (10, 2, 14)), doubled.detach())
    assert doubled.requires_grad


def test_resize_by_a_whole_factor_averages_cells(rng: np.random.Generator) -> None:
    image = a_volume(rng, (8, 6, 9))
    expected = image[0, 0].numpy().reshape(4, 2, 2, 3, 9).mean((1, 3))
    np.testing.assert_allclose(resize(image, (4, 2, 9))[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(37, 19), (37, 18), (39, 13), (40, 13), (36, 18)])
def test_resize_smooths_what_the_new_grid_cannot_hold(before: int, after: int) -> None:
    alternating = (-1.0) ** torch.arange(before).view(1, 1, -1, 1, 1)
    assert resize(alternating, (after, 1, 1)).abs().max() < 0.5


@pytest.mark.parametrize("target", [(5, 7, 6), (4, 7, 5), (13, 20, 17), (18, 28, 22)])
def test_resized_displacement_is_the_same_transform(rng: np.random.Generator, target: tuple[int, ...]) -> None:
    """Carry a displaced voxel of either grid to shared coordinates in which both have the outer border 0 and 1."""
    shape = (12, 16, 14)
    matrix = rng.uniform(-0.1, 0.1, size=(3, 3))
    displacement = an_affine_field(matrix, shape) + torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1, 1)
    found = resize_displacement(displacement, target)[0].numpy()

    def shared(voxels: np.ndarray, sides: tuple[int, ...]) -> np.ndarray:
        return (voxels + 0.5) / np.reshape(sides, (3, 1, 1, 1))

    moved = shared(np.indices(target) + found, target)
    as_voxels = shared(np.indices(target), target) * np.reshape(shape, (3, 1, 1, 1)) - 0.5
    flat = as_voxels.reshape(3, -1)
    expected = shared(points_through(displacement, flat).reshape(as_voxels.shape), shape)
    margin = np.reshape([max(1, -(-t // s)) for s, t in zip(shape, target, strict=True)], 3)
    inside = tuple(slice(m, -m) for m in margin)
    np.testing.assert_allclose(moved[(slice(None), *inside)], expected[(slice(None), *inside)], atol=1e-5)


# --- derivatives ------------------------------------------------------------------------------------------------------


def test_displacement_gradient_of_a_ramp_along_each_axis() -> None:
    """Eq. 3: entry (c, a) is the change of component c along axis a."""
    slopes = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    gradient = displacement_gradient(an_affine_field(slopes, SHAPE))
    assert gradient.shape == (1, 3, 3, 8, 13, 10)
    expected = torch.from_numpy(slopes).view(1, 3, 3, 1, 1, 1).expand_as(gradient)
    torch.testing.assert_close(gradient, expected)


def test_displacement_gradient_equals_numpy_differences(rng: np.random.Generator) -> None:
    field = rng.normal(size=(1, 3, *SHAPE))
    gradient = displacement_gradient(torch.from_numpy(field)).numpy()
    for axis in range(3):
        expected = np.diff(field, axis=2 + axis)[..., :8, :13, :10]
        np.testing.assert_allclose(gradient[:, :, axis], expected)


def test_jacobian_determinant_of_an_affine_transform(rng: np.random.Generator) -> None:
    matrix = rng.uniform(-0.4, 0.4, size=(3, 3))
    expected = np.linalg.det(np.eye(3) + matrix)
    assert abs(expected - np.linalg.det(np.eye(3) - matrix)) > 0.05
    determinant = jacobian_determinant(an_affine_field(matrix, SHAPE)).numpy()
    assert determinant.shape == (1, *SHAPE)
    np.testing.assert_allclose(determinant, expected)


def test_jacobian_determinant_equals_numpy(rng: np.random.Generator) -> None:
    field = rng.normal(size=(1, 3, *SHAPE))
    transform = field[0] + np.indices(SHAPE)
    jacobian = np.stack([np.stack(np.gradient(c), axis=-1) for c in transform], axis=-2)
    found = jacobian_determinant(torch.from_numpy(field))[0].numpy()
    np.testing.assert_allclose(found, np.linalg.det(jacobian), atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_mirroring_transform_folds_everywhere(axis: int) -> None:
    matrix = np.zeros((3, 3))
    matrix[axis, axis] = -2
    assert (jacobian_determinant(an_affine_field(matrix, SHAPE)) < 0).all()
