from functools import partial

import pytest
import torch

from refinement_cases import SPACING, standing_still, texture
from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.control import cell_centres, spread
from RobustDIRLib.registration.refinement.correlation import PARITIES, box, joined_cells
from RobustDIRLib.registration.refinement.middle import Halves, half_shape
from RobustDIRLib.registration.refinement.optimise import LevelProblem, optimise
from RobustDIRLib.registration.refinement.refine import WorkingPair, refine
from RobustDIRLib.registration.refinement.settings import QUALITIES
from RobustDIRLib.registration.refinement.sliding import SlidingGrid

LEVELS = QUALITIES["balanced"].levels
SHAPE, VOXEL = (14, 23, 18), (2.0, 1.1, 1.4)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blob(shape=SHAPE):
    """An ellipsoid off the middle, whose axes differ."""
    lines = (torch.linspace(-1, 1, n) + off for n, off in zip(shape, (0.2, -0.1, 0.3), strict=True))
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    return (((z / 0.6) ** 2 + (y / 0.5) ** 2 + (x / 0.7) ** 2) < 1).float()[None, None]


def grid_of(inside, distance=5.0):
    return SlidingGrid(SHAPE, VOXEL, distance, inside, SHAPE)


class TestWindows:
    def test_hold_nothing_of_another_part(self):
        part = blob()[0, 0]
        sums = partial(box, joined=joined_cells(part))
        values, other = random(1, *SHAPE), random(1, *SHAPE, seed=1)
        mixed = torch.where(part > 0, values, other)
        assert not torch.equal(box(values), box(mixed))
        torch.testing.assert_close(sums(values)[:, part > 0], sums(mixed)[:, part > 0], rtol=0, atol=0)

    def test_off_the_wall_are_as_ever(self):
        part = blob()[0, 0]
        far = box(part[None])[0]
        far = (far == box(torch.ones(1, *SHAPE))[0]) | (far == 0)
        values = random(1, *SHAPE)
        assert 0 < int(far.sum()) < far.numel()
        torch.testing.assert_close(box(values, joined_cells(part))[0][far], box(values)[0][far])

    def test_reversed_are_the_transpose(self):
        joined = joined_cells((random(*SHAPE) > 0).float())
        a, b = random(1, *SHAPE, seed=1), random(1, *SHAPE, seed=2)
        there, back = (box(a, joined) * b).sum(), (a * box(b, joined, (2, 1, 0))).sum()
        assert float(there) == pytest.approx(float(back), rel=1e-4)
        assert float((a * box(b, joined)).sum()) != pytest.approx(float(there), rel=1e-2)


class TestGrid:
    def test_gradient_is_the_transpose_of_velocity(self):
        grid = grid_of(blob())
        matrices = grid.at([cell_centres(n) for n in SHAPE])
        c = random(*grid.zeros().shape)
        force = grid.velocity(matrices, c) + random(3, *SHAPE, seed=1)
        there = float((grid.velocity(matrices, c) * force).sum())
        assert there == pytest.approx(float((c * grid.gradient(matrices, force)).sum()), rel=1e-4)

    def test_every_part_has_its_own_velocity(self):
        grid = grid_of(blob())
        matrices = grid.at([cell_centres(n) for n in SHAPE])
        c = random(*grid.zeros().shape)
        found, part = grid.velocity(matrices, c), blob()[0, 0] > 0
        torch.testing.assert_close(found[:, part], spread(matrices, c[0])[:, part])
        torch.testing.assert_close(found[:, ~part], spread(matrices, c[1])[:, ~part])

    def test_roughness_has_the_gradient_of_finite_differences(self):
        grid = grid_of(blob())
        c, direction = random(*grid.zeros().shape), random(*grid.zeros().shape, seed=1)
        ahead, behind = (grid.roughness(c + s * direction)[0] for s in (1e-2, -1e-2))
        assert (ahead - behind) / 2e-2 == pytest.approx(float((grid.roughness(c)[1] * direction).sum()), rel=1e-3)

    @pytest.mark.parametrize("axis", range(3))
    def test_sliding_along_the_wall_is_free_and_opening_it_is_not(self, axis):
        """A flat wall across an axis: the jump of two constant velocities costs along this axis alone."""
        inside = torch.zeros(1, 1, *SHAPE)
        inside.narrow(2 + axis, 0, SHAPE[axis] // 2).fill_(1)
        grid, costs = grid_of(inside), []
        for direction in range(3):
            c = grid.zeros()
            c[0, direction] = 1.0
            costs.append(grid.roughness(c)[0])
        assert costs[axis] > 1e-3
        assert all(cost < 1e-6 for k, cost in enumerate(costs) if k != axis)

    def test_exponentials_are_inverse_and_a_sliding_one_does_not_fold(self):
        inside = torch.zeros(1, 1, *SHAPE)
        inside[..., : SHAPE[1] // 2, :] = 1
        grid = grid_of(inside)
        c = grid.zeros()
        c[0, 2], c[1, 2], c[0, 0] = 8.0, -6.0, 5.0
        both = grid.exponential(c, SHAPE)
        at = torch.tensor(VOXEL).view(3, 1, 1)
        torch.testing.assert_close(both[1][:, :, 2] * at, torch.tensor([2.5, 0, 4.0]).view(3, 1, 1).expand(3, 14, 18))
        torch.testing.assert_close(both[1][:, :, -2] * at, torch.tensor([0, 0, -3.0]).view(3, 1, 1).expand(3, 14, 18))
        residual = warping.compose(both[:1], both[1:])[..., 4:-4, 4:-4, 4:-4].norm(dim=1)
        assert float(residual.max()) < 0.05
        assert float(warping.jacobian_determinant(both).min()) > 0.5

    def test_nothing_inside_at_the_cells_is_no_part(self):
        inside = torch.zeros(1, 1, *SHAPE)
        inside[..., 5, 6, 7] = 1
        grid = SlidingGrid(SHAPE, VOXEL, 5.0, inside, half_shape(SHAPE))
        matrices = grid.at([cell_centres(n) for n in half_shape(SHAPE)])
        c = random(*grid.zeros().shape)
        torch.testing.assert_close(grid.velocity(matrices, c), spread(matrices, c[1]))
        assert not grid.gradient(matrices, random(3, *half_shape(SHAPE)))[0].any()


def sliding_pair(axis):
    """A texture in a block whose contents move along an axis by 3 voxels, in a texture that stands still.

    Returns:
        Working pair that knows of it, the same that does not, the block on the working grid, and the true displacement.
    """
    shape = (36, 41, 38)
    block = torch.zeros(1, 1, *shape)
    block[..., 7:-6, 8:-9, 9:-8] = 1
    truth = torch.zeros(1, 3, *shape)
    truth[:, axis] = 3 * block[:, 0]
    still, moving_texture = texture(shape, seed=5), texture(shape, seed=6)
    # Both images have the block at the same place, as a chest wall stays where it is.
    moving = torch.where(block > 0, moving_texture, still)
    fixed = torch.where(block > 0, torch.roll(moving_texture, -3, 2 + axis), still)
    small = (warping.resize(block, half_shape(shape)) > 0.5).float()
    return (
        WorkingPair(fixed, moving, SPACING, sliding=(small, small)),
        WorkingPair(fixed, moving, SPACING),
        block,
        truth,
    )


@pytest.mark.parametrize("axis", range(3))
def test_what_slides_is_found_up_to_the_wall_without_dragging_the_rest_along(axis):
    sliding, smooth, block, truth = sliding_pair(axis)
    # Off the ends of the block, where it would have to open or fold.
    middle = [slice(12, -12) if k == axis else slice(None) for k in range(3)]
    shape = tuple(block.shape[2:])
    errors = []
    for pair in (sliding, smooth):
        found = refine(pair, standing_still(shape), LEVELS).deformation
        wrong = (found.displacement - truth).norm(dim=1, keepdim=True)[(..., *middle)]
        where = block[(..., *middle)] > 0
        errors.append((float(wrong[where].mean()), float(wrong[~where].mean())))
    (inside, outside), (dragged_inside, dragged_outside) = errors
    assert inside < 0.9 * dragged_inside
    assert outside < 0.9 * dragged_outside


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: f"factor {level.factor}")
def test_gradient_of_the_similarity_is_that_of_finite_differences(level):
    """The images as they were last warped are linear in the velocity, so that small steps tell it."""
    pair, _, block, _ = sliding_pair(1)
    halves = Halves.of(standing_still(tuple(block.shape[2:])))
    problem = LevelProblem((pair.fixed, pair.moving), SPACING, halves, level, None, pair.sliding[0])
    zero = problem.grid.zeros()
    lattices = problem.lattices(zero, PARITIES)
    _, gradient = problem.similarity_gradient(lattices, zero)
    direction = random(*zero.shape)
    ahead, behind = (problem.similarity_gradient(lattices, s * direction)[0] for s in (1e-2, -1e-2))
    assert (ahead - behind) / 2e-2 == pytest.approx(float((gradient * direction).sum()), rel=0.02)


def test_exchanged_images_give_the_inverse():
    pair, _, block, _ = sliding_pair(2)
    other = (pair.sliding[0].roll(1, 3), pair.sliding[1])
    start = standing_still(tuple(block.shape[2:]))
    there = refine(WorkingPair(pair.fixed, pair.moving, SPACING, sliding=other), start, LEVELS)
    back = refine(WorkingPair(pair.moving, pair.fixed, SPACING, sliding=other[::-1]), start, LEVELS)
    assert all(level["kept"] for level in there.record["levels"])
    torch.testing.assert_close(back.deformation.displacement, there.deformation.inverse, rtol=0, atol=1e-3)
    torch.testing.assert_close(back.deformation.inverse, there.deformation.displacement, rtol=0, atol=1e-3)


def test_nothing_slides_where_no_part_is_found():
    pair, smooth, block, _ = sliding_pair(0)
    start, nothing = standing_still(tuple(block.shape[2:])), torch.zeros_like(pair.sliding[0])
    found = refine(WorkingPair(pair.fixed, pair.moving, SPACING, sliding=(nothing, nothing)), start, LEVELS[:1])
    torch.testing.assert_close(
        found.deformation.displacement, refine(smooth, start, LEVELS[:1]).deformation.displacement, rtol=0, atol=0
    )


def test_unlike_parts_that_slide_do_not_fold():
    """Parts that are pushed into each other, as nothing in the images agrees."""
    _, _, block, _ = sliding_pair(0)
    shape = tuple(block.shape[2:])
    inside = warping.resize(block, half_shape(shape))
    images = texture(shape, seed=3), texture(shape, seed=4)
    problem = LevelProblem(images, SPACING, Halves.of(standing_still(shape)), LEVELS[0], None, inside)
    coefficients, _ = optimise(problem, bool)
    assert float(coefficients.abs().max()) > 1
    assert problem.moved(coefficients).folds() == 0
