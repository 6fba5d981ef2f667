"""Refusals before any computing: options and extras that cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from RobustDIRLib.errors import InputError
from RobustDIRLib.evaluation.label_names import names_of, numbered_alike
from RobustDIRLib.evaluation.pairing import names_hint
from RobustDIRLib.io.images import Image, resample
from RobustDIRLib.io.labels import LabelMap
from RobustDIRLib.io.landmark_readings import reading_inside
from RobustDIRLib.io.landmarks import Landmarks, pairs_inside
from RobustDIRLib.presets import Preset, find_preset
from RobustDIRLib.registration.alignment import check_kind
from RobustDIRLib.registration.devices import check_threads, find_device
from RobustDIRLib.registration.preprocessing import Warn, check_hounsfield
from RobustDIRLib.registration.refinement.settings import check_seconds, find_quality
from RobustDIRLib.registration.result import PairExtras, RegistrationOptions

_NAMED = 5
_MOST_OUTSIDE = 0.5
_SAMPLES = 100_000  # voxels of a label map that are looked at


def check_options(options: RegistrationOptions) -> tuple[Preset, torch.device]:
    """Refuse what cannot be meant: this alone knows all options, for whoever wants to know before anything is read.

    Returns:
        The preset and the device that the options name.
    Raises:
        InputError: If there is no preset, alignment, device or quality of the name, a number is none that can be, or
            what is yes or no is neither.
    """
    preset = find_preset(options.preset)
    check_kind(options.alignment)
    device = find_device(options.device)
    find_quality(options.quality)
    check_seconds(options.refine_seconds)
    check_threads(options.threads)
    for name in ("spacing", "memory_limit"):
        value = getattr(options, name)
        if value is not None and not (_is_number(value) and 0 < value < np.inf):
            raise InputError(f"`{name}` is {value!r}; give a number above 0, or leave it out.")
    for name in ("refine", "blank_outside"):
        value = getattr(options, name)
        if value is not None and not isinstance(value, (bool, np.bool_)):
            raise InputError(f"`{name}` is {value!r}; give True or False.")
    return preset, device


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def check_images(fixed: Image, moving: Image, preset: Preset, warn: Warn) -> None:
    """Refuse what no reader would have let pass, and say where an image does not look like the preset's kind.

    Raises:
        InputError: If a voxel is NaN or infinite, all voxels of an image are equal, or the fixed image is a single
            slice, in which no deformation has a Jacobian.
    """
    if min(fixed.grid.shape) < 2:
        sides = " x ".join(map(str, fixed.grid.size))
        raise InputError(f"the fixed image has {sides} voxels and is no volume; give two slices or more.")
    for name, image in (("fixed", fixed), ("moving", moving)):
        _check_voxels(image, name)
        check_hounsfield(image, name, preset, warn)


def _check_voxels(image: Image, name: str) -> None:
    bad = image.array.size - int(np.count_nonzero(np.isfinite(image.array)))
    if bad:
        raise InputError(f"the {name} image has {bad} voxels that are NaN or infinite; replace them by a number.")
    if image.array.min() == image.array.max():
        raise InputError(f"the {name} image is constant; check that it is the image you mean.")


def tell_one_image(fixed: Image, moving: Image, warn: Warn) -> None:
    """Say that fixed and moving image are one, whatever files they came from: a trial of the program, or a slip."""
    if fixed.grid.close_to(moving.grid) and np.array_equal(fixed.array, moving.array):
        warn(
            "fixed and moving image are the same, voxel for voxel; there is no deformation to find, and figures of "
            "this pair say nothing of others."
        )


def check_extras(extras: PairExtras, fixed: Image, moving: Image, warn: Warn) -> PairExtras:
    """Landmarks and label maps that fit the images and each other; fixed label maps brought to the fixed grid.

    Pairs of landmarks of which one lies outside its image are left out, and said: they guide nothing.

    Raises:
        InputError: If landmarks or fixed label maps lack their counterpart or differ in number, or more than half of
            the landmarks lie outside their image, as where files or frames were mixed up.
    """
    if extras.fixed_labels and len(extras.fixed_labels) != len(extras.moving_labels):
        raise InputError(
            f"`fixed_labels`: {len(extras.fixed_labels)} label maps were given for {len(extras.moving_labels)} of the "
            f"moving image (`moving_labels`); give one for each, in the same order."
        )
    first, second = _checked_landmarks(extras, fixed, moving, warn) or (None, None)
    for side, image, maps in (("fixed", fixed, extras.fixed_labels), ("moving", moving, extras.moving_labels)):
        for labels in maps:
            if note := unlike_image(labels, image, f"a label map of the {side} image"):
                warn(note)
    counterparts = tuple(_counterparts(extras, fixed, warn))
    return replace(extras, fixed_landmarks=first, moving_landmarks=second, fixed_labels=counterparts)


def tell_idle_masks(options: RegistrationOptions, extras: PairExtras, *, refined: bool, warn: Warn) -> None:
    """Say where masks change nothing, or what they should change is not there."""
    given = [name for name, mask in zip(("fixed", "moving"), extras.masks, strict=True) if mask is not None]
    if given and options.alignment == "none" and not options.blank_outside and not refined:
        warn(
            f"the {' and '.join(given)} mask does nothing: no alignment looks inside it, nothing is refined there, and "
            "the network sees whole images unless `blank_outside` is set."
        )
    if options.blank_outside and not given:
        warn("`blank_outside` does nothing, as no mask was given.")


def unlike_image(labels: Image, image: Image, name: str) -> str:
    """That a label map holds nothing, or that most of its structures lie outside the image that it should belong to.

    Args:
        labels: On any grid.
        image: Where its structures should lie.
        name: What to call the map.
    Returns:
        A sentence; empty if all is well.
    """
    held = np.flatnonzero(labels.array)
    if not len(held):
        return f"{name} holds no structure: all its voxels are 0."
    some = held[:: max(1, len(held) // _SAMPLES)]
    points = labels.grid.points_from_voxels(np.column_stack(np.unravel_index(some, labels.array.shape)))
    outside = float(1 - image.grid.contains(points).mean())
    if outside > _MOST_OUTSIDE:
        return f"{100 * outside:.0f} % of what {name} holds lies outside that image; check that both belong together."
    return ""


def _checked_landmarks(
    extras: PairExtras, fixed: Image, moving: Image, warn: Warn
) -> tuple[Landmarks, Landmarks] | None:
    """The pairs of landmarks that lie in both images, if there are any."""
    if extras.landmarks is None:
        for one, lacking in ((extras.moving_landmarks, "fixed"), (extras.fixed_landmarks, "moving")):
            if one is not None:
                raise InputError(f"`{lacking}_landmarks`: is missing; give the landmarks of both images or of none.")
        return None
    first, second = extras.landmarks
    if len(first) != len(second):
        raise InputError(
            f"`moving_landmarks`: {len(second)} landmarks do not pair with {len(first)} in `fixed_landmarks`; give as "
            f"many, row by row."
        )
    if np.array_equal(first.points, second.points):
        warn("the landmarks of both images are the same points; if one file was given twice, their error says nothing.")
    for hint in names_hint(first.names, second.names):
        warn(hint)
    for landmarks, image, name in ((first, fixed, "fixed"), (second, moving, "moving")):
        _check_place(landmarks, image, name, warn)
    kept = pairs_inside(first, second, fixed.grid, moving.grid)
    return (first.where(kept), second.where(kept)) if kept.any() else None


def _check_place(landmarks: Landmarks, image: Image, name: str, warn: Warn) -> None:
    """Say which landmarks lie outside their image; refuse where half of them do."""
    outside = np.flatnonzero(~image.grid.contains(landmarks.points))
    if not len(outside):
        return
    named = ", ".join(landmarks.names[k] for k in outside[:_NAMED]) + (", ..." if len(outside) > _NAMED else "")
    lie = f"{len(outside)} of {len(landmarks)} landmarks lie outside the {name} image ({named})"
    if 2 * len(outside) > len(landmarks) > 1:
        other = reading_inside(landmarks.points, image.grid)
        hint = f"; they would lie inside it {other}" if other else " (x and y change sign from RAS)"
        raise InputError(f"`{name}_landmarks`: {lie}; check that they belong to it and are in mm, LPS{hint}.")
    warn(f"{lie}; they and their counterparts were left out of the error.")


def _counterparts(extras: PairExtras, fixed: Image, warn: Warn) -> Iterator[Image]:
    """The fixed label maps on the fixed grid, structures of one name numbered as in the moving ones."""
    for labels, moving in zip(extras.fixed_labels, extras.moving_labels, strict=False):
        alike, sentences = numbered_alike(labels, moving)
        for sentence in sentences:
            warn(sentence)
        if not sentences and not _share_a_number(alike, moving):
            warn("a pair of label maps has no number in common, so that none of their structures are compared.")
        yield _on_grid(alike, fixed, warn)


def _share_a_number(fixed: Image, moving: Image) -> bool:
    """Whether a structure is in both maps; also where one of both holds none, which is said elsewhere."""
    held = [set(np.unique(labels.array).tolist()) - {0} for labels in (fixed, moving)]
    return bool(held[0] & held[1]) or not all(held)


def _on_grid(labels: Image, fixed: Image, warn: Warn) -> Image:
    if labels.grid.close_to(fixed.grid):
        return labels
    warn("a fixed label map lies on another grid than the fixed image; it was resampled (nearest voxel) for Dice.")
    return LabelMap(resample(labels, fixed.grid, nearest=True, outside=0).array, fixed.grid, names_of(labels))
