"""What a data set holds, case by case, and what is wrong with its files beyond what opening it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.datasets.problems import Problems
from RobustDIRLib.geometry import Grid


@dataclass(frozen=True)
class CaseSummary:
    """What one case holds.

    Attributes:
        name: Of the case.
        subject: Of the case.
        preset: Of the case.
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        holds: What comes with the images, in words.
        landmarks: How many pairs of landmarks it has.
        remarks: What works but should be known, such as a label map on another grid than its image.
    """

    name: str
    subject: str
    preset: str
    fixed: Grid
    moving: Grid
    holds: tuple[str, ...]
    landmarks: int
    remarks: tuple[str, ...]


def check_dataset(
    dataset: Dataset, *, read: bool = False, progress: Callable[[int], None] | None = None
) -> tuple[CaseSummary, ...]:
    """Looks at every file of a data set.

    Args:
        dataset: The data set, opened.
        read: Whether to read all voxels too, which takes as long as loading every case; headers alone otherwise.
        progress: Called with the number of cases done.
    Raises:
        InputError: With everything that is wrong, one problem a line.
    """
    problems = Problems()
    found = []
    for done, case in enumerate(dataset.cases, start=1):
        found.append(problems.attempt(partial(_summary, case)))
        if read:
            _read(case, problems)
        if progress:
            progress(done)
    problems.raise_any(str(dataset.folder))
    return tuple(summary for summary in found if summary)


def _read(case: Case, problems: Problems) -> None:
    """Read all of a case; where that ends at a bad file, its other volumes are read as well, each on its own."""
    if problems.attempt(case.load) is not None:
        return
    for volume in filter(None, (case.fixed, case.moving, case.fixed_labels, case.moving_labels)):
        problems.attempt(volume.read)
    for mask in filter(None, (case.fixed_mask, case.moving_mask)):
        problems.attempt(mask.read_mask)


def _summary(case: Case) -> CaseSummary:
    fixed, moving = case.fixed.grid(), case.moving.grid()
    remarks = [*_remarks(case, "fixed", fixed), *_remarks(case, "moving", moving)]
    landmarks = len(case.fixed_landmarks.read(fixed)) if case.fixed_landmarks else 0
    holds = _holds(case, landmarks)
    return CaseSummary(case.name, case.subject, case.preset, fixed, moving, holds, landmarks, tuple(remarks))


def _holds(case: Case, landmarks: int) -> tuple[str, ...]:
    """What comes with the images; what only one of them has, with its name."""
    holds = [f"{landmarks} landmarks"] if case.fixed_landmarks else []
    files = case.files()
    for what, both in (("labels", "labels"), ("mask", "masks")):
        roles = [role for role in ("fixed", "moving") if f"{role}_{what}" in files]
        holds += [both] if len(roles) == 2 else [f"{role} {what}" for role in roles]
    return tuple(holds)


def _remarks(case: Case, role: str, grid: Grid) -> Iterator[str]:
    """What is odd but works, of one image."""
    for what in ("mask", "labels"):
        source = getattr(case, f"{role}_{what}")
        if source is not None and not source.grid().close_to(grid):
            yield f"{source.path} lies on another grid than its image."
    points = getattr(case, f"{role}_landmarks")
    if points is not None:
        landmarks = points.read(grid)
        if outside := int(np.count_nonzero(~grid.contains(landmarks.points))):
            yield f"{points.path} has {outside} of {len(landmarks)} landmarks outside their image."
