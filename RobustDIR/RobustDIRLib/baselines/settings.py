"""What a method is set to, to be kept beside what it made: results of other settings do not count for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from RobustDIRLib.baselines.method import Method
from RobustDIRLib.io.input_files import input_sha256


def settings_of(method: Method) -> dict[str, Any]:
    """What a method is set to, in plain values; the files it is made of by their checksums.

    A method says so itself by an attribute or a function `settings`; else its public attributes do.
    """
    told = getattr(method, "settings", None)
    values = told() if callable(told) else told
    if values is None:
        names = [f.name for f in fields(method)] if is_dataclass(method) else list(vars(method))
        values = {name: getattr(method, name) for name in names if not name.startswith("_") and name != "name"}
    return {str(name): _plain(value) for name, value in _items(values)}


def _items(values: Any) -> Iterable[tuple[Any, Any]]:
    return asdict(values).items() if is_dataclass(values) and not isinstance(values, type) else values.items()


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, Path):
        return {"file": value.name, "sha256": input_sha256(value)} if value.exists() else str(value)
    if isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        return {str(key): _plain(item) for key, item in _items(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    whole = value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if whole else str(value)
