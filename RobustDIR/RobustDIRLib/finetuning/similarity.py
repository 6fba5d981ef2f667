"""How unlike the fixed and the warped image look, as losses that can be differentiated, lower is more alike.

Images have shape `(B, 1, D, H, W)` and lie in [-1, 1]; each loss is the mean over the batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from RobustDIRLib.networks.descriptors import self_similarity

_BINS = 32
_LEVELS = 3
_WINDOW = 9
_FLOOR = 1e-3  # of local variance: the square of three percent of the range, about what noise has


def nmi_loss(fixed: Tensor, warped: Tensor) -> Tensor:
    """Minus the normalised mutual information at full, half and quarter resolution, weighted 1, 1/2, 1/4 (Eq. 6).

    `(H(A) + H(B)) / H(A, B)` (Studholme 1999) of joint histograms in which each voxel is shared out linearly between
    the two nearest of 32 bins (Parzen windows of first order), so that they can be differentiated.
    """
    total = fixed.new_zeros(())
    for level in range(_LEVELS):
        total = total - _normalised_mutual_information(fixed, warped) / 2**level
        if min(fixed.shape[2:]) < 4:
            break
        fixed, warped = F.avg_pool3d(fixed, 2), F.avg_pool3d(warped, 2)
    return total


def _normalised_mutual_information(fixed: Tensor, warped: Tensor) -> Tensor:
    values = [_joint_value(a.flatten(), b.flatten()) for a, b in zip(fixed, warped, strict=True)]
    return torch.stack(values).mean()


def _joint_value(first: Tensor, second: Tensor) -> Tensor:
    rows, row_shares = _shares(first)
    columns, column_shares = _shares(second)
    joint = first.new_zeros(_BINS * _BINS)
    for i in (0, 1):
        for j in (0, 1):
            joint = joint.index_add(0, (rows + i) * _BINS + columns + j, row_shares[i] * column_shares[j])
    joint = joint.view(_BINS, _BINS) / first.numel()
    return (_entropy(joint.sum(1)) + _entropy(joint.sum(0))) / _entropy(joint).clamp_min(1e-6)


def _shares(values: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The lower of the two nearest bins of each value, and the shares of the lower and the upper one."""
    position = (values.clamp(-1, 1) + 1) * ((_BINS - 1) / 2)
    lower = position.detach().floor().clamp(0, _BINS - 2)
    upper_share = position - lower
    return lower.long(), (1 - upper_share, upper_share)


def _entropy(probabilities: Tensor) -> Tensor:
    return -(probabilities * probabilities.clamp_min(1e-10).log()).sum()


def local_ncc_loss(fixed: Tensor, warped: Tensor) -> Tensor:
    """Minus the mean squared correlation coefficient in windows of 9x9x9 voxels, from -1 to 0 (Avants et al. 2008).

    Windows end at the border; where both images are flat there is no correlation, and little is made of noise.
    """
    moments = torch.cat([fixed, warped, fixed * fixed, warped * warped, fixed * warped], 1)
    f, w, ff, ww, fw = _box_mean(moments).split(1, 1)
    covariance, fixed_variance, warped_variance = fw - f * w, ff - f * f, ww - w * w
    denominator = (fixed_variance.clamp_min(0) + _FLOOR) * (warped_variance.clamp_min(0) + _FLOOR)
    found: Tensor = -(covariance.square() / denominator).mean()
    return found


def _box_mean(values: Tensor) -> Tensor:
    """Means over windows, one axis after the other; of the widest odd side that fits where an image is smaller."""
    for axis, side in enumerate(values.shape[2:]):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis] = min(_WINDOW, side - 1 + side % 2)
        padding[axis] = kernel[axis] // 2
        values = F.avg_pool3d(values, kernel, 1, padding, count_include_pad=False)
    return values


def mind_loss(fixed: Tensor, warped: Tensor) -> Tensor:
    """Mean absolute difference of local self-similarity (MIND, Heinrich et al. 2012), which ignores contrast."""
    return (self_similarity(fixed) - self_similarity(warped)).abs().mean()
