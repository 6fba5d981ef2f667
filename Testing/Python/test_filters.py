"""Filters on several threads against SciPy and ITK, which use one."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from registration_cases import direction
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.filters import gaussian, spline_coefficients
from RobustDIRLib.io.images import Image, resample, to_sitk
from RobustDIRLib.registration.devices import repeatable

SHAPE = (21, 34, 13)


def noise(dtype=np.float32, shape=SHAPE):
    return (1000 * np.random.default_rng(1).normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("threads", [1, 3, 64])
@pytest.mark.parametrize("sigmas", [(0.8, 1.7, 0.4), (0.0, 1.7, 0.0), (1.1, 0.0, 0.6)])
def test_gaussian_is_scipys(threads, sigmas):
    array = noise()
    expected = gaussian_filter(array, sigmas, mode="nearest", truncate=3.0)
    with repeatable(threads):
        np.testing.assert_array_equal(gaussian(array, sigmas, truncate=3.0), expected)
    np.testing.assert_array_equal(array, noise())


def test_no_width_at_all_leaves_a_volume_as_it_is():
    array = noise()
    assert gaussian(array, (0.0, 0.0, 0.0)) is array


def test_coefficients_do_not_depend_on_threads():
    found = []
    for threads in (1, 5):
        with repeatable(threads):
            found.append(spline_coefficients(noise()))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("shape", [SHAPE, (4, 9, 7), (9, 4, 7), (9, 7, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_splines_are_itks(dtype, shape):
    grid = Grid(shape, (1.3, 0.9, 2.1), (-31.5, 47.25, 12.75), direction((20, -35, 10)))
    image = Image(noise(dtype, shape), grid)
    onto = Grid(
        (15, 17, 19), (0.7, 0.8, 0.9), tuple(grid.points_from_voxels((0.4, -0.3, 0.9))), direction((15, -30, 12))
    )
    oracle = sitk.Cast(to_sitk(image), sitk.sitkFloat64)
    frame = sitk.Image(onto.size, sitk.sitkFloat64)
    frame.SetSpacing(onto.spacing)
    frame.SetOrigin(onto.origin)
    frame.SetDirection([entry for row in onto.direction for entry in row])
    expected = sitk.GetArrayFromImage(sitk.Resample(oracle, frame, sitk.Transform(), sitk.sitkBSpline, -5000.0))
    found = resample(image, onto, spline=True, outside=-5000.0).array
    assert 50 < (expected > -5000).sum() < expected.size
    exact = np.issubdtype(dtype, np.integer)
    np.testing.assert_allclose(found, np.round(expected) if exact else expected, atol=1 if exact else 0.01)
