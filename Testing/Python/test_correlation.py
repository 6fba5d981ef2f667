"""Local correlation: against the plain definition, in both directions, with its written-out gradient."""

from __future__ import annotations

import pytest
import torch

from RobustDIRLib.networks.correlation import correlation_slabs, local_correlation, offsets


def _by_definition(a: torch.Tensor, b: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over channels of a(x) b(x + o), voxel by voxel, zero outside."""
    result = torch.zeros(len(a), (2 * radius + 1) ** 3, *a.shape[2:], dtype=a.dtype)
    for k, offset in enumerate(offsets(radius).int().tolist()):
        for x in torch.cartesian_prod(*[torch.arange(n) for n in a.shape[2:]]).tolist():
            y = [p + o for p, o in zip(x, offset, strict=True)]
            if all(0 <= p < n for p, n in zip(y, a.shape[2:], strict=True)):
                result[:, k, x[0], x[1], x[2]] = (a[:, :, x[0], x[1], x[2]] * b[:, :, y[0], y[1], y[2]]).mean(1)
    return result


@pytest.fixture(params=[0, 10**6], ids=["by offsets", "by products"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two ways that there are with gradients."""
    monkeypatch.setattr("RobustDIRLib.networks.correlation._FEW_VOXELS", request.param)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("radius", [1, 2])
def test_both_directions_equal_the_definition(radius: int) -> None:
    torch.manual_seed(1)
    a, b = torch.randn(2, 3, 4, 3, 5), torch.randn(2, 3, 4, 3, 5)
    ab, ba = local_correlation(a, b, radius)
    torch.testing.assert_close(ab, _by_definition(a, b, radius))
    torch.testing.assert_close(ba, _by_definition(b, a, radius))


def _from_slabs(a: torch.Tensor, b: torch.Tensor, radius: int) -> torch.Tensor:
    """Both directions as they are found without gradients; what no slab gives is not a number."""
    found = a.new_full((2 * len(a), (2 * radius + 1) ** 3, *a.shape[2:]), torch.nan)
    with torch.no_grad():
        for slab in correlation_slabs(torch.cat([a, b]), radius):
            target = found[slab.sample, :, slab.planes]
            target.copy_(slab.values.view_as(target))
    return found


@pytest.mark.parametrize(("shape", "radius"), [((21, 18, 26), 1), ((40, 37, 33), 1), ((9, 8, 7), 2), ((1, 3, 2), 1)])
def test_without_gradients_it_is_the_same(shape: tuple[int, int, int], radius: int) -> None:
    torch.manual_seed(4)
    a, b = (torch.randn(2, 5, *shape).contiguous(memory_format=torch.channels_last_3d) for _ in range(2))
    taught = local_correlation(a.contiguous(), b.contiguous(), radius)
    torch.testing.assert_close(_from_slabs(a, b, radius), torch.cat(taught))


@pytest.mark.usefixtures("_way")
def test_gradient_of_both_directions() -> None:
    torch.manual_seed(2)
    a, b = (torch.randn(1, 2, 2, 4, 3, dtype=torch.double, requires_grad=True) for _ in range(2))
    weights = torch.randn(3, 2, 1, 27, 2, 4, 3, dtype=torch.double)  # of sums: a backward pass each

    def sums(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (weights * torch.stack(local_correlation(x, y, 1))).flatten(1).sum(1)

    assert torch.autograd.gradcheck(sums, (a, b))


def test_long_volumes_are_cut_into_chunks_without_seams() -> None:
    torch.manual_seed(3)
    a, b = torch.randn(1, 1, 40, 37, 33), torch.randn(1, 1, 40, 37, 33)
    ab, _ = local_correlation(a, b, 1)
    k = offsets(1).int().tolist().index([1, 0, -1])
    torch.testing.assert_close(ab[:, k, :-1, :, 1:], (a[:, :, :-1, :, 1:] * b[:, :, 1:, :, :-1])[:, 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_largest_correlation_points_from_a_to_its_match_in_b(axis: int) -> None:
    torch.manual_seed(4)
    b = torch.randn(1, 200, 7, 8, 9)
    a = b.roll(-1, 2 + axis)  # a(x) = b(x + 1)
    ab, ba = local_correlation(a, b, 1)
    inside = (slice(None), slice(None), *[slice(2, -2)] * 3)
    step = [1 if k == axis else 0 for k in range(3)]
    assert (offsets(1)[ab[inside].argmax(1)] == torch.tensor(step)).all()
    assert (offsets(1)[ba[inside].argmax(1)] == -torch.tensor(step)).all()
