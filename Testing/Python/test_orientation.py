from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from registration_cases import grid_about, inverse_of, picture, points_of
from RobustDIRLib.geometry import Array, Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.alignment import align, centre_of_mass
from RobustDIRLib.registration.linear import Linear, LinearAlignment
from RobustDIRLib.registration.orientation import _PoseSearch, find_orientation, foreground
from RobustDIRLib.registration.preprocessing import normalise

OTHER_CONTRAST = (0.9, -0.5, 0.05, -0.7, -0.4)


def scaled(image: Image) -> Image:
    return normalise(image, PRESETS["generic"])


FIXED = scaled(picture(grid_about(np.array([2.0, -3, 4]), (30, 24, 27), (3.4, 3.1, 3.5), (12, -8, 20), (1, -1, 1))))


def turned_by(turn: tuple, shift=(30.0, -20, 10), scale: float = 1.0) -> Linear:
    matrix = scale * Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    return Linear(matrix, np.array(shift))


def moving_by(true: Linear, shape=(33, 36, 34), spacing=(3.1, 3.4, 2.9), middle=(0, 0, 0), **kwargs) -> Image:
    grid = grid_about(true(np.array(middle, float)), shape, spacing, (-10, 25, 8), (-1, 1, 1))
    return scaled(picture(grid, inverse_of(true), noise=0.01, **kwargs))


def worst(found: Linear, true: Linear) -> float:
    points = np.random.default_rng(0).uniform(-25, 25, (200, 3))
    return float(np.linalg.norm(found(points) - true(points), axis=1).max())


def start(fixed: Image, moving: Image, rigid: bool = False) -> Linear | None:
    offsets = [np.zeros(3), centre_of_mass(moving) - centre_of_mass(fixed)]
    found = find_orientation(fixed, moving, offsets, rigid)
    return None if found is None else Linear(found.matrix, found.offset)


@cache
def turned(turn: tuple) -> tuple[Linear, Image, LinearAlignment]:
    """How the moving image lies, that image, and its alignment with `FIXED`, which takes seconds."""
    true = turned_by(turn)
    moving = moving_by(true)
    return true, moving, align(FIXED, moving)


class TestAnyRotation:
    @pytest.mark.parametrize("turn", [(180, 0, 0), (0, -90, 0), (0, 0, 135)], ids=str)
    def test_about_each_axis(self, turn):
        true, _, found = turned(turn)
        assert worst(found.linear, true) < 2.5

    @pytest.mark.parametrize("seed", range(2))
    def test_about_any_axis_in_another_contrast(self, seed):
        turn = tuple(Rotation.random(random_state=seed).as_euler("xyz", degrees=True))
        true = turned_by(turn, shift=(200, 50, -90))
        assert worst(align(FIXED, moving_by(true, values=OTHER_CONTRAST)).linear, true) < 4

    def test_rigid_stays_rigid(self):
        true = turned_by((20, 110, -60))
        found = align(FIXED, moving_by(true), "rigid").linear
        np.testing.assert_allclose(found.matrix @ found.matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(found.matrix) == pytest.approx(1)
        assert worst(found, true) < 2.5

    def test_of_an_image_of_another_size(self):
        true = turned_by((40, -120, 75), scale=0.62)
        moving = moving_by(true, spacing=(2.1, 2.2, 1.9))
        assert worst(align(FIXED, moving).linear, true) < 3
        matrix = start(FIXED, moving, rigid=True).matrix
        assert np.linalg.det(matrix) == pytest.approx(1)

    def test_exchanging_the_images_gives_the_inverse(self):
        _, moving, found = turned((160, 35, -80))
        there, back = found.linear, align(moving, FIXED).linear
        assert worst(Linear(back.matrix @ there.matrix, back(there.offset)), Linear(np.eye(3), np.zeros(3))) < 3

    @pytest.mark.parametrize("swapped", [False, True], ids=["part is moving", "part is fixed"])
    def test_of_a_part_of_the_whole(self, swapped):
        true = turned_by((-100, 15, 140))
        part = moving_by(true, shape=(19, 21, 20), middle=(6, 4, 14))
        found = start(part, FIXED) if swapped else start(FIXED, part)
        assert worst(found, inverse_of(true) if swapped else true) < 16

    def test_repeats_bit_by_bit(self):
        moving = moving_by(turned_by((160, 35, -80)))
        first, second = start(FIXED, moving), start(FIXED, moving)
        np.testing.assert_array_equal(first.matrix, second.matrix)
        np.testing.assert_array_equal(first.offset, second.offset)


# Shells of bone: centre and radii, mm, and how bright. Nothing is symmetric.
SHELLS = (
    ((0, 8, 0), (17, 20, 15), 1.0),
    ((0, -22, -5), (8, 20, 7), 1.0),
    ((11, -2, -9), (6, 9, 5), 0.8),
    ((-13, 2, 6), (5, 5, 9), 0.9),
)


def skull(points: Array) -> Array:
    """A skull-like thing of shells a mm thick, at points `(..., 3)`, mm."""
    shells = []
    for centre, radii, value in SHELLS:
        distance = np.linalg.norm((points - np.array(centre)) / np.array(radii), axis=-1)
        shells.append(value * np.exp(-(((distance - 1) * min(radii) / 1.5) ** 2)))
    return np.max(shells, axis=0)


@pytest.mark.parametrize(("seed", "degrees"), [(32, 52), (58, 66)])
def test_thin_shells_of_two_animals_are_turned_although_an_unturned_pose_stands_out(seed, degrees):
    axis = Rotation.random(random_state=seed).as_rotvec()
    matrix = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    true = Linear(matrix, np.array([30.0, -20, 10]))
    here = grid_about(np.array([1.0, -3, 2]), (44, 56, 48), (1.3, 1.4, 1.2), (12, -8, 20), (1, -1, 1))
    there = grid_about(true(np.zeros(3)), (50, 52, 58), (1.3, 1.2, 1.3), (-10, 25, 8), (-1, 1, 1))
    points = inverse_of(true)(points_of(there))
    points = points + 2.5 * np.sin(points[..., [1, 2, 0]] / 7 + np.array([0.3, 1.1, 2.0]))  # another animal
    fixed = scaled(Image(skull(points_of(here)).astype(np.float32), here))
    found = start(fixed, scaled(Image(skull(points).astype(np.float32), there)))
    assert found is not None
    assert worst(found, true) < 14  # unturned, 40 and more


class TestNoHarm:
    @pytest.mark.parametrize("turn", [(0, 0, 0), (15, 0, 0), (0, -20, 0), (0, 0, 25)], ids=str)
    @pytest.mark.parametrize("values", [None, OTHER_CONTRAST], ids=["same contrast", "other contrast"])
    def test_what_matches_unturned_is_not_turned(self, turn, values):
        kwargs = {} if values is None else {"values": values}
        assert start(FIXED, moving_by(turned_by(turn), **kwargs)) is None

    def test_a_mirrored_image_is_never_mirrored_back(self):
        mirrored = Linear(np.diag([-1.0, 1, 1]), np.zeros(3))
        found = start(FIXED, moving_by(mirrored))
        assert found is None or np.linalg.det(found.matrix) > 0

    def test_images_without_content_are_left_as_they_lie(self):
        blank = Image(np.full((9, 8, 10), -1, np.float32), Grid((9, 8, 10), (3, 4, 5)))
        assert start(blank, blank) is None

    def test_the_record_says_what_was_found(self):
        for turn, kept, reason in (((180, 0, 0), True, "turned by 1"), ((0, 0, 0), False, "best without being turned")):
            stages = {stage.name: stage for stage in turned(turn)[2].stages}
            assert stages["orientation"].kept is kept
            assert reason in stages["orientation"].reason
            assert sum(stage.kept for name, stage in stages.items() if name not in ("rigid", "affine")) == 1


def test_foreground_of_a_box():
    array = np.full((20, 24, 22), -1.0, np.float32)
    array[4:14, 6:12, 10:18] = 0.7
    grid = grid_about(np.array([10.0, 20, 30]), array.shape, (1.5, 2, 3), (30, 10, -20))
    found = foreground(Image(array, grid))
    np.testing.assert_allclose(found.centre, grid.points_from_voxels([8.5, 8.5, 13.5]), atol=1e-6)
    sides = np.array([10 * 3, 6 * 2, 8 * 1.5]) ** 2 - np.array([3, 2, 1.5]) ** 2
    assert found.radius == pytest.approx(np.sqrt(sides.sum() / 12))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_small_image_of_something_large_takes_no_more_voxels_than_can_be_searched(swapped):
    """A box of 12 mm in a body of 200: in twelfths of its side the body would have eight million voxels, 96 times."""
    small, large = (Image(np.zeros(shape), Grid(shape, spacing)) for shape, spacing in
                    (((4, 5, 6), (2, 3, 2.5)), ((20, 25, 22), (9, 8, 10))))  # fmt: skip
    pair = (large, small) if swapped else (small, large)
    search = _PoseSearch(*pair, rigid=True)
    for image in search._coarse(12):
        assert image.array.size < 1.3 * (3 * 12) ** 3
    alike = _PoseSearch(large, large, rigid=True)
    assert alike._coarse(12)[0].array.size == pytest.approx(12**3, rel=0.15)
