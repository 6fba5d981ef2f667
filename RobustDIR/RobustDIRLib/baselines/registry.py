"""Methods by name: the starts, our own models at every quality, the rivals. No package of a rival is imported here."""

from __future__ import annotations

from pathlib import Path

from RobustDIRLib.baselines.method import Method, Placeable
from RobustDIRLib.baselines.rivals import RIVALS, find_rival
from RobustDIRLib.baselines.starts import STARTS
from RobustDIRLib.errors import InputError
from RobustDIRLib.model_store import find_model, list_models
from RobustDIRLib.registration.refinement import settings

QUALITIES = tuple(settings.QUALITIES)  # of `register`


def list_methods() -> list[str]:
    """Names of all methods.

    A model's own name is `register` with its default quality; `NAME-fast` and `NAME-best` are the others.
    """
    models = [entry.name for entry in list_models()]
    others = [f"{name}-{quality}" for name in models for quality in QUALITIES if f"{name}-{quality}" not in models]
    return [*STARTS, *models, *others, *RIVALS]


def find_method(name: str, device: str = "auto") -> Method:
    """The method of a name.

    Args:
        name: One of `list_methods`, or the path of a model file.
        device: Where it computes, as `robustdir register --device`; methods that know only the CPU ignore it.
    Raises:
        InputError: If there is none of that name (names all there are), or the package it comes in is not installed.
    """
    method = _find(name)
    return method.on(device) if isinstance(method, Placeable) else method


def _find(name: str) -> Method:
    if name in STARTS:
        return STARTS[name]()
    if name in RIVALS:
        return find_rival(name)
    if name not in list_methods() and not _is_path(name):
        raise InputError(
            f"`methods` {name}: there is no such method; choose of {', '.join(list_methods())}, or give a model file."
        )
    from RobustDIRLib.baselines.ours import OwnModel

    model, _, quality = name.rpartition("-")
    models = [entry.name for entry in list_models()]
    if name not in models and model in models and quality in QUALITIES:
        return OwnModel(name, find_model(model), quality=quality)
    return OwnModel(name, find_model(name))


def _is_path(name: str) -> bool:
    return Path(name).exists() or Path(name).suffix in (".pt", ".pth") or Path(name).name != name
