"""The correlation pyramid: symmetric by construction, with its inverse, at any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from network_cases import points_through
from RobustDIRLib import warping
from RobustDIRLib.networks.mirrors import MIRRORS, mirror, mirror_displacement
from RobustDIRLib.networks.pyramid import CorrelationPyramid, PyramidConfig

ODD = (37, 45, 29)


def _smooth_image(seed: int, shape: tuple[int, int, int] = ODD) -> torch.Tensor:
    g = _generator(seed)
    coarse = torch.randn((1, 1, 9, 8, 7), generator=g)
    image = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")
    return image.clamp(-1, 1)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def a_network() -> CorrelationPyramid:
    """Untrained, but with decoders that matter."""
    torch.manual_seed(0)
    network = CorrelationPyramid(PyramidConfig((8, 8, 8), (8, 8, 8), (1, 2, 1), (1, 1, 2)))
    for decoder in network.decoder:
        torch.nn.init.normal_(decoder.out.weight, 0, 0.01)
    return network.eval()


@torch.no_grad()
def test_swapping_the_images_swaps_displacement_and_inverse(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)
    there, back = a_network(fixed, moving), a_network(moving, fixed)
    assert there.displacement.abs().max() > 1
    torch.testing.assert_close(there.displacement, back.inverse, atol=1e-4, rtol=0)
    torch.testing.assert_close(there.inverse, back.displacement, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_inverse_undoes_the_displacement(a_network: CorrelationPyramid) -> None:
    moving = _smooth_image(3)
    velocity = torch.nn.functional.interpolate(
        3 * torch.randn((1, 3, 3, 3, 3), generator=_generator(4)), size=ODD, mode="trilinear"
    )
    both = a_network(warping.warp(moving, warping.integrate_velocity(velocity)), moving)
    size, left = (
        u.norm(dim=1)[:, 5:-5, 5:-5, 5:-5].mean()
        for u in (both.displacement, warping.compose(both.displacement, both.inverse))
    )
    assert size > 0.5
    assert left < 0.15 * size


@torch.no_grad()
def test_the_inverse_is_better_than_its_composition(
    a_network: CorrelationPyramid, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)

    def left() -> torch.Tensor:
        both = a_network(fixed, moving)
        return warping.compose(both.displacement, both.inverse).norm(dim=1)[:, 5:-5, 5:-5, 5:-5].mean()

    mended = left()
    monkeypatch.setattr("RobustDIRLib.networks.pyramid._INVERSE_STEPS", 0)
    assert mended < 0.6 * left()


@torch.no_grad()
def test_a_second_iteration_goes_on_from_the_first() -> None:
    moving = torch.nn.functional.avg_pool3d(torch.randn((1, 1, 44, 52, 60), generator=_generator(30)), 5, 1) * 3
    fixed = moving.roll(3, 3)  # fixed(x) = moving(x - 3)
    left = []
    for times in (1, 3):
        torch.manual_seed(2)
        sizes = PyramidConfig((8, 8), (8, 8), (1, 1), (1, 1), iterations=(times, times))
        u = CorrelationPyramid(sizes).eval()(fixed, moving).displacement[0, :, 10:-10, 10:-10, 10:-10]
        left.append((u - torch.tensor([0.0, -3.0, 0.0]).view(3, 1, 1, 1)).norm(dim=0).mean())
    assert left[1] < 0.8 * left[0] < 0.8 * 3


@torch.no_grad()
def test_autocast_changes_the_displacement_little(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)
    exact = a_network(fixed, moving).displacement
    with torch.autocast("cpu", torch.bfloat16):
        rough = a_network(fixed, moving).displacement
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).norm(dim=1).mean() < 0.02 * exact.norm(dim=1).mean()


def _averaging(network: CorrelationPyramid, *mirrors: int) -> CorrelationPyramid:
    """The same weights, averaging over mirrored copies."""
    other = CorrelationPyramid(replace(network.config, mirrors=mirrors))
    other.load_state_dict(network.state_dict())
    return other.eval()


@torch.no_grad()
@pytest.mark.parametrize("axes", MIRRORS[1:])
def test_averaged_over_mirrored_copies_a_mirrored_pair_has_the_mirrored_result(
    a_network: CorrelationPyramid, axes: tuple[int, ...]
) -> None:
    shape = (24, 32, 16)  # multiples, so that padding does not tell one side from the other
    fixed, moving = _smooth_image(1, shape), _smooth_image(2, shape)

    def differences(network: CorrelationPyramid) -> list[float]:
        """Between the results of the mirrored pair and the mirrored results."""
        pairs = zip(network(mirror(fixed, axes), mirror(moving, axes)), network(fixed, moving), strict=True)
        return [float((there - mirror_displacement(here, axes)).abs().max()) for there, here in pairs]

    count = next(number for number in (2, 4, 8) if axes in MIRRORS[:number])
    assert max(differences(_averaging(a_network, *[count] * 3))) < 1e-3
    assert min(differences(a_network)) > 0.1


@torch.no_grad()
def test_every_level_averages_over_its_own_number_of_copies(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)
    results = [
        _averaging(a_network, *mirrors)(fixed, moving).displacement for mirrors in ((1, 1, 1), (1, 1, 4), (2, 1, 4))
    ]
    torch.testing.assert_close(results[0], a_network(fixed, moving).displacement)
    assert (results[0] - results[1]).abs().max() > 0.01
    assert (results[1] - results[2]).abs().max() > 0.01


@torch.no_grad()
def test_teaching_sees_no_mirrored_copies(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1, (24, 32, 16)), _smooth_image(2, (24, 32, 16))
    plain, averaging = (_averaging(a_network, *mirrors).train() for mirrors in ((), (2, 4, 4)))
    torch.testing.assert_close(
        averaging.levels(fixed, moving)[-1].displacement, plain.levels(fixed, moving)[-1].displacement
    )


def test_a_mirrored_displacement_leads_to_mirrored_points() -> None:
    shape, axes = (5, 7, 9), (0, 2)
    displacement = torch.rand((1, 3, *shape), generator=_generator(3))
    mirrored = mirror_displacement(displacement, axes)
    point, last = torch.tensor([1, 2, 3]), torch.tensor(shape) - 1
    counterpart = torch.where(torch.tensor([axis in axes for axis in range(3)]), last - point, point)
    target = point + displacement[(0, slice(None), *point)]
    expected = torch.where(torch.tensor([axis in axes for axis in range(3)]), last - target, target)
    torch.testing.assert_close(counterpart + mirrored[(0, slice(None), *counterpart)], expected)


@torch.no_grad()
def test_equal_images_stay_where_they_are(a_network: CorrelationPyramid) -> None:
    image = _smooth_image(5)
    assert a_network(image, image).displacement.abs().max() < 1e-4


@torch.no_grad()
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_untrained_pyramid_follows_a_shift_towards_the_moving_point(axis: int) -> None:
    torch.manual_seed(1)
    moving = torch.nn.functional.avg_pool3d(torch.randn(1, 1, 68, 68, 68), 5, 1)
    fixed = moving.roll(-4, 2 + axis)  # fixed(x) = moving(x + 4)
    u = CorrelationPyramid()(fixed / fixed.abs().max(), moving / fixed.abs().max()).displacement
    middle = u[0, :, 16:-16, 16:-16, 16:-16].mean((1, 2, 3))
    assert middle[axis] > 1.5
    assert all(abs(middle[other]) < 0.5 for other in range(3) if other != axis)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 23, 41), (8, 30, 19)])
def test_any_size(a_network: CorrelationPyramid, shape: tuple[int, int, int]) -> None:
    both = a_network(_smooth_image(6, shape), _smooth_image(7, shape))
    assert both.displacement.shape == both.inverse.shape == (1, 3, *shape)
    assert torch.isfinite(both.displacement).all()
    assert both.displacement.dtype == torch.float32


@torch.no_grad()
def test_pairs_of_a_batch_do_not_mix(a_network: CorrelationPyramid) -> None:
    fixed, moving = (torch.cat([_smooth_image(seed), _smooth_image(seed + 1)]) for seed in (10, 20))
    together = a_network(fixed, moving).displacement
    apart = torch.cat([a_network(f, m).displacement for f, m in zip(fixed.split(1), moving.split(1), strict=True)])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)


def test_every_weight_learns(a_network: CorrelationPyramid) -> None:
    shape = (32, 24, 40)
    levels = a_network.levels(_smooth_image(8, shape), _smooth_image(9, shape))
    sum(level.displacement.square().mean() for level in levels).backward()  # type: ignore[union-attr]
    for name, parameter in a_network.named_parameters():
        # The mean a bias adds is taken off again by the normalisation; an equal bias of both orders cancels.
        if not name.endswith("bias"):
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert [tuple(level.displacement.shape[2:]) for level in levels] == [(4, 3, 5), (8, 6, 10), (16, 12, 20)]


def test_levels_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry for each level"):
        PyramidConfig(encoder=(8, 8), decoder=(8, 8, 8))
    with pytest.raises(ValueError, match="one entry for each level"):
        PyramidConfig(mirrors=(1, 4))


def test_a_number_of_copies_that_makes_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        PyramidConfig(mirrors=(1, 3, 4, 4))


class TestRefining:
    """One step of a level: each half goes on from where the step leads, and its inverse comes back the other way."""

    SHAPE = (21, 25, 23)

    def field(self, seed: int, size: float) -> torch.Tensor:
        """A smooth displacement of two images, voxels; no two of its parts commute."""
        coarse = torch.randn((2, 3, 5, 5, 5), generator=_generator(seed))
        smooth = torch.nn.functional.interpolate(coarse, size=self.SHAPE, mode="trilinear", align_corners=True)
        return size * smooth / smooth.abs().max()

    def refined(self):
        """Halves before, the steps of both, and what `_refine` makes of them."""
        velocity = self.field(8, 2.0)[:1]

        class Knowing(torch.nn.Module):
            def forward(self, both: torch.Tensor) -> torch.Tensor:
                return 2 * velocity

        network = CorrelationPyramid(PyramidConfig((4,), (4,), (1,), (1,)))
        network.decoder[0] = Knowing()
        halves = warping.integrate_velocity(self.field(9, 3.0))
        inverses = warping.invert(halves)
        features = [torch.randn((2, 4, *self.SHAPE), generator=_generator(1))]
        after, back = network._refine(0, features, halves, inverses)
        steps = warping.integrate_velocity(torch.cat([-velocity, velocity]), network.config.squarings)
        return halves, inverses, steps, after, back

    def through(self, first: torch.Tensor, then: torch.Tensor, image: int) -> np.ndarray:
        """Inner voxels, where composing is exact, moved by one displacement after the other, `(3, N)`."""
        points = np.random.default_rng(0).integers(6, np.array(self.SHAPE) - 6, (200, 3)).T.astype(float)
        return points_through(then[image][None], points_through(first[image][None], points))

    @torch.no_grad()
    @pytest.mark.parametrize("image", [0, 1])
    def test_the_step_comes_before_the_half(self, image) -> None:
        halves, _, steps, after, _ = self.refined()
        still = torch.zeros_like(halves)
        found = self.through(still, after, image)
        right, wrong = self.through(steps, halves, image), self.through(halves, steps, image)
        assert np.abs(right - wrong).mean() > 0.03
        np.testing.assert_allclose(found, right, atol=1e-3)

    @torch.no_grad()
    @pytest.mark.parametrize("image", [0, 1])
    def test_the_inverse_undoes_the_half_first_and_then_the_step(self, image) -> None:
        _, inverses, steps, _, back = self.refined()
        undone = steps.flip(0)  # both steps are each other's inverse
        found = self.through(torch.zeros_like(back), back, image)
        right, wrong = self.through(inverses, undone, image), self.through(undone, inverses, image)
        assert np.abs(right - wrong).mean() > 0.03
        np.testing.assert_allclose(found, right, atol=1e-3)


@torch.no_grad()
def test_large_motion_keeps_symmetry_inverse_and_any_size(a_network: CorrelationPyramid) -> None:
    fixed, moving = _smooth_image(1), _smooth_image(2)
    there, back = (a_network(*pair, large_motion=True) for pair in ((fixed, moving), (moving, fixed)))
    assert there.displacement.shape == (1, 3, *ODD)
    torch.testing.assert_close(there.displacement, back.inverse, atol=1e-4, rtol=0)
    left = warping.compose(there.displacement, there.inverse).norm(dim=1)[:, 5:-5, 5:-5, 5:-5].mean()
    assert left < 0.15 * there.displacement.norm(dim=1).mean()
    assert (there.displacement - a_network(fixed, moving).displacement).abs().max() > 0.1


@pytest.mark.parametrize("large_motion", [False, True])
@torch.no_grad()
def test_a_draft_leaves_out_mirrored_copies_and_the_finest_levels(large_motion: bool) -> None:
    torch.manual_seed(0)
    sizes = ((8, 8, 8), (8, 8, 8), (1, 2, 1), (1, 1, 2))
    network = CorrelationPyramid(PyramidConfig(*sizes, mirrors=(1, 2, 4))).eval()
    for decoder in network.decoder:
        torch.nn.init.normal_(decoder.out.weight, 0, 0.01)
    alone = CorrelationPyramid(PyramidConfig(*sizes)).eval()
    alone.load_state_dict(network.state_dict())
    ran: list[int] = []
    for level, decoder in enumerate(network.decoder):
        decoder.register_forward_hook(lambda *_, level=level: ran.append(level))
    fixed, moving = _smooth_image(1), _smooth_image(2)
    whole = network(fixed, moving, large_motion=large_motion).displacement
    assert ran.count(2) == 4 * (4 if large_motion else 1)
    times, before = 2 if large_motion else 1, [2, 2, 1, 1, 0, 0] if large_motion else []
    for draft, levels in ((0, [2, 1, 0]), (1, [2, 1]), (2, [2]), (9, [2])):
        ran.clear()
        there = network(fixed, moving, large_motion=large_motion, draft=draft)
        assert ran == before + [level for level in levels for _ in range(times)]
        assert there.displacement.shape == whole.shape
        back = network(moving, fixed, large_motion=large_motion, draft=draft)
        torch.testing.assert_close(there.displacement, back.inverse, atol=1e-4, rtol=0)
    unmirrored = alone(fixed, moving, large_motion=large_motion).displacement
    assert torch.equal(network(fixed, moving, large_motion=large_motion, draft=0).displacement, unmirrored)
    assert (unmirrored - whole).abs().max() > 0.01


@pytest.mark.parametrize("axis", [0, 1, 2])
@torch.no_grad()
def test_a_shift_beyond_the_coarsest_levels_is_found_from_half_resolution(axis: int) -> None:
    torch.manual_seed(5)
    network = CorrelationPyramid(PyramidConfig((8, 8), (8, 8), (1, 1), (1, 1), self_similarity=False)).eval()
    coarse = torch.nn.functional.avg_pool3d(torch.randn((1, 1, 72, 66, 78), generator=_generator(31)), 7, 1)
    moving = coarse / coarse.std() / 3
    fixed = moving.roll(6, axis + 2)  # fixed(x) = moving(x - 6)
    truth = torch.zeros(3, 1, 1, 1)
    truth[axis] = -6
    plain, large = (
        (network(fixed, moving, **way).displacement[0, :, 12:-12, 12:-12, 12:-12] - truth).norm(dim=0).mean()
        for way in ({}, {"large_motion": True})
    )
    assert large < 0.7 * plain


@torch.no_grad()
def test_a_coarse_levels_step_keeps_its_length_on_the_finer_field_it_goes_on_from() -> None:
    step = torch.tensor([1.0, -0.5, 0.75]).view(1, 3, 1, 1, 1)  # voxels of the coarse level

    class Knowing(torch.nn.Module):
        def forward(self, both: torch.Tensor) -> torch.Tensor:
            return 2 * step.expand(1, 3, *both.shape[2:])

    network = CorrelationPyramid(PyramidConfig((4,), (4,), (1,), (1,)))
    network.decoder[0] = Knowing()
    fine = torch.zeros(2, 3, 12, 20, 28)
    halves, inverses = network._run_level(0, [torch.randn(2, 4, 3, 5, 7)], fine, fine)
    for after, sign in ((halves, 1), (inverses, -1)):
        assert after.shape == fine.shape
        expected = sign * 4 * torch.cat([-step, step]).expand_as(fine)
        torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)
