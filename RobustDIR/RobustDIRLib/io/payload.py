"""The voxels behind a header: whole, and within the memory there is, before anything is built for them.

NIfTI, NRRD, MetaImage and MGH all keep numbers one after another, packed or not, in one file or several. Libraries fill
what is missing with zeros, or take what a header asks for: here both are checked first.
"""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.files import regular_file
from RobustDIRLib.io.free_memory import available_memory
from RobustDIRLib.io.remarks import tell

# DEFLATE makes at most this many bytes of one: a header that asks for more than the file can hold is refused unread.
DEFLATE = 1032
_LONGEST_NUMBER = 32  # letters of a number written out, with the space behind it
_CHUNK = 1 << 20
_FORGIVEN = 1 << 24  # bytes of padding after the last voxel
_GIB = 2**30
_MOST_FILES = 1 << 16
# An InputError is a ValueError, too.
_DAMAGED = (OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True)
class Payload:
    """Where the numbers of a file are, and how they are packed.

    Attributes:
        files: In which they follow one another, the same number in each.
        dtype: Of one number, with its byte order.
        count: Of numbers in all.
        offset: Bytes before the first number in each file; after unpacking if `packing` covers the header too. None if
            the numbers are the last bytes of the file.
        packing: `raw`, `gzip`, `zlib`, `bzip2` or `text`.
        whole: Whether the packing covers the whole file, header included, as in `.nii.gz`.
    """

    files: tuple[Path, ...]
    dtype: np.dtype[Any]
    count: int
    offset: int | None = 0
    packing: str = "raw"
    whole: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of all numbers, unpacked."""
        return self.count * self.dtype.itemsize


def numbered_files(path: Path, pattern: str, words: list[str]) -> tuple[Path, ...]:
    """The files `pattern % k` for k from the first number to the second by steps of the third.

    Raises:
        InputError: If that is no such list.
    """
    try:
        first, last, step = (int(word) for word in words)
        numbers = range(first, last + (1 if step > 0 else -1), step)
        if not 0 < len(numbers) <= _MOST_FILES:
            raise ValueError("as many files as no volume has")
        return tuple(path.parent / (pattern % k) for k in numbers)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} names its data files in a way that is not read here; save it as one file.") from error


def read_payload(path: Path, payload: Payload) -> NDArray[Any]:
    """The numbers in the order of the file, shape `(count,)`, in native byte order.

    Args:
        path: The file that the user named, for messages.
        payload: What its header says.
    Raises:
        InputError: If a file is missing, cut short or damaged, or holds more than memory has room for.
    """
    each = _each(path, payload)
    for file in payload.files:
        check_length(path, _there(path, file), payload, each)
    check_room(path, payload.nbytes + 4 * payload.count)
    with enough_memory(path):
        if payload.packing == "text":
            return np.concatenate([_text(path, file, payload, each) for file in payload.files])
        buffer = np.empty(payload.nbytes, np.uint8)
        for file, part in zip(payload.files, np.split(buffer, len(payload.files)), strict=True):
            _fill(path, file, payload, part.data)
        return buffer.view(payload.dtype).astype(payload.dtype.newbyteorder("="), copy=False)


def _there(path: Path, file: Path) -> Path:
    """A file with voxels, once it is known to be one.

    Raises:
        InputError: If it is not there, which names the header that needs it, or is no file that can be read.
    """
    if file != path and not os.path.exists(file):
        raise InputError(f"{path} has its voxels in {file}, which does not exist; copy both, and keep their names.")
    return regular_file(file)


def _each(path: Path, payload: Payload) -> int:
    """Numbers in each file."""
    if payload.count % len(payload.files):
        raise InputError(f"{path} spreads its voxels over {len(payload.files)} files unevenly; export it as one file.")
    return payload.count // len(payload.files)


def check_length(path: Path, file: Path, payload: Payload, each: int) -> None:
    """Refuses a file that cannot hold its numbers, by its length alone.

    Raises:
        InputError: If it is too short.
    """
    there, needed = file.stat().st_size, each * payload.dtype.itemsize + (payload.offset or 0)
    # A number written out has a letter at least and a space; what DEFLATE can make of a byte is bounded, too.
    most = {"raw": there, "gzip": there * DEFLATE, "zlib": there * DEFLATE, "text": there * payload.dtype.itemsize}
    if file.is_file() and most.get(payload.packing, needed) < needed:
        raise cut_short(path, there, needed if payload.packing == "raw" else None)


def surplus(path: Path, payload: Payload) -> tuple[str, ...]:
    """A sentence if a file that is not packed goes on after its last voxel: its header may tell of too few.

    Raises:
        InputError: If it is one of several: which voxels each of them holds is not known then.
    """
    if payload.packing != "raw" or payload.offset is None:
        return ()
    needed = payload.nbytes // len(payload.files) + payload.offset
    extra = max((file.stat().st_size - needed for file in payload.files if os.path.isfile(file)), default=0)
    return (_goes_on(path, payload, f"for {extra} bytes "),) if extra > 0 else ()


def _goes_on(path: Path, payload: Payload, how_far: str = "") -> str:
    if len(payload.files) > 1:
        raise InputError(
            f"{path} has its voxels in {len(payload.files)} files, of which one holds more than its share of those "
            "that the header tells of; correct the header."
        )
    return f"{path} goes on {how_far}after the last voxel that its header tells of; check its size."


def cut_short(path: Path, there: int, needed: int | None) -> InputError:
    """The refusal of a file that ends before its last voxel."""
    figures = f"{there} of {needed} bytes are there" if needed else f"its {there} bytes cannot hold what it says"
    return InputError(f"{path} is cut short: {figures}; copy or export it again.")


def check_room(path: Path, needed: int) -> None:
    """Refuses what memory has no room for, before any is taken.

    Raises:
        InputError: If fewer than `needed` bytes are free.
    """
    free = available_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{path} needs {needed / _GIB:.1f} GiB of memory to be read, and {free / _GIB:.1f} GiB are free; check its "
            "header, crop or resample it, or use a machine with more memory."
        )


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Turns running out of memory all the same, under a limit of the process perhaps, into a sentence."""
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{path} does not fit into the memory this process may take; crop or resample it, or allow more."
        ) from error


def is_packed(file: Path) -> bool:
    """Whether a file is packed by gzip, by its first bytes, whatever its name."""
    with file.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def unpacked(file: Path) -> IO[bytes]:
    """A file opened to be read, through gzip if it is packed."""
    return gzip.open(file) if is_packed(file) else file.open("rb")  # type: ignore[return-value]


def _fill(path: Path, file: Path, payload: Payload, part: memoryview) -> None:
    """Fills a part of the buffer from one file, and reads that to its end, where checksums stand."""
    try:
        with _opened(file, payload, len(part)) as stream:
            got = 0
            while got < len(part) and (chunk := stream.read(min(_CHUNK, len(part) - got))):
                part[got : got + len(chunk)] = chunk
                got += len(chunk)
            if got < len(part):
                raise cut_short(path, got, len(part))
            if payload.packing != "raw":
                _drain(path, payload, stream)
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path} is damaged or cut short; copy or export it again.") from error


def _drain(path: Path, payload: Payload, stream: Any) -> None:
    extra = 0
    while chunk := stream.read(_CHUNK):
        extra += len(chunk)
        if extra > _FORGIVEN:
            raise InputError(f"{path} goes on after the last voxel that its header tells of; export it again.")
    if extra:
        tell([_goes_on(path, payload, f"for {extra} bytes ")])


@contextmanager
def _opened(file: Path, payload: Payload, length: int) -> Iterator[Any]:
    """The unpacked bytes of one file from its first number on."""
    unpack: dict[str, Any] = {"gzip": _gunzip, "bzip2": bz2.BZ2File, "zlib": _Zlib}
    with file.open("rb") as stream:
        offset = file.stat().st_size - length if payload.offset is None else payload.offset
        if not payload.whole:
            stream.seek(offset)
        if payload.packing == "raw":
            yield stream
            return
        inner = unpack[payload.packing](stream)
        if payload.whole:
            inner.read(offset)
        yield inner


def _gunzip(stream: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=stream)


class _Zlib:
    """A zlib stream as a file that is read in chunks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._inflate = stream, zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self._inflate.eof:
            waiting = self._inflate.unconsumed_tail or self._stream.read(_CHUNK)
            if not waiting:
                raise EOFError("the stream ends early")
            if found := self._inflate.decompress(waiting, size):
                return found
        return b""


def _text(path: Path, file: Path, payload: Payload, each: int) -> NDArray[Any]:
    """Numbers written out."""
    with file.open("rb") as stream:
        stream.seek(payload.offset or 0)
        text = stream.read(each * _LONGEST_NUMBER)
    words = text.split()
    if len(words) < each:
        raise cut_short(path, file.stat().st_size, None)
    if len(words) > each:
        tell([_goes_on(path, payload)])
    try:
        if b"_" in text:  # which Python alone takes within numbers
            raise ValueError("an underscore")
        return np.array(words[:each]).astype(payload.dtype.newbyteorder("="))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is damaged: its voxels are not all numbers of its type ({payload.dtype.name}); copy or export it "
            "again."
        ) from error
