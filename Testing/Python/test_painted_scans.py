"""Scans painted from anatomical label maps: a data set of people who never were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from RobustDIRLib.cli import main
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.subjects import scans_of
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, read_image, write_image
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.synthesis.deformations import DeformationConfig
from RobustDIRLib.synthesis.intensities import IntensityConfig
from RobustDIRLib.synthesis.pairs import PairConfig
from RobustDIRLib.synthesis.scans import ScanConfig, write_scans

SHAPE = (21, 26, 19)
BRIGHTNESS = {"3": 0.9, "17": 0.55, "130": 0.25}
PAIRS = PairConfig(side=16, reduction=2, deformation=DeformationConfig((8,), 2.0), intensity=IntensityConfig())


def _head(shift: int) -> np.ndarray:
    """Three labels of different sizes, none in the middle, and a shell apart from them that shares one's number."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:15, 5 + shift : 18 + shift, 5:14] = 3
    labels[6:10, 8 + shift : 14 + shift, 7:11] = 17
    labels[11:14, 7 + shift : 10 + shift, 6:9] = 130
    labels[19:21] = 3
    return labels


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("maps")
    files = [folder / f"{name}.nii.gz" for name in ("ann", "bob")]
    for shift, file in enumerate(files):
        write_image(file, Image(_head(2 * shift), Grid(SHAPE)))
    return files


def _written(folder: Path, maps: list[Path], scans: ScanConfig | None = None, seed: int = 5, **more: Any) -> Path:
    write_scans(folder, maps, (PAIRS, scans or ScanConfig()), 2, seed, **more)
    return folder


def _each(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        f"{file.parent.name}/{file.name}": (
            read_image(file).array,
            read_labels(folder / "labels" / file.parent.name / file.name).array,
        )
        for file in sorted((folder / "images").glob("*/*.nii.gz"))
    }


def test_it_is_a_data_set_of_people_with_the_labels_numbers(maps: list[Path], tmp_path: Path) -> None:
    folder = _written(tmp_path / "people", maps)
    scans = scans_of(open_dataset(folder).cases)
    assert [(scan.subject, scan.image.path.name) for scan in scans] == [
        ("ann", "00.nii.gz"), ("ann", "01.nii.gz"), ("bob", "00.nii.gz"), ("bob", "01.nii.gz"),
    ]  # fmt: skip
    for image, labels in _each(folder).values():
        assert set(np.unique(labels)) == {0, 3, 17, 130} and image.shape == labels.shape
        assert image.min() >= 0 and image.max() <= 255 and len(np.unique(image)) > 20


def test_each_scan_has_its_own_shape_and_contrast_and_the_same_again_from_its_seed(
    maps: list[Path], tmp_path: Path
) -> None:
    first, again, other = (
        _each(_written(tmp_path / name, maps, seed=seed)) for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    for name, (image, labels) in first.items():
        np.testing.assert_array_equal(image, again[name][0])
        np.testing.assert_array_equal(labels, again[name][1])
        assert not np.array_equal(labels, other[name][1])
    one, two = first["ann/00.nii.gz"], first["ann/01.nii.gz"]
    assert not np.array_equal(one[1], two[1])
    shared = (one[1] == two[1]).mean()
    assert 0.5 < shared < 0.999  # the same anatomy, deformed


def test_a_shared_contrast_orders_the_labels_as_it_says(maps: list[Path], tmp_path: Path) -> None:
    bright = ScanConfig(BRIGHTNESS, 1.0, spread=0.01)
    quiet = replace(PAIRS, intensity=IntensityConfig(sigma=(0.01, 0.02)))
    write_scans(tmp_path / "t1", maps, (quiet, bright), 2, 3)
    for image, labels in _each(tmp_path / "t1").values():
        means = [image[labels == label].mean() for label in (0, 130, 17, 3)]
        assert means == sorted(means) and means[1] > 25 and means[3] - means[1] > 60


def test_only_what_hangs_together_with_the_core_is_kept(maps: list[Path], tmp_path: Path) -> None:
    whole = _each(_written(tmp_path / "whole", maps))
    brain = _each(_written(tmp_path / "brain", maps, ScanConfig(core=(3,), reach=2.0)))
    for name, (_, labels) in brain.items():
        assert labels.shape[0] < whole[name][1].shape[0]
        assert 600 < (labels > 0).sum() < (whole[name][1] > 0).sum() - 400


def test_only_labels_to_keep_are_painted(maps: list[Path], tmp_path: Path) -> None:
    for _, labels in _each(_written(tmp_path / "some", maps, keep=[17, 130])).values():
        assert set(np.unique(labels)) == {0, 17, 130}


def test_what_cannot_be_painted_is_said(maps: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ann.nii.gz has no label to keep"):
        _written(tmp_path / "none", maps, keep=[99])
    with pytest.raises(InputError, match=r"ann.nii.gz has none of the core's labels \(99\)"):
        _written(tmp_path / "none", maps, ScanConfig(core=(99,)))
    twin = tmp_path / "ann.nii.gz"
    twin.write_bytes(maps[0].read_bytes())
    with pytest.raises(InputError, match="two label maps are called ann"):
        _written(tmp_path / "twice", [*maps, twin])
    for brightness in ({"x": 0.5}, {"3": 2}, {"3": "bright"}):
        with pytest.raises(ValueError, match="is no label's number"):
            ScanConfig(brightness)
    with pytest.raises(ValueError, match="needs a brightness"):
        ScanConfig(brightness_probability=0.5)


def test_the_command_writes_them_and_wants_label_maps(
    maps: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--count", "1", "-o", str(tmp_path / "people")]
    assert main(["synthesize", "--scans", "--from-labels", *map(str, maps), *words]) == 0
    assert len(_each(tmp_path / "people")) == 2
    assert main(["synthesize", "--scans", *words]) != 0
    assert "--from-labels" in capsys.readouterr().err
