import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from registration_cases import grid_about, inverse_of, picture
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.poses import (
    Poses,
    PoseScore,
    angles,
    best_apart,
    binned,
    evenly_spread_rotations,
    improved,
    mutual_information,
    quarter_turns,
)

CENTRE = np.array([3.0, -2, 5])
TARGET = np.array([40.0, 7, -15])
TURN = Rotation.from_euler("xyz", (70, -25, 130), degrees=True).as_matrix()
TRUE = Poses(TURN[None], np.ones(1), TARGET[None], CENTRE)
FIXED = picture(grid_about(CENTRE, (26, 20, 23), (3.4, 3.6, 3.3), (12, -8, 20), (1, -1, 1)))


def linear(poses: Poses, index: int = 0) -> Linear:
    return Linear(poses.matrices[index], poses.offsets[index])


def moving(shape=(34, 30, 37), values=(0.9, -0.5, 0.05, -0.7, -0.4)):
    """The scene turned, in another contrast; larger than the fixed image unless asked otherwise."""
    return picture(grid_about(TARGET, shape, (3.1, 2.9, 3.2), (-40, 5, 8)), inverse_of(linear(TRUE)), values=values)


def off_by(degrees: float, shift: tuple[float, float, float]) -> Poses:
    turn = Rotation.from_euler("zyx", (degrees, -degrees / 2, 0), degrees=True).as_matrix()
    return Poses((turn @ TURN)[None], np.ones(1), (TARGET + shift)[None], CENTRE)


def test_a_pose_turns_scales_and_shifts_about_its_centre():
    poses = Poses(TURN[None], np.array([0.8]), TARGET[None], CENTRE)
    np.testing.assert_allclose(linear(poses)(CENTRE), TARGET)
    step = np.array([1.0, 2, 3])
    np.testing.assert_allclose(linear(poses)(CENTRE + step) - TARGET, 0.8 * TURN @ step)


@pytest.mark.parametrize("rotations", [quarter_turns(), evenly_spread_rotations(300)], ids=["cube", "spread"])
def test_rotations_mirror_nothing(rotations):
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )


def test_no_rotation_lies_far_from_all_of_those_spread():
    spread = evenly_spread_rotations(480)
    any_rotation = Rotation.random(200, random_state=1).as_matrix()
    nearest = [angles(spread, rotation).min() for rotation in any_rotation]
    assert max(nearest) < 30
    assert np.median(nearest) < 18


def test_the_24_turns_of_a_cube_are_all_different():
    turns = quarter_turns()
    apart = np.array([angles(turns, turn) for turn in turns])
    assert len(turns) == 24
    assert apart[~np.eye(24, dtype=bool)].min() > 89


def test_mutual_information_knows_renamed_bins_from_unrelated_ones():
    renamed = np.eye(4)[[2, 0, 3, 1]] / 4
    unrelated = np.full((4, 4), 1 / 16)
    constant = np.zeros((4, 4))
    constant[1, 2] = 1
    np.testing.assert_allclose(mutual_information(np.stack([renamed, unrelated, constant])), [1, 0, 0], atol=1e-6)


def test_bins_cover_the_normalised_range():
    np.testing.assert_array_equal(binned(np.array([-1.0, -0.51, -0.49, 0.99, 1.0]), 4), [0, 0, 1, 3, 3])


class TestScore:
    @pytest.mark.parametrize("shape", [(34, 30, 37), (17, 19, 15)], ids=["larger moving image", "smaller moving image"])
    def test_right_pose_scores_best(self, shape):
        score = PoseScore(FIXED, moving(shape), 4000)
        wrong = [off_by(25, (0, 0, 0)), off_by(0, (12, 0, 0)), off_by(0, (0, 0, -12)), off_by(180, (0, 0, 0))]
        right = score(TRUE)[0]
        assert all(right > 1.2 * score(poses)[0] for poses in wrong)

    def test_exchanging_the_images_hardly_changes_it(self):
        other = moving()
        back = inverse_of(linear(TRUE))
        backwards = Poses(back.matrix[None], np.ones(1), back.offset[None], np.zeros(3))
        assert PoseScore(FIXED, other, 4000)(TRUE)[0] == pytest.approx(
            PoseScore(other, FIXED, 4000)(backwards)[0], rel=1e-6
        )

    def test_images_that_miss_each_other_score_nothing(self):
        assert PoseScore(FIXED, moving(), 4000)(off_by(0, (300, 0, 0)))[0] == 0


def test_climbing_reaches_the_pose_and_never_descends():
    score = PoseScore(FIXED, moving(), 6000)
    starts = off_by(0, (0, 0, 0)).joined(off_by(16, (6, -5, 4))).joined(off_by(-18, (-4, 6, 3)))
    before = score(starts)
    reached, after = improved(score, starts, (12, 8, 5, 3, 1.5), radius=30)
    np.testing.assert_allclose(after, score(reached))
    assert (after >= before).all()
    assert angles(reached.rotations, TURN).max() < 5
    assert np.linalg.norm(reached.targets - TARGET, axis=1).max() < 3


def test_best_apart_skips_what_leads_to_the_same_place():
    poses = (
        off_by(0, (0, 0, 0)).joined(off_by(3, (1, 0, 0))).joined(off_by(0, (50, 0, 0))).joined(off_by(90, (0, 0, 0)))
    )
    np.testing.assert_array_equal(best_apart(poses, np.array([0.9, 1.0, 0.2, 0.5]), 4, 20, 30), [1, 3, 2])
    np.testing.assert_array_equal(best_apart(poses, np.array([0.9, 1.0, 0.2, 0.5]), 1), [1])
