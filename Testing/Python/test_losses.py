"""Losses of Eq. 2 and Eq. 3 and the end-point error, against values worked out by hand or with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from RobustDIRLib import warping
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.training.losses import dice_loss, end_point_error, gradient_loss, level_errors, one_hot


def test_eq_2_dice_of_half_overlapping_bars() -> None:
    fixed, warped = torch.zeros(1, 2, 4, 5, 6), torch.zeros(1, 2, 4, 5, 6)
    fixed[0, 0, :2, 1, :3] = 1  # 6 voxels
    warped[0, 0, 1:3, 1, :3] = 1  # 6 voxels, 3 of them shared: Dice 0.5
    fixed[0, 1, 3, 4, 2:6] = 1  # 4 voxels
    warped[0, 1, 3, 4, 3:6] = 1  # 3 voxels, all shared: Dice 6 / 7
    assert float(dice_loss(warped, fixed)) == pytest.approx(1 - (0.5 + 6 / 7) / 2, abs=1e-5)


def test_labels_absent_from_both_maps_do_not_count() -> None:
    labels = torch.tensor([0, 0, 3, 3, 5, 5, 5, 0]).view(1, 1, 2, 2, 2)
    moved = labels.flip(4)
    present, with_absent = (
        float(dice_loss(one_hot(moved, torch.tensor(chosen)), one_hot(labels, torch.tensor(chosen))))
        for chosen in ([0, 3, 5], [0, 1, 2, 3, 4, 5])
    )
    assert present == pytest.approx(with_absent) and present > 0.05


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_eq_3_of_a_ramp_is_its_slope(axis: int) -> None:
    ramp = 0.25 * warping.identity_grid((5, 6, 7))[:, axis : axis + 1]
    u = torch.cat([ramp if channel == 1 else torch.zeros_like(ramp) for channel in range(3)], 1)
    assert float(gradient_loss(u)) == pytest.approx(0.25, abs=1e-3)


def test_eq_3_is_the_norm_over_all_nine_derivatives() -> None:
    matrix = np.array([[0.3, -0.1, 0.0], [0.2, 0.1, 0.4], [-0.2, 0.0, 0.5]], np.float32)
    u = torch.einsum("ij,bjdhw->bidhw", torch.from_numpy(matrix), warping.identity_grid((4, 5, 6)))
    assert float(gradient_loss(u)) == pytest.approx(float(np.linalg.norm(matrix)), abs=1e-4)


def test_end_point_error_is_the_mean_distance() -> None:
    truth = torch.zeros(1, 3, 2, 2, 2)
    wrong = truth.clone()
    wrong[0, :, 0] = torch.tensor([3.0, 0.0, 4.0]).view(3, 1, 1)  # half the voxels are 5 off
    assert float(end_point_error(wrong, truth)) == pytest.approx(2.5, abs=0.01)


def test_a_match_beyond_the_border_counts_a_tenth() -> None:
    truth = torch.zeros(1, 3, 4, 4, 4)
    truth[0, 0] = 1.0  # the last of four layers has its match outside
    wrong = truth.clone()
    wrong[0, 2, 3] = 2.0
    assert float(end_point_error(wrong, truth)) == pytest.approx(2 * 0.1 / 3.1, abs=0.02)


def test_every_level_is_judged_in_voxels_of_the_truth() -> None:
    """A shift of 4 voxels of the truth is 2 voxels of a level half as fine; the zero level misses it by 4."""
    truth = torch.zeros(1, 3, 8, 12, 16)
    truth[:, 2] = 4.0
    half = torch.zeros(1, 3, 4, 6, 8)
    half[:, 2] = 2.0
    missing = Deformation(torch.zeros_like(half), torch.zeros_like(half))
    found = Deformation(half, -half)
    both = Deformation(truth, -truth)
    errors = [float(e) for e in level_errors([missing, found, both], both)]
    assert errors == pytest.approx([4.0, 0.0, 0.0], abs=0.03)
