"""Labels that both maps hold are scored, the rest is listed; what vanished is told from what never was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from RobustDIRLib.evaluation.label_scores import LabelSets, evaluate_labels
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.evaluation.metrics import dice_per_label
from RobustDIRLib.evaluation.surfaces import surface_distances_per_label
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, resample


@pytest.fixture
def fixed(oblique_grid: Grid) -> Image:
    """Labels 1, 2 and 5."""
    array = np.zeros(oblique_grid.shape, np.uint8)
    array[2:9, 3:8, 4:11], array[10:15, 12:19, 2:9], array[4:8, 13:17, 15:22] = 1, 2, 5
    return Image(array, oblique_grid)


@pytest.fixture
def warped(fixed: Image) -> Image:
    """Labels 1 and 7: moved, label 2 lost on the way, label 5 never there."""
    array = np.roll(fixed.array, (1, 0, -1), (0, 1, 2))
    return Image(np.where(array == 5, 7, np.where(array == 2, 0, array)).astype(np.int16), fixed.grid)


@pytest.fixture
def moving(other_grid: Grid) -> Image:
    """Labels 1, 2, 7 and 9 on a grid of its own."""
    array = np.zeros(other_grid.shape, np.int32)
    array[1:3, 1, 1], array[5, 5, 5:8], array[8, 8, 8], array[9, 3, 3] = 1, 2, 7, 9
    return Image(array, other_grid)


def test_common_labels_are_scored_and_the_rest_is_listed(fixed: Image, warped: Image, moving: Image) -> None:
    found = evaluate_labels(fixed, warped, moving)
    assert list(found.scores) == [1, 2]
    assert (found.only_fixed, found.only_moving, found.vanished) == ((5,), (7, 9), (2,))
    one = found.scores[1]
    assert one.dice == dice_per_label(fixed.array, warped.array)[1]
    assert one.distances == surface_distances_per_label(fixed.array, warped.array, fixed.grid)[1]
    assert (one.fixed_voxels, one.warped_voxels) == (7 * 5 * 7, 7 * 5 * 7)


def test_a_vanished_label_has_dice_zero_and_no_distances(fixed: Image, warped: Image, moving: Image) -> None:
    lost = evaluate_labels(fixed, warped, moving).scores[2]
    assert (lost.dice.value, lost.warped_voxels, lost.distances.reason) == (0.0, 0, Reason.VANISHED)


def test_without_the_moving_map_what_is_missing_counts_as_never_there(fixed: Image, warped: Image) -> None:
    found = evaluate_labels(fixed, warped)
    assert (list(found.scores), found.only_fixed, found.only_moving) == ([1], (2, 5), (7,))


def test_means_are_of_what_is_defined(fixed: Image, warped: Image, moving: Image) -> None:
    found = evaluate_labels(fixed, warped, moving)
    assert found.mean(lambda one: one.dice).value == pytest.approx(found.scores[1].dice.value / 2)
    assert found.mean(lambda one: one.distances.hd95_mm) == found.scores[1].distances.hd95_mm


def test_maps_without_a_common_label(fixed: Image) -> None:
    other = Image(np.where(fixed.array > 0, 77, 0), fixed.grid)
    found = evaluate_labels(fixed, other)
    assert not found.scores
    assert found.mean(lambda one: one.dice).reason is Reason.NO_COMMON_LABEL


def test_a_fixed_map_on_another_grid_is_resampled_and_said_so(fixed: Image, warped: Image, other_grid: Grid) -> None:
    elsewhere = resample(fixed, other_grid, nearest=True, outside=0)
    found = evaluate_labels(elsewhere, warped)
    assert len(found.notes) == 1 and "resampled" in found.notes[0]
    assert found.scores == evaluate_labels(resample(elsewhere, fixed.grid, nearest=True, outside=0), warped).scores
    assert not evaluate_labels(fixed, warped).notes


def test_a_map_of_the_same_shape_elsewhere_is_not_taken_as_it_lies(fixed: Image, warped: Image) -> None:
    grid = fixed.grid
    moved = Grid(grid.shape, grid.spacing, tuple(np.array(grid.origin) + [4.0, 0, 0]), grid.direction)
    found = evaluate_labels(Image(fixed.array, moved), warped)
    assert found.notes
    assert found.scores[1].dice != evaluate_labels(fixed, warped).scores[1].dice


def test_label_sets_leave_out_the_background() -> None:
    sets = LabelSets.of(np.array([0, 3, 1]), np.array([[1, 0], [-4, 0]]))
    assert (sets.common, sets.only_fixed, sets.only_moving) == ((1,), (3,), (-4,))


def test_json_names_every_label(fixed: Image, warped: Image, moving: Image) -> None:
    plain = json.loads(json.dumps(evaluate_labels(fixed, warped, moving).plain(), allow_nan=False))
    assert [row["label"] for row in plain["labels"]] == [1, 2]
    assert plain["labels"][1]["hd95_mm"] == {"value": None, "reason": "vanished_after_warping"}
    assert (plain["only_in_fixed"], plain["only_in_moving"]) == ([5], [7, 9])
