"""Hints on lists of landmarks that are no pairs: on clouds without symmetry, far from the origin of both frames."""

import numpy as np
import pytest

from RobustDIRLib.geometry import swap_lps_ras
from RobustDIRLib.registration.pairing import pairing_hints

SHIFT = np.array([4.0, -3.0, 6.0])  # the true transform, fixed to moving


def cloud(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((20, -90, 5), (80, 10, 95), (count, 3))


def hints(fixed, moving, transform=lambda p: p + SHIFT):
    return pairing_hints(fixed, moving, transform(fixed), transform(swap_lps_ras(fixed)))


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


@pytest.mark.parametrize(("which", "words"), [("fixed", "of the fixed"), ("moving", "of the moving"), ("both", "both")])
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
