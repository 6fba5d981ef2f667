import numpy as np
import pytest
import torch
from scipy import ndimage

from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.images import Image
from RobustDIRLib.registration.judgement import Judgement, judge
from RobustDIRLib.warping import warp

SHAPE = (38, 46, 41)
DIRECTION = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
GRID = Grid(SHAPE, (2.0, 2.2, 1.9), (-30, 12, 55), DIRECTION)


def anatomy(seed: int, radii: tuple[int, int, int] = (13, 17, 14)) -> np.ndarray:
    """An ellipsoid full of structure that is its own, on an empty background."""
    random = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(random.normal(size=SHAPE), 1.6)
    z, y, x = np.indices(SHAPE)
    body = ((z - 18) / radii[0]) ** 2 + ((y - 24) / radii[1]) ** 2 + ((x - 20) / radii[2]) ** 2 < 1
    return np.where(body, np.clip(0.2 + 3.5 * texture, -0.8, 1), -1).astype(np.float32)


def smooth(seed: int, largest: float) -> torch.Tensor:
    random = np.random.default_rng(seed)
    field = np.stack([ndimage.gaussian_filter(random.normal(size=SHAPE), 7) for _ in range(3)])
    return torch.tensor(field / np.abs(field).max() * largest, dtype=torch.float32)[None]


def warped(array: np.ndarray, displacement: torch.Tensor) -> np.ndarray:
    return warp(torch.from_numpy(array)[None, None], displacement)[0, 0].numpy()


def other_contrast(array: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, 0.03, SHAPE)
    return np.clip(np.where(array > -0.9, -0.4 - 0.5 * array, -1) + noise, -1, 1).astype(np.float32)


def verdict(fixed: np.ndarray, moving: np.ndarray, displacement: torch.Tensor | None = None) -> Judgement:
    return judge(Image(fixed, GRID), Image(moving, GRID), STILL if displacement is None else displacement)


FIXED = anatomy(0)
STILL = torch.zeros(1, 3, *SHAPE)


class TestGood:
    @pytest.mark.parametrize("contrast", [lambda a: a, other_contrast], ids=["same", "other"])
    def test_a_right_result_passes(self, contrast):
        true = smooth(1, 2.5)
        moving = contrast(warped(FIXED, -true))
        found = verdict(FIXED, moving, true)
        assert not found.likely_failed
        assert found.sentence() == ""
        assert found.similarity > found.start > found.chance

    def test_a_large_motion_that_the_network_undid_passes(self):
        moving = np.roll(FIXED, 6, 1)
        shift = torch.zeros(1, 3, *SHAPE)
        shift[:, 1] = 6
        assert not verdict(FIXED, moving, shift).likely_failed

    def test_an_image_on_itself_matches_everywhere(self):
        found = verdict(FIXED, FIXED)
        assert found.unmatched_percent == 0
        assert found.similarity > 0.8


class TestAPartAgainstTheWhole:
    """What the moving image does not reach says nothing, for or against."""

    REACHED = np.zeros(SHAPE, bool)
    REACHED[4:22, 6:40, 10:26] = True

    def part(self, array: np.ndarray) -> np.ndarray:
        return np.where(self.REACHED, array, np.float32(-1))

    def test_a_right_part_passes_as_the_whole_does(self):
        true = smooth(1, 2.5)
        moving = warped(FIXED, -true)
        whole, given = verdict(FIXED, moving, true), Image(self.part(moving), GRID)
        blind = judge(Image(FIXED, GRID), given, true)
        found = judge(Image(FIXED, GRID), given, true, self.REACHED)
        assert blind.similarity < 0.7 * whole.similarity
        assert found.similarity == pytest.approx(whole.similarity, abs=0.07)
        assert found.similarity > 3 * found.chance
        assert found.unmatched_percent < 2 < blind.unmatched_percent
        assert not found.likely_failed

    def test_a_part_that_lies_wrong_is_said(self):
        for wrong in (np.roll(FIXED, 8, 1), anatomy(5, (17, 11, 10)), np.rot90(FIXED, 2, (0, 2))):
            moving = np.pad(wrong, 8)[8 : 8 + SHAPE[0], 8 : 8 + SHAPE[1], 8 : 8 + SHAPE[2]]
            assert judge(
                Image(FIXED, GRID), Image(self.part(moving), GRID), torch.zeros(1, 3, *SHAPE), self.REACHED
            ).likely_failed

    def test_where_hardly_anything_is_reached_the_whole_counts(self):
        reached = np.zeros(SHAPE, bool)
        reached[:3, :3, :3] = True
        found = judge(
            Image(FIXED, GRID),
            Image(np.where(reached, FIXED, np.float32(-1)), GRID),
            torch.zeros(1, 3, *SHAPE),
            reached,
        )
        assert found.likely_failed


class TestFailures:
    def test_a_corner_that_matches_does_not_speak_for_the_rest(self):
        z, y, x = np.indices(SHAPE)
        corner = (z < 14) & (x < 22)
        found = verdict(FIXED, np.where(corner, FIXED, np.roll(FIXED, (12, 9), (1, 2))))
        assert found.similarity > 2 * found.chance
        assert found.similarity > 0.75 * found.start
        assert f"{found.unmatched_percent:.0f} % of the object" in found.sentence()

    def test_a_mirrored_image_is_said(self):
        good = verdict(FIXED, FIXED)
        assert not good.with_mirror(False).likely_failed
        assert "mirrored" in good.with_mirror(True).sentence()

    @pytest.mark.parametrize(
        "moving",
        [
            anatomy(5, (17, 11, 10)),
            np.ascontiguousarray(np.rot90(FIXED, 2, (0, 1))),
            np.roll(FIXED, 8, 2),
            np.full(SHAPE, -1, np.float32),
            np.random.default_rng(2).uniform(-1, 1, SHAPE).astype(np.float32),
        ],
        ids=["other anatomy", "turned by 180 degrees", "shifted", "blank", "noise"],
    )
    @pytest.mark.parametrize("contrast", [lambda a: a, other_contrast], ids=["same", "other"])
    def test_what_does_not_match_is_said(self, moving, contrast):
        found = verdict(FIXED, contrast(moving))
        assert found.likely_failed
        assert found.unmatched_percent > 30

    def test_a_network_that_harms_is_said(self):
        found = verdict(FIXED, FIXED, smooth(3, 6.0))
        assert any("less" in reason for reason in found.reasons)

    @pytest.mark.parametrize(("sdlogj", "folding", "word"), [(0.9, 0, "violent"), (0.1, 3.0, "fold")])
    def test_violent_deformations_are_said(self, sdlogj, folding, word):
        good = verdict(FIXED, FIXED)
        assert not good.with_strain(0.2, 0.0).likely_failed
        assert word in good.with_strain(sdlogj, folding).sentence()


@pytest.mark.parametrize("corner", [(11, 19, 26), (26, 29, 13), (14, 34, 22)], ids=str)
def test_the_place_is_where_the_images_differ(corner):
    box = tuple(slice(n - 5, n + 5) for n in corner)
    moving = FIXED.copy()
    moving[box] = anatomy(7)[box]
    found = verdict(FIXED, moving)
    assert np.linalg.norm(GRID.points_from_voxels(corner) - found.place_mm) < 10


def test_large_images_are_judged_on_a_coarse_copy_of_the_same_space():
    large = Image(np.repeat(np.repeat(np.repeat(FIXED, 2, 0), 2, 1), 2, 2), GRID.resized(tuple(2 * n for n in SHAPE)))
    found, plain = judge(large, large, torch.zeros(1, 3, *large.array.shape)), verdict(FIXED, FIXED)
    assert found.similarity == pytest.approx(plain.similarity, rel=0.05)
    assert found.chance == pytest.approx(plain.chance, rel=0.25)


def test_a_displacement_of_large_images_is_judged_in_voxels_of_the_coarse_copy():
    """The same motion, twice as many voxels: neither better nor worse than on the small images."""
    true = smooth(1, 6.0)
    moving = warped(FIXED, -true)
    double = [Image(np.kron(a, np.ones((2, 2, 2), np.float32)), GRID.resized(tuple(2 * n for n in SHAPE)))
              for a in (FIXED, moving)]  # fmt: skip
    large = 2 * torch.nn.functional.interpolate(true, scale_factor=2, mode="trilinear")
    found, plain = judge(*double, large), verdict(FIXED, moving, true)
    assert plain.similarity > 1.2 * plain.start
    assert found.similarity == pytest.approx(plain.similarity, rel=0.05)


def test_summary_holds_plain_values():
    summary = verdict(FIXED, np.roll(FIXED, 8, 2)).summary()
    assert summary["likely_failed"] is True
    assert all(isinstance(value, float) for value in summary["place_mm"])
    assert {type(value) for value in summary.values()} <= {bool, list, float}
