"""Local self-similarity: blind to contrast, not to structure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from RobustDIRLib.networks.descriptors import STEPS, mirror_similarity, self_similarity
from RobustDIRLib.networks.mirrors import MIRRORS, mirror


@pytest.fixture
def a_volume() -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    coarse = torch.randn((1, 1, 5, 6, 4), generator=g)
    return 20 * torch.nn.functional.interpolate(coarse, size=(21, 26, 19), mode="trilinear")  # far above the floor


def test_inverted_and_stretched_grey_values_look_the_same(a_volume: torch.Tensor) -> None:
    torch.testing.assert_close(self_similarity(3 - 2.5 * a_volume), self_similarity(a_volume), atol=1e-3, rtol=0)
    other = self_similarity(a_volume.flip(3))
    assert (other - self_similarity(a_volume)).abs().mean() > 0.05


@pytest.mark.parametrize("axes", MIRRORS)
def test_of_a_mirrored_image_it_follows_from_that_of_the_image(a_volume: torch.Tensor, axes: tuple[int, ...]) -> None:
    known = mirror_similarity(self_similarity(a_volume), axes)
    torch.testing.assert_close(known, self_similarity(mirror(a_volume, axes)), atol=1e-4, rtol=0)


def test_it_is_the_exponential_of_patch_distances(a_volume: torch.Tensor) -> None:
    """One voxel worked out with numpy."""
    v, at = a_volume[0, 0].numpy(), np.array([9, 12, 7])

    def patch(centre: np.ndarray) -> np.ndarray:
        return v[tuple(slice(c - 1, c + 2) for c in centre)]

    distances = np.array([((patch(at + step) - patch(at)) ** 2).mean() for step in STEPS])
    np.testing.assert_allclose(
        self_similarity(a_volume)[0, :, 9, 12, 7].numpy(), np.exp(-distances / distances.mean()), rtol=1e-4
    )


@pytest.mark.parametrize("shape", [(7, 5, 6), (2, 9, 3), (1, 4, 6), (5, 1, 1)])
def test_up_to_the_border_it_is_the_mean_over_patches(shape: tuple[int, int, int]) -> None:
    image = torch.randn((2, 1, *shape), generator=torch.Generator().manual_seed(2))
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), *[(1, 1)] * 3], mode="edge")
    distances = []
    for step in STEPS:
        inside = tuple(slice(1 + d, 1 + d + n) for d, n in zip(step, shape, strict=True))
        squares = np.pad((padded[(..., *inside)] - image.numpy()) ** 2, [(0, 0), (0, 0), *[(1, 1)] * 3], mode="edge")
        distances.append(ndimage.uniform_filter(squares, (0, 0, 3, 3, 3))[..., 1:-1, 1:-1, 1:-1])
    d = np.concatenate(distances, 1)
    expected = np.exp(-d / np.maximum(d.mean(1, keepdims=True), 1e-4))
    np.testing.assert_allclose(self_similarity(image).numpy(), expected, atol=1e-5)


def test_flat_regions_are_alike_all_around_and_finite() -> None:
    assert torch.equal(self_similarity(torch.full((1, 1, 6, 7, 8), 0.3)), torch.ones(1, 6, 6, 7, 8))
