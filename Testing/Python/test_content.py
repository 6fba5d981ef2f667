import numpy as np
import pytest
import torch

from registration_cases import grid_about
from RobustDIRLib.io.images import Image
from RobustDIRLib.networks.deformation import Deformation
from RobustDIRLib.registration.content import content_box
from RobustDIRLib.registration.register import register
from RobustDIRLib.registration.result import RegistrationOptions

GRID = grid_about(np.array([30.0, -20, 10]), (61, 75, 90), (1.9, 1.4, 1.1), (12, -8, 20), (1, -1, 1))
HELD = (slice(7, 43), slice(31, 70), slice(14, 52))


def speckled(held: tuple[slice, ...], seed: int = 0) -> Image:
    """An image in [-1, 1] that holds something in a box alone."""
    array = np.full(GRID.shape, -1, np.float32)
    array[held] = np.random.default_rng(seed).uniform(-0.9, 1, array[held].shape)
    return Image(array, GRID)


class Ramps:
    """A network whose displacement says where in the image it is: numbers of voxels, times a factor an axis."""

    bytes_per_voxel = 100
    factors = (0.01, -0.02, 0.03)

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, fixed: torch.Tensor, moving: torch.Tensor) -> Deformation:
        self.seen.append(tuple(fixed.shape[2:]))
        lines = [f * torch.arange(n) for f, n in zip(self.factors, fixed.shape[2:], strict=True)]
        u = torch.stack(torch.meshgrid(*lines, indexing="ij"))[None]
        return Deformation(u, -u)


class TestBox:
    def test_holds_all_of_both_images_and_hardly_more(self):
        images = (speckled(HELD), speckled((slice(10, 48), slice(28, 66), slice(20, 58))))
        box = content_box(images)
        assert box.before == (3, 24, 10)
        assert box.after == (61 - 52, 75 - 74, 90 - 62)
        for image in images:
            assert (box.cut(image).array > -1).sum() == (image.array > -1).sum()

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_is_cut_along_each_axis_by_itself(self, axis):
        held = [slice(None)] * 3
        held[axis] = HELD[axis]
        box = content_box([speckled(tuple(held))])
        for other in range(3):
            left_out = box.before[other] + box.after[other]
            assert left_out == (0 if other != axis else GRID.shape[axis] - (held[axis].stop - held[axis].start) - 8)

    def test_what_it_holds_stays_where_it_lies_in_space(self):
        image = speckled(HELD)
        part = content_box([image]).cut(image)
        place = np.unravel_index(part.array.argmax(), part.array.shape)
        same = np.unravel_index(image.array.argmax(), image.array.shape)
        np.testing.assert_allclose(part.grid.points_from_voxels(place), GRID.points_from_voxels(same), atol=1e-9)

    @pytest.mark.parametrize("start", [0, 29, 58])
    def test_a_speck_has_room_for_the_network_wherever_it_lies(self, start):
        box = content_box([speckled((slice(start, start + 3),) * 3)])
        sides = [n - b - a for n, b, a in zip(GRID.shape, box.before, box.after, strict=True)]
        assert sides == [32, 32, 32]
        assert min(*box.before, *box.after) >= 0

    def test_images_that_fill_their_grid_or_hold_nothing_are_left_whole(self):
        nearly = speckled((slice(0, 58), slice(None), slice(2, 88)))
        empty = Image(np.full(GRID.shape, -1, np.float32), GRID)
        for image in (nearly, empty):
            box = content_box([image])
            assert box.cut(image) is image
            deformation = Deformation(torch.rand(1, 3, *GRID.shape), torch.rand(1, 3, *GRID.shape))
            assert box.whole(deformation) is deformation

    def test_a_deformation_goes_on_beyond_its_border(self):
        box = content_box([speckled(HELD)])
        first = np.array(box.before)
        sides = tuple(int(n - b - a) for n, b, a in zip(GRID.shape, box.before, box.after, strict=True))
        g = torch.Generator().manual_seed(3)
        part = Deformation(*(torch.rand(1, 3, *sides, generator=g) for _ in range(2)))
        z, y, x = (
            torch.arange(n).sub(int(f)).clamp(0, s - 1) for n, f, s in zip(GRID.shape, first, sides, strict=True)
        )
        for whole, given in zip(box.whole(part), part, strict=True):
            torch.testing.assert_close(whole, given[:, :, z][:, :, :, y][..., x])


class TestRegistration:
    def test_computes_where_there_is_something_and_answers_everywhere(self):
        grid = grid_about(np.array([30.0, -20, 10]), GRID.shape, (1.5, 1.5, 1.5), (12, -8, 20), (1, -1, 1))
        images = [Image((speckled(HELD, seed).array + 1) * 500, grid) for seed in (1, 2)]
        network = Ramps()
        options = RegistrationOptions(alignment="none", device="cpu", quality="fast", spacing=1.5)
        result = register(*images, network, options=options)
        (seen,) = network.seen
        assert seen == tuple(held.stop - held.start + 2 * 4 for held in HELD)
        moved = grid.displacement_from_mm(result.displacement.array)
        for axis, (factor, held) in enumerate(zip(network.factors, HELD, strict=True)):
            steps = np.clip(np.arange(GRID.shape[axis]) - (held.start - 4), 0, seen[axis] - 1)
            there = np.moveaxis(moved[axis], axis, -1)
            np.testing.assert_allclose(there, np.broadcast_to(factor * steps, there.shape), atol=1e-4)
