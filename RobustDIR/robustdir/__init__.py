"""RobustDIR from Python: deformable registration of 3D medical images, and what goes with it.

    >>> import robustdir
    >>> result = robustdir.register("fixed.nii.gz", "moving.nii.gz")  # doctest: +SKIP
    >>> result.transform.TransformPoint((12.0, -30.5, 44.0))  # doctest: +SKIP

Images come from files, SimpleITK, nibabel, or arrays with an affine (`from_array`). Transforms, displacements and
points are in mm, LPS; a transform takes fixed points to moving points. Bad input raises `InputError`, whose message is
one sentence that says what to do.

What stands in `__all__` is public and keeps to semantic versioning; `RobustDIRLib`, which it is made of, does not.
Names are loaded when they are first used: `import robustdir` loads neither torch nor NumPy.
"""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from RobustDIRLib import __version__

if TYPE_CHECKING:
    from robustdir import metrics
    from robustdir._evaluating import evaluate_pair
    from robustdir._images import (
        ImageLike,
        LandmarksLike,
        from_array,
        from_nibabel,
        from_sitk,
        landmarks,
        to_nibabel,
        to_sitk,
    )
    from robustdir._registering import Registration, register
    from robustdir._teaching import FineTuned, finetune, synthesize
    from RobustDIRLib.cohort.measuring import Reading
    from RobustDIRLib.datasets.opening import open_dataset
    from RobustDIRLib.demo import make_pair, template_brain
    from RobustDIRLib.errors import InputError
    from RobustDIRLib.geometry import Grid
    from RobustDIRLib.io.displacements import (
        DisplacementField,
        apply_to_points,
        read_displacement,
        read_transform,
        write_displacement,
        write_transform,
    )
    from RobustDIRLib.io.images import Image, read_image, resample, write_image
    from RobustDIRLib.io.labels import LabelMap, read_labels, read_mask
    from RobustDIRLib.io.landmarks import Landmarks, read_landmarks, write_landmarks
    from RobustDIRLib.model_file import LoadedModel
    from RobustDIRLib.model_store import list_models, load_model
    from RobustDIRLib.networks.network import Network
    from RobustDIRLib.registration.result import RegistrationOptions
    from RobustDIRLib.registration.saving import save
    from RobustDIRLib.synthesis.files import PairImages

# Where each name is; the imports above say the same to type checkers, and a test holds that both agree.
_HOMES = {
    "robustdir._evaluating": ("evaluate_pair",),
    "robustdir._images": (
        "ImageLike", "LandmarksLike", "from_array", "from_nibabel", "from_sitk", "landmarks", "to_nibabel", "to_sitk"
    ),
    "robustdir._registering": ("Registration", "register"),
    "robustdir._teaching": ("FineTuned", "finetune", "synthesize"),
    "RobustDIRLib.cohort.measuring": ("Reading",),
    "RobustDIRLib.datasets.opening": ("open_dataset",),
    "RobustDIRLib.demo": ("make_pair", "template_brain"),
    "RobustDIRLib.errors": ("InputError",),
    "RobustDIRLib.geometry": ("Grid",),
    "RobustDIRLib.io.displacements": (
        "DisplacementField", "apply_to_points", "read_displacement", "read_transform", "write_displacement",
        "write_transform",
    ),
    "RobustDIRLib.io.images": ("Image", "read_image", "resample", "write_image"),
    "RobustDIRLib.io.labels": ("LabelMap", "read_labels", "read_mask"),
    "RobustDIRLib.io.landmarks": ("Landmarks", "read_landmarks", "write_landmarks"),
    "RobustDIRLib.model_file": ("LoadedModel",),
    "RobustDIRLib.model_store": ("list_models", "load_model"),
    "RobustDIRLib.networks.network": ("Network",),
    "RobustDIRLib.registration.result": ("RegistrationOptions",),
    "RobustDIRLib.registration.saving": ("save",),
    "RobustDIRLib.synthesis.files": ("PairImages",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DisplacementField",
    "FineTuned",
    "Grid",
    "Image",
    "ImageLike",
    "InputError",
    "LabelMap",
    "Landmarks",
    "LandmarksLike",
    "LoadedModel",
    "Network",
    "PairImages",
    "Reading",
    "Registration",
    "RegistrationOptions",
    "__version__",
    "apply_to_points",
    "evaluate_pair",
    "finetune",
    "from_array",
    "from_nibabel",
    "from_sitk",
    "landmarks",
    "list_models",
    "load_model",
    "make_pair",
    "metrics",
    "open_dataset",
    "read_displacement",
    "read_image",
    "read_labels",
    "read_landmarks",
    "read_mask",
    "read_transform",
    "register",
    "resample",
    "save",
    "synthesize",
    "template_brain",
    "to_nibabel",
    "to_sitk",
    "write_displacement",
    "write_image",
    "write_landmarks",
    "write_transform",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name == "metrics":
        return import_module("robustdir.metrics")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'robustdir' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    if isinstance(value, FunctionType):
        value = import_module("robustdir._arguments").checked(value, __name__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
