"""How long a run will take, and how much memory and disk, before it starts; needs neither torch nor Qt.

Seconds come from the paces of runs on this machine, as their records have them; until there are any, from those of two
cores of a 2023 server. Memory and disk are reckoned as the loops themselves use them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from RobustDIRLib.run_files import CONFIG, RECORDS
from RobustDIRLib.runner.folders import FINETUNE, PRETRAIN, kind_of, read_object
from RobustDIRLib.runner.history import number
from RobustDIRLib.runner.lines import as_object, tail

_MILLION = 1e6
_GIB, _MIB = 2**30, 2**20
# Seconds of a step of one pair on two cores: of any, and for each million working voxels.
_BASE = 0.1
_PACES = {(FINETUNE, "cpu"): 9.0, (PRETRAIN, "cpu"): 3.0}
_ACCELERATED = 0.08
_JUDGED = 0.35  # what a pair costs that is registered and not learnt from
_FEWEST_PAIRS = 4  # of an epoch, where there are so many
_START, _END = 8.0, 15.0
_PREPARED = 1.5  # of a scan: read, scaled and aligned, for each million of working voxels and half of that at least
_MAP = 1.5  # of a label map, for each million of its voxels
_RUNS, _TAIL, _HEAD = 8, 1 << 13, 1 << 12
_LIBRARIES = int(0.6 * _GIB)
_LEARNING = 5.0  # times the memory of a registration, as `finetuning.run` has it
_STATE = 4  # times the weights: they, their average, and two moments
_LARGEST_SHARE = 0.6  # of free memory, beyond which pairs are cut


@dataclass(frozen=True)
class Work:
    """A run that is to come.

    Attributes:
        kind: `finetune` or `pretrain`.
        accelerated: Whether it will run on a graphics card.
        pairs, epochs: Pairs an epoch, and epochs at most; of a pretraining steps, and 1.
        voxels: Working voxels of a pair, a mean.
        validation, test: Pairs that are judged after every epoch (in a pretraining: in all), and at the end.
        scans: Scans that are read and aligned.
        maps, side: Label maps that are made first, and their voxels a side.
        model_bytes: Of the model's file.
        bytes_per_voxel: Of the network, in one registration.
        cache: Bytes of main memory for scans.
    """

    kind: str
    accelerated: bool
    pairs: int
    epochs: int
    voxels: float
    validation: int = 0
    test: int = 0
    scans: int = 0
    maps: int = 0
    side: int = 0
    model_bytes: int = 5_000_000
    bytes_per_voxel: float = 450.0
    cache: int = 0


@dataclass(frozen=True)
class Paces:
    """Seconds of a step for each million working voxels, by kind and device.

    Attributes:
        own: Of this machine's runs; what is not there is taken from the table of the server.
    """

    own: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def seconds(self, work: Work) -> float:
        """Of one step of one pair."""
        millions = work.voxels / _MILLION
        device = "cuda" if work.accelerated else "cpu"
        if self.knows(work):
            return self.own[work.kind, device] * millions
        slow = self.own.get((work.kind, "cpu"), _PACES[work.kind, "cpu"])
        return (_BASE + slow * millions) * (_ACCELERATED if work.accelerated else 1.0)

    def knows(self, work: Work) -> bool:
        """Whether a run of that kind was timed here, on such a device."""
        return (work.kind, "cuda" if work.accelerated else "cpu") in self.own


def paces_of(homes: Iterable[Path]) -> Paces:
    """The paces of the last runs in some folders, the median of each kind and device."""
    found: dict[tuple[str, str], list[float]] = {}
    for folder in _last_runs(homes):
        if (pace := _pace(folder)) is not None:
            found.setdefault(pace[0], []).append(pace[1])
    return Paces({key: statistics.median(values) for key, values in found.items()})


def _last_runs(homes: Iterable[Path]) -> list[Path]:
    records = [file for home in homes for file in home.glob(f"*/{RECORDS}")]
    return [file.parent for file in sorted(records, key=_changed, reverse=True)[:_RUNS]]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # deleted this very moment
        return 0.0


def _pace(folder: Path) -> tuple[tuple[str, str], float] | None:
    """Kind and device of a run, and its seconds for each million voxels; None where its records do not tell."""
    steps = [record for line in tail(folder / RECORDS, _TAIL) if (record := as_object(line)) and "voxels" in record]
    paces = []
    for record in steps:
        seconds, voxels = number(record.get("seconds_per_step")), number(record.get("voxels"))
        if seconds and voxels and seconds > 0 and voxels > 0:
            paces.append(seconds / voxels * _MILLION)
    start = _first(folder / RECORDS)
    device = start.get("device") if start else None
    kind = kind_of(folder, None, read_object(folder / CONFIG))
    if not paces or not isinstance(device, str) or kind not in (FINETUNE, PRETRAIN):
        return None
    return (kind, device), statistics.median(paces)


def _first(path: Path) -> dict[str, object] | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return as_object(file.readline(_HEAD))
    except OSError:
        return None


@dataclass(frozen=True)
class RunOutlook:
    """What a run will take.

    Attributes:
        seconds: At most: it ends earlier once it has converged.
        memory: Peak bytes of main memory.
        disk: Bytes of its folder at most, a checkpoint that is being replaced included.
        free_memory, free_disk: Bytes; None if unknown.
        timed: Whether the pace is that of runs on this machine.
        cut: Whether pairs are too large for the memory and are learnt from in boxes.
    """

    seconds: float
    memory: int
    disk: int
    free_memory: int | None
    free_disk: int | None
    timed: bool
    cut: bool = False

    @property
    def problem(self) -> str:
        """Why it will fail, one sentence; empty if nothing tells."""
        if self.free_disk is not None and self.disk > self.free_disk:
            return f"The run needs {sized(self.disk)} of disk and {sized(self.free_disk)} are free: make room first."
        if self.free_memory is not None and self.memory > self.free_memory:
            return (
                f"The run needs {sized(self.memory)} of memory and {sized(self.free_memory)} are free: close other "
                f"programs first."
            )
        return ""


def foresee(work: Work, paces: Paces, free_memory: int | None = None, free_disk: int | None = None) -> RunOutlook:
    """Forecast a run.

    Args:
        work: The run.
        paces: Of this machine.
        free_memory, free_disk: Bytes; None if unknown.
    """
    network = int(_LEARNING * work.bytes_per_voxel * work.voxels)
    cut = free_memory is not None and not work.accelerated and network > _LARGEST_SHARE * free_memory
    if cut and free_memory is not None:
        network = int(_LARGEST_SHARE * free_memory)
    memory = _LIBRARIES + _STATE * work.model_bytes + work.cache + (0 if work.accelerated else network)
    # A checkpoint is written beside the one it replaces, and so is a model.
    disk = (2 * _STATE + 3) * work.model_bytes + _maps_bytes(work) + 300 * work.pairs * work.epochs // 10 + _MIB
    return RunOutlook(_seconds(work, paces), memory, disk, free_memory, free_disk, paces.knows(work), cut)


def _seconds(work: Work, paces: Paces) -> float:
    step, millions = paces.seconds(work), work.voxels / _MILLION
    learning = work.epochs * (work.pairs * step + work.validation * _JUDGED * step)
    judging = 2 * work.test * _JUDGED * step + work.validation * _JUDGED * step
    first = _START + work.scans * _PREPARED * (0.5 + millions) + work.maps * _MAP * work.side**3 / _MILLION
    return first + learning + judging + (_END if work.test else 0.0)


def _maps_bytes(work: Work) -> int:
    """Label maps compress to about a twentieth."""
    return int(work.maps * work.side**3 / 20)


def model_bytes(path: Path | None) -> int:
    """Size of a model's file, or of the shipped model's where there is none yet."""
    try:
        return Work.model_bytes if path is None else path.stat().st_size
    except OSError:
        return Work.model_bytes


def epochs_within(work: Work, paces: Paces, seconds: float) -> tuple[int, int]:
    """Pairs an epoch and epochs (5 at best) of a run that takes no longer, at least one pair and one epoch."""
    for epochs in range(min(work.epochs, 5), 0, -1):
        alone, with_one = (_seconds(replace(work, pairs=n, epochs=epochs), paces) for n in (0, 1))
        pairs = min(work.pairs, int((seconds - alone) / max(with_one - alone, 1e-9)))
        if pairs >= min(work.pairs, _FEWEST_PAIRS) or (epochs == 1 and pairs > 0):
            return pairs, epochs
    return 1, 1


def sized(count: float) -> str:
    """Bytes as people say them."""
    return f"{count / _GIB:.1f} GiB" if count >= 0.1 * _GIB else f"{max(count / _MIB, 1):.0f} MiB"
