import pytest
import torch
import torch.nn.functional as F

from RobustDIRLib.registration.refinement.correlation import (
    NOISE,
    PARITIES,
    LocalCorrelation,
    box,
    even,
    lattice,
    lattice_gradient,
)

CELLS = (5, 6, 7)


def lattices(count: int, seed: int) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(CELLS, generator=g) for _ in range(count)]


def by_autograd(a, b, weight):
    """The same loss from its definition, with convolutions."""
    kernel = torch.ones(1, 1, 3, 3, 3)
    summed = lambda t: F.conv3d(t[None, None], kernel, padding=1)[0, 0]  # noqa: E731
    count = summed(torch.ones(CELLS)) * len(a)
    mean = lambda u, v: summed(sum(x * y for x, y in zip(u, v, strict=True))) / count  # noqa: E731
    ones = [torch.ones(CELLS)] * len(a)
    mean_a, mean_b = mean(a, ones), mean(b, ones)
    variances = mean(a, a) - mean_a**2 + NOISE, mean(b, b) - mean_b**2 + NOISE
    return -((mean(a, b) - mean_a * mean_b) ** 2 / (variances[0] * variances[1]) * weight).mean()


@pytest.mark.parametrize("count", [1, 2, 8])
def test_gradient_is_that_of_autograd(count):
    a, noise = lattices(count, 0), lattices(count, 1)
    b = [0.4 * x + 0.6 * y for x, y in zip(a, noise, strict=True)]
    weight = torch.rand(CELLS, generator=torch.Generator().manual_seed(2))
    leaves = [x.clone().requires_grad_() for x in (*a, *b)]
    expected = by_autograd(leaves[:count], leaves[count:], weight)
    expected.backward()
    loss, da, db = LocalCorrelation(CELLS, weight)(a, b)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    largest = max(float(leaf.grad.abs().max()) for leaf in leaves)
    for leaf, found in zip(leaves, (*da, *db), strict=True):
        torch.testing.assert_close(found, leaf.grad, rtol=0, atol=1e-4 * largest)


def test_box_is_a_convolution_with_ones():
    values = torch.rand(2, 5, 1, 4, generator=torch.Generator().manual_seed(0))
    expected = F.conv3d(values[:, None], torch.ones(1, 1, 3, 3, 3), padding=1)[:, 0]
    torch.testing.assert_close(box(values), expected)


def test_exchanged_images_exchange_gradients():
    a, b = lattices(2, 0), lattices(2, 1)
    loss, da, db = LocalCorrelation(CELLS)(a, b)
    swapped, ea, eb = LocalCorrelation(CELLS)(b, a)
    assert loss == swapped
    for one, other in zip((*da, *db), (*eb, *ea), strict=True):
        assert torch.equal(one, other)


def test_agreement_tells_alike_from_opposite_from_unrelated():
    a, b = lattices(8, 0), lattices(8, 1)
    agreement = LocalCorrelation(CELLS).agreement
    assert agreement(a, [0.3 * x + 0.1 for x in a]) == pytest.approx(1)
    assert agreement(a, [1 - 0.5 * x for x in a]) == pytest.approx(-1)
    assert abs(agreement(a, b)) < 0.35
    assert agreement(a, [torch.ones(CELLS)] * 8) == 0


@pytest.mark.parametrize("shape", [(6, 5, 9), (4, 7, 8)])
@pytest.mark.parametrize("parity", PARITIES)
def test_lattice_gradient_is_the_central_difference(shape, parity):
    image = even(torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0)))[0, 0]
    assert all(n % 2 == 0 for n in image.shape)
    for axis, found in enumerate(lattice_gradient(image, parity)):
        expected = torch.gradient(image, dim=axis)[0]
        for border in (0, -1):
            expected.select(axis, border).zero_()
        torch.testing.assert_close(found, lattice(expected, parity))


def test_lattices_hold_every_voxel_once():
    image = torch.arange(6 * 4 * 8.0).view(6, 4, 8)
    found = torch.cat([lattice(image, parity).flatten() for parity in PARITIES])
    assert torch.equal(found.sort().values, image.flatten())
