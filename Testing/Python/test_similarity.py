"""SSIM, NCC and NMI against scikit-image, SciPy, torch and formulas written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr
from skimage.metrics import normalized_mutual_information, structural_similarity

from RobustDIRLib.evaluation import similarity
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.similarity import multiscale_nmi, ncc, nmi, ssim

SHAPE = (23, 17, 27)


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    """A smooth image in HU and a noisy one of another slope, float32."""
    rng = np.random.default_rng(3)
    fixed = 900 * gaussian_filter(rng.normal(size=SHAPE), 2) / 0.1 - 300
    return fixed.astype(np.float32), (0.8 * fixed + rng.normal(0, 200, SHAPE) + 90).astype(np.float32)


@pytest.fixture
def mask() -> np.ndarray:
    """Lopsided, with a hole, reaching the border."""
    mask = np.zeros(SHAPE, np.int16)
    mask[4:20, 2:14, :19] = -3
    mask[9:12, 5:9, 8:14] = 0
    return mask


def number(measured: Measurement) -> float:
    assert measured.value is not None
    return measured.value


# --- NCC --------------------------------------------------------------------------------------------------------------


def test_ncc_is_pearsons_coefficient(images: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> None:
    whole, inside = ([i[m].astype(float) for i in images] for m in (np.ones(SHAPE, bool), mask != 0))
    assert number(ncc(*images)) == pytest.approx(pearsonr(*whole).statistic, rel=1e-12)
    assert number(ncc(*images, mask)) == pytest.approx(pearsonr(*inside).statistic, rel=1e-12)
    assert number(ncc(*images, mask)) != pytest.approx(number(ncc(*images)))


def test_ncc_ignores_slope_and_offset_but_not_sign(images: tuple[np.ndarray, np.ndarray]) -> None:
    fixed = images[0].astype(np.float64)
    assert number(ncc(fixed, 7 * fixed + 1e6)) == pytest.approx(1)
    assert number(ncc(fixed, -0.01 * fixed)) == pytest.approx(-1)


def test_ncc_of_whole_numbers_does_not_overflow() -> None:
    fixed = np.arange(60, dtype=np.int16).reshape(3, 4, 5) * 500
    assert number(ncc(fixed, fixed)) == pytest.approx(1)


# --- NMI --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [16, 64, 100])
def test_nmi_agrees_with_scikit_image(images: tuple[np.ndarray, np.ndarray], mask: np.ndarray, bins: int) -> None:
    images = tuple(i.astype(np.float64) for i in images)
    assert number(nmi(*images, bins=bins)) == pytest.approx(normalized_mutual_information(*images, bins=bins))
    inside = [i[mask != 0] for i in images]
    expected = normalized_mutual_information(*inside, bins=bins)
    assert number(nmi(*images, mask, bins=bins)) == pytest.approx(expected)


def test_nmi_of_a_recoloured_image_is_two_and_of_an_unrelated_one_near_one() -> None:
    """Studholme's measure sees contrast changes that correlation does not."""
    rng = np.random.default_rng(0)
    fixed = rng.integers(0, 8, (30, 31, 32))
    recoloured = np.array([3, 7, 0, 5, 1, 6, 2, 4])[fixed]
    assert number(nmi(fixed, recoloured, bins=8)) == pytest.approx(2)
    assert abs(number(ncc(fixed, recoloured))) < 0.5
    assert number(nmi(fixed, rng.permutation(fixed), bins=8)) == pytest.approx(1, abs=0.01)


def test_multiscale_nmi_is_equation_6(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Average pooling by 1, 2 and 4, weights 1, 1/2 and 1/4; odd sides lose their last slices."""
    expected = 0.0
    for level in range(3):
        pooled = [
            torch.nn.functional.avg_pool3d(torch.from_numpy(i.astype(np.float64))[None, None], 2**level)[0, 0].numpy()
            for i in images
        ]
        expected += number(nmi(*pooled, bins=32)) / 2**level
    assert number(multiscale_nmi(*images, bins=32)) == pytest.approx(expected)


def test_multiscale_nmi_looks_inside_the_mask(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Blocks that lie half or more inside count."""
    mask = np.zeros(SHAPE, bool)
    mask[:9, :12, :14] = True
    cut = [i[:8, :12, :12] for i in images]
    changed = images[1].copy()
    changed[10:], changed[:, 12:], changed[..., 16:] = 5000, -7000, 9000
    assert number(multiscale_nmi(images[0], changed, mask)) == number(multiscale_nmi(*images, mask))
    inside = mask.copy()
    inside[8:], inside[..., 12:] = False, False
    assert number(multiscale_nmi(*images, inside)) == pytest.approx(number(multiscale_nmi(*cut)))


# --- SSIM -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [3, 11])
def test_ssim_agrees_with_scikit_image(images: tuple[np.ndarray, np.ndarray], window: int) -> None:
    images = tuple(i.astype(np.float64) for i in images)
    expected = structural_similarity(*images, win_size=window, data_range=np.ptp(images[0]))
    assert number(ssim(*images, window=window)) == pytest.approx(expected)


def test_ssim_in_a_mask_is_the_mean_of_its_map(images: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> None:
    images = tuple(i.astype(np.float64) for i in images)
    inside = mask != 0
    span = np.ptp(images[0][inside])
    scores = structural_similarity(*images, win_size=7, data_range=span, full=True)[1]
    fits = np.zeros(SHAPE, bool)
    fits[3:-3, 3:-3, 3:-3] = True
    assert number(ssim(*images, mask, window=7)) == pytest.approx(scores[inside & fits].mean())


def test_ssim_of_one_window_is_the_formula(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Wang's Eq. 13 with means, variances and the covariance of one cube."""
    mask = np.zeros(SHAPE, bool)
    mask[12, 7, 20] = True
    a, b = (i[10:15, 5:10, 18:23].astype(np.float64).ravel() for i in images)
    c1, c2 = (0.01 * 1200) ** 2, (0.03 * 1200) ** 2
    a, b = np.clip(a, -1000, 200), np.clip(b, -1000, 200)
    covariance = np.cov(a, b)
    expected = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (a.mean() ** 2 + b.mean() ** 2 + c1) * (np.trace(covariance) + c2)
    assert number(ssim(*images, mask, window=5, limits=(-1000, 200))) == pytest.approx(expected)


def test_ssim_of_clipped_hounsfield_is_that_of_the_scaled_images(images: tuple[np.ndarray, np.ndarray]) -> None:
    """Section 2.3.2 clips to [-1000, 200] HU; what is beyond does not count."""
    clipped = [np.clip(i.astype(np.float64), -1000, 200) for i in images]
    expected = structural_similarity(*clipped, win_size=11, data_range=1200)
    assert number(ssim(*images, limits=(-1000, 200))) == pytest.approx(expected)
    metal = images[1].copy()
    metal[metal > 200] = 30_000
    assert number(ssim(images[0], metal, limits=(-1000, 200))) == pytest.approx(expected)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_ssim_does_not_depend_on_how_it_is_cut(
    monkeypatch: pytest.MonkeyPatch, images: tuple[np.ndarray, np.ndarray], mask: np.ndarray, rows: int
) -> None:
    whole = [number(ssim(*images, m, window=5)) for m in (None, mask)]
    monkeypatch.setattr(similarity, "_SLAB_VOXELS", rows * SHAPE[1] * SHAPE[2])
    assert [number(ssim(*images, m, window=5)) for m in (None, mask)] == pytest.approx(whole, rel=1e-12)


def test_ssim_of_equal_images_is_one(images: tuple[np.ndarray, np.ndarray]) -> None:
    assert number(ssim(images[0], images[0])) == pytest.approx(1)


def test_ssim_sees_no_further_than_its_windows(images: tuple[np.ndarray, np.ndarray]) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[8:11, 7:9, 9:12] = True
    before = number(ssim(*images, mask, window=5))
    spoilt = images[1].copy()
    spoilt[:6], spoilt[13:], spoilt[:, :5], spoilt[:, 11:], spoilt[..., :7], spoilt[..., 14:] = [np.nan] * 6
    assert number(ssim(images[0], spoilt, mask, window=5)) == before
    spoilt[6, 7, 9] = np.nan
    assert ssim(images[0], spoilt, mask, window=5).reason is Reason.NOT_FINITE


def test_a_window_larger_than_the_image_is_undefined(images: tuple[np.ndarray, np.ndarray]) -> None:
    assert ssim(*images, window=19).reason is Reason.SMALLER_THAN_WINDOW
    rim = np.zeros(SHAPE, bool)
    rim[:5] = True
    assert ssim(*images, rim, window=11).reason is Reason.SMALLER_THAN_WINDOW


@pytest.mark.parametrize("window", [1, 10])
def test_a_window_without_a_middle_is_refused(images: tuple[np.ndarray, np.ndarray], window: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        ssim(*images, window=window)


def test_limits_out_of_order_are_refused(images: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="order"):
        ssim(*images, limits=(200, -1000))


# --- undefined --------------------------------------------------------------------------------------------------------

MEASURES = [ncc, nmi, multiscale_nmi, ssim]


@pytest.mark.parametrize("measure", MEASURES)
def test_undefined_cases_have_a_reason(
    images: tuple[np.ndarray, np.ndarray], mask: np.ndarray, measure: Callable[..., Measurement]
) -> None:
    fixed, warped = images
    assert measure(fixed, warped, np.zeros(SHAPE)).reason is Reason.EMPTY_MASK
    assert measure(np.full(SHAPE, 0.1), warped, mask).reason is Reason.CONSTANT_IMAGE
    for wrong in (np.nan, np.inf):
        spoilt = warped.copy()
        spoilt[10, 11, 12] = wrong
        assert measure(fixed, spoilt).reason is Reason.NOT_FINITE
        assert measure(spoilt, fixed).reason is Reason.NOT_FINITE


@pytest.mark.parametrize("measure", [ncc, nmi, multiscale_nmi])
def test_a_warped_image_that_is_constant_has_no_correlation(
    images: tuple[np.ndarray, np.ndarray], measure: Callable[..., Measurement]
) -> None:
    assert measure(images[0], np.full(SHAPE, 3.3)).reason is Reason.CONSTANT_IMAGE


@pytest.mark.parametrize("measure", MEASURES)
def test_other_shapes_are_refused(images: tuple[np.ndarray, np.ndarray], measure: Callable[..., Measurement]) -> None:
    with pytest.raises(ValueError, match="shape"):
        measure(images[0], images[1][1:])
    with pytest.raises(ValueError, match="shape"):
        measure(*images, np.ones(SHAPE[::-1]))
