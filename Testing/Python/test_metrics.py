"""Metrics against hand-made cases, numpy and SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.linalg import expm

from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.metrics import (
    dice_per_label,
    field_transform,
    folding_percent,
    inverse_residual,
    sdlogj,
    tre,
)
from RobustDIRLib.geometry import Grid


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


@pytest.fixture
def oblique() -> Grid:
    """Anisotropic, turned about every axis, one axis flipped, odd-sized."""
    turned = expm(np.array([[0, -0.3, 0.2], [0.3, 0, -0.5], [-0.2, 0.5, 0]])) @ np.diag([1, -1, 1])
    return Grid((7, 9, 12), (0.7, 1.3, 3.1), (-20.0, 35.0, 12.5), tuple(map(tuple, turned)))


# --- TRE --------------------------------------------------------------------------------------------------------------


def test_tre_is_the_distance_of_each_pair() -> None:
    """Section 2.4.2: Euclidean distance for every pair of points, each axis counting alike."""
    mapped = np.array([[0.0, 0, 0], [1, 2, 3], [4, 4, 4], [10, 20, 30]])
    moving = np.array([[0.0, 0, 0], [4, 2, 7], [4, 6.5, 4], [9, 18, 28]])
    np.testing.assert_allclose(tre(mapped, moving), [0, 5, 2.5, 3])


def test_tre_of_no_landmarks_is_empty() -> None:
    assert tre(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("shapes", [((4, 3), (3, 3)), ((4, 2), (4, 2)), ((3,), (3,)), ((4, 3), (1, 3))])
def test_tre_refuses_unpaired_landmarks(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        tre(*map(np.zeros, shapes))


# --- Dice -------------------------------------------------------------------------------------------------------------


def values(measured: dict[int, Measurement]) -> dict[int, float | None]:
    return {label: one.value for label, one in measured.items()}


def test_dice_equals_simpleitk(rng: np.random.Generator) -> None:
    fixed = rng.integers(0, 5, size=(6, 7, 8))
    warped = np.where(rng.random(fixed.shape) < 0.6, fixed, rng.integers(0, 5, size=fixed.shape))
    oracle = sitk.LabelOverlapMeasuresImageFilter()
    oracle.Execute(*(sitk.GetImageFromArray(a.astype(np.uint8)) for a in (fixed, warped)))
    expected = {label: oracle.GetDiceCoefficient(label) for label in (1, 2, 3, 4)}
    assert values(dice_per_label(fixed, warped)) == pytest.approx(expected)


def test_dice_from_disjoint_to_equal() -> None:
    fixed = np.array([[[1, 1, 2, 3, 3, 0]]])
    warped = np.array([[[1, 0, 2, 0, 0, 3]]])
    assert values(dice_per_label(fixed, warped)) == pytest.approx({1: 2 / 3, 2: 1.0, 3: 0.0})


def test_dice_of_a_label_in_one_map_alone_is_zero_and_in_neither_undefined() -> None:
    fixed, warped = np.array([[[1, 0, 0]]]), np.array([[[0, 0, 7]]])
    assert values(dice_per_label(fixed, warped)) == {1: 0.0, 7: 0.0}
    assert values(dice_per_label(fixed, warped, labels=[9, 7, 1])) == {9: None, 7: 0.0, 1: 0.0}
    assert dice_per_label(fixed, warped, labels=[9])[9].reason is Reason.IN_NEITHER_MAP


def test_dice_counts_background_only_when_asked() -> None:
    fixed, warped = np.array([[[0, 0, 0, 1]]]), np.array([[[0, 0, 1, 1]]])
    assert values(dice_per_label(fixed, warped, labels=[0])) == pytest.approx({0: 4 / 5})


def test_dice_holds_for_label_maps_of_different_types() -> None:
    fixed, warped = np.array([[[300, 44, 1]]], dtype=np.int16), np.array([[[44, 44, 1]]], dtype=np.uint8)
    assert values(dice_per_label(fixed, warped)) == pytest.approx({1: 1.0, 44: 2 / 3, 300: 0.0})


def test_dice_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        dice_per_label(np.zeros((2, 3, 4), int), np.zeros((1, 3, 4), int))


# --- Jacobian determinant ---------------------------------------------------------------------------------------------


def test_sdlogj_of_known_spread(rng: np.random.Generator) -> None:
    jacobian = np.exp(rng.normal(0.4, 0.3, size=(20, 21, 22)))
    assert sdlogj(jacobian) == pytest.approx(0.3, rel=0.02)


def test_sdlogj_of_a_large_volume_is_that_of_all_its_voxels(rng: np.random.Generator) -> None:
    jacobian = np.exp(rng.normal(0.7, 0.02, (61, 83, 97)) + np.linspace(-0.3, 0.4, 61)[:, None, None]).astype(
        np.float32
    )
    jacobian[3, 4, 5] = -0.5
    expected = np.log(np.maximum(jacobian.astype(np.float64), 1e-9)).std()
    assert sdlogj(jacobian) == pytest.approx(expected, rel=1e-9)


def test_sdlogj_ignores_a_change_of_volume_that_is_the_same_everywhere(rng: np.random.Generator) -> None:
    jacobian = np.exp(rng.normal(0, 0.3, size=(5, 6, 7)))
    assert sdlogj(jacobian) == pytest.approx(sdlogj(2.5 * jacobian))


def test_sdlogj_is_finite_and_large_where_the_transform_folds() -> None:
    jacobian = np.full((4, 5, 6), 1.0)
    jacobian[1, 2, 3] = -0.5
    jacobian[1, 2, 4] = 0
    assert 1 < sdlogj(jacobian) < 10


@pytest.mark.parametrize("folded", [0.0, -1e-6, -3.0])
def test_folding_counts_what_is_not_positive(folded: float) -> None:
    jacobian = np.full((4, 5, 10), 1e-6)
    jacobian[3, 4, :7] = folded
    assert folding_percent(jacobian) == pytest.approx(3.5)


def test_mask_limits_where_to_look(rng: np.random.Generator) -> None:
    jacobian = rng.normal(1, 0.8, size=(5, 6, 7))
    mask = np.zeros(jacobian.shape, np.uint8)
    mask[1:3, 2:6, :4] = 5
    inside = jacobian[1:3, 2:6, :4]
    assert folding_percent(jacobian, mask) == pytest.approx(100 * (inside <= 0).mean())
    assert sdlogj(jacobian, mask) == pytest.approx(sdlogj(inside))
    assert folding_percent(jacobian, mask) != pytest.approx(folding_percent(jacobian))


@pytest.mark.parametrize("measure", [sdlogj, folding_percent])
def test_what_cannot_be_measured_is_refused(measure: object) -> None:
    jacobian = np.ones((3, 4, 5))
    with pytest.raises(ValueError, match="empty"):
        measure(jacobian, np.zeros((3, 4, 5)))  # type: ignore[operator]
    with pytest.raises(ValueError, match="shape"):
        measure(jacobian, np.ones((3, 4, 1)))  # type: ignore[operator]
    jacobian[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        measure(jacobian)  # type: ignore[operator]
    measure(jacobian, np.arange(60).reshape(3, 4, 5))  # type: ignore[operator]


# --- inverse ----------------------------------------------------------------------------------------------------------


def test_inverse_residual_of_an_affine_transform(rng: np.random.Generator) -> None:
    matrix, shift = np.eye(3) + rng.uniform(-0.2, 0.2, size=(3, 3)), np.array([1.0, -2, 3])
    points = rng.uniform(-50, 50, size=(20, 3))
    off = np.array([0.3, 0, -0.4])

    def forward(p: np.ndarray) -> np.ndarray:
        return p @ matrix.T + shift

    def inverse(p: np.ndarray) -> np.ndarray:
        return (p - shift) @ np.linalg.inv(matrix).T

    np.testing.assert_allclose(inverse_residual(points, forward, inverse), 0, atol=1e-10)
    np.testing.assert_allclose(inverse_residual(points, forward, lambda p: inverse(p) + off), 0.5)
    assert (inverse_residual(points, inverse, inverse) > 0.1).all()


def test_field_transform_equals_simpleitk(rng: np.random.Generator, oblique: Grid) -> None:
    field = rng.normal(size=(*oblique.shape, 3))
    image = sitk.GetImageFromArray(field, isVector=True)
    image.SetSpacing(oblique.spacing)
    image.SetOrigin(oblique.origin)
    image.SetDirection([d for row in oblique.direction for d in row])
    oracle = sitk.DisplacementFieldTransform(image)
    points = oblique.points_from_voxels(rng.uniform(0, np.array(oblique.shape) - 1, size=(50, 3)))
    expected = [oracle.TransformPoint(p) for p in points.tolist()]
    np.testing.assert_allclose(field_transform(field, oblique)(points), expected, atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_field_transform_moves_along_each_axis(oblique: Grid, axis: int) -> None:
    field = np.zeros((*oblique.shape, 3))
    field[..., axis] = 2.5
    points = oblique.points_from_voxels([[3, 4, 5], [-9, 4, 30]])
    moved = field_transform(field, oblique)(points) - points
    np.testing.assert_allclose(moved, np.eye(3)[[axis, axis]] * 2.5)


def test_inverse_residual_of_two_fields_on_two_grids(oblique: Grid) -> None:
    """A shift on the fixed grid, back on a moving grid that lies elsewhere with other axes."""
    shift = np.array([3.0, -1.0, 2.0])
    moving = Grid((5, 6, 7), (2.0, 2.0, 1.0), (-22.0, 30.0, 10.0))
    forward = field_transform(np.broadcast_to(shift, (*oblique.shape, 3)), oblique)
    backward = field_transform(np.broadcast_to(-shift * [1, 1, 0.5], (*moving.shape, 3)), moving)
    points = oblique.points_from_voxels([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(inverse_residual(points, forward, backward), 1)
