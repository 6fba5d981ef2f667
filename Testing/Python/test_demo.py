"""The demo: its truth is true, its files can be used by hand, and it tells what was measured."""

import json
import re
import sys
from importlib import import_module

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from RobustDIRLib import cli, demo, model_file
from RobustDIRLib.cli.demo import register_command
from RobustDIRLib.evaluation.metrics import tre
from RobustDIRLib.io.displacements import apply_to_points, read_transform, sample_transform
from RobustDIRLib.io.images import Image, read_image, resample, to_sitk
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.warping import jacobian_determinant


@pytest.fixture(scope="module")
def template():
    return demo.template_brain()


@pytest.fixture(scope="module")
def a_brain(template):
    """Four millimetres a voxel, to be quick."""
    blurred = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(to_sitk(template), 1.5))
    shape = tuple(n // 4 for n in template.grid.shape)
    smooth = Image(np.where(blurred > 0.02, blurred, 0).clip(0, 1), template.grid)
    return resample(smooth, template.grid.resized(shape), outside=0.0)


@pytest.fixture(scope="module")
def a_pair(a_brain):
    return demo.make_pair(a_brain, seed=1)


def test_template_is_the_skull_stripped_brain_in_lps(template):
    assert template.grid.spacing == (1.0, 1.0, 1.0)
    assert template.grid.shape == (189, 233, 197)
    assert template.array.min() == 0
    assert template.array.max() == 1
    assert 1.4e6 < np.count_nonzero(template.array) < 2.2e6  # mm3
    bright = template.grid.points_from_voxels(np.argwhere(template.array > 0.5)).mean(axis=0)
    # The template's brain lies about (0, -17, 9) in RAS: y and z cannot be exchanged or turned unseen.
    np.testing.assert_allclose(bright, (0, 18, 10), atol=6)
    lateral = np.argwhere(template.array > 0.5)[:, 2]
    assert abs(np.median(lateral) - 98) < 2


def test_truth_inverts(a_pair):
    there, back = a_pair.moving_landmarks.points, a_pair.fixed_landmarks.points
    assert tre(apply_to_points(a_pair.inverse, there), back).max() < 0.25  # a sixteenth of a voxel


def test_moving_image_shows_the_fixed_one_where_the_truth_says(a_pair):
    """The image, not only the transform: tissue borders coincide after warping by the truth, and not before."""
    expected = np.interp(a_pair.fixed.array, demo._T1_VALUES, demo._NEW_VALUES)
    inside = a_pair.fixed.array > 0.1
    after = resample(a_pair.moving, a_pair.fixed.grid, a_pair.transform).array
    before = resample(a_pair.moving, a_pair.fixed.grid).array
    good, poor = (np.corrcoef(image[inside], expected[inside])[0, 1] for image in (after, before))
    assert good > 0.7
    assert good > poor + 0.3


def test_landmarks_lie_in_the_brain_and_correspond(a_pair):
    voxels = np.round(a_pair.fixed.grid.voxels_from_points(a_pair.fixed_landmarks.points)).astype(int)
    assert (a_pair.fixed.array[tuple(voxels.T)] > 0).all()
    assert len(np.unique(voxels, axis=0)) == demo.LANDMARKS
    assert a_pair.moving.grid.contains(a_pair.moving_landmarks.points).all()
    mapped = apply_to_points(a_pair.transform, a_pair.fixed_landmarks.points)
    np.testing.assert_array_equal(mapped, a_pair.moving_landmarks.points)


def test_deformation_is_as_large_as_promised_and_never_folds(a_pair):
    field = sample_transform(a_pair.transform.GetNthTransform(1), a_pair.fixed.grid)
    inside = a_pair.fixed.array > 0
    assert np.linalg.norm(field.array[inside], axis=-1).max() == pytest.approx(demo.LARGEST_DISPLACEMENT, rel=0.1)
    displacement = torch.from_numpy(a_pair.fixed.grid.displacement_from_mm(field.array))[None]
    assert jacobian_determinant(displacement).min() > 0.2


def test_contrast_is_neither_rising_nor_falling(a_pair):
    assert (np.diff(demo._NEW_VALUES) > 0).any()
    assert (np.diff(demo._NEW_VALUES) < 0).any()
    assert np.all(np.diff(demo._T1_VALUES) > 0)
    assert not a_pair.moving.grid.close_to(a_pair.fixed.grid)


def test_seed_decides_everything(a_brain, a_pair):
    again, other = demo.make_pair(a_brain, seed=1), demo.make_pair(a_brain, seed=2)
    np.testing.assert_array_equal(again.moving.array, a_pair.moving.array)
    np.testing.assert_array_equal(again.moving_landmarks.points, a_pair.moving_landmarks.points)
    assert tre(other.moving_landmarks.points, a_pair.moving_landmarks.points).mean() > 2


def test_written_pair_reads_back(a_pair, tmp_path):
    demo.write_pair(tmp_path, a_pair)
    moving = read_image(tmp_path / demo.MOVING)
    np.testing.assert_allclose(moving.array, a_pair.moving.array)
    assert moving.grid.close_to(a_pair.moving.grid)
    truth = demo.assess(tmp_path, tmp_path / demo.TRUE_TRANSFORM)
    assert truth["after"]["max"] < 1e-9
    assert truth["before"]["mean"] == pytest.approx(
        np.linalg.norm(a_pair.fixed_landmarks.points - a_pair.moving_landmarks.points, axis=1).mean()
    )
    back = apply_to_points(read_transform(tmp_path / demo.TRUE_INVERSE), a_pair.moving_landmarks.points)
    assert tre(back, a_pair.fixed_landmarks.points).max() < 0.25


@pytest.fixture
def a_model(tmp_path):
    network = build_network({"kind": "pyramid", "encoder": [4], "decoder": [4], "depth": [1], "radius": [1]})
    return model_file.save_model(tmp_path / "standin.pt", network, {"name": "stand-in"})


def test_demo_registers_and_tells(tmp_path, a_model, a_brain, monkeypatch, capsys):
    """The frame of the demo with a network that was taught nothing: linear alignment alone must help."""
    monkeypatch.setattr(demo, "template_brain", lambda: a_brain)
    monkeypatch.setattr(import_module("RobustDIRLib.cli.demo"), "PRESET", "generic")  # 1 mm would take a minute
    folder = tmp_path / "out"
    assert cli.main(["demo", "-o", str(folder), "--model", str(a_model), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    before, after = (float(re.search(rf"{when} +([\d.]+)", text).group(1)) for when in ("before", "after"))
    assert after < before
    assert re.search(r"folding +[\d.]+ %", text)
    assert re.search(r"time +[\d.]+ s", text)
    for name in ("transform.h5", "inverse.h5", "warped.nii.gz", "displacement.nii.gz", "run.json"):
        assert (folder / "result" / name).stat().st_size > 0
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((folder / "result" / "run.json").read_text(encoding="utf-8"))
    assert record["measures"]["tre"]["after_mean_mm"] == pytest.approx(after, abs=0.01)

    assert cli.main(["demo", "-o", str(folder), "--model", str(a_model)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_unknown_model_is_refused_before_anything_is_made(tmp_path, capsys):
    assert cli.main(["demo", "-o", str(tmp_path / "out"), "--model", "no-such"]) == 2
    assert "no model is named 'no-such'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_by_hand_is_a_valid_one(tmp_path):
    arguments = register_command(tmp_path, "generic", "cpu")
    modules = {"register": import_module("RobustDIRLib.cli.register")}
    assert cli._parser(modules).parse_args(arguments).command == "register"


def test_without_nilearn_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn.datasets", None)
    with pytest.raises(demo.InputError, match="pip install 'robustdir\\[demo\\]'"):
        demo.template_brain()


@pytest.mark.long
def test_the_shipped_defaults_align_it_to_three_millimetres_at_worst(tmp_path):
    assert cli.main(["demo", "-o", str(tmp_path / "demo")]) == 0
    measured = demo.assess(tmp_path / "demo", tmp_path / "demo" / "result" / "transform.h5")
    assert measured["after"]["max"] < 3
    assert measured["after"]["mean"] < 0.8
