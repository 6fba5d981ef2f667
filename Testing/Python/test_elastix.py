"""elastix in the paper's setting: stages, lung mask, and two B-splines in order. The direction: test_rivals.py."""

import numpy as np
import pytest

from registration_cases import inverse_of, points_of
from rival_cases import FIXED_GRID, LINEAR, MOVING_GRID, a_chest_pair, chest, mean_error, places
from RobustDIRLib.baselines.aligned import Frames, aligned
from RobustDIRLib.baselines.elastix import FIRST, IN_LUNG, BSplineStage, Elastix, _parameters, _reason, lung_mask, quick
from RobustDIRLib.baselines.optional import version
from RobustDIRLib.baselines.starts import LinearStart
from RobustDIRLib.io.images import Image
from RobustDIRLib.presets import PRESETS
from RobustDIRLib.registration.preprocessing import normalise

LUNG_CT = PRESETS["lung-ct"]
needs_elastix = pytest.mark.skipif(
    version("itk-elastix") is None, reason="itk-elastix is not installed; robustdir[baselines] brings it"
)


def hounsfield(values: np.ndarray) -> Image:
    return normalise(Image(values.astype(np.float32), FIXED_GRID), LUNG_CT)


class TestLungMask:
    def test_is_the_lung_and_not_the_room(self):
        points = points_of(FIXED_GRID)
        mask = lung_mask(hounsfield(chest(points)), LUNG_CT.window)
        lung = np.linalg.norm(points / [24, 19, 28], axis=-1) < 1
        assert mask.grid == FIXED_GRID
        np.testing.assert_array_equal(mask.array > 0, lung)

    def test_is_the_largest_component(self):
        values = np.full(FIXED_GRID.shape, 30.0)
        values[5:9, 5:9, 5:9] = values[12:20, 10:20, 12:20] = -700
        mask = lung_mask(hounsfield(values), LUNG_CT.window)
        assert mask.array.sum() == 8 * 10 * 8

    def test_keeps_a_lung_that_the_scan_cuts_at_its_ends(self):
        values = np.full(FIXED_GRID.shape, 30.0)
        values[:, 8:14, 8:14] = -700
        assert lung_mask(hounsfield(values), LUNG_CT.window).array[0].sum() == 36

    @pytest.mark.parametrize(("value", "inside"), [(-249.0, False), (-251.0, True)])
    def test_threshold_is_minus_250_hu(self, value, inside):
        values = np.full(FIXED_GRID.shape, 30.0)
        values[10:14, 10:14, 10:14] = value
        assert (lung_mask(hounsfield(values), LUNG_CT.window) is not None) == inside


class TestPaper:
    def frames(self, mask: Image | None = None) -> Frames:
        image = hounsfield(chest(points_of(FIXED_GRID)))
        return Frames(image, image, mask, None)

    def test_lung_has_two_stages_the_second_in_the_lung(self):
        (first, everywhere), (second, lung) = Elastix().plan(self.frames(), LUNG_CT)
        assert (first, second) == (FIRST, IN_LUNG)
        assert everywhere is None
        assert 0 < lung.array.mean() < 0.3

    def test_given_mask_stands_for_the_rough_one(self):
        mask = Image(np.ones(FIXED_GRID.shape, np.uint8), FIXED_GRID)
        assert Elastix().plan(self.frames(mask), LUNG_CT)[1][1] is mask

    def test_all_else_has_one_stage(self):
        assert Elastix().plan(self.frames(), PRESETS["brain-mri"]) == [(FIRST, None)]

    def test_numbers_of_section_2_4_1(self):
        first, second = (_parameters(stage, 1.0, 1.5) for stage in (FIRST, IN_LUNG))
        assert (first["MaximumNumberOfIterations"], second["MaximumNumberOfIterations"]) == (["1000"], ["2000"])
        for parameters, grid in ((first, [80, 80, 40, 20, 10]), (second, [80, 40, 20, 10, 5])):
            final = float(parameters["FinalGridSpacingInPhysicalUnits"][0])
            assert [final * float(factor) for factor in parameters["GridSpacingSchedule"]] == grid
            assert parameters["NumberOfResolutions"] == ["5"]
            assert parameters["Metric1RelativeWeight"] == ["0.05"]
        assert first["ImagePyramidSchedule"][::3] == ["16", "8", "4", "2", "1"]
        assert second["ImagePyramidSchedule"][2::3] == ["4", "3", "2", "1", "1"]

    def test_grid_goes_with_the_voxels(self):
        assert float(_parameters(FIRST, 1.0, 0.15)["FinalGridSpacingInPhysicalUnits"][0]) == pytest.approx(1.0)

    def test_quick_is_the_same_with_fewer_iterations(self):
        assert quick().plan(self.frames(), PRESETS["generic"]) == [(FIRST, None)]
        assert _parameters(FIRST, quick().share, 1.5)["MaximumNumberOfIterations"] == ["100"]


@needs_elastix
def test_two_stages_meet_in_the_lung():
    """Both B-splines and the linear part in the wrong order would miss by what the linear part turns and scales."""
    pair = a_chest_pair()
    inside = places()[np.linalg.norm(places() / [22, 17, 26], axis=-1) < 1]
    method = Elastix(first=BSplineStage(40, (2, 1), (24, 12)), in_lung=BSplineStage(40, (1,), (8,)))
    before = mean_error(LinearStart().register(pair, 1).transform, inside)
    after = mean_error(method.register(pair, 1).transform, inside)
    assert after < 0.5 * before


@needs_elastix
def test_reason_of_a_failure_is_told():
    log = "Location: here\nDescription: ITK ERROR: Too few samples.\n\nError occurred during actual registration."
    assert _reason(log) == "ITK ERROR: Too few samples."
    assert _reason("all well") == ""


def test_frames_keep_images_and_masks_where_they_lie():
    pair = a_chest_pair()
    frames = aligned(pair, 1).in_own_frames()
    for image, grid in ((frames.fixed, FIXED_GRID), (frames.moving, MOVING_GRID)):
        corner = [[-0.5, -0.5, -0.5], np.array(grid.shape) - 0.5]
        np.testing.assert_allclose(
            image.grid.points_from_voxels([[-0.5] * 3, np.array(image.grid.shape) - 0.5]),
            grid.points_from_voxels(corner),
            atol=1e-6,
        )
        assert image.grid.direction == grid.direction
    seen = points_of(frames.moving.grid)
    expected = normalise(Image(chest(inverse_of(LINEAR)(seen)).astype(np.float32), frames.moving.grid), LUNG_CT)
    assert np.abs(frames.moving.array - expected.array).mean() < 0.1
