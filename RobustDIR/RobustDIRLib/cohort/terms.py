"""The terms on which all methods of an evaluation meet: the same working grid, and masks for the same end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.preprocessing import automatic_spacing, native_spacing

# What the masks of a data set are for: similarity is measured inside; methods get them, too; nothing.
MASKS = ("measure", "use", "ignore")
# Side of a working voxel: what `robustdir register` takes (the preset's, or finer than the image); the image's own.
SPACINGS = ("automatic", "native")


@dataclass(frozen=True)
class Terms:
    """What every method is given alike.

    Attributes:
        masks: What the data set's masks are for, one of `MASKS`.
        spacing: Side of a working voxel: one of `SPACINGS`, or mm.
    Raises:
        InputError: If there is no such use of masks or spacing.
    """

    masks: str = MASKS[0]
    spacing: str = SPACINGS[0]

    def __post_init__(self) -> None:
        if self.masks not in MASKS:
            raise InputError(f"`masks` {self.masks}: choose one of {', '.join(MASKS)}.")
        if self.spacing in SPACINGS:
            return
        if not _is_length(self.spacing):
            raise InputError(f"`spacing` {self.spacing}: choose {' or '.join(SPACINGS)}, or give mm above 0.")
        object.__setattr__(self, "spacing", f"{float(self.spacing):g}")  # 1.50 and 1.5 are the same terms

    def working_spacing(self, fixed: Grid, preset: str) -> float:
        """Side of a working voxel, mm, for every method alike.

        Args:
            fixed: Grid of the fixed image as methods see it.
            preset: Of the case.
        Raises:
            InputError: If the preset is unknown.
        """
        if self.spacing == "native":
            return native_spacing(fixed)
        if self.spacing == "automatic":
            return find_preset(preset).spacing or automatic_spacing(fixed)
        return float(self.spacing)

    @property
    def words(self) -> str:
        """What tables say of the working grid."""
        how = {"automatic": "of the spacing that registering takes by itself", "native": "of the images' own spacing"}
        return f"All methods work on the same grid, {how.get(self.spacing, f'of {self.spacing} mm')}."


def _is_length(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False
