"""Whether an archive that torch wrote is as it was written: whole, of no more bytes than its file, every sum right."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from RobustDIRLib.errors import InputError

# The plain values beside the tensors: a card and a configuration, or the state of an optimiser by names.
_LARGEST_PICKLE = 1 << 26


def check_archive(path: Path, what: str) -> None:
    """Read an archive once, in small pieces, and compare every entry with its CRC.

    torch itself looks at no sum, and unpacks what is packed: a file of a kilobyte could hold gigabytes. It packs
    nothing when it writes.

    Args:
        path: An archive as `torch.save` writes it.
        what: What the user takes it for, for the message: "a model file".
    Raises:
        InputError: If it is truncated, no archive, damaged, or larger unpacked than packed.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            cut = file.read(4) == b"PK\x03\x04"
        raise InputError(f"{path} is truncated; copy it again." if cut else f"{path} is not {what}; give another file.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            unlike = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            largest = max((entry.file_size for entry in entries if entry.filename.endswith("data.pkl")), default=0)
            if unlike or largest > _LARGEST_PICKLE or len({e.filename for e in entries}) < len(entries):
                raise InputError(f"{path} is packed in a way that {what} never is, and is refused; give another file.")
            wrong = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RuntimeError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged; copy it again.") from error
    if wrong is not None:
        raise InputError(f"{path} is damaged: {wrong} in it does not fit its checksum; copy it again.")
