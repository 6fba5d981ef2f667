"""What every reader and writer needs of a file: that it exists, its format by its name, writing all of it or none."""

from __future__ import annotations

import codecs
import errno
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from RobustDIRLib.errors import InputError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PathLike = str | os.PathLike[str]

_LONGEST_TEXT = 1 << 28
# Writing to an open file names none; NumPy has no number for a write that ended early.
_DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
FULL_DISK = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_SHORT_WRITE = "requested and"
_ITK, _TORCH = ("SimpleITK", "itk::"), ("PytorchStreamWriter", "inline_container")
_READERS_BLOCK = os.name == "nt"
_PATIENCE_S, _PAUSE_S = 5.0, 0.05
_DOUBLE_EXTENSIONS = (".nii.gz", ".mrk.json")


def extension(path: PathLike) -> str:
    """The end of a file's name that says its format, in lower case: `".nii.gz"`, `".mrk.json"`, `".mha"`."""
    name = Path(path).name.lower()
    return next((double for double in _DOUBLE_EXTENSIONS if name.endswith(double)), Path(name).suffix)


def packed_extension(path: PathLike) -> str:
    """As `extension`; of what gzip has packed with the end that it had before: `".hdr.gz"`."""
    end = extension(path)
    return Path(Path(path).name.lower().removesuffix(".gz")).suffix + end if end == ".gz" else end


def files_in(folder: Path) -> list[Path]:
    """The files that lie in a folder itself, by name."""
    return sorted(entry for entry in folder.iterdir() if entry.is_file())


def existing_file(path: PathLike) -> Path:
    """The path, once it is known to lead to a file that holds something.

    Raises:
        InputError: If nothing is there, it is a folder, it is empty, or it may not be read.
    """
    path = Path(path)
    try:
        path.stat()
    except PermissionError as error:
        raise _unreadable(path) from error
    except (OSError, ValueError) as error:  # of a name that is too long, or none
        raise InputError(f"{path} does not exist; check the path.") from error
    if path.is_dir():
        raise InputError(f"{path} is a folder where a file is needed; name a file in it.")
    if not os.access(path, os.R_OK):
        raise _unreadable(path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); export or copy it again.")
    return path


def _unreadable(path: Path) -> InputError:
    return InputError(f"{path} may not be read; ask for permission to read it or copy it elsewhere.")


def regular_file(path: PathLike) -> Path:
    """The path, once it is known to lead to a file on a disk, which can be read more than once.

    Raises:
        InputError: If it does not, or the file is empty or may not be read.
    """
    path = existing_file(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise InputError(f"{path} is no file on a disk but a pipe or device; give a file.")
    return path


def refuse_unknown_letters(path: PathLike) -> None:
    """Refuse a path with bytes that are no text in UTF-8: libraries in C++ end the process over it.

    Raises:
        InputError: If it holds such bytes.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path} has letters that are not UTF-8, which not all programs take; rename it.") from error


def read_text(path: PathLike) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Raises:
        InputError: If there is no such file, it is not text, or longer than any text that is read here.
    """
    path = existing_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_TEXT + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the disk or copy the file.") from error
    if len(data) > _LONGEST_TEXT:
        raise InputError(
            f"{path} is longer than {_LONGEST_TEXT >> 20} MiB, as no such text is; check that it is the file you mean."
        )
    text = _decoded(data)
    if text is None:
        raise InputError(
            f"{path} is not a text file in UTF-8; check that it is the file you mean, or save it as UTF-8."
        )
    return text


def _decoded(data: bytes) -> str | None:
    """The text of bytes; None if they are none."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    # Nearly all pairs of bytes are some sign of UTF-16; text that is read here is mostly numbers and English.
    foreign = wide and 2 * sum(map(str.isascii, text)) < len(text)
    return None if foreign or "\0" in text else text


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises:
        InputError: If it cannot be made, or a file lies in its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); choose another folder.") from error


@contextmanager
def provisional_folder(folder: Path) -> Iterator[Path]:
    """A folder, made if it is not there with those above it; those that stay empty are taken away again.

    Raises:
        InputError: If it cannot be made, or a file lies in its place.
    """
    made = missing_folders(folder)
    make_folder(folder)
    try:
        yield folder
    finally:
        remove_empty(made)


def missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that are not there yet, the deepest first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Take folders away as long as nothing is in them."""
    for folder in folders:
        with suppress(OSError):  # something is in it, or another run has taken it away
            folder.rmdir()


def check_extension(path: PathLike, allowed: Sequence[str], what: str) -> str:
    """The extension of a file to be written, once it is known to be one of those allowed.

    Raises:
        InputError: If it is another one.
    """
    found = extension(path)
    if found not in allowed:
        raise InputError(f"{path} cannot be written: {what} goes into {', '.join(allowed)}; give it such a name.")
    return found


@contextmanager
def written_atomically(path: PathLike) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` if all goes well, removed if not.

    The temporary name keeps the extension, from which writers take the format.

    Raises:
        InputError: If the folder is missing or the file cannot be written.
    """
    path = Path(path)
    refuse_unknown_letters(path.absolute())
    if not os.path.isdir(path.parent):
        raise InputError(f"{path} cannot be written: the folder {path.parent} does not exist; create it first.")
    if os.path.isdir(path):
        raise InputError(f"{path} cannot be written: it is a folder; give a file name.")
    temporary = path.with_name(f".{uuid.uuid4().hex}{extension(path)}")
    try:
        yield temporary
        _replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if (reason := reason_not_written(error, temporary)) is None:
            raise
        cure = "free some space, or choose another folder" if is_full(error) else "choose another folder or format"
        raise InputError(f"{path} cannot be written ({reason}); {cure}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    """Rename; on Windows again and again for a while, since whoever reads the old file there is in the way."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(temporary, path)
        except PermissionError:
            if not _READERS_BLOCK or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def reason_not_written(error: OSError | RuntimeError, temporary: Path) -> str | None:
    """Why a file could not be written, or None for what is another failure: of reading another file, or of ours."""
    if isinstance(error, OSError):
        named = {os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, (str, os.PathLike))}
        ours = any(Path(name).name.startswith(temporary.name.split(".nii")[0]) for name in named)
        of_the_disk = not named and (error.errno in _DISK_ERRORS or _SHORT_WRITE in str(error))
        return error.strerror or str(error) if ours or of_the_disk else None
    # SimpleITK's and torch's writers know no other exception; torch's says nothing that tells why.
    if any(words in str(error) for words in _TORCH):
        return "the disk is full, or the file larger than the system allows"
    return last_line(error) if any(words in str(error) for words in _ITK) else None


def is_full(error: BaseException) -> bool:
    """Whether an exception, or its cause, says that a disk, a share of it or the largest size of a file is used up."""
    if not isinstance(error, OSError):
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH):
            return True  # torch's writer says nothing that tells why
        return error.__cause__ is not None and is_full(error.__cause__)
    return error.errno in FULL_DISK or (error.errno is None and _SHORT_WRITE in str(error))


def check_room(path: Path, size: int) -> None:
    """Whether a file of at least so many bytes can be written, before a library tries and fails in its own way.

    Raises:
        OSError: If the disk, or what the system allows of a file (`ulimit -f`), is too small.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if resource is not None and 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < size:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))


def refuse_inputs(outputs: Iterable[PathLike], inputs: Iterable[PathLike]) -> None:
    """Refuse to write over what is read, by whatever name or link it goes, or into a folder that is read as a whole.

    Args:
        outputs: Files that would be written, replaced or removed.
        inputs: Files and folders (of a DICOM series) that are read; those that are not there are passed over.
    Raises:
        InputError: Names the output and the input.
    """
    read = [Path(path) for path in inputs if os.path.exists(path)]
    for output in map(Path, outputs):
        for path in read:
            if _is_same(output, path) or (path.is_dir() and _is_same(output.parent, path)):
                raise InputError(f"{output} would be written over or into {path}, which is read; choose another place.")


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:  # one of them is not there
        return False


def write_json(path: PathLike, content: Any) -> None:
    """Write plain values as JSON, whole or not at all; `configuration.read_json` reads them.

    Raises:
        InputError: If the folder is missing or the file cannot be written.
    """
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def last_line(error: Exception) -> str:
    """The last line of an exception's message that says something: where ITK puts the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
