"""What methods are tried on: the terms on which they meet, and the conditions that images are brought under.

All get the same working grid, and masks for the same end. Conditions are the images as they are, and perturbed at
several strengths (App. D.3).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from RobustDIRLib.baselines.method import Pair
from RobustDIRLib.cohort.results import AS_THEY_ARE, Condition
from RobustDIRLib.datasets.cases import Case, CaseData
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.perturbations.catalogue import check_perturbation, find_perturbation, perturb
from RobustDIRLib.presets import find_preset
from RobustDIRLib.registration.preprocessing import intensity_window, native_spacing, wanted_spacing

# What the masks of a data set are for: similarity is measured inside; methods get them, too; nothing.
MASKS = ("measure", "use", "ignore")
# Side of a working voxel: what `robustdir register` takes (the preset's, or finer than the image); the image's own.
SPACINGS = ("automatic", "native")
WHICH = ("both", "fixed", "moving")  # images that are perturbed


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
            return wanted_spacing(fixed, find_preset(preset))
        return float(self.spacing)

    def read(self, case: Case) -> CaseData:
        """Read a case; without its masks if they are to be ignored."""
        return (replace(case, fixed_mask=None, moving_mask=None) if self.masks == "ignore" else case).load()

    def pair(self, seen: CaseData, preset: str) -> Pair:
        """What a method is given of a case.

        Args:
            seen: The case as methods see it.
            preset: Of the case.
        """
        masks = (seen.fixed_mask, seen.moving_mask) if self.masks == "use" else (None, None)
        return Pair(seen.fixed, seen.moving, *masks, preset, self.working_spacing(seen.fixed.grid, preset))

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


@dataclass(frozen=True)
class Perturbations:
    """How images are perturbed.

    Attributes:
        images: Which ones: `both` (as in the paper), `fixed` or `moving`.
        seed: Of what is random in a perturbation. The same case and kind are perturbed alike at every strength but for
            the strength, and by every method, and each image in its own way.
    Raises:
        InputError: If there are no such images.
    """

    images: str = "both"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images not in WHICH:
            raise InputError(f"`perturb_images` {self.images}: choose one of {', '.join(WHICH)}.")

    def settings(self, condition: Condition) -> dict[str, Any]:
        """What a condition is, in plain values; nothing for the images as they are."""
        if condition == AS_THEY_ARE:
            return {}
        return {
            "kind": condition.perturbation,
            "strength": condition.strength,
            "images": self.images,
            "seed": self.seed,
        }


def parse_conditions(texts: Iterable[str], presets: Iterable[str] = ()) -> tuple[Condition, ...]:
    """Conditions from texts: `KIND` with its usual strengths, or `KIND=1,2.5`; strength 0 (no change) is dropped.

    Args:
        texts: As given.
        presets: Of the cases, which not every perturbation is for.
    Raises:
        InputError: If there is no such perturbation, or a strength is no number or out of its range.
    """
    conditions = tuple(dict.fromkeys(condition for text in texts for condition in _parsed(text)))
    for condition in conditions:
        for preset in sorted(set(presets)):
            hounsfield = find_preset(preset).window is not None
            check_perturbation(condition.perturbation, condition.strength or 0.0, hounsfield=hounsfield)
    return conditions


def _parsed(text: str) -> list[Condition]:
    kind, equals, numbers = (part.strip() for part in text.partition("="))
    usual = find_perturbation(kind).strengths
    try:
        strengths = [float(number) for number in numbers.split(",")] if equals else list(usual)
    except ValueError as error:
        raise InputError(f"`perturb` {text}: write KIND or KIND=STRENGTH,STRENGTH with numbers.") from error
    return [Condition(kind, float(strength)) for strength in strengths if strength != 0]


def perturbed(data: CaseData, condition: Condition, how: Perturbations, case: Case) -> CaseData:
    """A case as a method sees it under a condition; landmarks, labels and masks stay.

    Args:
        data: As it was read.
        condition: Not the unperturbed one.
        how: Which images, and the seed.
        case: Its name settles what is random, its preset the window of intensities, which is the network's.
    Raises:
        InputError: If the images cannot be perturbed so.
    """
    kind, strength, preset = condition.perturbation, condition.strength or 0.0, find_preset(case.preset)
    images = {
        role: perturb(image, kind, strength, _seed(how, condition, case.name, role), intensity_window(image, preset))
        if how.images in ("both", role)
        else image
        for role, image in (("fixed", data.fixed), ("moving", data.moving))
    }
    return replace(data, fixed=images["fixed"], moving=images["moving"])


def _seed(how: Perturbations, condition: Condition, case: str, role: str) -> int:
    text = f"{how.seed}/{condition.perturbation}/{case}/{role}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
