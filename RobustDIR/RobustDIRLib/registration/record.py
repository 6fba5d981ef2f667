"""What a run was made with, in plain values, ready for JSON."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from RobustDIRLib import __version__


def versions() -> dict[str, str]:
    """Versions of everything that computes."""
    return {
        "robustdir": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "SimpleITK": sitk.Version.VersionString(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def model_record(model: Any) -> dict[str, Any]:
    """Name, file and checksum of a loaded model; the class alone of a bare network."""
    if not hasattr(model, "checksum"):
        return {"name": type(model).__name__, "path": None, "sha256": None}
    folder = model.path.parent.name
    name = model.card.get("name") or (folder if model.path.stem == "weights" else model.path.stem)
    return {"name": str(name), "path": str(model.path), "sha256": model.checksum}
