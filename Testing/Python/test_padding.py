"""Padding to whole multiples, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from RobustDIRLib.networks.padding import crop, pad_to_multiple


@pytest.mark.parametrize("shape", [(5, 16, 19), (1, 2, 3), (33, 31, 32), (7, 40, 9)])
@pytest.mark.parametrize("multiple", [8, 16])
def test_border_is_repeated_evenly_on_both_sides(shape: tuple[int, int, int], multiple: int) -> None:
    image = torch.rand(2, 3, *shape)
    padded, region = pad_to_multiple(image, multiple)
    missing = [-n % multiple for n in shape]
    sides = [(0, 0), (0, 0), *((m // 2, m - m // 2) for m in missing)]
    np.testing.assert_array_equal(padded.numpy(), np.pad(image.numpy(), sides, mode="edge"))
    assert all(n % multiple == 0 for n in padded.shape[2:])
    assert torch.equal(crop(padded, region), image)


def test_whole_multiples_stay_as_they_are() -> None:
    image = torch.rand(1, 1, 16, 32, 48)
    padded, region = pad_to_multiple(image, 16)
    assert padded is image
    assert torch.equal(crop(padded, region), image)
