"""Networks from their configuration and back: round trips, and refusals by name."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
from torch import nn

from network_cases import a_pair, move_by
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.build import KINDS, Undrawn, build_network, network_config, weight_shapes
from RobustDIRLib.networks.cascade import CascadeConfig, CascadedUNet
from RobustDIRLib.networks.unet import UNet, UNetConfig

SMALL: list[dict[str, Any]] = [
    {"kind": "unet", "channels": 3, "downsampling": "stride"},
    {"kind": "cascade", "channels": [2, 3], "squarings": 4, "instance_norm": True},
    {"kind": "pyramid"},
]
EACH = pytest.mark.parametrize("config", SMALL, ids=[c["kind"] for c in SMALL])


def test_every_kind_is_tried() -> None:
    assert set(KINDS) == {c["kind"] for c in SMALL}


def test_configuration_reaches_the_network() -> None:
    network = build_network(SMALL[0])
    assert isinstance(network, UNet)
    assert network.config == UNetConfig(3, "stride")
    network = build_network(SMALL[1])
    assert isinstance(network, CascadedUNet)
    assert network.config == CascadeConfig((2, 3), squarings=4, instance_norm=True)


@EACH
def test_configuration_round_trips_through_json(config: dict[str, Any]) -> None:
    network = build_network(config)
    complete = network_config(network)
    assert complete["kind"] == config["kind"]
    again = build_network(json.loads(json.dumps(complete)))
    assert type(again) is type(network)
    assert again.config == network.config
    assert network_config(again) == complete == json.loads(json.dumps(complete))


@EACH
def test_configuration_given_is_left_alone(config: dict[str, Any]) -> None:
    before = json.dumps(config)
    build_network(config)
    assert json.dumps(config) == before


@EACH
def test_weights_round_trip(config: dict[str, Any]) -> None:
    torch.manual_seed(1)
    network = build_network(config)
    move_by(network, 2)
    file = io.BytesIO()
    torch.save({"network": network_config(network), "weights": network.state_dict()}, file)
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    torch.manual_seed(2)
    again = build_network(stored["network"])
    pair = a_pair((16, 18, 20))
    before, fresh = network(*pair), again(*pair)
    again.load_state_dict(stored["weights"])
    loaded = again(*pair)
    for a, b, c in zip(before, fresh, loaded, strict=True):
        assert torch.equal(a, c)
        assert not torch.equal(a, b)


@EACH
def test_networks_offer_what_training_needs(config: dict[str, Any]) -> None:
    """`levels`, coarse to fine, each a displacement and its inverse on one grid, both in three channels."""
    levels = build_network(config).levels(*a_pair((32, 32, 48)))  # type: ignore[operator]
    sides = [level.displacement.shape[-1] for level in levels]
    assert sides == sorted(sides)
    for displacement, inverse in levels:
        assert displacement.shape == inverse.shape
        assert displacement.shape[:2] == (1, 3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "kind"),
    ({"channels": 3}, "kind"),
    ({"kind": "transformer"}, "'transformer'.*pyramid, unet, cascade"),
    ({"kind": None}, "kind"),
    ({"kind": ["unet"]}, "unet"),
    ({"kind": "unet", "chanels": 3}, "unet.*chanels.*channels"),
    ({"kind": "pyramid", "channels": 3, "color": 1}, "pyramid.*channels, color"),
    ({"kind": "unet", "channels": 3.5}, "unet.channels.*3.5"),
    ({"kind": "unet", "channels": "3"}, "unet.channels.*'3'"),
    ({"kind": "unet", "channels": True}, "unet.channels.*True"),
    ({"kind": "unet", "channels": None}, "unet.channels.*None"),
    ({"kind": "unet", "channels": [3]}, "unet.channels"),
    ({"kind": "unet", "channels": 0}, "channels.*0"),
    ({"kind": "unet", "instance_norm": 1}, "instance_norm.*1"),
    ({"kind": "unet", "downsampling": "max"}, "downsampling.*'max'.*pooling, stride"),
    ({"kind": "unet", "downsampling": 2}, "downsampling.*2"),
    ({"kind": "unet", "squarings": -1}, "squarings"),
    ({"kind": "cascade", "channels": 64}, "cascade.channels.*64"),
    ({"kind": "cascade", "channels": [64]}, "cascade.channels.*2"),
    ({"kind": "cascade", "channels": [64, 64, 64]}, "cascade.channels.*2"),
    ({"kind": "cascade", "channels": [64, "128"]}, "cascade.channels.*'128'"),
    ({"kind": "cascade", "channels": [[64, 128], 3]}, "cascade.channels"),
    ({"kind": "cascade", "channels": [0, 128]}, "channels"),
    ({"kind": "pyramid", "encoder": [16]}, "pyramid.*encoder"),
]


@pytest.mark.parametrize(("config", "message"), REFUSED, ids=[json.dumps(c) for c, _ in REFUSED])
def test_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_network(config)
    assert "\n" not in str(caught.value)


def test_foreign_module_has_no_configuration() -> None:
    with pytest.raises(TypeError, match="Linear"):
        network_config(torch.nn.Linear(2, 3))


LARGE = [
    {"kind": "pyramid"},
    {"kind": "unet", "channels": 8},
    {"kind": "cascade", "channels": [8, 16]},
]


@pytest.mark.parametrize(
    "draw",
    [nn.init.normal_, nn.init.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_, torch.Tensor.normal_],
)
def test_nothing_is_drawn(draw):
    tensor = torch.full((3, 5), 7.0)
    with Undrawn():
        found = draw(tensor)
    assert found is tensor and (tensor == 7.0).all()
    assert not (draw(tensor) == 7.0).any()


@pytest.mark.parametrize("network", LARGE, ids=lambda network: network["kind"])
def test_a_network_without_memory_has_the_shapes_of_a_real_one(network, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn")

    real = build_network(network).state_dict()
    monkeypatch.setattr(nn.init, "_no_grad_normal_", refuse)
    with torch.device("meta"), Undrawn():
        sketch = build_network(network).state_dict()
    assert {name: value.shape for name, value in sketch.items()} == {n: v.shape for n, v in real.items()}
    assert all(value.is_meta for value in sketch.values())
    assert weight_shapes(network) == {name: value.shape for name, value in real.items()}
