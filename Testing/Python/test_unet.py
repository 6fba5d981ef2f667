"""The paper's single U-Net, row "Single U-Net" of the method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from network_cases import ODD, a_pair, a_unet, inner, points_through, residual
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.blocks import ConvBlock
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.networks.unet import UNet, UNetConfig
from RobustDIRLib.warping import compose, resize_displacement, warp

BOTH = pytest.mark.parametrize("downsampling", ["pooling", "stride"])


def traced(network: UNet, shape: tuple[int, ...] = (32, 16, 48)) -> dict[str, tuple[Tensor, Tensor]]:
    """Input and output of every block in one run."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in network.named_modules():
        if isinstance(module, ConvBlock) or name == "velocity_head":
            module.register_forward_hook(lambda _, x, y, name=name: seen.update({name: (x[0], y)}))
    network(*a_pair(shape))
    return seen


# --- the architecture -------------------------------------------------------------------------------------------------


def test_paper_has_4_encoder_3_decoder_and_4_head_blocks_of_256_filters() -> None:
    with torch.device("meta"):
        network = UNet()
    assert [len(part) for part in (network.encoder, network.decoder, network.head)] == [4, 3, 4]
    blocks = [m for m in network.modules() if isinstance(m, ConvBlock)]
    assert len(blocks) == 11
    assert {b.convolution.out_channels for b in blocks} == {256}
    assert {b.convolution.kernel_size for b in blocks} == {(3, 3, 3)}
    assert not any(b.instance_norm for b in blocks)


def test_paper_s_defaults() -> None:
    assert UNetConfig() == UNetConfig(channels=256, downsampling="pooling", squarings=5, instance_norm=False)


@pytest.mark.parametrize(
    ("downsampling", "encoder"), [("pooling", [1, 2, 4, 8]), ("stride", [2, 4, 8, 16])], ids=["pooling", "stride"]
)
def test_resolution_of_every_block(downsampling: str, encoder: list[int]) -> None:
    """The encoder halves four times, the decoder works at 1/16, 1/8 and 1/4, the head at half resolution."""
    shape = (32, 16, 48)
    seen = traced(a_unet(downsampling=downsampling), shape)

    def strides(part: str) -> list[int]:
        outputs = [tuple(y.shape[2:]) for name, (_, y) in seen.items() if name.startswith(part)]
        found = [shape[0] // o[0] for o in outputs]
        assert outputs == [tuple(n // s for n in shape) for s in found]
        return found

    assert strides("encoder") == encoder
    assert strides("decoder") == [16, 8, 4]
    assert strides("head") == [2, 2, 2, 2]
    assert strides("velocity_head") == [2]


@pytest.mark.parametrize(
    ("downsampling", "partners"), [("pooling", ["3", "2", "1"]), ("stride", ["2", "1", "0"])], ids=["pooling", "stride"]
)
def test_skip_connections_concatenate(downsampling: str, partners: list[str]) -> None:
    """After each doubling of the decoder, the encoder's features of that resolution join as further channels."""
    n = 4
    seen = traced(a_unet(n, downsampling=downsampling))
    for i, (after, partner) in enumerate(zip(["decoder.1", "decoder.2", "head.0"], partners, strict=True)):
        joined = seen[after][0]
        assert joined.shape[1] == 2 * n
        assert torch.equal(joined[:, n:], seen[f"encoder.{partner}"][1])
        doubled = seen[f"decoder.{i}"][1]
        for axis in (2, 3, 4):
            doubled = doubled.repeat_interleave(2, axis)
        assert torch.equal(joined[:, :n], doubled)


def test_pooling_takes_the_maximum() -> None:
    seen = traced(a_unet())
    below, above = seen["encoder.1"][0], seen["encoder.0"][1]
    z, y, x = below.shape[2:]
    cells = above.detach().numpy().reshape(1, 4, z, 2, y, 2, x, 2)
    np.testing.assert_array_equal(below.detach().numpy(), cells.max((3, 5, 7)))


def test_both_images_enter_fixed_first() -> None:
    network, (fixed, moving) = a_unet(), a_pair((32, 16, 48))
    assert torch.equal(traced(network)["encoder.0"][0], torch.cat([fixed, moving], 1))
    there, back = network(fixed, moving), network(moving, fixed)
    assert (there.displacement - back.displacement).abs().max() > 0.1


@BOTH
@pytest.mark.parametrize("squarings", [5, 3])
def test_displacement_is_the_half_resolution_velocity_squared_five_times_and_resampled(
    downsampling: str, squarings: int
) -> None:
    """Method: "stationary velocity field at half resolution; 5-step scaling and squaring; resampled" (2.1, 2.1.1)."""
    options = {} if squarings == 5 else {"squarings": squarings}
    network, shape = a_unet(downsampling=downsampling, **options), (32, 16, 48)
    velocity = traced(network, shape)["velocity_head"][1]
    assert velocity.shape == (1, 3, 16, 8, 24)
    for u, sign in zip(network(*a_pair(shape)), (1, -1), strict=True):
        expected = sign * velocity / 2**squarings
        for _ in range(squarings):
            expected = compose(expected, expected)
        torch.testing.assert_close(u, resize_displacement(expected, shape))


def test_untrained_network_starts_at_the_identity() -> None:
    displacement, inverse = UNet(UNetConfig(4))(*a_pair())
    assert 0 < displacement.abs().max() < 1e-2
    assert 0 < inverse.abs().max() < 1e-2


# --- the transform ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", range(3))
def test_velocity_in_half_voxels_displaces_by_twice_as_many_voxels(axis: int) -> None:
    """A head that answers 1.5 everywhere along one axis leads each fixed point 3 voxels on, along that axis."""
    network, (fixed, moving) = UNet(UNetConfig(2)), a_pair()
    nn.init.zeros_(network.velocity_head.convolution.weight)
    with torch.no_grad():
        network.velocity_head.convolution.bias[axis] = 1.5  # type: ignore[index]
    displacement, inverse = network(fixed, moving)
    expected = torch.zeros(1, 3, *ODD)
    expected[:, axis] = 3
    torch.testing.assert_close(displacement, expected)
    torch.testing.assert_close(inverse, -expected)
    ahead = moving.roll(-3, 2 + axis).narrow(2 + axis, 0, ODD[axis] - 3)
    warped = warp(moving, displacement).narrow(2 + axis, 0, ODD[axis] - 3)
    torch.testing.assert_close(warped, ahead, atol=1e-4, rtol=0)


@BOTH
def test_inverse_undoes_the_displacement(downsampling: str) -> None:
    deformation = a_unet(downsampling=downsampling)(*a_pair())
    core = (..., *inner(ODD, 7))
    assert deformation.displacement[core].abs().max() > 2
    left = residual(deformation, 7).mean()
    assert left < 0.1 * deformation.displacement[core].abs().mean()
    # Turning the displacement around without moving it along is the mistake that looks like an inverse.
    assert left < 0.35 * residual(Deformation(deformation.displacement, -deformation.displacement), 7).mean()


def test_inverse_brings_points_back() -> None:
    deformation = a_unet()(*a_pair())
    points = np.random.default_rng(0).uniform(8, np.array(ODD) - 9, size=(200, 3)).T
    moved = points_through(deformation.displacement, points)
    back = points_through(deformation.inverse, moved)
    assert np.abs(moved - points).mean() > 0.5
    assert np.abs(back - points).mean() < 0.1 * np.abs(moved - points).mean()


@pytest.mark.parametrize("shape", [ODD, (16, 16, 16), (8, 9, 33), (17, 31, 15), (1, 20, 21)])
@BOTH
def test_any_size(downsampling: str, shape: tuple[int, int, int]) -> None:
    for u in a_unet(downsampling=downsampling)(*a_pair(shape)):
        assert u.shape == (1, 3, *shape)
        assert u.dtype == torch.float32
        assert u.isfinite().all()


def test_padding_continues_the_border() -> None:
    """What the network makes of an odd image is what it makes of that image with its border repeated."""
    network, (fixed, moving) = a_unet(), a_pair((37, 32, 48))
    sides = (0, 0, 0, 0, 5, 6)
    padded = [nn.functional.pad(image, sides, mode="replicate") for image in (fixed, moving)]
    for odd, even in zip(network(fixed, moving), network(*padded), strict=True):
        torch.testing.assert_close(odd, even[:, :, 5:42])


@pytest.mark.parametrize("axis", range(3))
def test_moving_the_images_moves_the_displacement(axis: int) -> None:
    """Far from borders, a shift of both images by 16 voxels, a cell of the coarsest level, shifts the result."""
    shape, wide = [16, 16, 16], [16, 16, 16]
    wide[axis], shape[axis] = 272, 256
    network = a_unet(2, voxels=0.5)
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(1, 1, *wide, generator=generator) for _ in range(2)]
    here, there = (network(*(i.narrow(2 + axis, n, 256) for i in images)) for n in (0, 16))
    for a, b in zip(here, there, strict=True):
        middle = a.narrow(2 + axis, 112, 48)
        torch.testing.assert_close(b.narrow(2 + axis, 96, 48), middle, atol=1e-5, rtol=1e-5)
        assert (a.narrow(2 + axis, 96, 48) - middle).abs().max() > 1e-3


def test_samples_of_a_batch_stay_apart() -> None:
    network = a_unet(instance_norm=True)
    pairs = [a_pair(seed=s) for s in (1, 2)]
    together = network(torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs]))
    for i, pair in enumerate(pairs):
        torch.testing.assert_close(together.displacement[i : i + 1], network(*pair).displacement, atol=1e-4, rtol=1e-4)


# --- training ---------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("part", [0, 1], ids=["displacement", "inverse"])
def test_gradient_reaches_every_parameter(downsampling: str, part: int) -> None:
    network = a_unet(downsampling=downsampling)
    network(*a_pair())[part].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_autocast_changes_the_displacement_little() -> None:
    network, pair = a_unet(8), a_pair()
    exact = network(*pair)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = network(*pair)
    for a, b in zip(exact, reduced, strict=True):
        assert b.dtype == torch.float32
        assert 0 < (a - b).norm() / a.norm() < 0.05


def test_its_one_level_is_the_result() -> None:
    network, pair = a_unet(), a_pair()
    (level,) = network.levels(*pair)
    assert torch.equal(level.displacement, network(*pair).displacement)


def test_it_learns_which_way_the_moving_image_went() -> None:
    """Likeness of warped and fixed teaches a displacement from the fixed blob to the moving one, 3 voxels up in x."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(16.0)] * 3, indexing="ij"))

    def blob(*centre: float) -> Tensor:
        squared = (grid - torch.tensor(centre).view(3, 1, 1, 1)).square().sum(0)
        return (2 * torch.exp(-squared / 12) - 1)[None, None]

    torch.manual_seed(0)
    fixed, moving, network = blob(8, 7, 6), blob(8, 7, 9), UNet(UNetConfig(8))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(40):
        loss = (warp(moving, network(fixed, moving).displacement) - fixed).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    z, y, x = network(fixed, moving).displacement[0, :, 8, 7, 6].tolist()
    assert x == pytest.approx(3, abs=1)
    assert abs(z) < 1
    assert abs(y) < 1


@pytest.mark.parametrize("options", [{"channels": 0}, {"downsampling": "max"}, {"squarings": -1}])
def test_configuration_refuses_what_makes_no_network(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        UNetConfig(**options)  # type: ignore[arg-type]
