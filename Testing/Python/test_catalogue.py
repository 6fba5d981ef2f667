import numpy as np
import pytest

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.perturbations.catalogue import PERTURBATIONS, check_perturbation, perturb

WINDOW = (-1000.0, 200.0)
RANDOM = ("low-dose", "bias-field", "crop")


@pytest.fixture(scope="module")
def a_scan() -> Image:
    """HU of tissue with noise and an airy part, with nothing symmetric."""
    shape = (38, 41, 45)
    array = np.random.default_rng(1).normal(30, 15, shape)
    array[:, :8] -= 700 + 5 * np.arange(8)[:, None]
    array.setflags(write=False)
    return Image(array.astype(np.float32), Grid(shape, (0.9, 0.7, 2.5), (3.0, -4.0, 5.0)))


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_strength_zero_changes_nothing(a_scan, kind):
    same = perturb(a_scan, kind, 0, 7, WINDOW)
    np.testing.assert_array_equal(same.array, a_scan.array)
    assert same.grid == a_scan.grid


@pytest.mark.parametrize("kind", sorted(set(PERTURBATIONS) - {"crop"}))
def test_a_little_strength_changes_little(a_scan, kind):
    """Strength 0 is no special case but where the others lead to, within the window."""
    tiny = 1e-3 * (PERTURBATIONS[kind].strengths[-1] or 1)
    changed = perturb(a_scan, kind, tiny, 7, WINDOW).array - np.clip(a_scan.array, -1000, 200)
    assert np.abs(changed).max() < 3


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_every_strength_of_a_curve_gives_another_sound_image(a_scan, kind):
    perturbation = PERTURBATIONS[kind]
    low, high = perturbation.range
    assert perturbation.strengths[0] == 0 and list(perturbation.strengths) == sorted(set(perturbation.strengths))
    assert all(low <= strength <= high for strength in perturbation.strengths)
    before = a_scan.array.copy()
    seen = [before]
    for strength in perturbation.strengths[1:]:
        image = perturb(a_scan, kind, strength, 7, WINDOW)
        assert image.array.dtype == np.float32 and np.isfinite(image.array).all()
        assert image.array.min() < image.array.max()
        assert not any(np.array_equal(image.array, other) for other in seen)
        seen.append(image.array)
    np.testing.assert_array_equal(a_scan.array, before)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_only_a_crop_changes_the_grid(a_scan, kind):
    image = perturb(a_scan, kind, PERTURBATIONS[kind].strengths[-1], 7, WINDOW)
    assert (image.grid == a_scan.grid) == (kind != "crop")


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_the_seed_fixes_what_is_random(a_scan, kind):
    strength = PERTURBATIONS[kind].strengths[-1]
    first, again, other = (perturb(a_scan, kind, strength, seed, WINDOW) for seed in ((3, 1), (3, 1), (3, 2)))
    np.testing.assert_array_equal(first.array, again.array)
    assert first.grid == again.grid
    assert (not np.array_equal(first.array, other.array)) == (kind in RANDOM)


@pytest.mark.parametrize(
    ("kind", "strength", "hounsfield", "said"),
    [
        ("blur", 1, True, "no such perturbation; choose one of hu-window"),
        ("crop", 0.95, False, "strength of 0.95 .* from 0 to 0.9"),
        ("crop", float("nan"), False, "out of its range"),
        ("low-dose", -1, True, "out of its range"),
        ("hu-window", 100, False, "for CT in HU; choose the preset lung-ct"),
    ],
)
def test_bad_input_is_named(kind, strength, hounsfield, said):
    with pytest.raises(InputError, match=said):
        check_perturbation(kind, strength, hounsfield=hounsfield)
