"""Files of named arrays (`.npz`), read whole: nothing in them is run, and they take no more memory than they say."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import existing_file

_LARGEST = 1 << 32  # bytes of all arrays together


def read_arrays(path: Path, what: str, cure: str) -> dict[str, NDArray[Any]]:
    """All arrays of a file, by name.

    Args:
        path: The file.
        what: What it should be, for the message: "deformation model".
        cure: What to do if it is not.
    Raises:
        InputError: If it is missing, damaged, no such file, holds objects, or would take more than 4 GiB.
    """
    existing_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as held:
            return {name: np.asarray(held[name]) for name in held.files}
    except Exception as error:  # a damaged or hostile file can make the readers of zip and NumPy raise anything
        raise InputError(f"{path} is no {what}, or damaged; {cure}.") from error
