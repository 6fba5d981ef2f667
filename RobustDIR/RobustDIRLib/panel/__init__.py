"""The panel of the module RobustDIR; what both panels are made of lies in `panelparts`."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """Parts under the names that scripts of an earlier version know."""
    if name in ("background", "environment"):
        return importlib.import_module(f"RobustDIRLib.panelparts.{name}")
    raise AttributeError(name)
