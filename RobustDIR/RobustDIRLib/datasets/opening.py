"""Opens a data set of any known kind, or says everything that is wrong with it at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from RobustDIRLib.datasets import brains, dirlab, folders, learn2reg
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.datasets.problems import Problems, Root
from RobustDIRLib.datasets.settings import Settings, read_settings
from RobustDIRLib.datasets.sources import ImageFile, ImageSource
from RobustDIRLib.errors import InputError
from RobustDIRLib.geometry import Grid
from RobustDIRLib.io.files import PathLike
from RobustDIRLib.io.landmark_readings import reading_inside
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.run_files import DATA_SET


@dataclass(frozen=True)
class DatasetKind:
    """A way data sets lie in folders.

    Attributes:
        summary: What it is, one line.
        recognises: Whether a folder looks like it.
        cases: Its cases, by what the settings say; what is wrong is noted in the root's problems.
        split: What the part of it may be called; empty where such a set has no parts.
    """

    summary: str
    recognises: Callable[[Path], bool]
    cases: Callable[[Root, Settings], list[Case]]
    split: str = ""


# Share of landmarks that may lie outside their image: keypoints are matched up to its borders and a little beyond.
_OUTSIDE = 0.1
_LONGEST_NAME = 150
_NAMED = 5
# In the order in which a folder is tried; plain folders last.
KINDS = {
    "learn2reg": DatasetKind(
        "dataset.json of Learn2Reg (NLST, OASIS, ...) or the Decathlon",
        learn2reg.recognises,
        learn2reg.cases,
        "training, validation, test or all",
    ),
    "dirlab-4dct": DatasetKind("DIR-Lab 4DCT: case1_T00_s.img, ...", dirlab.recognises_4dct, dirlab.cases_4dct),
    "dirlab-copdgene": DatasetKind(
        "DIR-Lab COPDgene: copd1_iBHCT.img, ...", dirlab.recognises_copdgene, dirlab.cases_copdgene
    ),
    "ixi": DatasetKind(
        "IXI: IXI002-Guys-0828-T1.nii.gz, ...", brains.recognises_ixi, brains.cases_ixi, "t1-t1, t1-t2, ..."
    ),
    "paired3t": DatasetKind(
        "Paired3T: sub-01/ses-1/anat/sub-01_ses-1_T1w_defaced.nii.gz, ...",
        brains.recognises_paired3t,
        brains.cases_paired3t,
        "t1-t1, t1-t2, ...",
    ),
    "folders": DatasetKind(
        f"plain folders: CASE/fixed.nii.gz and CASE/moving.nii.gz, or as {DATA_SET} says",
        folders.recognises,
        folders.cases,
    ),
}


def open_dataset(path: PathLike, kind: str = "auto", split: str | None = None) -> Dataset:
    """Opens a data set in place; images are not read yet, the headers of those with landmarks and all landmarks are.

    Args:
        path: Folder of the data set, its `dataset.json`, or a `robustdir-dataset.json` that says where it lies.
        kind: One of `KINDS`, or `"auto"` to find it out.
        split: Part of the set, where the kind has parts; its default otherwise.
    Raises:
        InputError: With everything that is wrong with it, one problem a line.
    """
    settings, folder = _settings(Path(path))
    settings = _chosen(settings, kind, split)
    name = _kind(settings, folder)
    problems = Problems()
    root = Root(folder, problems, links=settings.links)
    cases = problems.attempt(lambda: KINDS[name].cases(root, settings)) or []
    cases = [_filling(case, settings.fill_nan) for case in cases[: settings.limit]]
    _check(cases, problems)
    if not cases and not problems.found:
        problems.add(
            f"{folder} holds no pair of images of the kind {name}; see `robustdir dataset list` for the kinds that are "
            f"known, or say in a {DATA_SET} where the files lie."
        )
    problems.raise_any(str(path))
    return Dataset(
        settings.name or root.folder.name, root.folder, tuple(cases), name, (*root.notes, *_of_one_image(cases))
    )


def _of_one_image(cases: list[Case]) -> list[str]:
    """A sentence if cases have one file, by whatever name, as their fixed and moving image."""
    alike = [case.name for case in cases if _is_one(case.fixed, case.moving)]
    if not alike:
        return []
    named = ", ".join(alike[:_NAMED]) + (", ..." if len(alike) > _NAMED else "")
    return [
        f"one file is the fixed and the moving image of {len(alike)} cases ({named}); there is nothing to register."
    ]


def _is_one(fixed: ImageSource, moving: ImageSource) -> bool:
    files = isinstance(fixed, ImageFile) and isinstance(moving, ImageFile)
    return fixed == moving or (
        files and fixed.path.exists() and moving.path.exists() and os.path.samefile(fixed.path, moving.path)
    )


def _filling(case: Case, value: float | None) -> Case:
    """The case, NaN voxels of its images in files filled with a value if one is set."""
    if value is None:
        return case
    images = {"fixed": case.fixed, "moving": case.moving}
    files = {role: source for role, source in images.items() if isinstance(source, ImageFile)}
    changes: dict[str, Any] = {role: replace(source, fill_nan=value) for role, source in files.items()}
    return replace(case, **changes)


def _settings(path: Path) -> tuple[Settings, Path]:
    """The settings of a data set and the folder where it lies."""
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_file() and path.name != DATA_SET and path in learn2reg.list_files(path.parent):
        return Settings(kind="learn2reg", listing=path.name), path.parent
    file = path / DATA_SET if path.is_dir() else path
    if not file.is_file():
        return Settings(), path
    settings = read_settings(file)
    folder = file.parent / (settings.folder or ".")
    if not os.path.isdir(folder):
        raise InputError(f"{file}: the folder {folder} does not exist; correct the setting folder.")
    return settings, folder


def _chosen(settings: Settings, kind: str, split: str | None) -> Settings:
    """The settings with the kind and the part that the caller asks for in place of their own."""
    if kind != "auto" and kind not in KINDS:
        raise InputError(f"`kind` {kind}: there is no such kind of data set; choose one of auto, {', '.join(KINDS)}.")
    if settings.plain and kind not in ("auto", "folders"):
        raise InputError(f"`kind` {kind}: the {DATA_SET} says itself where each file lies; leave it out.")
    return replace(settings, kind=settings.kind if kind == "auto" else kind, split=split or settings.split)


def _kind(settings: Settings, folder: Path) -> str:
    """The name of the kind, once the settings are known to be fit for it."""
    name = settings.kind
    if name == "auto":
        name = "folders" if settings.plain else _recognised(folder)
    if name not in KINDS:
        raise InputError(
            f"the setting kind is {name}: there is no such kind of data set; choose one of auto, {', '.join(KINDS)}."
        )
    if settings.split and not KINDS[name].split:
        raise InputError(f"`split` {settings.split}: data sets of the kind {name} have no parts; leave it out.")
    if settings.per_site and name != "ixi":
        raise InputError(f"per_site is a setting of the kind ixi alone, not of {name}; leave it out.")
    return name


def _recognised(folder: Path) -> str:
    return next((name for name, kind in KINDS.items() if kind.recognises(folder)), "folders")


def _check(cases: list[Case], problems: Problems) -> None:
    """Notes names that occur twice, and landmarks that do not match each other or their images."""
    for name, times in Counter(case.name.lower() for case in cases).items():
        if times > 1:
            problems.add(f"{times} cases are called {name}; make their names differ in more than upper and lower case.")
        if len(name) > _LONGEST_NAME:  # files are called by it, and their names end with more
            problems.add(f"a case is called {name[:40]}...; give it a name of at most {_LONGEST_NAME} letters.")
    for case in cases:
        _check_landmarks(case, problems)


def _check_landmarks(case: Case, problems: Problems) -> None:
    files = case.files()
    given = [role for role in ("fixed_landmarks", "moving_landmarks") if role in files]
    if len(given) == 1:
        problems.add(f"case {case.name} has {given[0].replace('_', ' ')} alone; add those of the other image.")
    if len(given) < 2:
        return
    fixed, moving = case.fixed_landmarks, case.moving_landmarks
    assert fixed and moving
    fixed_grid, moving_grid = problems.attempt(case.fixed.grid), problems.attempt(case.moving.grid)
    if fixed_grid is None or moving_grid is None:
        return
    fixed_points = problems.attempt(lambda: fixed.read(fixed_grid))
    moving_points = problems.attempt(lambda: moving.read(moving_grid))
    for points, grid, role in ((fixed_points, fixed_grid, "fixed"), (moving_points, moving_grid, "moving")):
        if points:
            _check_place(points, grid, f"case {case.name}: {files[f'{role}_landmarks']}", problems)
    if fixed_points and moving_points and len(fixed_points) != len(moving_points):
        problems.add(
            f"case {case.name}: {files['fixed_landmarks']} has {len(fixed_points)} landmarks and "
            f"{files['moving_landmarks']} has {len(moving_points)}; give files whose rows are the same places."
        )


def _check_place(points: Landmarks, grid: Grid, what: str, problems: Problems) -> None:
    """Notes landmarks of which many lie outside their image, as where sides or files were mixed up."""
    outside = int(np.count_nonzero(~grid.contains(points.points)))
    if outside > _OUTSIDE * len(points):
        other = reading_inside(points.points, grid)
        hint = f"; they would lie inside it {other}" if other else ""
        problems.add(
            f"{what} has {outside} of {len(points)} landmarks outside their image; check that they belong to it and "
            f"are in its frame (mm in LPS, or voxels of the image){hint}."
        )
