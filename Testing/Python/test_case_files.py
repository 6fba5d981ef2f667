"""A case of an evaluation as plain files: images where they lie, landmarks with errors, the transform as a field."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

import cohort_cases as cases
from registration_cases import grid_about
from RobustDIRLib.datasets.cases import CaseData
from RobustDIRLib.io.displacements import DisplacementField, apply_to_points, to_sitk_transform
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.panelparts import exchange
from RobustDIRLib.panelparts.handover import is_registration
from RobustDIRLib.trainpanel import case_files

AFFINE = sitk.AffineTransform([1.05, 0.02, 0, -0.03, 0.97, 0.01, 0, 0.04, 1.1], [3.0, -2, 5], list(cases.MIDDLE))


def a_case() -> CaseData:
    rng = np.random.default_rng(1)
    fixed = Image(rng.normal(size=cases.FIXED_GRID.shape).astype(np.float32), cases.FIXED_GRID)
    grid = cases.moving_grid(2)
    moving = Image(rng.integers(-900, 900, grid.shape).astype(np.int16), grid)
    points = Landmarks(cases.POINTS, tuple("abcde"))
    return CaseData(
        fixed, moving, fixed_landmarks=points, moving_landmarks=Landmarks(cases.POINTS + cases.shift_of(2)),
        fixed_labels=cases.labels_of(fixed), moving_labels=None,
    )  # fmt: skip


def composite() -> sitk.Transform:
    """As our registrations give one: affine, and before it a displacement on another grid."""
    grid = grid_about(cases.MIDDLE, (9, 10, 11), (12.0, 13.0, 11.0), (5, 9, -4))
    field = np.random.default_rng(2).normal(scale=2.0, size=(*grid.shape, 3))
    return sitk.CompositeTransform([AFFINE, to_sitk_transform(DisplacementField(field, grid))])


def moved(folder, points):
    """Where the field that was written takes points, interpolated by SimpleITK."""
    array, grid = exchange.read(folder / case_files.FIELD)
    return apply_to_points(to_sitk_transform(DisplacementField(array * [-1, -1, 1], grid)), points)


@pytest.mark.parametrize(
    ("transform", "tolerance"), [(AFFINE, 1e-3), (sitk.TranslationTransform(3), 1e-3), (composite(), 1e-3)]
)
def test_the_field_takes_points_where_the_transform_takes_them(tmp_path, transform, tolerance):
    case_files.write_case(a_case(), transform, tmp_path / "new")
    np.testing.assert_allclose(
        moved(tmp_path / "new", cases.POINTS), apply_to_points(transform, cases.POINTS), atol=tolerance
    )


def test_a_registration_keeps_its_own_grid():
    assert is_registration(composite())
    assert not is_registration(AFFINE)
    assert not is_registration(sitk.CompositeTransform([AFFINE, AFFINE]))
    assert not is_registration(sitk.CompositeTransform([AFFINE]))


def test_large_fields_are_made_coarser(tmp_path, monkeypatch):
    monkeypatch.setattr(case_files, "_MOST_VECTORS", 600)
    case_files.write_case(a_case(), AFFINE, tmp_path)
    array, _ = exchange.read(tmp_path / case_files.FIELD)
    assert array[..., 0].size < 800
    np.testing.assert_allclose(moved(tmp_path, cases.POINTS), apply_to_points(AFFINE, cases.POINTS), atol=1e-3)


def test_images_labels_and_landmarks(tmp_path):
    data = a_case()
    case_files.write_case(data, AFFINE, tmp_path, ("it has changed",))
    for name, image in (("fixed", data.fixed), ("moving", data.moving), ("fixed_labels", data.fixed_labels)):
        array, grid = exchange.read(tmp_path / f"{name}.mha")
        np.testing.assert_array_equal(array, image.array)
        assert array.dtype == image.array.dtype
        assert grid.close_to(image.grid)
    assert not (tmp_path / "moving_labels.mha").exists()
    content = json.loads((tmp_path / case_files.CASE).read_text(encoding="utf-8"))
    assert content["notes"] == ["it has changed"]
    points = content["landmarks"]
    assert points["names"] == list("abcde")
    np.testing.assert_allclose(points["before"], np.linalg.norm(cases.shift_of(2)), atol=1e-3)
    expected = np.linalg.norm(apply_to_points(AFFINE, cases.POINTS) - cases.POINTS - cases.shift_of(2), axis=1)
    np.testing.assert_allclose(points["after"], expected, atol=1e-3)


def test_a_case_without_landmarks(tmp_path):
    data = a_case()
    case_files.write_case(CaseData(data.fixed, data.moving), AFFINE, tmp_path)
    assert json.loads((tmp_path / case_files.CASE).read_text(encoding="utf-8"))["landmarks"] is None
