"""Label maps of appendix A: what each kind looks like, and that a seed fixes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from RobustDIRLib.cli import main
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.synthesis import kinds
from RobustDIRLib.synthesis import labels as maps
from RobustDIRLib.synthesis.bank import LabelBank, make_bank
from RobustDIRLib.synthesis.random import generator

SHAPE = (40, 36, 44)


def _border_share(labels: torch.Tensor) -> float:
    """Share of neighbouring voxels with different labels: the finer the shapes, the more."""
    return float(np.mean([(np.diff(labels.numpy().astype(int), axis=a) != 0).mean() for a in range(3)]))


def test_appendix_a_small_medium_large_come_from_grids_of_12_6_3_nodes() -> None:
    assert maps.SHAPE_NODES == {"small": 12, "medium": 6, "large": 3}
    shares = [_border_share(kinds.KINDS[kind](SHAPE, generator(1))) for kind in ("small", "medium", "large")]
    assert shares[0] > 1.3 * shares[1] > 1.3**2 * shares[2] > 0


def test_appendix_a_random_geometry_has_26_labels() -> None:
    labels = maps.random_geometry(SHAPE, generator(2), nodes=12)
    assert labels.shape == SHAPE
    assert labels.dtype == torch.uint8
    assert set(labels.unique().tolist()) == set(range(26))


def test_running_arg_max_equals_arg_max_over_all_channels() -> None:
    channels = torch.randn(5, 4, 3, 6, generator=generator(3))
    assert torch.equal(maps._arg_max(channels).long(), channels.argmax(0))


def test_appendix_a_rectangles_are_boxes_of_the_8_nodes() -> None:
    labels = maps.rectangles((40, 32, 48), generator(4)).numpy()
    for axis, cell in enumerate((5, 4, 6)):
        changes = np.flatnonzero((np.diff(labels.astype(int), axis=axis) != 0).any(tuple({0, 1, 2} - {axis})))
        assert len(changes)
        assert set((changes + 1) % cell) == {0}


def test_appendix_a_spheres_are_balls_of_the_given_radii() -> None:
    labels = maps.spheres((60, 50, 70), generator(5), labels=2, per_label=1, radius=(8.0, 8.0)).numpy()
    ball = labels == 1
    full, count = 4 / 3 * np.pi * 8**3, ball.sum()
    assert 0.1 * full < count < 1.1 * full
    inner = ndimage.distance_transform_edt(np.pad(ball, 10, mode="edge"))
    assert inner.max() < 10
    assert maps.spheres.__kwdefaults__["radius"] == (15.0, 25.0)
    assert maps.spheres.__kwdefaults__["per_label"] == 2000


def test_appendix_a_spheres_are_painted_one_over_the_other() -> None:
    """As they are when each is painted whole, in the order in which they are drawn."""
    shape, labels, per_label, (low, high) = (21, 18, 25), 5, 12, (2.0, 7.0)
    g = generator(8)
    order = torch.randperm(labels * per_label, generator=g) % labels
    centres = torch.rand((len(order), 3), generator=g) * torch.tensor([float(n) for n in shape])
    radii = low + (high - low) * torch.rand(len(order), generator=g)
    places = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"), dim=-1)
    expected = torch.zeros(shape, dtype=torch.uint8)
    for label, centre, radius in zip(order, centres, radii, strict=True):
        expected[(places - centre).norm(dim=-1) <= radius] = label
    found = maps.spheres(shape, generator(8), labels=labels, per_label=per_label, radius=(low, high))
    assert len(expected.unique()) == labels
    assert (found != expected).float().mean() < 0.001  # rounding at surfaces


def test_tubes_are_thin_and_long_and_sheets_are_walls() -> None:
    empty = torch.zeros((60, 64, 56), dtype=torch.uint8)
    tubes = maps.draw_tubes(empty, generator(6), nodes=5, radius=1.5, label=3).numpy() == 3
    sheets = maps.draw_sheets(empty, generator(6), nodes=5, thickness=3.0, label=4).numpy() == 4
    assert 0.0005 < tubes.mean() < 0.1 < sheets.mean() < 0.4
    assert ndimage.distance_transform_edt(tubes).max() < 6
    parts, count = ndimage.label(tubes, np.ones((3, 3, 3)))
    extents = [max(s.stop - s.start for s in box) for box in ndimage.find_objects(parts)]
    assert max(extents) > 15


def test_a_body_leaves_empty_corners_and_a_full_middle() -> None:
    body = maps.cut_body(torch.ones(SHAPE, dtype=torch.uint8), generator(7))
    assert 0.05 < (body == maps.BACKGROUND).float().mean() < 0.95
    assert body[20, 18, 22] == 1


@pytest.fixture
def small_config() -> kinds.LabelMapConfig:
    return kinds.LabelMapConfig(("medium", "rectangles"), side=20, labels=5, thin_probability=1.0, body_probability=0.5)


def test_a_bank_is_made_once_can_be_continued_and_is_fixed_by_its_seed(
    tmp_path: Path, small_config: kinds.LabelMapConfig
) -> None:
    make_bank(tmp_path / "a", small_config, 3, 8)
    kept = (tmp_path / "a" / "labels_0000.npz").stat().st_mtime_ns
    (tmp_path / "a" / "labels_0001.npz").unlink()
    make_bank(tmp_path / "a", small_config, 3, 8)
    make_bank(tmp_path / "b", small_config, 3, 8)
    make_bank(tmp_path / "c", small_config, 3, 9)
    a, b, c = (LabelBank(tmp_path / name) for name in "abc")
    assert (tmp_path / "a" / "labels_0000.npz").stat().st_mtime_ns == kept
    assert len(a) == 3
    assert all(torch.equal(a[i], b[i]) for i in range(3))
    assert not any(torch.equal(a[i], c[i]) for i in range(3))


def test_a_bank_refuses_other_settings_and_an_empty_folder(tmp_path: Path, small_config: kinds.LabelMapConfig) -> None:
    make_bank(tmp_path, small_config, 1, 8)
    with pytest.raises(InputError, match="other settings"):
        make_bank(tmp_path, small_config, 1, 9)
    with pytest.raises(InputError, match="no label maps"):
        LabelBank(tmp_path / "nothing")
    assert json.loads((tmp_path / "bank.json").read_text(encoding="utf-8"))["seed"] == 8


def test_anatomical_label_maps_become_scenes_with_shared_numbers(tmp_path: Path) -> None:
    first = np.zeros((20, 22, 24), np.int32)
    first[6:14, 5:10, 8:20], first[8:12, 12:18, 9:15] = 1007, 12
    second = np.where(first == 12, 0, first).transpose(2, 1, 0)
    for name, array in (("a", first), ("b", second)):
        write_image(tmp_path / f"{name}.nii.gz", Image(array, Grid(array.shape)))
    files = [str(tmp_path / f"{name}.nii.gz") for name in "ab"]
    assert main(["synthesize", "-o", str(tmp_path / "bank"), "--side", "18", "--from-labels", *files]) == 0
    a, b = LabelBank(tmp_path / "bank").maps
    assert {int(v): int((a == v).sum()) for v in a.unique()}.items() >= {0: 144, 1: 480}.items()
    assert int((b == 1).sum()) == 480 and set(b.unique().tolist()) == {1, maps.BACKGROUND}
    assert min(a.shape) >= 18 and min(b.shape) >= 18
    assert main(["synthesize", "-o", str(tmp_path / "bank"), "--from-labels", *files]) == 2


def test_labels_that_are_not_kept_become_background(tmp_path: Path) -> None:
    array = np.zeros((21, 18, 24), np.int32)
    array[3:17, 4:15, 2:20], array[6:12, 7:12, 5:15], array[8:10, 8:10, 7:9] = 7, 42, 43
    write_image(tmp_path / "head.nii.gz", Image(array, Grid(array.shape)))
    command = ["synthesize", "--side", "16", "--from-labels", str(tmp_path / "head.nii.gz"), "--keep"]
    assert main([*command, "40-42,50", "-o", str(tmp_path / "bank")]) == 0
    (kept,) = LabelBank(tmp_path / "bank").maps
    assert set(kept.unique().tolist()) == {0, maps.BACKGROUND}
    assert int((kept == 0).sum()) == int((array == 42).sum())
    assert main([*command, "8,50", "-o", str(tmp_path / "none")]) == 2
    with pytest.raises(SystemExit):
        main([*command, "2-x", "-o", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def test_organs_leave_room_without_edges_and_fill_some_of_it() -> None:
    def depths(kind: str) -> list[float]:
        drawn = [kinds.KINDS[kind]((60, 52, 56), generator(7, i)).numpy().astype(int) for i in range(8)]
        edges = [np.pad(np.diff(labels, axis=0) != 0, ((0, 1), (0, 0), (0, 0))) for labels in drawn]
        return [float(ndimage.distance_transform_edt(~e).max()) for e in edges]

    assert max(depths("organs")) > 1.5 * max(depths("varied"))
    labels = [int(maps.organs(SHAPE, generator(8, i)).max()) for i in range(8)]
    assert max(labels) < maps.LABELS and max(labels) > 6
