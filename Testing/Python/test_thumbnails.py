"""Small pictures of cases: the same however the voxels are stored, and the right way round."""

import itertools

import numpy as np
import pytest
from skimage.io import imread

from dataset_cases import write_scan
from RobustDIRLib.datasets.opening import open_dataset
from RobustDIRLib.datasets.thumbnails import SIDE, thumbnail, write_thumbnail
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image

SHAPE, SPACING = (9, 12, 20), (1.5, 2.0, 2.5)


def body() -> np.ndarray:
    """Slopes along the axes, all unlike, with a bright block at the left front in the middle."""
    z, y, x = np.indices(SHAPE)
    array = 0.2 * y + 0.1 * x + 0.05 * z
    array[3:7, 1:4, 15:18] = 20
    return array.astype(np.float32)


def stored(order: tuple[int, ...], flips: tuple[int, ...]) -> Image:
    """The body with its array axes in another order and turned over; the grid says how."""
    array = np.transpose(body(), order)
    array = array[tuple(slice(None, None, flip) for flip in flips)]
    axes = [2 - axis for axis in order][::-1]  # grid axes x, y, z by world axes
    direction = np.zeros((3, 3))
    for column, (axis, flip) in enumerate(zip(axes, flips[::-1], strict=True)):
        direction[axis, column] = flip
    spacing = tuple(SPACING[axis] for axis in axes)
    return Image(np.ascontiguousarray(array), Grid(array.shape, spacing, (0, 0, 0), tuple(map(tuple, direction))))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_picture_does_not_depend_on_how_voxels_are_stored(order):
    expected = thumbnail(stored((0, 1, 2), (1, 1, 1)))
    for flips in itertools.product((1, -1), repeat=3):
        picture = thumbnail(stored(order, flips))
        assert picture.shape == expected.shape
        assert np.abs(picture.astype(int) - expected)[2:-2, 2:-2].mean() < 3


def test_left_is_on_the_right_and_the_front_on_top_in_square_pixels():
    picture = thumbnail(stored((0, 1, 2), (1, 1, 1)))
    assert picture.shape == (round(SIDE * 12 * SPACING[1] / (20 * SPACING[0])), SIDE)
    row, column = (where.mean() for where in np.nonzero(picture > 200))
    assert row < picture.shape[0] / 3 and column > picture.shape[1] * 2 / 3


def test_a_case_is_written_as_one_picture(tmp_path):
    for role, seed in (("fixed", 0), ("moving", 1)):
        write_scan(tmp_path / "ann" / f"{role}.nii.gz", seed)
    case = open_dataset(tmp_path).cases[0]
    write_thumbnail(tmp_path / "ann.png", case)
    picture = imread(tmp_path / "ann.png")
    assert picture.ndim == 2 and SIDE < picture.shape[1] <= 2 * SIDE + 2
    assert not np.array_equal(picture[:, :20], picture[:, -20:])
