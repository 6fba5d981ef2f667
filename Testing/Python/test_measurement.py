"""A measurement is a finite number or a named reason, in Python, JSON and CSV."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from RobustDIRLib.evaluation.measurement import Measurement, Reason, mean_of_defined


@pytest.mark.parametrize("measurement", [Measurement.of(0.1 + 0.2), *map(Measurement.undefined, Reason)])
def test_json_gives_back_what_it_was_given(measurement: Measurement) -> None:
    assert Measurement.from_plain(json.loads(json.dumps(measurement.plain(), allow_nan=False))) == measurement


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_is_undefined(value: float) -> None:
    assert Measurement.of(value).reason is Reason.NOT_FINITE
    with pytest.raises(ValueError, match="finite"):
        Measurement(float(value))


def test_neither_both_nor_none() -> None:
    with pytest.raises(ValueError, match="a value or a reason"):
        Measurement()
    with pytest.raises(ValueError, match="a value or a reason"):
        Measurement(1.0, Reason.EMPTY_MASK)


@pytest.mark.parametrize("plain", [{}, {"value": None, "reason": "bad luck"}, {"value": 1.0, "reason": "empty_mask"}])
def test_other_json_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Measurement.from_plain(plain)


def test_zero_is_a_number() -> None:
    assert Measurement.of(0).defined
    assert Measurement.of(0).cell() == "0.0"
    assert not Measurement.undefined(Reason.EMPTY_MASK).defined


def test_cells_keep_every_digit_and_are_empty_where_undefined() -> None:
    assert float(Measurement.of(np.float64(1) / 3).cell()) == 1 / 3
    assert Measurement.undefined(Reason.EMPTY_MASK).cell() == ""


def test_numpy_numbers_become_plain() -> None:
    assert type(Measurement.of(np.float32(0.5)).value) is float


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words_and_prints_its_name(reason: Reason) -> None:
    assert len(reason.words) > 10 and not reason.words.endswith(".")
    assert str(reason) == f"{reason}" == reason.value
    assert reason.words in str(Measurement.undefined(reason))


def test_mean_passes_over_the_undefined() -> None:
    some = [Measurement.of(1), Measurement.undefined(Reason.VANISHED), Measurement.of(4)]
    assert mean_of_defined(some) == Measurement(2.5)
    assert mean_of_defined(some[1:2]).reason is Reason.NOTHING_DEFINED
    assert mean_of_defined([]).reason is Reason.NOTHING_DEFINED
