"""Structures matched by name: numbers follow names, and what contradicts itself is said."""

from __future__ import annotations

import numpy as np
import pytest

from RobustDIRLib.evaluation.label_names import names_of, numbered_alike
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.labels import LabelMap

SHAPE = (9, 10, 11)


def a_map(names: dict[int, str], numbers: tuple[int, ...] | None = None, kind: type = np.uint8) -> LabelMap:
    """Slabs of unequal height, one for each number."""
    array = np.zeros(SHAPE, kind)
    for k, number in enumerate(numbers or tuple(names)):
        array[k + 1, : 2 + k] = number
    return LabelMap(array, Grid(SHAPE), names)


def test_the_fixed_numbers_follow_the_names():
    fixed = a_map({2: "Liver ", 1: "spleen", 7: "left  kidney"})
    moving = a_map({1: "liver", 2: "Spleen", 3: "left kidney"})
    alike, sentences = numbered_alike(fixed, moving)
    np.testing.assert_array_equal(alike.array, moving.array)
    assert names_of(alike) == {1: "Liver ", 2: "spleen", 3: "left  kidney"}
    assert len(sentences) == 1 and "Liver  is 2 in the fixed and 1 in the moving one" in sentences[0]


@pytest.mark.parametrize("names", [({}, {1: "liver"}), ({1: "liver"}, {}), ({}, {})])
def test_without_names_on_both_sides_numbers_are_all_there_is(names):
    fixed, moving = (a_map(one, (1, 2)) for one in names)
    alike, sentences = numbered_alike(fixed, moving)
    assert alike is fixed and sentences == ()


def test_accents_of_one_letter_or_two_are_one_name():
    """macOS writes them as two."""
    fixed, moving = a_map({3: "Pla\u0308ttchen"}), a_map({5: "Pl\u00e4ttchen"})
    np.testing.assert_array_equal(numbered_alike(fixed, moving)[0].array, moving.array)


def test_agreement_is_silent():
    fixed, moving = a_map({1: "liver", 2: "spleen"}), a_map({1: "Liver", 2: "spleen", 5: "tumour"})
    alike, sentences = numbered_alike(fixed, moving)
    assert alike is fixed and sentences == ()


def test_a_number_of_two_names_is_not_compared_and_said():
    fixed, moving = a_map({1: "liver", 2: "kidney"}), a_map({1: "liver", 2: "spleen"})
    alike, sentences = numbered_alike(fixed, moving)
    assert set(np.unique(alike.array)) == {0, 1, 3}
    assert names_of(alike) == {1: "liver", 3: "kidney"}
    assert len(sentences) == 1 and "2 is kidney in the fixed and spleen in the moving one" in sentences[0]


def test_no_name_in_common_compares_nothing():
    fixed, moving = a_map({1: "Leber", 2: "Milz"}), a_map({1: "liver", 2: "spleen"})
    alike, sentences = numbered_alike(fixed, moving)
    assert not {*np.unique(alike.array)} & {1, 2}
    assert "no structure has the same name" in sentences[0]


def test_several_segments_of_one_name_pair_in_order():
    fixed, moving = a_map({4: "lesion", 9: "lesion"}), a_map({1: "lesion", 2: "lesion"})
    np.testing.assert_array_equal(numbered_alike(fixed, moving)[0].array, moving.array)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_negative_and_far_numbers_are_renumbered(kind):
    far = 30_000 if kind is np.int16 else 2_000_000_000
    fixed, moving = a_map({-3: "liver", far: "spleen"}, kind=kind), a_map({1: "liver", 2: "spleen"})
    np.testing.assert_array_equal(numbered_alike(fixed, moving)[0].array, moving.array)


def test_names_of_plain_images_are_none():
    assert names_of(Image(np.zeros(SHAPE), Grid(SHAPE)), None) == {}
