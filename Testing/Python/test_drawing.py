"""Pairs as a run learns from them, and as they are handed over to be looked at: the same, and where they lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from finetuning_cases import a_config, decathlon
from RobustDIRLib.cli import main
from RobustDIRLib.configuration import to_dict
from RobustDIRLib.finetuning.config import FinetuneConfig
from RobustDIRLib.finetuning.deformation_model import build_model, save_deformation_model
from RobustDIRLib.finetuning.drawing import preview_pair
from RobustDIRLib.finetuning.tuner import Tuner
from RobustDIRLib.training.processes import Process


@pytest.fixture(scope="module")
def organs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decathlon(tmp_path_factory.mktemp("organs"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth deformations along each axis apart: of some mm, the largest along the last."""
    g = torch.Generator().manual_seed(1)
    scale = torch.tensor([4.0, 6.0, 9.0]).view(1, 3, 1, 1, 1)
    path = tmp_path_factory.mktemp("model") / "m.npz"
    save_deformation_model(path, build_model([scale * torch.randn((1, 3, 6, 6, 6), generator=g) for _ in range(4)]))
    return path


def handed_over(config: FinetuneConfig, number: int, folder: Path) -> Path:
    """What the command writes for the panel."""
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(to_dict(config)))
    words = ["--config", str(folder / "settings.json"), "-o", str(folder / "pair"), "--hand-over", str(number)]
    assert main(["finetune", *words]) == 0
    return folder / "pair"


def test_what_is_looked_at_is_what_is_learnt_from(organs: Path, model: Path) -> None:
    """Of both kinds, in the first epoch and the second, with all augmentation."""
    config = a_config(
        organs, virtual={"probability": 0.5, "model": str(model)}, seed=3,
        augmentation={"contrast": 0.5, "noise": 0.5, "flip": 0.5, "affine": 0.5},
    )  # fmt: skip
    tuner = Tuner(config, Process.alone("cpu"))
    size, kinds = len(tuner.material.epoch(1)), set()
    for number in range(2 * size):
        drawn = preview_pair(config, number)
        [(learnt, _)] = tuner.batch(number)
        assert learnt.name == drawn.pair.name and torch.equal(learnt.fixed, drawn.pair.fixed)
        assert torch.equal(learnt.moving, drawn.pair.moving) and drawn.pair.fixed.shape[2:] == drawn.grid.shape
        kinds.add(drawn.displacement is None)
    assert kinds == {True, False}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_displacement_that_is_handed_over_registers_the_pair(
    organs: Path, model: Path, flip: float, tmp_path: Path
) -> None:
    """By SimpleITK, from the files, on an oblique grid; mirrored pairs as well."""
    virtual = {"probability": 1.0, "model": str(model)}
    folder = handed_over(a_config(organs, virtual=virtual, augmentation={"flip": flip}), 2, tmp_path / "run")
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.mha"), sitk.sitkFloat32) for name in ("fixed", "moving"))
    field = sitk.ReadImage(str(folder / "transform_field.mha"), sitk.sitkVectorFloat64)
    ras = sitk.GetArrayFromImage(field) * [-1.0, -1.0, 1.0]  # the file's components are RAS
    assert np.abs(ras).max() > 1
    field_lps = sitk.GetImageFromArray(ras, isVector=True)
    field_lps.CopyInformation(field)
    warped = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(field_lps), sitk.sitkLinear, -1.0)
    inner = (slice(3, -3),) * 3
    before, after = (
        np.abs(sitk.GetArrayFromImage(each) - sitk.GetArrayFromImage(fixed))[inner].mean() for each in (moving, warped)
    )
    assert before > 0.02 and after < 0.35 * before
    labels = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{side}_labels.mha"))) for side in ("fixed", "moving")
    ]
    assert all(len(np.unique(each)) > 1 for each in labels)


def test_a_real_pair_has_no_displacement_and_says_whose_it_is(organs: Path, tmp_path: Path) -> None:
    folder = handed_over(a_config(organs), 0, tmp_path / "run")
    assert not (folder / "transform_field.mha").exists() and (folder / "fixed_labels.mha").is_file()
    assert "organ_" in json.loads((folder / "case.json").read_text(encoding="utf-8"))["notes"][0]
    assert not (tmp_path / "run" / "records.jsonl").exists()  # nothing was run
