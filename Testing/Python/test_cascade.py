"""The paper's cascaded U-Net, row "Cascaded U-Net" of the method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from network_cases import ODD, a_cascade, a_pair, inner, points_through, residual
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.blocks import ConvBlock
from RobustDIRLib.networks.cascade import CascadeConfig, CascadedUNet
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.unet import UNet
from RobustDIRLib.warping import resize, resize_displacement, warp

BOTH = pytest.mark.parametrize("downsampling", ["pooling", "stride"])


def traced(network: CascadedUNet, pair: tuple[Tensor, Tensor]) -> tuple[dict[str, tuple], dict[str, Deformation]]:
    """What each U-Net took and gave in one run."""
    took: dict[str, tuple] = {}
    gave: dict[str, Deformation] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Deformation], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Deformation) -> None:
            took[name], gave[name] = inputs, output

        return hook

    hooks = [unet.register_forward_hook(keep(name)) for name, unet in network.named_children()]
    result = network(*pair)
    for hook in hooks:
        hook.remove()
    return took, gave | {"result": result}


def test_paper_has_64_filters_at_half_then_128_at_full_resolution() -> None:
    with torch.device("meta"):
        network = CascadedUNet()
    for unet, filters in ((network.coarse, 64), (network.fine, 128)):
        blocks = [m for m in unet.modules() if isinstance(m, ConvBlock)]
        assert len(blocks) == 11
        assert {b.convolution.out_channels for b in blocks} == {filters}


def test_paper_s_defaults() -> None:
    assert CascadeConfig() == CascadeConfig((64, 128), downsampling="pooling", squarings=5, instance_norm=False)


def test_options_reach_both_stages() -> None:
    config = CascadeConfig((2, 3), downsampling="stride", squarings=4, instance_norm=True)
    for unet, channels in zip(CascadedUNet(config).children(), (2, 3), strict=True):
        assert isinstance(unet, UNet)
        assert unet.config == type(unet.config)(channels, "stride", 4, True)


@pytest.mark.parametrize("shape", [(32, 48, 64), ODD])
def test_first_net_sees_half_resolution_and_second_the_warped_moving_image(shape: tuple[int, int, int]) -> None:
    """Method: "64 filters at half resolution, then 128 filters at full resolution on the warped moving image"."""
    fixed, moving = a_pair(shape)
    took, gave = traced(a_cascade(), (fixed, moving))
    half = tuple((n + 1) // 2 for n in shape)
    torch.testing.assert_close(took["coarse"], (resize(fixed, half), resize(moving, half)))
    assert gave["coarse"].displacement.shape == (1, 3, *half)
    warped = warp(moving, resize_displacement(gave["coarse"].displacement, shape))
    assert (warped - moving).abs().max() > 0.1
    torch.testing.assert_close(took["fine"], (fixed, warped))


@pytest.mark.parametrize("shape", [(32, 48, 64), ODD])
def test_composed_displacement_equals_one_after_the_other_on_points(shape: tuple[int, int, int]) -> None:
    """A fixed point goes through the second net's displacement, then through the first's, on the finer grid."""
    _, gave = traced(a_cascade(), a_pair(shape))
    voxels = np.indices(shape).reshape(3, -1).astype(float)
    first = resize_displacement(gave["coarse"].displacement, shape)
    expected = points_through(first, points_through(gave["fine"].displacement, voxels))
    found = voxels + gave["result"].displacement[0].detach().flatten(1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    swapped = points_through(gave["fine"].displacement, points_through(first, voxels))
    assert np.abs(swapped - expected).max() > 0.1


def test_composed_inverse_goes_back_in_reverse_order() -> None:
    _, gave = traced(a_cascade(), a_pair())
    voxels = np.indices(ODD).reshape(3, -1).astype(float)
    first = resize_displacement(gave["coarse"].inverse, ODD)
    expected = points_through(gave["fine"].inverse, points_through(first, voxels))
    found = voxels + gave["result"].inverse[0].detach().flatten(1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_second_warp_of_the_warped_image_is_one_warp_by_the_result() -> None:
    shape = (40, 44, 48)
    fixed, moving = a_pair(shape)
    took, gave = traced(a_cascade(), (fixed, moving))
    twice = warp(took["fine"][1], gave["fine"].displacement)
    once = warp(moving, gave["result"].displacement)
    core = (..., *inner(shape, 5))
    assert (twice - once)[core].abs().mean() < 0.1 * (once - moving)[core].abs().mean()


@BOTH
@pytest.mark.parametrize("level", [0, 1])
def test_inverse_undoes_the_displacement(downsampling: str, level: int) -> None:
    deformation = a_cascade(downsampling=downsampling).levels(*a_pair())[level]
    margin = (4, 8)[level]
    size = deformation.displacement[(..., *inner(tuple(deformation.displacement.shape[2:]), margin))].abs()
    left = residual(deformation, margin).mean()
    assert size.max() > (1, 2)[level]
    assert left < 0.15 * size.mean()
    assert (
        left
        < (0.6, 0.4)[level] * residual(Deformation(deformation.displacement, -deformation.displacement), margin).mean()
    )


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("shape", [(32, 48, 64), ODD])
def test_each_level_is_in_voxels_of_its_own_grid(shape: tuple[int, int, int], axis: int) -> None:
    """The first displacement is rescaled to voxels of the finer grid, then the second is added.

    A velocity of 0.5 at quarter resolution is 1 voxel at half and 2 at full resolution; one of 1.5 at half resolution
    is 3 at full; together 5. On odd sides the half grid's voxels are a little less than two voxels wide.
    """
    network = CascadedUNet(CascadeConfig((2, 2)))
    with torch.no_grad():
        for unet, speed in ((network.coarse, 0.5), (network.fine, 1.5)):
            nn.init.zeros_(unet.velocity_head.convolution.weight)
            unet.velocity_head.convolution.bias[axis] = speed  # type: ignore[index]
    coarse, full = network.levels(*a_pair(shape))
    half = (shape[axis] + 1) // 2
    for level, size in ((coarse, 1), (full, shape[axis] / half + 3)):
        expected = torch.zeros_like(level.displacement)
        expected[:, axis] = size
        torch.testing.assert_close(level.displacement, expected)
        torch.testing.assert_close(level.inverse, -expected)


def test_last_level_is_the_result() -> None:
    network, pair = a_cascade(), a_pair()
    result, levels = network(*pair), network.levels(*pair)
    assert len(levels) == 2
    assert torch.equal(levels[-1].displacement, result.displacement)
    assert torch.equal(levels[-1].inverse, result.inverse)


@pytest.mark.parametrize("shape", [ODD, (32, 32, 32), (8, 9, 33), (17, 31, 15), (1, 20, 21)])
@BOTH
def test_any_size(downsampling: str, shape: tuple[int, int, int]) -> None:
    for u in a_cascade(downsampling=downsampling)(*a_pair(shape)):
        assert u.shape == (1, 3, *shape)
        assert u.dtype == torch.float32
        assert u.isfinite().all()


@BOTH
@pytest.mark.parametrize("part", [0, 1], ids=["displacement", "inverse"])
def test_gradient_reaches_every_parameter(downsampling: str, part: int) -> None:
    """Both U-Nets learn from the one composed displacement."""
    network = a_cascade(downsampling=downsampling)
    network(*a_pair())[part].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_first_level_teaches_the_first_net_alone() -> None:
    network = a_cascade()
    network.levels(*a_pair())[0].displacement.square().sum().backward()
    assert all(p.grad is not None for p in network.coarse.parameters())
    assert all(p.grad is None for p in network.fine.parameters())


def test_autocast_changes_the_displacement_little() -> None:
    network, pair = a_cascade((8, 8)), a_pair()
    exact = network(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = network(*pair)
    for a, b in zip(exact, reduced, strict=True):
        assert b.dtype == torch.float32
        assert 0 < (a - b).norm() / a.norm() < 0.05


@pytest.mark.parametrize("channels", [(8,), (8, 8, 8), (0, 8)])
def test_configuration_refuses_what_makes_no_cascade(channels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="channels"):
        CascadeConfig(channels)  # type: ignore[arg-type]
