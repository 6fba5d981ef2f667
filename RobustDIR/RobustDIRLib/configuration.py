"""Frozen dataclasses from JSON and back; what JSON cannot say, such as an unknown key or a wrong type, is refused."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from RobustDIRLib.errors import InputError

T = TypeVar("T")
_LARGEST, _SHOWN = 1e300, 20
MOST_SEEDS = 2**63  # as many as torch takes


def _convert(value: Any, wanted: Any, name: str) -> Any:
    if isinstance(wanted, type) and is_dataclass(wanted):
        return from_dict(wanted, value, name)
    kind, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if kind in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert_to_one(value, [a for a in arguments if a is not type(None)], name)
    if kind in (tuple, list):
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{name} must be a list, not {value!r}")
        one_kind = kind is list or arguments[-1] is Ellipsis
        inner = (arguments[0],) * len(value) if one_kind else arguments
        if len(inner) != len(value):
            raise InputError(f"{name} must have {len(inner)} entries, not {len(value)}")
        return kind(_convert(v, a, f"{name}[{i}]") for i, (v, a) in enumerate(zip(value, inner, strict=True)))
    if kind is dict:
        if not isinstance(value, dict):
            raise InputError(f"{name} must be an object with named values, not {value!r}")
        return {key: _convert(inner, arguments[1], f"{name}.{key}") for key, inner in value.items()}
    if wanted is Any:
        return _finite(value, name)
    if wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not -_LARGEST < value < _LARGEST:  # NaN is JSON to Python, and so are integers of any length
            raise InputError(f"{name} must be a finite number, not {str(value)[:_SHOWN]}")
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise InputError(f"{name} must be of type {wanted.__name__}, not {value!r}")
    return value


def _convert_to_one(value: Any, kinds: list[Any], name: str) -> Any:
    """As the first of several kinds that a value can be."""
    for wanted in kinds[:-1]:
        try:
            return _convert(value, wanted, name)
        except InputError:
            continue
    return _convert(value, kinds[-1], name)


def _finite(value: Any, name: str) -> Any:
    """Plain values of any kind, which may hold none but finite numbers."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inner in entries:
        _finite(inner, f"{name}.{key}")
    if isinstance(value, float):
        _convert(value, float, name)
    return value


def from_dict(kind: type[T], values: Any, name: str = "") -> T:
    """Make a dataclass from a dictionary, as JSON gives it; nested dataclasses and tuples included.

    Args:
        kind: The dataclass.
        values: Its fields; absent ones take their default.
        name: What to call it in errors.
    Raises:
        InputError: For an unknown or missing key, a wrong type, or a value the dataclass itself refuses.
    """
    name = name or kind.__name__
    if not isinstance(values, dict):
        raise InputError(f"{name} must be an object with named values, not {values!r}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"{name} has no setting {', '.join(unknown)}: known are {', '.join(known)}")
    missing = [f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING]
    missing = [m for m in missing if m not in values]
    if missing:
        raise InputError(f"{name} lacks the setting {', '.join(missing)}")
    hints = typing.get_type_hints(kind)
    converted = {key: _convert(value, hints[key], f"{name}.{key}") for key, value in values.items()}
    try:
        return kind(**converted)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def to_dict(config: Any) -> dict[str, Any]:
    """Plain values of a dataclass that JSON can hold; `from_dict` inverts it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a name that comes twice, programs take different values.

    Raises:
        ValueError: If one does.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for k, (name, _) in enumerate(pairs) if name in dict(pairs[:k]))
        raise ValueError(f'the name "{twice}" comes twice in one object')
    return found


def refuse_seed(seed: int) -> None:
    """Refuse a seed that no generator takes.

    Raises:
        ValueError: If it is negative or of more than 63 bits.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"the seed must be from 0 to 2^63 - 1, not {seed}")


def refuse_improbable(config: Any, *names: str) -> None:
    """Refuse probabilities outside of 0 to 1.

    Args:
        config: A dataclass.
        names: Of its fields that are probabilities; those that end in `probability` if none is given.
    Raises:
        ValueError: Names the first.
    """
    for name in names or [f.name for f in fields(config) if f.name.endswith("probability")]:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} is a probability, from 0 to 1, not {getattr(config, name):g}")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: If it is missing, is not JSON, or gives an object one name twice.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=named_once)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the path") from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}): check the file") from error
