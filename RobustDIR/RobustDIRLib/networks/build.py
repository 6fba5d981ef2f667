"""From a configuration, as a checkpoint or a JSON file holds it, to a network, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from RobustDIRLib.configuration import from_dict, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.cascade import CascadeConfig, CascadedUNet
from RobustDIRLib.networks.network import LearningNetwork
from RobustDIRLib.networks.pyramid import CorrelationPyramid, PyramidConfig
from RobustDIRLib.networks.unet import UNet, UNetConfig


class NetworkKind(NamedTuple):
    """A kind of network: its configuration, a frozen dataclass, and the module that is made from it."""

    config: type
    network: Callable[[Any], LearningNetwork]


KINDS = {
    "pyramid": NetworkKind(PyramidConfig, CorrelationPyramid),
    "unet": NetworkKind(UNetConfig, UNet),
    "cascade": NetworkKind(CascadeConfig, CascadedUNet),
}

_DRAWS = frozenset({"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"})


def build_network(config: Mapping[str, Any]) -> LearningNetwork:
    """Make a freshly initialised network.

    Args:
        config: The key `"kind"`, one of `KINDS`, and any of the fields of that kind's configuration; the others take
            their defaults. Lists stand for tuples.
    Raises:
        InputError: If the kind is unknown, a key is not a field, or a value has the wrong type or makes no network.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"the network must be an object with named values, not {config!r}")
    values = dict(config)
    name = values.pop("kind", None)
    if name is None:
        raise InputError(f"the network's configuration has no 'kind': choose one of {', '.join(KINDS)}")
    if not isinstance(name, str) or name not in KINDS:
        raise InputError(f"{name!r} is no kind of network: choose one of {', '.join(KINDS)}")
    kind = KINDS[name]
    return kind.network(from_dict(kind.config, values, name))


def network_config(network: LearningNetwork) -> dict[str, Any]:
    """The complete configuration of a network, ready for JSON: `build_network` makes the same architecture of it.

    Raises:
        TypeError: If the network is of none of the kinds.
    """
    for name, kind in KINDS.items():
        if type(network) is kind.network:
            return {"kind": name, **to_dict(network.config)}
    raise TypeError(f"{type(network).__name__} is none of the kinds of network: {', '.join(KINDS)}")


def weight_shapes(config: Mapping[str, Any]) -> dict[str, torch.Size]:
    """Shapes of the weights of the network that `build_network` would make, by name, found without memory for them.

    Raises:
        InputError: As `build_network`.
    """
    with torch.device("meta"), Undrawn():
        return {name: value.shape for name, value in build_network(config).state_dict().items()}


class Undrawn(TorchFunctionMode):
    """Within it random initialisation leaves tensors as they are.

    On the device `meta`, where there is nothing to draw, torch imports its compiler for it: as long as a registration
    of small images takes.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Torch's hook for whatever function is called."""
        given = dict(kwargs or {})
        if getattr(function, "__name__", "") in _DRAWS:
            return given["tensor"] if "tensor" in given else args[0]
        return function(*args, **given)
