"""Noise of a wanted spectrum: estimated and made, each axis apart, within what chance allows."""

import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.perturbations.noise import (
    PATCH_SIDE,
    add_noise,
    homogeneous_patch,
    noise_of_spectrum,
    noise_power_spectrum,
)

SHAPE = (15, 18, 21)
WINDOW = (-1000.0, 200.0)


def wanted_spectrum(shape: tuple[int, int, int], variance: float = 9.0) -> np.ndarray:
    """Unlike along every axis: rising along z, falling along y, with a bump along x."""
    z, y, x = np.meshgrid(*[np.abs(np.fft.fftfreq(n)) for n in shape], indexing="ij")
    spectrum = (0.2 + 4 * z) * np.exp(-6 * y) * (0.3 + np.exp(-(((x - 0.3) / 0.08) ** 2)))
    return variance * spectrum / spectrum.mean()


def coloured_noise(shape: tuple[int, int, int], seed: int, variance: float = 9.0) -> np.ndarray:
    """Made apart from the library: white noise times the root of the spectrum, by a real transform."""
    z, y, x = shape
    white = np.fft.rfftn(np.random.default_rng(seed).standard_normal(shape))
    return np.fft.irfftn(np.sqrt(wanted_spectrum(shape, variance))[:, :, : x // 2 + 1] * white, s=shape, axes=(0, 1, 2))


def assert_same_by_axis(powers: list[np.ndarray], wanted: np.ndarray, deviations: float = 5.0) -> None:
    """Mean power over the other two axes equals the wanted one within so many standard deviations, for each axis.

    A power is exponentially distributed, and each occurs twice, at a frequency and its negative.
    """
    mean = np.mean(powers, axis=0)
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        spread = np.sqrt(2 * (wanted**2).sum(others) / len(powers)) / wanted.sum(others)
        ratio = mean.sum(others) / wanted.sum(others)
        assert (np.abs(ratio - 1) < deviations * spread).all(), f"axis {axis}: {np.abs(ratio - 1) / spread}"


# Estimating


def test_spectrums_mean_is_the_variance():
    patch = np.random.default_rng(0).normal(40, 12, SHAPE)
    assert noise_power_spectrum(patch).mean() == pytest.approx(patch.var(), rel=0.02)  # but for the trend


def test_spectrum_of_a_single_wave_is_at_its_frequency():
    z, y, x = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    patch = 3 * np.cos(2 * np.pi * (4 * z / 15 + 2 * y / 18 + 7 * x / 21))
    spectrum = noise_power_spectrum(patch)
    assert np.unravel_index(spectrum.argmax(), SHAPE) in ((4, 2, 7), (11, 16, 14))
    assert spectrum[4, 2, 7] == pytest.approx(9 / 4 * patch.size, rel=0.01)
    assert spectrum[4, 2, 7] + spectrum[11, 16, 14] == pytest.approx(spectrum.sum(), rel=0.01)


def test_estimated_spectrum_is_that_of_the_noise_by_axis():
    powers = [noise_power_spectrum(coloured_noise(SHAPE, seed)) for seed in range(200)]
    wanted = wanted_spectrum(SHAPE)
    mean = np.mean(powers, axis=0)
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        # the trend takes ten of the patch's numbers, all of low frequency
        np.testing.assert_allclose(mean.sum(others)[1:], wanted.sum(others)[1:], rtol=0.08)


def test_shading_does_not_count_as_noise():
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    noise = coloured_noise(SHAPE, 1)
    shaded = noise + 500 + 80 * z - 120 * y + 60 * x * z + 90 * y * y - 70 * x * x
    np.testing.assert_allclose(noise_power_spectrum(shaded), noise_power_spectrum(noise), atol=1e-6)


# Making


def test_made_noise_has_the_wanted_spectrum_by_axis():
    generator = np.random.default_rng(5)
    wanted = wanted_spectrum(SHAPE)
    made = [noise_of_spectrum(wanted, generator) for _ in range(300)]
    powers = [np.abs(np.fft.fftn(noise)) ** 2 / noise.size for noise in made]
    assert_same_by_axis(powers, wanted)
    assert np.mean([noise.var() for noise in made]) == pytest.approx(wanted.mean(), rel=0.02)


def test_the_comparison_notices_a_spectrum_with_two_axes_exchanged():
    generator = np.random.default_rng(5)
    cube = (15, 15, 15)
    made = [noise_of_spectrum(wanted_spectrum(cube), generator) for _ in range(300)]
    powers = [np.abs(np.fft.fftn(noise)) ** 2 / noise.size for noise in made]
    with pytest.raises(AssertionError):
        assert_same_by_axis(powers, wanted_spectrum(cube).transpose(1, 0, 2))


@pytest.fixture(scope="module")
def a_chest() -> Image:
    """Tissue at 40 HU with coloured noise of 10 HU, a lung of strong texture, air that the scanner clipped."""
    shape = (70, 75, 101)
    array = 40 + coloured_noise(shape, 3, 100.0)
    array[:, :, :30] = -850 + 20 * coloured_noise((70, 75, 30), 4)
    array[:30] = -1024
    return Image(array.astype(np.float32), Grid(shape, (0.9, 0.7, 2.5)))


def test_patch_is_taken_from_even_tissue(a_chest):
    patch = homogeneous_patch(a_chest, WINDOW)
    assert patch.shape == (PATCH_SIDE,) * 3
    assert patch.mean() == pytest.approx(40, abs=2)
    assert patch.std() == pytest.approx(10, rel=0.1)


def test_added_noise_has_the_spectrum_of_the_images_own_by_axis(a_chest):
    """Eq. 5: times sigma of the scaled image, times the strength."""
    spectrum = noise_power_spectrum(homogeneous_patch(a_chest, WINDOW))
    scaled = (np.clip(a_chest.array.astype(float), *WINDOW) + 1000) / 600 - 1
    powers = []
    for seed in range(12):
        noisy = add_noise(a_chest, 5.0, np.random.default_rng(seed), WINDOW)
        added = (noisy.array.astype(float) - a_chest.array) / (5.0 * scaled.std())
        blocks = [added[z : z + 32, y : y + 32, x : x + 32] for z in (0, 32) for y in (0, 32) for x in (0, 32, 64)]
        powers += [np.abs(np.fft.fftn(block)) ** 2 / block.size for block in blocks]
    assert_same_by_axis(powers, np.maximum(spectrum, 1e-12))


def test_every_patch_gets_its_own_noise_up_to_the_images_border(a_chest):
    added = add_noise(a_chest, 5.0, np.random.default_rng(0), WINDOW).array - a_chest.array
    assert added.shape == (70, 75, 101)
    assert all((np.abs(added[index]) > 0).any() for index in (np.s_[69], np.s_[:, 74], np.s_[:, :, 100]))
    first, second = added[:32, :32, :32].ravel(), added[:32, :32, 32:64].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_noise_grows_in_proportion_to_strength_and_leaves_the_image_alone(a_chest):
    before = a_chest.array.copy()
    weak, strong = (add_noise(a_chest, s, np.random.default_rng(9), WINDOW).array - before for s in (2.0, 6.0))
    np.testing.assert_allclose(strong, 3 * weak, atol=0.01)
    np.testing.assert_array_equal(a_chest.array, before)


def test_an_image_thinner_than_a_patch_has_patches_of_its_own_thickness():
    shape = (12, 40, 40)
    image = Image(coloured_noise(shape, 2).astype(np.float32), Grid(shape))
    assert homogeneous_patch(image, (-20.0, 20.0)).shape == (12, 32, 32)
    assert add_noise(image, 1.0, np.random.default_rng(0), (-20.0, 20.0)).array.shape == shape


def test_an_image_without_noise_is_refused():
    array = np.full((40, 40, 40), -1000, np.float32)
    array[20:] = 50
    with pytest.raises(InputError, match="no patch that shows its noise"):
        add_noise(Image(array, Grid(array.shape)), 5.0, np.random.default_rng(0), WINDOW)
