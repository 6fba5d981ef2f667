"""The panel of the module RobustDIR; what both panels are made of lies in `panelparts`."""

import importlib
import importlib.util
from typing import Any


def __getattr__(name: str) -> Any:
    """What has moved to `panelparts`, under the name that scripts of an earlier version know."""
    moved = f"RobustDIRLib.panelparts.{name}"
    if importlib.util.find_spec(moved) is None:
        raise AttributeError(name)
    return importlib.import_module(moved)
