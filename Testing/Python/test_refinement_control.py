import pytest
import torch
from scipy.interpolate import BSpline

from RobustDIRLib import warping
from RobustDIRLib.registration.refinement.control import ControlGrid, cell_centres, gather, spline_matrix, spread

SHAPE, SPACING = (14, 23, 18), (2.0, 1.1, 1.4)


def coefficients(grid: ControlGrid, size: float, seed: int = 0) -> torch.Tensor:
    return size * torch.randn(grid.zeros().shape, generator=torch.Generator().manual_seed(seed))


def test_weights_are_cubic_b_splines_and_sum_to_one():
    points, at = 7, torch.linspace(0.3, 0.7, 11, dtype=torch.float64)
    weights = spline_matrix(at, points)
    for k in range(points):
        spline = BSpline.basis_element([k - 2, k - 1, k, k + 1, k + 2], extrapolate=False)
        expected = torch.nan_to_num(torch.from_numpy(spline(at.numpy() * points - 0.5)))
        torch.testing.assert_close(weights[:, k], expected)
    torch.testing.assert_close(spline_matrix(cell_centres(40), points).sum(1), torch.ones(40, dtype=torch.float64))


def test_gather_is_the_transpose_of_spread():
    grid = ControlGrid(SHAPE, SPACING, 5.0)
    matrices = grid.at([cell_centres(n) for n in SHAPE])
    c = coefficients(grid, 1)
    values = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert float((spread(matrices, c) * values).sum()) == pytest.approx(
        float((c * gather(matrices, values)).sum()), rel=1e-4
    )


@pytest.mark.parametrize("axis", range(3))
def test_points_are_as_far_apart_as_asked_along_each_axis(axis):
    shape = [20, 20, 20]
    shape[axis] = 50
    grid = ControlGrid(shape, (1.0, 1.0, 1.0), 5.0)
    assert grid.points == [10 if k == axis else 4 for k in range(3)]
    assert ControlGrid(SHAPE, SPACING, 1000.0).points == [4, 4, 4]


@pytest.mark.parametrize("axis", range(3))
def test_exponential_of_a_constant_velocity_is_half_a_shift_in_mm(axis):
    grid = ControlGrid(SHAPE, SPACING, 5.0)
    c = grid.zeros()
    c[axis] = 3.0
    towards_fixed, towards_moving = grid.exponential(c, SHAPE)
    expected = torch.zeros(3)
    expected[axis] = 1.5 / SPACING[axis]
    for c_ in range(3):
        torch.testing.assert_close(towards_moving[c_], expected[c_].expand(SHAPE), rtol=0, atol=1e-5)
        torch.testing.assert_close(towards_fixed[c_], -expected[c_].expand(SHAPE), rtol=0, atol=1e-5)


def test_exponentials_are_inverse_and_do_not_fold():
    grid = ControlGrid(SHAPE, SPACING, 5.0)
    both = grid.exponential(coefficients(grid, 2.5), SHAPE)
    residual = warping.compose(both[:1], both[1:])[..., 3:-3, 3:-3, 3:-3].norm(dim=1)
    assert float(both[0].norm(dim=0).max()) > 0.5
    assert float(residual.mean()) < 0.06
    assert float(warping.jacobian_determinant(both).min()) > 0


def test_exponential_changes_as_the_splines_at_first():
    """What the written-out gradient takes for granted."""
    grid = ControlGrid(SHAPE, SPACING, 5.0)
    c = coefficients(grid, 1e-3)
    velocity = spread(grid.at([cell_centres(n) for n in SHAPE]), c)
    moved = grid.exponential(c, SHAPE)[1] * torch.tensor(SPACING).view(3, 1, 1, 1)
    torch.testing.assert_close(moved, velocity / 2, rtol=0, atol=1e-5)


def test_roughness_is_the_mean_squared_slope_and_its_gradient_that_of_autograd():
    grid = ControlGrid(SHAPE, SPACING, 4.0)
    c = coefficients(grid, 1.0).requires_grad_()
    nodes = spread(grid.nodes, c)
    slopes = [nodes.diff(dim=k + 1) / float(grid.spacing[k]) for k in range(3)]
    expected = sum(s.square().sum() for s in slopes) / nodes[0].numel()
    expected.backward()
    energy, gradient = grid.roughness(c.detach())
    assert energy == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(gradient, c.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("axis", range(3))
def test_roughness_counts_millimetres(axis):
    """The same field on voxels twice as long along one axis is as rough."""
    fine = ControlGrid((24, 24, 24), (1.0, 1.0, 1.0), 3.0)
    shape, spacing = [24, 24, 24], [1.0, 1.0, 1.0]
    shape[axis], spacing[axis] = 12, 2.0
    assert ControlGrid(shape, spacing, 3.0).points == fine.points
    c = coefficients(fine, 1.0)
    assert ControlGrid(shape, spacing, 3.0).roughness(c)[0] == pytest.approx(fine.roughness(c)[0])


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("shape", [SHAPE, (7, 12, 9)])
def test_a_mirrored_velocity_gives_the_mirrored_displacement(axis, shape):
    """Control points and voxels lie in the middle of their cells: neither border of the volume is nearer to them."""
    grid = ControlGrid(SHAPE, SPACING, 5.0)
    sign = torch.ones(3, 1, 1, 1)
    sign[axis] = -1
    c = coefficients(grid, 2.5)
    found, expected = (grid.exponential(one, shape) for one in (sign * c.flip(axis + 1), c))
    torch.testing.assert_close(found, sign * expected.flip(axis + 2), rtol=0, atol=1e-4)
