"""Planes as they are drawn: sides and millimetres are where a radiologist expects them."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from RobustDIRLib.evaluation.planes import (
    MOST_LINES,
    PLANES,
    BodyAxes,
    body_voxel,
    centre_at,
    grid_step,
    moving_coordinates,
    place_in_plane,
)
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField
from RobustDIRLib.io.images import Image, from_sitk, to_sitk

ORIENTATIONS = ["LPS", "RAS", "SAL", "PIR", "IRP", "ASL", "LIP", "RSA"]


def an_image(orientation: str, tilt: float = 0.0) -> Image:
    """Odd sides, three spacings, blobs without symmetry, its axes to the given sides of the body."""
    array = gaussian_filter(np.random.default_rng(5).random((23, 31, 27)), 2).astype(np.float32)
    itk = sitk.DICOMOrient(to_sitk(Image(array, Grid(array.shape, (1.5, 0.8, 2.5), (-20.0, 13.0, 7.0)))), orientation)
    turn = sitk.VersorTransform((0.3, 0.5, 0.8), tilt)
    itk.SetDirection((np.array(turn.GetMatrix()).reshape(3, 3) @ np.array(itk.GetDirection()).reshape(3, 3)).ravel())
    return from_sitk(itk)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_view_is_that_of_itk(orientation, tilt):
    image = an_image(orientation, tilt)
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(to_sitk(image), "LPS"))
    np.testing.assert_array_equal(BodyAxes.of(image.grid).view(image.array), expected)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_grid_moves_with_the_points(orientation, plane):
    """Each axis apart: a step in mm towards left, posterior, superior moves the coordinate of that axis alone."""
    grid = an_image(orientation).grid
    spacing = np.array([2.5, 0.8, 1.5])  # to superior, posterior, left
    for body_axis, component in ((0, 2), (1, 1), (2, 0)):
        array = np.zeros((*grid.shape, 3), dtype=np.float32)
        array[..., component] = 3.25
        rows, columns = moving_coordinates(DisplacementField(array, grid), plane, (4, 5, 6))
        still_rows = (np.arange(rows.shape[0]) + 0.5)[:, None] * spacing[plane.row_axis]
        still_columns = (np.arange(rows.shape[1]) + 0.5)[None] * spacing[plane.column_axis]
        np.testing.assert_allclose(rows - still_rows, 3.25 * (body_axis == plane.row_axis), atol=1e-4)
        np.testing.assert_allclose(columns - still_columns, 3.25 * (body_axis == plane.column_axis), atol=1e-4)


def test_oblique_grid_is_moved_along_its_own_axes():
    image = an_image("LPS", tilt=0.3)
    along = np.asarray(image.grid.direction)[:, 0]  # where index x points
    field = DisplacementField(np.broadcast_to(2 * along, (*image.grid.shape, 3)).astype(np.float32), image.grid)
    rows, columns = moving_coordinates(field, PLANES[0], (4, 5, 6))
    np.testing.assert_allclose(columns[0], (np.arange(27) + 0.5) * 1.5 + 2, atol=1e-4)
    np.testing.assert_allclose(rows[:, 0], (np.arange(31) + 0.5) * 0.8, atol=1e-4)


def test_grid_lines_are_eight_small_voxels_apart_but_never_too_many():
    assert grid_step(Grid((189, 233, 197))) == 8
    assert grid_step(Grid((60, 80, 80), (0.7, 0.7, 3.0))) == pytest.approx(5.6)
    wide = Grid((600, 512, 512), (0.7, 0.7, 1.0))
    assert 600 / grid_step(wide) <= MOST_LINES


@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_points_lie_where_itk_says_they_lie_in_the_view(orientation, tilt):
    image = an_image(orientation, tilt)
    turned = sitk.DICOMOrient(to_sitk(image), "LPS")
    point = image.grid.points_from_voxels([4.2, 6.7, 9.6])
    expected = turned.TransformPhysicalPointToContinuousIndex(point)[::-1]
    np.testing.assert_allclose(body_voxel(image.grid, point), expected, atol=1e-6)
    assert centre_at(image.grid, point) == tuple(round(n) for n in expected)
    column, row = place_in_plane(image.grid, PLANES[1], point)  # coronal: to left, to superior
    np.testing.assert_allclose(
        (column, row), (np.array(expected)[[2, 0]] + 0.5) * np.array(turned.GetSpacing())[[0, 2]], atol=1e-5
    )


def test_planes_of_points_outside_are_those_at_the_border():
    grid = an_image("RAS").grid
    assert centre_at(grid, grid.points_from_voxels([-7.0, 99.0, 3.0]))[0] in (0, grid.shape[0] - 1)
    last = np.array(grid.shape)[list(BodyAxes.of(grid).axes)] - 1
    assert all(0 <= n <= end for n, end in zip(centre_at(grid, [1e4, -1e4, 1e4]), last, strict=True))
