"""What a run records of label maps: Dice before and after, surface distances after, labels that one map lacks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from RobustDIRLib.evaluation.metrics import dice_per_label
from RobustDIRLib.evaluation.surfaces import surface_distances_per_label
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.registration.measures import LabelOverlap, label_overlap


@pytest.fixture
def maps(oblique_grid: Grid) -> list[Image]:
    """Fixed with labels 1, 2, 3; moving with 1, 2, 8 as it lies; the same warped, where 2 has vanished."""
    fixed, before = np.zeros((2, *oblique_grid.shape), np.uint8)
    fixed[2:9, 3:8, 4:11], fixed[10:15, 12:19, 2:9], fixed[1, 1, 1] = 1, 2, 3
    before[5:12, 3:8, 4:11], before[14, 12:19, 2:9], before[3, 17:19, 20] = 1, 2, 8
    after = np.roll(np.where(before == 2, 0, before), -2, axis=0)
    return [Image(array, oblique_grid) for array in (fixed, before, after)]


def test_labels_that_both_maps_hold_are_scored(maps: list[Image]) -> None:
    fixed, before, after = maps
    found = label_overlap(*maps)
    dice = [dice_per_label(fixed.array, moving.array, [1, 2]) for moving in (before, after)]
    assert found.before == {1: dice[0][1].value, 2: dice[0][2].value, 3: None, 8: None}
    assert found.after == {1: dice[1][1].value, 2: 0.0, 3: None, 8: None}
    assert found.before[1] < found.after[1]
    assert found.distances[1] == surface_distances_per_label(fixed.array, after.array, fixed.grid)[1]


def test_record_lists_the_rest_with_the_reason(maps: list[Image]) -> None:
    record = json.loads(json.dumps(label_overlap(*maps).summary(), allow_nan=False))
    rows = {row["label"]: row for row in record["labels"]}
    assert rows[1]["reason"] is None and rows[1]["mda_mm"] > 0 and rows[1]["only_in"] == ""
    assert (rows[2]["reason"], rows[2]["hd95_mm"], rows[2]["only_in"]) == ("vanished_after_warping", None, "")
    assert [(rows[n]["only_in"], rows[n]["after"]) for n in (3, 8)] == [("fixed", None), ("moving", None)]
    assert record["after_mean"] == pytest.approx(rows[1]["after"] / 2)


def test_a_label_that_resampling_lost_counts_as_vanished(maps: list[Image], oblique_grid: Grid) -> None:
    fixed, before, after = maps
    moving = np.zeros((17, 24, 23), np.uint8)  # on a grid of its own
    moving[3:9, 4:9, 5:12], moving[12, 3, 5] = 1, 3
    found = label_overlap(fixed, before, after, Image(moving, oblique_grid.resized(moving.shape)))
    assert found.after[3] == 0.0 and found.before[3] == 0.0
    assert label_overlap(fixed, before, after).after[3] is None


def test_dice_alone_is_still_a_record() -> None:
    record = LabelOverlap({1: 0.5, 2: None}, {1: 0.75, 2: None}).summary()
    assert record == {
        "before_mean": 0.5,
        "after_mean": 0.75,
        "labels": [{"label": 1, "before": 0.5, "after": 0.75}, {"label": 2, "before": None, "after": None}],
    }
