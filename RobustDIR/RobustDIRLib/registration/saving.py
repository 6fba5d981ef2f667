"""A registration's files in a folder: all of them or none, and never over somebody else's."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.checksums import sealed, sha256
from RobustDIRLib.io.displacements import write_displacement, write_transform
from RobustDIRLib.io.files import PathLike, refuse_inputs, refuse_unknown_letters
from RobustDIRLib.io.images import write_image
from RobustDIRLib.io.lock import Rank, locked
from RobustDIRLib.registration.devices import repeatable
from RobustDIRLib.registration.result import RegistrationResult
from RobustDIRLib.run_files import (
    DISPLACEMENT,
    INVERSE,
    JACOBIAN,
    LABELS,
    RECORD,
    REGISTRATION,
    TRANSFORM,
    WARPED,
    labels_name,
)


@contextmanager
def reserved(folder: PathLike, *, overwrite: bool = False, inputs: Iterable[PathLike] = ()) -> Iterator[Path]:
    """Hold the folder that a run will be written to: of two runs at once into one folder the second is refused.

    Args:
        folder: Made if it is not there; taken away again if nothing was written to it.
        overwrite: Whether a run that is there may be replaced.
        inputs: Files and folders that the run reads, which it must not replace.
    Yields:
        The folder.
    Raises:
        InputError: As `check_folder`, or if another run is at work there.
    """
    folder = check_folder(folder, overwrite, inputs)
    with locked(folder, Rank.alone()):
        _refuse_losses(folder, overwrite, inputs)  # another may have ended since
        yield folder


def check_folder(folder: PathLike, overwrite: bool = False, inputs: Iterable[PathLike] = ()) -> Path:
    """The folder's whole path, once it is known that a run can be written to it, before anything is computed.

    Raises:
        InputError: If it has no name, is a file, may not be written to, holds a run and `overwrite` is not set, or
            one of the run's files would replace an input.
    """
    if not str(folder).strip():
        raise InputError("`output` is empty; name a folder.")
    folder = Path(folder).absolute()
    refuse_unknown_letters(folder)
    try:
        if os.path.lexists(folder.parent):
            folder.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise InputError(f"`output` {folder}: cannot be written ({error.strerror}); choose another folder.") from error
    _refuse_losses(folder, overwrite, inputs)
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"`output` {folder}: {nearest} is a file; give a folder.")
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=".robustdir-"):
            pass
    except OSError as error:
        raise InputError(
            f"`output` {folder}: {nearest} cannot be written to ({error.strerror}); choose another folder."
        ) from error
    return folder


def _refuse_losses(folder: Path, overwrite: bool, inputs: Iterable[PathLike]) -> None:
    """Refuse to write over what is read, or over another run where that was not asked for."""
    present = _present(folder)
    refuse_inputs([folder / name for name in dict.fromkeys([*REGISTRATION, *present])], inputs)
    if present and not overwrite:
        raise InputError(
            f"`output` {folder}: the folder already holds a run ({', '.join(present)}); choose another or add "
            f"`overwrite`."
        )


def save(
    result: RegistrationResult,
    folder: PathLike,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a registration's files; a folder that holds `run.json` holds a whole run.

    All files are written to a hidden folder on the same disk first. A new folder appears by one renaming. In a folder
    that is there already the files are renamed one by one, `run.json` last.

    Args:
        result: What to write.
        folder: Made if it is not there; files of other names in it stay.
        overwrite: Replace a run that is there.
        provenance: What the result cannot know, for `run.json`: inputs, command.
    Returns:
        The folder.
    Raises:
        InputError: If it cannot be written, or holds a run and `overwrite` is not set.
    """
    folder = check_folder(folder, overwrite)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        home = folder if folder.exists() else folder.parent
        temporary = Path(tempfile.mkdtemp(dir=home, prefix=".robustdir-"))
        try:
            with repeatable(result.record.get("threads")):  # files are packed on no more threads than were allowed
                _write(result, temporary, provenance or {})
            _move(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"`output` {folder}: cannot be written ({error.strerror}); choose another folder.") from error
    return folder


def _present(folder: Path) -> list[str]:
    """Names of a run's files that a folder holds."""
    labels = sorted(path.name for path in folder.glob(LABELS)) if folder.is_dir() else []
    return [name for name in REGISTRATION if os.path.lexists(folder / name)] + labels


def _write(result: RegistrationResult, folder: Path, provenance: Mapping[str, Any]) -> None:
    write_transform(folder / TRANSFORM, result.transform)
    write_transform(folder / INVERSE, result.inverse)
    write_displacement(folder / DISPLACEMENT, result.displacement)
    write_image(folder / WARPED, result.warped)
    write_image(folder / JACOBIAN, result.jacobian)
    for index, labels in enumerate(result.warped_labels):
        write_image(folder / labels_name(index), labels)
    sums = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    text = json.dumps(sealed({**run_record(result, provenance), "outputs": sums}), indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _move(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.chmod(0o777 & ~_umask())  # temporary folders are private, a user's results need not be
        os.replace(temporary, folder)
        return
    written = {path.name for path in temporary.iterdir()}
    _remove(folder / name for name in (RECORD, *(set(_present(folder)) - written)))
    for name in sorted(written, key=lambda name: (name == RECORD, name)):
        os.replace(temporary / name, folder / name)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def run_record(result: RegistrationResult, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Everything `run.json` says: what was used, what came out, and whatever `provenance` adds."""
    grid = result.working_grid
    return {
        **provenance,
        **result.record,
        "working_grid": {name: getattr(grid, name) for name in ("size", "spacing", "origin", "direction")},
        "alignment": result.alignment.summary(),
        "measures": result.measures.summary(),
        "judgement": None if result.judgement is None else result.judgement.summary(),
        "timings_s": {name: round(seconds, 3) for name, seconds in result.timings.items()},
        "warnings": list(result.warnings),
    }
