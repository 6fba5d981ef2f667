from dataclasses import replace

import numpy as np
import pytest
import torch

from registration_cases import Standin, grid_about, picture, points_of
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid, swap_lps_ras
from RobustDIRLib.io.displacements import apply_to_points, sample_transform
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.model_file import LoadedModel
from RobustDIRLib.networks.build import build_network
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration import deformable
from RobustDIRLib.registration import register as register_file
from RobustDIRLib.registration.alignment import align
from RobustDIRLib.registration.checks import check_extras, tell_idle_masks
from RobustDIRLib.registration.linear import IDENTITY
from RobustDIRLib.registration.preprocessing import working_grid
from RobustDIRLib.registration.refinement.refine import Refinement
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions
from RobustDIRLib.registration.transforms import ComposedTransform

FIXED_GRID = grid_about(np.array([30.0, -20, 10]), (23, 31, 27), (2.9, 2.4, 3.3), (12, -8, 20), (1, -1, 1))
MOVING_GRID = grid_about(np.array([33.0, -21, 6]), (34, 36, 40), (2.6, 3.1, 2.7), (-10, 25, 8), (-1, 1, 1))
AS_THEY_LIE = RegistrationOptions(alignment="none", device="cpu", quality="fast")


def seen_in_scene(points: np.ndarray) -> np.ndarray:
    return points - [30, -20, 10]


def some_landmarks(seed: int = 0, count: int = 9) -> Landmarks:
    """Places in the middle of the fixed image."""
    voxels = np.random.default_rng(seed).uniform(0.3, 0.7, (count, 3)) * FIXED_GRID.shape
    return Landmarks(FIXED_GRID.points_from_voxels(voxels), tuple(f"P{k}" for k in range(count)))


@pytest.fixture(scope="module")
def fixed() -> Image:
    return picture(FIXED_GRID, seen_in_scene)


@pytest.fixture(scope="module")
def true_transform():
    """What the stand-in network will say on the preset's working grid."""
    grid = working_grid(FIXED_GRID, PRESETS["generic"])
    network = Standin()
    images = torch.zeros(1, 1, *grid.shape)
    return ComposedTransform(IDENTITY, network(images, images), grid)


@pytest.fixture(scope="module")
def moving(true_transform) -> Image:
    """The fixed scene after the true transform: `moving(T(x)) = fixed(x)`."""
    points = points_of(MOVING_GRID)
    back = apply_to_points(true_transform.inverse, points.reshape(-1, 3)).reshape(points.shape)
    return picture(MOVING_GRID, lambda _: seen_in_scene(back))


@pytest.fixture(scope="module")
def extras(true_transform, fixed, moving) -> PairExtras:
    landmarks = some_landmarks()
    moved = Landmarks(apply_to_points(true_transform.transform, landmarks.points), landmarks.names)
    labels = [Image(np.digitize(i.array, [0.3, 0.6]).astype(np.uint8), i.grid) for i in (fixed, moving)]
    return PairExtras(
        fixed_landmarks=landmarks, moving_landmarks=moved, fixed_labels=(labels[0],), moving_labels=(labels[1],)
    )


@pytest.fixture(scope="module")
def result(fixed, moving, extras):
    return register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)


class TestResolution:
    @pytest.mark.parametrize("spacing", [None, 3.3])
    @pytest.mark.parametrize("coarser", ["fixed", "moving"])
    def test_the_coarser_image_says_how_stiffly_to_refine(self, fixed, moving, monkeypatch, coarser, spacing):
        told = []

        def refine(pair, deformation, levels, patience):
            told.extend(level.stiffness for level in levels)
            return Refinement(deformation, {"ended": None}, 0.0)

        monkeypatch.setattr(deformable, "refine", refine)
        images = {"fixed": fixed, "moving": moving}
        coarse = images[coarser].grid.resized((20, 18, 19))
        images[coarser] = resample(images[coarser], coarse)
        options = replace(AS_THEY_LIE, quality="balanced", preset="brain-mri", spacing=spacing)
        result = register(images["fixed"], images["moving"], Standin(), options=options)
        assert told
        assert told == pytest.approx([0.3 * (0.75 * coarse.voxel_side) ** 2] * len(told))
        wanted = spacing or 0.75 * min(images["fixed"].grid.spacing)
        np.testing.assert_allclose(result.working_grid.spacing, wanted, rtol=0.04)


class TestSharpening:
    @pytest.mark.parametrize(("coarser", "sharper"), [(1.0, True), (3.0, False)])
    def test_refinement_sees_fine_lungs_sharper_and_the_network_as_they_are(
        self, fixed, moving, monkeypatch, coarser, sharper
    ):
        compared, looked_at = [], []

        def refine(pair, deformation, levels, patience):
            compared.extend((pair.fixed.numpy()[0, 0], pair.moving.numpy()[0, 0]))
            return Refinement(deformation, {"ended": None}, 0.0)

        monkeypatch.setattr(deformable, "refine", refine)

        class Looking(Standin):
            def __call__(self, fixed, moving):
                looked_at.extend((fixed.numpy()[0, 0], moving.numpy()[0, 0]))
                return super().__call__(fixed, moving)

        def lung(image: Image) -> Image:
            grid = replace(image.grid, spacing=tuple(coarser * side for side in image.grid.spacing))
            return Image(1100 * image.array - 950, grid)

        options = RegistrationOptions(preset="lung-ct", alignment="none", quality="balanced")
        register(lung(fixed), lung(moving), Looking(), options=options)
        for ours, theirs in zip(compared, looked_at, strict=True):
            bends = [np.abs(np.diff(array, 2, axis=0)).mean() for array in (ours, theirs)]
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
            assert (bends[0] > 1.1 * bends[1]) if sharper else np.array_equal(ours, theirs)


class TestKnownTransform:
    def test_landmarks_meet(self, result):
        landmarks = result.measures.landmarks
        assert landmarks.before.mean() > 3
        np.testing.assert_allclose(landmarks.linear, landmarks.before)
        assert landmarks.after.max() < 1e-3

    def test_warped_image_is_the_fixed_one(self, result, fixed, moving):
        before = resample(moving, fixed.grid)
        inside = fixed.array > 0.2
        assert np.abs(result.warped.array - fixed.array)[inside].mean() < 0.03
        assert np.abs(before.array - fixed.array)[inside].mean() > 0.05

    def test_labels_meet(self, result):
        (overlap,) = result.measures.labels
        assert min(overlap.after.values()) > 0.85
        assert max(overlap.before.values()) < 0.83
        assert result.warped_labels[0].array.dtype == np.uint8

    def test_everything_lies_on_the_fixed_grid(self, result, fixed):
        for grid in (result.displacement.grid, result.warped.grid, result.jacobian.grid, result.warped_labels[0].grid):
            assert grid == fixed.grid

    def test_displacement_is_the_transform(self, result, fixed):
        np.testing.assert_allclose(
            result.displacement.array, sample_transform(result.transform, fixed.grid).array, atol=2e-4
        )

    def test_warped_is_resampled_once_through_the_transform(self, result, fixed, moving):
        assert np.abs(result.warped.array - resample(moving, fixed.grid, result.transform).array).max() < 2e-3

    def test_inverse_brings_landmarks_back(self, result, extras):
        back = apply_to_points(result.inverse, extras.moving_landmarks.points)
        np.testing.assert_allclose(back, extras.fixed_landmarks.points, atol=0.1 * min(FIXED_GRID.spacing))

    def test_measures_are_of_the_smooth_field(self, result):
        assert result.measures.folding_percent == 0
        assert 0.01 < result.measures.sdlogj < 0.3
        assert result.measures.inverse_residual_mm["mean"] < 0.1

    def test_stages_are_timed(self, result):
        assert list(result.timings) == ["normalise", "align", "network", "resample", "measure"]


class TestModelsThatRuleRefinementOut:
    @pytest.mark.parametrize(
        ("card", "refine", "refined"),
        [({}, None, True), ({"refine": False}, None, False), ({"refine": False}, True, True), ({}, False, False)],
    )
    def test_are_left_alone_unless_refinement_is_asked_for(self, fixed, moving, tmp_path, card, refine, refined):
        model = LoadedModel(Standin(), card, tmp_path / "weights.pt", "0" * 64)
        options = replace(AS_THEY_LIE, quality="balanced", refine=refine, refine_seconds=1e-6)
        record = register(fixed, moving, model, options=options).record
        assert (record["refinement"] is not None) == refined
        assert record["refinement_ruled_out"] == (not refined and refine is None)


class TestLinearPart:
    def test_alignment_and_network_compose(self, fixed):
        """The network works after the alignment, in the fixed frame: a shift of the moving image must not matter."""
        shift = np.array([140.0, -90, 60])
        grid = Grid(FIXED_GRID.shape, FIXED_GRID.spacing, tuple(FIXED_GRID.origin + shift), FIXED_GRID.direction)
        moved = Image(fixed.array, grid)
        options = RegistrationOptions(alignment="centre", device="cpu", quality="fast")
        result = register(fixed, moved, Standin(), options=options)
        plain = register(fixed, fixed, Standin(), options=AS_THEY_LIE)
        extra = result.displacement.array - plain.displacement.array
        np.testing.assert_allclose(extra, np.broadcast_to(shift, extra.shape), atol=0.1)
        np.testing.assert_allclose(result.warped.array, plain.warped.array, atol=0.02)

    def test_network_sees_the_aligned_pair(self, fixed):
        seen = []

        class Looking(Standin):
            def __call__(self, fixed, moving):
                seen.append((fixed, moving))
                return super().__call__(fixed, moving)

        grid = grid_about(np.array([130.0, 40, 10]), (40, 40, 36), (2.5, 2.8, 2.6), (5, 5, -10))
        moved = picture(grid, lambda p: p - [130, 40, 10])
        register(fixed, moved, Looking(), options=RegistrationOptions(device="cpu", quality="fast"))
        a, b = (tensor.numpy() for tensor in seen[0])
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


class TestRepeat:
    def test_real_network_gives_the_same_bits_twice(self, fixed, moving):
        torch.manual_seed(1)
        network = build_network({"kind": "unet", "channels": 4})
        options = RegistrationOptions(device="cpu", threads=1)
        first, second = (register(fixed, moving, network, options=options) for _ in range(2))
        for name in ("displacement", "warped", "jacobian"):
            np.testing.assert_array_equal(getattr(first, name).array, getattr(second, name).array)
        assert first.measures == second.measures

    def test_numbers_of_threads_are_put_back(self, fixed, moving):
        before = torch.get_num_threads()
        register(fixed, moving, Standin(), options=replace(AS_THEY_LIE, threads=1))
        assert torch.get_num_threads() == before


class TestMasks:
    def test_the_alignment_looks_inside_the_masks_and_the_network_sees_whole_images(self, fixed, moving, monkeypatch):
        seen, aligned = [], []
        monkeypatch.setattr(register_file, "align", lambda *a: aligned.append(a[:2]) or align(*a))

        class Looking(Standin):
            def __call__(self, fixed, moving):
                seen.append((fixed, moving))
                return super().__call__(fixed, moving)

        masks = [Image((i.array > 0.3).astype(np.uint8), i.grid) for i in (fixed, moving)]
        register(fixed, moving, Looking(), options=AS_THEY_LIE, extras=PairExtras(*masks))
        for given, mask, image in zip(aligned[0], masks, (fixed, moving), strict=True):
            held = mask.array > 0
            assert 0.05 < held.mean() < 0.8
            assert (given.array[~held] == -1).all()
            order = np.argsort(image.array[held])
            assert (np.diff(given.array[held][order]) >= 0).all()
            assert np.unique(given.array[held]).size > 100
        whole = Image(masks[0].array.astype(np.float32), fixed.grid)
        outside = resample(whole, working_grid(fixed.grid, PRESETS["generic"])).array == 0
        assert np.unique(seen[0][0][0, 0].numpy()[outside]).size > 100
        register(fixed, moving, Looking(), options=AS_THEY_LIE)
        assert all(torch.equal(with_masks, without) for with_masks, without in zip(seen[0], seen.pop(1), strict=True))
        register(fixed, moving, Looking(), options=replace(AS_THEY_LIE, blank_outside=True), extras=PairExtras(*masks))
        assert 0.2 < outside.mean() < 0.9
        assert (seen[1][0][0, 0].numpy()[outside] == -1).all()
        assert (seen[1][1] == -1).float().mean() > 0.2

    def test_blanking_hides_what_is_bright_outside_from_the_network(self, fixed, moving):
        """Masks that cut the body in two: what is not seen is no darker than the rest."""
        seen = []

        class Looking(Standin):
            def __call__(self, fixed, moving):
                seen.append((fixed, moving))
                return super().__call__(fixed, moving)

        masks = [np.zeros(image.grid.shape, np.uint8) for image in (fixed, moving)]
        for mask in masks:
            mask[:, :, : mask.shape[2] // 2] = 1
        extras = PairExtras(*(Image(mask, image.grid) for mask, image in zip(masks, (fixed, moving), strict=True)))
        for blank in (False, True):
            options = replace(AS_THEY_LIE, blank_outside=blank)
            said = register(fixed, moving, Looking(), options=options, extras=extras).warnings
            assert any("does nothing" in sentence for sentence in said) != blank
        half = seen[0][0].shape[-1] // 2 + 2
        for whole, blanked in zip(*seen, strict=True):
            assert (whole > -1).float().mean() > 0.3
            assert (blanked == -1).float().mean() > (whole == -1).float().mean() + 0.2
        assert (seen[0][0][..., half:] > -0.5).any()
        assert (seen[1][0][..., half:] == -1).all()

    @pytest.mark.parametrize("masked", [False, True])
    def test_a_part_is_refined_where_it_reaches_alone(self, fixed, moving, monkeypatch, masked):
        """What the network is shown beyond the moving image is no anatomy, and must not be met by bending."""
        seen = []

        def looking(pair, deformation, levels, patience):
            seen.append(pair)
            return Refinement(deformation, {"ended": None, "levels": []}, 0.0)

        monkeypatch.setattr(deformable, "refine", looking)
        part = Image(moving.array[6:22, 9:].copy(), moving.grid.padded((-6, -9, 0), (22 - moving.grid.shape[0], 0, 0)))
        mask = Image(np.ones(part.grid.shape, np.uint8), part.grid)
        mask.array[:, :, :11] = 0
        options = replace(AS_THEY_LIE, quality="balanced")
        register(fixed, part, Standin(), options=options, extras=PairExtras(moving_mask=mask if masked else None))
        shape = seen[0].fixed.shape[2:]
        points = points_of(fixed.grid.resized(tuple(shape)))
        expected = part.grid.contains(points)
        if masked:
            expected &= resample(mask, fixed.grid.resized(tuple(shape)), nearest=True, outside=0).array > 0
        found = seen[0].moving_mask[0, 0].numpy()
        assert 0.1 < expected.mean() < 0.9
        assert ((found > 0.5) == expected).mean() > (0.97 if masked else 0.9999)
        assert seen[0].fixed_mask is None
        register(fixed, picture(fixed.grid.padded((2, 2, 2), (2, 2, 2))), Standin(), options=options)
        assert seen[1].moving_mask is None

    def test_a_single_slice_is_no_volume(self, fixed, moving):
        slice_ = Image(fixed.array[:, 5:6].copy(), fixed.grid.padded((0, -5, 0), (0, 6 - fixed.grid.shape[1], 0)))
        with pytest.raises(InputError, match="27 x 1 x 23 voxels and is no volume"):
            register(slice_, moving, Standin(), options=AS_THEY_LIE)

    def test_empty_mask_is_refused(self, fixed, moving):
        empty = Image(np.zeros(fixed.grid.shape, np.uint8), fixed.grid)
        with pytest.raises(InputError, match="`fixed_mask`: the mask is empty"):
            register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=PairExtras(fixed_mask=empty))

    @pytest.mark.parametrize(
        ("changes", "masked", "message"),
        [
            ({}, True, "the fixed mask does nothing"),
            ({"blank_outside": True}, False, "`blank_outside` does nothing"),
            ({"blank_outside": True}, True, None),
            ({"alignment": "centre"}, True, None),
            ({"quality": "best"}, True, None),
            ({}, False, None),
        ],
    )
    def test_masks_that_do_nothing_are_told(self, fixed, moving, changes, masked, message):
        half = np.zeros(fixed.grid.shape, np.uint8)
        half[:, :, : half.shape[2] // 2] = 1
        extras = PairExtras(fixed_mask=Image(half, fixed.grid) if masked else None)
        said, options = [], replace(AS_THEY_LIE, **changes)
        tell_idle_masks(options, extras, refined=options.quality == "best", warn=said.append)
        assert len(said) == (message is not None)
        assert message is None or message in said[0]


class TestLabelMapsThatCannotBeMeant:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda labels: Image(labels.array * 0, labels.grid), "holds no structure"),
            (
                lambda labels: Image(labels.array, replace(labels.grid, origin=(900.0, 0, 0))),
                "100 % of what a label map",
            ),
            (lambda labels: Image(labels.array * 10, labels.grid), "no number in common"),
            (lambda labels: labels, None),
        ],
        ids=["empty", "elsewhere", "other numbers", "right"],
    )
    @pytest.mark.parametrize("side", ["fixed", "moving"])
    def test_are_told(self, fixed, moving, side, change, message):
        pair = {"fixed": fixed, "moving": moving}
        maps = {name: Image((image.array > 0.5).astype(np.uint8), image.grid) for name, image in pair.items()}
        maps[side] = change(maps[side])
        extras = PairExtras(fixed_labels=(maps["fixed"],), moving_labels=(maps["moving"],))
        said: list[str] = []
        check_extras(extras, fixed, moving, said.append)
        told = [sentence for sentence in said if "another grid" not in sentence]
        assert len(told) == (message is not None)
        assert message is None or (message in told[0] and (side in told[0] or "in common" in told[0]))


class TestMemory:
    def test_falls_back_to_a_coarser_grid_and_says_so(self, fixed, moving):
        limit = 60 * fixed.array.size + 60 * fixed.array.size + 16 * moving.array.size
        options = RegistrationOptions("generic", "none", "cpu", memory_limit=limit)
        result = register(fixed, moving, Standin(), options=options)
        assert np.prod(result.working_grid.shape) < np.prod(working_grid(fixed.grid, PRESETS["generic"]).shape)
        assert any("memory is short" in sentence for sentence in result.warnings)
        assert result.warped.grid == fixed.grid

    def test_refuses_with_the_figure(self, fixed, moving):
        options = RegistrationOptions(alignment="none", device="cpu", memory_limit=1 << 20)
        with pytest.raises(InputError, match=r"not enough memory.*GiB of memory \(0\.00 GiB free\)"):
            register(fixed, moving, Standin(), options=options)

    def test_running_out_all_the_same_is_told_in_words(self, fixed, moving):
        def hungry(*_):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99 bytes")

        hungry.bytes_per_voxel = 100
        with pytest.raises(InputError, match="memory ran out"):
            register(fixed, moving, hungry, options=AS_THEY_LIE)

    def test_other_failures_of_a_network_are_not_hidden(self, fixed, moving):
        def broken(*_):
            raise RuntimeError("a bug")

        broken.bytes_per_voxel = 100
        with pytest.raises(RuntimeError, match="a bug"):
            register(fixed, moving, broken, options=AS_THEY_LIE)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (RegistrationOptions(preset="lungs"), "`preset` lungs"),
            (RegistrationOptions(alignment="elastic"), "`alignment` elastic"),
            (RegistrationOptions(device="gpu"), "`device` gpu"),
            (RegistrationOptions(threads=0), "`threads` 0"),
            (RegistrationOptions(threads=True), "`threads` True"),
            (RegistrationOptions(spacing=-1.0), "`spacing` is -1"),
            (RegistrationOptions(spacing=float("nan")), "`spacing` is nan"),
            (RegistrationOptions(spacing="1"), "`spacing` is '1'"),  # type: ignore[arg-type]
            (RegistrationOptions(memory_limit=0), "`memory_limit` is 0"),
            (RegistrationOptions(refine="no"), "`refine` is 'no'"),  # type: ignore[arg-type]
        ],
    )
    def test_unknown_options(self, fixed, moving, options, message):
        with pytest.raises(InputError, match=message):
            register(fixed, moving, Standin(), options=options)

    def test_images_that_share_no_space(self, fixed, moving):
        away = Image(moving.array, grid_about(np.full(3, 900.0), moving.grid.shape, (2.0, 2.0, 2.0), (0, 0, 0)))
        with pytest.raises(InputError, match="`alignment` none: the images share no space"):
            register(fixed, away, Standin(), options=AS_THEY_LIE)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_voxels_that_are_no_numbers(self, fixed, moving, bad):
        array = moving.array.copy()
        array[3, 4, 5:8] = bad
        with pytest.raises(InputError, match="the moving image has 3 voxels"):
            register(fixed, Image(array, moving.grid), Standin(), options=AS_THEY_LIE)

    def test_landmarks_that_differ_in_number(self, fixed, moving):
        extras = PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=some_landmarks(count=7))
        with pytest.raises(InputError, match="`moving_landmarks`: 7 landmarks do not pair with 9"):
            register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)

    def test_landmarks_given_twice_are_told(self, fixed, moving):
        for second, told in ((some_landmarks(), True), (some_landmarks(seed=1), False)):
            said: list[str] = []
            check_extras(
                PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=second), fixed, moving, said.append
            )
            assert any("are the same points" in one for one in said) == told

    def test_landmarks_of_one_image_alone(self, fixed, moving):
        with pytest.raises(InputError, match="`moving_landmarks`: is missing"):
            register(fixed, moving, Standin(), extras=PairExtras(fixed_landmarks=some_landmarks()))

    def test_landmarks_outside_the_image_are_counted_and_named(self, fixed, moving):
        away = Landmarks(some_landmarks().points + 80, some_landmarks().names)
        extras = PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=away)
        with pytest.raises(InputError, match="`moving_landmarks`: 9 of 9 landmarks lie outside the moving image"):
            register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)
        other_frame = Landmarks(swap_lps_ras(some_landmarks(seed=1).points))
        extras = PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=other_frame)
        with pytest.raises(InputError, match=r"they would lie inside it with x and y changed in sign \(RAS instead of"):
            register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)
        far = np.isin(np.arange(9), [2, 5])[:, None]
        two = Landmarks(np.where(far, 500, some_landmarks().points), some_landmarks().names)
        extras = PairExtras(fixed_landmarks=two, moving_landmarks=some_landmarks(seed=1))
        result = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)
        assert sum("2 of 9 landmarks lie outside the fixed image (P2, P5)" in said for said in result.warnings) == 1
        assert result.measures.landmarks.names == tuple(f"P{k}" for k in range(9) if k not in (2, 5))

    def test_one_landmark_outside_does_not_stop_a_registration(self, fixed, moving):
        """The figures of the others are as they would be without it."""
        away = some_landmarks().points.copy()
        away[4, 1] += 400
        pairs = PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=Landmarks(away))
        result = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=pairs)
        whole = PairExtras(fixed_landmarks=some_landmarks(), moving_landmarks=some_landmarks())
        expected = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=whole).measures.landmarks.after
        np.testing.assert_array_equal(result.measures.landmarks.after, np.delete(expected, 4))
        alone = PairExtras(fixed_landmarks=Landmarks(away[4:5]), moving_landmarks=Landmarks(away[:1]))
        result = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=alone)
        assert result.measures.landmarks is None
        assert any("1 of 1 landmarks lie outside the fixed image" in said for said in result.warnings)

    @pytest.mark.parametrize("fault", ["shape", "nan"])
    def test_a_network_that_gives_no_finite_displacement(self, fixed, moving, fault):
        def faulty(a, b):
            made = Standin()(a, b)
            return Deformation(made.displacement[..., :-1] if fault == "shape" else made.displacement / 0, made.inverse)

        faulty.bytes_per_voxel = 100
        with pytest.raises(InputError, match="no finite displacement"):
            register(fixed, moving, faulty, options=AS_THEY_LIE)


class TestWarnings:
    def test_hounsfield_preset_on_other_data(self, fixed, moving):
        options = RegistrationOptions("lung-ct", "none", "cpu")
        result = register(fixed, moving, Standin(), options=options)
        assert sum("does not look like CT" in sentence for sentence in result.warnings) == 2

    def test_names_in_another_order(self, fixed, moving):
        first, names = some_landmarks(), some_landmarks().names
        extras = PairExtras(fixed_landmarks=first, moving_landmarks=Landmarks(first.points, names[::-1]))
        result = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=extras)
        assert any("different orders" in sentence for sentence in result.warnings)


def test_progress_is_told_of_every_stage(fixed, moving):
    told: list[tuple[str, bool]] = []
    register(
        fixed, moving, Standin(), options=AS_THEY_LIE, progress=lambda name, s=None: told.append((name, s is None))
    )
    begun, ended = ([name for name, start in told if start is which] for which in (True, False))
    assert begun == ended
    assert len(begun) == 5


def test_landmarks_in_another_order_give_a_hint(fixed, moving, extras):
    turned = Landmarks(np.roll(extras.moving_landmarks.points, 2, axis=0), extras.moving_landmarks.names)
    given = replace(extras, moving_landmarks=turned)
    result = register(fixed, moving, Standin(), options=AS_THEY_LIE, extras=given)
    assert any("another order of the rows" in sentence for sentence in result.warnings)


def test_one_image_on_both_sides_is_said(fixed, moving):
    """Whatever it was read from: a copy is as good; the same voxels elsewhere are another image."""
    copied = Image(fixed.array.copy(), fixed.grid)
    elsewhere = Image(fixed.array, replace(fixed.grid, origin=tuple(np.add(fixed.grid.origin, (3, -2, 4)))))
    for other, said in ((copied, 1), (moving, 0), (elsewhere, 0)):
        result = register(fixed, other, Standin(), options=AS_THEY_LIE)
        assert sum("the same, voxel for voxel" in sentence for sentence in result.warnings) == said


def test_the_callers_network_is_as_it_was(fixed, moving):
    """Its modes part by part, its gradients, its weights; and what the process is set to."""
    torch.manual_seed(1)
    network = build_network({"kind": "unet", "channels": 4})
    network.train()
    network.encoder[0].eval()
    network.head[0].requires_grad_(False)
    next(network.parameters()).grad = torch.ones_like(next(network.parameters()))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    wants = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in network.parameters()]
    generator = torch.random.get_rng_state()
    register(fixed, moving, network, options=RegistrationOptions(alignment="none", device="cpu", threads=1))
    assert [module.training for module in network.modules()] == modes
    for parameter, (wanted, grad) in zip(network.parameters(), wants, strict=True):
        assert parameter.requires_grad is wanted
        assert (parameter.grad is None) == (grad is None)
        assert not parameter.is_inference()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert torch.is_grad_enabled()


def test_a_network_that_fails_is_left_as_it_was(fixed, moving):
    class Failing(torch.nn.Module):
        bytes_per_voxel = 100

        def forward(self, fixed, moving):
            assert not self.training
            raise RuntimeError("a bug")

    network = Failing().train()
    with pytest.raises(RuntimeError, match="a bug"):
        register(fixed, moving, network, options=AS_THEY_LIE)
    assert network.training


@pytest.mark.parametrize(("preset", "wanted"), [("lung-ct", True), ("generic", False), ("brain-mri", False)])
def test_chest_ct_alone_asks_a_network_for_its_way_with_large_motion(fixed, moving, preset, wanted):
    class Both(Standin):
        bears_large_motion = True
        asked = []

        def __call__(self, fixed, moving, *, large_motion=False):
            self.asked.append(large_motion)
            return super().__call__(fixed, moving)

    network = Both()
    register(fixed, moving, network, options=replace(AS_THEY_LIE, preset=preset))
    assert network.asked == [wanted]


@pytest.mark.parametrize(
    ("preset", "quality", "promising", "kept", "wanted"),
    [
        ("brain-mri", "balanced", True, True, [1]),
        ("lung-ct", "balanced", True, True, [1]),
        ("generic", "balanced", True, True, [0]),
        ("brain-mri", "balanced", True, False, [1, None]),  # what refinement cannot better is the network's whole work
        ("brain-mri", "balanced", False, True, [None]),
        ("brain-mri", "fast", True, True, [None]),
    ],
)
def test_a_network_drafts_where_refinement_follows(
    fixed, moving, monkeypatch, preset, quality, promising, kept, wanted
):
    class Drafting(Standin):
        drafts = True
        asked = []

        def __call__(self, fixed, moving, *, large_motion=False, draft=None):
            self.asked.append(draft)
            self.amplitude = (0.02, 0.01, 0.0) if draft is None else (0.0, 0.0, 0.0)
            return super().__call__(fixed, moving)

    def refine(pair, deformation, levels, patience):
        found = Deformation(*(u + 0.5 for u in deformation)) if kept else deformation
        return Refinement(found, {"ended": None if kept else "no gain"}, 0.0)

    monkeypatch.setattr(deformable, "refine", refine)
    monkeypatch.setattr(deformable, "promising", lambda *_: promising)
    network = Drafting()
    options = replace(AS_THEY_LIE, preset=preset, quality=quality)
    result = register(fixed, moving, network, options=options)
    assert network.asked == wanted
    grid = result.working_grid
    centre = np.asarray(grid.points_from_voxels(np.array(grid.shape) / 2))[None]
    moved = apply_to_points(result.transform, centre) - centre
    drafted = wanted[-1] is not None
    voxels = np.linalg.norm(moved) / grid.voxel_side
    assert (abs(voxels - 0.5 * 3**0.5) < 0.1) == drafted


def test_networks_that_know_no_drafts_run_once(fixed, moving, monkeypatch):
    class Counting(Standin):
        calls = 0

        def __call__(self, fixed, moving):
            self.calls += 1
            return super().__call__(fixed, moving)

    network = Counting()
    monkeypatch.setattr(deformable, "refine", lambda pair, u, levels, patience: Refinement(u, {"ended": None}, 0.0))
    register(fixed, moving, network, options=replace(AS_THEY_LIE, quality="balanced"))
    assert network.calls == 1
