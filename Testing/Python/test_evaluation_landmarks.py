"""The TRE in a few figures, and which landmarks lie inside a mask."""

from __future__ import annotations

import numpy as np
import pytest

from RobustDIRLib.evaluation.landmarks import NEAR_MM, inside_mask, summarise_errors
from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.geometry import Grid


def test_figures_of_a_hand_worked_case() -> None:
    found = summarise_errors(np.array([4.0, 1.0, 2.0, 1.0, 12.0]))
    assert found.count == 5
    figures = [found.mean_mm, found.sd_mm, found.median_mm, found.p95_mm, found.max_mm]
    assert [one.value for one in figures] == pytest.approx([4, np.sqrt(86 / 4), 2, 4 + 0.8 * 8, 12])


def test_near_is_below_the_limit_not_at_it() -> None:
    found = summarise_errors(np.array([NEAR_MM, np.nextafter(NEAR_MM, 0), 0.1, 9.0]))
    assert found.values["tre_near_percent"].value == 50


def test_only_landmarks_inside_count() -> None:
    found = summarise_errors(np.array([4.0, 100.0, 2.0]), np.array([True, False, True]))
    assert (found.count, found.mean_mm.value, found.max_mm.value) == (2, 3.0, 4.0)


def test_undefined_cases_have_a_reason() -> None:
    nothing, some = np.zeros(0), np.array([1.0, 2.0])
    assert summarise_errors(nothing).mean_mm.reason is Reason.NO_LANDMARKS
    assert summarise_errors(some, np.zeros(2, bool)).max_mm.reason is Reason.NO_LANDMARK_INSIDE
    assert summarise_errors(np.array([1.0, np.nan])).median_mm.reason is Reason.NOT_FINITE
    assert summarise_errors(np.array([1.0, np.nan]), np.array([True, False])).median_mm.value == 1
    alone = summarise_errors(some[:1])
    assert (alone.mean_mm.value, alone.sd_mm.reason) == (1.0, Reason.TOO_FEW_LANDMARKS)
    assert alone.plain()["sd_mm"] == {"value": None, "reason": "too_few_landmarks"}


def test_other_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 errors"):
        summarise_errors(np.ones(3), np.ones(2, bool))


@pytest.mark.parametrize("axis", range(3))
def test_a_point_is_inside_up_to_the_border_of_its_voxel(oblique_grid: Grid, axis: int) -> None:
    mask = np.zeros(oblique_grid.shape, np.uint8)
    mask[8, 9, 10] = 2
    voxels = np.tile([8.0, 9.0, 10.0], (5, 1))
    voxels[:, axis] += [0, 0.49, -0.49, 0.51, -0.51]
    found = inside_mask(oblique_grid.points_from_voxels(voxels), mask, oblique_grid)
    assert found.tolist() == [True, True, True, False, False]


def test_points_beyond_the_grid_are_outside_and_those_on_its_border_inside(oblique_grid: Grid) -> None:
    mask, far = np.ones(oblique_grid.shape), np.array(oblique_grid.shape) - 0.5 - 1e-9
    points = oblique_grid.points_from_voxels([far, -far, [-0.5 + 1e-9] * 3, far + 1])
    assert inside_mask(points, mask, oblique_grid).tolist() == [True, False, True, False]
    assert inside_mask(np.zeros((0, 3)), mask, oblique_grid).shape == (0,)
    with pytest.raises(ValueError, match="shape"):
        inside_mask(points, mask[1:], oblique_grid)
