"""What can be measured of a registration, each on plain arrays, points or images.

`evaluate_pair` measures all of it at once on a pair. A metric that is undefined (a label that one map lacks, a constant
image) is a `Measurement` with a `Reason`, never a number.
"""

from types import FunctionType

from robustdir._arguments import checked
from RobustDIRLib.evaluation.landmarks import ErrorSummary, inside_mask, summarise_errors
from RobustDIRLib.evaluation.measurement import Measurement, Reason
from RobustDIRLib.evaluation.metrics import (
    dice_per_label,
    field_transform,
    folding_percent,
    inverse_residual,
    sdlogj,
    tre,
)
from RobustDIRLib.evaluation.similarity import multiscale_nmi, ncc, nmi, ssim
from RobustDIRLib.evaluation.statistics import average_per_subject, compare_methods
from RobustDIRLib.evaluation.surfaces import SurfaceDistances, surface_distances_per_label
from RobustDIRLib.registration.transforms import jacobian

__all__ = [
    "ErrorSummary",
    "Measurement",
    "Reason",
    "SurfaceDistances",
    "average_per_subject",
    "compare_methods",
    "dice_per_label",
    "field_transform",
    "folding_percent",
    "inside_mask",
    "inverse_residual",
    "jacobian",
    "multiscale_nmi",
    "ncc",
    "nmi",
    "sdlogj",
    "ssim",
    "summarise_errors",
    "surface_distances_per_label",
    "tre",
]

for _name in __all__:
    if isinstance(globals()[_name], FunctionType):
        globals()[_name] = checked(globals()[_name], __name__)
