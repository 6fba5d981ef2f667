"""What compressed pixels of DICOM say of themselves: size, bits and samples, against the header beside them.

Decoders take the one or the other, and crop or scale the pixels down where both differ, without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.errors import InputError
from RobustDIRLib.io.dicom_headers import Dataset, frame_count, number

_ITEM = b"\xfe\xff\x00\xe0"
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAMES = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}  # markers that begin a picture; the last is of JPEG-LS
_FILLING = 0xFF


@dataclass(frozen=True)
class _Stream:
    """What the head of a stream says."""

    rows: int
    columns: int
    bits: int
    samples: int


def check_streams(path: Path, data: Dataset) -> None:
    """Refuse streams of JPEG, JPEG-LS or JPEG 2000 that contradict the header of their file.

    Args:
        path: The file, for the message.
        data: With its pixels, compressed.
    Raises:
        InputError: If they are of more frames, or of another size, or have more bits or colours; names what both say.
    """
    rows, columns, allocated = int(data.Rows), int(data.Columns), int(number(data, "BitsAllocated", 16.0))
    streams = [stream for fragment in _fragments(data.PixelData) if (stream := _described(fragment)) is not None]
    if len(streams) > frame_count(data):
        raise InputError(
            f"{path} holds the pixels of {len(streams)} frames and tells of {frame_count(data)} (NumberOfFrames); "
            "export it again."
        )
    for stream in streams:
        if (stream.rows or rows, stream.columns, stream.samples) != (rows, columns, 1) or stream.bits > allocated:
            raise InputError(
                f"{path} contradicts itself: its compressed pixels are {stream.columns} x {stream.rows} of "
                f"{stream.samples} x {stream.bits} bits, and by its header {columns} x {rows} of {allocated}; export "
                "it again."
            )


def _fragments(data: bytes) -> Iterator[bytes]:
    """The items of pixels behind the table of their places; a frame may have several."""
    at = 0
    while data[at : at + 4] == _ITEM and at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at:
            yield data[at + 8 : at + 8 + length]
        at += 8 + length


def _described(stream: bytes) -> _Stream | None:
    """What a stream says where one begins; None for what is another's continuation, or is written otherwise (RLE)."""
    try:
        if stream.startswith(_JPEG_2000):
            right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
            samples, bits = struct.unpack_from(">HB", stream, 40)
            return _Stream(bottom - top, right - left, (bits & 0x7F) + 1, samples)
        return _described_by_jpeg(stream) if stream.startswith(_JPEG) else None
    except struct.error:  # cut short, as the decoder will say
        return None


def _described_by_jpeg(stream: bytes) -> _Stream | None:
    at = len(_JPEG)
    while True:
        lead, marker, length = struct.unpack_from(">BBH", stream, at)
        if lead != _FILLING:
            return None
        if marker in _FRAMES:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", stream, at + 4)
            return _Stream(rows, columns, bits, samples)
        at += 1 if marker == _FILLING else 2 + length
