"""What one registration from the panel is given: as files in its run's folder, and as words of the command.

No Qt and no MRML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from RobustDIRLib.model_store import DEFAULT_MODEL
from RobustDIRLib.panelparts import exchange
from RobustDIRLib.presets import DEFAULT
from RobustDIRLib.values import Image

# In the run's folder: what the command writes, what it leaves for the panel, and what it is told by.
RESULT, HANDOVER, STOP, KEEP = "result", "handover", "stop", "keep"


@dataclass(frozen=True)
class ChosenMethod:
    """How to register; the words are those of `robustdir register`."""

    model: str = DEFAULT_MODEL
    preset: str = DEFAULT
    alignment: str = "automatic"
    device: str = "auto"
    blank_outside: bool = False
    quality: str = "balanced"


@dataclass(frozen=True)
class RegistrationRequest:
    """All that one registration is given.

    Attributes:
        fixed: As it lies in the world.
        moving: As it lies in the world.
        method: How.
        fixed_mask: Where to look, on any grid.
        moving_mask: Where to look, on any grid.
        steps: After which all voxels of the above are there; `InputError` where they cannot be.
    """

    fixed: Image
    moving: Image
    method: ChosenMethod
    fixed_mask: Image | None = None
    moving_mask: Image | None = None
    steps: Iterator[None] = iter(())

    def written(self, folder: Path) -> Iterator[None]:
        """Write volumes and masks into the run's folder, a few megabytes between two yields.

        Raises:
            InputError: If their voxels cannot be had, or cannot be written.
        """
        yield from self.steps
        for name, volume in self._volumes.items():
            yield from exchange.write_in_steps(_place(folder, name), volume.array, volume.grid)

    def words(self, folder: Path) -> list[str]:
        """`robustdir register` for what was written, without the program's own name."""
        method = self.method
        words = ["register", str(_place(folder, "fixed")), str(_place(folder, "moving"))]
        words += ["--output", str(folder / RESULT), "--model", method.model, "--preset", method.preset]
        words += ["--alignment", method.alignment, "--device", method.device, "--quality", method.quality]
        words += ["--blank-outside"] if method.blank_outside else []
        for name in ("fixed_mask", "moving_mask"):
            words += [f"--{name.replace('_', '-')}", str(_place(folder, name))] if name in self._volumes else []
        words += ["--progress", "json", "--stop-file", str(folder / STOP), "--keep-file", str(folder / KEEP)]
        return [*words, "--hand-over", str(folder / HANDOVER)]

    @property
    def _volumes(self) -> dict[str, Image]:
        """Those that are given, by the names of their files."""
        volumes = {
            "fixed": self.fixed,
            "moving": self.moving,
            "fixed_mask": self.fixed_mask,
            "moving_mask": self.moving_mask,
        }
        return {name: volume for name, volume in volumes.items() if volume is not None}


def _place(folder: Path, name: str) -> Path:
    return folder / f"{name}.mha"
