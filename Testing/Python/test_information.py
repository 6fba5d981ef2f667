"""Normalised mutual information of joint histograms; its values on images are held by test_similarity.py."""

import numpy as np
import pytest

from RobustDIRLib.evaluation.information import normalised_mutual_information


@pytest.fixture
def counts() -> np.ndarray:
    """Joint histograms of two pairs of images, `(2, 5, 5)`, neither symmetric nor square-free."""
    return np.random.default_rng(5).integers(0, 40, (2, 5, 5))


def test_one_pair_counts_as_among_many_and_whatever_the_sum(counts: np.ndarray) -> None:
    both = normalised_mutual_information(counts)
    assert both.shape == (2,)
    for k in (0, 1):
        assert normalised_mutual_information(counts[k] / 7) == pytest.approx(both[k], rel=1e-12)
    assert both[0] != pytest.approx(both[1], rel=1e-3)


def test_it_knows_no_order_of_images_or_bins(counts: np.ndarray) -> None:
    expected = normalised_mutual_information(counts[0])
    assert normalised_mutual_information(counts[0].T) == pytest.approx(expected, rel=1e-12)
    assert normalised_mutual_information(counts[0][[3, 0, 4, 1, 2]]) == pytest.approx(expected, rel=1e-12)


def test_its_ends_are_unrelated_and_the_same() -> None:
    shares = np.array([0.1, 0.2, 0.7])
    assert normalised_mutual_information(np.outer(shares, [0.4, 0.6])) == pytest.approx(1)
    assert normalised_mutual_information(np.diag(shares)) == pytest.approx(2)
    assert normalised_mutual_information(np.array([[9.0, 0], [0, 0]])) == 0  # nothing varies
    assert normalised_mutual_information(np.zeros((2, 2))) == 0
