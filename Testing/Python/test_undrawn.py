"""Networks whose weights are not drawn: for their shapes alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from RobustDIRLib.networks.build import build_network
from RobustDIRLib.networks.undrawn import Undrawn

SEVEN = 7.0
NETWORKS = [
    {"kind": "pyramid"},
    {"kind": "unet", "channels": 8},
    {"kind": "cascade", "channels": [8, 16]},
]


@pytest.mark.parametrize(
    "draw",
    [nn.init.normal_, nn.init.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_, torch.Tensor.normal_],
)
def test_nothing_is_drawn(draw):
    tensor = torch.full((3, 5), SEVEN)
    with Undrawn():
        found = draw(tensor)
    assert found is tensor and (tensor == SEVEN).all()
    assert not (draw(tensor) == SEVEN).any()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network["kind"])
def test_a_network_without_memory_has_the_shapes_of_a_real_one(network, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn")

    real = build_network(network).state_dict()
    monkeypatch.setattr(nn.init, "_no_grad_normal_", refuse)
    with torch.device("meta"), Undrawn():
        sketch = build_network(network).state_dict()
    assert {name: value.shape for name, value in sketch.items()} == {n: v.shape for n, v in real.items()}
    assert all(value.is_meta for value in sketch.values())
