"""What every kind of data set needs to make cases: names, sources of files, pairs of scans."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from RobustDIRLib.datasets.cases import Case
from RobustDIRLib.datasets.sources import ImageSource, LabelFile, LandmarkSource

T = TypeVar("T")


@dataclass(frozen=True)
class Scan:
    """One image and what comes with it, to be paired with another.

    Attributes:
        name: Unique in the data set.
        subject: Whose scan it is.
        image: The image.
        mask: Where to look in it.
        landmarks: Points in it.
        labels: Its label map.
    """

    name: str
    subject: str
    image: ImageSource
    mask: LabelFile | None = None
    landmarks: LandmarkSource | None = None
    labels: LabelFile | None = None


def safe_name(*parts: str) -> str:
    """One name of several, fit for a file: letters, digits, dot, dash and underscore, no dot first."""
    return re.sub(r"[^\w.-]+", "_", "_".join(parts)).lstrip(".") or "_"


def pair(fixed: Scan, moving: Scan, preset: str, name: str | None = None, subject: str | None = None) -> Case:
    """The case of two scans; its subject is the moving one's unless given."""
    return Case(
        name=name or safe_name(f"{fixed.name}-{moving.name}"),
        subject=subject or moving.subject,
        preset=preset,
        fixed=fixed.image,
        moving=moving.image,
        fixed_mask=fixed.mask,
        moving_mask=moving.mask,
        fixed_landmarks=fixed.landmarks,
        moving_landmarks=moving.landmarks,
        fixed_labels=fixed.labels,
        moving_labels=moving.labels,
        fixed_subject="" if subject else fixed.subject,
    )


def pairs_of(scans: Sequence[T], pairing: str) -> list[tuple[T, T]]:
    """Pairs (fixed, moving) of scans in their order; see `settings.Settings.pairing`.

    With `neighbours` the last of an odd number goes with the one before it, which is in two pairs then: none is lost.
    """
    if pairing == "neighbours":
        last = [(scans[-2], scans[-1])] if len(scans) % 2 and len(scans) > 1 else []
        return [*zip(scans[0::2], scans[1::2], strict=False), *last]
    if pairing == "chain":
        return list(itertools.pairwise(scans))
    if pairing == "first":
        return [(scans[0], scan) for scan in scans[1:]]
    return list(itertools.combinations(scans, 2))
