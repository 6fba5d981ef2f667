"""What every method is given alike."""

import pytest

from RobustDIRLib.cohort.terms import Terms
from RobustDIRLib.errors import InputError
from RobustDIRLib.registration.preprocessing import automatic_spacing, native_spacing


@pytest.mark.parametrize("spacing", ["fine", "0", "-1", "nan", "inf", ""])
def test_spacings_that_cannot_be_are_refused(spacing):
    with pytest.raises(InputError, match=f"`spacing` {spacing}: choose automatic or native, or give mm above 0"):
        Terms(spacing=spacing)


def test_masks_for_something_else_are_refused():
    with pytest.raises(InputError, match="`masks` inside: choose one of measure, use, ignore"):
        Terms("inside")


def test_the_same_length_is_the_same_terms():
    assert Terms(spacing="1.50") == Terms(spacing="1.5") != Terms(spacing="1.6")


@pytest.mark.parametrize("preset", ["generic", "lung-ct", "brain-mri"])
def test_spacing_of_a_case(oblique_grid, preset):
    fixed = {"generic": automatic_spacing(oblique_grid), "lung-ct": 1.5, "brain-mri": 1.0}[preset]
    assert Terms().working_spacing(oblique_grid, preset) == fixed
    assert Terms(spacing="native").working_spacing(oblique_grid, preset) == native_spacing(oblique_grid)
    assert Terms(spacing="1.7").working_spacing(oblique_grid, preset) == 1.7
