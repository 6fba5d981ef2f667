"""The convolutions all networks are made of, and what keeps them fast and right on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
# torch's bf16 convolution on a CPU returns wrong gradients, infinite or not a number where a side has 1 or 2 voxels.
# Such levels cost nothing, so stay well clear of them.
_SMALLEST_REDUCED_SIDE = 8
# Fewer values than this do not make a mean and a deviation.
_SMALLEST_NORMALISED = 8
_SMALLEST_VARIANCE = 1e-5


def channels_last(x: Tensor) -> Tensor:
    """The same tensor with its channels innermost in memory: twice as fast to convolve on a CPU."""
    return x.contiguous(memory_format=torch.channels_last_3d)


def instance_norm(x: Tensor) -> Tensor:
    """Zero mean and unit deviation in each channel of each sample; as it came where there are under 8 voxels.

    Batch normalisation of one sample at a time is the same, and much the faster for tensors with channels innermost.
    Without gradients it is done in place: nothing else wants what a convolution gave.
    """
    if x.shape[2:].numel() < _SMALLEST_NORMALISED:
        return x
    if torch.is_grad_enabled():
        samples = [F.batch_norm(sample, None, None, training=True) for sample in x.split(1)]
        return samples[0] if len(samples) == 1 else torch.cat(samples)
    for sample in x.split(1):
        mean, deviation = sample.new_empty(0), sample.new_empty(0)
        torch.native_batch_norm(
            sample, None, None, None, None, True, 0.0, _SMALLEST_VARIANCE, out=(sample, mean, deviation)
        )
    return x


def halve(x: Tensor) -> Tensor:
    """Mean of 2x2x2 voxels, sides even; with channels innermost five times as fast as torch's pooling."""
    for axis in (2, 3, 4):
        pairs = x.unflatten(axis, (-1, 2))
        x = pairs.select(axis + 1, 0) + pairs.select(axis + 1, 1)
    return x * 0.125


def activate(x: Tensor) -> Tensor:
    """LeakyReLU in place. Convolution and normalisation do not need their own output to work out gradients."""
    return F.leaky_relu_(x, SLOPE)


def join(parts: Sequence[Tensor]) -> Tensor:
    """Tensors `(B, ?, D, H, W)` joined along their channels, which are innermost in memory.

    Where gradients are wanted `torch.cat` works them out; else one pass writes all in place.
    """
    if torch.is_grad_enabled():
        return torch.cat(list(parts), 1)
    dtype = reduce(torch.promote_types, (part.dtype for part in parts))
    joined, targets = unwritten(parts[0], [part.shape[1] for part in parts], dtype)
    for target, part in zip(targets, parts, strict=True):
        target.copy_(part)
    return joined


def unwritten(like: Tensor, channels: Sequence[int], dtype: torch.dtype) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A tensor of as many samples and voxels, channels innermost, not yet set, and its parts of so many channels."""
    batch, _, *shape = like.shape
    whole = torch.empty((batch, *shape, sum(channels)), dtype=dtype, device=like.device).permute(0, 4, 1, 2, 3)
    return whole, whole.split(list(channels), 1)


def convolved_dtype(x: Tensor) -> torch.dtype:
    """What `convolve` computes features of this shape in."""
    reduced = torch.is_autocast_enabled(x.device.type) and min(x.shape[2:]) >= _SMALLEST_REDUCED_SIDE
    return torch.get_autocast_dtype(x.device.type) if reduced else x.dtype


def convolve(layer: nn.Conv3d, x: Tensor) -> Tensor:
    """What a convolution makes of features `(B, C, D, H, W)`, channels innermost; small levels in single precision."""
    x = channels_last(x)
    found: Tensor
    if min(x.shape[2:]) >= _SMALLEST_REDUCED_SIDE:
        found = layer(x)
        return found
    with torch.autocast(x.device.type, enabled=False):
        found = layer(x.to(layer.weight.dtype))
    return found


def _new_convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv3d:
    layer = nn.Conv3d(inputs, outputs, kernel_size=3, stride=stride, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    own: nn.Conv3d = layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return own


class ConvBlock(nn.Module):
    """A 3x3x3 convolution, instance normalisation if wanted, and LeakyReLU with slope 0.2 (section 2.1.1)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, instance_norm: bool = False) -> None:
        super().__init__()
        self.convolution = _new_convolution(inputs, outputs, stride)
        self.instance_norm = instance_norm

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, D, H, W)` to features; a stride of 2 halves the sides, rounding up."""
        x = convolve(self.convolution, x)
        if self.instance_norm:
            x = instance_norm(x)
        return activate(x)


class VelocityHead(nn.Module):
    """A 3x3x3 convolution from features to a velocity, close to zero at first, always in single precision.

    An untrained network then starts at the identity, and velocities keep their hundredths of a voxel under autocast.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convolution = _new_convolution(inputs, 3)
        nn.init.normal_(self.convolution.weight, std=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, C, D, H, W)` to a velocity `(B, 3, D, H, W)`, voxels per unit time, channels z, y, x."""
        with torch.autocast(x.device.type, enabled=False):
            velocity: Tensor = self.convolution(channels_last(x.to(self.convolution.weight.dtype)))
        return velocity.contiguous()
