import numpy as np
import pytest
from scipy.ndimage import center_of_mass, gaussian_filter

from registration_cases import grid_about, picture, points_of
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.presets import PRESETS, find_preset
from RobustDIRLib.registration.devices import repeatable
from RobustDIRLib.registration.linear import Linear
from RobustDIRLib.registration.preprocessing import (
    BACKGROUND,
    VOXEL_BUDGET,
    as_seen_and_detailed,
    automatic_spacing,
    check_hounsfield,
    inside,
    meant_for,
    native_spacing,
    normalise,
    percentile_window,
    prepare_mask,
    sharpening,
    smooth,
    smoothing_sigmas,
    to_working_grid,
    wanted_spacing,
    working_grid,
)

GENERIC, LUNG, BRAIN = PRESETS["generic"], PRESETS["lung-ct"], PRESETS["brain-mri"]


def outer_corners(grid: Grid) -> np.ndarray:
    sides = [(-0.5, n - 0.5) for n in grid.shape]
    return grid.points_from_voxels(np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3))


class TestPresets:
    def test_lung_ct_is_section_2_3_2(self):
        assert (LUNG.spacing, LUNG.window) == (1.5, (-1000, 200))

    def test_brain_mri_is_section_2_3_3(self):
        assert (BRAIN.spacing, BRAIN.window) == (1.0, None)

    def test_unknown_preset_is_refused_with_the_known_ones(self):
        with pytest.raises(InputError, match="`preset` lung.*generic, lung-ct, brain-mri"):
            find_preset("lung")


class TestWorkingGrid:
    @pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
    @pytest.mark.parametrize("coarsening", [1.0, 1.6])
    def test_covers_the_same_outer_borders_in_the_same_direction(self, oblique_grid, preset, coarsening):
        working = working_grid(oblique_grid, preset, coarsening)
        assert working.direction == oblique_grid.direction
        np.testing.assert_allclose(outer_corners(working), outer_corners(oblique_grid), atol=1e-9)

    @pytest.mark.parametrize(("preset", "spacing"), [(LUNG, 1.5), (BRAIN, 1.0)])
    def test_spacing_is_the_presets_as_near_as_whole_voxels_allow(self, preset, spacing):
        fixed = grid_about(np.array([5, -3, 80]), (47, 203, 181), (0.8, 0.71, 3.0), (4, -7, 12))
        working = working_grid(fixed, preset)
        np.testing.assert_allclose(working.spacing, spacing, rtol=0.5 / min(working.shape))

    @pytest.mark.parametrize("spacing", [(1.2, 2.5, 4.0), (2.5, 4.0, 1.2), (4.0, 1.2, 2.5)])
    def test_automatic_voxels_are_a_little_finer_than_the_finest_side(self, spacing):
        fixed = grid_about(np.zeros(3), (40, 47, 35), spacing, (20, -8, 5))
        assert automatic_spacing(fixed) == pytest.approx(0.75 * 1.2)
        np.testing.assert_allclose(working_grid(fixed, GENERIC).spacing, 0.9, rtol=0.02)

    @pytest.mark.parametrize("spacing", [(5.0, 5.5, 6.0), (5.5, 6.0, 5.0), (6.0, 5.0, 5.5)])
    def test_no_preset_makes_voxels_far_finer_than_the_images(self, spacing):
        fixed = grid_about(np.zeros(3), (40, 47, 35), spacing, (20, -8, 5))
        np.testing.assert_allclose(working_grid(fixed, LUNG).spacing, 0.75 * 5.0, rtol=0.02)
        assert wanted_spacing(fixed, LUNG) == 0.75 * 5.0
        assert meant_for(fixed, LUNG) == 2.0

    def test_a_spacing_that_was_asked_for_holds_however_coarse_the_image(self):
        fixed = grid_about(np.zeros(3), (40, 47, 35), (5.0, 5.5, 6.0), (20, -8, 5))
        np.testing.assert_allclose(working_grid(fixed, LUNG, spacing=2.1).spacing, 2.1, rtol=0.02)
        np.testing.assert_allclose(working_grid(fixed, GENERIC, 1.5, 2.1).spacing, 3.15, rtol=0.02)

    def test_native_voxels_are_as_many_as_the_image_has(self):
        fixed = Grid((26, 190, 160), (1.3, 1.3, 5.0))
        assert native_spacing(fixed) == pytest.approx((1.3 * 1.3 * 5.0) ** (1 / 3))
        assert native_spacing(Grid((400, 512, 512), (1, 1, 1))) == pytest.approx((400 * 512 * 512) ** (1 / 3) / 192)

    def test_large_image_stays_within_the_budget(self):
        fixed = Grid((400, 512, 512), (0.7, 0.7, 1.0))
        assert np.prod(working_grid(fixed, GENERIC).shape) == pytest.approx(VOXEL_BUDGET, rel=0.02)

    def test_no_side_becomes_too_short_for_a_network(self):
        assert min(working_grid(Grid((9, 300, 300), (1, 1, 1)), LUNG).shape) == 8


class TestNormalise:
    def test_hounsfield_window_clips_and_scales(self, oblique_grid):
        hu = np.linspace(-3024, 1500, np.prod(oblique_grid.shape), dtype=np.float32).reshape(oblique_grid.shape)
        scaled = normalise(Image(hu, oblique_grid), LUNG).array
        np.testing.assert_allclose(scaled, np.clip((hu + 400) / 600, -1, 1), atol=1e-6)
        assert scaled.dtype == np.float32

    def test_percentiles_are_of_the_foreground_alone(self):
        tissue = np.random.default_rng(1).uniform(300, 700, 5000)
        padded = np.concatenate([np.zeros(95000), tissue])
        low, high = np.percentile(tissue, (0.5, 99.5))
        assert percentile_window(padded) == pytest.approx((low, high))

    def test_scaling_is_the_same_for_any_unit(self, an_image):
        other = Image(an_image.array * 3071 - 1024, an_image.grid)
        np.testing.assert_allclose(normalise(an_image, GENERIC).array, normalise(other, GENERIC).array, atol=1e-4)

    def test_few_bright_voxels_do_not_compress_the_rest(self, an_image):
        spiked = an_image.array.copy()
        spiked[3, 4, 5] = 1e6
        difference = normalise(Image(spiked, an_image.grid), GENERIC).array - normalise(an_image, GENERIC).array
        assert np.abs(np.delete(difference.ravel(), np.ravel_multi_index((3, 4, 5), spiked.shape))).max() < 0.02

    def test_two_valued_image_becomes_minus_one_and_one(self, oblique_grid):
        array = np.zeros(oblique_grid.shape, np.float32)
        array[2:5, 3:9, 4:20] = 7
        assert set(np.unique(normalise(Image(array, oblique_grid), GENERIC).array)) == {-1.0, 1.0}

    def test_what_lies_outside_the_mask_does_not_count(self, an_image):
        held = an_image.array > 0.4
        bright_outside = np.where(held, an_image.array, an_image.array + 50)
        mask = Image(held.astype(np.uint8), an_image.grid)
        scaled = normalise(Image(bright_outside, an_image.grid), GENERIC, mask)
        assert (scaled.array[held].min(), scaled.array[held].max()) == pytest.approx((-1, 1))
        assert scaled.array[~held] == pytest.approx(1)  # brighter than the window
        blanked = inside(scaled, mask).array
        assert (blanked[~held] == BACKGROUND).all()
        np.testing.assert_array_equal(blanked[held], scaled.array[held])
        assert inside(scaled, None) is scaled


class TestResampling:
    @pytest.mark.parametrize("axis", range(3))
    def test_stripes_finer_than_the_grid_vanish_instead_of_aliasing(self, axis):
        grid = Grid((48, 48, 48), (0.5, 0.5, 0.5))
        stripes = np.sin(2 * np.pi * np.indices(grid.shape)[axis] / 2.3).astype(np.float32)
        coarse = to_working_grid(Image(stripes, grid), grid.resized((16, 16, 16))).array
        assert np.abs(coarse[2:-2, 2:-2, 2:-2]).max() < 0.1
        assert np.abs(resample(Image(stripes, grid), grid.resized((16, 16, 16))).array).max() > 0.5

    def test_only_finer_axes_are_smoothed(self):
        grid = Grid((40, 60, 20), (4.0, 0.5, 1.0))  # along x, y, z
        z, y, x = smoothing_sigmas(grid, 2.0)
        assert x == 0
        assert y > z > 0
        # A box of side s has the variance s^2 / 12: the old voxel's and the Gaussian's together make the new one's.
        for sigma, side in ((y, 0.5), (z, 1.0)):
            assert side**2 / 12 + (sigma * side) ** 2 == pytest.approx(2.0**2 / 12)
        noise = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
        smoothed = smooth(Image(noise, grid), 2.0).array
        lag = [np.corrcoef(smoothed.take(range(n - 1), a).ravel(), smoothed.take(range(1, n), a).ravel())[0, 1]
               for a, n in enumerate(grid.shape)]  # fmt: skip
        assert abs(lag[2]) < 0.05
        assert lag[1] > lag[0] > 0.2

    @pytest.mark.parametrize("threads", [1, 3, 64])
    def test_threads_smooth_as_scipy_does(self, threads):
        grid = Grid((21, 34, 13), (0.5, 1.0, 0.7))
        noise = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)
        before = noise.copy()
        expected = gaussian_filter(noise, smoothing_sigmas(grid, 2.0), mode="nearest", truncate=3.0)
        with repeatable(threads):
            np.testing.assert_array_equal(smooth(Image(noise, grid), 2.0).array, expected)
        np.testing.assert_array_equal(noise, before)

    def test_fixed_image_is_left_alone_on_its_own_grid(self, an_image):
        assert to_working_grid(an_image, an_image.grid) is an_image

    def test_moving_lies_on_the_working_grid_where_the_alignment_says(self):
        linear = Linear(np.array([[0.9, 0.1, 0], [-0.2, 1.1, 0.05], [0, 0.1, 0.95]]), np.array([120.0, -30, 15]))
        fixed = grid_about(np.zeros(3), (40, 52, 44), (2.1, 1.8, 2.4), (10, -20, 5), (1, -1, 1))
        moving = grid_about(linear.offset, (60, 56, 64), (1.9, 2.2, 2.0), (-15, 8, 30))
        seen = picture(moving, lambda p: (p - linear.offset) @ np.linalg.inv(linear.matrix).T)
        working = working_grid(fixed, GENERIC)
        result = to_working_grid(seen, working, linear.transform)
        expected = picture(working)
        inside = moving.contains(linear(points_of(working)))
        assert np.abs(result.array - expected.array)[inside].mean() < 0.01
        np.testing.assert_allclose(
            center_of_mass(result.array * inside), center_of_mass(expected.array * inside), atol=0.2
        )

    def test_beyond_the_moving_image_lies_background(self, an_image):
        far = Linear(np.eye(3), np.array([500.0, 0, 0]))
        assert (to_working_grid(an_image, an_image.grid, far.transform).array == BACKGROUND).all()


def _bumps(points: np.ndarray) -> np.ndarray:
    """A scene of waves some six voxels long, another along every axis of the world, in [-1, 1]."""
    x, y, z = np.moveaxis(points, -1, 0)
    return 0.4 * np.sin(x / 2.0 + 0.3) + 0.35 * np.cos(y / 2.3 + x / 9) + 0.2 * np.sin(z / 2.6 - y / 8)


class TestSharpening:
    LINEAR = Linear(np.array([[0.99, 0.1, 0], [-0.1, 0.98, 0.05], [0, -0.05, 1.01]]), np.array([20.0, -3, 5]))
    OWN = grid_about(np.array([5.0, 2, -3]), (31, 37, 29), (2.0, 1.9, 2.2), (10, -20, 5), (1, -1, 1))

    def working(self, own: Grid) -> Grid:
        return working_grid(own, LUNG)

    @pytest.mark.parametrize("aligned", [False, True])
    def test_splines_keep_what_linear_interpolation_blurs(self, aligned):
        fixed, transform = self.working(self.OWN), self.LINEAR.transform if aligned else None
        place = self.LINEAR if aligned else lambda p: p
        own = (
            grid_about(self.LINEAR(np.array([5.0, 2, -3])), (45, 47, 49), (1.9, 2.1, 2.0), (-5, 8, 12))
            if aligned
            else self.OWN
        )
        image = Image(_bumps(points_of(own)).astype(np.float32), own)
        truth = _bumps(place(points_of(fixed)))
        inner = (slice(6, -6),) * 3
        seen, detailed = as_seen_and_detailed(image, fixed, 1e-9, transform)
        np.testing.assert_array_equal(seen.array, to_working_grid(image, fixed, transform).array)
        blurred, kept = (np.abs(one.array - truth)[inner].mean() for one in (seen, detailed))
        assert kept < 0.25 * blurred
        assert kept < 0.01

    @pytest.mark.parametrize("axis", range(3))
    def test_fine_detail_is_raised_more_than_coarse_and_nothing_is_moved(self, axis):
        fixed = self.working(self.OWN)
        along = np.array(fixed.direction)[:, 2 - axis]

        def wave(length: float, shift: float = 0.0) -> np.ndarray:
            return np.sin(2 * np.pi * (points_of(fixed) @ along / length + 0.07 + shift)).astype(np.float32) / 3

        inner, gains = (slice(5, -5),) * 3, []
        for length in (6.0, 18.0):
            found = as_seen_and_detailed(Image(wave(length), fixed), fixed, 1.0)[1].array[inner].ravel()
            parts = np.stack([wave(length)[inner].ravel(), wave(length, 0.25)[inner].ravel()], -1)
            gain, off = np.linalg.lstsq(parts, found, rcond=None)[0]
            assert abs(off) < 0.005 * gain
            gains.append(gain)
        assert gains[0] > 1.2 > gains[1] > 1

    def test_is_for_the_kinds_that_it_helps_and_for_voxels_as_fine_as_they_are_meant_to_be(self):
        fine, thick, coarse = (
            Grid((90, 80, 70), spacing) for spacing in ((2.0,) * 3, (2.0, 2.0, 3.0), (5.0, 5.0, 6.0))
        )
        assert sharpening(LUNG, (fine, thick)) == sharpening(LUNG, (fine, fine)) == LUNG.sharpening > 0
        assert sharpening(LUNG, (fine, coarse)) == sharpening(LUNG, (coarse, fine)) == 0
        assert sharpening(GENERIC, (fine, fine)) == sharpening(BRAIN, (fine, fine)) == 0


class TestMasks:
    def test_mask_on_another_grid_is_resampled_with_a_word(self, an_image, other_grid):
        said: list[str] = []
        everywhere = Image(np.ones(other_grid.shape, np.uint8), other_grid)
        mask = prepare_mask(everywhere, an_image, "moving", said.append)
        np.testing.assert_array_equal(mask.array > 0, other_grid.contains(points_of(an_image.grid)))
        assert len(said) == 1
        assert "moving mask lies on another grid" in said[0]

    def test_mask_on_the_images_grid_passes_in_silence(self, an_image):
        mask = Image((an_image.array > 0.5).astype(np.uint8), an_image.grid)
        said: list[str] = []
        assert prepare_mask(mask, an_image, "fixed", said.append) is mask
        assert not said

    def test_empty_mask_is_refused(self, an_image):
        with pytest.raises(InputError, match="`fixed_mask`: the mask is empty"):
            prepare_mask(Image(np.zeros_like(an_image.array), an_image.grid), an_image, "fixed", print)

    def test_mask_elsewhere_in_space_is_refused(self, an_image):
        elsewhere = Grid(an_image.grid.shape, an_image.grid.spacing, (900, 0, 0))
        with pytest.raises(InputError, match="`moving_mask`: the mask does not overlap"):
            prepare_mask(Image(np.ones(elsewhere.shape, np.uint8), elsewhere), an_image, "moving", lambda _: None)


class TestHounsfield:
    @pytest.mark.parametrize(("lowest", "warned"), [(0.0, True), (-150.0, True), (-1000.0, False)])
    def test_warns_of_data_that_cannot_be_hounsfield(self, an_image, lowest, warned):
        said: list[str] = []
        array = an_image.array - an_image.array.min() + lowest
        check_hounsfield(Image(array, an_image.grid), "moving", LUNG, said.append)
        assert bool(said) == warned
        assert all("moving image does not look like CT" in sentence for sentence in said)

    def test_other_presets_take_any_unit(self, an_image):
        said: list[str] = []
        check_hounsfield(an_image, "fixed", BRAIN, said.append)
        assert not said
