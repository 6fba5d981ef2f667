"""Perturbations by name, for accuracy over their strength (appendix D.3): of an image, not of what comes with it.

| name | strength | the paper's |
|---|---|---|
| hu-window | HU by which the window of `lung-ct` lies lower | 100 |
| low-dose | factor of Eq. 5 on noise of the image's own spectrum | 5 |
| bias-field | largest logarithm of the field's factor | |
| resolution | by how much voxels are larger, 1 for twice | |
| thick-slices | by how much slices are thicker, 1 for twice | |
| crop | share of slices cut off | |
| inversion | share of the window that is mirrored, 1 for all | |

Strength 0 changes nothing. Landmarks, masks and label maps stay as they are: no perturbation moves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image
from RobustDIRLib.perturbations.contrast import add_bias_field, invert, shift_window
from RobustDIRLib.perturbations.extent import crop, lose_resolution, thicken_slices
from RobustDIRLib.perturbations.noise import add_noise
from RobustDIRLib.values import Window

Apply = Callable[[Image, float, np.random.Generator, Window], Image]


@dataclass(frozen=True)
class Perturbation:
    """One way to make an image harder.

    Attributes:
        summary: What it does, one line.
        unit: What its strength means.
        range: Lowest and highest strength that make sense.
        strengths: Those of an accuracy curve, 0 first.
        apply: Takes image, strength, generator and window; gives the perturbed image.
        hounsfield: Whether it is for images in HU alone.
    """

    summary: str
    unit: str
    range: tuple[float, float]
    strengths: tuple[float, ...]
    apply: Apply
    hounsfield: bool = False


PERTURBATIONS = {
    "hu-window": Perturbation(
        "another HU window", "HU lower", (-1000, 1000), (0, 50, 100, 200, 300), shift_window, hounsfield=True
    ),
    "low-dose": Perturbation(
        "noise of the image's own spectrum", "factor of Eq. 5", (0, 100), (0, 2.5, 5, 10, 20), add_noise
    ),
    "bias-field": Perturbation(
        "smooth shading", "largest logarithm of the factor", (0, 2), (0, 0.2, 0.4, 0.8), add_bias_field
    ),
    "resolution": Perturbation(
        "larger voxels, all axes", "voxels larger by", (0, 15), (0, 0.5, 1, 2, 3), lose_resolution
    ),
    "thick-slices": Perturbation("thicker slices", "slices thicker by", (0, 15), (0, 1, 2, 4), thicken_slices),
    "crop": Perturbation("smaller field of view", "share of slices cut off", (0, 0.9), (0, 0.1, 0.2, 0.4), crop),
    "inversion": Perturbation(
        "bright becomes dark", "share of the window mirrored", (0, 1), (0, 0.25, 0.5, 0.75, 1), invert
    ),
}


def find_perturbation(kind: str) -> Perturbation:
    """The perturbation of a name.

    Raises:
        InputError: If there is none of that name.
    """
    if kind not in PERTURBATIONS:
        raise InputError(f"`perturb` {kind}: there is no such perturbation; choose one of {', '.join(PERTURBATIONS)}.")
    return PERTURBATIONS[kind]


def check_perturbation(kind: str, strength: float, *, hounsfield: bool = True) -> Perturbation:
    """The perturbation of a name, once it is known to be fit for its strength and for the images.

    Args:
        kind: One of `PERTURBATIONS`.
        strength: How much, in the perturbation's unit.
        hounsfield: Whether the images are in HU.
    Raises:
        InputError: If there is none of that name, the strength is out of its range, or it needs HU.
    """
    perturbation = find_perturbation(kind)
    low, high = perturbation.range
    if not low <= strength <= high:
        raise InputError(
            f"`perturb` {kind}: a strength of {strength:g} ({perturbation.unit}) is out of its range; give one from "
            f"{low:g} to {high:g}."
        )
    if perturbation.hounsfield and not hounsfield:
        raise InputError(f"`perturb` {kind} is for CT in HU; choose the preset lung-ct, or another perturbation.")
    return perturbation


def perturb(image: Image, kind: str, strength: float, seed: int | Sequence[int], window: Window) -> Image:
    """The image made harder.

    Args:
        image: Any image.
        kind: One of `PERTURBATIONS`.
        strength: How much, in the perturbation's unit; 0 gives the image as it is.
        seed: Of what is random; give each image its own, or the noise of two images is the same.
        window: Intensities of the image that become -1 and 1 for the network.
    Returns:
        Float32, on the image's grid, or on a part of it for `crop`.
    Raises:
        InputError: As in `check_perturbation`, or if the image is not fit for it.
    """
    perturbation = check_perturbation(kind, strength)
    if strength == 0:
        return image
    return perturbation.apply(image, strength, np.random.default_rng(seed), window)
