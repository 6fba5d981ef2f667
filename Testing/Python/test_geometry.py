from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from RobustDIRLib import geometry
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, rectangular, swap_lps_ras
from RobustDIRLib.io.images import set_geometry


@pytest.fixture
def voxels(oblique_grid: Grid) -> np.ndarray:
    return np.random.default_rng(1).uniform(-2, np.array(oblique_grid.shape) + 1, size=(50, 3))


def test_the_smallest_side_stands_in_one_place():
    """The reader, the panels and the working grid refuse alike, and none of them needs the other's libraries."""
    library = Path(geometry.__file__).parent
    files = [path.relative_to(library).as_posix() for path in library.rglob("*.py")
             if re.search(r"^_?SMALLEST_SIDE = 8\b", path.read_text(encoding="utf-8"), re.MULTILINE)]  # fmt: skip
    assert files == ["geometry.py"]
    assert "must have at least {side}" in (library / "panelparts" / "usable.py").read_text(encoding="utf-8")


def as_sitk(grid: Grid) -> sitk.Image:
    image = sitk.Image(grid.size, sitk.sitkUInt8)
    set_geometry(image, grid)
    return image


def test_points_from_voxels_as_simpleitk(oblique_grid, voxels):
    image = as_sitk(oblique_grid)
    expected = [image.TransformContinuousIndexToPhysicalPoint(voxel[::-1].tolist()) for voxel in voxels]
    np.testing.assert_allclose(oblique_grid.points_from_voxels(voxels), expected, atol=1e-10)


def test_voxels_from_points_as_simpleitk(oblique_grid, voxels):
    image = as_sitk(oblique_grid)
    points = np.random.default_rng(2).normal(0, 60, size=(50, 3))
    expected = [image.TransformPhysicalPointToContinuousIndex(point.tolist())[::-1] for point in points]
    np.testing.assert_allclose(oblique_grid.voxels_from_points(points), expected, atol=1e-10)


def test_voxels_to_points_and_back(oblique_grid, voxels):
    there = oblique_grid.points_from_voxels(voxels)
    np.testing.assert_allclose(oblique_grid.voxels_from_points(there), voxels, atol=1e-10)


def test_a_grid_that_was_used_travels_as_a_new_one_does(oblique_grid, other_grid, voxels):
    """To the last bit: another layout of a kept matrix in memory rounds products of single points otherwise."""
    for like in (oblique_grid, other_grid):
        grid = Grid(like.shape, like.spacing, like.origin, like.direction)
        new = pickle.dumps(grid)
        points = [grid.points_from_voxels(voxel) for voxel in voxels]
        back = [grid.voxels_from_points(point) for point in points]
        assert pickle.dumps(grid) == new
        for other in (pickle.loads(new), copy.copy(grid), copy.deepcopy(grid)):
            assert np.array_equal([other.points_from_voxels(voxel) for voxel in voxels], points)
            assert np.array_equal([other.voxels_from_points(point) for point in points], back)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_voxel_along_one_axis_is_one_spacing_along_its_direction(oblique_grid, axis):
    step = oblique_grid.points_from_voxels(np.eye(3)[axis]) - np.array(oblique_grid.origin)
    itk_axis = 2 - axis
    expected = np.array(oblique_grid.direction)[:, itk_axis] * oblique_grid.spacing[itk_axis]
    np.testing.assert_allclose(step, expected, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_displacement_along_one_axis_in_mm(oblique_grid, axis):
    displacement = np.zeros((3, *oblique_grid.shape), np.float32)
    displacement[axis] = 1.5
    field = oblique_grid.displacement_to_mm(displacement)
    start = np.array([4.0, 5.0, 6.0])
    moved = oblique_grid.points_from_voxels(start + 1.5 * np.eye(3)[axis])
    np.testing.assert_allclose(oblique_grid.points_from_voxels(start) + field[4, 5, 6], moved, atol=1e-5)


def test_displacement_to_mm_as_simpleitk_at_every_voxel(oblique_grid, a_displacement):
    """The mm vector is where SimpleITK places the displaced index, less where it places the index."""
    field = oblique_grid.displacement_to_mm(a_displacement)
    image = as_sitk(oblique_grid)
    for z, y, x in np.random.default_rng(3).integers(0, oblique_grid.shape, size=(60, 3)):
        uz, uy, ux = a_displacement[:, z, y, x].astype(float)
        moved = image.TransformContinuousIndexToPhysicalPoint((x + ux, y + uy, z + uz))
        stood = image.TransformContinuousIndexToPhysicalPoint((float(x), float(y), float(z)))
        np.testing.assert_allclose(field[z, y, x], np.subtract(moved, stood), atol=1e-5)


def test_displacement_to_mm_and_back(oblique_grid, a_displacement):
    back = oblique_grid.displacement_from_mm(oblique_grid.displacement_to_mm(a_displacement))
    np.testing.assert_allclose(back, a_displacement, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 30, 25), (34, 42, 50), (16, 20, 13)])
def test_resized_keeps_the_outer_border(oblique_grid, shape):
    resized = oblique_grid.resized(shape)
    assert resized.shape == shape
    for corner in np.ndindex(2, 2, 2):
        before = np.array(corner) * oblique_grid.shape - 0.5
        after = np.array(corner) * shape - 0.5
        np.testing.assert_allclose(
            resized.points_from_voxels(after), oblique_grid.points_from_voxels(before), atol=1e-9
        )


def test_resized_to_half_centres_each_voxel_on_its_eight(oblique_grid):
    even = oblique_grid.padded((1, 1, 1), (0, 0, 0))
    half = even.resized((9, 11, 13))
    eight = np.stack(np.meshgrid([4, 5], [6, 7], [2, 3], indexing="ij"), -1).reshape(-1, 3)
    np.testing.assert_allclose(half.points_from_voxels([2, 3, 1]), even.points_from_voxels(eight).mean(0), atol=1e-9)


def test_padded_keeps_every_voxel_in_place(oblique_grid, voxels):
    padded = oblique_grid.padded((2, 0, 5), (1, 3, -4))
    assert padded.shape == (20, 24, 26)
    points = oblique_grid.points_from_voxels(voxels)
    np.testing.assert_allclose(padded.voxels_from_points(points), voxels + [2, 0, 5], atol=1e-9)


def test_padding_undone_by_cropping(oblique_grid):
    there_and_back = oblique_grid.padded((2, 1, 5), (1, 3, 4)).padded((-2, -1, -5), (-1, -3, -4))
    assert there_and_back.close_to(oblique_grid, tolerance=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_contains_up_to_half_a_voxel_past_the_outer_centres(oblique_grid, axis):
    middle = (np.array(oblique_grid.shape) - 1) / 2
    reach = middle[axis] + 0.5
    for offset, inside in ((reach - 0.01, True), (reach + 0.01, False), (-reach + 0.01, True), (-reach - 0.01, False)):
        point = oblique_grid.points_from_voxels(middle + offset * np.eye(3)[axis])
        assert oblique_grid.contains(point) == inside


def test_close_to_forgives_rounding_only(oblique_grid):
    fields = oblique_grid.spacing, oblique_grid.origin, oblique_grid.direction
    spacing, origin, direction = (np.array(field) for field in fields)
    assert oblique_grid.close_to(Grid(oblique_grid.shape, tuple(spacing), tuple(origin + 1e-5), fields[2]))
    assert not oblique_grid.close_to(Grid(oblique_grid.shape, tuple(spacing), tuple(origin + 0.1), fields[2]))
    assert not oblique_grid.close_to(Grid(oblique_grid.shape, tuple(spacing * 1.001), tuple(origin), fields[2]))
    turned = direction @ np.array([[0.999, -0.0447, 0], [0.0447, 0.999, 0], [0, 0, 1]])
    assert not oblique_grid.close_to(Grid(oblique_grid.shape, tuple(spacing), tuple(origin), turned))
    assert not oblique_grid.close_to(oblique_grid.padded((0, 0, 0), (0, 0, 1)))


def test_swap_lps_ras_turns_x_and_y_and_undoes_itself():
    vectors = np.random.default_rng(4).normal(size=(4, 5, 3))
    swapped = swap_lps_ras(vectors)
    np.testing.assert_array_equal(swapped, np.stack([-vectors[..., 0], -vectors[..., 1], vectors[..., 2]], -1))
    np.testing.assert_array_equal(swap_lps_ras(swapped), vectors)


@pytest.mark.parametrize(
    "broken",
    [
        {"shape": (4, 0, 5)},
        {"shape": (4, 5)},
        {"spacing": (1, 0, 1)},
        {"spacing": (1, -2, 1)},
        {"spacing": (1, float("nan"), 1)},
        {"origin": (1, 2, float("inf"))},
        {"direction": ((1, 0, 0), (1, 0, 0), (0, 0, 1))},
        {"direction": ((1, 0, 0), (0, 2, 0), (0, 0, 1))},
        {"direction": ((1, 0.01, 0), (0, 1, 0), (0, 0, 1))},
        {"direction": ((1, 0, 0), (0, float("nan"), 0), (0, 0, 1))},
    ],
)
def test_impossible_grids_are_refused(broken):
    with pytest.raises(ValueError):
        Grid(**{"shape": (4, 5, 6), **broken})


def matrix_of(grid: Grid) -> np.ndarray:
    """Indices x, y, z to mm, LPS, `(3, 4)`."""
    return np.column_stack([grid.array_to_mm[:, ::-1], grid.origin])


def test_a_direction_rounded_to_float32_is_made_orthonormal(oblique_grid):
    rounded = np.float32(oblique_grid.direction).astype(float)
    assert np.abs(rounded.T @ rounded - np.eye(3)).max() > 1e-9
    direction = np.array(Grid(oblique_grid.shape, direction=tuple(map(tuple, rounded))).direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(direction, oblique_grid.direction, atol=1e-6)


@pytest.mark.parametrize("mirror", [1, -1])
def test_rectangular_gives_back_the_grid_of_its_matrix(oblique_grid, mirror):
    flipped = np.array(oblique_grid.direction) * [1, 1, mirror]
    grid = Grid(oblique_grid.shape, oblique_grid.spacing, oblique_grid.origin, tuple(map(tuple, flipped)))
    found, moved = rectangular(grid.shape, matrix_of(grid))
    assert found.close_to(grid, tolerance=1e-9)
    assert moved < 1e-9


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slightly_skewed_axes_become_rectangular_and_beyond_a_tenth_of_a_voxel_are_refused(oblique_grid, axis):
    """The lean is measured at the corner that is furthest, in voxels, so that large volumes allow less of it."""
    skewed = matrix_of(oblique_grid)
    skewed[:, axis] += 0.002 * skewed[:, (axis + 1) % 3]
    found, moved = rectangular(oblique_grid.shape, skewed)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(oblique_grid.shape) - 1)
    before = corners[:, ::-1] @ skewed[:, :3].T + skewed[:, 3]
    apart = np.abs(found.voxels_from_points(before) - corners).max()
    assert 0.01 < apart < 0.1
    assert moved == pytest.approx(apart, rel=1e-6)
    with pytest.raises(ValueError, match="skewed axes"):
        rectangular(tuple(20 * n for n in oblique_grid.shape), skewed)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_rectangular_refuses_columns_that_are_no_axis(oblique_grid, column, value):
    matrix = matrix_of(oblique_grid)
    matrix[:, column] *= value
    with pytest.raises(ValueError, match="spacing"):
        rectangular(oblique_grid.shape, matrix)


@pytest.mark.parametrize(("scale", "shift", "words"), [(1e30, 0, "as no image has"), (1, 3e9, "further off")])
def test_rectangular_refuses_sizes_that_no_image_has_and_places_that_no_file_keeps(oblique_grid, scale, shift, words):
    matrix = matrix_of(oblique_grid)
    matrix[:3, :3] *= scale
    matrix[1, 3] += shift
    with pytest.raises(InputError, match=words):
        rectangular(oblique_grid.shape, matrix)
