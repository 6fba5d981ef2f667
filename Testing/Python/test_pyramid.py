"""The correlation pyramid: symmetric by construction, with its inverse, at any size."""

from __future__ import annotations

import pytest
import torch

from RobustDIRLib import warping
from RobustDIRLib.networks.pyramid import CorrelationPyramid, PyramidConfig

ODD = (37, 45, 29)


def _smooth_image(seed: int, shape: tuple[int, int, int] = ODD) -> torch.Tensor:
    g = _generator(seed)
    coarse = torch.randn((1, 1, 9, 8, 7), generator=g)
    image = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")
    return image.clamp(-1, 1)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def a_network() -> CorrelationPyramid:
    """Untrained, but with decoders that matter."""
    torch.manual_seed(0)
    network = CorrelationPyramid(PyramidConfig((8, 8, 8), (8, 8, 8), (1, 2, 1), (1, 1, 2)))
    for decoder in network.decoder:
        torch.nn.init.normal_(decoder.out.weight, 0, 0.01)
    return network.eval()


@torch.no_grad()
def test_swapping_the_images_swaps_displacement_and_inverse(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)
    there, back = a_network(fixed, moving), a_network(moving, fixed)
    assert there.displacement.abs().max() > 1
    torch.testing.assert_close(there.displacement, back.inverse, atol=1e-4, rtol=0)
    torch.testing.assert_close(there.inverse, back.displacement, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_inverse_undoes_the_displacement(a_network: CorrelationPyramid) -> None:
    moving = _smooth_image(3)
    velocity = torch.nn.functional.interpolate(
        3 * torch.randn((1, 3, 3, 3, 3), generator=_generator(4)), size=ODD, mode="trilinear"
    )
    both = a_network(warping.warp(moving, warping.integrate_velocity(velocity)), moving)
    size, left = (
        u.norm(dim=1)[:, 5:-5, 5:-5, 5:-5].mean()
        for u in (both.displacement, warping.compose(both.displacement, both.inverse))
    )
    assert size > 0.5
    assert left < 0.15 * size


@torch.no_grad()
def test_the_inverse_is_better_than_its_composition(
    a_network: CorrelationPyramid, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)

    def left() -> torch.Tensor:
        both = a_network(fixed, moving)
        return warping.compose(both.displacement, both.inverse).norm(dim=1)[:, 5:-5, 5:-5, 5:-5].mean()

    mended = left()
    monkeypatch.setattr("RobustDIRLib.networks.pyramid._INVERSE_STEPS", 0)
    assert mended < 0.6 * left()


@torch.no_grad()
def test_a_second_iteration_goes_on_from_the_first() -> None:
    moving = torch.nn.functional.avg_pool3d(torch.randn((1, 1, 44, 52, 60), generator=_generator(30)), 5, 1) * 3
    fixed = moving.roll(3, 3)  # fixed(x) = moving(x - 3)
    left = []
    for times in (1, 3):
        torch.manual_seed(2)
        sizes = PyramidConfig((8, 8), (8, 8), (1, 1), (1, 1), iterations=(times, times))
        u = CorrelationPyramid(sizes).eval()(fixed, moving).displacement[0, :, 10:-10, 10:-10, 10:-10]
        left.append((u - torch.tensor([0.0, -3.0, 0.0]).view(3, 1, 1, 1)).norm(dim=0).mean())
    assert left[1] < 0.8 * left[0] < 0.8 * 3


@torch.no_grad()
def test_equal_images_stay_where_they_are(a_network: CorrelationPyramid) -> None:
    image = _smooth_image(5)
    assert a_network(image, image).displacement.abs().max() < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_untrained_pyramid_follows_a_shift_towards_the_moving_point(axis: int) -> None:
    torch.manual_seed(1)
    moving = torch.nn.functional.avg_pool3d(torch.randn(1, 1, 68, 68, 68), 5, 1)
    fixed = moving.roll(-4, 2 + axis)  # fixed(x) = moving(x + 4)
    u = CorrelationPyramid()(fixed / fixed.abs().max(), moving / fixed.abs().max()).displacement
    middle = u[0, :, 16:-16, 16:-16, 16:-16].mean((1, 2, 3))
    assert middle[axis] > 1.5
    assert all(abs(middle[other]) < 0.5 for other in range(3) if other != axis)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 23, 41), (8, 30, 19)])
def test_any_size(a_network: CorrelationPyramid, shape: tuple[int, int, int]) -> None:
    both = a_network(_smooth_image(6, shape), _smooth_image(7, shape))
    assert both.displacement.shape == both.inverse.shape == (1, 3, *shape)
    assert torch.isfinite(both.displacement).all()
    assert both.displacement.dtype == torch.float32


@torch.no_grad()
def test_pairs_of_a_batch_do_not_mix(a_network: CorrelationPyramid) -> None:
    fixed, moving = (torch.cat([_smooth_image(seed), _smooth_image(seed + 1)]) for seed in (10, 20))
    together = a_network(fixed, moving).displacement
    apart = torch.cat([a_network(f, m).displacement for f, m in zip(fixed.split(1), moving.split(1), strict=True)])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)


def test_every_weight_learns(a_network: CorrelationPyramid) -> None:
    shape = (32, 24, 40)
    levels = a_network.levels(_smooth_image(8, shape), _smooth_image(9, shape))
    sum(level.displacement.square().mean() for level in levels).backward()  # type: ignore[union-attr]
    for name, parameter in a_network.named_parameters():
        # The mean a bias adds is taken off again by the normalisation; an equal bias of both orders cancels.
        if not name.endswith("bias"):
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert [tuple(level.displacement.shape[2:]) for level in levels] == [(4, 3, 5), (8, 6, 10), (16, 12, 20)]


def test_levels_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry for each level"):
        PyramidConfig(encoder=(8, 8), decoder=(8, 8, 8))
