"""The convolution blocks: what they compute, and that reduced precision on a CPU leaves their gradients right."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate
from torch import Tensor, nn

from RobustDIRLib.networks.blocks import ConvBlock, VelocityHead, channels_last, convolve, halve, instance_norm, join
from RobustDIRLib.networks.precision import autocast

SHAPES = [
    (1, 1, 1),
    (1, 2, 3),
    (2, 2, 2),
    (2, 9, 8),
    (9, 1, 12),
    (3, 3, 3),
    (4, 5, 6),
    (7, 8, 9),
    (8, 8, 8),
    (11, 9, 13),
]


def test_block_is_a_3x3x3_convolution_and_leaky_relu_of_slope_02() -> None:
    """Method: "block = 3x3x3 convolution + LeakyReLU 0.2" (2.1.1)."""
    block = ConvBlock(1, 1)
    assert block.convolution.kernel_size == (3, 3, 3)
    nn.init.constant_(block.convolution.bias, -0.3)  # type: ignore[arg-type]
    image = np.random.default_rng(0).normal(size=(6, 7, 5)).astype(np.float32)
    kernel = block.convolution.weight[0, 0].detach().numpy()
    linear = correlate(image, kernel, mode="constant") - 0.3
    expected = np.where(linear > 0, linear, 0.2 * linear)
    found = block(torch.from_numpy(image)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_hidden_layers_start_as_kaiming_says() -> None:
    """Method: "Kaiming initialisation" (2.4.1)."""
    torch.manual_seed(0)
    block = ConvBlock(24, 48)
    expected = math.sqrt(2 / (1 + 0.2**2) / (24 * 27))
    assert block.convolution.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert block.convolution.weight.mean().item() == pytest.approx(0, abs=expected / 20)
    assert not block.convolution.bias.any()  # type: ignore[union-attr]


def test_stride_halves_and_rounds_up() -> None:
    assert ConvBlock(2, 3, stride=2)(torch.rand(1, 2, 9, 8, 15)).shape == (1, 3, 5, 4, 8)


def test_features_keep_their_channels_innermost() -> None:
    x = torch.rand(2, 6, 9, 10, 11)
    for block in (ConvBlock(6, 4), ConvBlock(6, 4, instance_norm=True)):
        assert block(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_instance_norm_equals_that_of_torch() -> None:
    x = channels_last(torch.randn(3, 5, 6, 7, 4) * torch.rand(3, 5, 1, 1, 1) * 9 + torch.randn(3, 5, 1, 1, 1))
    torch.testing.assert_close(instance_norm(x), F.instance_norm(x.contiguous()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_instance_norm_is_the_same_in_place(dtype: torch.dtype) -> None:
    x = channels_last((torch.randn(3, 5, 6, 7, 4) * 4 + 3).to(dtype))
    taught = instance_norm(x)
    with torch.no_grad():
        assert instance_norm(x).data_ptr() == x.data_ptr()
    assert torch.equal(x, taught)


def test_instance_norm_leaves_a_handful_of_voxels_alone() -> None:
    few, enough = torch.randn(2, 3, 1, 7, 1), torch.randn(2, 3, 2, 2, 2)
    assert torch.equal(instance_norm(few), few)
    torch.testing.assert_close(instance_norm(enough).mean((2, 3, 4)), torch.zeros(2, 3), atol=1e-5, rtol=0)


def test_normalised_block_ignores_scale_and_offset() -> None:
    block = ConvBlock(2, 4, instance_norm=True)
    x = torch.randn(1, 2, 6, 7, 8)
    torch.testing.assert_close(block(x), block(3 * x), atol=1e-4, rtol=0)


class Convolutions(nn.Module):
    """Three convolutions with nothing between them, whose gradients reduced precision only rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv3d(i, o, 3, padding=1) for i, o in ((4, 16), (16, 16), (16, 8)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = convolve(layer, x)  # type: ignore[arg-type]
        return x


def gradients(layers: nn.Module, x: Tensor, reduced: bool) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    layers.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        y = layers(x)
    weights = torch.linspace(-1, 2, y.numel()).sin().view(y.shape)
    (y.float() * weights).sum().backward()
    assert x.grad is not None
    return {"input": x.grad} | {n: p.grad for n, p in layers.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_in_bf16_match_single_precision(shape: tuple[int, ...]) -> None:
    """torch's own bf16 gradients are wrong or infinite where a side has 1 or 2 voxels."""
    torch.manual_seed(1)
    layers, x = Convolutions(), torch.randn(1, 4, *shape)
    exact, reduced = (gradients(layers, x, on) for on in (False, True))
    assert len(exact) == 7
    # A CPU without instructions for bf16, where it is never chosen, rounds once more between layers.
    most = 0.02 if isinstance(autocast("auto", x.device), nullcontext) else 0.01
    for name, expected in exact.items():
        assert (reduced[name] - expected).norm() < most * expected.norm(), name


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("normalised", [False, True])
def test_gradients_of_blocks_in_bf16_point_the_same_way(shape: tuple[int, ...], normalised: bool) -> None:
    """Where rounding carries a value across zero, LeakyReLU passes another gradient, so this match is looser."""
    torch.manual_seed(1)
    blocks = [ConvBlock(i, o, instance_norm=normalised) for i, o in ((4, 16), (16, 16), (16, 8))]
    layers, x = nn.Sequential(*blocks), torch.randn(1, 4, *shape)
    exact, reduced = (gradients(layers, x, on) for on in (False, True))
    for name, expected in exact.items():
        # A norm takes away the effect of the bias before it, so that its gradient is rounding alone.
        if not (normalised and name.endswith("bias") and math.prod(shape) >= 8):
            assert F.cosine_similarity(reduced[name].flatten(), expected.flatten(), dim=0) > 0.98, name


def test_large_levels_do_run_in_bf16() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert ConvBlock(2, 4)(torch.randn(1, 2, 8, 9, 10)).dtype == torch.bfloat16
        assert ConvBlock(2, 4)(torch.randn(1, 2, 7, 9, 10)).dtype == torch.float32


def test_convolve_is_the_layer() -> None:
    layer, x = nn.Conv3d(3, 5, 4, 2, 1), torch.randn(2, 3, 10, 8, 12)
    torch.testing.assert_close(convolve(layer, x), layer(x), atol=1e-5, rtol=1e-4)


def test_velocity_starts_close_to_zero_and_stays_in_single_precision() -> None:
    head = VelocityHead(4)
    x = torch.randn(1, 4, 9, 10, 11)
    exact = head(x)
    assert 0 < exact.abs().max() < 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        reduced = head(x)
    assert reduced.dtype == torch.float32
    assert torch.equal(reduced, exact)


def test_halving_is_the_mean_of_eight_whatever_the_layout() -> None:
    x = torch.randn(2, 3, 4, 6, 10)
    for y in (x, channels_last(x)):
        torch.testing.assert_close(halve(y), torch.nn.functional.avg_pool3d(x, 2))
    assert halve(channels_last(x)).is_contiguous(memory_format=torch.channels_last_3d)


def test_joining_is_concatenation_with_channels_innermost() -> None:
    parts = [torch.randn(2, n, 3, 4, 5) for n in (4, 1, 3)]
    parts[1] = parts[1].flip(3)
    with torch.no_grad():
        joined = join(parts)
    assert torch.equal(joined, torch.cat(parts, 1)) and torch.equal(join(parts), joined)
    assert joined.is_contiguous(memory_format=torch.channels_last_3d)
    wide = [parts[0].bfloat16(), parts[1]]
    with torch.no_grad():
        assert join(wide).dtype == torch.float32
