"""Values: their shapes must agree, and they need nothing but NumPy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from RobustDIRLib.io import displacements, images, landmarks
from RobustDIRLib.values import DisplacementField, Image, Landmarks

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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
