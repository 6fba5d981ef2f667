"""Scans as the network needs them, read and scaled once and kept within a memory bound."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from RobustDIRLib.datasets.building import Scan
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.images import Image
from RobustDIRLib.io.input_files import files_of, input_sha256
from RobustDIRLib.io.landmarks import Landmarks
from RobustDIRLib.io.remarks import tell
from RobustDIRLib.presets import Preset
from RobustDIRLib.registration.checks import unlike_image
from RobustDIRLib.registration.preprocessing import normalise

Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PreparedScan:
    """One scan.

    Attributes:
        image: Scaled to [-1, 1], on its own grid.
        labels: Its label map, on any grid, 16 or 32 bits; None without one.
        landmarks: Points in it, mm, LPS; None without.
    """

    image: Image
    labels: Image | None = None
    landmarks: Landmarks | None = None

    @property
    def bytes(self) -> int:
        """What it holds of main memory."""
        return sum(image.array.nbytes for image in (self.image, self.labels) if image is not None)


class ScanStore:
    """Reads scans on demand and keeps the last used ones, within a bound of bytes.

    A file that is read again must be what it was at first: a data set that is changed under a training teaches nobody
    knows what.
    """

    def __init__(self, most_bytes: int, checksums: dict[str, str] | None = None) -> None:
        """An empty store.

        Args:
            most_bytes: What to hold at most; one scan is held at least.
            checksums: Of files as an earlier stretch of the run read them, by path.
        """
        self.most_bytes = most_bytes
        self.checksums = dict(checksums or {})
        self._stamps: dict[str, Stamp] = {}
        self._told = set[Path]()
        self._held: OrderedDict[tuple[str, str], PreparedScan] = OrderedDict()

    def get(self, scan: Scan, preset: Preset) -> PreparedScan:
        """The scan, from memory or its files.

        Raises:
            InputError: If a file cannot be read or was changed since the run first read it.
        """
        key = scan.name, preset.name
        if key not in self._held:
            self.check(scan)
            self._held[key] = _prepared(scan, preset)
            self._tell(scan, self._held[key])
            while len(self._held) > 1 and sum(held.bytes for held in self._held.values()) > self.most_bytes:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def _tell(self, scan: Scan, held: PreparedScan) -> None:
        """Warn once of a label map that belongs to another image, by where it lies."""
        if scan.labels is None or held.labels is None or scan.labels.path in self._told:
            return
        self._told.add(scan.labels.path)
        if note := unlike_image(held.labels, held.image, f"the label map {scan.labels.path} of {scan.image.path}"):
            tell([note])

    def check(self, scan: Scan) -> None:
        """Take the checksums of a scan's files, or see that they are what they were.

        Raises:
            InputError: If a file is gone or was changed since the run first read it.
        """
        for source in (scan.image, scan.labels, scan.landmarks):
            if source is not None:
                self._check_file(source.path)

    def _check_file(self, path: Path) -> None:
        """Checksums are taken once, and again only if size or time of change differ."""
        name, stamp = str(path), _stamp(path)
        if self._stamps.get(name) == stamp:
            return
        checksum = input_sha256(path)
        if self.checksums.setdefault(name, checksum) != checksum:
            raise InputError(
                f"{path} was changed after the training had read it; put the old file back and resume, or start a new "
                "run."
            )
        self._stamps[name] = stamp


def _stamp(path: Path) -> Stamp:
    """Size and time of change of the files that a path stands for."""
    if not path.exists():
        raise InputError(f"{path} is gone; put it back and resume the training.")
    return tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(path))


def _prepared(scan: Scan, preset: Preset) -> PreparedScan:
    image = scan.image.read()
    labels: Image | None = scan.labels.read() if scan.labels else None
    if labels is not None:
        labels = _narrow(labels)
    landmarks = scan.landmarks.read(image.grid) if scan.landmarks else None
    return PreparedScan(normalise(image, preset), labels, landmarks)


def _narrow(labels: Image) -> Image:
    """The label map in 16 bits where its numbers fit, to save memory."""
    limits = np.iinfo(np.int16)
    fits = labels.array.min() >= limits.min and labels.array.max() <= limits.max
    return replace(labels, array=labels.array.astype(np.int16 if fits else np.int32, copy=False))
