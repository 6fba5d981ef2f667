"""What is measured of one transform on one case: properties that no whole evaluation shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import cohort_cases as cases
from registration_cases import picture
from RobustDIRLib.baselines.method import Outcome
from RobustDIRLib.cohort import measuring, terms
from RobustDIRLib.cohort.results import Condition
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.evaluation.similarity import ssim
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.displacements import DisplacementField, to_sitk_transform
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.labels import LabelMap
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.preprocessing import intensity_window

SHIFT = cases.shift_of(0)


def in_unit(image: Image, scale: float, offset: float) -> Image:
    return replace(image, array=image.array * np.float32(scale) + np.float32(offset))


def pair_of() -> CaseData:
    """A body and the same moved."""
    fixed = picture(cases.FIXED_GRID.resized((25, 34, 29)), lambda p: p - cases.MIDDLE, noise=0.01)
    return CaseData(fixed, picture(cases.moving_grid(0), lambda p: p - cases.MIDDLE - SHIFT))


def measured(data: CaseData, preset: str = "generic") -> dict[str, float]:
    return measuring.Gauge(data, preset).read(Outcome(sitk.TranslationTransform(3, tuple(map(float, SHIFT))))).values


def test_one_image_on_both_sides_is_noted():
    data = pair_of()
    outcome = Outcome(sitk.TranslationTransform(3))
    for moving, said in ((replace(data.fixed, array=data.fixed.array.copy()), True), (data.moving, False)):
        notes = measuring.Gauge(replace(data, moving=moving), "generic").read(outcome).notes
        assert any("the same, voxel for voxel" in note for note in notes) == said


class TestUnits:
    @pytest.mark.parametrize("preset", ["generic", "brain-mri"])
    def test_of_mri_do_not_matter(self, preset):
        data = pair_of()
        plain = measured(data, preset)
        other = measured(replace(data, moving=in_unit(data.moving, 37, 400)), preset)
        for name in ("ssim", "ssim_before", "ncc"):
            assert other[name] == pytest.approx(plain[name], abs=2e-3), name
        assert plain["ssim"] > plain["ssim_before"] + 0.02

    def test_of_ct_do(self):
        data = pair_of()
        ct = CaseData(*(in_unit(image, 1200, -1000) for image in (data.fixed, data.moving)))
        brighter = replace(ct, moving=in_unit(ct.moving, 1, 300))
        assert measured(brighter, "lung-ct")["ssim"] < measured(ct, "lung-ct")["ssim"] - 0.05

    def test_outside_a_mask_do_not_set_the_scale(self):
        data = pair_of()
        mask = Image((data.fixed.array > 0.3).astype(np.uint8), data.fixed.grid)
        bright = np.where(mask.array > 0, data.fixed.array, 50).astype(np.float32)
        masked = replace(data, fixed_mask=mask)
        other = replace(masked, fixed=replace(data.fixed, array=bright))
        assert measuring.Gauge(other, "generic").ranges == measuring.Gauge(masked, "generic").ranges


class TestNames:
    def test_structures_of_other_numbers_are_paired_by_name(self):
        """Fixed and moving labels, of which the fixed ones count the other way round."""
        data = pair_of()
        fixed, moving = cases.labels_of(data.fixed), cases.labels_of(data.moving)
        names = {1: "liver", 2: "spleen", 3: "kidney"}
        turned = LabelMap(np.choose(fixed.array, [0, 3, 2, 1]), fixed.grid, {4 - k: name for k, name in names.items()})
        plain, named = (
            measuring.Gauge(replace(data, fixed_labels=a, moving_labels=b), "generic").read(
                Outcome(sitk.TranslationTransform(3, tuple(map(float, SHIFT))))
            )
            for a, b in ((fixed, moving), (turned, LabelMap(moving.array, moving.grid, names)))
        )
        assert [(row.label, row.name) for row in named.labels] == list(names.items())
        assert [row.values["dice"] for row in named.labels] == [row.values["dice"] for row in plain.labels]
        assert {row.name for row in plain.labels} == {""}
        assert any("paired by name" in note for note in named.notes)
        assert not any("paired by name" in note for note in plain.notes)


class TestWindowOfSsim:
    @pytest.mark.parametrize(("preset", "side"), [("generic", 11), ("brain-mri", 11), ("lung-ct", 21)])
    def test_is_the_papers(self, preset, side):
        """Section 2.4.2: 21 voxels for the lung, 11 elsewhere."""
        data = pair_of()
        if preset == "lung-ct":
            data = CaseData(*(in_unit(image, 1200, -1000) for image in (data.fixed, data.moving)))
        gauge = measuring.Gauge(data, preset)
        reading = gauge.read(Outcome(sitk.TranslationTransform(3, tuple(map(float, SHIFT)))))
        a, b = (
            np.clip((image.array - low) / (high - low), 0, 1).astype(np.float32)
            for image, (low, high) in zip((data.fixed, reading.warped), gauge.ranges, strict=True)
        )
        found = {n: ssim(a, b, None, window=n, limits=(0.0, 1.0)).value for n in (11, 21)}
        assert reading.values["ssim"] == pytest.approx(found[side], abs=1e-5)
        assert abs(found[11] - found[21]) > 1e-3
        assert measuring.settings(preset)["ssim_window"] == side


class TestPerturbations:
    @pytest.mark.parametrize("preset", ["generic", "brain-mri", "lung-ct"])
    def test_use_the_window_of_the_network(self, preset):
        """Seven of ten voxels are empty, as about a brain without its skull: percentiles of all would be others."""
        image = pair_of().fixed
        tissue = image.array > np.quantile(image.array, 0.7)
        image = replace(image, array=np.where(tissue, 100 * image.array, 0).astype(np.float32))
        low, high = intensity_window(image, find_preset(preset))
        if preset != "lung-ct":
            assert low > np.percentile(image.array, 0.5) + 1
        case = cases.case_of(Path("case0"))
        how = terms.Perturbations()
        found = terms.perturbed(CaseData(image, image), Condition("inversion", 1.0), how, replace(case, preset=preset))
        expected = low + high - np.clip(image.array, low, high)
        np.testing.assert_allclose(found.fixed.array, expected, atol=1e-3 * (high - low))

    @pytest.mark.parametrize("kind", ["low-dose", "bias-field"])
    def test_give_each_image_its_own_randomness(self, kind):
        """Even where both images are one."""
        image = pair_of().fixed
        how, case = terms.Perturbations(), cases.case_of(Path("case0"))
        found, again = (terms.perturbed(CaseData(image, image), Condition(kind, 1.0), how, case) for _ in range(2))
        assert not np.allclose(found.fixed.array, found.moving.array)
        np.testing.assert_array_equal(found.moving.array, again.moving.array)


class TestLandmarks:
    """Lists that do not pair are said to be such, also where nobody looks at a single run."""

    def notes(self, order: np.ndarray, named: np.ndarray | None = None) -> str:
        data = pair_of()
        points = data.fixed.grid.points_from_voxels(np.random.default_rng(3).uniform(4, 20, (12, 3)))
        names = tuple(map(str, range(12)))
        lists = {
            "fixed_landmarks": Landmarks(points, names),
            "moving_landmarks": Landmarks(points[order] + SHIFT, names if named is None else tuple(map(str, named))),
        }
        outcome = Outcome(sitk.TranslationTransform(3, tuple(map(float, SHIFT))))
        return " ".join(measuring.Gauge(replace(data, **lists), "generic").read(outcome).notes)

    def test_in_another_order_get_a_hint(self):
        assert "another order" in self.notes(np.roll(np.arange(12), 1))

    def test_named_in_another_order_get_a_hint(self):
        assert "different orders" in self.notes(np.arange(12), named=np.roll(np.arange(12), 1))

    def test_that_pair_get_none(self):
        assert "landmarks" not in self.notes(np.arange(12))


def field_over(grid: Grid, array: np.ndarray) -> sitk.Transform:
    return to_sitk_transform(DisplacementField(array, grid))


class TestWhereATransformIsKnown:
    def test_structures_are_as_regular_as_where_the_method_saw_them(self):
        """A method that saw a cropped image folds at the border of what it saw, which is none of its doing."""
        data = pair_of()
        grid = data.fixed.grid
        seen = grid.padded((-6, 0, 0), (0, 0, 0))
        labels = LabelMap(np.ones(grid.shape, np.uint8), grid)
        moving = LabelMap(np.ones(data.moving.grid.shape, np.uint8), data.moving.grid)
        array = np.zeros((*grid.shape, 3))
        array[:4] = 40 * np.random.default_rng(0).normal(size=(4, *grid.shape[1:], 3))
        gauge = measuring.Gauge(replace(data, fixed_labels=labels, moving_labels=moving), "generic")
        outcome = Outcome(field_over(grid, array))
        (whole,), (within,) = (gauge.read(outcome, where).labels for where in (None, seen))
        assert whole.values["folding_percent"] > 1
        assert within.values["folding_percent"] == 0 and within.values["sdlogj"] == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("covered", ["fixed", "moving"])
    def test_landmarks_outside_a_field_are_those_of_the_fixed_image(self, covered):
        """A field lies over the fixed image; where moving landmarks lie says nothing of it."""
        data = pair_of()
        first = data.fixed.grid.points_from_voxels([(10, 11, 12), (12, 15, 11)])
        second = data.moving.grid.points_from_voxels([(3, 4, 20), (4, 4, 22)])
        points = first if covered == "fixed" else second
        grid = Grid((9, 9, 9), (2.0, 2.0, 2.0), tuple(points.mean(0) - 8.0))
        assert grid.contains(points).all()
        assert not grid.contains(second if covered == "fixed" else first).any()
        outcome = Outcome(field_over(grid, np.full((9, 9, 9, 3), 1.0)))
        both = replace(data, fixed_landmarks=Landmarks(first), moving_landmarks=Landmarks(second))
        notes = measuring.Gauge(both, "generic").read(outcome).notes
        assert any("2 of 2 landmarks lie outside" in note for note in notes) == (covered == "moving")
