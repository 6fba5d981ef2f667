"""What a data set is made of: cases, each a fixed and a moving image and whatever of truth comes with them.

Nothing is copied and nothing is read before it is asked for: a case holds where its files lie, and `Case.load` reads
them. Cases are plain frozen values, so that they can be sent to worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from RobustDIRLib.datasets.sources import ImageSource, LabelFile, LandmarkSource
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.landmarks import Landmarks


@dataclass(frozen=True)
class CaseData:
    """One case, read: images in the unit of their files (HU for CT), label maps and masks, landmarks in mm, LPS.

    Attributes:
        fixed: Image that stays.
        moving: Image to be warped onto it.
        fixed_mask: Where to look in the fixed image, above 0 inside.
        moving_mask: Where to look in the moving image, above 0 inside.
        fixed_landmarks: Points in the fixed image.
        moving_landmarks: The same places in the moving image, row by row.
        fixed_labels: Label map of the fixed image; it may lie on another grid than the image.
        moving_labels: Label map of the moving image.
    """

    fixed: Image
    moving: Image
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    fixed_landmarks: Landmarks | None = None
    moving_landmarks: Landmarks | None = None
    fixed_labels: Image | None = None
    moving_labels: Image | None = None


@dataclass(frozen=True)
class Case:
    """One pair of a data set: where its files lie and how they are read.

    Attributes:
        name: Unique in its data set, and safe as a file name.
        subject: Whose scans they are, for averages by subject; that of the moving image where two people are paired.
        preset: Of the registration: `"lung-ct"`, `"brain-mri"` or `"generic"`.
        fixed: Image that stays.
        moving: Image to be warped onto it.
        fixed_mask: Where to look in the fixed image.
        moving_mask: Where to look in the moving image.
        fixed_landmarks: Points in the fixed image.
        moving_landmarks: The same places in the moving image.
        fixed_labels: Label map of the fixed image.
        moving_labels: Label map of the moving image.
        fixed_subject: Whose scan the fixed image is, where it is another person's; empty if it is the same one's.
    """

    name: str
    subject: str
    preset: str
    fixed: ImageSource
    moving: ImageSource
    fixed_mask: LabelFile | None = None
    moving_mask: LabelFile | None = None
    fixed_landmarks: LandmarkSource | None = None
    moving_landmarks: LandmarkSource | None = None
    fixed_labels: LabelFile | None = None
    moving_labels: LabelFile | None = None
    fixed_subject: str = ""

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose the fixed and the moving image are."""
        return self.fixed_subject or self.subject, self.subject

    def files(self) -> dict[str, Path]:
        """The files of the case by what they are (`"fixed"`, `"moving_landmarks"`, ...), those it has."""
        held = {name: getattr(self, name) for name in ROLES}
        return {name: source.path for name, source in held.items() if source is not None}

    def load(self) -> CaseData:
        """Reads everything the case has.

        Raises:
            InputError: If a file cannot be read or is not what it should be, or the landmarks differ in number.
        """
        fixed, moving = self.fixed.read(), self.moving.read()
        fixed_landmarks = self.fixed_landmarks.read(fixed.grid) if self.fixed_landmarks else None
        moving_landmarks = self.moving_landmarks.read(moving.grid) if self.moving_landmarks else None
        if fixed_landmarks and moving_landmarks and len(fixed_landmarks) != len(moving_landmarks):
            files = self.files()
            raise InputError(
                f"{files['fixed_landmarks']} has {len(fixed_landmarks)} landmarks and {files['moving_landmarks']} has "
                f"{len(moving_landmarks)}; give files whose rows are the same places."
            )
        fixed_mask, moving_mask = (each.read_mask() if each else None for each in (self.fixed_mask, self.moving_mask))
        fixed_labels, moving_labels = (
            each.read() if each else None for each in (self.fixed_labels, self.moving_labels)
        )
        return CaseData(
            fixed, moving, fixed_mask, moving_mask, fixed_landmarks, moving_landmarks, fixed_labels, moving_labels
        )


ROLES = tuple(field.name for field in fields(CaseData))


@dataclass(frozen=True)
class Dataset:
    """Cases that belong together.

    Attributes:
        name: Of the data set, for tables.
        folder: Where its files lie; no file of it lies elsewhere.
        cases: In a fixed order, the same each time the data set is opened.
        kind: One of `datasets.opening.KINDS`.
        notes: What was left out or assumed in opening it, a sentence each.
    """

    name: str
    folder: Path
    cases: tuple[Case, ...]
    kind: str = "folders"
    notes: tuple[str, ...] = ()
