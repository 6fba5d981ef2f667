"""Sampling by weighted rows: the same as torch's grid_sample and scipy, at borders, thin images and odd points too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from RobustDIRLib import gathering, warping


def _points(shape: tuple[int, ...], like: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random points in and around an image of shape `like`."""
    g = torch.Generator().manual_seed(seed)
    size = torch.tensor(like, dtype=torch.float32).view(1, 3, 1, 1, 1)
    return torch.rand((2, 3, *shape), generator=g) * 1.6 * size - 0.3 * size


@pytest.mark.parametrize("shape", [(7, 9, 11), (1, 8, 5), (6, 1, 7), (5, 6, 1), (1, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("innermost", [False, True])
def test_it_equals_scipy(shape: tuple[int, ...], innermost: bool) -> None:
    image = torch.randn((2, 5, *shape), generator=torch.Generator().manual_seed(1))
    image = image.contiguous(memory_format=torch.channels_last_3d) if innermost else image
    points = _points((3, 4, 5), shape, 2)
    result = gathering.gather(image, points)
    for b in range(2):
        for c in range(5):
            expected = ndimage.map_coordinates(image[b, c].numpy(), points[b].numpy(), order=1, mode="nearest")
            np.testing.assert_allclose(result[b, c].numpy(), expected, atol=2e-5)


def test_blocks_have_no_seams_and_an_origin_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn((2, 4, 13, 10, 12), generator=torch.Generator().manual_seed(3))
    u = 3 * torch.randn((2, 3, 13, 10, 12), generator=torch.Generator().manual_seed(4))
    whole = gathering.gather(image, u + warping.identity_grid(u.shape[2:]))
    monkeypatch.setattr(gathering, "_BLOCK", 250)
    torch.testing.assert_close(gathering.gather(image, u, warping._axes(u.shape[2:])), whole, atol=2e-5, rtol=0)


def test_warp_is_the_same_with_and_without_gradients() -> None:
    image = torch.randn((2, 4, 9, 8, 7), generator=torch.Generator().manual_seed(5))
    u = 2 * torch.randn((2, 3, 9, 8, 7), generator=torch.Generator().manual_seed(6))
    assert gathering.fits(image, u) and not gathering.fits(image[:, :1], u)
    assert not gathering.fits(image.clone().requires_grad_(), u)
    with torch.no_grad():
        fast = warping.warp(image, u)
    slow = warping.warp(image.clone().requires_grad_(), u)
    torch.testing.assert_close(fast, slow.detach(), atol=2e-5, rtol=0)


def test_points_that_are_no_numbers_give_none_and_stay_in_the_image() -> None:
    image = torch.ones(1, 4, 3, 4, 5)
    points = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30]).view(1, 1, 1, 1, 4).expand(1, 3, 1, 1, 4)
    result = gathering.gather(image, points)
    assert result[..., 0].isnan().all()
    assert torch.equal(result[..., 1:], torch.ones(1, 4, 1, 1, 3))
