import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import center_of_mass

from registration_cases import Standin, direction, picture, points_of
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import apply_to_points, sample_transform
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration import transforms
from RobustDIRLib.registration.linear import IDENTITY, Linear
from RobustDIRLib.registration.transforms import ComposedTransform, covered, jacobian, warp_image, warp_labels
from RobustDIRLib.warping import invert

# Strong enough for every mistake in order, sign or axis to show.
TILT = Linear(np.array(direction((9, -14, 20))) @ np.diag([1.1, 0.9, 1.05]), np.array([7.0, -11.0, 4.0]))
AXES = {"z": (0.08, 0, 0), "y": (0, 0.08, 0), "x": (0, 0, 0.08), "all": (0.05, -0.04, 0.06)}


def composed(fixed: Grid, shape=(13, 18, 16), amplitude=AXES["all"], linear=TILT, shift=0.0) -> ComposedTransform:
    displacement = Standin(amplitude, shift).displacement(shape)
    return ComposedTransform(linear, Deformation(displacement, invert(displacement, 60)), fixed.resized(shape))


@pytest.fixture(scope="module")
def moving(other_grid) -> Image:
    """A picture on a grid of another direction, handedness and spacing, large enough to hold most of the fixed."""
    grid = other_grid.padded((9, 10, 12), (11, 9, 13))
    return picture(grid, lambda p: p - p.reshape(-1, 3).mean(0) + [9, -4, 6])


@pytest.fixture(params=AXES.values(), ids=AXES)
def along(request) -> tuple[float, float, float]:
    return request.param


class TestAgainstSimpleITK:
    def test_field_is_the_written_transform(self, oblique_grid, along):
        made = composed(oblique_grid, amplitude=along)
        expected = sample_transform(made.transform, oblique_grid).array
        np.testing.assert_allclose(made.field(oblique_grid).array, expected, atol=2e-4)

    def test_warped_image_is_the_moving_one_resampled_through_the_transform(self, oblique_grid, moving, along):
        made = composed(oblique_grid, amplitude=along)
        warped = warp_image(moving, made.field(oblique_grid))
        expected = resample(moving, oblique_grid, made.transform)
        assert np.ptp(expected.array) > 0.3
        # Whether a point on the very border is inside is a matter of rounding.
        reached = moving.grid.voxels_from_points(apply_to_points(made.transform, points_of(oblique_grid)))
        borders = np.stack([reached + 0.5, reached - np.array(moving.grid.shape) + 0.5])
        told = (np.abs(borders) > 1e-4).all(axis=(0, -1)).reshape(oblique_grid.shape)
        assert told.mean() > 0.999
        assert np.abs(warped.array - expected.array)[told].max() < 2e-3
        assert warped.grid == oblique_grid

    def test_warped_labels_are_the_nearest(self, oblique_grid, moving):
        made = composed(oblique_grid)
        labels = Image((moving.array * 1000).astype(np.int32) + 70_000_001, moving.grid)
        warped = warp_labels(labels, made.field(oblique_grid))
        expected = resample(labels, oblique_grid, made.transform, nearest=True, outside=0)
        assert warped.array.dtype == np.int32
        assert (warped.array == expected.array).mean() > 0.999  # the rest lie on the middle between voxels

    def test_jacobian_is_that_of_itk(self, oblique_grid):
        field = composed(oblique_grid).field(oblique_grid)
        # ITK's filter takes the field's components along the axes of the grid.
        along_axes = field.array @ np.array(oblique_grid.direction)
        image = sitk.GetImageFromArray(along_axes.astype(np.float64), isVector=True)
        image.SetSpacing(oblique_grid.spacing)
        expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image))
        inside = (slice(1, -1),) * 3
        np.testing.assert_allclose(jacobian(field).array[inside], expected[inside], atol=1e-3)


class TestJacobian:
    def test_of_a_linear_transform_is_its_determinant(self, oblique_grid):
        field = composed(oblique_grid, amplitude=(0, 0, 0)).field(oblique_grid)
        np.testing.assert_allclose(jacobian(field).array, np.linalg.det(TILT.matrix), atol=1e-4)

    def test_slabs_do_not_show(self, oblique_grid, moving, monkeypatch):
        made = composed(oblique_grid)

        def everything() -> list[np.ndarray]:
            field = made.field(oblique_grid)
            return [field.array, warp_image(moving, field).array, jacobian(field).array]

        whole = everything()
        monkeypatch.setattr(transforms, "_SLAB_VOXELS", 2 * oblique_grid.shape[1] * oblique_grid.shape[2])
        for ours, expected in zip(everything(), whole, strict=True):
            np.testing.assert_array_equal(ours, expected)


class TestLandmarks:
    """A blob in the moving image, where it shows in the warped one, and where the transforms take its middle."""

    @pytest.mark.parametrize("place", [(0.35, 0.6, 0.45), (0.6, 0.4, 0.65)])
    def test_blob_and_landmark_move_alike(self, oblique_grid, moving, along, place):
        made = composed(oblique_grid, amplitude=along)
        fixed_point = oblique_grid.points_from_voxels(np.array(place) * oblique_grid.shape)
        moving_point = apply_to_points(made.transform, fixed_point[None])[0]
        assert moving.grid.contains(moving_point)
        distance = np.linalg.norm(points_of(moving.grid) - moving_point, axis=-1)
        blob = Image(np.exp(-((distance / 2.6) ** 2) / 2).astype(np.float32), moving.grid)
        warped = warp_image(blob, made.field(oblique_grid)).array
        seen = oblique_grid.points_from_voxels(center_of_mass(np.where(warped > 0.3, warped, 0)))
        smallest = min(oblique_grid.spacing)
        np.testing.assert_allclose(seen, fixed_point, atol=0.3 * smallest)
        back = apply_to_points(made.inverse, moving_point[None])[0]
        np.testing.assert_allclose(back, fixed_point, atol=0.1 * smallest)

    def test_direction_is_fixed_to_moving_with_the_linear_part_last(self, oblique_grid):
        made = composed(oblique_grid)
        voxel = np.array([6, 9, 7])
        step = made.deformation.displacement[0, :, 6, 9, 7].numpy()
        expected = TILT(made.grid.points_from_voxels(voxel + step))
        point = made.grid.points_from_voxels(voxel)
        np.testing.assert_allclose(apply_to_points(made.transform, point[None])[0], expected, atol=1e-4)


class TestInverse:
    def test_residual_is_what_the_written_transforms_leave(self, oblique_grid):
        made = composed(oblique_grid)
        points = points_of(made.grid).reshape(-1, 3)
        back = apply_to_points(made.inverse, apply_to_points(made.transform, points))
        expected = np.linalg.norm(back - points, axis=1)
        np.testing.assert_allclose(made.inverse_residual().ravel(), expected, atol=1e-3)

    def test_holds_where_fixed_points_leave_the_fixed_image(self, oblique_grid):
        """A large shift takes a face of the fixed image beyond its border; the inverse must know the way back."""
        made = composed(oblique_grid, amplitude=(0.06, -0.05, 0.07), linear=IDENTITY, shift=2.0)
        points = points_of(made.grid)[1:-1, 1:-1, 1:-1].reshape(-1, 3)
        moved = apply_to_points(made.transform, points)
        left = ~oblique_grid.contains(moved)
        assert left.sum() > 50
        back = apply_to_points(made.inverse, moved)
        smallest = min(made.grid.spacing)
        assert np.linalg.norm(back - points, axis=1)[left].max() < smallest

    def test_a_false_inverse_shows_in_the_residual(self, oblique_grid):
        made = composed(oblique_grid)
        false = Deformation(made.deformation.displacement, -0.5 * made.deformation.inverse)
        assert ComposedTransform(TILT, false, made.grid).inverse_residual().mean() > 1
        assert made.inverse_residual().mean() < 0.1


def test_beyond_the_moving_image_lies_its_lowest_value(oblique_grid, moving):
    air = Image(moving.array - 1024, moving.grid)
    far = composed(oblique_grid, linear=Linear(np.eye(3), np.array([1e4, 0, 0]))).field(oblique_grid)
    assert (warp_image(air, far).array == air.array.min()).all()
    assert (warp_labels(Image(np.ones(moving.grid.shape, np.int16), moving.grid), far).array == 0).all()


def test_working_grid_finer_than_the_fixed_one(oblique_grid):
    made = composed(oblique_grid, shape=(31, 40, 27))
    expected = sample_transform(made.transform, oblique_grid).array
    np.testing.assert_allclose(made.field(oblique_grid).array, expected, atol=2e-4)
    assert torch.isfinite(made.deformation.inverse).all()


@pytest.mark.parametrize("shift", [(0, 0, 0), (30, 0, 0), (0, -25, 0), (0, 0, 40), (500, 0, 0)], ids=str)
def test_the_moving_image_reaches_where_its_grid_says(oblique_grid, moving, shift):
    linear = Linear(TILT.matrix, TILT.offset + np.array(shift, float))
    points = oblique_grid.points_from_voxels(np.moveaxis(np.indices(oblique_grid.shape), 0, -1))
    expected = moving.grid.contains(linear(points))
    found = covered(oblique_grid, linear, moving.grid)
    assert found is not None and 0 <= expected.mean() < 1
    np.testing.assert_array_equal(found, expected)
    middle = moving.grid.points_from_voxels((np.array(moving.grid.shape) - 1) / 2)
    assert covered(Grid((3, 4, 2), origin=tuple(middle)), IDENTITY, moving.grid) is None
    assert covered(moving.grid, IDENTITY, moving.grid) is None
