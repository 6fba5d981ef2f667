"""A bank of label maps on disk: made once, reused by every epoch (section 2.3.1, step 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from RobustDIRLib.configuration import read_json, refuse_seed, to_dict
from RobustDIRLib.errors import InputError
from RobustDIRLib.io.arrays import read_arrays
from RobustDIRLib.io.files import make_folder, write_json, written_atomically
from RobustDIRLib.io.labels import read_labels
from RobustDIRLib.synthesis.kinds import LabelMapConfig, sample_label_map
from RobustDIRLib.synthesis.labels import BACKGROUND, SLIDING
from RobustDIRLib.synthesis.random import generator

_RECORD = "bank.json"
_MARGIN = 4  # voxels of background kept around an anatomy


@dataclass(frozen=True)
class BankSettings:
    """A bank to be made.

    Attributes:
        labels: Its label maps.
        count: How many; 100 in the paper.
        seed: Of every draw.
    """

    labels: LabelMapConfig = field(default_factory=LabelMapConfig)
    count: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("count must be at least 1")
        refuse_seed(self.seed)


def _record(config: LabelMapConfig, count: int, seed: int) -> dict[str, Any]:
    return {"labels": to_dict(config), "count": count, "seed": seed}


def _write_map(path: Path, labels: NDArray[np.uint8]) -> None:
    with written_atomically(path) as temporary:
        np.savez_compressed(temporary, labels=labels)


def make_bank(
    folder: Path, config: LabelMapConfig, count: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `count` label maps as compressed arrays; maps that are there already are kept, so it can be continued.

    Raises:
        InputError: If the folder holds another bank.
    """
    make_folder(folder)
    record = folder / _RECORD
    wanted = _record(config, count, seed)
    if record.exists() and read_json(record) != wanted:
        raise InputError(f"{folder} holds label maps made with other settings: name another folder or delete it")
    if not record.exists():
        write_json(record, wanted)
    for index in range(count):
        path = folder / f"labels_{index:04d}.npz"
        if not path.exists():
            _write_map(path, sample_label_map(config, index, generator(seed, index)).numpy())
        if progress:
            progress(index + 1, count)


def scene_from_anatomy(labels: NDArray[np.integer], known: dict[int, int], side: int) -> NDArray[np.uint8]:
    """An anatomical label map as a scene: label 0 becomes `BACKGROUND`, the others count from 0.

    Args:
        labels: Shape `(z, y, x)`; 0 is background.
        known: Number of each label met so far; grows, so that all maps of a bank share their numbers.
        side: Least voxels a side; smaller maps are framed with background.
    Raises:
        InputError: If there are more labels than `SLIDING`.
    """
    for label in np.unique(labels):
        if label and int(label) not in known:
            known[int(label)] = len(known)
    if len(known) > SLIDING:
        raise InputError(f"the label maps have more than {SLIDING} different labels: merge some of them first")
    scene = np.full(labels.shape, BACKGROUND, np.uint8)
    for label, number in known.items():
        scene[labels == label] = number
    where = np.argwhere(labels)
    box = tuple(slice(max(0, a - _MARGIN), b + 1 + _MARGIN) for a, b in zip(where.min(0), where.max(0), strict=True))
    scene = scene[box]
    missing = np.maximum(side - np.array(scene.shape), 0)
    return np.pad(scene, np.stack([missing // 2, missing - missing // 2], 1), constant_values=BACKGROUND)


def import_bank(
    folder: Path,
    files: Sequence[Path],
    side: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    keep: Sequence[int] | None = None,
) -> None:
    """Make a bank of anatomical label maps, such as segmentations of a scan: shapes without their images.

    Args:
        folder: The bank; must not hold one yet.
        files: Label maps, any format `read_labels` knows; voxels are taken as they are.
        side: Least voxels a side; smaller maps are framed with background.
        progress: Told of each map done.
        keep: Labels to keep, the others become background: a skull-stripped brain of a whole head. All if not given.
    Raises:
        InputError: If a file is unfit or holds none of the labels, or the folder holds a bank.
    """
    if (folder / _RECORD).exists():
        raise InputError(f"{folder} already holds label maps: name another folder or delete it")
    maps = [read_labels(file).array for file in files]
    if keep is not None:
        maps = [np.where(np.isin(labels, keep), labels, 0) for labels in maps]
    empty = [str(file) for file, labels in zip(files, maps, strict=True) if not labels.any()]
    if empty:
        raise InputError(f"{', '.join(empty)} has no label {'to keep' if keep else 'but background'}: leave it out")
    make_folder(folder)
    known: dict[int, int] = {}
    for index, labels in enumerate(maps):
        _write_map(folder / f"labels_{index:04d}.npz", scene_from_anatomy(labels, known, side))
        if progress:
            progress(index + 1, len(maps))
    write_json(folder / _RECORD, {"files": [f.name for f in files], "labels": known})


def _read_map(file: Path) -> Tensor:
    """A label map."""
    what, cure = "label map of a bank", "make the bank anew"
    labels = read_arrays(file, what, cure).get("labels")
    if labels is None or labels.ndim != 3 or labels.dtype != np.uint8:
        raise InputError(f"{file} is no {what}: three axes of bytes; {cure}.")
    return torch.from_numpy(labels)


class LabelBank:
    """The label maps of one or more folders, held in memory as `uint8` (one byte a voxel).

    A folder named several times counts as often, and is held once.

    Raises:
        InputError: If a folder holds no label maps.
    """

    def __init__(self, *folders: Path) -> None:
        loaded = {folder: _read_maps(Path(folder)) for folder in dict.fromkeys(folders)}
        content = [entry for folder in folders for entry in loaded[folder].items()]
        self.files: list[Path] = [file for file, _ in content]
        self.maps: list[Tensor] = [labels for _, labels in content]

    def check_sides(self, side: int) -> None:
        """Refuse maps that pairs of so many voxels a side cannot be cut from.

        Raises:
            InputError: Names the first.
        """
        for file, labels in zip(self.files, self.maps, strict=True):
            if min(labels.shape) < side:
                sides = " x ".join(map(str, labels.shape))
                raise InputError(f"{file} has {sides} voxels, too few for pairs of {side} a side; make larger maps.")

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, index: int) -> Tensor:
        return self.maps[index]


def _read_maps(folder: Path) -> dict[Path, Tensor]:
    files = sorted(folder.glob("labels_*.npz"))
    if not files:
        raise InputError(f"{folder} holds no label maps; `robustdir synthesize` makes such a bank.")
    return {file: _read_map(file) for file in files}
