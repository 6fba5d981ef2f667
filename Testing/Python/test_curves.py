"""Curves in a bounded number of points that hide no extreme."""

import math

import numpy as np
import pytest

from RobustDIRLib.runner.curves import Curve, compare


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 10_000])
def test_points_are_bounded_and_hold_all_values(count):
    rng = np.random.default_rng(count)
    values = rng.normal(size=count)
    curve = Curve(100)
    for step, value in enumerate(values, 1):
        curve.add(step, value)
    assert len(curve.points) <= 100
    assert sum(p.count for p in curve.points) == count
    assert min(p.low for p in curve.points) == values.min()
    assert max(p.high for p in curve.points) == values.max()
    assert curve.points[-1].step == count
    begun = 0
    for point in curve.points:  # each is the mean of the values it stands for, in their order
        np.testing.assert_allclose(point.mean, values[begun : begun + point.count].mean())
        begun += point.count
    assert curve.steps == sorted(set(curve.steps))


def test_short_curves_are_exact():
    curve = Curve(100)
    for step in range(1, 51):
        curve.add(10 * step, step**2)
    assert curve.steps == [10 * k for k in range(1, 51)]
    assert curve.means == [k**2 for k in range(1, 51)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_leaves_a_gap(value):
    curve = Curve()
    for step, v in ((1, 2.0), (2, value), (3, 4.0)):
        curve.add(step, v)
    assert curve.steps == [1, 3]


def test_two_runs_are_compared_where_both_have_values():
    first, second = Curve(), Curve()
    for step in (0, 10, 20, 30):
        first.add(step, 2.0 * step)
    for step in (5, 15, 40):
        second.add(step, 100.0 - step)
    found = compare(first, second)
    assert found.steps == [5, 10, 15, 20, 30]
    np.testing.assert_allclose(found.first, [2 * s for s in found.steps])
    np.testing.assert_allclose(found.second, [100 - s for s in found.steps])


def test_runs_without_common_steps_have_no_difference():
    first, second = Curve(), Curve()
    first.add(1, 1.0)
    second.add(2, 1.0)
    assert compare(first, second).steps == []
    assert compare(first, Curve()).steps == []
