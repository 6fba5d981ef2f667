"""From a configuration, as a checkpoint or a JSON file holds it, to a network, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from torch import nn

from RobustDIRLib.errors import InputError
from RobustDIRLib.networks.cascade import CascadeConfig, CascadedUNet
from RobustDIRLib.networks.pyramid import CorrelationPyramid, PyramidConfig
from RobustDIRLib.networks.unet import UNet, UNetConfig


class Kind(NamedTuple):
    """A kind of network: its configuration, a frozen dataclass, and the module that is made from it."""

    config: type
    network: type[nn.Module]


KINDS = {
    "pyramid": Kind(PyramidConfig, CorrelationPyramid),
    "unet": Kind(UNetConfig, UNet),
    "cascade": Kind(CascadeConfig, CascadedUNet),
}


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """A freshly initialised network.

    Args:
        config: The key `"kind"`, one of `KINDS`, and any of the fields of that kind's configuration; the others take
            their defaults. Lists stand for tuples.
    Raises:
        InputError: If the kind is unknown, a key is not a field, or a value has the wrong type or makes no network.
    """
    config = dict(config)
    name = config.pop("kind", None)
    if not isinstance(name, str) or name not in KINDS:
        given = f"{name!r} is no kind of network" if name is not None else "the network's configuration has no 'kind'"
        raise InputError(f"{given}: choose one of {_listed(KINDS)}.")
    kind = KINDS[name]
    return kind.network(_checked_config(name, kind.config, config))


def network_config(network: nn.Module) -> dict[str, Any]:
    """The complete configuration of a network, ready for JSON: `build_network` makes the same architecture of it.

    Raises:
        TypeError: If the network is of none of the kinds.
    """
    for name, kind in KINDS.items():
        if type(network) is kind.network:
            values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(network.config).items()}  # type: ignore[call-overload]
            return {"kind": name, **values}
    raise TypeError(f"{type(network).__name__} is none of the kinds of network: {_listed(KINDS)}")


def _checked_config(name: str, config_class: type, values: dict[str, Any]) -> Any:
    hints = get_type_hints(config_class)
    unknown = [key for key in values if key not in hints]
    if unknown:
        raise InputError(f"{_listed(unknown)} is no option of the network {name!r}: it has {_listed(hints)}.")
    missing = [f.name for f in fields(config_class) if f.name not in values and _required(f)]
    if missing:
        raise InputError(f"The network {name!r} needs {_listed(missing)}: add it to its configuration.")
    checked = {}
    for key, value in values.items():
        checked[key] = _as_tuple(value)
        if not _fits(checked[key], hints[key]):
            wanted = _described(hints[key])
            raise InputError(f"{key} of the network {name!r} is {value!r}: give {wanted}.")
    try:
        return config_class(**checked)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"The network {name!r} cannot be built: {error}.") from error


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(v) for v in value) if isinstance(value, (list, tuple)) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the annotated type; a whole number may stand for a float, but no bool for a number."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if arguments[-1] is Ellipsis:
            return all(_fits(v, arguments[0]) for v in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


def _described(hint: Any) -> str:
    """An annotated type in words: `tuple[int, int]` is "a list of 2 whole numbers"."""
    words = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_described(option) for option in arguments)
    if origin is Literal:
        return "one of " + _listed(arguments)
    if origin is tuple:
        many = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {many}{words.get(arguments[0], 'value')}s"
    word = words.get(hint, str(hint))
    return f"a {word}" if hint in (int, float) else word


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)
