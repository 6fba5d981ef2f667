"""A bank of label maps on disk: made once, reused by every epoch (section 2.3.1, step 1)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from RobustDIRLib.errors import InputError
from RobustDIRLib.synthesis.labels import LabelMapConfig, sample_label_map
from RobustDIRLib.synthesis.random import generator

_RECORD = "bank.json"


def _record(config: LabelMapConfig, count: int, seed: int) -> str:
    return json.dumps({"labels": asdict(config), "count": count, "seed": seed}, indent=1)


def make_bank(
    folder: Path, config: LabelMapConfig, count: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `count` label maps as compressed arrays; maps that are there already are kept, so it can be continued.

    Raises:
        InputError: If the folder holds another bank.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _RECORD
    wanted = _record(config, count, seed)
    if record.exists() and json.loads(record.read_text()) != json.loads(wanted):
        raise InputError(f"{folder} holds label maps made with other settings: name another folder or delete it")
    record.write_text(wanted)
    for index in range(count):
        path = folder / f"labels_{index:04d}.npz"
        if not path.exists():
            labels = sample_label_map(config, index, generator(seed, index))
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as file:
                np.savez_compressed(file, labels=labels.numpy())
            os.replace(temporary, path)
        if progress:
            progress(index + 1, count)


class LabelBank:
    """The label maps of one or more folders, held in memory as `uint8` (one byte a voxel).

    Raises:
        InputError: If a folder holds no label maps.
    """

    def __init__(self, *folders: Path) -> None:
        self.maps: list[Tensor] = []
        for folder in folders:
            files = sorted(Path(folder).glob("labels_*.npz"))
            if not files:
                raise InputError(
                    f"{folder} holds no label maps: make a bank there first, by robustdir synthesize --bank"
                )
            for file in files:
                with np.load(file) as content:
                    self.maps.append(torch.from_numpy(content["labels"]))

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, index: int) -> Tensor:
        return self.maps[index]
