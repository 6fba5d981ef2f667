"""Resolution, slice thickness, field of view: geometry stays right, on oblique anisotropic grids, each axis apart."""

import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.perturbations.extent import crop, lose_resolution, slice_axis, thicken_slices

WINDOW = (0.0, 1.0)
NOTHING_RANDOM = np.random.default_rng(0)


def ramp(grid: Grid, axis: int) -> Image:
    """Intensity equal to the index along an array axis."""
    indices = np.moveaxis(np.arange(grid.shape[axis], dtype=np.float32)[:, None, None], 0, axis)
    return Image(np.ascontiguousarray(np.broadcast_to(indices, grid.shape)), grid)


@pytest.fixture(scope="module")
def a_grid(oblique_grid) -> Grid:
    """As `oblique_grid`, with more voxels: 31, 43, 37 of 2.1, 0.9, 1.3 mm along z, y, x."""
    return Grid((31, 43, 37), oblique_grid.spacing, oblique_grid.origin, oblique_grid.direction)


@pytest.fixture(scope="module")
def noise(a_grid) -> Image:
    return Image(np.random.default_rng(0).normal(size=a_grid.shape).astype(np.float32), a_grid)


# Resolution


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("strength", [0.3, 1.0, 2.7])
def test_resolution_loss_shifts_nothing(a_grid, axis, strength):
    """A ramp survives smoothing and linear interpolation where the borders do not reach; a shift would show."""
    coarse = lose_resolution(ramp(a_grid, axis), strength, NOTHING_RANDOM, WINDOW)
    assert coarse.grid == a_grid
    inner = np.take(coarse.array, np.arange(9, a_grid.shape[axis] - 9), axis)
    np.testing.assert_allclose(
        inner, np.take(ramp(a_grid, axis).array, np.arange(9, a_grid.shape[axis] - 9), axis), atol=0.02
    )


def test_resolution_loss_takes_fine_detail_and_leaves_coarse(a_grid, noise):
    coarse = lose_resolution(noise, 1.0, NOTHING_RANDOM, WINDOW).array
    assert coarse.std() < 0.4
    assert coarse.mean() == pytest.approx(noise.array.mean(), abs=0.01)
    wave = Image(np.sin(2 * np.pi * ramp(a_grid, 1).array / 43).astype(np.float32), a_grid)
    np.testing.assert_allclose(lose_resolution(wave, 1.0, NOTHING_RANDOM, WINDOW).array, wave.array, atol=0.1)


def test_more_loss_of_resolution_takes_more(noise):
    left = [lose_resolution(noise, s, NOTHING_RANDOM, WINDOW).array.std() for s in (0.2, 0.5, 1, 2, 4)]
    assert left == sorted(left, reverse=True)


# Slices


def test_slices_lie_across_the_largest_spacing(a_grid):
    assert slice_axis(ramp(a_grid, 0)) == 0
    assert slice_axis(ramp(Grid((9, 9, 9), (1.0, 3.0, 2.0)), 0)) == 1
    assert slice_axis(ramp(Grid((9, 9, 9), (3.0, 1.0, 2.0)), 0)) == 2
    assert slice_axis(ramp(Grid((9, 9, 9), (1.0, 1.0, 1.0)), 0)) == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_thick_slices_leave_detail_within_them(a_grid, axis):
    alternating = Image((ramp(a_grid, axis).array % 2).astype(np.float32), a_grid)
    thick = thicken_slices(alternating, 3.0, NOTHING_RANDOM, WINDOW)
    assert thick.grid == a_grid
    np.testing.assert_allclose(thick.array, alternating.array, atol=1e-4)


def test_thick_slices_take_detail_across_them_and_shift_nothing(a_grid):
    alternating = Image((ramp(a_grid, 0).array % 2).astype(np.float32), a_grid)
    assert thicken_slices(alternating, 1.0, NOTHING_RANDOM, WINDOW).array[3:-3].std() < 0.25
    thick = thicken_slices(ramp(a_grid, 0), 2.0, NOTHING_RANDOM, WINDOW)
    np.testing.assert_allclose(thick.array[6:-6], ramp(a_grid, 0).array[6:-6], atol=0.02)


# Field of view


@pytest.mark.parametrize("spacing", [(1.0, 0.8, 2.5), (1.0, 2.5, 0.8), (2.5, 1.0, 0.8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_left_of_a_crop_lies_where_it_lay(oblique_grid, spacing, seed):
    grid = Grid((31, 43, 37), spacing, oblique_grid.origin, oblique_grid.direction)
    image = Image(np.random.default_rng(5).normal(size=grid.shape).astype(np.float32), grid)
    cropped = crop(image, 0.3, np.random.default_rng(seed), WINDOW)
    axis = slice_axis(image)
    sides = list(grid.shape)
    sides[axis] -= round(0.3 * sides[axis])
    assert cropped.array.shape == tuple(sides)
    np.testing.assert_allclose(resample(image, cropped.grid).array, cropped.array, atol=1e-4)


def test_where_a_crop_begins_is_random(noise):
    corners = {crop(noise, 0.4, np.random.default_rng(seed), WINDOW).grid.origin for seed in range(20)}
    assert len(corners) > 5


def test_a_crop_that_leaves_too_little_is_refused():
    image = ramp(Grid((20, 30, 30), (1.0, 1.0, 3.0)), 0)
    assert crop(image, 0.6, np.random.default_rng(0), WINDOW).array.shape == (8, 30, 30)
    with pytest.raises(InputError, match="crop 0.7: 6 of 20 slices would be left"):
        crop(image, 0.7, np.random.default_rng(0), WINDOW)
