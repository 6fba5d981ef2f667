"""Rivals are given what our network is given: grid, intensities, masks for the linear start, warnings."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from registration_cases import Standin
from RobustDIRLib.baselines.aligned import aligned
from RobustDIRLib.baselines.method import Pair
from RobustDIRLib.io.displacements import apply_to_points
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions


class Watching(Standin):
    """Keeps what it is shown."""

    def __call__(self, fixed: torch.Tensor, moving: torch.Tensor):
        self.seen = [image[0, 0].numpy() for image in (fixed, moving)]
        return super().__call__(fixed, moving)


@pytest.fixture
def pair(an_image, other_grid) -> Pair:
    return Pair(an_image, resample(an_image, other_grid))


def ours(pair: Pair):
    """Pairs of a spacing of their own are not refined; what the network sees is the same, and takes half as long."""
    network, quality = Watching(), "fast" if pair.spacing else "balanced"
    options = RegistrationOptions(pair.preset, threads=1, spacing=pair.spacing, device="cpu", quality=quality)
    return network, register(
        pair.fixed, pair.moving, network, options=options, extras=PairExtras(pair.fixed_mask, pair.moving_mask)
    )


@pytest.mark.parametrize("preset", ["generic", "lung-ct", "brain-mri"])
@pytest.mark.parametrize("spacing", [None, 2.3])
def test_both_images_are_those_that_our_network_sees(pair, preset, spacing):
    """Voxel by voxel, on one grid."""
    scale = (1200, -1000) if preset == "lung-ct" else (1, 0)
    images = [replace(image, array=image.array * scale[0] + scale[1]) for image in (pair.fixed, pair.moving)]
    pair = Pair(*images, preset=preset, spacing=spacing)
    network, result = ours(pair)
    start = aligned(pair, 1)
    assert start.grid == result.working_grid
    if spacing:
        assert np.prod(start.grid.spacing) ** (1 / 3) == pytest.approx(spacing, rel=0.05)
    for seen, given in zip(network.seen, start.on_fixed_grid(), strict=True):
        np.testing.assert_array_equal(seen, given.array)
    frames = start.in_own_frames()
    assert frames.fixed.grid == start.grid
    own = [np.prod(one.grid.spacing) ** (1 / 3) for one in (frames.fixed, frames.moving)]
    assert own[1] == pytest.approx(own[0], rel=0.05)  # whole voxels in unlike extents


def test_masks_guide_the_linear_start_and_leave_the_percentiles_alone(pair, a_label_map):
    """As in ours."""
    moving_mask = Image((pair.moving.array > 0.4).astype(np.uint8), pair.moving.grid)
    masked = replace(pair, fixed_mask=a_label_map, moving_mask=moving_mask)
    network, result = ours(masked)
    start, whole = aligned(masked, 1), aligned(pair, 1)
    np.testing.assert_array_equal(start.linear.matrix, result.alignment.linear.matrix)
    np.testing.assert_array_equal(start.linear.offset, result.alignment.linear.offset)
    np.testing.assert_array_equal(start.fixed.array, whole.fixed.array)
    np.testing.assert_array_equal(start.moving.array, whole.moving.array)
    np.testing.assert_array_equal(network.seen[0], whole.on_fixed_grid()[0].array)
    assert (start.on_fixed_grid()[0].array == -1).mean() > 0.2  # methods that take no mask see background outside


def test_warnings_go_with_the_outcome(pair):
    start = aligned(replace(pair, preset="lung-ct"), 1)
    assert [one for one in start.notes if "Hounsfield" in one]
    assert start.outcome(start.linear.transform).notes == start.notes


def test_the_inverse_of_an_outcome_undoes_its_transform(pair):
    """The linear part, applied last on the way there, is undone first."""
    matrix = np.eye(3) + 0.1 * np.array([[0, 2, -1], [1, 0, 2], [-2, 1, 1.0]])
    start = replace(aligned(pair, 1), linear=Linear(matrix, np.array([5.0, -7, 3])))
    stretched = np.eye(3) + 0.2 * np.array([[1, 0, 2], [0, 1, 0], [1, 1, 0.0]])
    deformable = sitk.AffineTransform(stretched.ravel().tolist(), (1.0, 2.0, -3.0))
    outcome = start.outcome(deformable, deformable.GetInverse())
    points = np.random.default_rng(3).normal(0, 20, (20, 3))
    there = apply_to_points(outcome.transform, points)
    np.testing.assert_allclose(there, start.linear(apply_to_points(deformable, points)), atol=1e-9)
    np.testing.assert_allclose(apply_to_points(outcome.inverse, there), points, atol=1e-9)
