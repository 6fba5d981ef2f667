"""Synthetic pairs: the displacement that comes with them is the true one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from RobustDIRLib import warping
from RobustDIRLib.cli import main
from RobustDIRLib.synthesis.deformations import DeformationConfig
from RobustDIRLib.synthesis.intensities import CorruptionConfig, IntensityConfig
from RobustDIRLib.synthesis.labels import random_geometry
from RobustDIRLib.synthesis.pairs import PairConfig, SyntheticPair, synthesize_pair
from RobustDIRLib.synthesis.random import generator

CALM = DeformationConfig(node_spacing=(16, 32), sigma_max=4.0)


@pytest.fixture(scope="module")
def a_label_map() -> torch.Tensor:
    return random_geometry((52, 56, 48), generator(1), nodes=4)


def _agreement(pair: SyntheticPair, displacement: torch.Tensor) -> float:
    cut = slice(10, -10)
    warped = warping.warp(pair.moving_labels.float(), displacement, mode="nearest")
    return float((warped == pair.fixed_labels)[..., cut, cut, cut].float().mean())


@pytest.mark.parametrize("reduction", [1, 2])
def test_the_truth_carries_moving_labels_onto_fixed_ones(a_label_map: torch.Tensor, reduction: int) -> None:
    config = PairConfig(side=48, deformation=CALM, reduction=reduction, mirror=True)
    pair = synthesize_pair(a_label_map, config, generator(12))
    truth = warping.resize_displacement(pair.truth.displacement, pair.fixed.shape[2:])
    before, after = _agreement(pair, torch.zeros_like(truth)), _agreement(pair, truth)
    assert truth.norm(dim=1).mean() > 1
    assert before < 0.85
    assert after > 0.93
    assert _agreement(pair, -truth) < before


def test_the_same_seed_gives_the_same_pair_and_another_another(a_label_map: torch.Tensor) -> None:
    busy = PairConfig(
        side=32,
        intensity=IntensityConfig(contrast="mixed", texture_probability=0.5),
        corruption=CorruptionConfig(0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        mirror=True,
    )
    a, b, c = (synthesize_pair(a_label_map, busy, generator(3, k)) for k in (0, 0, 1))
    assert torch.equal(a.fixed, b.fixed)
    assert torch.equal(a.truth.inverse, b.truth.inverse)
    assert not torch.equal(a.fixed, c.fixed)


def test_static_images_match_through_the_truth(a_label_map: torch.Tensor) -> None:
    config = PairConfig(side=48, deformation=CALM, intensity=IntensityConfig("static", sigma=(0.01, 0.02)))
    pair = synthesize_pair(a_label_map, config, generator(4))
    cut = (..., slice(10, -10), slice(10, -10), slice(10, -10))
    warped = warping.warp(pair.moving, pair.truth.displacement)
    left, start = ((image - pair.fixed)[cut].abs().mean() for image in (warped, pair.moving))
    assert left < 0.5 * start


def test_texture_moves_with_the_tissue(a_label_map: torch.Tensor) -> None:
    one_label = torch.zeros_like(a_label_map)
    intensity = IntensityConfig("static", sigma=(0.001, 0.002), texture_probability=1.0)
    pair = synthesize_pair(one_label, PairConfig(side=48, deformation=CALM, intensity=intensity), generator(5))
    cut = (..., slice(10, -10), slice(10, -10), slice(10, -10))
    warped = warping.warp(pair.moving, pair.truth.displacement)
    after, before = (np.corrcoef(i[cut].flatten(), pair.fixed[cut].flatten())[0, 1] for i in (warped, pair.moving))
    assert after > 0.85 and before < 0.8


def test_a_map_smaller_than_the_pair_is_refused(a_label_map: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="cannot cut 64 voxels"):
        synthesize_pair(a_label_map, PairConfig(side=64), generator(6))


def test_synthesize_writes_pairs_whose_field_simpleitk_applies(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(
        json.dumps({"labels": {"kinds": ["large"]}, "pairs": {"deformation": {"node_spacing": [16], "sigma_max": 4.0}}})
    )
    arguments = ["synthesize", "-o", str(tmp_path / "out"), "--side", "32", "--config", str(settings), "--seed", "5"]
    assert main(arguments) == 0
    folder = tmp_path / "out" / "pair_0000"
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}_labels.nii.gz")) for name in ("fixed", "moving"))
    field = sitk.ReadImage(str(folder / "displacement.nii.gz"), sitk.sitkVectorFloat64)
    warped = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(field), sitk.sitkNearestNeighbor)
    same = (sitk.GetArrayFromImage(warped) == sitk.GetArrayFromImage(fixed))[8:-8, 8:-8, 8:-8].mean()
    start = (sitk.GetArrayFromImage(moving) == sitk.GetArrayFromImage(fixed))[8:-8, 8:-8, 8:-8].mean()
    assert same > 0.9 > start
    assert (folder / "preview.png").stat().st_size > 1000
    assert main(arguments) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [('{"pairs": {"sides": 3}}', "no setting sides"), ('{"pairs": {"side": "big"}}', "of type int"), ("{", "as JSON")],
)
def test_bad_settings_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str) -> None:
    (tmp_path / "s.json").write_text(content)
    assert main(["synthesize", "-o", str(tmp_path / "out"), "--config", str(tmp_path / "s.json")]) == 2
    message = capsys.readouterr().err
    assert says in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()
