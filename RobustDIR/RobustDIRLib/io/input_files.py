"""The files that a path stands for, and their checksum: what a run has read, whole.

Voxels may lie in a file beside their header, which says nothing of them: one without the other would not tell when an
image was changed, nor two images apart.
"""

from __future__ import annotations

import os
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io import nifti
from RobustDIRLib.io.checksums import sha256, sha256_of_files
from RobustDIRLib.io.files import PathLike, files_in, packed_extension
from RobustDIRLib.io.formats import NIFTI, recognised
from RobustDIRLib.io.payload import Payload

# Ends of names of headers whose voxels may lie in files beside them, and of such voxels.
_MAY_BE_APART = (".hdr", ".hdr.gz", ".img", ".img.gz", ".mhd", ".mha", ".nhdr", ".nrrd")


def files_of(path: PathLike) -> tuple[Path, ...]:
    """All files that a path stands for: itself, a folder's files by name, a header and then the voxels beside it.

    Nothing is refused here: what cannot be read stands for itself alone.
    """
    path = Path(path)
    if os.path.isdir(path):
        return tuple(files_in(path))
    if packed_extension(path) not in _MAY_BE_APART or not os.path.isfile(path):
        return (path,)
    try:
        volume = recognised(path)
        first = nifti.pair_of(path)[0] if volume.kind == NIFTI else path
        payload = volume.header.payload
    except InputError:
        return (path,)
    voxels = payload.files if isinstance(payload, Payload) else ()
    return tuple(dict.fromkeys((first, *(file for file in voxels if os.path.isfile(file)))))


def input_sha256(path: PathLike) -> str:
    """As `checksums.sha256`; of a header and the voxels beside it by name and content of all their files.

    Raises:
        InputError: If nothing is there or it cannot be read.
    """
    if os.path.isdir(path):  # listed there, and refused by a sentence where that is not allowed
        return sha256(path)
    files = files_of(path)
    return sha256(path) if len(files) == 1 else sha256_of_files(files)
