"""Folding, SDlogJ and the inverse's residual, inside masks and by organ."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from RobustDIRLib.evaluation.measurement import Reason
from RobustDIRLib.evaluation.metrics import folding_percent, sdlogj
from RobustDIRLib.evaluation.regularity import inverse_consistency, regularity, regularity_per_label
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image


@pytest.fixture
def jacobian(oblique_grid: Grid) -> np.ndarray:
    """Mostly about 1, folded here and there."""
    return np.random.default_rng(5).normal(1, 0.6, oblique_grid.shape).astype(np.float32)


def test_everywhere_it_is_what_the_metrics_say(jacobian: np.ndarray) -> None:
    found = regularity(jacobian)
    assert (found.folding_percent.value, found.sdlogj.value) == (folding_percent(jacobian), sdlogj(jacobian))
    assert found.voxels == jacobian.size


def test_a_mask_limits_where_to_look(jacobian: np.ndarray) -> None:
    mask = np.zeros(jacobian.shape, np.int8)
    mask[2:9, 5:, :7] = -1
    found, inside = regularity(jacobian, mask), jacobian[2:9, 5:, :7]
    assert found.folding_percent.value == pytest.approx(100 * (inside <= 0).mean())
    assert found.sdlogj.value == pytest.approx(sdlogj(inside))


def test_by_organ_it_agrees_with_scipy(jacobian: np.ndarray, a_label_map: Image) -> None:
    organs, labels = np.asarray(a_label_map.array), [1, 2, 3, 207]
    found = regularity_per_label(jacobian, organs)
    assert list(found) == labels
    with np.errstate(invalid="ignore"):  # the oracle divides by the counts of labels in between as well
        folding = 100 * ndimage.mean(jacobian <= 0, organs, labels)
        spread = ndimage.standard_deviation(np.log(np.maximum(jacobian.astype(float), 1e-9)), organs, labels)
    assert [one.folding_percent.value for one in found.values()] == pytest.approx(folding.tolist())
    assert [one.sdlogj.value for one in found.values()] == pytest.approx(spread.tolist())
    assert sum(one.voxels for one in found.values()) == np.count_nonzero(organs)


def test_one_organ_that_is_not_finite_leaves_the_others(jacobian: np.ndarray, a_label_map: Image) -> None:
    jacobian[tuple(np.argwhere(a_label_map.array == 2)[5])] = np.nan
    found = regularity_per_label(jacobian, np.asarray(a_label_map.array), [207, 2, 99])
    assert list(found) == [207, 2, 99]
    assert found[207].sdlogj.defined
    assert found[2].sdlogj.reason is found[2].folding_percent.reason is Reason.NOT_FINITE
    assert found[99].sdlogj.reason is Reason.EMPTY_MASK and found[99].voxels == 0
    assert regularity(jacobian).sdlogj.reason is Reason.NOT_FINITE
    assert regularity(jacobian, np.zeros(jacobian.shape)).folding_percent.reason is Reason.EMPTY_MASK


def test_other_shapes_are_refused(jacobian: np.ndarray, oblique_grid: Grid) -> None:
    with pytest.raises(ValueError, match="shape"):
        regularity(jacobian, np.ones(jacobian.shape[::-1]))
    with pytest.raises(ValueError, match="shape"):
        regularity_per_label(jacobian, np.ones(jacobian.shape[::-1], int))
    with pytest.raises(ValueError, match="shape"):
        inverse_consistency(oblique_grid, lambda p: p, lambda p: p, mask=np.ones((2, 3, 4)))


# --- inverse ----------------------------------------------------------------------------------------------------------


def shifted(by: tuple[float, float, float]):
    def transform(points: Array) -> Array:
        return points + np.array(by)

    return transform


@pytest.mark.parametrize("axis", range(3))
def test_an_inverse_that_is_off_by_a_shift(oblique_grid: Grid, axis: int) -> None:
    off = np.zeros(3)
    off[axis] = 0.7
    found = inverse_consistency(oblique_grid, shifted((3, -1, 2)), shifted(tuple(off - (3, -1, 2))))
    assert [found.mean_mm.value, found.p95_mm.value, found.max_mm.value] == pytest.approx([0.7] * 3)
    assert found.points == np.prod(oblique_grid.shape)


def test_points_are_those_of_the_mask(oblique_grid: Grid) -> None:
    """A residual that grows with the distance from the origin tells which points were taken."""
    mask = np.zeros(oblique_grid.shape, np.uint8)
    mask[3, 4:9, 6:20] = 1
    points = oblique_grid.points_from_voxels(np.argwhere(mask))
    expected = np.linalg.norm(1.1 * (points + [5, 0, -9]) - points, axis=1)
    found = inverse_consistency(oblique_grid, shifted((5, 0, -9)), lambda p: 1.1 * p, mask=mask)
    figures = [found.mean_mm.value, found.p95_mm.value, found.max_mm.value]
    assert figures == pytest.approx([expected.mean(), np.percentile(expected, 95), expected.max()])


def test_some_points_stand_for_many(oblique_grid: Grid) -> None:
    whole = inverse_consistency(oblique_grid, lambda p: 1.1 * p, lambda p: p)
    some = inverse_consistency(oblique_grid, lambda p: 1.1 * p, lambda p: p, most_points=997)
    assert some.points == 997
    assert some.mean_mm.value == pytest.approx(whole.mean_mm.value, rel=0.02)
    assert some.max_mm.value == pytest.approx(whole.max_mm.value, rel=0.05)


def test_no_inverse_no_mask_and_no_number_have_reasons(oblique_grid: Grid) -> None:
    def identity(points: Array) -> Array:
        return points

    assert inverse_consistency(oblique_grid, identity, None).mean_mm.reason is Reason.NO_INVERSE
    empty = inverse_consistency(oblique_grid, identity, identity, mask=np.zeros(oblique_grid.shape))
    assert empty.p95_mm.reason is Reason.EMPTY_MASK
    lost = inverse_consistency(oblique_grid, identity, lambda points: points * np.nan)
    assert {one["reason"] for name, one in lost.plain().items() if name != "points"} == {"not_finite"}
