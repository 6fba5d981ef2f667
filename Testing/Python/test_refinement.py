import dataclasses
from types import SimpleNamespace

import pytest
import torch

from refinement_cases import SPACING, error, known_pair, smooth_velocity, standing_still, texture
from RobustDIRLib import warping
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.presets import DEFAULT, find_preset
from RobustDIRLib.registration.refinement import judge as judge_file
from RobustDIRLib.registration.refinement import refine as refine_file
from RobustDIRLib.registration.refinement.correlation import PARITIES
from RobustDIRLib.registration.refinement.judge import Judge
from RobustDIRLib.registration.refinement.middle import Halves, warp_to
from RobustDIRLib.registration.refinement.optimise import LevelProblem, optimise
from RobustDIRLib.registration.refinement.refine import Patience, WorkingPair, promising, refine
from RobustDIRLib.registration.refinement.settings import QUALITIES, check_seconds, chosen_levels, fitted_levels

LEVELS = QUALITIES["balanced"].levels


def refined(fixed, moving, start=None, levels=LEVELS, patience=None, spacing=SPACING, **masks):
    pair = WorkingPair(fixed, moving, spacing, **masks)
    return refine(pair, start or standing_still(fixed.shape[2:]), levels, patience)


@pytest.fixture(scope="module")
def pair():
    return known_pair()


@pytest.fixture(scope="module")
def result(pair):
    return refined(pair.fixed, pair.moving)


class TestFindsTheTruth:
    def test_error_falls_far_below_the_start(self, pair, result):
        before, after = (error(u, pair.truth) for u in (torch.zeros_like(pair.truth), result.deformation.displacement))
        assert before > 0.7
        assert after < 0.2 * before

    @pytest.mark.parametrize("axis", range(3))
    def test_each_axis_apart(self, axis):
        velocity = smooth_velocity()
        velocity[:, [k for k in range(3) if k != axis]] = 0
        pair = known_pair(velocity=velocity)
        found = refined(pair.fixed, pair.moving, levels=LEVELS[:1]).deformation.displacement
        before, after = (error(u, pair.truth) for u in (torch.zeros_like(found), found))
        assert after < 0.45 * before
        across = found[:, [k for k in range(3) if k != axis]]
        assert float(across[..., 5:-5, 5:-5, 5:-5].abs().mean()) < 0.3 * before

    def test_goes_on_from_a_start(self, pair):
        half = Deformation(*(warping.integrate_velocity(s * smooth_velocity()) for s in (0.5, -0.5)))
        found = refined(pair.fixed, pair.moving, start=half).deformation.displacement
        assert error(found, pair.truth) < 0.5 * error(half.displacement, pair.truth)

    def test_every_level_says_what_it_did(self, result):
        assert result.record["similarity"] == "local correlation"
        assert [level["factor"] for level in result.record["levels"]] == [2, 1]
        for level in result.record["levels"]:
            assert level["kept"] == (level["unlikeness_after"] < level["unlikeness_before"])
            assert level["steps"] > 0


class TestGeometry:
    def test_nothing_folds_even_where_nothing_fits(self):
        """Images that have nothing to do with each other, forced past the choice of the similarity."""
        fixed, moving = texture(seed=3), texture(seed=4)
        halves = Halves.of(standing_still())
        problem = LevelProblem(
            (fixed, moving), SPACING, halves, dataclasses.replace(LEVELS[0], stiffness=0.0, rate=0.25)
        )
        coefficients, _ = optimise(problem, bool)
        moved = problem.moved(coefficients)
        assert float(coefficients.abs().max()) > 1
        assert moved.folds() == 0

    def test_exchanged_images_give_the_inverse(self, pair, result):
        swapped = refined(pair.moving, pair.fixed).deformation
        torch.testing.assert_close(swapped.displacement, result.deformation.inverse, rtol=0, atol=1e-4)
        torch.testing.assert_close(swapped.inverse, result.deformation.displacement, rtol=0, atol=1e-4)

    def test_the_inverse_brings_back(self, result):
        residual = warping.compose(result.deformation.inverse, result.deformation.displacement)
        assert float(residual[..., 4:-4, 4:-4, 4:-4].norm(dim=1).mean()) < 0.05

    def test_a_step_of_the_middle_is_taken_before_the_way_out_and_undone_after_the_way_in(self):
        """Affine maps that do not commute, in which linear interpolation is exact: each order has its own result."""
        size, middle = (13, 15, 11), torch.tensor([6.0, 7.0, 5.0])
        points = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij"))

        def field(matrix, shift):
            about = points - middle.view(3, 1, 1, 1)
            moved = torch.einsum("ij,jdhw->idhw", matrix, about) + torch.tensor(shift).view(3, 1, 1, 1)
            return moved - about, (matrix, torch.tensor(shift))

        def through(*maps):
            found = points[:, 4:9, 5:10, 4:7] - middle.view(3, 1, 1, 1)
            for matrix, shift in maps:
                found = torch.einsum("ij,jdhw->idhw", matrix, found) + shift.view(3, 1, 1, 1)
            return found

        def agree(displacement, *maps):
            here = points[:, 4:9, 5:10, 4:7] - middle.view(3, 1, 1, 1)
            torch.testing.assert_close(displacement[:, 4:9, 5:10, 4:7] + here, through(*maps), rtol=0, atol=1e-4)

        turn = torch.tensor([[1.0, 0.12, 0], [-0.1, 1, 0.08], [0, -0.1, 1]])
        out = [field(turn, (0.4, -0.3, 0.2)), field(turn.T @ turn, (-0.2, 0.5, 0.3))]
        back = [field(turn.inverse(), (0.3, 0.1, -0.4)), field(turn @ turn, (0.2, -0.6, 0.1))]
        step = [
            field(torch.diag(torch.tensor(d)), s)
            for d, s in (((1.1, 0.9, 1.15), (0.5, 0.2, -0.3)), ((0.9, 1.1, 0.85), (-0.4, -0.2, 0.6)))
        ]
        halves = Halves(*(torch.stack([one[0] for one in both]) for both in (out, back)), size)
        moved = halves.moved(torch.stack([one[0] for one in step]))
        for k in (0, 1):
            agree(moved.out[k], step[k][1], out[k][1])
            agree(moved.back[k], back[k][1], step[1 - k][1])
        whole = halves.whole()
        agree(whole.displacement[0], back[0][1], out[1][1])
        agree(whole.inverse[0], back[1][1], out[0][1])

    def test_halves_make_the_whole(self):
        start = Deformation(*(warping.integrate_velocity(s * smooth_velocity()) for s in (1.0, -1.0)))
        whole = Halves.of(start).whole()
        for found, given in zip(whole, start, strict=True):
            assert error(found, given, 4) < 0.08

    @pytest.mark.parametrize("spacing", [(4.0, 1.0, 1.0), (1.0, 1.0, 3.0)])
    def test_unequal_voxels(self, pair, spacing):
        found = refined(pair.fixed, pair.moving, spacing=spacing, levels=LEVELS[:1])
        assert error(found.deformation.displacement, pair.truth) < 0.8 * error(torch.zeros_like(pair.truth), pair.truth)
        assert Halves.of(found.deformation).folds() == 0

    def test_flat_images_are_left_alone(self):
        """A side too short for a level leaves that level out."""
        pair = known_pair((8, 40, 37))
        result = refined(pair.fixed, pair.moving)
        assert [level["factor"] for level in result.record["levels"]] == [1]

    @pytest.mark.parametrize("coarse", [(7, 9, 8), (15, 19, 17), (13, 17, 16)])
    def test_warp_to_is_warp_by_the_resized_displacement(self, coarse):
        shape = (13, 17, 16)
        image, u = texture(shape), 0.3 * smooth_velocity(coarse)
        expected = warping.warp(image, warping.resize_displacement(u, shape))[0, 0]
        assert float((warp_to(image, u[0]) - expected).abs().mean()) < (1e-5 if coarse[0] < 14 else 0.02)


class TestGradient:
    @pytest.mark.parametrize("level", LEVELS, ids=lambda level: f"factor {level.factor}")
    def test_of_the_similarity_is_that_of_finite_differences(self, pair, level):
        """Through images warped anew, along a smooth direction, where linear interpolation is smooth enough."""
        level = dataclasses.replace(level, lattices=8)
        problem = LevelProblem((pair.fixed, pair.moving), SPACING, Halves.of(standing_still()), level)
        zero = problem.grid.zeros()
        _, gradient = problem.similarity_gradient(problem.lattices(zero, PARITIES), zero)
        direction = gradient / gradient.norm()
        step = 0.15 / float(direction.abs().max())
        losses = [
            problem.similarity_gradient(problem.lattices(s * step * direction, PARITIES), zero)[0] for s in (1, -1)
        ]
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(float(gradient.norm()), rel=0.15)


class TestStiffness:
    def test_empty_surroundings_do_not_change_it(self):
        """Both terms shrink alike where a volume is padded with background; mice are mostly that."""
        shape, margin, voxel = (24, 28, 32), 8, (1.0, 1.0, 1.0)
        level = dataclasses.replace(LEVELS[1], distance=4.0, lattices=8)
        coefficients = torch.zeros(3, 6, 7, 8)
        coefficients[:, 2:4, 2:5, 2:6] = torch.rand(3, 2, 3, 4, generator=torch.Generator().manual_seed(1))
        terms = []
        for pad in (0, margin):
            fixed, moving = (
                torch.nn.functional.pad(texture(shape, seed)[..., 6:-6, 6:-6, 6:-6], [6 + pad] * 6, value=-1)
                for seed in (1, 2)
            )
            at = torch.nn.functional.pad(coefficients, [pad // 4] * 6)
            size = tuple(fixed.shape[2:])
            problem = LevelProblem((fixed, moving), voxel, Halves.of(standing_still(size)), level)
            lattices = problem.lattices(problem.grid.zeros(), PARITIES)
            terms.append([problem.similarity_gradient(lattices, at)[0], problem.grid.roughness(at)[0]])
        (loss, rough), (padded_loss, padded_rough) = terms
        assert loss / padded_loss == pytest.approx(rough / padded_rough, rel=1e-3)
        assert rough / padded_rough == pytest.approx(40 * 44 * 48 / (24 * 28 * 32), rel=1e-3)

    def test_stiffer_levels_move_less_sharply(self, pair):
        strains = [
            float(
                warping.displacement_gradient(
                    refined(
                        pair.fixed, pair.moving, levels=chosen_levels("balanced", None, preset)[:1]
                    ).deformation.displacement
                )
                .square()
                .mean()
            )
            for preset in (find_preset(DEFAULT), dataclasses.replace(find_preset(DEFAULT), stiffness=20.0))
        ]
        assert strains[1] < 0.5 * strains[0]


class TestJudgement:
    def test_unlike_contrasts_are_left_to_the_network(self, pair):
        start = Deformation(*(warping.integrate_velocity(s * smooth_velocity(seed=8)) for s in (0.2, -0.2)))
        result = refined(texture(seed=7), pair.moving, start=start)
        assert result.record["ended"] == "unlike"
        assert result.deformation is start

    def test_a_negative_is_as_good(self, pair):
        found = refined(-0.7 * pair.fixed, pair.moving)
        assert found.record["agreement"] < -0.5
        assert error(found.deformation.displacement, pair.truth) < 0.4 * error(torch.zeros_like(pair.truth), pair.truth)

    @pytest.mark.parametrize(("sign", "asked", "used"), [(1, 0.3, 0.3), (-1, 0.3, 1.0), (-1, 2.0, 2.0)])
    def test_opposite_contrasts_are_refined_stiffly(self, pair, sign, asked, used):
        levels = [dataclasses.replace(level, stiffness=asked, steps=1) for level in LEVELS[:1]]
        record = refined(sign * 0.7 * pair.fixed, pair.moving, levels=levels).record
        assert [level["stiffness"] for level in record["levels"]] == [used]

    def test_an_outline_in_common_does_not_make_insides_alike(self):
        """Skull-stripped brains of unrelated contrasts agree in their outline alone, and refining harmed them."""
        shape = (45, 58, 51)
        inside = torch.nn.functional.pad(torch.ones(1, 1, *(n - 10 for n in shape)), [5] * 6) > 0
        first, second = (torch.where(inside, 0.5 * texture(shape, seed), -1.0) for seed in (1, 2))
        still = Halves.of(standing_still(shape))
        assert Judge((first, first + 0.2 * inside)).agreement(still) > 0.99
        assert Judge((first, -0.3 * first.clamp_min(-0.5))).agreement(still) < -0.95
        assert abs(Judge((first, second)).agreement(still)) < 0.6
        assert promising(first, first + 0.2 * inside)
        assert not promising(first, second)
        assert not promising(first, -0.3 * first.clamp_min(-0.5)), "stiffly refined, it needs the whole network"
        assert refined(first, second).record["ended"] == "unlike"

    def test_images_without_insides_are_compared_by_what_there_is(self):
        thin = torch.full((1, 1, 29, 38, 33), -1.0)
        thin[..., 12:14, 10:30, 8:25] = 0.3 + 0.3 * texture()[..., 12:14, 10:30, 8:25]
        assert Judge((thin, thin)).agreement(Halves.of(standing_still())) > 0.99

    @pytest.mark.parametrize(
        ("unlikeness", "kept"),
        [
            ([0.02, 0.0186], [False]),  # what unrelated contrasts gain
            ([0.02, 0.0160, 0.0500, 0.0495], [True, True]),
            ([0.02, 0.0160, 0.0500, 0.0500], [True, False]),
            ([0.02, 0.0210], [False]),
        ],
    )
    def test_a_level_that_does_not_clearly_help_is_dropped(self, pair, monkeypatch, unlikeness, kept):
        told = iter(unlikeness)
        monkeypatch.setattr(refine_file.Judge, "unlikeness", lambda self, halves, factor: next(told))
        start = standing_still()
        result = refined(pair.fixed, pair.moving, start=start)
        assert [level["kept"] for level in result.record["levels"]] == kept
        assert (result.deformation is start) == (not any(kept))
        assert result.record["ended"] == (None if kept[0] else "no gain")

    def test_a_level_is_judged_by_the_detail_it_had(self, pair, monkeypatch):
        factors, unlikeness = [], Judge.unlikeness

        def told(self, halves, factor):
            factors.append(factor)
            return unlikeness(self, halves, factor)

        monkeypatch.setattr(refine_file.Judge, "unlikeness", told)
        refined(pair.fixed, pair.moving)
        assert factors == [2, 2, 1, 1]

    def test_what_half_resolution_cannot_see_full_resolution_does(self):
        base, (z, y, x) = texture(), torch.meshgrid(*(torch.arange(n) for n in (30, 38, 34)), indexing="ij")
        base = warping.resize(base, (30, 38, 34))
        board = 0.3 * (1 - 2 * ((z + y + x) % 2).float())  # averages to nothing over 2x2x2 voxels
        judge, halves = Judge((base + board, base)), Halves.of(standing_still((30, 38, 34)))
        assert judge.unlikeness(halves, 2) < 1e-5
        assert judge.unlikeness(halves, 1) > 0.05

    @pytest.mark.parametrize("planes", [3, 4, 15, 16, 17, 18, 33, 40, 41, 42, 43, 44, 45, 73, 74, 105, 200])
    def test_no_slab_is_too_thin_to_be_compared(self, planes, monkeypatch):
        """Whatever a volume's number of planes: a last slab of one or two once ended the registration."""
        monkeypatch.setattr(judge_file, "_ENOUGH", planes * 300 + 1)  # every second slab
        slabs = list(judge_file._slabs((planes, 20, 30)))
        assert slabs
        assert all(s.start >= 0 and s.stop <= planes and s.stop - s.start >= min(planes, 5) for s in slabs)

    def test_a_volume_that_leaves_one_plane_over_is_compared(self, monkeypatch):
        monkeypatch.setattr(judge_file, "_ENOUGH", 6_000)
        shape = (41, 24, 12)  # slabs of 16 planes from the ninth on, one in 32
        images = [torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
        still = torch.zeros(1, 3, *shape)
        judge, halves = Judge(images), Halves.of(Deformation(still, still))
        assert judge.unlikeness(halves, factor=1) > 0.01

    def test_slabs_stand_for_all_of_a_large_volume(self, monkeypatch):
        shape = (150, 20, 24)
        judge, halves = Judge((texture(shape, 1), texture(shape, 2))), Halves.of(standing_still(shape))
        whole = judge.unlikeness(halves, 1)
        monkeypatch.setattr(judge_file, "_ENOUGH", 30_000)
        slabs = list(judge_file._slabs(shape))
        assert [(s.start, s.stop) for s in slabs] == [(16, 32), (64, 80), (112, 128)]
        assert judge.unlikeness(halves, 1) == pytest.approx(whole, rel=0.1)
        assert judge.unlikeness(halves, 1) != whole
        assert [*judge_file._slabs((9, 200, 200))] == [slice(0, 9)]

    def test_weights_count_at_either_resolution(self):
        """Where the images differ nothing is weighted, and nothing is told."""
        base, weight = texture(), torch.zeros(1, 1, *(-(-n // 2) for n in texture().shape[2:]))
        weight[..., :8] = 1
        other = torch.cat([base[..., :22], texture(seed=5)[..., 22:]], -1)
        judge, free, halves = Judge((base, other), weight), Judge((base, other)), Halves.of(standing_still())
        for factor in (1, 2):
            assert judge.unlikeness(halves, factor) < 1e-4
            assert free.unlikeness(halves, factor) > 0.02

    def test_what_folds_is_dropped(self, pair, monkeypatch):
        folds = iter([0, *[5] * 6])
        monkeypatch.setattr(refine_file.Halves, "folds", lambda self: next(folds))
        start = standing_still()
        result = refined(pair.fixed, pair.moving, start=start)
        assert [level["reason"] for level in result.record["levels"]] == ["it would fold"]
        assert result.deformation is start

    @pytest.mark.parametrize("axis", range(3))
    def test_what_folds_is_calmed_there_and_nowhere_else(self, pair, axis):
        problem = LevelProblem((pair.fixed, pair.moving), SPACING, Halves.of(standing_still()), LEVELS[1])
        coefficients = 0.3 * torch.randn(problem.grid.zeros().shape, generator=torch.Generator().manual_seed(3))
        violent = [slice(2, 4)] * 3
        violent[axis] = slice(-5, -3)
        coefficients[(slice(None), *violent)] *= 300
        untouched, start = problem.moved(coefficients), problem.halves
        assert untouched.folds() > 0
        found, _, reason = refine_file._verdict(problem, coefficients, SimpleNamespace(unlikeness=lambda *_: 0.0), 1.0)
        assert reason == ""
        assert found.folds() == 0
        change, before = ((h.out - start.out).narrow(axis + 2, 1, 2).norm(dim=1) for h in (found, untouched))
        assert float((change - before).abs().max()) < 0.05 * float(before.max())
        assert float(before.max()) > 0.05

    def test_places_that_fold_are_found_in_the_middle(self, monkeypatch):
        """Of the transform they lie in the frames of the images, from where they are brought to the middle."""
        still = Halves.of(standing_still((24, 28, 32)))
        shift = torch.zeros_like(still.out)
        shift[0, 0], shift[1, 0] = 3.0, -3.0  # along z from the middle to the fixed image, and back to the moving one
        where = [torch.zeros(1, *still.out.shape[2:], dtype=torch.bool) for _ in range(4)]
        where[0][0, 8, 3, 3], where[1][0, 2, 9, 3], where[2][0, 6, 6, 12] = True, True, True
        monkeypatch.setattr(Halves, "_folded", where)
        found = Halves(shift, -shift, still.shape).folded()[0, 0] > 0
        expected = torch.zeros_like(found)
        for z, y, x in ((5, 3, 3), (5, 9, 3), (6, 6, 12)):
            expected[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = True
        assert torch.equal(found, expected)

    def test_only_what_the_masks_hold_counts(self, pair):
        """Grey values well outside the masks change nothing at all."""
        mask = torch.zeros_like(pair.fixed)
        mask[..., :13] = 1
        spoilt = torch.cat([pair.fixed[..., :25], texture(seed=5)[..., 25:]], -1)
        found, other = (
            refined(f, pair.moving, fixed_mask=mask, moving_mask=mask).deformation for f in (spoilt, pair.fixed)
        )
        assert torch.equal(found.displacement, other.displacement)
        near = (slice(None), slice(None), slice(5, -5), slice(5, -5), slice(4, 11))
        assert float((found.displacement - pair.truth)[near].norm(dim=1).mean()) < 0.15
        without = refined(spoilt, pair.moving).deformation
        assert not torch.equal(without.displacement, found.displacement)

    def test_both_masks_count(self, pair):
        masks = [torch.zeros_like(pair.fixed) for _ in range(2)]
        masks[0][..., :20], masks[1][..., 8:] = 1, 1
        working = WorkingPair(pair.fixed, pair.moving, SPACING, *masks)
        weight = refine_file._weight(working, Halves.of(standing_still()))
        assert [round(float(weight[0, 0, 5, 5, k]), 5) for k in (1, 7, 14)] == [0, 1, 0]

    def test_masks_that_lie_apart_are_not_called_unlike_contrasts(self, pair):
        masks = [torch.zeros_like(pair.fixed) for _ in range(2)]
        masks[0][..., :8], masks[1][..., 24:] = 1, 1
        found = refined(pair.fixed, pair.moving, fixed_mask=masks[0], moving_mask=masks[1])
        assert found.record["ended"] == "apart" and not found.record["levels"]


class TestPatience:
    def test_a_budget_ends_it_with_what_there_is(self, pair):
        result = refined(pair.fixed, pair.moving, patience=Patience(seconds=1e-9))
        assert result.record["ended"] == "budget"
        assert result.record["levels"] == []

    @pytest.mark.parametrize("asked", [3, 5])
    def test_stop_and_keep_keeps_the_steps_taken(self, pair, asked):
        calls = []

        def enough():
            calls.append(1)
            return len(calls) > asked

        result = refined(pair.fixed, pair.moving, patience=Patience(enough=enough))
        assert result.record["ended"] == "asked"
        (level,) = result.record["levels"]
        assert level["steps"] == (asked - 1) * LEVELS[0].refresh
        assert level["kept"]
        found = result.deformation.displacement
        assert 0.05 < error(found, pair.truth) < 0.8 * error(torch.zeros_like(found), pair.truth)

    def test_levels_are_told(self, pair):
        told = []
        refined(pair.fixed, pair.moving, patience=Patience(level=lambda *numbers: told.append(numbers)))
        assert told == [(1, 2), (2, 2)]

    def test_the_same_again(self, pair, result):
        again = refined(pair.fixed, pair.moving).deformation
        assert all(torch.equal(a, b) for a, b in zip(again, result.deformation, strict=True))


def of_voxels(x, y, z):
    """Grids of a fixed image with these voxels and of a finer moving image."""
    eye = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return Grid((9, 11, 13), (x, y, z), (4.0, -3.0, 7.0), eye), Grid((9, 11, 13), (0.9, 1.0, 1.1), (0.0, 0.0, 0.0), eye)


class TestSettings:
    def test_levels_follow_quality_unless_told(self):
        preset = dataclasses.replace(find_preset(DEFAULT), effort=(1.0, 1.0))
        assert chosen_levels("fast", None, preset) == ()
        assert chosen_levels("fast", True, preset) == LEVELS
        assert chosen_levels("best", False, preset) == ()
        assert chosen_levels("balanced", None, preset) == LEVELS

    def test_a_preset_says_how_stiff_and_how_long(self):
        preset = dataclasses.replace(find_preset(DEFAULT), stiffness=0.2, effort=(1.5, 0.5))
        found = chosen_levels("balanced", None, preset)
        assert [level.stiffness for level in found] == [0.2, 0.2]
        assert [level.steps for level in found] == [60, 16]

    def test_no_level_is_far_finer_than_the_images_own_voxels(self):
        assert fitted_levels(LEVELS, 1.5, of_voxels(2.0, 2.0, 2.0), 7.0) == LEVELS
        assert fitted_levels(LEVELS, 1.5, of_voxels(5.3, 6.0, 5.4), 7.0) == LEVELS[:1]
        assert fitted_levels(LEVELS, 1.5, of_voxels(7.0, 6.5, 7.0), 7.0) == ()

    @pytest.mark.parametrize("axis", range(3))
    def test_thick_slices_leave_no_level_out(self, axis):
        sides = [2.9, 2.9, 2.9]
        sides[axis] = 11.0
        assert fitted_levels(LEVELS, 1.5, of_voxels(*sides), 7.0) == LEVELS

    @pytest.mark.parametrize(("own", "stiffer"), [(1.0, 1.0), (2.0, 1.0), (3.0, 2.25), (5.0, 6.25)])
    def test_coarse_images_are_refined_more_stiffly(self, own, stiffer):
        levels = [dataclasses.replace(level, stiffness=0.4) for level in LEVELS]
        found = fitted_levels(tuple(levels), 4.0, of_voxels(own / 1.25, own, 1.25 * own), 2.0)
        assert found == tuple(dataclasses.replace(level, stiffness=pytest.approx(0.4 * stiffer)) for level in levels)

    def test_refusals(self):
        with pytest.raises(InputError, match="`quality` superb: there is no such quality; choose one of fast, bal"):
            chosen_levels("superb", None, find_preset(DEFAULT))
        for seconds in (0.0, -1.0, float("nan")):
            with pytest.raises(InputError, match="`refine_seconds`"):
                check_seconds(seconds)
