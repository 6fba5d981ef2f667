"""Checksums by which a run's record names its input."""

from __future__ import annotations

import hashlib
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import PathLike

_CHUNK = 1 << 20


def sha256(path: PathLike) -> str:
    """SHA-256 of a file, or of a folder's files by name and content (a DICOM series), as 64 hexadecimal digits.

    Raises:
        InputError: If nothing is there or it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the permissions and the disk.") from error


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file()):
        digest.update(f"{_of_file(file)}  {file.name}\n".encode())
    return digest.hexdigest()
