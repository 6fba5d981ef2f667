"""How long a registration will take and how much memory, before it runs, and how far it is while it runs.

Seconds come from rates of this machine: at first those of two cores of a 2023 server, then those of its own last runs,
which the panel keeps in the application's settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from RobustDIRLib.panelparts.words import _

if TYPE_CHECKING:
    from RobustDIRLib.geometry import Grid

STAGES = (
    "hand over", "start", "read", "normalise", "align", "network", "refine", "resample", "measure", "write",
    "take over",
)  # fmt: skip
# What a stage's time grows with, in millions of voxels: of the fixed image, of both, or of the working grid.
_GROWS_WITH = {
    "hand over": "both", "start": None, "read": "both", "normalise": "both", "align": None, "network": "working",
    "refine": "working", "resample": "fixed", "measure": "working", "write": "fixed", "take over": "fixed",
}  # fmt: skip
_SECONDS = {
    "hand over": 0.02, "start": 4.0, "read": 0.1, "normalise": 0.15, "align": 3.0, "network": 1.2, "refine": 2.0,
    "resample": 0.3, "measure": 0.15, "write": 0.6, "take over": 0.05,
}  # fmt: skip
# Of the time of the automatic alignment.
_ALIGNMENT_SHARE = {"none": 0.02, "centre": 0.05, "rigid": 0.6, "affine": 1.0, "automatic": 1.0}
# Of the time of the refinement at the quality `balanced`.
_QUALITY_SHARE = {"fast": 0.0, "balanced": 1.0, "best": 1.8}
_ACCELERATED = 0.1
_MEMORY = 0.5  # how much of what was known is kept when a run has been timed
_MILLION = 1e6
_GIB = 2**30


@dataclass(frozen=True)
class Size:
    """Millions of voxels."""

    fixed: float
    moving: float
    working: float

    @classmethod
    def of(cls, fixed: Grid, moving: Grid, working: Grid) -> Size:
        """Of three grids."""
        return cls(*(_voxels(grid) / _MILLION for grid in (fixed, moving, working)))

    def of_stage(self, stage: str) -> float:
        """What the stage's time is proportional to."""
        kind = _GROWS_WITH[stage]
        return {"both": self.fixed + self.moving, "fixed": self.fixed, "working": self.working, None: 1.0}[kind]


@dataclass(frozen=True)
class Rates:
    """Seconds of each stage per unit of its `Size.of_stage`, on this machine.

    Attributes:
        cpu: Where the network runs on the processor.
        gpu: Where it runs on an accelerator; what is not there is taken from `cpu`.
        bytes_per_voxel: Of the network, per working voxel; None where no run has told it yet.
    """

    cpu: Mapping[str, float] = field(default_factory=lambda: dict(_SECONDS))
    gpu: Mapping[str, float] = field(default_factory=dict)
    bytes_per_voxel: float | None = None

    def seconds(self, size: Size, alignment: str, accelerated: bool, quality: str = "balanced") -> dict[str, float]:
        """Of every stage, in order."""
        faster = {"network": self.cpu["network"] * _ACCELERATED}
        rates = {**self.cpu, **faster, **self.gpu} if accelerated else self.cpu
        seconds = {stage: rates[stage] * size.of_stage(stage) for stage in STAGES}
        seconds["align"] *= _ALIGNMENT_SHARE.get(alignment, 1.0)
        seconds["refine"] *= _QUALITY_SHARE.get(quality, 1.0)
        return seconds

    def learned(
        self, took: Mapping[str, float], size: Size, alignment: str, accelerated: bool, quality: str = "balanced"
    ) -> Rates:
        """Rates that lean towards a run that has been timed.

        Args:
            took: Seconds of stages; those of `STAGES` count.
            size: Of that run.
            alignment: Of that run.
            accelerated: Whether its network ran on an accelerator.
            quality: Of that run.
        """
        own = dict(self.gpu if accelerated else self.cpu)
        for stage in set(STAGES) & set(took):
            unit = size.of_stage(stage) * (_ALIGNMENT_SHARE.get(alignment, 1.0) if stage == "align" else 1.0)
            if stage == "refine" and quality != "balanced":  # others say little of it
                continue
            if unit <= 0 or (stage == "align" and alignment not in ("automatic", "affine")):
                continue
            rate = took[stage] / unit
            own[stage] = _MEMORY * own[stage] + (1 - _MEMORY) * rate if stage in own else rate
        cpu, gpu = (self.cpu, own) if accelerated else (own, self.gpu)
        return Rates(cpu, gpu, self.bytes_per_voxel)

    def to_text(self) -> str:
        """For the application's settings; `from_text` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | None) -> Rates:
        """What `to_text` gave; the rates of the shipped table if it is empty or damaged."""
        try:
            said = json.loads(text or "")
            cpu = {stage: float(said["cpu"].get(stage, _SECONDS[stage])) for stage in STAGES}
            gpu = {stage: float(value) for stage, value in said["gpu"].items() if stage in STAGES}
            price = said["bytes_per_voxel"]
            return cls(cpu, gpu, None if price is None else float(price))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Outlook:
    """What a registration will take.

    Attributes:
        stages: Seconds of every stage, in order.
        needed: Peak bytes of main memory.
        available: Free bytes; None if unknown.
        size: Of the images and the working grid.
        working: Voxels of the working grid along x, y, z.
        spacing: Their sides, mm.
    """

    stages: Mapping[str, float]
    needed: int
    available: int | None
    size: Size
    working: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(self.stages.values())

    @property
    def fits(self) -> bool:
        """Whether the memory that is free will do."""
        return self.available is None or self.needed <= self.available

    def sentence(self) -> str:
        """For the panel."""
        size = " x ".join(str(n) for n in self.working)
        spacing = " x ".join(f"{s:.1f}" for s in self.spacing)
        free = "" if self.available is None else _(" ({gib:.1f} GiB are free)").format(gib=self.available / _GIB)
        needed = f"{self.needed / _GIB:.1f} GiB" if self.needed > 0.1 * _GIB else _("under 0.1 GiB")
        text = _("About {time} and {needed} of memory{free}. Works on {size} voxels of {spacing} mm.").format(
            time=spoken(self.seconds), needed=needed, free=free, size=size, spacing=spacing
        )
        if self.fits:
            return text
        return _("{forecast} Memory is short: the registration will use a coarser grid.").format(forecast=text)


def foresee(
    fixed: Grid,
    moving: Grid,
    *,
    preset: str,
    alignment: str,
    accelerated: bool,
    rates: Rates,
    quality: str = "balanced",
) -> Outlook:
    """Forecast a registration; needs SimpleITK and SciPy, not torch.

    Args:
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        preset: Name of a preset.
        alignment: Kind of linear alignment.
        accelerated: Whether the network will run on an accelerator.
        rates: Of this machine.
        quality: How much is refined.
    """
    from RobustDIRLib.presets import find_preset
    from RobustDIRLib.registration.memory import BYTES_PER_VOXEL, Budget, forecast
    from RobustDIRLib.registration.preprocessing import working_grid

    working = working_grid(fixed, find_preset(preset))
    budget = Budget.now(rates.bytes_per_voxel or BYTES_PER_VOXEL)
    memory = forecast(working, fixed, moving, budget)[0]
    size = Size.of(fixed, moving, working)
    stages = rates.seconds(size, alignment, accelerated, quality)
    return Outlook(stages, memory.needed, memory.available, size, working.size, working.spacing)


@dataclass
class StageProgress:
    """How far a run is, by its forecast.

    A stage that takes longer than foreseen draws near its end and never reaches it.
    """

    stages: Mapping[str, float]
    stage: str = STAGES[0]
    began: float = 0.0

    def enter(self, stage: str, now: float) -> None:
        """A stage begins; unknown ones change nothing."""
        if stage in self.stages:
            self.stage, self.began = stage, now

    def left(self, now: float) -> float:
        """Seconds still to come."""
        names = list(self.stages)
        later = sum(self.stages[name] for name in names[names.index(self.stage) + 1 :])
        return later + self.stages[self.stage] * (1 - self._within(now))

    def fraction(self, now: float) -> float:
        """Of the whole, from 0 to 1."""
        whole = sum(self.stages.values())
        return 1 - self.left(now) / whole if whole else 0.0

    def _within(self, now: float) -> float:
        expected = max(self.stages[self.stage], 1e-3)
        passed = max(now - self.began, 0.0) / expected
        return passed * 0.8 if passed < 1 else 1 - 0.2 / passed


def spoken(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _voxels(grid: Grid) -> float:
    z, y, x = grid.shape
    return float(z) * y * x
