import numpy as np
import pytest
from scipy import ndimage

from registration_cases import direction, grid_about, inverse_of, picture
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration import alignment
from RobustDIRLib.registration.alignment import KINDS, align, centre_of_mass, overlap
from RobustDIRLib.registration.linear import IDENTITY, Linear
from RobustDIRLib.registration.preprocessing import normalise

FIXED_GRID = grid_about(np.array([2.0, -3, 4]), (38, 30, 34), (2.6, 2.4, 2.7), (12, -8, 20), (1, -1, 1))
OTHER_CONTRAST = (0.9, -0.5, 0.05, -0.7, -0.4)


def linear_about(angles, scale, shift) -> Linear:
    return Linear(np.array(direction(angles)) @ np.diag(scale), np.array(shift, float))


def moving_by(linear: Linear, **kwargs) -> Image:
    """The scene after a linear transform, on a grid that shares nothing with the fixed one."""
    grid = grid_about(linear.offset + [3, -2, 1], (32, 40, 36), (2.5, 2.8, 2.3), (-10, 25, 8), (-1, 1, 1))
    return scaled(picture(grid, inverse_of(linear), noise=0.01, **kwargs))


def scaled(image: Image) -> Image:
    return normalise(image, PRESETS["generic"])


def worst(found: Linear, true: Linear) -> float:
    """Largest distance, mm, over points of the scene's body."""
    points = np.random.default_rng(0).uniform(-25, 25, (200, 3))
    return float(np.linalg.norm(found(points) - true(points), axis=1).max())


@pytest.fixture(scope="module")
def fixed() -> Image:
    return scaled(picture(FIXED_GRID))


class TestRecovery:
    @pytest.mark.parametrize("axis", range(3))
    def test_rotation_about_each_axis(self, fixed, axis):
        true = linear_about(tuple(18 * (axis == a) for a in range(3)), (1, 1, 1), (4, -6, 5))
        assert worst(align(fixed, moving_by(true), "rigid").linear, true) < 2.5

    @pytest.mark.parametrize("axis", range(3))
    def test_scale_along_each_axis(self, fixed, axis):
        true = linear_about((0, 0, 0), tuple(1.15 if axis == a else 1.0 for a in range(3)), (5, 3, -4))
        assert worst(align(fixed, moving_by(true)).linear, true) < 1.2

    def test_far_apart_in_space(self, fixed):
        true = linear_about((8, -5, 10), (1.05, 0.95, 1.1), (310, -220, 95))
        assert worst(align(fixed, moving_by(true)).linear, true) < 1.2

    def test_another_contrast(self, fixed):
        true = linear_about((6, 9, -7), (1.08, 0.96, 1.0), (6, -4, 3))
        assert worst(align(fixed, moving_by(true, values=OTHER_CONTRAST)).linear, true) < 3

    def test_direction_is_fixed_to_moving(self, fixed):
        true = linear_about((0, 0, 0), (1, 1, 1), (14, 0, 0))
        found = align(fixed, moving_by(true), "centre")
        np.testing.assert_allclose(found.linear.offset, true.offset, atol=1)
        np.testing.assert_allclose(found.transform.TransformPoint((1.0, 2.0, 3.0)), found.linear(np.array([1, 2, 3.0])))


class TestNoHarm:
    def test_images_in_one_space_stay_where_they_are(self, fixed):
        assert worst(align(fixed, moving_by(IDENTITY)).linear, IDENTITY) < 0.6

    def test_an_image_stays_on_itself(self, fixed):
        assert worst(align(fixed, fixed).linear, IDENTITY) < 0.3

    def test_cut_field_of_view_does_not_stretch(self, fixed):
        keep = slice(12, None)
        grid = fixed.grid.padded((-12, 0, 0), (0, 0, 0))
        cut = Image(fixed.array[keep], grid)
        assert worst(align(fixed, cut).linear, IDENTITY) < 1.0

    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            (Linear(np.eye(3) * 1.4, np.zeros(3)), "volume would change by a factor of 2.74"),
            (Linear(np.diag([1, 1, -1.0]), np.zeros(3)), "volume would change by a factor of -1"),
            (Linear(np.eye(3), np.array([95.0, 0, 0])), "overlap was lost"),
            (Linear(np.eye(3), np.array([9.0, -7, 8])), "no clear gain"),
            (None, "optimiser failed"),
        ],
        ids=["grown", "mirrored", "lost", "worse", "failed"],
    )
    def test_absurd_or_worse_stages_are_dropped(self, fixed, monkeypatch, found, reason):
        monkeypatch.setattr(alignment, "_optimise", lambda *_: found)
        result = align(fixed, moving_by(IDENTITY))
        dropped = [stage for stage in result.stages if stage.name in ("rigid", "affine")]
        assert [stage.kept for stage in dropped] == [False, False]
        assert all(reason in stage.reason for stage in dropped)
        assert worst(result.linear, IDENTITY) < 2


class TestNone:
    def test_none_leaves_the_images_as_they_lie(self, fixed):
        result = align(fixed, moving_by(IDENTITY), "none")
        assert result.linear is IDENTITY
        assert result.stages == ()
        assert 0.5 < result.overlap <= 1

    def test_none_refuses_images_that_share_no_space(self, fixed):
        apart = moving_by(Linear(np.eye(3), np.array([400.0, 0, 0])))
        with pytest.raises(InputError, match=r"share no space, their centres lie 40\d mm apart"):
            align(fixed, apart, "none")


class TestRepeat:
    def test_same_input_same_output_bit_by_bit(self, fixed):
        moving = moving_by(linear_about((5, 8, -3), (1.1, 1, 0.95), (9, 2, -3)))
        first, second = align(fixed, moving), align(fixed, moving)
        np.testing.assert_array_equal(first.linear.matrix, second.linear.matrix)
        np.testing.assert_array_equal(first.linear.offset, second.linear.offset)


def test_kinds_run_their_stages(fixed):
    moving = moving_by(IDENTITY)
    names = {kind: [s.name for s in align(fixed, moving, kind).stages] for kind in ("centre", "rigid", "affine")}
    assert names["centre"] == ["centre of mass"]
    assert names["rigid"][-1] == "rigid"
    assert names["affine"][-2:] == ["rigid", "affine"]


def test_unknown_kind_is_refused_with_the_known_ones(fixed):
    with pytest.raises(InputError, match=f"`alignment` afine.*{', '.join(KINDS)}"):
        align(fixed, fixed, "afine")


@pytest.mark.parametrize("values", [(0.4, 0.5, -0.3, 0.6, 0.3), OTHER_CONTRAST])
def test_centre_of_mass_hardly_depends_on_contrast(values):
    assert np.linalg.norm(centre_of_mass(scaled(picture(FIXED_GRID, values=values)))) < 4


def test_overlap_is_the_share_of_the_smaller_image():
    large, small = Grid((40, 40, 40)), Grid((20, 20, 20), origin=(30, 10, 10))
    assert overlap(large, small) == pytest.approx(0.5, abs=0.05)
    assert overlap(small, large) == pytest.approx(0.5, abs=0.05)
    assert overlap(large, Grid((40, 40, 40), origin=(100, 0, 0))) == 0


def test_overlap_counts_volumes_where_the_fixed_image_lies():
    """A transform that doubles lengths brings the moving image onto an eighth of its volume there, all of it shared."""
    grid = Grid((40, 44, 36), (1, 1.5, 2))
    doubled = Linear(np.diag([2.0, 2, 2]), np.zeros(3))
    assert overlap(grid, grid, doubled) == pytest.approx(1, abs=0.1)
    assert overlap(grid, grid, doubled.inverse()) == pytest.approx(1, abs=0.1)
    aside = Linear(
        np.diag([2.0, 2, 2]), np.array([-27.0, 0, 0])
    )  # three quarters of it beyond the fixed image's border
    assert overlap(grid, Grid(grid.shape, grid.spacing, (-54, 0, 0)), aside) == pytest.approx(0.25, abs=0.1)


class TestMirrored:
    """A body that is nearly its own mirror image along one axis of its grid, as a chest is."""

    @pytest.mark.parametrize("axis", range(3))
    @pytest.mark.parametrize("contrast", [1, -1], ids=["same", "opposite"])
    def test_a_mirrored_image_is_noticed_whichever_axis_was_turned_over(self, axis, contrast):
        body = nearly_symmetric(axis)
        other = np.where(body > -0.9, contrast * body, -1)
        for moving, mirrored in ((other, False), (np.flip(other, axis), True)):
            moving = Image(np.ascontiguousarray(moving), FIXED_GRID)
            assert (
                alignment._seems_mirrored(alignment._CoarsePair(Image(body, FIXED_GRID), moving), IDENTITY) is mirrored
            )

    @pytest.mark.parametrize("axis", [0, 2])
    def test_an_alignment_says_so_but_not_of_an_axis_that_runs_backwards_in_the_file(self, axis):
        body = nearly_symmetric(axis)
        flipped = np.ascontiguousarray(np.flip(body, axis))
        assert align(Image(body, FIXED_GRID), Image(flipped, FIXED_GRID), "rigid").mirrored
        assert not align(Image(body, FIXED_GRID), Image(flipped, turned_over(FIXED_GRID, axis)), "rigid").mirrored


def nearly_symmetric(axis: int) -> np.ndarray:
    """An ellipsoid of texture, half of which is the same on both sides."""
    texture = ndimage.gaussian_filter(np.random.default_rng(axis).normal(size=FIXED_GRID.shape), 2.5)
    texture = texture / np.abs(texture).max()
    both = 1.5 * texture + 0.5 * np.flip(texture, axis)
    places = np.moveaxis(np.indices(FIXED_GRID.shape), 0, -1) / (np.array(FIXED_GRID.shape) - 1) - 0.5
    inside = np.square(places / (0.36, 0.42, 0.3)).sum(-1) < 1
    return np.where(inside, np.clip(both, -0.85, 1), -1).astype(np.float32)


def turned_over(grid: Grid, axis: int) -> Grid:
    """The grid of the same space whose array axis runs backwards."""
    axes = np.array(grid.direction)
    axes[:, 2 - axis] *= -1
    last = np.zeros(3)
    last[axis] = grid.shape[axis] - 1
    return Grid(grid.shape, grid.spacing, tuple(grid.points_from_voxels(last)), tuple(map(tuple, axes)))
