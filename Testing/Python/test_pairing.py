"""Hints on lists of landmarks that are no pairs: on clouds without symmetry, far from the origin of both frames."""

import numpy as np
import pytest

from registration_cases import grid_about
from RobustDIRLib.evaluation.pairing import names_hint, pairing_hints
from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.io.landmark_readings import reading_inside

# Each holds the cloud; oblique, of unequal sides, one with an axis turned round.
GRIDS = (
    grid_about(np.array([50.0, -40, 50]), (40, 61, 52), (2, 1.9, 2.6), (6, -4, 8)),
    grid_about(np.array([54.0, -43, 56]), (43, 58, 50), (2.1, 2, 2.5), (-5, 7, 3), (1, -1, 1)),
)
CENTRE = np.array([50.0, -40, 50])
SHIFT = np.array([4.0, -3.0, 6.0])  # the true transform, fixed to moving


def cloud(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((20, -90, 5), (80, 10, 95), (count, 3))


def hints(fixed, moving, transform=lambda p: p + SHIFT):
    return pairing_hints(fixed, moving, transform, GRIDS)


def test_pairs_give_no_hint():
    fixed = cloud()
    noise = np.random.default_rng(1).normal(0, 1.5, fixed.shape)
    assert hints(fixed, fixed + SHIFT + noise) == []
    assert hints(fixed, fixed + SHIFT + 9 * noise) == []  # a poor registration is not another order


@pytest.mark.parametrize("count", [4, 40, 300])
def test_another_order_is_found(count):
    fixed = cloud(count)
    order = np.roll(np.arange(count), 1)
    (sentence,) = hints(fixed, (fixed + SHIFT)[order])
    assert "another order of the rows" in sentence


@pytest.mark.parametrize(
    ("which", "words"), [("fixed", "the fixed ones"), ("moving", "the moving ones"), ("both", "both")]
)
def test_an_exchange_of_frames_is_found(which, words):
    fixed = cloud()
    moving = fixed + SHIFT
    given = swap_lps_ras(fixed) if which != "moving" else fixed, swap_lps_ras(moving) if which != "fixed" else moving
    found = hints(*given)
    assert any(words in sentence and "RAS" in sentence for sentence in found)


def test_an_error_far_above_the_one_before_is_said():
    fixed = cloud()
    (sentence,) = hints(fixed, fixed, lambda p: p * [1, 1.2, 1])
    assert "far above the one before (0.0 mm)" in sentence
    assert hints(fixed, fixed, lambda p: p + [0.5, 0, 0]) == []  # half a millimetre is no other place


def test_few_and_many_landmarks_are_no_trouble():
    for count in (1, 3, 2500):
        fixed = cloud(count)
        assert hints(fixed, fixed + SHIFT) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, grid: p[:, [1, 0, 2]], "x and y exchanged"),
        (lambda p, grid: p[:, [2, 1, 0]], "x and z exchanged"),
        (lambda p, grid: p[:, [2, 0, 1]], "the axes in the order y, z, x"),
        (lambda p, grid: p * [1, 1, -1], "with z changed in sign"),
        (lambda p, grid: swap_lps_ras(p)[:, [2, 1, 0]], "x and z exchanged, then"),
        (lambda p, grid: grid.voxels_from_points(p)[:, ::-1], "as voxels x, y, z instead of mm"),
        (lambda p, grid: grid.voxels_from_points(p), "as voxels z, y, x instead of mm"),
    ],
)
@pytest.mark.parametrize("which", ["the fixed ones", "the moving ones", "both lists"])
def test_axes_in_another_order_and_voxels_are_found(change, words, which):
    fixed = cloud()
    # A transform that turns and shears as it shifts: both lists in other axes do not fit as they are.
    turn = np.array([[0.9, 0.3, 0.1], [-0.2, 1.1, 0.2], [0.1, -0.3, 0.95]])

    def true(points):
        return (points - CENTRE) @ turn.T + CENTRE + SHIFT

    moving = true(fixed) + np.random.default_rng(3).normal(0, 1, fixed.shape)
    one, other = change(fixed, GRIDS[0]), change(moving, GRIDS[1])
    given = {"the fixed ones": (one, moving), "the moving ones": (fixed, other), "both lists": (one, other)}[which]
    found = hints(*given, true)
    assert any(f"if {which} are read" in sentence and words in sentence for sentence in found), found


def test_a_failed_registration_is_not_taken_for_other_axes():
    for seed in range(20):
        fixed, lost = cloud(12, seed), cloud(12, seed + 100)
        assert not any("read" in sentence for sentence in hints(fixed, lost))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swap_lps_ras, "with x and y changed in sign (RAS instead of LPS)"),
        (lambda p: GRIDS[0].voxels_from_points(p)[:, ::-1] + 1, "as voxels x, y, z instead of mm"),
        (lambda p: p[:, [1, 0, 2]], "with x and y exchanged"),
        (lambda p: p + 500, ""),
    ],
)
def test_points_outside_their_image_are_told_how_they_would_lie_inside(change, words):
    points = cloud()
    assert GRIDS[0].contains(points).all()
    assert GRIDS[0].contains(change(points)).mean() < 0.5
    assert reading_inside(change(points), GRIDS[0]) == words


@pytest.mark.parametrize(
    ("fixed", "moving", "named"),
    [
        (("a", "b", "c"), ("c", "b", "a"), "a is the 1. of the fixed and the 3. of the moving"),
        (("a", "b", "c"), ("b", "c", "d"), "b is the 2. of the fixed and the 1. of the moving"),  # one row was lost
        (("1", "2", "3"), ("3", "1", "2"), "1 is the 1. of the fixed and the 2. of the moving"),
        (("tip", "", "base"), ("base", "x", "y"), "base is the 3. of the fixed and the 1."),
    ],
)
def test_names_in_other_rows_are_said(fixed, moving, named):
    (sentence,) = names_hint(fixed, moving)
    assert named in sentence


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "b"), ("1", "2")),  # the numbers of rows that have no name
        (("0", "1", "2"), ("1", "2", "3")),
        (("F", "F", "a"), ("a", "F", "F")[1:] + ("a",)),
        (("F", "F"), ("F", "F")),
    ],
)
def test_names_that_tell_nothing_give_no_hint(fixed, moving):
    assert names_hint(fixed, moving) == []
