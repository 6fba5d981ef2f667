"""Segmentations that overlap, laid in pairs of label maps: nothing lost, nothing doubled, one name in one layer."""

from __future__ import annotations

import numpy as np
import pytest

from registration_cases import Standin, grid_about, picture
from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.label_pairs import paired, read_pairs
from RobustDIRLib.io.images import Image, write_image
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras
from segment_cases import write_segmentation

MOVING_GRID = grid_about(np.array([3.0, -2, 1]), (14, 16, 18), (2.1, 1.7, 2.5), (10, -5, 20), (1, -1, 1))
FIXED_GRID = grid_about(np.array([3.0, -2, 1]), (15, 17, 13), (2.3, 1.9, 2.4), (0, 0, 0), (1, 1, 1))


def boxes(grid, *places) -> list[np.ndarray]:
    found = []
    for z, y, x, side in places:
        inside = np.zeros(grid.shape, bool)
        inside[z : z + side, y : y + side, x : x + side + 1] = True
        found.append(inside)
    return found


@pytest.fixture
def files(tmp_path):
    """Liver, spleen and a tumour: inside the liver in the moving image; beside it in the fixed one, other values."""
    liver, spleen, tumour = boxes(MOVING_GRID, (1, 1, 2, 6), (8, 8, 9, 4), (3, 3, 4, 2))
    layers = np.stack([liver + 2 * spleen, 1 * tumour]).astype(np.uint8)
    entries = [("liver", 1, 0), ("spleen", 2, 0), ("tumour", 1, 1)]
    moving = write_segmentation(tmp_path / "m.seg.nrrd", Image(layers[0], MOVING_GRID), layers, entries)
    there = boxes(FIXED_GRID, (1, 2, 2, 6), (9, 9, 7, 4), (10, 1, 1, 3))
    layer = (3 * there[0] + there[1] + 2 * there[2]).astype(np.uint8)
    entries = [("Liver", 3, 0), ("Spleen", 1, 0), ("Tumour", 2, 0)]
    fixed = write_segmentation(tmp_path / "f.seg.nrrd", Image(layer, FIXED_GRID), layer[None], entries)
    return moving, fixed, (liver, spleen, tumour), there


def where(maps, name) -> list[np.ndarray]:
    """Where each of several maps has a structure of a name, those that have it."""
    found = [(one, n) for one in maps for n, called in one.names.items() if called.casefold() == name]
    return [one.array == n for one, n in found if (one.array == n).any()]


def test_each_structure_lies_in_one_map_of_both_sides(files):
    moving, fixed, ours, theirs = files
    left, right = read_pairs([moving], [fixed])
    assert len(left) == len(right) == 2
    assert {one.source for one in left} == {str(moving)} and {one.source for one in right} == {str(fixed)}
    for name, here, there in zip(("liver", "spleen", "tumour"), ours, theirs, strict=True):
        np.testing.assert_array_equal(where(left, name), [here])
        np.testing.assert_array_equal(where(right, name), [there])
    for one, other in zip(left, right, strict=True):
        assert {*np.unique(one.array)} == {*np.unique(other.array)}


def test_files_are_counted_before_they_become_several_maps(files):
    """One file of two layers is not the counterpart of two files."""
    moving, fixed, _, _ = files
    with pytest.raises(InputError, match="2 label maps were given for 1 of"):
        read_pairs([moving], [fixed, fixed])


def test_without_counterparts_the_layers_are_the_files_own(files):
    moving, _, (liver, spleen, tumour), _ = files
    maps, none = read_pairs([moving], [])
    assert none == () and len(maps) == 2
    np.testing.assert_array_equal(sum((one.array > 0).astype(int) for one in maps), liver + spleen + tumour.astype(int))


def test_plain_maps_stay_as_they_are(tmp_path, a_label_map):
    write_image(tmp_path / "a.nrrd", a_label_map)
    (one,), (other,) = read_pairs([tmp_path / "a.nrrd"], [tmp_path / "a.nrrd"])
    np.testing.assert_array_equal(one.array, a_label_map.array)
    assert paired((one,), (other,)) == ((one,), (other,))


def test_overlapping_segments_have_a_dice_each(files):
    moving, fixed, *_ = files
    left, right = read_pairs([moving], [fixed])
    images = [picture(grid, lambda p: p - [3.0, -2, 1]) for grid in (FIXED_GRID, MOVING_GRID)]
    result = register(*images, Standin(), extras=PairExtras(moving_labels=left, fixed_labels=right))
    rows = [row for overlap in result.measures.labels for row in overlap.summary()["labels"]]
    assert sorted(row["name"] for row in rows) == ["liver", "spleen", "tumour"]
    assert all(row["after"] is not None for row in rows)
