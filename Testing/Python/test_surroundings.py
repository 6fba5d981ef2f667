"""Public functions whatever a caller has made torch do by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import robustdir

SETTINGS = {
    "double precision": (
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    "another device": (lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)),
}


@pytest.fixture(scope="module")
def pair():
    return robustdir.synthesize(side=24)


def registered(pair):
    return robustdir.register(pair.fixed, pair.moving, quality="balanced", alignment="none", threads=1)


@pytest.fixture(scope="module")
def usual(pair):
    return registered(pair)


@pytest.mark.parametrize("name", SETTINGS)
def test_defaults_of_torch_change_nothing_and_stay(pair, usual, name):
    change, back = SETTINGS[name]
    change()
    try:
        before = torch.get_default_dtype(), torch.get_default_device()
        made, found = robustdir.synthesize(side=24), registered(pair)
        after = torch.get_default_dtype(), torch.get_default_device()
    finally:
        back()
    assert after == before
    np.testing.assert_array_equal(made.fixed.array, pair.fixed.array)
    np.testing.assert_array_equal(found.displacement.array, usual.displacement.array)


def test_autocasting_of_the_caller_does_not_reach_the_network(pair, usual):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = registered(pair)
        assert torch.is_autocast_enabled("cpu")
    np.testing.assert_array_equal(found.displacement.array, usual.displacement.array)


def test_a_tensor_that_learns_is_refused_by_a_sentence():
    tensor = torch.rand(9, 9, 9, requires_grad=True)
    with pytest.raises(robustdir.InputError, match="detach"):
        robustdir.from_array(tensor, np.eye(4), frame="LPS", order="zyx")
