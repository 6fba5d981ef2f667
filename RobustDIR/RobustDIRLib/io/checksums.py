"""Checksums by which a run's record names its input."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import PathLike, files_in

_CHUNK = 1 << 20
_SEAL = "sha256"


def sha256(path: PathLike) -> str:
    """SHA-256 of a file, or of a folder's files by name and content (a DICOM series), as 64 hexadecimal digits.

    Raises:
        InputError: If nothing is there or it cannot be read.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist; check the path.")
    if not path.is_dir():
        return _of_file(path)
    try:
        files = files_in(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return sha256_of_files(files)


def sha256_of_files(files: Iterable[Path]) -> str:
    """SHA-256 of several files by name and content, in their order.

    Raises:
        InputError: If one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{_of_file(file)}  {file.name}\n".encode())
    return digest.hexdigest()


def sha256_of_values(content: Any) -> str:
    """SHA-256 of plain values as JSON gives them, whatever the order of an object's names."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with their checksum as `sha256`, by which `is_sealed` knows whether they were changed since."""
    plain = json.loads(json.dumps(content))
    return {**plain, _SEAL: sha256_of_values(plain)}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether values are those that `sealed` gave."""
    rest = {name: value for name, value in content.items() if name != _SEAL}
    return content.get(_SEAL) == sha256_of_values(rest)


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror}); check the permissions and the disk.")
