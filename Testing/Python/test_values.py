"""Values: their shapes must agree, and they need nothing but NumPy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.io import displacements, images, landmarks
from RobustDIRLib.values import DisplacementField, Image, Landmarks, display_window, scaled

LIBRARY = Path(__file__).parents[2] / "RobustDIR"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(Image, (25, 21, 17)), (Image, (17, 21, 25, 1)), (DisplacementField, (17, 21, 25)),
     (DisplacementField, (3, 17, 21, 25))],
)  # fmt: skip
def test_an_array_that_does_not_fill_its_grid_is_refused(oblique_grid, kind, shape):
    with pytest.raises(ValueError, match="does not fill a grid"):
        kind(np.zeros(shape), oblique_grid)


def test_files_are_read_into_these():
    assert images.Image is Image
    assert landmarks.Landmarks is Landmarks
    assert displacements.DisplacementField is DisplacementField


def test_numpy_is_all_they_need():
    code = """
import sys, RobustDIRLib.values, RobustDIRLib.geometry
print(sorted(set(sys.modules) & {"torch", "SimpleITK", "scipy", "nibabel", "skimage"}))
"""
    environment = {"PYTHONPATH": str(LIBRARY)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, env=environment
    )
    assert done.stdout.strip() == "[]"


class TestIntensities:
    def test_a_window_becomes_the_range_and_the_rest_its_ends(self) -> None:
        array = np.array([[-2000, -1000, -700], [-400, 200, 900]], np.int16)
        np.testing.assert_allclose(scaled(array, (-1000, 200)), [[-1, -1, -0.5], [0, 1, 1]], atol=1e-6)
        np.testing.assert_allclose(scaled(array, (-1000, 200), (0, 255))[0, 2], 63.75, rtol=1e-6)
        assert array[0, 0] == -2000 and scaled(array, (-1000, 200)).dtype == np.float32
        assert (scaled(array, (7, 7)) == [[-1] * 3] * 2).all()

    def test_display_leaves_out_what_few_voxels_hold(self) -> None:
        values = np.random.default_rng(1).uniform(100, 300, (20, 21, 22))
        values[3, 4, 5], values[6, 7, 8] = -9e5, 9e5
        low, high = display_window(values)
        assert low == pytest.approx(101, abs=2) and high == pytest.approx(299.4, abs=2)
        assert display_window(np.full((3, 4, 5), 7))[1] > 7
