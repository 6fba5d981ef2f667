import numpy as np
import pytest
import torch
from scipy import ndimage

from RobustDIRLib import warping
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import PRESETS, find_preset
from RobustDIRLib.registration.deformable import sliding_parts
from RobustDIRLib.registration.lungs import lungs
from RobustDIRLib.registration.refinement.middle import half_shape
from RobustDIRLib.values import scaled

WINDOW, DENSEST = (-1000.0, 200.0), -400.0
SHAPE = (72, 96, 115)


def ellipsoid(middle, radii, shape=SHAPE):
    at = np.indices(shape, dtype=float)
    return sum(((a - m) / r) ** 2 for a, m, r in zip(at, middle, radii, strict=True)) < 1


def chest(seed=0):
    """HU of a trunk that leaves the volume above and below: two unequal lungs with vessels, gas, a table.

    Returns:
        HU and where the lungs are with their vessels.
    """
    rng = np.random.default_rng(seed)
    hu = np.full(SHAPE, -1000.0)
    trunk = ellipsoid((36, 46, 57), (200, 38, 50))
    hu[trunk] = 40
    left, right = ellipsoid((34, 46, 34), (30, 26, 16)), ellipsoid((38, 44, 82), (26, 24, 18))
    both = left | right
    hu[both] = -760
    vessels = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2.0)
    hu[both & (vessels > np.quantile(vessels, 0.97))] = 30
    hu[ellipsoid((60, 50, 57), (9, 9, 9))] = -995  # stomach
    hu[:, 88:90, 5:110] = -300  # table, with air under it
    return hu + rng.normal(0, 25, SHAPE), both


def found(hu, window=WINDOW):
    return lungs(torch.tensor(scaled(hu.astype(np.float32), window))[None, None], window, DENSEST)[0, 0].numpy() > 0


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def halved(part):
    whole = torch.tensor(part, dtype=torch.float32)[None, None]
    return warping.resize(whole, half_shape(part.shape))[0, 0].numpy() > 0.5


def test_both_lungs_with_their_vessels_and_nothing_else():
    hu, truth = chest()
    assert dice(found(hu), halved(truth)) > 0.95


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1), (1, 0, 2)])
def test_however_the_volume_lies(axes):
    hu, truth = chest()
    hu, truth = (np.flip(array.transpose(axes), 1).copy() for array in (hu, truth))
    assert dice(found(hu), halved(truth)) > 0.95


def test_a_scan_that_cuts_the_lungs():
    hu, truth = chest()
    assert dice(found(hu[:40, 8:]), halved(truth[:40, 8:])) > 0.93


@pytest.mark.parametrize("axis", range(3))
def test_a_scan_that_ends_before_the_volume_does(axis):
    """Padded with what is below air, or placed by an alignment, between voxels: what fills the rest joins nothing."""
    hu, truth = chest()
    there = np.moveaxis(np.zeros(SHAPE, bool), axis, 0)
    there[: SHAPE[axis] // 2 + 3] = True
    there = np.moveaxis(there, 0, axis)
    filled = np.where(there, hu, -2000.0)
    between = np.roll(np.clip(filled, *WINDOW), 1, axis) * 0.4 + np.clip(filled, *WINDOW) * 0.6
    for shown in (filled, between):
        assert dice(found(shown), halved(truth & there)) > 0.9


def test_a_wall_that_is_no_denser_than_lung_in_a_place():
    """As coarse voxels show thin ones; the lung behind it is no part of the air before it."""
    hu, truth = chest()
    hu[32:36, 44:48, :20] = np.minimum(hu[32:36, 44:48, :20], -500)
    assert dice(found(hu), halved(truth)) > 0.95


def test_another_window_of_the_same_scan():
    hu, truth = chest()
    assert dice(found(hu, (-1024.0, 600.0)), halved(truth)) > 0.95


@pytest.mark.parametrize("hu", [np.full(SHAPE, 40.0), np.full(SHAPE, -1000.0), chest()[0] + 1000])
def test_no_lungs_no_part(hu):
    """Nothing but tissue, nothing but air, and a chest that is not in HU, whose lungs look like tissue."""
    assert not found(hu).any()


def test_air_around_a_head_is_no_lung():
    hu = np.full(SHAPE, -1000.0)
    hu[ellipsoid((36, 48, 57), (30, 38, 34))] = 40
    hu[ellipsoid((30, 20, 57), (6, 8, 8))] = -990  # sinus
    assert not found(hu + np.random.default_rng(1).normal(0, 25, SHAPE)).any()


def test_presets_that_know_of_lungs_have_a_window():
    knowing = [preset for preset in PRESETS.values() if preset.lung_below is not None]
    assert [preset.name for preset in knowing] == ["lung-ct"]
    for preset in knowing:
        assert preset.window[0] < preset.lung_below < preset.window[1]


def test_each_image_has_its_own_part():
    grid = Grid(SHAPE, (1.5, 1.4, 1.6), (3.0, -8.0, 5.0), np.eye(3).tolist())
    first, truth = chest()
    second, moved = (np.roll(array, 9, 0) for array in (first, truth))
    images = [Image(scaled(hu.astype(np.float32), WINDOW), grid) for hu in (first, second)]
    parts = sliding_parts(images, find_preset("lung-ct"))
    for part, expected in zip(parts, (truth, moved), strict=True):
        assert dice(part[0, 0].numpy() > 0, halved(expected)) > 0.9
    assert sliding_parts(images, find_preset("generic")) is None
