"""Opens a data set of any known kind, or says everything that is wrong with it at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from RobustDIRLib.datasets import folders
from RobustDIRLib.datasets.cases import Case, Dataset
from RobustDIRLib.datasets.problems import Problems, Root
from RobustDIRLib.datasets.settings import FILE_NAME, Settings, read_settings
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import PathLike


@dataclass(frozen=True)
class Kind:
    """A way data sets lie in folders.

    Attributes:
        summary: What it is, one line.
        recognises: Whether a folder looks like it.
        cases: Its cases, by what the settings say; what is wrong is noted in the root's problems.
    """

    summary: str
    recognises: Callable[[Path], bool]
    cases: Callable[[Root, Settings], list[Case]]


KINDS = {
    "folders": Kind("plain folders, by convention or by patterns", folders.recognises, folders.cases),
}


def open_dataset(path: PathLike, kind: str = "auto", split: str | None = None) -> Dataset:
    """Opens a data set in place; images are not read yet, their headers and all landmarks are.

    Args:
        path: Folder of the data set, or a `robustdir-dataset.json` that says where it lies.
        kind: One of `KINDS`, or `"auto"` to find it out.
        split: Part of the set, where the kind has parts; its default otherwise.
    Raises:
        InputError: With everything that is wrong with it, one problem a line.
    """
    settings, folder = _settings(Path(path))
    settings = replace(settings, kind=settings.kind if kind == "auto" else kind, split=split or settings.split)
    name = settings.kind if settings.kind != "auto" else _recognised(folder)
    if name not in KINDS:
        raise InputError(f"--kind {name}: there is no such kind of data set; choose one of auto, {', '.join(KINDS)}.")
    problems = Problems()
    root = Root(folder, problems, links=settings.links)
    cases = problems.attempt(lambda: KINDS[name].cases(root, settings)) or []
    cases = cases[: settings.limit]
    _check(cases, problems)
    if not cases and not problems.found:
        problems.add(f"{folder} holds no pair of images in the form of {name}; see `robustdir dataset kinds`.")
    problems.raise_any(str(path))
    return Dataset(settings.name or folder.resolve().name, name, root.folder, tuple(cases))


def _settings(path: Path) -> tuple[Settings, Path]:
    """The settings of a data set and the folder where it lies."""
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        return Settings(), path
    settings = read_settings(file)
    folder = file.parent / (settings.folder or ".")
    if not folder.is_dir():
        raise InputError(f"{file}: the folder {folder} does not exist; correct the setting folder.")
    return settings, folder


def _recognised(folder: Path) -> str:
    return next((name for name, kind in KINDS.items() if kind.recognises(folder)), "folders")


def _check(cases: list[Case], problems: Problems) -> None:
    """Notes names that occur twice, and landmarks that do not match each other or their images."""
    for name, times in Counter(case.name.lower() for case in cases).items():
        if times > 1:
            problems.add(f"{times} cases are called {name}; make their names differ in more than upper and lower case.")
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
    if fixed_points and moving_points and len(fixed_points) != len(moving_points):
        problems.add(
            f"case {case.name}: {files['fixed_landmarks']} has {len(fixed_points)} landmarks and "
            f"{files['moving_landmarks']} has {len(moving_points)}; give files whose rows are the same places."
        )
