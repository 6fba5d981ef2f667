"""NaN that is the outside is filled and said; NaN inside is refused without a value."""

from __future__ import annotations

import json

import numpy as np
import pytest

from file_cases import nifti_bytes, put, refusal, told
from RobustDIRLib.cli import main
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.io.background import reaching_the_border
from RobustDIRLib.io.images import read_image

SOUND = np.random.default_rng(5).normal(100, 30, (14, 12, 13)).astype("<f4")

pytestmark = pytest.mark.filterwarnings("error")  # NumPy's own words are noise to a user


def scan(path, missing):
    array = SOUND.copy()
    array[missing] = np.nan
    return put(path, nifti_bytes(voxels=array)), array


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [0, -1])
def test_a_background_at_any_side_takes_the_smallest_value_and_is_told(tmp_path, caplog, axis, side):
    missing = np.zeros(SOUND.shape, bool)
    missing[tuple([slice(None)] * axis + [slice(0, 2) if side == 0 else slice(-2, None)])] = True
    path, array = scan(tmp_path / "scan.nii", missing)
    image, words = told(path, caplog)
    np.testing.assert_array_equal(image.array[missing], np.nanmin(array))
    np.testing.assert_array_equal(image.array[~missing], SOUND[~missing])
    assert f"{missing.sum()} voxels that are NaN" in words[0]


def test_nan_inside_is_refused_whatever_lies_outside(tmp_path, caplog):
    missing = np.zeros(SOUND.shape, bool)
    missing[:2] = True
    missing[6, 6, 6] = True
    path, _ = scan(tmp_path / "scan.nii", missing)
    message = refusal(path)
    assert f"{missing.sum()} of {SOUND.size} voxels that are NaN, 1 of them inside" in message
    assert "--" not in message
    image, words = told(path, caplog, lambda where: read_image(where, fill_nan=-7.5))
    np.testing.assert_array_equal(image.array[missing], np.float32(-7.5))
    assert "-7.5" in words[0]


def test_a_hole_that_meets_the_background_by_an_edge_alone_is_inside():
    mask = np.zeros((6, 7, 8), bool)
    mask[0] = True
    mask[1, 3, 4] = mask[2, 4, 4] = True
    reached = reaching_the_border(mask)
    assert reached[1, 3, 4]
    assert not reached[2, 4, 4]
    assert reached.sum() == mask.sum() - 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_voxels_stay_refused(tmp_path, value):
    array = SOUND.copy()
    array[0], array[5, 5, 5] = np.nan, value
    path = put(tmp_path / "scan.nii", nifti_bytes(voxels=array))
    assert "infinite" in refusal(path)
    assert "infinite" in refusal(path, lambda where: read_image(where, fill_nan=0.0))


def test_an_image_of_nan_alone_is_refused(tmp_path):
    path, _ = scan(tmp_path / "scan.nii", np.ones(SOUND.shape, bool))
    assert "no voxel that is a number" in refusal(path)
    assert "no voxel that is a number" in refusal(path, lambda where: read_image(where, fill_nan=0.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(tmp_path, value):
    path, _ = scan(tmp_path / "scan.nii", np.s_[6, 6, 6])
    refusal(path, lambda where: read_image(where, fill_nan=value), names="fill_nan")


def test_the_command_takes_a_value_and_its_refusal_names_the_option(tmp_path, capsys):
    path, _ = scan(tmp_path / "scan.nii", np.s_[6, 6, 6])
    assert main(["register", str(path), str(path), "-o", str(tmp_path / "out")]) == 2
    assert "--fill-nan" in capsys.readouterr().err


def test_a_data_set_says_what_nan_becomes(tmp_path):
    (tmp_path / "one").mkdir()
    scan(tmp_path / "one" / "fixed.nii", np.s_[6, 6, 6])
    scan(tmp_path / "one" / "moving.nii", np.s_[6, 6, 6])
    assert open_dataset(tmp_path).cases[0].fixed.fill_nan is None
    (tmp_path / "robustdir-dataset.json").write_text(json.dumps({"fill_nan": 3.5}))
    case = open_dataset(tmp_path).cases[0]
    assert case.fixed.read().array[6, 6, 6] == case.moving.read().array[6, 6, 6] == 3.5
