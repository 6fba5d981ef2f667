"""What tells frames of DICOM files apart: volumes at one place, volumes between each other's slices, unlike slices."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Array
from RobustDIRLib.io.dicom_frames import Frame

_log = logging.getLogger(__name__)

# What all slices of one volume share: keyword, and the sequence of the functional groups that holds it, if any.
_OF_A_VOLUME = (
    ("StackID", "FrameContentSequence"),
    ("TemporalPositionIndex", "FrameContentSequence"),
    ("EffectiveEchoTime", "MREchoSequence"),
    ("DiffusionBValue", "MRDiffusionSequence"),
    ("DiffusionGradientOrientation", "DiffusionGradientDirectionSequence"),
    ("NominalPercentageOfCardiacPhase", "CardiacSynchronizationSequence"),
    ("FrameType", "MRImageFrameTypeSequence"),
    ("FrameType", "CTImageFrameTypeSequence"),
    ("FrameType", "PETFrameTypeSequence"),
    ("TemporalPositionIdentifier", None),
    ("EchoNumbers", None),
    ("EchoTime", None),
    ("InversionTime", None),
    ("FlipAngle", None),
    ("DiffusionBValue", None),
    ("NominalPercentageOfCardiacPhase", None),
    ("ImageType", None),
    ("ConvolutionKernel", None),
    ("KVP", None),
    ("SequenceName", None),
    ("ContrastBolusAgent", None),
    ("RescaleType", None),
    ("RescaleType", "PixelValueTransformationSequence"),
    ("Modality", None),
    ("SOPClassUID", None),
    ("PatientPosition", None),
    ("SeriesDescription", None),
    ("TimeSlotVector", None),
    ("EnergyWindowVector", None),
    ("PhaseVector", None),
    ("DetectorVector", None),
)
# How pixels are kept: alike in a series as a rule, though scanners may spend fewer bits on a dark slice.
_OF_PIXELS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
# What may tell volumes at one place apart, and differs from slice to slice within a volume as well.
_OF_A_SLICE = (
    ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    ("FrameAcquisitionDateTime", "FrameContentSequence"),
    ("DimensionIndexValues", "FrameContentSequence"),
    ("TriggerTime", None),
    ("FrameReferenceTime", None),
    ("AcquisitionNumber", None),
    ("AcquisitionDateTime", None),
    ("AcquisitionTime", None),
    ("ContentTime", None),
)
# Measured or chosen by the scanner slice by slice, so that the third digit may differ.
_MEASURED = ("EffectiveEchoTime", "EchoTime", "InversionTime", "FlipAngle", "KVP")
_EVEN = 0.9  # the least gap of slices of one volume, as a share of the largest
_NAMED = 3  # elements in a message


def what_differs(frames: list[Frame], places: Array) -> str:
    """What tells volumes in one series apart, for a message: the element and its values; empty if none does.

    Args:
        frames: All frames.
        places: Of each the place along the normal, mm.
    """
    for keyword, sequence in (*_OF_A_VOLUME, *_OF_A_SLICE):
        values = [frame.telling(keyword, sequence) for frame in frames]
        groups = _by_value(values, places)
        if len(groups) > 1 and all(map(_is_even, groups)):
            return f"they differ in {keyword} ({_counted(values)})"
    return ""


def check_one_volume(where: Path, frames: list[Frame], places: Array) -> None:
    """Refuses volumes that lie between each other's slices; tells of slices that are unlike in what a volume has once.

    Together such slices are evenly spaced, so that their places alone do not show that every other one is another echo.

    Args:
        where: Their file or folder, for messages.
        frames: All frames.
        places: Of each the place along the normal, mm.
    Raises:
        InputError: Names the element by which they differ.
    """
    unlike = {}
    for keyword, sequence in _OF_A_VOLUME:
        values = [_rounded(keyword, frame.telling(keyword, sequence)) for frame in frames]
        if len(set(values)) == 1:
            continue
        unlike[keyword] = f"{keyword} ({_counted(values)})"
        if _are_mixed(values, places):
            raise InputError(
                f"{where} holds several volumes that lie between each other's slices, they differ in "
                f"{unlike[keyword]}; give each volume its own folder or file."
            )
    for keyword in _OF_PIXELS:
        if len(set(values := [frame.telling(keyword, None) for frame in frames])) > 1:
            unlike[keyword] = f"{keyword} ({_counted(values)})"
    if unlike:
        listed = ", ".join(list(unlike.values())[:_NAMED]) + (", ..." if len(unlike) > _NAMED else "")
        _log.warning("%s: its slices differ in %s; check that they are one volume.", where, listed)


def _rounded(keyword: str, text: str) -> str:
    """What is measured, to two digits; else the text itself."""
    try:
        return f"{float(f'{float(text):.2g}'):g}" if keyword in _MEASURED else text
    except ValueError:
        return text


def _are_mixed(values: list[str], places: Array) -> bool:
    """Whether slices of each value make a volume of their own, and the one begins before the other ends."""
    groups = _by_value(values, places)
    ends = sorted((group.min(), group.max()) for group in groups)
    return all(map(_is_even, groups)) and any(
        following[0] < before[1] for before, following in zip(ends, ends[1:], strict=False)
    )


def _by_value(values: list[str], places: Array) -> list[Array]:
    return [places[[v == value for v in values]] for value in dict.fromkeys(values)]


def _is_even(places: Array) -> bool:
    """Whether slices make a volume of their own: several, all at one distance from the next."""
    gaps = np.diff(np.sort(places))
    return len(gaps) > 0 and bool(gaps.min() > _EVEN * gaps.max())


def _counted(values: list[str]) -> str:
    distinct = list(dict.fromkeys(values))
    listed = "; ".join(f"{value or 'none'}: {values.count(value)} slices" for value in distinct[:6])
    return listed + (f"; and {len(distinct) - 6} more" if len(distinct) > 6 else "")
