import numpy as np
import pytest

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.perturbations.contrast import add_bias_field, invert, shift_window
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.preprocessing import normalise
from RobustDIRLib.values import scaled

WINDOW = (-1000.0, 200.0)
NOTHING_RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def a_ct() -> Image:
    """Every HU from below the window to above it, not in order, on an anisotropic grid."""
    shape = (13, 17, 19)
    values = np.random.default_rng(0).permutation(np.linspace(-1500, 900, 13 * 17 * 19))
    return Image(values.reshape(shape).astype(np.float32), Grid(shape, (0.8, 1.1, 2.5)))


# HU window


def test_shifted_window_is_what_preprocessing_with_that_window_sees(a_ct):
    """Appendix D.3: [-1100, 100] HU instead of [-1000, 200]."""
    seen = normalise(shift_window(a_ct, 100, NOTHING_RANDOM, WINDOW), PRESETS["lung-ct"]).array
    np.testing.assert_allclose(seen, (np.clip(a_ct.array, -1100, 100) + 1100) / 600 - 1, atol=1e-6)


def test_shifting_the_other_way_raises_the_window(a_ct):
    seen = scaled(shift_window(a_ct, -50, NOTHING_RANDOM, WINDOW).array, WINDOW)
    np.testing.assert_allclose(seen, (np.clip(a_ct.array, -950, 250) + 950) / 600 - 1, atol=1e-6)


# Inversion


def test_inversion_mirrors_the_window(a_ct):
    inverted = invert(a_ct, 1.0, NOTHING_RANDOM, WINDOW).array
    np.testing.assert_allclose(inverted, -800 - np.clip(a_ct.array, *WINDOW), atol=1e-3)


def test_inverted_twice_is_as_it_was(a_ct):
    twice = invert(invert(a_ct, 1.0, NOTHING_RANDOM, WINDOW), 1.0, NOTHING_RANDOM, WINDOW).array
    np.testing.assert_allclose(twice, np.clip(a_ct.array, *WINDOW), atol=1e-3)


@pytest.mark.parametrize("strength", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_on_the_way_the_darker_part_keeps_its_order_and_the_brighter_turns_it(a_ct, strength):
    array = np.sort(a_ct.array.ravel())
    mapped = invert(Image(array.reshape(13, 17, 19), a_ct.grid), strength, NOTHING_RANDOM, WINDOW).array.ravel()
    turn = 200 - strength * 1200
    darker, brighter = (array > -1000) & (array < turn - 1), (array > turn + 1) & (array < 200)
    assert (np.diff(mapped[darker]) > 0).all() and (np.diff(mapped[brighter]) < 0).all()
    assert np.abs(np.diff(mapped)).max() < 2  # no step anywhere
    assert mapped.min() >= -1000 - 1e-3 and mapped.max() <= 200 + 1e-3
    assert np.ptp(mapped) >= 600 - 2


# Bias field


def test_bias_field_is_a_smooth_factor_within_its_bounds(a_ct):
    ones = Image(np.ones((33, 40, 47), np.float32), Grid((33, 40, 47)))
    field = np.log(add_bias_field(ones, 0.4, np.random.default_rng(2), (0.0, 2.0)).array)
    assert np.abs(field).max() == pytest.approx(0.4, rel=1e-4)
    for axis, n in enumerate(field.shape):
        steps = np.abs(np.diff(field, axis=axis))
        assert 0 < steps.max() < 8 * 0.4 / n, f"axis {axis}"
        assert (steps.max(axis=axis) > 1e-4).mean() > 0.9  # varies along every axis nearly everywhere


def test_bias_field_multiplies_what_is_above_the_windows_low_end(a_ct):
    shaded = add_bias_field(a_ct, 0.5, np.random.default_rng(3), WINDOW).array
    ones = Image(np.ones(a_ct.array.shape, np.float32), a_ct.grid)
    field = add_bias_field(ones, 0.5, np.random.default_rng(3), (0.0, 2.0)).array
    inside = a_ct.array > -1000
    np.testing.assert_array_equal(shaded[~inside], a_ct.array[~inside])
    np.testing.assert_allclose(shaded[inside] + 1000, ((a_ct.array + 1000) * field)[inside], rtol=1e-4, atol=1e-2)
